"""Padding agrees with PyTorch and rejects invalid arguments."""

import pytest

import lucid
from tests.checking import check, recorded


@pytest.mark.parametrize(("case", "record"), recorded("ops_padding"))
def test_agrees_with_pytorch(case, record):
    check(case, record)


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (lambda x: x.pad(1), TypeError, "pad: pad must be a list or tuple of integers, got 1"),
        (
            lambda x: x[:, :0].pad((1, 0), "replicate"),
            ValueError,
            "pad: dim 1 of shape .* is empty and has no edge to repeat",
        ),
        (lambda x: x.pad((1,)), ValueError, r"pad: pad must hold pairs for at most 2 dimensions, got \(1,\)"),
        (
            lambda x: x.pad((1, 1), "mirror"),
            ValueError,
            "pad: mode must be 'constant', 'reflect', 'replicate' or 'circular', got 'mirror'",
        ),
        (
            lambda x: x.pad((3, 0), "reflect"),
            ValueError,
            r"pad: mode 'reflect' can add at most 2 to dim 1 of shape \(2, 3\), got \(3, 0\)",
        ),
        (lambda x: x.pad((0, 4), "circular"), ValueError, "pad: mode 'circular' can add at most 3"),
        (lambda x: x.pad((1, 1), "reflect", 1.0), ValueError, "pad: value is only supported by mode 'constant'"),
        (
            lambda x: x.pad((-2, -2)),
            ValueError,
            r"pad: \(-2, -2\) crops more than the size of dim 1 of shape \(2, 3\)",
        ),
        (lambda x: x.pad((-2, -2), "replicate"), ValueError, r"pad: \(-2, -2\) crops more than the size"),
    ],
)
def test_invalid_arguments_raise(use, error, message):
    with pytest.raises(error, match=message):
        use(lucid.ones(2, 3))
