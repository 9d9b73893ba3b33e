"""The C++ version agrees with shifted sums for every way of dividing channels and columns into blocks.

test_dispatch.py compares with float64, and tests/kernels/native what holds for all C++ kernels.
"""

import mlx.core as mx
import pytest

from lucid.kernels.depthwise_conv2d import native, shifted_sums
from lucid.kernels.depthwise_conv2d.geometry import Geometry, same_padding


def compare(geometry, channels, dtype=mx.float32, images=2):
    x, dy = (mx.random.normal((images, *size, channels)).astype(dtype) for size in (geometry.size, geometry.output))
    weight = mx.random.normal((*geometry.kernel, channels)).astype(dtype)
    bias = mx.random.normal((channels,)).astype(dtype)
    tolerance = {mx.float32: 2e-6, mx.float16: 2e-3, mx.bfloat16: 1.6e-2}[dtype]

    def close(got, wanted, what):
        assert got.shape == wanted.shape and got.dtype == wanted.dtype, what
        error = mx.abs(got.astype(mx.float32) - wanted.astype(mx.float32)).max()
        assert error <= tolerance * max(mx.abs(wanted).max().item(), 1), what

    for with_bias in (bias, None):
        arguments = (x, weight, with_bias, geometry)
        close(native.forward(*arguments), shifted_sums.forward(*arguments), "forward")
    close(
        native.input_gradient(dy, weight, geometry), shifted_sums.input_gradient(dy, weight, geometry), "input gradient"
    )
    tolerance = 4e-6  # sums of products of halves are float32
    pairs = zip(native.weight_gradient(x, dy, geometry), shifted_sums.weight_gradient(x, dy, geometry), strict=True)
    for got, wanted in pairs:
        close(got, wanted, "weight gradient")


def dense(height, width, kernel):
    return Geometry((height, width), kernel, (1, 1), same_padding(kernel, (1, 1)), (1, 1))


@pytest.mark.parametrize(("kernel", "height"), [((7, 7), 5), ((3, 3), 2), ((2, 5), 2)], ids=str)
@pytest.mark.parametrize("width", [*range(1, 13), 14, 15, 16, 17, 23])
def test_every_width(cpp, width, kernel, height):
    compare(dense(height, width, kernel), 20)


@pytest.mark.parametrize("dtype", [mx.float32, mx.float16, mx.bfloat16], ids=str)
@pytest.mark.parametrize("channels", [1, 3, 4, 5, 8, 15, 16, 17, 40, 64, 130])
def test_every_number_of_channels(cpp, channels, dtype):
    compare(dense(6, 9, (3, 7)), channels, dtype)
    compare(Geometry((6, 9), (3, 2), (2, 1), ((1, 1), (0, 2)), (1, 2)), channels, dtype)


@pytest.mark.parametrize(
    "geometry",
    [
        Geometry((9, 11), (7, 7), (1, 1), ((3, 3), (3, 3)), (2, 1)),
        Geometry((5, 6), (3, 3), (1, 1), ((-1, 0), (0, -2)), (1, 1)),  # a negative padding crops
        Geometry((6, 7), (3, 4), (3, 2), ((5, 7), (9, 8)), (2, 1)),  # padded beyond the kernel
        Geometry((6, 7), (3, 7), (1, 1), ((9, 8), (12, 9)), (1, 1)),
        Geometry((9, 9), (2, 2), (4, 4), ((0, 0), (0, 0)), (1, 1)),  # input rows without any output
        Geometry((1, 1), (7, 7), (1, 1), ((3, 3), (3, 3)), (1, 1)),
        Geometry((40, 3), (31, 1), (1, 2), ((15, 15), (0, 0)), (1, 1)),
        Geometry((8, 8), (5, 5), (2, 2), ((2, 2), (2, 2)), (1, 1)),
    ],
    ids=str,
)
@pytest.mark.parametrize("channels", [3, 20])
def test_every_geometry(cpp, geometry, channels):
    compare(geometry, channels)


def test_one_image_is_divided_among_many_threads(cpp):
    cpp.set_thread_count(16)
    compare(dense(33, 8, (7, 7)), 16, images=1)


def test_long_sums_are_as_accurate_as_float32_allows(cpp):
    """A weight's gradient sums 200,000 products here, in parts of at most 16,384."""
    geometry = dense(100, 100, (3, 3))
    x = mx.random.uniform(shape=(20, 100, 100, 2))
    exact = float(mx.array(x[..., 0]).astype(mx.float64, stream=mx.cpu).sum(stream=mx.cpu).item())
    d_weight = native.weight_gradient(x, mx.ones_like(x), geometry)[0]
    assert abs(d_weight[1, 1, 0].item() / exact - 1) < 2e-6
    assert abs(native.weight_gradient(x, x, geometry)[1][0].item() / exact - 1) < 2e-6
