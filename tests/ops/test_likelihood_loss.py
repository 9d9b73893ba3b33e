"""The functions of ``lucid/ops/likelihood_loss.py`` agree with PyTorch and reject invalid arguments."""

import pytest

import lucid
from lucid.nn import functional as F
from tests.checking import check, recorded


@pytest.mark.parametrize(("case", "record"), recorded("ops_likelihood_loss"))
def test_agrees_with_pytorch(case, record):
    check(case, record)


X = lucid.zeros(2, 3)


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (
            lambda: F.gaussian_nll_loss(X, X, lucid.ones(2, 2)),
            r"var must broadcast to the input, .2, 3.",
        ),
        (lambda: F.gaussian_nll_loss(X, X, X - 1), "var must not be negative"),
        (lambda: F.gaussian_nll_loss(X, X, X, eps=0.0), "eps must be above 0"),
        (lambda: F.poisson_nll_loss(X, X, reduction="all"), "reduction must be 'mean', 'sum' or 'none', got 'all'"),
    ],
)
def test_wrong_arguments_are_named(use, message):
    with pytest.raises(ValueError, match=message):
        use()
