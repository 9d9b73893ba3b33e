"""Distances agree with PyTorch; invalid arguments raise."""

import pytest

import lucid
from lucid.nn import functional as F
from tests.checking import check, recorded


@pytest.mark.parametrize(("case", "record"), recorded("ops_distance"))
def test_agrees_with_pytorch(case, record):
    check(case, record)


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda: F.pdist(lucid.ones(3)), r"input must have 2 dimensions \(N, D\), got \(3,\)"),
        (lambda: F.pdist(lucid.ones(3, 2), -1), "pdist: p must be at least 0, got -1"),
        (lambda: F.pairwise_distance(lucid.ones(2, 3), lucid.ones(2, 4)), "cannot be broadcast together"),
        (lambda: F.pairwise_distance(lucid.tensor(1.0), lucid.tensor(1.0)), "at least one dimension"),
    ],
)
def test_invalid_arguments_raise(use, message):
    with pytest.raises(RuntimeError, match=message):
        use()
