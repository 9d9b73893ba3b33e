"""The logarithm of the gamma function and its derivatives, and the Hurwitz zeta function.

Sources: Abramowitz and Stegun, Handbook of Mathematical Functions, 6.1.40 (Stirling's series), 6.3.18 (digamma), 6.1.17
and 6.3.7 (reflection); the zeta function by Euler and Maclaurin, as ZETA of S. Moshier's Cephes library.
"""

import math

import mlx.core as mx

from lucid.kernels import float64
from lucid.kernels.custom_vjp import custom_vjp

# Of Stirling's series: B(2k) / (2k (2k - 1)); of digamma's: B(2k) / 2k.
_STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156)
_DIGAMMA = (1 / 12, -1 / 120, 1 / 252, -1 / 240, 1 / 132, -691 / 32760, 1 / 12)
# (2k)! / B(2k)
_ZETA = (
    12.0, -720.0, 30240.0, -1209600.0, 47900160.0, -1.8924375803183791606e9, 7.47242496e10, -2.950130727918164224e12,
    1.1646782814350067249e14, -4.5979787224074726105e15, 1.8152105401943546773e17, -7.1661652561756670113e18,
)  # fmt: skip
_SHIFT = 10  # the series are exact from here on


def _series(x: mx.array, coefficients: tuple[float, ...]) -> mx.array:
    found = mx.zeros_like(x)
    for one in reversed(coefficients):
        found = found * x + one
    return found


def _sine_of_pi(x: mx.array) -> mx.array:
    """sin(pi x), exact zeros at integers."""
    rest = x - 2 * mx.round(x / 2)  # in [-1, 1]
    rest = mx.where(mx.abs(rest) > 0.5, mx.sign(rest) - rest, rest)
    return float64.sin(rest * math.pi)


def _lgamma(x: mx.array) -> mx.array:
    size = mx.where(x < 0.5, 1 - x, x)
    product, shifted = mx.ones_like(size), size
    for _ in range(_SHIFT):
        is_small = shifted < _SHIFT
        product = mx.where(is_small, product * shifted, product)
        shifted = mx.where(is_small, shifted + 1, shifted)
    inverse = 1 / shifted
    found = (shifted - 0.5) * mx.log(shifted) - shifted + 0.5 * math.log(2 * math.pi) - mx.log(product)
    found = found + inverse * _series(inverse * inverse, _STIRLING)
    found = mx.where(mx.isinf(shifted), mx.inf, found)
    sine = mx.abs(_sine_of_pi(x))
    reflected = math.log(math.pi) - mx.log(sine) - found
    found = mx.where(x < 0.5, reflected, found)
    return mx.where(((x <= 0) & (x == mx.floor(x))) | mx.isinf(x), mx.inf, found)


def _digamma(x: mx.array) -> mx.array:
    size = mx.where(x < 0, 1 - x, x)
    total, shifted = mx.zeros_like(size), size
    for _ in range(_SHIFT):
        is_small = shifted < _SHIFT
        total = mx.where(is_small, total - 1 / shifted, total)
        shifted = mx.where(is_small, shifted + 1, shifted)
    inverse = 1 / shifted
    square = inverse * inverse
    found = total + mx.log(shifted) - 0.5 * inverse - square * _series(square, _DIGAMMA)
    rest = x - mx.floor(x)  # in [0, 1)
    cotangent = float64.cos(rest * math.pi) / _sine_of_pi(rest)
    found = mx.where(x < 0, found - math.pi * cotangent, found)
    found = mx.where((x < 0) & (rest == 0), mx.nan, found)
    return mx.where(x == 0, -1 / x, found)  # infinite, with the opposite sign of the zero


def _zeta(x: mx.array, q: mx.array) -> mx.array:
    total, a = mx.power(q, -x), q
    term = total
    for step in range(30):  # 10 steps for positive q
        is_on = (a <= 9) if step >= 9 else mx.ones(a.shape, mx.bool_)
        a = mx.where(is_on, a + 1, a)
        term = mx.where(is_on, mx.power(a, -x), term)
        total = mx.where(is_on, total + term, total)
    total = total + term * a / (x - 1) - 0.5 * term
    factor, k = mx.ones_like(x), 0.0
    for one in _ZETA:
        factor = factor * (x + k)
        term = term / a
        total = total + factor * term / one
        factor = factor * (x + k + 1)
        term = term / a
        k += 2
    total = mx.where(mx.isnan(total) & (q > 9), 0, total)  # powers of a below the smallest number
    is_pole = (q <= 0) & (q == mx.floor(q))
    total = mx.where(is_pole, mx.inf, mx.where((q <= 0) & (x != mx.floor(x)), mx.nan, total))
    return mx.where(x == 1, mx.inf, mx.where(x < 1, mx.nan, total))


zeta: float64.Function = custom_vjp(
    _zeta, vjp=lambda cotangent, x, q: (mx.zeros_like(x) + mx.nan, -cotangent * x * zeta(x + 1, q))
)


def polygamma(n: int, x: mx.array) -> mx.array:
    """The n-th derivative of digamma."""
    if n == 0:
        return digamma(x)
    if n == 1:
        return _trigamma(x)
    sign = 1 if n % 2 else -1
    return sign * float(math.factorial(min(n, 170))) * zeta(mx.full(x.shape, mx.array(n + 1, x.dtype)), x)


def _trigamma(x: mx.array) -> mx.array:
    is_low = x < 0.5
    found = zeta(mx.full(x.shape, mx.array(2, x.dtype)), mx.where(is_low, 1 - x, x))
    sine = mx.where(is_low, _sine_of_pi(x), 1)
    return mx.where(is_low, mx.square(math.pi / sine) - found, found)


digamma: float64.Function = custom_vjp(_digamma, vjp=lambda cotangent, x: (cotangent * polygamma(1, x),))
lgamma: float64.Function = custom_vjp(_lgamma, vjp=lambda cotangent, x: (cotangent * digamma(x),))
