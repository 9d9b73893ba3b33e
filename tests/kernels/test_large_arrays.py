"""Offsets beyond 2^31 are right, and neighboring threads own neighboring channels, in every function of the shaders."""

import math

import mlx.core as mx
import numpy as np
import pytest

from lucid.kernels import biased_gelu, gelu_grn
from lucid.kernels.depthwise_conv2d.geometry import Geometry
from lucid.kernels.depthwise_conv2d.launch import Launcher
from tests.kernels.one_thread import LARGE, group_size, record_launches, run_one_thread
from tests.metal_simulator import missing

# An image of 3 x 9 x 70001 is no power of two: an offset that is cut to 32 bits points into the middle of one.
IMAGES, HEIGHT, WIDTH, CHANNELS = 2400, 3, 9, 70001


def normal(*shape, seed=0):
    return mx.random.normal(shape, key=mx.random.key(seed))


def images(count, height=HEIGHT, width=WIDTH):
    return mx.broadcast_to(normal(1, height, width, CHANNELS, seed=1), (count, height, width, CHANNELS))


def depthwise(direction, kernel, stride, has_map=False):
    def run(count):
        geometry = Geometry.checked("test", (HEIGHT, WIDTH), kernel, stride, tuple(k // 2 for k in kernel), 1)
        x, dy = images(count), images(count, *geometry.output)
        weight = normal(*kernel, CHANNELS, seed=2)
        if direction == "forward":
            Launcher("metal").forward(x, weight, normal(CHANNELS, seed=3), geometry)
        elif direction == "input_gradient":
            Launcher("metal").input_gradient(dy, weight, geometry, x if has_map else None)
        else:
            Launcher("metal").weight_gradient(x, dy, geometry)

    return run


def gelu_gradient(count):
    factor = mx.full(count, 1.25)
    biased_gelu._launch("metal", images(count), images(count), normal(CHANNELS), factor)


def square_sums(count):
    gelu_grn._launch_square_sums("metal", images(count), normal(CHANNELS))


def grn_gradient(count):
    squares = mx.broadcast_to(mx.ones((1, 1, 1, CHANNELS)), (count, 1, 1, CHANNELS))
    gelu_grn._launch(
        "metal", images(count), images(count), normal(CHANNELS), squares, normal(CHANNELS), normal(CHANNELS)
    )


def padded_gelu(count):
    scale = mx.broadcast_to(normal(1, 1, 1, CHANNELS), (count, 1, 1, CHANNELS))
    biased_gelu.launch_padded("metal", images(count), normal(CHANNELS), None, scale, scale)


def gelu_and_square_sums(count):
    gelu_grn._launch_with_square_sums("metal", images(count), normal(CHANNELS))


CASES = {
    "rolling forward": depthwise("forward", (3, 3), 1),
    "rolling input gradient with a start": depthwise("input_gradient", (3, 3), 1, True),
    "rolling weight gradient": depthwise("weight_gradient", (3, 3), 1),
    "general forward": depthwise("forward", (1, 9), 1),
    "general forward, strided": depthwise("forward", (3, 3), (2, 1)),
    "strided input gradient": depthwise("input_gradient", (3, 3), (1, 2)),
    "general weight gradient": depthwise("weight_gradient", (1, 9), 1),
    "gelu gradient": gelu_gradient,
    "gelu square sums": square_sums,
    "grn gradient": grn_gradient,
    "padded gelu": padded_gelu,
    "gelu and square sums": gelu_and_square_sums,
}


@pytest.mark.parametrize("case", CASES)
def test_the_last_of_many_images_is_like_a_single_one(monkeypatch, case):
    if reason := missing():
        pytest.skip(reason)
    large, single = (record_launches(monkeypatch, lambda n=n: CASES[case](n)) for n in (IMAGES, 1))
    assert [one["name"] for one in large] == [one["name"] for one in single]
    for far, near in zip(large, single, strict=True):
        assert max(one.size for one in far["inputs"]) > 2**31
        # Thread 1 of the second strip of columns, where there is one; else of the first. Or the second threadgroup.
        lanes, groups, _ = group_size(far)
        column = lanes + (CHANNELS if far["grid"][0] >= 2 * CHANNELS else 0)
        results = [
            run_one_thread(one, near, (column, max(one["grid"][1] - groups, 0), one["grid"][2] - 1))
            for one in (far, near)
        ]
        for found, expected, shape in zip(*results, far["output_shapes"], strict=True):
            found, expected = (np.array(one).reshape(-1) for one in (found, expected))
            written = ~np.isnan(expected)
            assert np.array_equal(written, ~np.isnan(found)) and written.any()
            assert set(np.flatnonzero(written) % shape[-1]) == set(range(lanes, 2 * lanes))
            times = IMAGES if math.prod(shape) < LARGE else 1  # a small output is a sum over all images
            np.testing.assert_allclose(found[written], times * expected[written], rtol=1e-3, atol=1e-3 * times)
