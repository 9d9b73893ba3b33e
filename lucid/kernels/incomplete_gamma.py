"""The regularized incomplete gamma functions P(a, x) and Q(a, x) = 1 - P(a, x), with the derivative by x.

For small a, P is a power series for x < a + 1 (DLMF 8.7.1), and Q beyond it a continued fraction (DLMF 8.9.2). For
large a, where both need many terms near x = a, the integral is taken by Gauss and Legendre's rule over the part of it
that counts, in the manner of Numerical Recipes, third edition, section 6.2.1.
"""

import math
from collections.abc import Callable

import mlx.core as mx
import numpy as np

from lucid.kernels import float64, sampling
from lucid.kernels.custom_vjp import custom_vjp
from lucid.kernels.gamma_functions import digamma, lgamma

_LARGE = 20.0  # from here on by quadrature
_TERMS = 64  # of the series, at the largest a and x
_FRACTIONS = 80  # of the continued fraction, at the smallest x
_NODES, _WEIGHTS = (one.tolist() for one in np.polynomial.legendre.leggauss(48))


def _log_prefactor(a: mx.array, x: mx.array) -> mx.array:
    """``log(x**a exp(-x) / gamma(a))``, without subtracting large numbers where x is near a large a."""
    is_large = a >= _LARGE
    far = mx.where(is_large, _LARGE, a)
    small = far * mx.log(x) - x - lgamma(far)
    big = mx.where(is_large, a, _LARGE)
    inverse = 1 / big
    square = inverse * inverse
    stirling = inverse * (1 / 12 - square * (1 / 360 - square * (1 / 1260 - square / 1680)))
    return mx.where(is_large, big * _log1p_minus((x - big) / big) + 0.5 * mx.log(big / (2 * math.pi)) - stirling, small)


def _log1p_minus(x: mx.array) -> mx.array:
    """``log1p(x) - x``, by its series near 0."""
    is_near = mx.abs(x) < 0.1
    near, far = mx.where(is_near, x, 0), mx.where(is_near, 0.5, x)
    total = mx.zeros_like(x)
    for k in range(16, 1, -1):
        total = (-1) ** (k + 1) / k + near * total
    return mx.where(is_near, near * near * total, mx.log1p(mx.maximum(far, -1)) - far)


def _series(a: mx.array, x: mx.array) -> mx.array:
    """``P(a, x) / prefactor`` for x < a + 1."""
    term = total = 1 / a
    for n in range(1, _TERMS):
        term = term * (x / (a + n))
        total = total + term
    return total


def _fraction(a: mx.array, x: mx.array) -> mx.array:
    """``Q(a, x) / prefactor`` for x >= a + 1, from the last level of the fraction to the first."""
    found = mx.zeros_like(x)
    for n in range(_FRACTIONS, 0, -1):
        found = n * (n - a) / (x + 2 * n + 1 - a - found)
    return 1 / (x + 1 - a - found)


def _integral(a: mx.array, x: mx.array, function: Callable[[mx.array], mx.array]) -> tuple[mx.array, mx.array]:
    """For large a: whether x is above the mean, and the integral of ``function`` over what is further from it."""
    mean, width = a - 1, mx.sqrt(a)
    is_upper = x > mean
    above = mx.maximum(mean + 11.5 * width, x + 6 * width)
    below = mx.maximum(mx.minimum(mean - 7.5 * width, x - 5 * width), 0)
    half = mx.abs(mx.where(is_upper, above, below) - x) / 2
    middle = mx.where(is_upper, x + half, x - half)
    total = mx.zeros_like(x)
    for node, weight in zip(_NODES, _WEIGHTS, strict=True):
        total = total + weight * function(mx.maximum(middle + half * node, 1e-30))
    return is_upper, total * half


def _quadrature(a: mx.array, x: mx.array) -> tuple[mx.array, mx.array]:
    """P and Q for large a."""
    is_upper, part = _integral(a, x, lambda t: float64.exp(_log_prefactor(a, t)) / t)
    part = mx.clip(part, 0, 1)
    return mx.where(is_upper, 1 - part, part), mx.where(is_upper, part, 1 - part)


def _split(a: mx.array, x: mx.array) -> tuple[mx.array, mx.array, mx.array]:
    """Where the series is used, and the arguments of the series and of the continued fraction."""
    near = x < a + 1
    return near, mx.where(near, x, a), mx.where(near, a + 1, x)


