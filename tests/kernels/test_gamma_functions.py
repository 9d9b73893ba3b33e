"""The gamma function's relatives agree with Python's, with series and with their recurrences."""

import math

import mlx.core as mx
import numpy as np
import pytest

from lucid.kernels import gamma_functions

X = np.array([0.1, 0.5, 1.0, 1.4, 2.0, 3.7, 9.9, 10.0, 44.0, 170.0, -0.3, -1.7, -2.5, -6.01])


def at(function, *arrays, dtype=mx.float64):
    with mx.stream(mx.cpu):
        return np.array(function(*(mx.array(one, dtype) for one in arrays)), np.float64)


@pytest.mark.parametrize(("dtype", "tolerance"), [(mx.float64, 1e-13), (mx.float32, 1e-5)])
def test_lgamma_is_that_of_python(dtype, tolerance):
    expected = [math.lgamma(one) for one in np.array(X, np.float32 if dtype == mx.float32 else np.float64)]
    np.testing.assert_allclose(at(gamma_functions.lgamma, X, dtype=dtype), expected, tolerance, tolerance)
    assert at(gamma_functions.lgamma, [0.0, -3.0, math.inf]).tolist() == [math.inf] * 3


def test_digamma_follows_its_recurrence():
    np.testing.assert_allclose(at(gamma_functions.digamma, [1.0]), [-np.euler_gamma], rtol=1e-14)
    steps = at(gamma_functions.digamma, X + 1) - at(gamma_functions.digamma, X)
    np.testing.assert_allclose(steps, 1 / X, rtol=1e-10, atol=1e-12)
    poles = at(gamma_functions.digamma, [0.0, -0.0, -2.0])
    assert poles[0] == -math.inf and poles[1] == math.inf and math.isnan(poles[2])


def test_zeta_is_its_series():
    k = np.arange(200_000)
    for x, q in ((2.0, 1.0), (3.5, 0.3), (6.0, 12.0), (4.0, -2.5)):
        rest = (k[-1] + 1 + q) ** (1 - x) / (x - 1)  # of the integral
        expected = (np.abs(k + q) ** -x * np.where(x % 1 == 0, np.sign(k + q) ** x, 1)).sum() + rest
        np.testing.assert_allclose(at(gamma_functions.zeta, [x], [q]), [expected], rtol=1e-9)
    special = at(gamma_functions.zeta, [1.0, 0.5, 2.0, 2.5], [2.0, 2.0, -3.0, -0.5])
    assert special[0] == special[2] == math.inf and np.isnan(special[[1, 3]]).all()


def test_polygamma_follows_its_recurrence():
    for n in (1, 2, 3):
        polygamma = at(lambda x, n=n: gamma_functions.polygamma(n, x), X + 1)
        before = at(lambda x, n=n: gamma_functions.polygamma(n, x), X)
        np.testing.assert_allclose(
            polygamma - before, (-1) ** n * math.factorial(n) / X ** (n + 1), rtol=1e-6, atol=1e-7
        )
