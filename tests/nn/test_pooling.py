"""Pooling layers: reprs and layouts; their values are compared in test_against_pytorch.py."""

import pytest

import lucid
from lucid import nn
from tests.ops.layouts import same_in_both


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (lambda: nn.MaxPool2d(2), "MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)"),
        (
            lambda: nn.MaxPool2d((3, 2), 1, data_format="channels_last"),
            "MaxPool2d(kernel_size=(3, 2), stride=1, padding=0, dilation=1, ceil_mode=False, "
            "data_format='channels_last')",
        ),
        (lambda: nn.AvgPool1d(3, 2), "AvgPool1d(kernel_size=(3,), stride=(2,), padding=(0,))"),
        (lambda: nn.LPPool3d(2, 3), "LPPool3d(norm_type=2, kernel_size=3, stride=None, ceil_mode=False)"),
        (lambda: nn.AvgPool2d(3, 2, 1), "AvgPool2d(kernel_size=3, stride=2, padding=1)"),
        (lambda: nn.AdaptiveAvgPool2d((1, None)), "AdaptiveAvgPool2d(output_size=(1, None))"),
        (
            lambda: nn.AdaptiveAvgPool2d(1, data_format="channels_last"),
            "AdaptiveAvgPool2d(output_size=1, data_format='channels_last')",
        ),
    ],
)
def test_reprs(layer, text):
    assert repr(layer()) == text


@pytest.mark.parametrize(
    "build",
    [
        lambda f: nn.MaxPool2d(3, 2, 1, data_format=f),
        lambda f: nn.AvgPool2d((2, 3), 2, (1, 0), True, data_format=f),
        lambda f: nn.AdaptiveAvgPool2d((2, 3), data_format=f),
        lambda f: nn.AdaptiveMaxPool2d((2, 3), data_format=f),
        lambda f: nn.LPPool2d(2, 2, 1, data_format=f),
    ],
)
def test_channels_last_agrees_with_channels_first(build):
    same_in_both(lambda x, *, data_format: build(data_format)(x), (2, 3, 5, 7))


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (lambda: nn.MaxPool2d(0), ValueError, "MaxPool2d: kernel_size must be at least 1, got 0"),
        (lambda: nn.AvgPool2d((1, 2, 3)), ValueError, "AvgPool2d: kernel_size must be an integer or a tuple of 2"),
        (lambda: nn.MaxPool2d(2, "a"), TypeError, "MaxPool2d: stride must be an integer, got 'a'"),
        (lambda: nn.MaxPool2d(2, data_format="x"), ValueError, "MaxPool2d: data_format must be 'channels_first' or"),
        (
            lambda: nn.AdaptiveAvgPool2d((1, 2, 3))(lucid.ones(1, 1, 2, 2)),
            ValueError,
            "output_size must be an integer or a pair",
        ),
    ],
)
def test_invalid_options_raise(use, error, message):
    with pytest.raises(error, match=message):
        use()
