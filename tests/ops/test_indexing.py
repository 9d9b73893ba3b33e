"""Indexing agrees with PyTorch and NumPy, for reading and writing, and rejects invalid indices."""

import numpy as np
import pytest

import lucid
from tests.checking import check, recorded
from tests.reference.cases_ops_indexing import INDICES, SHAPE

# Indices that PyTorch does not support or interprets differently; these follow NumPy.
NUMPYS = {
    "a negative step": slice(None, None, -1),
    "a negative step of 2": slice(3, 0, -2),
    "negative steps": (slice(None, None, -1), slice(-1, None, -2), slice(2, None, -1)),
    "an empty negative step": slice(0, 3, -1),
    "an integer apart from an array": (0, slice(None), np.array([2, 0])),
    "an integer beside an array": (slice(None), 3, np.array([2, 0])),
    "an array apart from an integer": (np.array([2, 0]), slice(None), 1),
    "a negative step and an array": (slice(None, None, -2), np.array([4, 0, 1])),
    "arrays of int8": (np.array([2, 0], np.int8), np.array([1, -1], np.int8)),
    "a numpy integer": np.int64(2),
    "a tuple in a tuple": ((0, 2), (1, 4)),
    "a mask apart from an array": (np.array([True, False, True, False]), slice(None), np.array([1, 0])),
    "bools": (True, 1),
}


@pytest.mark.parametrize(("case", "record"), recorded("ops_indexing"))
def test_agrees_with_pytorch(case, record):
    check(case, record)


@pytest.mark.parametrize("name", [*INDICES, *NUMPYS])
def test_reading_agrees_with_numpy_and_has_the_right_gradient(name):
    index = {**INDICES, **NUMPYS}[name]
    values = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    x = lucid.tensor(values, requires_grad=True)
    found = x[index]
    np.testing.assert_array_equal(found.detach().numpy(), values[index])
    cotangent = np.random.default_rng(1).normal(size=values[index].shape).astype(np.float32)
    found.backward(lucid.tensor(cotangent))
    expected = np.zeros(SHAPE, np.float32)
    np.add.at(expected, index, cotangent)
    np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("name", [n for n in [*INDICES, *NUMPYS] if n != "a list"])
def test_writing_agrees_with_numpy_and_has_the_right_gradients(name):
    index = {**INDICES, **NUMPYS}[name]
    rng = np.random.default_rng(0)
    values = rng.normal(size=SHAPE).astype(np.float32)
    written = rng.normal(size=values[index].shape).astype(np.float32)
    cotangent = rng.normal(size=SHAPE).astype(np.float32)
    x, v = lucid.tensor(values, requires_grad=True), lucid.tensor(written, requires_grad=True)
    y = x * 1
    y[index] = v
    expected = values.copy()
    expected[index] = written
    np.testing.assert_array_equal(y.detach().numpy(), expected)
    y.backward(lucid.tensor(cotangent))
    np.testing.assert_allclose(v.grad.numpy(), cotangent[index], rtol=1e-6)
    left = cotangent.copy()
    left[index] = 0
    np.testing.assert_allclose(x.grad.numpy(), left, rtol=1e-6)


def test_numbers_are_written_exactly_or_do_not_fit(on_cpu):
    x = lucid.zeros(3, dtype=lucid.float64)
    x[0], x[1:] = 0.1, 0.2
    assert x.tolist() == [0.1, 0.2, 0.2]
    half = lucid.zeros(2, dtype=lucid.float16)
    half[0] = 1e10
    assert half.tolist() == [float("inf"), 0]
    for dtype, value in (("uint8", 300), ("int32", 2**40), ("float32", 1j), ("int32", float("nan"))):
        y = lucid.zeros(2, dtype=dtype)
        with pytest.raises(RuntimeError, match=f"setitem: value .* does not fit in {dtype}"):
            y[0] = value
        y[0] = 7
        assert y.tolist() == [7, 0]


def test_tensors_can_be_indices():
    x = lucid.arange(12).reshape(3, 4)
    i, j = lucid.tensor([2, 0]), lucid.tensor([1, -1])
    assert x[i, j].tolist() == [9, 3]
    assert x[[i[0], i[1]]].tolist() == 8  # as in PyTorch, a list that holds tensors is a tuple
    assert x[([i[0], i[1]],)].tolist() == [[8, 9, 10, 11], [0, 1, 2, 3]]
    assert x[lucid.tensor(1)].tolist() == [4, 5, 6, 7]
    assert x[x % 2 == 0].tolist() == [0, 2, 4, 6, 8, 10]
    x[i, j] = lucid.tensor([-1, -2])
    assert x.tolist() == [[0, 1, 2, -2], [4, 5, 6, 7], [8, -1, 10, 11]]


@pytest.mark.parametrize("wrong", [3, -1, 10**12])
def test_one_hot_of_a_class_out_of_range_raises_or_is_zero_where_it_is_not_checked(wrong, on_cpu):
    with pytest.raises(IndexError, match=rf"one_hot: class {wrong} is out of range for 2 classes, .* 0 to 1"):
        lucid.one_hot(lucid.tensor([1, wrong]), 2)
    with lucid.debug(False):
        assert lucid.one_hot(lucid.tensor([1, wrong]), 2).tolist() == [[0, 1], [0, 0]]


