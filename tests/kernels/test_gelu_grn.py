"""GRN of GELU in few passes against the reference and a formula in float64."""

import mlx.core as mx
import numpy as np
import pytest

from lucid import _device
from lucid.kernels import biased_gelu, use_reference
from lucid.kernels import gelu_grn as module
from lucid.kernels.gelu_grn import gelu_and_square_sums, gelu_grn, square_sums
from tests.kernels.formulas import assert_close, float64, gelu_derivatives
from tests.kernels.one_thread import record_launches
from tests.kernels.shader_text import check_legal_metal
from tests.metal_simulator import simulation

TOLERANCES = {mx.float32: 5e-6, mx.float16: 4e-3, mx.bfloat16: 3e-2}
SHAPES = [(2, 3, 5, 7), (1, 1, 1, 1), (2, 16, 17, 33), (3, 12, 12, 130)]


def make(shape, dtype, has_factor=True):
    rng = np.random.default_rng(0)
    h, dy = (mx.array(rng.normal(scale=2, size=shape).astype(np.float32)).astype(dtype) for _ in range(2))
    bias, weight, shift = (mx.array(rng.normal(size=shape[-1]).astype(np.float32)).astype(dtype) for _ in range(3))
    factor = (mx.array(rng.integers(1, 3, shape[0]).astype(np.float32) * 1.25),) if has_factor else ()
    return (h, bias, square_sums(h, bias), weight.reshape(1, 1, 1, -1), shift, *factor), dy


def formula(h, bias, weight, shift, *factor):
    x = gelu_derivatives(h + bias)[0]
    norm = np.sqrt(np.square(x).sum((1, 2), keepdims=True))
    y = x * (1 + weight * norm / (norm.mean(-1, keepdims=True) + 1e-6)) + shift
    return y * factor[0].reshape(-1, 1, 1, 1) if factor else y


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("has_factor", [False, True])
def test_value_and_gradients(gpu, shape, dtype, has_factor):
    arrays, dy = make(shape, dtype, has_factor)
    tolerance = TOLERANCES[dtype]
    numbers = [float64(one) for i, one in enumerate(arrays) if i != 2]
    assert_close(gelu_grn(*arrays), formula(*numbers), tolerance)
    found = module.gradients(dy, *arrays)
    assert [one.dtype for one in found] == [dtype, dtype, mx.float32, dtype, dtype]
    exact = [one.astype(mx.float32) for one in arrays]
    expected = mx.vjp(lambda *five: module.reference(*five, *exact[5:]), exact[:5], [dy.astype(mx.float32)])[1]
    for one, other in zip(found, expected, strict=True):
        assert_close(one, float64(other), tolerance)


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("has_factor", [False, True])
def test_a_padded_result_ends_with_the_factor_and_zeros(gpu, shape, dtype, has_factor):
    arrays, dy = make(shape, dtype, has_factor)
    y = gelu_grn(*arrays, padded=True)
    columns, channels = 16 // dtype.size, shape[-1]
    assert_close(
        y[..., :channels], formula(*(float64(one) for i, one in enumerate(arrays) if i != 2)), TOLERANCES[dtype]
    )
    ones = arrays[5] if has_factor else mx.ones(shape[0])
    assert mx.all(y[..., channels] == ones.reshape(-1, 1, 1)).item()
    assert not y[..., channels + 1 :].any().item()
    padded = mx.concatenate([dy, mx.full((*shape[:-1], columns), 7, dtype)], -1)
    found, expected = (module.gradients(one, *arrays) for one in (padded, dy))
    assert all(mx.array_equal(one, other) for one, other in zip(found, expected, strict=True))


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_gelu_and_its_square_sums_in_one_pass(simulator, shape, dtype):
    (h, bias, squares, *_), _ = make(shape, dtype)
    expected = biased_gelu.biased_gelu(h, bias, padded=True)
    mx.eval(expected, squares)
    before = len(simulator.names)
    with simulation(round_up_grid=True):
        y, found = gelu_and_square_sums(h, bias)
        mx.eval(y, found)
    assert simulator.names[before:] == ["lucid_gelu_and_square_sums"]
    assert mx.array_equal(y, expected)
    np.testing.assert_allclose(float64(found), float64(squares), rtol=1e-5)
    with use_reference():
        plain, sums = gelu_and_square_sums(h, bias)
    assert_close(plain, float64(y), TOLERANCES[dtype])
    np.testing.assert_allclose(float64(sums), float64(found), rtol=1e-4)


