"""Gather and scatter agree with PyTorch and reject invalid arguments."""

import pytest

import lucid
from tests.checking import check, recorded


@pytest.mark.parametrize(("case", "record"), recorded("ops_gather_scatter"))
def test_agrees_with_pytorch(case, record):
    check(case, record)


def test_take_accepts_axis():
    x = lucid.arange(6).reshape(2, 3)
    assert lucid.take(x, [2, 0], axis=1).tolist() == [[2, 0], [5, 3]]


I = lucid.tensor([[0, 0, 0]])


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (lambda x: x.gather(0, I - 3), IndexError, "gather: index -3 is out of range for dim 0 with size 2"),
        (
            lambda x: x.index_select(0, I - 1),
            IndexError,
            "index_select: index -1 is out of range for dim 0 with size 2",
        ),
        (
            lambda x: x.index_select(0, lucid.tensor([[0]])),
            IndexError,
            "index_select: index must be a vector, got shape",
        ),
        (
            lambda x: x[0, 0].index_select(0, I[0, :0]),
            RuntimeError,
            "index_select: a 0-d tensor takes a single index, got 0",
        ),
        (lambda x: x.scatter(0, I, value=1, src=x), TypeError, "scatter: expected either src or value"),
        (lambda x: x.scatter(0, I), TypeError, "scatter: expected either src or value"),
        (lambda x: x.half().scatter(0, I, 1e9), RuntimeError, "scatter: value 1000000000.0 does not fit in float16"),
        (lambda x: x.scatter_add(0, I, 2.0), TypeError, "scatter_add: src must be a tensor, got float 2.0"),
        (lambda x: x.index_add(0, I[0], 2.0), TypeError, "index_add: source must be a tensor, got float 2.0"),
        (
            lambda x: x.index_add(0, I[0], x.int()),
            RuntimeError,
            "index_add: source must have the dtype of the input, fl",
        ),
        (lambda x: x.index_copy(0, I[0], x[:, :2]), IndexError, r"index_copy: source must have shape \(3, 3\), got "),
        (lambda x: x.index_fill(0, I[0, :1], 1j), RuntimeError, "index_fill: value 1j does not fit in float32"),
        (
            lambda x: x.int().index_fill(0, I[0, :1], 2**40),
            ValueError,
            f"index_fill: value {2**40} does not fit in int32",
        ),
        (
            lambda x: x.gather(0, lucid.tensor([0])),
            ValueError,
            r"gather: index must have as many dimensions as the input \(2\), got shape \(1,\)",
        ),
        (lambda x: x.gather(0, lucid.ones(1, 1)), TypeError, "gather: index must hold integers, got float32"),
        (
            lambda x: x.gather(0, lucid.zeros(1, 4, dtype="int64")),
            ValueError,
            r"gather: index of shape \(1, 4\) is larger than \(2, 3\) outside dim 0",
        ),
        (lambda x: x.gather(2, lucid.tensor([[0]])), IndexError, r"gather: dim must be in \[-2, 1\]"),
        (
            lambda x: x.scatter(0, lucid.tensor([[0, 1]]), lucid.ones(1, 1)),
            ValueError,
            r"scatter: src of shape \(1, 1\) is smaller than index of shape \(1, 2\)",
        ),
        (
            lambda x: x.scatter(0, lucid.tensor([[0]]), lucid.arange(1).reshape(1, 1)),
            TypeError,
            "scatter: src must have the dtype of the input, float32, got int64",
        ),
        (
            lambda x: x.scatter(0, lucid.tensor([[0]]), 1.0, reduce="max"),
            ValueError,
            "scatter: reduce must be 'add' or 'multiply', got 'max'",
        ),
        (
            lambda x: x.scatter_add(0, lucid.zeros(1, 4, dtype="int64"), lucid.ones(1, 4)),
            ValueError,
            "scatter_add: index of shape",
        ),
        (
            lambda x: x.index_select(0, lucid.tensor([[0]])),
            ValueError,
            r"index_select: index must be a vector, got shape \(1, 1\)",
        ),
        (lambda x: x.index_select(0, [0.5]), TypeError, "index_select: index must hold integers, got float32"),
        (
            lambda x: x.index_add(0, [0], lucid.ones(2, 3)),
            ValueError,
            r"index_add: source must have shape \(1, 3\), got \(2, 3\)",
        ),
        (
            lambda x: x.index_copy(1, [0, 1], lucid.ones(2, 3)),
            ValueError,
            r"index_copy: source must have shape \(2, 2\), got \(2, 3\)",
        ),
        (
            lambda x: x.index_fill(0, [0], lucid.ones(2)),
            ValueError,
            r"index_fill: value must be a single number, got shape \(2,\)",
        ),
        (lambda x: x.take(lucid.tensor([True])), TypeError, "take: index must hold integers, got bool"),
        (lambda x: lucid.take_along_dim(x, lucid.zeros(3, 1, dtype="int64"), 1), ValueError, r"take_along_dim: shapes"),
    ],
)
def test_invalid_arguments_raise(use, error, message):
    with pytest.raises(error, match=message):
        use(lucid.ones(2, 3))