def test_one_hot_counts_negative_classes_as_wrong_and_takes_any_integer_dtype(on_cpu):
    with pytest.raises(IndexError, match="one_hot: class -1 is out of range"):
        lucid.one_hot(lucid.tensor([2, -1]))
    for dtype in ("int8", "uint8", "uint64"):  # 300 classes do not fit in 8 bits
        assert lucid.one_hot(lucid.tensor([0, 44], dtype=dtype), 300).numpy().argmax(1).tolist() == [0, 44]
        assert lucid.one_hot(lucid.tensor([44], dtype=dtype), 300).sum().item() == 1


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (
            lambda x: x.half().masked_fill(x > 0, -1e9),
            RuntimeError,
            "masked_fill: value -1000000000.0 does not fit in fl",
        ),
        (lambda x: x.masked_fill(x > 0, 1j), ValueError, "masked_fill: value 1j does not fit in float32"),
        (
            lambda x: x[lucid.tensor([0.0])],
            IndexError,
            "getitem: an index tensor must hold integers or bools, got float",
        ),
        (lambda x: x[2], IndexError, r"getitem: index 2 is out of range for dim 0 with size 2, shape \(2, 3\)"),
        (lambda x: x[0, -4], IndexError, r"getitem: index -4 is out of range for dim 1"),
        (lambda x: x[0, 0, 0], IndexError, r"getitem: too many indices \(3\) for shape \(2, 3\)"),
        (lambda x: x[..., 0, ...], IndexError, r"getitem: an index can only have a single ellipsis \('...'\)"),
        (lambda x: x[0.5], IndexError, "getitem: an index must consist of integers, .*got float 0.5"),
        (lambda x: x["a"], TypeError, "getitem: an index must consist of integers, .*got str 'a'"),
        (
            lambda x: x[lucid.tensor([0.0])],
            TypeError,
            "getitem: an index tensor must hold integers or bools, got float32",
        ),
        (lambda x: x[[0, 5]], IndexError, r"getitem: index 5 is out of range for dim 0 with size 2, shape \(2, 3\)"),
        (lambda x: x[([[0, 1], [0]],)], TypeError, "getitem: an index must consist of integers"),
        (
            lambda x: x[lucid.tensor([True, False, True])],
            IndexError,
            r"getitem: mask of shape \(3,\) does not match dims 0 to 0 of \(2, 3\)",
        ),
        (
            lambda x: x[[0, 1], [0, 1, 2]],
            IndexError,
            r"getitem: index arrays of shapes \(2,\) and \(3,\) cannot be broadcast",
        ),
        (lambda x: x[::0], ValueError, "getitem: slice step cannot be zero"),
        (lambda x: x["a":], TypeError, "getitem: slice indices must be integers"),
        (
            lambda x: lucid.zeros(0, 2)[lucid.tensor([0])],
            IndexError,
            r"getitem: cannot index dim 0 of shape \(0, 2\), which is empty",
        ),
        (
            lambda x: x.__setitem__(0, lucid.ones(2)),
            ValueError,
            r"setitem: value of shape \(2,\) cannot be broadcast to the indexed shape \(3,\)",
        ),
        (
            lambda x: x.__setitem__([0, 1], lucid.ones(3, 3)),
            ValueError,
            r"setitem: value of shape \(3, 3\) cannot be broadcast to the indexed shape \(2, 3\)",
        ),
        (lambda x: x.__setitem__(5, 0), IndexError, "setitem: index 5 is out of range"),
        (lambda x: x.__setitem__(0, "a"), TypeError, "setitem: value must be a tensor"),
        (lambda x: lucid.where(x, x, x), TypeError, "where: condition must be a bool tensor, got float32"),
        (lambda x: lucid.where(x > 0, x), TypeError, "where: pass both input and other, or neither"),
        (
            lambda x: lucid.where(x > 0, x, lucid.ones(2)),
            ValueError,
            r"where: shapes \(2, 3\) and \(2, 3\) and \(2,\) cannot be broadcast",
        ),
        (
            lambda x: x.masked_fill(lucid.tensor([1, 0, 1]), 0),
            TypeError,
            "masked_fill: mask must be a bool tensor, got int64",
        ),
        (
            lambda x: x.masked_fill(x > 0, lucid.ones(3)),
            ValueError,
            r"masked_fill: value must be a single number, got shape \(3,\)",
        ),
        (
            lambda x: x.masked_fill(lucid.tensor([True, False]), 0),
            ValueError,
            r"masked_fill: shapes \(2, 3\) and \(2,\)",
        ),
        (lambda x: x.masked_select(x), TypeError, "masked_select: mask must be a bool tensor, got float32"),
        (lambda x: lucid.one_hot(x), TypeError, "one_hot: input must hold integers, got float32"),
        (
            lambda x: lucid.one_hot(lucid.tensor([], dtype="int64")),
            ValueError,
            "one_hot: num_classes is required for an empty input",
        ),
    ],
)
def test_invalid_indices_raise(use, error, message):
    with pytest.raises(error, match=message):
        use(lucid.ones(2, 3))
