"""Convolutions agree with PyTorch in both layouts and reject invalid sizes."""

import functools
import re
from types import SimpleNamespace

import numpy as np
import pytest

import lucid
from lucid import tape
from lucid.nn import functional as F
from lucid.ops import _convolve
from tests.checking import check, recorded
from tests.ops.layouts import same_in_both


@pytest.mark.parametrize(("case", "record"), [*recorded("ops_convolution"), *recorded("ops_volume_convolution")])
def test_agrees_with_pytorch(case, record):
    check(case, record)


@pytest.mark.parametrize(
    ("case", "record"),
    [
        one
        for one in recorded("ops_convolution")
        if re.match(r"conv[12]d, stride [(23].*(groups [123],|patches)", one.id)
    ],
)
def test_the_gpu_code_path_agrees_with_pytorch(case, record, monkeypatch):
    # On a GPU, MLX's convolution handles strides and groups.
    monkeypatch.setattr(_convolve, "_device", SimpleNamespace(backend=lambda: "metal"))
    check(case, record)


LAYOUTS = [
    (F.conv1d, (2, 4, 9), (6, 2, 3), {"stride": 2, "padding": 1, "groups": 2}),
    (F.conv1d, (2, 4, 9), (4, 1, 3), {"padding": "same", "groups": 4}),
    (F.conv1d, (4, 9), (6, 4, 3), {}),
    (F.conv2d, (2, 4, 7, 5), (6, 2, 3, 2), {"stride": (2, 1), "padding": (0, 1), "groups": 2}),
    (F.conv2d, (2, 4, 7, 5), (4, 1, 3, 3), {"padding": 1, "groups": 4}),
    (F.conv2d, (2, 4, 7, 5), (6, 4, 2, 2), {"stride": 2}),
    (F.conv2d, (4, 7, 5), (6, 4, 3, 3), {"padding": "same"}),
    (F.conv_transpose1d, (2, 4, 5), (4, 3, 3), {"stride": 2, "output_padding": 1, "groups": 2}),
    (F.conv_transpose1d, (4, 5), (4, 3, 3), {}),
    (F.conv_transpose2d, (2, 4, 3, 5), (4, 3, 3, 2), {"stride": 2, "padding": 1}),
    (F.conv_transpose2d, (2, 4, 3, 5), (4, 3, 2, 2), {"stride": 2}),
    (F.conv_transpose2d, (4, 3, 5), (4, 3, 3, 3), {}),
]


@pytest.mark.parametrize(("op", "shape", "weight", "options"), LAYOUTS)
def test_channels_last_agrees_with_channels_first(op, shape, weight, options):
    same_in_both(functools.partial(op, **options), shape, weight, batch=len(shape) == len(weight))


def matrix_of(op, shape, weight, options):
    """The matrix of a convolution: its output, flattened, for each input that is 1 at one place."""
    columns = []
    for at in np.ndindex(*shape):
        x = np.zeros((1, *shape), np.float32)
        x[(0, *at)] = 1
        columns.append(op(lucid.tensor(x), lucid.tensor(weight), **options).numpy().reshape(-1))
    return np.stack(columns, 1).astype(np.float64)


