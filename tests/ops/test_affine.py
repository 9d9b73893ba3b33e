"""Linear maps and embedding lookup agree with PyTorch and reject shapes that do not match."""

import pytest

import lucid
from lucid.nn import functional as F
from tests.checking import check, recorded


@pytest.mark.parametrize(("case", "record"), recorded("ops_affine"))
def test_agrees_with_pytorch(case, record):
    check(case, record)


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (
            lambda: F.linear(lucid.ones(2, 3), lucid.ones(4, 5)),
            ValueError,
            r"linear: weight \(4, 5\) needs 5 features in the last dimension of the input, got \(2, 3\)",
        ),
        (
            lambda: F.linear(lucid.tensor(1.0), lucid.ones(4, 1)),
            ValueError,
            r"linear: weight \(4, 1\) needs 1 features",
        ),
        (lambda: F.linear(lucid.ones(2, 3), lucid.ones(2, 4, 3)), ValueError, "linear: weight must have 2 dimensions"),
        (
            lambda: F.linear(lucid.ones(2, 3), lucid.ones(4, 3), lucid.ones(3)),
            ValueError,
            r"linear: bias must have shape \(4,\), got \(3,\)",
        ),
        (lambda: F.linear("x", lucid.ones(4, 3)), TypeError, "linear: input must be a tensor.*got str"),
        (
            lambda: F.embedding(lucid.ones(2), lucid.ones(4, 3)),
            TypeError,
            "embedding: input must hold integers, got float32",
        ),
        (lambda: F.embedding(lucid.tensor([1]), lucid.ones(4)), ValueError, "embedding: weight must have 2 dimensions"),
        (
            lambda: F.embedding(lucid.tensor([1]), lucid.ones(4, 3), padding_idx=4),
            ValueError,
            r"embedding: padding_idx must be in \[-4, 3\]",
        ),
    ],
)
def test_invalid_arguments_raise(use, error, message):
    with pytest.raises(error, match=message):
        use()
