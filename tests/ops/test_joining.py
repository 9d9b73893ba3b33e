"""Joining, repeating and splitting agree with PyTorch and reject invalid arguments."""

import pytest

import lucid
from tests.checking import check, recorded


@pytest.mark.parametrize(("case", "record"), recorded("ops_joining"))
def test_agrees_with_pytorch(case, record):
    check(case, record)


def test_axis_is_dim():
    x = lucid.arange(6).reshape(2, 3)
    assert lucid.stack([x, x], axis=1).shape == (2, 2, 3)
    assert [part.tolist() for part in x.split([1, 2], axis=1)] == [[[0], [3]], [[1, 2], [4, 5]]]


def test_numbers_and_lists_are_tensors_too():
    assert lucid.cat([[1], lucid.tensor([2, 3])]).tolist() == [1, 2, 3]
    assert lucid.stack(lucid.arange(4).reshape(2, 2), 1).tolist() == [[0, 2], [1, 3]]
    assert lucid.repeat_interleave(lucid.arange(2), [2, 1], dim=0).tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (lambda x: x[0, 0].chunk(1), RuntimeError, "chunk: a 0-d tensor cannot be split"),
        (lambda x: x.repeat_interleave(2**40), RuntimeError, "repeat_interleave: a tensor of shape .* is too large"),
        (
            lambda x: x.repeat(2),
            ValueError,
            r"repeat: shape \(2, 3\) needs at least 2 repeats, each at least 0, got \(2,\)",
        ),
        (lambda x: x.tile(-1), ValueError, r"tile: dims must be at least 0, got \(-1,\)"),
        (
            lambda x: lucid.repeat_interleave(x, lucid.tensor([1, 2, 3]), 0),
            ValueError,
            "repeat_interleave: dim 0 needs 2 repeats, got 3",
        ),
        (lambda x: lucid.cat([]), ValueError, "cat: expected at least one tensor"),
        (
            lambda x: lucid.cat([x, lucid.ones(2, 4)]),
            ValueError,
            r"cat: shapes must be equal except in dim 0, got \(2, 3\) and \(2, 4\) \(tensor 1\)",
        ),
        (
            lambda x: lucid.cat([lucid.tensor(1.0)] * 2),
            ValueError,
            "cat: 0-d tensors cannot be concatenated; use stack",
        ),
        (
            lambda x: lucid.stack([x, lucid.ones(2)]),
            ValueError,
            r"stack: shapes must be equal, got \(2, 3\) and \(2,\) \(tensor 1\)",
        ),
        (lambda x: lucid.stack([x, x], 3), IndexError, r"stack: dim must be in \[-3, 2\]"),
        (lambda x: lucid.hstack([x, lucid.ones(3, 3)]), ValueError, "hstack: shapes must be equal except in dim 1"),
        (lambda x: lucid.vstack([x, lucid.ones(4)]), ValueError, "vstack: shapes must be equal except in dim 0"),
        (
            lambda x: x.split([1, 2]),
            ValueError,
            r"split: sizes \(1, 2\) must add up to 2, the size of dim 0 of shape \(2, 3\)",
        ),
        (lambda x: x.split(0), ValueError, "split: split_size must be at least 1, got 0"),
        (lambda x: x.chunk(0), ValueError, "chunk: chunks must be at least 1, got 0"),
        (lambda x: lucid.tensor(1.0).unbind(), ValueError, "unbind: a 0-d tensor cannot be unbound"),
    ],
)
def test_invalid_arguments_raise(use, error, message):
    with pytest.raises(error, match=message):
        use(lucid.ones(2, 3))
