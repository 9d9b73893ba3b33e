"""The shaders round once: sums are float32, whatever the dtype, and nothing passes through float16."""

import mlx.core as mx
import numpy as np
import pytest

from lucid.kernels.depthwise_conv2d import depthwise_conv2d
from tests.kernels.depthwise_conv2d.formulas import expected, expected_gradients, float64
from tests.metal_simulator import simulation

# x (N, H, W, C), kernel, stride, padding, dilation
CASES = {
    "rolling": ((3, 9, 10, 3), (7, 7), 1, 3, 1),
    "general": ((3, 7, 12, 3), (3, 17), 1, (1, 8), 1),
    "strided": ((3, 15, 16, 3), (15, 9), 2, (7, 4), 1),
    "dilated": ((3, 9, 11, 3), (5, 5), 1, 4, 2),
    "uneven": ((2, 13, 9, 8), (5, 5), (2, 1), ((2, 0), (4, 3)), (1, 2)),
    "lopsided": ((1, 10, 6, 8), (3, 7), 1, ((0, 1), (5, 4)), 1),
    "gaps": ((8, 4, 5, 3), (2, 2), 3, 0, 1),
}


def results(case, arrays):
    """The output and all gradients, and the same in float64."""
    *_, stride, padding, dilation = case
    x, weight, bias, cotangent = arrays
    [y], gradients = mx.vjp(
        lambda *values: depthwise_conv2d(*values, stride, padding, dilation), [x, weight, bias], [cotangent]
    )
    exact = [float64(one) for one in arrays]
    wanted = expected(*exact[:3], stride, padding, dilation)
    return [y, *gradients], [wanted, *expected_gradients(*exact[:2], exact[3], stride, padding, dilation)]


def arrays_of(case, dtype, make):
    shape, kernel, stride, padding, dilation = case
    channels = shape[3]
    wanted = expected(np.zeros(shape), np.zeros((channels, 1, *kernel)), 0, stride, padding, dilation)
    shapes = shape, (channels, 1, *kernel), (channels,), wanted.shape
    return [make(one).astype(dtype) for one in shapes]


@pytest.mark.parametrize("dtype", [mx.float32, mx.float16, mx.bfloat16], ids=str)
@pytest.mark.parametrize("case", CASES)
def test_positive_sums_are_rounded_once(gpu, case, dtype):
    """Without cancellation each result is off by half a unit in its last place, and the error of a sum in float32."""
    arrays = arrays_of(CASES[case], dtype, lambda shape: mx.random.uniform(0.5, 1.5, shape))
    limit = 4e-6 if dtype == mx.float32 else float(mx.finfo(dtype).eps) * 0.51
    for name, got, wanted in zip(("y", "d_x", "d_weight", "d_bias"), *results(CASES[case], arrays), strict=True):
        assert (np.abs(float64(got) - wanted) <= limit * np.abs(wanted)).all(), name


@pytest.mark.parametrize("case", CASES)
def test_bfloat16_beyond_the_range_of_float16(gpu, case):
    arrays = arrays_of(CASES[case], mx.bfloat16, lambda shape: mx.random.uniform(0.5, 1.5, shape) * 1e8)
    for name, got, wanted in zip(("y", "d_x", "d_weight", "d_bias"), *results(CASES[case], arrays), strict=True):
        assert (np.abs(float64(got) - wanted) <= 2.0**-8 * np.abs(wanted)).all(), name


@pytest.mark.parametrize("case", [((1, 4, 9, 131), (1, 9), 1, (0, 4), 1), ((1, 5, 6, 131), (2, 3), 2, 1, 1)], ids=str)
def test_more_channels_than_threads_in_a_threadgroup(simulator, case):
    """On CUDA, which launches whole threadgroups, the threads beyond the last channel must do nothing."""
    arrays = arrays_of(case, mx.float32, lambda shape: mx.random.uniform(0.5, 1.5, shape))
    with simulation(round_up_grid=True):
        for got, wanted in zip(*results(case, arrays), strict=True):
            assert (np.abs(float64(got) - wanted) <= 4e-6 * np.abs(wanted)).all()


@pytest.mark.parametrize("case", CASES)
def test_every_product_is_one_instruction(simulator, case):
    """``a * b + c`` would round twice, and take two instructions where the compiler may not contract it."""
    arrays = arrays_of(CASES[case], mx.float32, lambda shape: mx.random.uniform(0.5, 1.5, shape))
    shape, kernel, stride, padding, dilation = CASES[case]
    ones = np.ones(shape), np.ones((shape[3], 1, *kernel))
    products = expected(*ones, 0, stride, padding, dilation).sum()  # the taps inside of the image, over all outputs
    mx.eval(results(CASES[case], arrays)[0])
    assert len(simulator) == 3
    for name, report in simulator:
        assert report.multiply_adds >= products, name


def test_more_than_32767_columns(gpu):
    case = (1, 1, 33000, 1), (1, 2), 1, 0, 1
    got, wanted = results(case, arrays_of(case, mx.float32, lambda shape: mx.random.uniform(0.5, 1.5, shape)))
    assert (np.abs(float64(got[0]) - wanted[0]) <= 4e-6 * np.abs(wanted[0])).all()
