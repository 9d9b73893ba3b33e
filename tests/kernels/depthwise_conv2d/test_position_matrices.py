"""Matrices over positions agree with MLX's own convolution; test_dispatch.py compares with float64."""

import mlx.core as mx
import pytest

from lucid.kernels.depthwise_conv2d import position_matrices, shifted_sums
from lucid.kernels.depthwise_conv2d.dispatch import reference
from lucid.kernels.depthwise_conv2d.geometry import Geometry

GEOMETRIES = [
    Geometry((7, 8), (7, 7), (1, 1), ((3, 3), (3, 3)), (1, 1)),
    Geometry((8, 7), (5, 3), (2, 3), ((4, 0), (1, 2)), (1, 2)),
    Geometry((6, 7), (3, 4), (3, 2), ((5, 7), (9, 8)), (2, 1)),  # padded beyond the kernel
    Geometry((8, 8), (2, 2), (4, 4), ((0, 0), (0, 0)), (1, 1)),  # input rows without any output
    Geometry((1, 1), (31, 1), (1, 1), ((15, 15), (0, 0)), (1, 1)),
]


@pytest.mark.parametrize("images", [1, 4, 7])
@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_all_three_equal_mlx(geometry, images):
    channels = 5
    x, bias = mx.random.normal((images, *geometry.size, channels)), mx.random.normal((channels,))
    weight = mx.random.normal((channels, 1, *geometry.kernel))
    gradient = mx.random.normal((images, *geometry.output, channels))
    hwc_weight = weight.squeeze(1).transpose(1, 2, 0)
    [y], [d_x, d_weight, d_bias] = mx.vjp(lambda *values: reference(*values, geometry), [x, weight, bias], [gradient])
    assert mx.allclose(position_matrices.forward(x, hwc_weight, bias, geometry), y, atol=1e-4)
    assert mx.allclose(position_matrices.forward(x, hwc_weight, None, geometry) + bias, y, atol=1e-4)
    assert mx.allclose(position_matrices.input_gradient(gradient, hwc_weight, geometry), d_x, atol=1e-4)
    d_hwc_weight, sums = position_matrices.weight_gradient(x, gradient, geometry)
    assert d_hwc_weight.shape == hwc_weight.shape and sums.shape == (channels,)
    assert mx.allclose(d_hwc_weight.transpose(2, 0, 1)[:, None], d_weight, atol=1e-4)
    assert mx.allclose(sums, d_bias, atol=1e-4)


@pytest.mark.parametrize("dtype", [mx.float16, mx.bfloat16], ids=str)
def test_half_precision_is_rounded_once(dtype):
    geometry = GEOMETRIES[0]
    x, hwc_weight, gradient = (
        mx.random.normal(shape).astype(dtype) for shape in ((4, *geometry.size, 3), (7, 7, 3), (4, *geometry.output, 3))
    )
    wide_x, wide_weight, wide_gradient = (one.astype(mx.float32) for one in (x, hwc_weight, gradient))
    for got, exact in (
        (position_matrices.forward(x, hwc_weight, None, geometry),
         position_matrices.forward(wide_x, wide_weight, None, geometry)),
        (position_matrices.input_gradient(gradient, hwc_weight, geometry),
         position_matrices.input_gradient(wide_gradient, wide_weight, geometry)),
    ):  # fmt: skip
        assert got.dtype == dtype and mx.array_equal(got, exact.astype(dtype))
    assert position_matrices.weight_gradient(x, gradient, geometry)[0].dtype == mx.float32


def test_float64_stays_float64():
    geometry = GEOMETRIES[0]
    with mx.stream(mx.cpu):
        x, hwc_weight = (
            mx.random.normal((4, 7, 8, 2)).astype(mx.float64),
            mx.random.normal((7, 7, 2)).astype(mx.float64),
        )
        y = position_matrices.forward(x, hwc_weight, None, geometry)
        wanted = shifted_sums.forward(x, hwc_weight, None, geometry)
        assert y.dtype == mx.float64 and mx.abs(y - wanted).max().item() < 1e-12


@pytest.mark.parametrize(
    ("images", "size", "kernel", "is_faster"),
    [
        (4, (8, 8), (7, 7), True),
        (3, (8, 8), (7, 7), False),  # the matrices take longer to build
        (4, (8, 9), (7, 7), False),
        (4, (64, 1), (7, 7), True),
        (4, (8, 8), (17, 17), False),  # 17 * 17 * 64 * 64 entries
        (4, (2, 2), (31, 31), True),
    ],
)
def test_where_it_is_faster(images, size, kernel, is_faster):
    padding = tuple((one // 2, one // 2) for one in kernel)
    assert position_matrices.is_faster(images, Geometry(size, kernel, (1, 1), padding, (1, 1))) is is_faster
