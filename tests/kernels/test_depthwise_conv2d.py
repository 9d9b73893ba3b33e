"""The depthwise convolution against formulas in float64: values, gradients, gradients of gradients, errors."""

import mlx.core as mx
import numpy as np
import pytest

from lucid.kernels import use_reference
from lucid.kernels.depthwise_conv2d import depthwise_conv2d

TOLERANCE = {mx.float32: 2e-5, mx.float16: 2e-3, mx.bfloat16: 1.6e-2}
# x (N, H, W, C), kernel, stride, padding, dilation
SHAPES = [
    ((1, 14, 14, 96), (7, 7), 1, 3, 1),
    ((2, 7, 7, 40), (7, 7), 1, 3, 1),
    ((4, 9, 11, 5), (7, 7), 1, 3, 1),
    ((3, 5, 6, 3), (3, 3), 1, 1, 1),
    ((1, 12, 13, 33), (5, 3), (1, 1), (2, 1), 1),
    ((1, 7, 7, 16), (7, 7), 1, 0, 1),
    ((1, 10, 6, 8), (3, 7), 1, ((0, 1), (5, 4)), 1),
    ((1, 1, 1, 4), (7, 7), 1, 3, 1),
    ((1, 6, 7, 1), (1, 1), 1, 0, 1),
    ((1, 6, 5, 2), (1, 3), 1, 4, 1),
    ((1, 14, 15, 40), (3, 3), 2, 1, 1),
    ((2, 13, 9, 8), (5, 5), (2, 1), ((2, 0), (4, 3)), (1, 2)),
    ((1, 17, 17, 6), (7, 7), 4, 3, 1),
    ((1, 11, 12, 7), (3, 3), 1, (3, 2), (3, 2)),
    ((1, 15, 33, 2), (1, 31), (1, 3), (0, 15), 1),
    ((8, 4, 4, 3), (3, 3), 3, 0, 1),
]


def pairs(value):
    return value if isinstance(value, tuple) else (value, value)


def float64(array):
    return np.array(array.astype(mx.float32)).astype(np.float64)


def taps_of(x, weight, stride, padding, dilation):
    """Padded x, and for every tap (i, j) the slice of it that the tap meets; all in float64."""
    (sh, sw), (dh, dw) = pairs(stride), pairs(dilation)
    rows, columns = (pairs(one) for one in pairs(padding))
    padded = np.pad(x, ((0, 0), rows, columns, (0, 0)))
    kh, kw = weight.shape[2:]
    oh, ow = (padded.shape[1] - dh * (kh - 1) - 1) // sh + 1, (padded.shape[2] - dw * (kw - 1) - 1) // sw + 1
    spans = {
        (i, j): (
            slice(None),
            slice(i * dh, i * dh + sh * (oh - 1) + 1, sh),
            slice(j * dw, j * dw + sw * (ow - 1) + 1, sw),
        )
        for i in range(kh)
        for j in range(kw)
    }
    return padded, spans, (x.shape[0], oh, ow, x.shape[3])


def expected(x, weight, bias, stride, padding, dilation):
    padded, spans, _ = taps_of(x, weight, stride, padding, dilation)
    return sum(padded[spans[i, j]] * weight[:, 0, i, j] for i, j in spans) + bias


def expected_gradients(x, weight, gradient, stride, padding, dilation):
    padded, spans, _ = taps_of(x, weight, stride, padding, dilation)
    (top, _), (left, _) = (pairs(one) for one in pairs(padding))
    d_padded, d_weight = np.zeros_like(padded), np.zeros_like(weight)
    for (i, j), span in spans.items():
        d_padded[span] += gradient * weight[:, 0, i, j]
        d_weight[:, 0, i, j] = (padded[span] * gradient).sum((0, 1, 2))
    return d_padded[:, top : top + x.shape[1], left : left + x.shape[2]], d_weight, gradient.sum((0, 1, 2))


def relative_error(got, wanted):
    assert tuple(got.shape) == wanted.shape
    return np.abs(float64(got) - wanted).max() / np.abs(wanted).max()


