"""The shader of ``gelu(h + bias) * factor`` against the formula in float64."""

import math

import mlx.core as mx
import numpy as np
import pytest

from lucid import _device
from lucid.kernels import biased_gelu as module
from lucid.kernels import use_reference
from lucid.kernels.biased_gelu import biased_gelu
from tests.kernels.formulas import assert_close, float64, gelu_derivatives
from tests.kernels.one_thread import record_launches
from tests.kernels.shader_text import check_legal_metal
from tests.metal_simulator import simulation

TOLERANCES = {mx.float32: 2e-6, mx.float16: 2e-3, mx.bfloat16: 2e-2}
SHAPES = [(2, 3, 5, 7), (1, 1, 1, 1), (3, 16, 16, 33), (2, 7, 150), (5, 40), (1, 13, 13, 129)]


def make(shape, dtype, has_factor=True, seed=0):
    rng = np.random.default_rng(seed)
    h, dy = (mx.array(rng.normal(scale=3, size=shape).astype(np.float32)).astype(dtype) for _ in range(2))
    bias = mx.array(rng.normal(size=shape[-1]).astype(np.float32)).astype(dtype)
    factor = mx.array(rng.integers(0, 2, shape[0]).astype(np.float32) * 1.25) if has_factor else None
    return h, bias, factor, dy


def formula(h, bias, factor, dy):
    """The value and the gradients of h and bias, in float64."""
    z, dy = float64(h) + float64(bias), float64(dy)
    scale = 1.0 if factor is None else float64(factor).reshape(-1, *(1,) * (z.ndim - 1))
    value, slope, _ = gelu_derivatives(z)
    dh = dy * scale * slope
    return value * scale, dh, dh.reshape(-1, z.shape[-1]).sum(0)


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("has_factor", [False, True])
def test_value_and_gradients(gpu, shape, dtype, has_factor):
    h, bias, factor, dy = make(shape, dtype, has_factor)
    y, dh, dbias = formula(h, bias, factor, dy)
    found = module.gradients(dy, h, bias, factor)
    assert [one.dtype for one in found] == [dtype, dtype]
    assert_close(biased_gelu(h, bias, factor), y, TOLERANCES[dtype])
    assert_close(found[0], dh, TOLERANCES[dtype])
    assert_close(found[1], dbias, TOLERANCES[dtype])
    derived = mx.vjp(lambda h, bias: biased_gelu(h, bias, factor), [h, bias], [dy])[1]
    assert all(mx.array_equal(one, other) for one, other in zip(found, derived, strict=True))


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("has_factor", [False, True])
def test_a_padded_result_ends_with_the_factor_and_zeros(gpu, shape, dtype, has_factor):
    h, bias, factor, dy = make(shape, dtype, has_factor)
    y = biased_gelu(h, bias, factor, padded=True)
    columns, channels = 16 // dtype.size, shape[-1]
    assert y.dtype == dtype and y.shape == (*shape[:-1], channels + columns)
    assert_close(y[..., :channels], formula(h, bias, factor, dy)[0], TOLERANCES[dtype])
    ones = mx.ones(shape[0]) if factor is None else factor
    assert mx.all(y[..., channels] == ones.reshape(-1, *(1,) * (len(shape) - 2))).item()
    assert not y[..., channels + 1 :].any().item()
    padded = mx.concatenate([dy, mx.full((*shape[:-1], columns), 7, dtype)], -1)
    found, expected = (module.gradients(one, h, bias, factor) for one in (padded, dy))
    assert all(mx.array_equal(one, other) for one, other in zip(found, expected, strict=True))


@pytest.mark.parametrize("padded", [False, True])
def test_second_derivatives(gpu, padded):
    h, bias, factor, dy = make((2, 3, 4, 5), mx.float32)
    dy = mx.concatenate([dy, dy[..., :4]], -1) if padded else dy

    def second(function):
        def slope(h, bias, dy):
            first = mx.vjp(lambda h, bias: function(h, bias, factor, padded=padded), [h, bias], [dy])[1]
            return (first[0] * mx.sin(h)).sum() + (first[1] * mx.cos(bias)).sum()

        return mx.grad(slope, argnums=(0, 1, 2))(h, bias, dy)

    for one, other in zip(second(biased_gelu), second(module.reference), strict=True):
        assert mx.allclose(one, other, rtol=1e-5, atol=1e-5)