@pytest.mark.parametrize("dtype", [lucid.float64, lucid.complex64])
@pytest.mark.parametrize(
    ("op", "shape", "weight", "options"),
    [
        (F.conv1d, (4, 9), (6, 2, 3), {"stride": 2, "padding": 1, "groups": 2, "dilation": 2}),
        (F.conv1d, (4, 9), (4, 1, 3), {"groups": 4, "padding": 1}),
        (F.conv2d, (4, 5, 6), (6, 4, 3, 2), {"dilation": (1, 2)}),
        (F.conv2d, (4, 5, 6), (6, 2, 2, 2), {"stride": (2, 1), "groups": 2}),
        (F.conv2d, (4, 5, 6), (4, 1, 3, 3), {"groups": 4, "padding": 1}),
        (F.conv2d, (3, 4, 4), (5, 3, 2, 2), {"stride": 2}),
        (F.conv_transpose1d, (4, 5), (4, 3, 3), {"stride": 2, "groups": 2, "dilation": 2, "output_padding": 1}),
        (F.conv_transpose2d, (4, 3, 4), (4, 3, 3, 2), {"stride": 2, "padding": 1, "groups": 2}),
        (F.conv_transpose2d, (4, 3, 4), (4, 3, 2, 2), {"stride": 2}),
    ],
)
def test_float64_and_complex_convolutions_are_exact(op, shape, weight, options, dtype, on_cpu):
    """With a weight of integers, the float32 convolution of ones and zeros gives the exact matrix."""
    rng = np.random.default_rng(0)
    weight = rng.integers(-3, 4, weight).astype(np.float32)
    matrix = matrix_of(op, shape, weight, options)
    x = rng.standard_normal((2, *shape))
    if dtype == lucid.complex64:
        x = (x + 1j * rng.standard_normal(x.shape)).astype(np.complex64)
    given = lucid.tensor(x, dtype=dtype)
    if dtype == lucid.float64:
        given.requires_grad_()
    y = op(given, lucid.tensor(weight, dtype=dtype), **options)
    assert y.dtype == dtype
    limits = {"rtol": 1e-13, "atol": 1e-13} if dtype == lucid.float64 else {"rtol": 1e-5, "atol": 1e-5}
    np.testing.assert_allclose(y.detach().numpy().reshape(2, -1), x.reshape(2, -1) @ matrix.T, **limits)
    if dtype == lucid.float64:
        cotangent = rng.standard_normal(y.shape)
        y.backward(lucid.tensor(cotangent, dtype=dtype))
        want = (cotangent.reshape(2, -1) @ matrix).reshape(x.shape)
        np.testing.assert_allclose(given.grad.numpy(), want, **limits)


