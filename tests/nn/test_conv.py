"""Convolution layers: reprs, both layouts, errors; their values are compared in test_against_pytorch.py."""

import re

import numpy as np
import pytest

import lucid
from lucid import nn


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (lambda: nn.Conv2d(3, 8, 3), "3, 8, kernel_size=(3, 3), stride=(1, 1)"),
        (
            lambda: nn.Conv2d(4, 8, (3, 1), 2, (1, 0), 2, 4, False),
            "4, 8, kernel_size=(3, 1), stride=(2, 2), padding=(1, 0), dilation=(2, 2), groups=4, bias=False",
        ),
        (
            lambda: nn.Conv2d(3, 8, 3, padding="same", padding_mode="reflect", data_format="channels_last"),
            "3, 8, kernel_size=(3, 3), stride=(1, 1), padding='same', data_format='channels_last', "
            "padding_mode='reflect'",
        ),
        (lambda: nn.Conv1d(3, 8, 3, padding=1), "3, 8, kernel_size=(3,), stride=(1,), padding=(1,)"),
        (
            lambda: nn.ConvTranspose2d(3, 8, 3, 2, output_padding=1),
            "3, 8, kernel_size=(3, 3), stride=(2, 2), output_padding=(1, 1)",
        ),
        (lambda: nn.ConvTranspose1d(4, 8, 3, groups=2), "4, 8, kernel_size=(3,), stride=(1,), groups=2"),
    ],
)
def test_reprs(layer, text):
    assert layer().extra_repr() == text


