"""Normalization as part of the weights against the layers one by one."""

import mlx.core as mx
import numpy as np
import pytest

from lucid import _device
from lucid.kernels import grn_product as module
from lucid.kernels import use_reference
from lucid.kernels.gelu_grn import gelu_and_square_sums
from lucid.kernels.grn_product import grn_product

TOLERANCES = {mx.float32: 1e-5, mx.float16: 6e-3, mx.bfloat16: 5e-2}
SHAPES = [(2, 3, 5, 7, 3), (1, 1, 1, 1, 1), (2, 16, 17, 33, 9), (3, 12, 12, 130, 32)]


def make(shape, dtype, has_factor=True):
    """Of shape (images, height, width, channels, output channels)."""
    images, height, width, channels, outputs = shape
    rng = np.random.default_rng(0)

    def normal(*shape, scale=1.0):
        return mx.array(rng.normal(scale=scale, size=shape).astype(np.float32)).astype(dtype)

    x, dout = (normal(images, height, width, outputs) for _ in range(2))
    h, bias = normal(images, height, width, channels, scale=2), normal(channels)
    zeros = mx.zeros((16 // dtype.size - 1, outputs), dtype)
    matrix = mx.concatenate([normal(channels + 1, outputs, scale=channels**-0.5), zeros])
    factor = (mx.array(rng.integers(1, 3, images).astype(np.float32) * 1.25),) if has_factor else ()
    return (x, h, bias, *gelu_and_square_sums(h, bias), normal(1, 1, 1, channels), matrix, *factor), dout


def layers(x, h, bias, y, squares, weight, matrix, *factor):
    """What ``out`` is by definition; ``y`` and ``squares`` are not used."""
    channels = h.shape[-1]
    y = 0.5 * (h + bias) * (1 + mx.erf((h + bias) * 2**-0.5))
    norm = mx.sqrt(mx.square(y).sum((1, 2), keepdims=True))
    y = y * (1 + weight * norm / (norm.mean(-1, keepdims=True) + 1e-6))
    y = y @ matrix[:channels] + matrix[channels]
    return x + (y * factor[0].reshape(-1, 1, 1, 1) if factor else y)


def wide(array):
    return np.array(array.astype(mx.float32)).astype(np.float64)


def assert_close(found, expected, tolerance):
    assert found.shape == expected.shape
    assert np.abs(wide(found) - wide(expected)).max() <= tolerance * max(1, np.abs(wide(expected)).max())


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("has_factor", [False, True])
def test_value_and_gradients(gpu, shape, dtype, has_factor):
    arrays, dout = make(shape, dtype, has_factor)
    exact = [one.astype(mx.float32) for one in arrays]
    assert_close(grn_product(*arrays), layers(*exact), TOLERANCES[dtype])
    found = module.gradients(dout, *arrays)
    assert [one.dtype for one in found] == [one.dtype for one in arrays[:7]]
    assert not found[3].any().item() and not found[4].any().item()
    expected = mx.vjp(lambda *seven: layers(*seven, *exact[7:]), exact[:7], [dout.astype(mx.float32)])[1]
    channels = shape[3]
    for i in (0, 1, 2, 5, 6):
        one, other = found[i], expected[i]
        if i == 6:  # what the rows of zeros are multiplied by does not count
            one, other = one[: channels + 1], other[: channels + 1]
        assert_close(one, other, TOLERANCES[dtype])
    derived = mx.vjp(lambda *seven: grn_product(*seven, *arrays[7:]), list(arrays[:7]), [dout])[1]
    assert all(mx.array_equal(one, other) for one, other in zip(found, derived, strict=True))


def test_second_derivatives(gpu):
    arrays, dout = make((2, 3, 4, 5, 3), mx.float32)
    chosen = (0, 1, 2, 5, 6)

    def second(function):
        def slope(*primals):
            *given, dout = primals
            seven = list(arrays[:7])
            for i, one in zip(chosen, given, strict=True):
                seven[i] = one
            first = mx.vjp(lambda *seven: function(*seven, *arrays[7:]), seven, [dout])[1]
            return sum((first[i] * mx.sin(seven[i])).sum() for i in chosen)

        return mx.grad(slope, argnums=tuple(range(6)))(*(arrays[i] for i in chosen), dout)

    for one, other in zip(second(grn_product), second(layers), strict=True):
        assert mx.allclose(one, other, rtol=1e-4, atol=1e-4)


def test_a_channel_of_zeros_gets_finite_gradients(gpu):
    arrays, dout = make((1, 2, 2, 3, 2), mx.float32)
    h, bias = mx.zeros((1, 2, 2, 3)), mx.zeros(3)
    arrays = (arrays[0], h, bias, *gelu_and_square_sums(h, bias), *arrays[5:])
    assert all(mx.isfinite(one).all().item() for one in module.gradients(dout, *arrays))


def test_one_pass_over_the_map_a_direction(simulator):
    arrays, dout = make((2, 8, 8, 16, 4), mx.float32)
    mx.eval(grn_product(*arrays), module.gradients(dout, *arrays))
    assert sorted(simulator.names) == ["lucid_gelu_and_square_sums", "lucid_scaled_gelu_gradient"]


def test_the_device_chooses(monkeypatch):
    arrays, dout = make((2, 3, 2, 4, 3), mx.float32)
    monkeypatch.setattr(_device, "backend", lambda: "metal")
    assert module.implementation(arrays[1], arrays[2]) == "metal"
    with use_reference():
        assert module.implementation(arrays[1], arrays[2]) == "reference"
        assert module.gradients(dout, *arrays) is None
        assert_close(grn_product(*arrays), layers(*arrays), 1e-5)
