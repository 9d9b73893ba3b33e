"""Values and gradients of lucid/ops/linear_loss.py agree with PyTorch."""

import pytest

import lucid
from lucid.nn import functional as F
from tests.checking import check, recorded


@pytest.mark.parametrize(("case", "record"), recorded("ops_linear_loss"))
def test_agrees_with_pytorch(case, record):
    check(case, record)


def test_shapes_are_checked():
    with pytest.raises(ValueError, match="linear_cross_entropy: input must be"):
        F.linear_cross_entropy(lucid.ones(2, 3), lucid.ones(5, 4), lucid.tensor([0, 1]))
    with pytest.raises(TypeError, match="options must be None"):
        F.linear_cross_entropy(lucid.ones(2, 3), lucid.ones(5, 3), lucid.tensor([0, 1]), options=1)
