"""The incomplete gamma functions, and draws of the gamma distribution with their derivatives, agree with SciPy's."""

import math

import mlx.core as mx
import numpy as np
import pytest

from lucid.kernels import incomplete_gamma

# a, x, P(a, x) and Q(a, x) of scipy.special.gammainc and gammaincc, SciPy 1.17.
VALUES = [
    (0.05, 0.01, 0.815559805741, 0.184440194259),
    (0.05, 0.125, 0.920440661549, 0.0795593384506),
    (0.5, 0.1, 0.345279153981, 0.654720846019),
    (0.5, 1.25, 0.886153701993, 0.113846298007),
    (1.0, 1.0, 0.632120558829, 0.367879441171),
    (1.0, 2.5, 0.917915001376, 0.0820849986239),
    (3.5, 0.7, 0.014428735551, 0.985571264449),
    (3.5, 3.5, 0.571120142447, 0.428879857553),
    (3.5, 8.75, 0.98555845212, 0.0144415478803),
    (12.0, 2.4, 8.45351311007e-06, 0.999991546487),
    (12.0, 30.0, 0.999936122975, 6.38770253993e-05),
    (19.5, 3.9, 1.54773340019e-08, 0.999999984523),
    (19.5, 19.5, 0.530121802229, 0.469878197771),
    (19.5, 48.75, 0.999999351151, 6.48848958496e-07),
    (20.5, 4.1, 6.7247423794e-09, 0.999999993275),
    (20.5, 20.5, 0.529377623181, 0.470622376819),
    (20.5, 51.25, 0.999999646097, 3.53902512614e-07),
    (150.0, 135.0, 0.107362829575, 0.892637170425),
    (150.0, 150.0, 0.510858229749, 0.489141770251),
    (150.0, 165.0, 0.887463490402, 0.112536509598),
    (4000.0, 3600.0, 3.0091725543e-11, 0.99999999997),
    (4000.0, 4000.0, 0.502102613354, 0.497897386646),
    (4000.0, 4400.0, 0.999999999562, 4.38105809278e-10),
]
# a, a quantile of the gamma distribution, and its derivative by a, from scipy.stats.gamma.ppf.
DERIVATIVES = [
    (0.1, 6.07304836274e-11, 1.402924e-08),
    (0.1, 0.00368445073366, 0.191603),
    (0.1, 0.580435105323, 5.46753),
    (0.7, 0.0331454977544, 0.1751248),
    (0.7, 2.38262001865, 2.175904),
    (1.0, 0.916290731874, 1.122168),
    (4.0, 1.74476956282, 0.6682581),
    (4.0, 7.75365652793, 1.424968),
    (19.0, 13.6714750211, 0.8518587),
    (19.0, 26.6917703115, 1.189937),
    (30.0, 23.2294441501, 0.8824359),
    (30.0, 39.5409722439, 1.150782),
    (1000.0, 959.693932729, 0.9797339),
    (1000.0, 1052.57711808, 1.026011),
]


def at(function, *columns, dtype=mx.float64):
    with mx.stream(mx.cpu):
        return np.array(function(*(mx.array(np.array(one), dtype) for one in columns)), np.float64)


@pytest.mark.parametrize(("dtype", "tolerance"), [(mx.float64, 1e-10), (mx.float32, 3e-5)])
def test_values_are_those_of_scipy(dtype, tolerance):
    a, x, p, q = np.array(VALUES).T
    np.testing.assert_allclose(at(incomplete_gamma.gammainc, a, x, dtype=dtype), p, tolerance, tolerance)
    np.testing.assert_allclose(at(incomplete_gamma.gammaincc, a, x, dtype=dtype), q, tolerance, tolerance)
    if dtype == mx.float64:  # the smaller one to full relative precision
        np.testing.assert_allclose(at(incomplete_gamma.gammaincc, a[q < p], x[q < p]), q[q < p], 1e-8)


def test_ends_of_the_range_are_those_of_pytorch():
    a = [0.0, 0.0, 1.0, 1.0, math.inf, -1.0, 1.0, math.inf]
    x = [0.0, 1.0, 0.0, math.inf, 1.0, 1.0, -1.0, math.inf]
    p = [math.nan, 1, 0, 1, 0, math.nan, math.nan, math.nan]
    np.testing.assert_array_equal(at(incomplete_gamma.gammainc, a, x), p)
    np.testing.assert_array_equal(at(incomplete_gamma.gammaincc, a, x), 1 - np.array(p))


def test_the_gradient_is_the_density():
    a, x = np.array([0.5, 2.0, 30.0]), np.array([0.3, 2.5, 28.0])
    with mx.stream(mx.cpu):
        arrays = [mx.array(one, mx.float64) for one in (a, x)]
        _, (by_a, by_x) = mx.vjp(incomplete_gamma.gammainc, arrays, [mx.ones(3, mx.float64)])
        _, (_, upper) = mx.vjp(incomplete_gamma.gammaincc, arrays, [mx.ones(3, mx.float64)])
    density = [math.exp((s - 1) * math.log(t) - t - math.lgamma(s)) for s, t in zip(a, x, strict=True)]
    np.testing.assert_allclose(np.array(by_x), density, rtol=1e-12)
    np.testing.assert_allclose(np.array(upper), -np.array(density), rtol=1e-12)
    assert np.isnan(np.array(by_a)).all()


@pytest.mark.parametrize(("dtype", "tolerance"), [(mx.float64, 1e-6), (mx.float32, 2e-5)])
def test_derivatives_of_draws_are_those_of_quantiles(dtype, tolerance):
    a, x, slope = np.array(DERIVATIVES).T
    found = at(incomplete_gamma.shape_derivative, a, np.log(x), dtype=dtype) * x
    np.testing.assert_allclose(found, slope, tolerance)


@pytest.mark.parametrize("a", [0.01, 0.6, 1.0, 2.5, 50.0])
def test_draws_are_of_the_distribution(a):
    """The logarithms have the mean digamma(a) and the variance trigamma(a)."""
    logs = np.array(incomplete_gamma.log_gamma_draw(mx.full((20000,), a), mx.random.key(3)), np.float64)
    h = 1e-4 * a
    lgamma = [math.lgamma(a + k * h) for k in (-1, 0, 1)]
    mean, variance = (lgamma[2] - lgamma[0]) / (2 * h), (lgamma[2] - 2 * lgamma[1] + lgamma[0]) / h**2
    assert logs.mean() == pytest.approx(mean, abs=4 * math.sqrt(variance / len(logs)))
    assert logs.var() == pytest.approx(variance, rel=0.08)


def test_the_gradient_of_draws_uses_the_same_draws():
    key, a = mx.random.key(5), mx.array([0.4, 3.0, 40.0])
    logs = incomplete_gamma.log_gamma_draw(a, key)
    _, (slope, _) = mx.vjp(incomplete_gamma.log_gamma_draw, [a, key], [mx.ones(3)])
    np.testing.assert_allclose(np.array(slope), np.array(incomplete_gamma.shape_derivative(a, logs)), rtol=1e-6)
