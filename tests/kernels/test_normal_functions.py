"""Functions of the normal distribution agree with Python's statistics and mathematics."""

import math
from statistics import NormalDist

import mlx.core as mx
import numpy as np
import pytest

from lucid.kernels import normal_functions as normal

X = np.array([-20.0, -6.0, -1.5, -1.0, -0.3, 0.0, 0.2, 0.46, 0.47, 1.0, 3.9, 4.1, 8.0])


def at(function, array, dtype=mx.float64):
    with mx.stream(mx.cpu):
        return np.array(function(mx.array(array, dtype)), np.float64)


@pytest.mark.parametrize(("dtype", "tolerance"), [(mx.float64, 1e-13), (mx.float32, 2e-6)])
def test_values(dtype, tolerance):
    near = X[X > -6]
    expected = [math.exp(one * one) * math.erfc(one) for one in near]
    np.testing.assert_allclose(at(normal.erfcx, near, dtype), expected, max(tolerance, 1e-12))
    np.testing.assert_allclose(at(normal.ndtr, near, dtype), [NormalDist().cdf(one) for one in near], tolerance)
    expected = [
        math.log1p(-math.erfc(one / math.sqrt(2)) / 2) if one > 0 else math.log(math.erfc(-one / math.sqrt(2)) / 2)
        for one in X
    ]
    np.testing.assert_allclose(at(normal.log_ndtr, X, dtype), expected, tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), [(mx.float64, 1e-12), (mx.float32, 1e-6)])
def test_the_inverse(dtype, tolerance):
    p = np.array([1e-30, 1e-9, 0.01, 0.024, 0.025, 0.3, 0.5, 0.7, 0.98, 0.999])
    p = p.astype(np.float32).astype(np.float64) if dtype == mx.float32 else p
    expected = [NormalDist().inv_cdf(one) for one in p]
    np.testing.assert_allclose(at(normal.ndtri, p, dtype), expected, tolerance, tolerance)
    assert at(normal.ndtri, [0.0, 1.0], dtype).tolist() == [-math.inf, math.inf]
    assert np.isnan(at(normal.ndtri, [-0.1, 1.1], dtype)).all()
