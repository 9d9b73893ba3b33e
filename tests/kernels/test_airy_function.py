"""The Airy function agrees with SciPy's, and satisfies its differential equation."""

import math

import mlx.core as mx
import numpy as np
import pytest

from lucid.kernels.airy_function import airy_ai

# x and scipy.special.airy(x)[0], SciPy 1.17
VALUES = [
    (-20.5, -0.044625680397),
    (-6.3, -0.337347649216),
    (-2.6, -0.178502428936),
    (-2.4, -0.0433341404403),
    (-1.0, 0.535560883292),
    (0.0, 0.355028053888),
    (0.5, 0.231693606481),
    (2.4, 0.018556093623),
    (2.6, 0.0132892825297),
    (8.0, 4.6922076161e-08),
]


@pytest.mark.parametrize(("dtype", "relative", "absolute"), [(mx.float64, 1e-11, 0), (mx.float32, 2e-5, 3e-6)])
def test_values_are_those_of_scipy(dtype, relative, absolute):
    x, wanted = np.array(VALUES).T
    with mx.stream(mx.cpu):
        np.testing.assert_allclose(np.array(airy_ai(mx.array(x, dtype))), wanted, relative, absolute)


def test_the_second_derivative_is_x_times_the_value():
    x, h = np.array([-9.0, -3.0, -0.7, 1.3, 4.0]), 1e-3
    with mx.stream(mx.cpu):
        before, at, after = (np.array(airy_ai(mx.array(x + k * h, mx.float64))) for k in (-1, 0, 1))
    np.testing.assert_allclose((before - 2 * at + after) / h**2, x * at, rtol=1e-5, atol=1e-8)


def test_ends_of_the_range_are_those_of_pytorch():
    found = np.array(airy_ai(mx.array([math.inf, -math.inf, math.nan, 200.0])))
    assert np.isnan(found[:3]).all() and found[3] == 0
