"""Linear algebra agrees with PyTorch: values, first and second derivatives."""

import pytest

from tests.checking import check, recorded


@pytest.mark.parametrize(("case", "record"), recorded("linalg"))
def test_agrees_with_pytorch(case, record):
    check(case, record)