def test_large_values_and_nan(gpu):
    h = mx.array([[-1e4, -6.5, 6.5, 1e4, math.nan, -math.inf, math.inf, 0.0]])
    dh, _ = module.gradients(mx.ones_like(h), h, mx.zeros(8))
    assert dh.tolist()[0][:4] == pytest.approx([0, 0, 1, 1], abs=1e-6)
    assert math.isnan(dh[0, 4].item())
    assert dh.tolist()[0][5:] == pytest.approx([0, 1, 0.5], abs=1e-6)
    assert mx.isnan(module.gradients(mx.full(h.shape, math.nan), h, mx.zeros(8))[0]).all()


def test_sums_do_not_overflow_half_precision(gpu):
    h = mx.full((1, 300, 8), 10.0, mx.float16)
    _, dbias = module.gradients(mx.full(h.shape, 100.0, mx.float16), h, mx.zeros(8, mx.float16))
    assert dbias.dtype == mx.float16 and dbias.tolist() == [30000.0] * 8


def test_bfloat16_beyond_the_range_of_float16(gpu):
    h, bias, factor, dy = make((2, 3, 5, 7), mx.bfloat16)
    dy = dy * 1e8
    _, dh, dbias = formula(h, bias, factor, dy)
    for found, expected in zip(module.gradients(dy, h, bias, factor), (dh, dbias), strict=True):
        assert np.abs(float64(found) - expected).max() <= 2e-2 * np.abs(expected).max()


def test_whole_threadgroups_as_cuda_launches_them(simulator):
    h, bias, factor, dy = make((2, 16, 16, 131), mx.float32)
    with simulation(round_up_grid=True):
        found = module.gradients(dy, h, bias, factor)
        y = biased_gelu(h, bias, factor, padded=True)
        mx.eval(y)
    assert_close(found[1], formula(h, bias, factor, dy)[2], TOLERANCES[mx.float32])
    assert_close(y[..., :131], formula(h, bias, factor, dy)[0], TOLERANCES[mx.float32])


def test_one_pass_over_memory(simulator):
    h, bias, _, dy = make((2, 16, 16, 32), mx.float32, False)
    mx.eval(module.gradients(dy, h, bias))
    assert simulator.names == ["lucid_biased_gelu_gradient"]


@pytest.mark.parametrize(
    ("rows", "channels", "chunks"), [(1, 1, 1), (127, 8, 1), (128, 8, 2), (200704, 384, 171), (64, 10**6, 1)]
)
def test_chunks(rows, channels, chunks):
    assert module.chunk_count(rows, channels) == chunks
    assert chunks * 64 <= max(rows, 64)


@pytest.mark.parametrize("backend", ["metal", "cuda"])
def test_the_device_and_the_dtype_choose(backend, monkeypatch):
    monkeypatch.setattr(_device, "backend", lambda: backend)
    h, bias = mx.zeros((2, 4)), mx.zeros(4)
    assert module.implementation(h, bias) == backend
    assert module.implementation(h.astype(mx.int32), bias) == "reference"
    assert module.implementation(mx.zeros((0, 4)), bias) == "reference"
    with use_reference():
        assert module.implementation(h, bias) == "reference"
    monkeypatch.setattr(_device, "backend", lambda: "cpu")
    assert module.implementation(h, bias) == "reference"
    assert module.gradients(h, h, bias) is None


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("shape", [(2, 3, 3, 16), (1, 2, 1, 3)])
def test_the_shader_is_legal_metal(monkeypatch, shape, dtype):
    h, bias, factor, dy = make(shape, dtype)
    texts = check_legal_metal(
        monkeypatch,
        lambda: [
            *module.gradients(dy, h, bias, factor),
            *module.gradients(dy, h, bias),
            *(biased_gelu(h, bias, one, padded=True) for one in (factor, None)),
        ],
    )
    assert len(texts) == 4


def test_every_pipeline_supports_the_threadgroup(monkeypatch):
    h, bias, factor, dy = make((2, 16, 16, 33), mx.float32)
    launches = record_launches(
        monkeypatch, lambda: (module.gradients(dy, h, bias, factor), biased_gelu(h, bias, factor, padded=True))
    )
    assert [one["name"] for one in launches] == ["biased_gelu_gradient", "padded_gelu"]
    for one in launches:
        x, y, z = one["threadgroup"]
        assert x % 32 == 0 and 64 <= x <= 384 and y == z == 1