def arrays(shape, kernel, dtype, stride=1, padding=0, dilation=1):
    channels = shape[3]
    x, weight, bias = (mx.random.normal(s).astype(dtype) for s in (shape, (channels, 1, *kernel), (channels,)))
    out = taps_of(float64(x), float64(weight), stride, padding, dilation)[2]
    return x, weight, bias, mx.random.normal(out).astype(dtype)


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize(("shape", "kernel", "stride", "padding", "dilation"), SHAPES, ids=str)
def test_value_and_gradients(shape, kernel, stride, padding, dilation, dtype):
    x, weight, bias, cotangent = arrays(shape, kernel, dtype, stride, padding, dilation)

    def run(x, weight, bias):
        return depthwise_conv2d(x, weight, bias, stride, padding, dilation)

    [y], gradients = mx.vjp(run, [x, weight, bias], [cotangent])
    assert y.dtype == dtype and all(one.dtype == dtype for one in gradients)
    wanted = expected(float64(x), float64(weight), float64(bias), stride, padding, dilation)
    assert relative_error(y, wanted) < TOLERANCE[dtype]
    all_wanted = expected_gradients(float64(x), float64(weight), float64(cotangent), stride, padding, dilation)
    for got, wanted in zip(gradients, all_wanted, strict=True):
        assert relative_error(got, wanted) < TOLERANCE[dtype]


@pytest.mark.parametrize("wanted", [(0,), (1,), (2,), (0, 2), (1, 2), (0, 1)])
def test_gradients_of_some_arguments_only(wanted):
    x, weight, bias, cotangent = arrays((2, 6, 5, 3), (3, 3), mx.float32, padding=1)

    def loss(*values):
        return (depthwise_conv2d(*values, padding=1) * cotangent).sum()

    some = mx.grad(loss, argnums=wanted)(x, weight, bias)
    some = some if len(wanted) > 1 else [some]  # MLX unpacks a tuple of one
    every = mx.grad(loss, argnums=(0, 1, 2))(x, weight, bias)
    for got, position in zip(some, wanted, strict=True):
        assert mx.array_equal(got, every[position])


def test_without_bias():
    x, weight, bias, _ = arrays((2, 6, 5, 3), (3, 3), mx.float32)
    assert mx.allclose(depthwise_conv2d(x, weight) + bias, depthwise_conv2d(x, weight, bias), atol=1e-5)
    d_x, d_weight = mx.grad(lambda *values: depthwise_conv2d(*values).square().sum(), argnums=(0, 1))(x, weight)
    assert d_x.shape == x.shape and d_weight.shape == weight.shape


def slices_formula(x, weight, bias, stride, padding, dilation):
    """The same from pads, slices, products: MLX differentiates it any number of times."""
    _, spans, _ = taps_of(np.zeros(x.shape), np.zeros(weight.shape), stride, padding, dilation)
    rows, columns = (pairs(one) for one in pairs(padding))
    padded = mx.pad(x, ((0, 0), rows, columns, (0, 0)))
    return sum(padded[spans[i, j]] * weight[:, 0, i, j] for i, j in spans) + bias


@pytest.mark.parametrize(("stride", "padding", "dilation"), [(1, 1, 1), (2, ((0, 2), (1, 0)), 1), (1, 2, (2, 1))])
def test_second_derivatives(stride, padding, dilation):
    x, weight, bias, cotangent = arrays((2, 7, 6, 3), (3, 2), mx.float32, stride, padding, dilation)
    directions = [mx.random.normal(one.shape) for one in (x, weight, bias)]

    def second_derivatives(convolution):
        def loss(x, weight, bias, cotangent):
            """The tanh makes every second derivative matter."""
            return (mx.tanh(convolution(x, weight, bias, stride, padding, dilation)) * cotangent).sum()

        def slope(x, weight, bias, cotangent):
            gradients = mx.grad(loss, argnums=(0, 1, 2))(x, weight, bias, cotangent)
            return sum((one * along).sum() for one, along in zip(gradients, directions, strict=True))

        return mx.grad(slope, argnums=(0, 1, 2, 3))(x, weight, bias, cotangent)

    ours, wanted = second_derivatives(depthwise_conv2d), second_derivatives(slices_formula)
    for got, one in zip(ours, wanted, strict=True):
        assert relative_error(got, float64(one)) < 1e-5


