"""Adaptive pooling agrees with PyTorch, in both layouts."""

import functools

import pytest

import lucid
from lucid.nn import functional as F
from tests.checking import check, recorded
from tests.ops.layouts import same_in_both


@pytest.mark.parametrize(("case", "record"), recorded("ops_adaptive_pooling"))
def test_agrees_with_pytorch(case, record):
    check(case, record)


@pytest.mark.parametrize("size", [1, (3, 4), (None, 2), (5, 7)])
@pytest.mark.parametrize("shape", [(2, 3, 5, 7), (3, 7, 5)])
def test_channels_last_agrees_with_channels_first(size, shape):
    same_in_both(functools.partial(F.adaptive_max_pool2d, output_size=size), shape, batch=len(shape) == 4)


def test_positions_lead_to_the_values():
    x = lucid.randn(2, 7, 5, 3)
    values, at = F.adaptive_max_pool2d(x, (3, 2), True, data_format="channels_last")
    flat = x.reshape(2, 35, 3)
    assert lucid.equal(lucid.gather(flat, 1, at.reshape(2, 6, 3)).reshape(2, 3, 2, 3), values)


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (
            lambda: F.adaptive_max_pool2d(lucid.ones(1, 2, 4, 4), (1, 2, 3)),
            ValueError,
            r"adaptive_max_pool2d: output_size must be an integer or a pair \(H, W\), got \(1, 2, 3\)",
        ),
        (
            lambda: F.adaptive_max_pool1d(lucid.ones(1, 2, 0), 2),
            RuntimeError,
            "adaptive_max_pool1d: the dimensions L must not be empty, got 0",
        ),
        (
            lambda: F.adaptive_max_pool3d(lucid.ones(1, 0, 2, 2, 2), 2),
            RuntimeError,
            r"adaptive_max_pool3d: only the batch may be empty, got shape \(1, 0, 2, 2, 2\)",
        ),
        (
            lambda: F.adaptive_max_pool2d(lucid.ones(4, 4), 2),
            RuntimeError,
            r"adaptive_max_pool2d: input must have 3 or 4 dimensions \(N, C, H, W\), got \(4, 4\)",
        ),
        (
            lambda: F.adaptive_avg_pool3d(lucid.ones(1, 1, 2, 2, 2, dtype=lucid.int32), 2),
            TypeError,
            "adaptive_avg_pool3d: input must hold floating-point numbers, got int32",
        ),
    ],
)
def test_invalid_arguments_raise(use, error, message):
    with pytest.raises(error, match=message):
        use()