def ones(*shape):
    return lucid.ones(*shape)


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (
            lambda: F.conv2d(ones(1, 3, 4, 4), ones(2, 4, 3, 3)),
            ValueError,
            "conv2d: input has 3 channels but weight and groups=1 need 4",
        ),
        (
            lambda: F.conv2d(ones(1, 4, 4, 4), ones(3, 2, 3, 3), groups=2),
            ValueError,
            "conv2d: out_channels 3 must be divisible by groups 2",
        ),
        (
            lambda: F.conv2d(ones(1, 2, 4, 4), ones(3, 2, 3, 3), ones(2)),
            ValueError,
            r"conv2d: bias must have shape \(3,\), got \(2,\)",
        ),
        (
            lambda: F.conv2d(ones(1, 2, 2, 8), ones(3, 2, 3, 3)),
            ValueError,
            r"conv2d: the kernel spans 3x3 pixels but the padded input has only 2x8 \(kernel .3, 3.",
        ),
        (
            lambda: F.conv2d(ones(1, 1, 5, 5), ones(1, 1, 3, 3), dilation=3),
            ValueError,
            r"conv2d: the kernel spans 7x7 pixels but the padded input has only 5x5 \(kernel .3, 3., dilation .3, 3.",
        ),
        (
            lambda: F.conv2d(ones(4, 4), ones(1, 1, 3, 3)),
            ValueError,
            r"conv2d: input must have 3 or 4 dimensions \(N, C, H, W\), got \(4, 4\)",
        ),
        (
            lambda: F.conv1d(ones(1, 1, 3, 3), ones(1, 1, 3), data_format="channels_last"),
            ValueError,
            r"conv1d: input must have 2 or 3 dimensions \(N, L, C\)",
        ),
        (lambda: F.conv2d(ones(1, 1, 3, 3), ones(1, 1, 3)), ValueError, "conv2d: weight must have 4 dimensions"),
        (
            lambda: F.conv2d(ones(1, 1, 4, 4), ones(1, 1, 3, 3), stride=2, padding="same"),
            ValueError,
            r"conv2d: padding 'same' requires stride 1, got \(2, 2\)",
        ),
        (
            lambda: F.conv2d(ones(1, 1, 4, 4), ones(1, 1, 3, 3), padding="full"),
            ValueError,
            "conv2d: padding must be 'same' or 'valid', got 'full'",
        ),
        (
            lambda: F.conv2d(ones(1, 1, 4, 4), ones(1, 1, 3, 3), padding=-1),
            ValueError,
            "conv2d: padding must be at least 0, got -1",
        ),
        (
            lambda: F.conv2d(ones(1, 1, 4, 4), ones(1, 1, 3, 3), stride=0),
            ValueError,
            "conv2d: stride must be at least 1, got 0",
        ),
        (
            lambda: F.conv2d(ones(1, 1, 4, 4), ones(1, 1, 3, 3), stride=(1, 2, 3)),
            ValueError,
            "conv2d: stride must be an integer or a tuple of 2",
        ),
        (
            lambda: F.conv2d(ones(1, 1, 4, 4), ones(1, 1, 3, 3), dilation=1.5),
            TypeError,
            "conv2d: dilation must be an integer, got 1.5",
        ),
        (
            lambda: F.conv2d(ones(1, 1, 4, 4).long(), ones(1, 1, 3, 3)),
            TypeError,
            "conv2d: integers and floating-point numbers cannot be mixed, got int64, float32",
        ),
        (
            lambda: F.conv2d(ones(1, 1, 4, 4).bool(), ones(1, 1, 3, 3)),
            TypeError,
            "conv2d: input must hold numbers, got bool",
        ),
        (
            lambda: F.conv2d(ones(1, 1, 4, 4), ones(1, 1, 3, 3), data_format="NHWC"),
            ValueError,
            "conv2d: data_format must be 'channels_first' or 'channels_last', got 'NHWC'",
        ),
        (
            lambda: F.conv2d(ones(1, 1, 4, 4), ones(1, 1, 0, 3)),
            ValueError,
            r"conv2d: the kernel must not be empty, got size \(0, 3\)",
        ),
        (
            lambda: F.conv_transpose2d(ones(1, 1, 4, 4), ones(1, 1, 3, 0)),
            ValueError,
            r"conv_transpose2d: the kernel must not be empty, got size \(3, 0\)",
        ),
        (
            lambda: F.conv_transpose2d(ones(1, 2, 4, 4), ones(3, 2, 3, 3)),
            ValueError,
            "conv_transpose2d: input has 2 channels but weight and groups=1 need 3",
        ),
        (
            lambda: F.conv_transpose2d(ones(1, 3, 4, 4), ones(3, 2, 3, 3), groups=2),
            ValueError,
            "conv_transpose2d: in_channels 3 must be divisible by groups 2",
        ),
        (
            lambda: F.conv_transpose2d(ones(1, 2, 4, 4), ones(2, 2, 3, 3), output_padding=1),
            ValueError,
            "conv_transpose2d: output_padding must be below stride or dilation, "
            "got .1, 1. with stride .1, 1. and dilation .1, 1.",
        ),
        (
            lambda: F.conv_transpose1d(ones(1, 2, 2), ones(2, 2, 2), padding=2),
            ValueError,
            r"conv_transpose1d: padding \(2,\) removes the whole output of size \(3,\)",
        ),
    ],
)
def test_invalid_arguments_raise(use, error, message):
    with pytest.raises(error, match=message):
        use()


@pytest.mark.parametrize("data_format", ["channels_first", "channels_last"])
@pytest.mark.parametrize("size", [6, 20])  # both CPU versions
@pytest.mark.parametrize("options", [{"padding": 1}, {"stride": (1, 2)}, {"padding": "same", "dilation": 2}])
def test_the_declared_gradients_agree_with_mlx(data_format, size, options):
    def gradients(conv2d):
        lucid.manual_seed(0)
        shape = (5, 3, size, size + 1) if data_format == "channels_first" else (5, size, size + 1, 3)
        tensors = [lucid.randn(*one, requires_grad=True) for one in (shape, (3, 1, 3, 2), (3,))]
        x, weight, bias = tensors
        y = conv2d(x, weight, bias=bias, groups=3, data_format=data_format, **options)
        y.backward(lucid.randn(*y.shape))
        return [one.grad for one in tensors]

    def without_declaration(*args, **kwargs):
        return tape.apply(F.conv2d.__wrapped__, args, kwargs, "conv2d")

    for got, wanted in zip(gradients(F.conv2d), gradients(without_declaration), strict=True):
        assert lucid.allclose(got, wanted, rtol=1e-4, atol=1e-4) and got.dtype == wanted.dtype
