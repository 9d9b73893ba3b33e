"""Values and gradients of lucid/ops/positions.py agree with PyTorch."""

import pytest

from tests.checking import check, recorded


@pytest.mark.parametrize(("case", "record"), recorded("ops_positions"))
def test_agrees_with_pytorch(case, record):
    check(case, record)
