"""Bessel functions agree with their integrals (DLMF 10.9.1, 10.32.3, 10.32.9) and with the Wronskian (DLMF 10.5.2)."""

import math

import mlx.core as mx
import numpy as np
import pytest

from lucid.kernels import bessel_functions as bessel

X = np.array([1e-3, 0.1, 0.7, 1.9, 2.1, 5.0, 7.99, 8.01, 13.0, 29.0])
ANGLES = (np.arange(400) + 0.5) * math.pi / 400


def at(function, array=X, dtype=mx.float64):
    with mx.stream(mx.cpu):
        return np.array(function(mx.array(array, dtype)), np.float64)


@pytest.mark.parametrize(("dtype", "tolerance"), [(mx.float64, 1e-12), (mx.float32, 2e-6)])
def test_functions_of_the_first_kind_are_their_integrals(dtype, tolerance):
    for order, (plain, modified, scaled) in enumerate(
        ((bessel.j0, bessel.i0, bessel.i0e), (bessel.j1, bessel.i1, bessel.i1e))
    ):
        expected = np.cos(order * ANGLES - X[:, None] * np.sin(ANGLES)).mean(1)
        np.testing.assert_allclose(at(plain, dtype=dtype), expected, tolerance, tolerance)
        expected = (np.exp(X[:, None] * (np.cos(ANGLES) - 1)) * np.cos(order * ANGLES)).mean(1)
        np.testing.assert_allclose(at(scaled, dtype=dtype), expected, tolerance, tolerance)
        np.testing.assert_allclose(at(modified, dtype=dtype), expected * np.exp(X), 2 * tolerance)
        sign = -1 if order else 1
        np.testing.assert_allclose(at(plain, -X, dtype), sign * at(plain, X, dtype), tolerance)
        np.testing.assert_allclose(at(modified, -X, dtype), sign * at(modified, X, dtype), tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), [(mx.float64, 1e-11), (mx.float32, 2e-6)])
def test_functions_of_the_second_kind(dtype, tolerance):
    t = np.linspace(0, 14, 4001)
    for order, (plain, scaled) in enumerate(((bessel.k0, bessel.k0e), (bessel.k1, bessel.k1e))):
        heights = np.exp(-X[:, None] * (np.cosh(t) - 1)) * np.cosh(order * t)
        expected = (heights.sum(1) - heights[:, 0] / 2 - heights[:, -1] / 2) * (t[1] - t[0])
        np.testing.assert_allclose(at(scaled, dtype=dtype), expected, tolerance)
        np.testing.assert_allclose(at(plain, dtype=dtype), expected * np.exp(-X), 2 * tolerance)
    j0, j1, y0, y1 = (at(one, dtype=dtype) for one in (bessel.j0, bessel.j1, bessel.y0, bessel.y1))
    np.testing.assert_allclose(j1 * y0 - j0 * y1, 2 / (math.pi * X), 10 * tolerance)


def test_limits():
    assert at(bessel.i1, [0.0]).tolist() == at(bessel.j1, [0.0]).tolist() == [0]
    assert at(bessel.k0, [0.0]).tolist() == at(bessel.k1, [0.0]).tolist() == [math.inf]
    assert at(bessel.y0, [0.0]).tolist() == at(bessel.y1, [0.0]).tolist() == [-math.inf]
    for one in (bessel.k0, bessel.k1, bessel.y0, bessel.y1):
        assert np.isnan(at(one, [-1.0])).all()
