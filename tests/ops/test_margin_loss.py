"""The functions of ``lucid/ops/margin_loss.py`` agree with PyTorch and reject invalid arguments."""

import pytest

import lucid
from lucid.nn import functional as F
from tests.checking import check, recorded


@pytest.mark.parametrize(("case", "record"), recorded("ops_margin_loss"))
def test_agrees_with_pytorch(case, record):
    check(case, record)


X = lucid.zeros(2, 3)


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (lambda: F.margin_ranking_loss(X, X, lucid.ones(3)), RuntimeError, "must have as many dimensions"),
        (lambda: F.cosine_embedding_loss(X, X, X), RuntimeError, "target must have 0 or 1 dimensions"),
        (lambda: F.multi_margin_loss(X, lucid.tensor([0, 3])), IndexError, "target 3 is out of range for 3 classes"),
        (lambda: F.multi_margin_loss(X, lucid.tensor([0, 1]), p=3), ValueError, "p must be 1 or 2, got 3"),
        (lambda: F.multilabel_margin_loss(X, lucid.tensor([[0, -2, 1]] * 2)), IndexError, "target -2 is out of range"),
        (
            lambda: F.triplet_margin_loss(X, X, lucid.ones(3)),
            RuntimeError,
            "as many dimensions, at least 1",
        ),
        (lambda: F.triplet_margin_loss(X, X, X, margin=0), ValueError, "margin must be above 0"),
        (lambda: F.triplet_margin_with_distance_loss(X, X, X, distance_function=3), TypeError, "must be callable"),
    ],
)
def test_wrong_arguments_are_named(use, error, message):
    with pytest.raises(error, match=message):
        use()


def test_the_soft_margin_does_not_overflow():
    assert F.soft_margin_loss(lucid.tensor([-200.0]), lucid.tensor([1.0])).item() == 200