def _both(a: mx.array, x: mx.array) -> tuple[mx.array, mx.array]:
    is_valid = (a > 0) & (x > 0) & (a < mx.inf) & (x < mx.inf)
    sure_a, sure_x = mx.where(is_valid, a, 1), mx.where(is_valid, x, 1)
    is_large = sure_a >= _LARGE
    little, big = mx.where(is_large, 1, sure_a), mx.where(is_large, sure_a, _LARGE)
    near, series_x, fraction_x = _split(little, sure_x)
    factor = float64.exp(_log_prefactor(little, sure_x))
    lower, upper = factor * _series(little, series_x), factor * _fraction(little, fraction_x)
    p, q = mx.where(near, lower, 1 - upper), mx.where(near, 1 - lower, upper)
    big_p, big_q = _quadrature(big, sure_x)
    p, q = mx.where(is_large, big_p, p), mx.where(is_large, big_q, q)
    # At the ends of the range, as in PyTorch.
    is_nan = (a < 0) | (x < 0) | mx.isnan(a) | mx.isnan(x) | ((a == 0) & (x == 0)) | (mx.isinf(a) & mx.isinf(x))
    is_one = (a == 0) | mx.isinf(x)
    p = mx.where(is_valid, p, mx.where(is_nan, mx.nan, mx.where(is_one, 1, 0)))
    q = mx.where(is_valid, q, mx.where(is_nan, mx.nan, mx.where(is_one, 0, 1)))
    return p, q


def density(a: mx.array, x: mx.array) -> mx.array:
    """The derivative of P by x: the density of the gamma distribution."""
    return float64.exp((a - 1) * mx.log(x) - x - lgamma(a))


def _no_derivative(a: mx.array) -> mx.array:
    return mx.zeros_like(a) + mx.nan  # as for zeta: PyTorch has none either


gammainc: float64.Function = custom_vjp(
    lambda a, x: _both(a, x)[0], vjp=lambda cotangent, a, x: (_no_derivative(a), cotangent * density(a, x))
)
gammaincc: float64.Function = custom_vjp(
    lambda a, x: _both(a, x)[1], vjp=lambda cotangent, a, x: (_no_derivative(a), -cotangent * density(a, x))
)


# Draws of the gamma distribution -------------------------------------------------------------------------------------

_ROUNDS = 8  # of rejection; the chance that all reject is below 1e-10


def log_standard_gamma(a: mx.array, key: mx.array) -> mx.array:
    """The logarithms of draws of gamma distributions with the shapes ``a`` (float32 or float64) and the rate 1.

    Source: Marsaglia and Tsang 2000, ACM TOMS 26. Below 1, it is a draw for a + 1 times a power of a uniform number.
    """
    is_small = a < 1
    d = mx.where(is_small, a + 1, a) - 1 / 3
    first, second, third = mx.random.split(key, 3)
    z = sampling.normal((_ROUNDS, *a.shape), a.dtype, first)
    root = 1 + z / (3 * mx.sqrt(d))
    v = mx.where(root > 0, root, 1) ** 3
    u = 1 - sampling.uniform((_ROUNDS, *a.shape), a.dtype, second)
    accepts = (root > 0) & (mx.log(u) < 0.5 * z * z + d - d * v + d * mx.log(v))
    chosen = mx.argmax(accepts, axis=0, keepdims=True)  # the first
    log = mx.log(d) + mx.log(mx.take_along_axis(v, chosen, 0)).squeeze(0)
    power = mx.log(1 - sampling.uniform(a.shape, a.dtype, third)) / mx.where(is_small, a, 1)
    return mx.where(is_small, log + power, log)


def shape_derivative(a: mx.array, log_x: mx.array) -> mx.array:
    """The derivative by ``a`` of the logarithm of a draw: ``-(dP/da) / (x dP/dx)``, by implicit differentiation.

    Source: Figurnov et al. 2018, arXiv:1805.08498.
    """
    x = float64.exp(log_x)
    is_large = a >= _LARGE
    little, big = mx.where(is_large, 1, a), mx.where(is_large, a, _LARGE)
    near, series_x, fraction_x = _split(little, x)
    slope = log_x - digamma(little)
    ones = mx.ones_like(a)
    [lower], [lower_slope] = mx.jvp(lambda a: _series(a, series_x), [little], [ones])
    [upper], [upper_slope] = mx.jvp(lambda a: _fraction(a, fraction_x), [little], [ones])
    found = mx.where(near, -(lower * slope + lower_slope), upper * slope + upper_slope)
    # The derivative of the density by a is the density times log(t) - digamma(a), whose integral over all t is 0.
    sure = mx.maximum(mx.where(is_large, x, _LARGE), 1e-30)
    inverse = 1 / big
    offset = inverse * (0.5 + inverse * (1 / 12 - inverse * inverse / 120))  # log(a) - digamma(a)
    at = _log_prefactor(big, sure)
    is_upper, part = _integral(
        big, sure, lambda t: float64.exp(_log_prefactor(big, t) - at) / t * (mx.log1p((t - big) / big) + offset)
    )
    return mx.where(is_large, mx.where(is_upper, part, -part), found)


def _draw_vjp(cotangent: mx.array, a: mx.array, key: mx.array) -> tuple[mx.array, mx.array]:
    return cotangent * shape_derivative(a, log_standard_gamma(a, key)), mx.zeros_like(key)


log_gamma_draw: float64.Function = custom_vjp(log_standard_gamma, vjp=_draw_vjp)
