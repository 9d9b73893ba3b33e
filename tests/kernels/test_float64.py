"""float64 functions against NumPy, Python's math module and each other, and their gradients against formulas."""

import math
import statistics

import mlx.core as mx
import numpy as np
import pytest

from lucid.kernels import float64 as module
from tests.kernels.formulas import ERF

RNG = np.random.default_rng(0)
SPECIAL = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-300, -1e-300])
X = np.concatenate([RNG.uniform(-8, 8, 400), RNG.uniform(-40, 40, 200), RNG.uniform(-1, 1, 100), [0.46875, 4, -4]])
NEAR_1 = 1 - 10.0 ** RNG.uniform(-15, -1, 50)
INSIDE = np.concatenate([RNG.uniform(-1, 1, 200), NEAR_1, -NEAR_1])
ERFC = np.vectorize(math.erfc)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def slope_of_erf(x):
    return 2 / math.sqrt(math.pi) * np.exp(-x * x)


def erfinv(x):
    low = np.vectorize(statistics.NormalDist().inv_cdf)((1 - np.abs(x)) / 2)  # digits next to 1 too
    return -low * np.sign(x) / math.sqrt(2)


# Function, formula, its derivative, where.
FUNCTIONS = {
    "exp": (module.exp64, np.exp, np.exp, np.concatenate([X, np.linspace(-744, 709, 100), SPECIAL])),
    "sin": (module.sin64, np.sin, np.cos, np.concatenate([X, RNG.uniform(-1e6, 1e6, 100), np.arange(-9, 9) * np.pi])),
    "cos": (module.cos64, np.cos, lambda x: -np.sin(x), np.concatenate([X, np.arange(-9, 9) * np.pi / 2, SPECIAL])),
    "tan": (module.tan64, np.tan, lambda x: 1 / np.cos(x) ** 2, X),
    "tanh": (module.tanh64, np.tanh, lambda x: 1 / np.cosh(x) ** 2, X),
    "log2": (module.log2_64, np.log2, lambda x: 1 / (x * math.log(2)), np.abs(X)),
    "log10": (module.log10_64, np.log10, lambda x: 1 / (x * math.log(10)), np.abs(X)),
    "sigmoid": (module.sigmoid64, sigmoid, lambda x: sigmoid(x) * sigmoid(-x), np.concatenate([X, SPECIAL])),
    "erf": (module.erf64, ERF, slope_of_erf, np.concatenate([X, SPECIAL])),
    "erfc": (module.erfc64, ERFC, lambda x: -slope_of_erf(x), np.concatenate([X[X < 26], SPECIAL])),
    "erfinv": (module.erfinv64, erfinv, lambda x: 1 / slope_of_erf(erfinv(x)), INSIDE),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_and_gradients_have_14_digits(name):
    function, formula, slope, x = FUNCTIONS[name]
    cotangent = RNG.uniform(0.5, 2, x.shape)
    with mx.stream(mx.cpu), np.errstate(all="ignore"):
        (value,), (gradient,) = mx.vjp(function, [mx.array(x, mx.float64)], [mx.array(cotangent, mx.float64)])
        assert value.dtype == gradient.dtype == mx.float64
        np.testing.assert_allclose(np.array(value), formula(x), rtol=2e-14, atol=1e-300)
        finite = np.isfinite(x)
        np.testing.assert_allclose(np.array(gradient)[finite], (cotangent * slope(x))[finite], rtol=1e-13, atol=1e-300)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_second_derivatives_are_those_of_central_differences(name):
    function, _, slope, x = FUNCTIONS[name]
    x = x[np.isfinite(x) & (np.abs(x) < (0.9 if name == "erfinv" else 3)) & (np.abs(x) > 0.1)]
    with mx.stream(mx.cpu):
        ones = mx.ones(x.shape, mx.float64)
        second = mx.vjp(lambda x: mx.vjp(function, [x], [ones])[1][0], [mx.array(x, mx.float64)], [ones])[1][0]
        step = 1e-5
        wanted = (slope(x + step) - slope(x - step)) / (2 * step)
        np.testing.assert_allclose(np.array(second), wanted, rtol=1e-6, atol=1e-6)


def test_erfinv_at_and_beyond_1():
    with mx.stream(mx.cpu):
        found = module.erfinv64(mx.array([1.0, -1.0, 1.5, np.nan, 0.0], mx.float64)).tolist()
    assert found[:2] == [np.inf, -np.inf] and np.isnan(found[2:4]).all() and found[4] == 0


def test_logaddexp_and_its_sums():
    x, y = RNG.uniform(-40, 40, (2, 300))
    x[:4], y[:4] = [np.inf, -np.inf, 1, -np.inf], [1, -np.inf, np.nan, 2]
    with mx.stream(mx.cpu), np.errstate(all="ignore"):
        a, b = mx.array(x, mx.float64), mx.array(y, mx.float64)
        np.testing.assert_allclose(np.array(module.logaddexp(a, b)), np.logaddexp(x, y), rtol=1e-14)
        da, db = mx.vjp(module.logaddexp, [a, b], [mx.ones(300, mx.float64)])[1]
        np.testing.assert_allclose(np.array(da)[4:], sigmoid(x - y)[4:], rtol=1e-13)
        np.testing.assert_allclose(np.array(db)[4:], sigmoid(y - x)[4:], rtol=1e-13)
        rows = RNG.uniform(-40, 40, (7, 9))
        powers = np.exp(rows - rows.max(1, keepdims=True))
        total = powers.sum(1, keepdims=True)
        z = mx.array(rows, mx.float64)
        np.testing.assert_allclose(np.array(module.softmax64(z, 1)), powers / total, rtol=1e-14)
        wanted = np.log(total) + rows.max(1, keepdims=True)
        np.testing.assert_allclose(np.array(module.logsumexp64(z, 1)), wanted, rtol=1e-14)


def test_other_dtypes_get_mlxs_functions():
    x = mx.array([0.5, -1.0])
    assert module.exp(x).tolist() == mx.exp(x).tolist() and module.erf(x).dtype == mx.float32
    assert module.sigmoid(x).tolist() == mx.sigmoid(x).tolist()
    assert module.logaddexp(x, x).tolist() == mx.logaddexp(x, x).tolist()


def test_erfc_of_float32_has_digits_in_the_tail():
    x = np.array([0.0, 0.3, 0.5, 2.0, 4.0, 6.0, 9.0, -1.0, -5.0], np.float32)
    value, gradient = mx.value_and_grad(lambda x: module.erfc32(x).sum())(mx.array(x))
    assert value.dtype == mx.float32
    np.testing.assert_allclose(np.array(module.erfc32(mx.array(x))), ERFC(x.astype(np.float64)), rtol=5e-6)
    np.testing.assert_allclose(np.array(gradient), -slope_of_erf(x.astype(np.float64)), rtol=1e-5)