@pytest.mark.parametrize(
    ("build", "shape"),
    [
        (lambda **f: nn.Conv1d(4, 6, 3, padding=1, groups=2, **f), (2, 4, 7)),
        (lambda **f: nn.Conv1d(4, 4, 3, padding=2, padding_mode="circular", **f), (4, 7)),
        (lambda **f: nn.Conv2d(4, 6, (3, 2), 2, 1, **f), (2, 4, 7, 6)),
        (lambda **f: nn.Conv2d(4, 4, 3, padding="same", groups=4, padding_mode="reflect", **f), (2, 4, 5, 6)),
        (lambda **f: nn.Conv2d(4, 4, (3, 1), padding=(2, 1), padding_mode="replicate", **f), (4, 5, 6)),
        (lambda **f: nn.ConvTranspose1d(4, 6, 3, 2, output_padding=1, **f), (2, 4, 7)),
        (lambda **f: nn.ConvTranspose2d(4, 6, 2, 2, groups=2, **f), (2, 4, 5, 3)),
    ],
)
def test_channels_last_has_the_same_weights_and_values(build, shape):
    first, last = build(), build(data_format="channels_last")
    last.load_state_dict(first.state_dict())
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    channels = shape.index(4)
    y = first(lucid.tensor(x)).detach().numpy()
    z = last(lucid.tensor(np.moveaxis(x, channels, -1))).detach().numpy()
    np.testing.assert_allclose(np.moveaxis(z, -1, channels), y, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("data_format", ["channels_first", "channels_last"])
@pytest.mark.parametrize("batch", [(), (2,)])
def test_output_size_of_a_transposed_convolution(batch, data_format):
    layer = nn.ConvTranspose2d(3, 4, 3, stride=(2, 3), padding=1, dilation=(2, 1), data_format=data_format)
    first = data_format == "channels_first"
    x = lucid.randn(*batch, *((3, 5, 4) if first else (5, 4, 3)))
    for height, width in ((11, 10), (12, 12)):
        shape = (*batch, *((4, height, width) if first else (height, width, 4)))
        assert layer(x, (height, width)).shape == layer(x, output_size=shape).shape == shape
    message = r"ConvTranspose2d: output_size must be at least \(11, 10\) and at most \(12, 12\) .*, got \(13, 10\)"
    with pytest.raises(ValueError, match=message):
        layer(x, (13, 10))
    with pytest.raises(ValueError, match="ConvTranspose2d: output_size must hold 2 or [34] sizes"):
        layer(x, (11,))


def test_padding_modes_without_padding_add_no_work():
    layer = nn.Conv2d(1, 1, 3, padding=0, padding_mode="circular")
    plain = nn.Conv2d(1, 1, 3)
    plain.load_state_dict(layer.state_dict())
    x = lucid.randn(1, 1, 4, 4)
    assert layer(x).tolist() == plain(x).tolist()


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (
            lambda: nn.ConvTranspose2d(3, 4, 3, padding_mode="reflect"),
            ValueError,
            "ConvTranspose2d: padding_mode must be 'zeros', got 'reflect'",
        ),
        (lambda: nn.Conv2d(6, 8, 3, groups=4), ValueError, "Conv2d: in_channels 6 must be divisible by groups 4"),
        (lambda: nn.Conv2d(8, 6, 3, groups=4), ValueError, "Conv2d: out_channels 6 must be divisible by groups 4"),
        (lambda: nn.Conv2d(0, 8, 3), ValueError, "Conv2d: in_channels must be at least 1, got 0"),
        (lambda: nn.Conv1d(3, 8, 0), ValueError, "Conv1d: kernel_size must be at least 1, got 0"),
        (
            lambda: nn.Conv1d(3, 8, (3, 3)),
            ValueError,
            "Conv1d: kernel_size must be an integer or a tuple of 1, got (3, 3)",
        ),
        (
            lambda: nn.Conv2d(3, 8, (3, 3, 3)),
            ValueError,
            "Conv2d: kernel_size must be an integer or a tuple of 2, got (3, 3, 3)",
        ),
        (lambda: nn.Conv2d(3, 8, "3"), TypeError, "Conv2d: kernel_size must be an integer, got '3'"),
        (lambda: nn.Conv2d(3, 8, 3, stride=0), ValueError, "Conv2d: stride must be at least 1, got 0"),
        (lambda: nn.Conv2d(3, 8, 3, padding=-1), ValueError, "Conv2d: padding must be at least 0, got -1"),
        (lambda: nn.Conv2d(3, 8, 3, dilation=0), ValueError, "Conv2d: dilation must be at least 1, got 0"),
        (lambda: nn.Conv2d(3, 8, 3, groups=0), ValueError, "Conv2d: groups must be at least 1, got 0"),
        (
            lambda: nn.Conv2d(3, 8, 3, padding="full"),
            ValueError,
            "Conv2d: padding must be 'same' or 'valid', got 'full'",
        ),
        (
            lambda: nn.Conv2d(3, 8, 3, stride=2, padding="same"),
            ValueError,
            "Conv2d: padding 'same' requires stride 1, got (2, 2)",
        ),
        (
            lambda: nn.Conv2d(3, 8, 3, padding_mode="mirror"),
            ValueError,
            "Conv2d: padding_mode must be 'zeros', 'reflect', 'replicate' or 'circular', got 'mirror'",
        ),
        (
            lambda: nn.Conv2d(3, 8, 3, data_format="NHWC"),
            ValueError,
            "Conv2d: data_format must be 'channels_first' or 'channels_last', got 'NHWC'",
        ),
        (
            lambda: nn.ConvTranspose2d(3, 8, 3, groups=2),
            ValueError,
            "ConvTranspose2d: in_channels 3 must be divisible by groups 2",
        ),
        (
            lambda: nn.ConvTranspose2d(3, 8, 3, output_padding=1),
            ValueError,
            "ConvTranspose2d: output_padding must be below stride or dilation, "
            "got (1, 1) with stride (1, 1) and dilation (1, 1)",
        ),
        (
            lambda: nn.ConvTranspose1d(3, 8, 3, output_padding=-1),
            ValueError,
            "ConvTranspose1d: output_padding must be at least 0, got -1",
        ),
        (
            lambda: nn.ConvTranspose1d(3, 8, 3, padding="same"),
            TypeError,
            "ConvTranspose1d: padding must be an integer, got 'same'",
        ),
        (
            lambda: nn.Conv2d(3, 8, 3)(lucid.ones(1, 4, 5, 5)),
            ValueError,
            "conv2d: input has 4 channels but weight and groups=1 need 3",
        ),
    ],
)
def test_invalid_options_raise(use, error, message):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        use()


def test_output_padding_of_convolutions_is_zero():
    assert nn.Conv1d(1, 1, 3).output_padding == (0,)
    assert nn.Conv2d(1, 1, 3, padding="same").output_padding == (0, 0)
    assert nn.ConvTranspose2d(1, 1, 3, stride=2, output_padding=1).output_padding == (1, 1)
