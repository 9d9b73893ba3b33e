"""Shifted sums agree with MLX's own convolution; test_dispatch.py compares with float64."""

import mlx.core as mx
import pytest

from lucid.kernels.depthwise_conv2d import shifted_sums
from lucid.kernels.depthwise_conv2d.dispatch import reference
from lucid.kernels.depthwise_conv2d.geometry import Geometry

GEOMETRIES = [
    Geometry((12, 11), (7, 7), (1, 1), ((3, 3), (3, 3)), (1, 1)),
    Geometry((12, 11), (5, 3), (2, 3), ((4, 0), (1, 2)), (1, 2)),
    Geometry((6, 7), (3, 4), (3, 2), ((5, 7), (9, 8)), (2, 1)),  # padded beyond the kernel
    Geometry((9, 9), (2, 2), (4, 4), ((0, 0), (0, 0)), (1, 1)),  # input rows without any output
    Geometry((2, 1), (7, 7), (1, 1), ((3, 3), (3, 3)), (1, 1)),  # a part of the kernel meets padding alone
    Geometry((2, 3), (5, 4), (2, 3), ((6, 4), (7, 5)), (2, 3)),
    Geometry((2, 2), (1, 2), (5, 1), ((3, 1), (1, 1)), (1, 1)),  # all of it
]


@pytest.mark.parametrize("images", [1, 3, 4])
@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_all_three_equal_mlx(geometry, images):
    compare_with_mlx(geometry, images)


@pytest.mark.parametrize("images", [8, 11, 12])
def test_groups_of_images_add_up(monkeypatch, images):
    monkeypatch.setattr(shifted_sums, "_GROUP_BYTES", 1)
    compare_with_mlx(GEOMETRIES[1], images)


def compare_with_mlx(geometry, images):
    channels = 5
    x = mx.random.normal((images, *geometry.size, channels))
    weight = mx.random.normal((channels, 1, *geometry.kernel))
    bias = mx.random.normal((channels,))
    gradient = mx.random.normal((images, *geometry.output, channels))
    hwc_weight = weight.squeeze(1).transpose(1, 2, 0)
    [y], [d_x, d_weight, d_bias] = mx.vjp(lambda *values: reference(*values, geometry), [x, weight, bias], [gradient])
    assert mx.allclose(shifted_sums.forward(x, hwc_weight, bias, geometry), y, atol=1e-4)
    assert mx.allclose(shifted_sums.input_gradient(gradient, hwc_weight, geometry), d_x, atol=1e-4)
    d_hwc_weight, sums = shifted_sums.weight_gradient(x, gradient, geometry)
    assert mx.allclose(d_hwc_weight.transpose(2, 0, 1)[:, None], d_weight, atol=1e-3)
    assert mx.allclose(sums, d_bias, atol=1e-3)


def test_half_precision_is_rounded_once():
    geometry = GEOMETRIES[0]
    x = mx.random.normal((2, *geometry.size, 3)).astype(mx.float16)
    hwc_weight = mx.random.normal((7, 7, 3)).astype(mx.float16)
    exact = shifted_sums.forward(x.astype(mx.float32), hwc_weight.astype(mx.float32), None, geometry)
    assert mx.array_equal(shifted_sums.forward(x, hwc_weight, None, geometry), exact.astype(mx.float16))


def test_a_larger_compiled_function_needs_no_more_memory():
    """x, the padded x and the output are in memory, but no products: an outer compilation must not split the chain."""
    geometry = Geometry((64, 64), (7, 7), (1, 1), ((3, 3), (3, 3)), (1, 1))
    x, hwc_weight = mx.random.normal((4, 64, 64, 16)), mx.random.normal((7, 7, 16))
    mx.eval(x, hwc_weight)
    with mx.stream(mx.cpu):
        run = mx.compile(lambda x, hwc_weight: shifted_sums.forward(x, hwc_weight, None, geometry))
        y = run(x, hwc_weight)
        others = mx.get_active_memory()
        mx.reset_peak_memory()
        mx.eval(y)
    assert mx.get_peak_memory() - others < 3 * x.nbytes
