"""Sorting agrees with PyTorch."""

import numpy as np
import pytest

import lucid
from tests.checking import check, recorded


@pytest.mark.parametrize(("case", "record"), recorded("ops_sorting"))
def test_agrees_with_pytorch(case, record):
    check(case, record)


def test_axis_is_dim():
    x = lucid.tensor([[3, 1], [2, 4]])
    assert lucid.sort(x, axis=0).values.tolist() == [[2, 1], [3, 4]]
    assert x.argsort(axis=0).tolist() == [[1, 0], [0, 1]]
    assert x.topk(1, axis=0).values.tolist() == [[3, 4]]


def test_weights_of_bincount_have_gradients():
    weights = lucid.tensor([1.0, 2.0, 4.0], requires_grad=True)
    counts = lucid.bincount(lucid.tensor([2, 0, 2]), weights)
    assert counts.tolist() == [2, 0, 5]
    (counts * lucid.tensor([10.0, 100.0, 1000.0])).sum().backward()
    assert weights.grad.tolist() == [1000, 10, 1000]


def test_equal_values_keep_their_order():
    values = np.random.default_rng(0).integers(0, 7, (5, 997))
    order = lucid.argsort(lucid.tensor(values), 1).numpy()
    np.testing.assert_array_equal(order, np.argsort(values, 1, kind="stable"))
    order = lucid.argsort(lucid.tensor(values), 1, descending=True).numpy()
    np.testing.assert_array_equal(order, np.argsort(-values, 1, kind="stable"))


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (lambda x: x.sort(2), IndexError, r"sort: dim must be in \[-2, 1\] for 2 dimensions, got 2"),
        (lambda x: x.argsort(0.5), TypeError, "argsort: dim must be an integer, got 0.5"),
        (lambda x: x.topk(4), ValueError, r"topk: k must be in \[0, 3\] for dim -1 of shape \(2, 3\), got 4"),
        (lambda x: x.topk(-1), ValueError, r"topk: k must be in \[0, 3\]"),
        (lambda x: x.topk(1.5), TypeError, "topk: k must be an integer, got 1.5"),
        (lambda x: x.unique(dim=2), IndexError, "unique: dim must be in"),
        (
            lambda x: lucid.searchsorted(x, x[0]),
            ValueError,
            r"searchsorted: input \(3,\) must have the leading sizes of sorted_sequence \(2, 3\)",
        ),
        (lambda x: lucid.bincount(x.long()), ValueError, r"bincount: input must have 1 dimensions, got \(2, 3\)"),
        (lambda x: lucid.bincount(x[0]), TypeError, "bincount: input must hold integers, got float32"),
        (lambda x: lucid.bincount(lucid.tensor([1, -1])), ValueError, "bincount: input must not be negative, got -1"),
        (
            lambda x: lucid.bincount(lucid.arange(3), lucid.ones(2)),
            ValueError,
            r"bincount: weights must have the shape of the input, \(3,\), got \(2,\)",
        ),
        (lambda x: lucid.sort("ba"), TypeError, "sort: input must be a tensor"),
    ],
)
def test_invalid_arguments_raise(use, error, message):
    with pytest.raises(error, match=message):
        use(lucid.ones(2, 3))


@pytest.mark.parametrize("dtype", ["int64", "uint8", "float16", "float64"])
def test_bincount_sums_weights_other_than_float32_in_float64(dtype, on_cpu):
    counts = lucid.bincount(lucid.tensor([0, 2, 2]), lucid.tensor([1, 2, 3]).to(dtype), 4)
    assert counts.dtype == lucid.float64 and counts.tolist() == [1, 0, 5, 0]
