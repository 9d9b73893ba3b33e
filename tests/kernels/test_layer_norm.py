"""Layer normalization against the formula in float64, up to the second derivative, in all implementations."""

import math

import mlx.core as mx
import numpy as np
import pytest

from lucid.kernels import use_reference
from lucid.kernels.layer_norm import layer_norm

EPS = 1e-6
SHAPES = [(1, 1), (3, 1), (2, 3), (1, 4, 5), (5, 19), (2, 3, 40), (65, 96), (700, 7), (2, 768)]
TOLERANCE = {mx.float32: 1e-5, mx.float16: 4e-3, mx.bfloat16: 3e-2}


def formula(x, weight, bias):
    mean = x.mean(-1, keepdims=True)
    return (x - mean) * mx.rsqrt(mx.square(x - mean).mean(-1, keepdims=True) + EPS) * weight + bias


def float64_derivatives(x, weight, bias, dy):
    """The value, the gradients of x, weight and bias."""
    size = x.shape[-1]
    mean = x.mean(-1, keepdims=True)
    scale = 1 / np.sqrt(x.var(-1, keepdims=True) + EPS)
    normal, scaled, rows = (x - mean) * scale, dy * weight, tuple(range(x.ndim - 1))
    slope = (scaled * normal).sum(-1, keepdims=True) / size
    dx = scale * (scaled - scaled.mean(-1, keepdims=True) - normal * slope)
    return normal * weight + bias, dx, (dy * normal).sum(rows), dy.sum(rows)


def arrays(shape, dtype):
    rng = np.random.default_rng(0)
    made = (rng.normal(1.5, 2, shape), rng.normal(size=shape[-1:]), rng.normal(size=shape[-1:]), rng.normal(size=shape))
    return [mx.array(one.astype(np.float32)).astype(dtype) for one in made]


def as_float64(array):
    return np.array(array.astype(mx.float32)).astype(np.float64)


def assert_close(got, wanted, dtype, what):
    assert got.shape == wanted.shape, what
    error = np.abs(as_float64(got) - wanted).max()
    assert error <= TOLERANCE[dtype] * max(1, np.abs(wanted).max()), what


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_value_and_gradients(cpu_kernels, shape, dtype):
    x, weight, bias, dy = arrays(shape, dtype)
    [y], gradients = mx.vjp(lambda *values: layer_norm(*values, EPS), [x, weight, bias], [dy])
    wanted = float64_derivatives(*map(as_float64, (x, weight, bias, dy)))
    for name, got, one in zip(("y", "dx", "dweight", "dbias"), [y, *gradients], wanted, strict=True):
        assert got.dtype == dtype
        if shape[-1] > 1 or name != "dx":  # the gradient of a single value is the rounding error of 0 / 0
            assert_close(got, one, dtype, name)


@pytest.mark.parametrize("given", [(False, False), (True, False), (False, True)])
def test_without_weight_or_bias(cpu_kernels, given):
    x, weight, bias, dy = arrays((5, 19), mx.float32)
    values = [x, *([weight] if given[0] else []), *([bias] if given[1] else [])]

    def run(x, *affine):
        return layer_norm(x, affine[0] if given[0] else None, affine[-1] if given[1] else None, EPS)

    [y], gradients = mx.vjp(run, values, [dy])
    one, zero = np.ones(19), np.zeros(19)
    y_wanted, *all_wanted = float64_derivatives(
        as_float64(x), as_float64(weight) if given[0] else one, as_float64(bias) if given[1] else zero, as_float64(dy)
    )
    wanted = [all_wanted[0], *([all_wanted[1]] if given[0] else []), *([all_wanted[2]] if given[1] else [])]
    for got, expected in zip([y, *gradients], [y_wanted, *wanted], strict=True):
        assert_close(got, expected, mx.float32, given)


@pytest.mark.parametrize("shape", [(4, 3), (2, 3, 40)], ids=str)
def test_second_derivatives(cpu_kernels, shape):
    x, weight, bias, dy = arrays(shape, mx.float32)
    directions = [mx.random.normal(one.shape) for one in (x, weight, bias)]

    def second(run):
        def gradients(x, weight, bias, dy):
            return mx.vjp(run, [x, weight, bias], [dy])[1]

        return mx.vjp(gradients, [x, weight, bias, dy], directions)[1]

    ours, wanted = second(lambda *values: layer_norm(*values, EPS)), second(formula)
    for number, (got, one) in enumerate(zip(ours, wanted, strict=True)):
        assert_close(got, as_float64(one), mx.float32, number)


def test_the_reference_is_mlx():
    x, weight, bias, _ = arrays((5, 19), mx.float32)
    with use_reference():
        assert mx.array_equal(layer_norm(x, weight, bias, EPS), mx.fast.layer_norm(x, weight, bias, EPS))


def test_mixed_dtypes_and_a_transposed_input(cpu_kernels):
    x, weight, bias, _ = arrays((6, 19), mx.float32)
    wanted = formula(x, weight, bias)
    mixed = layer_norm(x.astype(mx.float16), weight, bias, EPS)
    assert mx.allclose(mixed.astype(mx.float32), wanted, atol=1e-2)
    transposed = mx.contiguous(x.T).T
    assert mx.allclose(layer_norm(transposed, weight, bias, EPS), wanted, atol=1e-5)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_bad_value_spoils_its_row_only(cpu_kernels, bad):
    x = mx.ones((3, 40)).at[1, 7].add(bad)
    is_nan = mx.isnan(layer_norm(x, None, None, EPS))
    assert is_nan[1].any() and not is_nan[0].any() and not is_nan[2].any()