def test_the_reference_path_gives_the_same():
    x, weight, bias, cotangent = arrays((2, 7, 6, 3), (3, 2), mx.float32, 2, 1, 1)

    def run():
        return mx.vjp(lambda *values: depthwise_conv2d(*values, 2, 1, 1), [x, weight, bias], [cotangent])

    ours = run()
    with use_reference():
        reference = run()
    for got, wanted in zip(ours[0] + ours[1], reference[0] + reference[1], strict=True):
        assert relative_error(got, float64(wanted)) < 1e-5


def test_inside_compile_and_checkpoint():
    x, weight, bias, cotangent = arrays((2, 9, 8, 5), (5, 5), mx.bfloat16, padding=2)

    def loss(x, weight, bias):
        return (mx.tanh(depthwise_conv2d(x, weight, bias, padding=2)) * cotangent).sum()

    gradients = mx.grad(loss, argnums=(0, 1, 2))
    plain = gradients(x, weight, bias)
    for other in (mx.compile(gradients), mx.grad(mx.checkpoint(loss), argnums=(0, 1, 2))):
        for got, wanted in zip(other(x, weight, bias), plain, strict=True):
            assert relative_error(got, float64(wanted)) < TOLERANCE[mx.bfloat16]


def test_mixed_dtypes_are_promoted_and_gradients_come_back_in_their_own():
    x, weight, bias, _ = arrays((1, 5, 5, 3), (3, 3), mx.float32)
    values = x.astype(mx.bfloat16), weight, bias.astype(mx.float16)
    assert depthwise_conv2d(*values).dtype == mx.float32
    gradients = mx.grad(lambda *values: depthwise_conv2d(*values).sum(), argnums=(0, 1, 2))(*values)
    assert [one.dtype for one in gradients] == [mx.bfloat16, mx.float32, mx.float16]


def test_empty_batch():
    x, weight, bias = mx.zeros((0, 5, 5, 3)), mx.ones((3, 1, 3, 3)), mx.ones((3,))
    assert depthwise_conv2d(x, weight, bias).shape == (0, 3, 3, 3)
    d_x, d_weight = mx.grad(lambda *values: depthwise_conv2d(*values, bias).sum(), argnums=(0, 1))(x, weight)
    assert d_x.shape == x.shape
    assert mx.array_equal(d_weight, mx.zeros(weight.shape))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"weight": mx.zeros((6, 1, 3, 3))}, ValueError, "depthwise_conv2d: x has 8 channels but weight has 6 filters"),
        (
            {"weight": mx.zeros((8, 2, 3, 3))},
            ValueError,
            r"weight must have shape \(C, 1, KH, KW\), got \(8, 2, 3, 3\)",
        ),
        ({"weight": mx.zeros((8, 3, 3))}, ValueError, "weight must have 4 dimensions"),
        ({"weight": mx.zeros((8, 1, 0, 3))}, ValueError, "weight must have at least one tap"),
        ({"x": mx.zeros((5, 5, 8))}, ValueError, r"x must have 4 dimensions \(N, H, W, C\), got \(5, 5, 8\)"),
        ({"x": np.zeros((1, 5, 5, 8))}, TypeError, "x must be an mx.array, got ndarray"),
        ({"x": mx.zeros((1, 5, 5, 8), mx.int32)}, TypeError, "x must hold floating-point numbers, got int32"),
        ({"bias": mx.zeros((1, 8))}, ValueError, r"bias must have shape \(8,\), got \(1, 8\)"),
        ({"stride": 0}, ValueError, "stride must be at least 1, got 0"),
        ({"dilation": (1, 0)}, ValueError, "dilation must be at least 1, got 0"),
        ({"padding": -1}, ValueError, "padding must be at least 0, got -1"),
        ({"padding": ((1, 1), (1, 1), (1, 1))}, ValueError, "padding must be"),
        ({"dilation": 4, "padding": 1}, ValueError, "the kernel covers 9x9, more than the padded input of 7x7"),
    ],
)
def test_errors(change, error, message):
    arguments = {"x": mx.zeros((1, 5, 5, 8)), "weight": mx.zeros((8, 1, 3, 3)), **change}
    with pytest.raises(error, match=message):
        depthwise_conv2d(**arguments)