def test_the_reference_by_finite_differences():
    """In float64, which only the CPU has."""
    with mx.stream(mx.cpu):
        arrays, dy = make((2, 3, 2, 4), mx.float32)
        numbers = [float64(one) for i, one in enumerate(arrays) if i != 2]
        found = mx.vjp(lambda *five: module.reference(*five, *arrays[5:]), list(arrays[:5]), [dy])[1]
    for i, gradient in enumerate([found[0], found[1], found[3], found[4]]):
        direction = np.random.default_rng(i).normal(size=numbers[i].shape)

        def at(step, i=i, direction=direction):
            moved = [one + step * direction if j == i else one for j, one in enumerate(numbers)]
            return (formula(*moved) * float64(dy)).sum()

        slope = (at(1e-5) - at(-1e-5)) / 2e-5
        assert (float64(gradient) * direction).sum() == pytest.approx(slope, rel=1e-4, abs=1e-4)
    assert not found[2].any().item()


@pytest.mark.parametrize("padded", [False, True])
def test_second_derivatives(gpu, padded):
    arrays, dy = make((2, 3, 4, 5), mx.float32)
    dy = mx.concatenate([dy, dy[..., :4]], -1) if padded else dy

    def second(function):
        def slope(h, bias, weight, shift, dy):
            five = [h, bias, arrays[2], weight, shift]
            first = mx.vjp(lambda *five: function(*five, *arrays[5:], padded=padded), five, [dy])[1]
            return sum((one * mx.sin(other)).sum() for one, other in zip(first, five, strict=True))

        return mx.grad(slope, argnums=(0, 1, 2, 3, 4))(*(arrays[i] for i in (0, 1, 3, 4)), dy)

    for one, other in zip(second(gelu_grn), second(module.reference), strict=True):
        assert mx.allclose(one, other, rtol=1e-4, atol=1e-4)


def test_a_channel_of_zeros_gets_finite_gradients(gpu):
    h = mx.zeros((1, 2, 2, 3))
    bias = mx.zeros(3)
    found = module.gradients(mx.ones_like(h), h, bias, square_sums(h, bias), mx.ones(3), mx.ones(3))
    assert all(mx.isfinite(one).all().item() for one in found)


def test_sums_are_float32_whatever_the_dtype(gpu):
    """Positive sums of 1,000 values, which would stop growing at 2,048 in float16 and at 256 in bfloat16."""
    for dtype in (mx.float16, mx.bfloat16):
        h = mx.random.uniform(2, 3, (1, 25, 40, 8)).astype(dtype)
        ones = mx.ones((8,), dtype)
        found = square_sums(h, ones)
        x = gelu_derivatives(float64(h) + 1)[0]
        np.testing.assert_allclose(float64(found), np.square(x).sum((1, 2), keepdims=True), rtol=1e-5)
        exact = [one.astype(mx.float32) for one in (h, ones, found, ones, ones)]
        expected = mx.vjp(module.reference, exact, [mx.ones(h.shape)])[1]
        gradients = module.gradients(mx.ones(h.shape, dtype), h, ones, found, ones, ones)
        for one, other in zip(gradients, expected, strict=True):
            rtol = 1.02 * float(mx.finfo(dtype).eps) / 2
            np.testing.assert_allclose(float64(one), float64(other), rtol=rtol, atol=1e-6)


def test_four_passes_over_memory(simulator):
    arrays, dy = make((2, 8, 8, 16), mx.float32)
    mx.eval(gelu_grn(*arrays), module.gradients(dy, *arrays))
    assert sorted(simulator.names) == [
        "lucid_gelu_product_sums",
        "lucid_gelu_square_sums",
        "lucid_scaled_gelu_gradient",
    ]


def test_the_device_chooses(monkeypatch):
    arrays, dy = make((2, 3, 2, 4), mx.float32)
    monkeypatch.setattr(_device, "backend", lambda: "metal")
    assert module.implementation(arrays[0], arrays[1]) == "metal"
    with use_reference():
        assert module.implementation(arrays[0], arrays[1]) == "reference"
        assert module.gradients(dy, *arrays) is None
        assert mx.allclose(square_sums(arrays[0], arrays[1]), arrays[2], rtol=1e-5)


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("shape", [(2, 3, 3, 16), (1, 2, 1, 3)])
def test_the_shaders_are_legal_metal(monkeypatch, shape, dtype):
    arrays, dy = make(shape, dtype)
    texts = check_legal_metal(
        monkeypatch,
        lambda: [
            square_sums(*arrays[:2]), *gelu_and_square_sums(*arrays[:2]), gelu_grn(*arrays, padded=True),
            *module.gradients(dy, *arrays),
        ],
    )  # fmt: skip
    assert len(texts) == 5


def test_every_pipeline_supports_the_threadgroup(monkeypatch):
    arrays, dy = make((2, 3, 2, 4), mx.float32)
    launches = record_launches(
        monkeypatch,
        lambda: (square_sums(*arrays[:2]), gelu_and_square_sums(*arrays[:2]), module.gradients(dy, *arrays)),
    )
    assert len(launches) == 4
    for one in launches:
        x, y, z = one["threadgroup"]
        assert x % 32 == 0 and 64 <= x <= 384 and y == z == 1
