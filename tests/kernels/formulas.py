"""What the tests of several kernels compare with: GELU and its derivatives in float64 NumPy."""

import math

import mlx.core as mx
import numpy as np

ERF = np.vectorize(math.erf)


def float64(array):
    return np.array(array.astype(mx.float32)).astype(np.float64)


def gelu_derivatives(x):
    """Value, first and second derivative of GELU."""
    phi = 0.5 * (1 + ERF(x / math.sqrt(2)))
    density = np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
    return x * phi, phi + x * density, (2 - x * x) * density


def assert_close(found, expected, tolerance):
    """The largest error is at most ``tolerance`` times the largest value, or 1."""
    assert found.shape == expected.shape
    assert np.abs(float64(found) - expected).max() <= tolerance * max(1, np.abs(expected).max())
