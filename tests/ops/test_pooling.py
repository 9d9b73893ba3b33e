"""Pooling agrees with PyTorch in both layouts and rejects invalid windows."""

import functools

import pytest

import lucid
from lucid.nn import functional as F
from tests.checking import check, recorded
from tests.ops.layouts import same_in_both


@pytest.mark.parametrize(("case", "record"), recorded("ops_pooling"))
def test_agrees_with_pytorch(case, record):
    check(case, record)


@pytest.mark.parametrize(
    ("op", "options"),
    [
        (F.max_pool2d, {"kernel_size": 2}),
        (F.max_pool2d, {"kernel_size": (3, 2), "stride": (1, 2), "padding": (1, 0), "ceil_mode": True}),
        (F.max_pool2d, {"kernel_size": 2, "dilation": (2, 1)}),
        (F.avg_pool2d, {"kernel_size": (2, 3), "stride": 2, "padding": (0, 1), "ceil_mode": True}),
        (F.avg_pool2d, {"kernel_size": 3, "padding": 1, "count_include_pad": False}),
        (F.avg_pool2d, {"kernel_size": 2, "divisor_override": 3}),
        (F.adaptive_avg_pool2d, {"output_size": 1}),
        (F.adaptive_avg_pool2d, {"output_size": (3, 4)}),
        (F.adaptive_avg_pool2d, {"output_size": (None, 2)}),
    ],
)
@pytest.mark.parametrize("shape", [(2, 3, 5, 7), (3, 7, 5)])
def test_channels_last_agrees_with_channels_first(op, options, shape):
    same_in_both(functools.partial(op, **options), shape, batch=len(shape) == 4)


def test_the_first_of_equal_values_gets_the_gradient():
    x = lucid.ones(1, 1, 2, 4, requires_grad=True)
    F.max_pool2d(x, 2).backward([[[[1.0, 2.0]]]])
    assert x.grad.tolist() == [[[[1, 0, 2, 0], [0, 0, 0, 0]]]]


def test_a_window_of_padding_has_no_gradient():
    x = lucid.ones(1, 1, 1, 1, requires_grad=True)
    y = F.max_pool2d(x, 2, stride=1, padding=1, dilation=2)
    assert y.tolist() == [[[[-float("inf")]]]]
    y.sum().backward()
    assert x.grad.tolist() == [[[[0]]]]


def test_none_keeps_both_sizes():
    x = lucid.randn(1, 2, 3, 4)
    assert F.adaptive_avg_pool2d(x, None).tolist() == x.tolist()


def test_an_average_of_half_precision_does_not_overflow():
    x = lucid.full((1, 1, 8, 8), 60000.0, dtype=lucid.float16)
    assert F.avg_pool2d(x, 8).item() == F.adaptive_avg_pool2d(x, 1).item() == 60000


def image(*shape):
    return lucid.ones(*(shape or (1, 1, 4, 4)))


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (
            lambda: F.max_pool2d(image(), 2, padding=2),
            ValueError,
            r"max_pool2d: padding must be at most half of kernel_size \(2, 2\), got \(2, 2\)",
        ),
        (
            lambda: F.avg_pool2d(image(), 5),
            ValueError,
            r"avg_pool2d: kernel_size \(5, 5\) with dilation \(1, 1\) is larger than the input of 4x4",
        ),
        (
            lambda: F.max_pool2d(image(), 3, dilation=2),
            ValueError,
            r"max_pool2d: kernel_size \(3, 3\) with dilation \(2, 2\) is larger than the input of 4x4",
        ),
        (
            lambda: F.avg_pool2d(lucid.ones(1, 0, 4, 4), 2),
            RuntimeError,
            r"avg_pool2d: only the batch may be empty, got shape \(1, 0, 4, 4\)",
        ),
        (
            lambda: F.avg_pool2d(lucid.ones(1, 4, 4, dtype=lucid.int32), 2),
            TypeError,
            "avg_pool2d: input must hold floating-point numbers, got int32",
        ),
        (
            lambda: F.max_pool2d(image(), 2, return_indices=image()),
            TypeError,
            r"max_pool2d: return_indices must be a bool, got a tensor of shape \(1, 1, 4, 4\)",
        ),
        (
            lambda: F.adaptive_avg_pool2d(image(), 2**40),
            ValueError,
            r"adaptive_avg_pool2d: output_size must be less than 2\*\*31, got 1099511627776",
        ),
        (
            lambda: F.avg_pool2d(image(), lucid.tensor(2.5)),
            TypeError,
            "avg_pool2d: kernel_size must be an integer, got 2.5",
        ),
        (lambda: F.max_pool2d(image(), 0), ValueError, "max_pool2d: kernel_size must be at least 1, got 0"),
        (
            lambda: F.max_pool2d(image(), (1, 2, 3)),
            ValueError,
            "max_pool2d: kernel_size must be an integer or a tuple of 2",
        ),
        (lambda: F.max_pool2d(image(), 2, stride=0), ValueError, "max_pool2d: stride must be at least 1, got 0"),
        (lambda: F.max_pool2d(image(), "2"), TypeError, "max_pool2d: kernel_size must be an integer, got '2'"),
        (
            lambda: F.max_pool2d(image(4, 4), 2),
            ValueError,
            r"max_pool2d: input must have 3 or 4 dimensions \(N, C, H, W\), got \(4, 4\)",
        ),
        (
            lambda: F.max_pool2d(image().bool(), 2),
            TypeError,
            "max_pool2d: input must hold real numbers, got bool",
        ),
        (
            lambda: F.avg_pool2d(image(), 2, divisor_override=0),
            ValueError,
            "avg_pool2d: divisor_override must not be 0",
        ),
        (
            lambda: F.avg_pool2d(image(), 2, divisor_override=1.5),
            TypeError,
            "avg_pool2d: divisor_override must be an integer, got 1.5",
        ),
        (
            lambda: F.avg_pool2d(image(), 2, data_format="last"),
            ValueError,
            "avg_pool2d: data_format must be 'channels_first' or 'channels_last', got 'last'",
        ),
        (
            lambda: F.adaptive_avg_pool2d(image(), (1, 2, 3)),
            ValueError,
            r"adaptive_avg_pool2d: output_size must be an integer or a pair \(H, W\), got \(1, 2, 3\)",
        ),
        (
            lambda: F.adaptive_avg_pool2d(image(), -1),
            ValueError,
            "adaptive_avg_pool2d: output_size must be at least 0, got -1",
        ),
        (
            lambda: F.adaptive_avg_pool2d(image(1, 1, 0, 4), 2),
            ValueError,
            "adaptive_avg_pool2d: the dimensions H, W must not be empty, got 0x4",
        ),
    ],
)
def test_invalid_arguments_raise(use, error, message):
    with pytest.raises(error, match=message):
        use()
