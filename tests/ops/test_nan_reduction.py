"""Values and gradients of lucid/ops/nan_reduction.py agree with PyTorch."""

import pytest

from tests.checking import check, recorded


@pytest.mark.parametrize(("case", "record"), recorded("ops_nan_reduction"))
def test_agrees_with_pytorch(case, record):
    check(case, record)
