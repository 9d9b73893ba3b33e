"""float64 versions of the functions that MLX's CPU backend, the only one with float64, computes in float32.

That is so in MLX 0.32 for exp, sin, cos, erf, erfinv, sigmoid and logaddexp, for all that is made of them (softmax,
logsumexp), and for the constants in the gradients of log2 and log10. sinh, cosh, tan, tanh, expm1 and log1p are exact
to float64, so most of the functions below are made of those. Each has a gradient of its own, made of the same
functions, so that derivatives of all orders are as accurate.

``exp(x)`` and the others choose by dtype, for code that other dtypes share.

Sources: Cody, Rational Chebyshev approximations for the error function, Math. Comp. 23 (1969), with the coefficients of
CALERF in SPECFUN; Giles, Approximating the erfinv function, GPU Computing Gems 2 (2012), with Halley's iteration.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import mlx.core as mx

from lucid.kernels.custom_vjp import custom_vjp

Function = Callable[..., mx.array]


def _by_dtype(exact: Callable[..., mx.array], usual: Callable[..., mx.array]) -> Callable[..., mx.array]:
    def function(x: mx.array) -> mx.array:
        return exact(x) if x.dtype == mx.float64 else usual(x)

    return function


def _exp(x: mx.array) -> mx.array:
    # 1 + expm1(x) is exact for x >= 0. Below, the square of exp(x / 2) also reaches the numbers below 1e-308.
    below = x < 0
    power = 1 + mx.expm1(mx.where(below, x * -0.5, x))
    root = 1 / power
    return mx.where(below, root * root, power)


exp64: Function = custom_vjp(_exp, vjp=lambda cotangent, x: (cotangent * exp64(x),))


def _sin(x: mx.array) -> mx.array:
    half = mx.tan(x * 0.5)
    return 2 * half / (1 + half * half)


def _cos(x: mx.array) -> mx.array:
    half, whole = mx.tan(x * 0.5), mx.tan(x)
    size = 1 / mx.sqrt(1 + whole * whole)  # exact near 0 too, where (1 - half²) / (1 + half²) cancels
    return mx.where(mx.abs(half) <= 1, size, -size)


sin64: Function = custom_vjp(_sin, vjp=lambda cotangent, x: (cotangent * cos64(x),))
cos64: Function = custom_vjp(_cos, vjp=lambda cotangent, x: (-cotangent * sin64(x),))
tan64: Function = custom_vjp(mx.tan, vjp=lambda cotangent, x: (cotangent * (1 + mx.square(tan64(x))),))
tanh64: Function = custom_vjp(mx.tanh, vjp=lambda cotangent, x: (4 * cotangent * sigmoid64(2 * x) * sigmoid64(-2 * x),))
log2_64 = custom_vjp(mx.log2, vjp=lambda cotangent, x: (cotangent / (x * math.log(2)),))
log10_64 = custom_vjp(mx.log10, vjp=lambda cotangent, x: (cotangent / (x * math.log(10)),))


def _sigmoid(x: mx.array) -> mx.array:
    small = _exp(-mx.abs(x))
    return mx.where(x < 0, small, 1) / (1 + small)


def _sigmoid_vjp(cotangent: mx.array, x: mx.array) -> tuple[mx.array]:
    return (cotangent * sigmoid64(x) * sigmoid64(-x),)


sigmoid64: Function = custom_vjp(_sigmoid, vjp=_sigmoid_vjp)


def _logaddexp(x: mx.array, other: mx.array) -> mx.array:
    top = mx.maximum(x, other)
    return mx.where(mx.isinf(top), top, top + mx.log1p(_exp(-mx.abs(x - other))))


def _logaddexp_vjp(cotangent: mx.array, x: mx.array, other: mx.array) -> tuple[mx.array, mx.array]:
    share = x - other
    return cotangent * sigmoid64(share), cotangent * sigmoid64(-share)


_logaddexp64 = custom_vjp(_logaddexp, vjp=_logaddexp_vjp)


def logaddexp64(x: mx.array, other: mx.array) -> mx.array:
    x, other = mx.broadcast_arrays(x, other)
    return _logaddexp64(x, other)


# Numerators and denominators, from the highest power down; the first of the denominators is 1.
_ERF_P = (
    1.85777706184603153e-1, 3.16112374387056560e0, 1.13864154151050156e2, 3.77485237685302021e2, 3.20937758913846947e3,
)  # fmt: skip
_ERF_Q = (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3)
_ERFC_P = (
    2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594e0, 6.61191906371416295e1, 2.98635138197400131e2,
    8.81952221241769090e2, 1.71204761263407058e3, 2.05107837782607147e3, 1.23033935479799725e3,
)  # fmt: skip
_ERFC_Q = (
    1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2, 1.62138957456669019e3,
    3.29079923573345963e3, 4.36261909014324716e3, 3.43936767414372164e3, 1.23033935480374942e3,
)  # fmt: skip
_FAR_P = (
    1.63153871373020978e-2, 3.05326634961232344e-1, 3.60344899949804439e-1, 1.25781726111229246e-1,
    1.60837851487422766e-2, 6.58749161529837803e-4,
)  # fmt: skip
_FAR_Q = (
    1.0, 2.56852019228982242e0, 1.87295284992346725e0, 5.27905102951428412e-1, 6.05183413124413191e-2,
    2.33520497626869185e-3,
)  # fmt: skip


def _polynomial(x: mx.array, coefficients: Sequence[float]) -> mx.array:
    result: Any = coefficients[0]
    for one in coefficients[1:]:
        result = result * x + one
    return result


def ratio(x: mx.array, numerator: Sequence[float], denominator: Sequence[float]) -> mx.array:
    return _polynomial(x, numerator) / _polynomial(x, denominator)


def scaled_erfc_above(size: mx.array) -> mx.array:
    """exp(size²) erfc(size) for ``size`` of at least 0.46875."""
    near = ratio(mx.minimum(size, 4), _ERFC_P, _ERFC_Q)
    far_size = mx.maximum(size, 4)
    inverse = 1 / (far_size * far_size)
    far = (1 / math.sqrt(math.pi) - inverse * ratio(inverse, _FAR_P, _FAR_Q)) / far_size
    return mx.where(size <= 4, near, far)


def _erfc_above(size: mx.array, exponential: Callable[[mx.array], mx.array]) -> mx.array:
    """erfc for ``size`` of at least 0.46875."""
    scaled = scaled_erfc_above(size)
    # exp(-size²) in two factors, of which the first is exact: size² loses the digits that its exponential needs.
    size = mx.minimum(size, 30)  # erfc(30) is below the smallest float64, and inf - inf is NaN
    coarse = mx.trunc(size * 16) / 16
    decay = exponential(-coarse * coarse) * exponential((coarse - size) * (coarse + size))
    return decay * scaled


def _erf(x: mx.array) -> mx.array:
    size = mx.abs(x)
    near = mx.minimum(size, 0.5)
    inner = x * ratio(near * near, _ERF_P, _ERF_Q)
    outer = (1 - _erfc_above(mx.maximum(size, 0.46875), _exp)) * mx.sign(x)
    return mx.where(size <= 0.46875, inner, outer)


def _erfc(x: mx.array, exponential: Callable[[mx.array], mx.array] = _exp) -> mx.array:
    size = mx.abs(x)
    near = mx.minimum(size, 0.5)
    inner = 1 - x * ratio(near * near, _ERF_P, _ERF_Q)
    above = _erfc_above(mx.maximum(size, 0.46875), exponential)
    return mx.where(size <= 0.46875, inner, mx.where(x < 0, 2 - above, above))


def _erf_slope(x: mx.array) -> mx.array:
    return exp64(-x * x) * (2 / math.sqrt(math.pi))


erf64 = custom_vjp(_erf, vjp=lambda cotangent, x: (cotangent * _erf_slope(x),))
erfc64 = custom_vjp(_erfc, vjp=lambda cotangent, x: (-cotangent * _erf_slope(x),))


def _erfc32_vjp(cotangent: mx.array, x: mx.array) -> tuple[mx.array]:
    return (-cotangent * mx.exp(-x * x) * (2 / math.sqrt(math.pi)),)


# Of float32, with digits where 1 - erf(x) has none.
erfc32 = custom_vjp(lambda x: _erfc(x, mx.exp), vjp=_erfc32_vjp)

_ERFINV_CENTRAL = (
    2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087, -0.00125372503, -0.00417768164,
    0.246640727, 1.50140941,
)  # fmt: skip
_ERFINV_TAIL = (
    -0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773, -0.0076224613, 0.00943887047,
    1.00167406, 2.83297682,
)  # fmt: skip


def _erfinv(x: mx.array) -> mx.array:
    size = mx.abs(x)
    inside = size < 1
    safe = mx.where(inside, size, 0)
    w = -mx.log((1 - safe) * (1 + safe))
    near = _polynomial(mx.minimum(w, 5) - 2.5, _ERFINV_CENTRAL)
    far = _polynomial(mx.sqrt(mx.maximum(w, 5)) - 3, _ERFINV_TAIL)
    y = mx.where(w < 5, near, far) * safe  # six digits, fewer next to 1
    central = safe < 0.5
    for _ in range(4):
        # Halley's iteration for erf(y) = x. Where erf(y) is close to 1, Newton's for log(erfc(y)) = log(1 - x).
        beyond = _erfc(y)
        error = mx.where(central, _erf(y) - safe, beyond * (mx.log(1 - safe) - mx.log(beyond)))
        step = error / _erf_slope(y)
        y = y - mx.where(central, step / (1 + y * step), step)
    result = mx.where(inside, y, mx.where(size == 1, mx.inf, mx.nan))
    return result * mx.sign(x)


def _erfinv_vjp(cotangent: mx.array, x: mx.array) -> tuple[mx.array]:
    return (cotangent / _erf_slope(erfinv64(x)),)


erfinv64: Function = custom_vjp(_erfinv, vjp=_erfinv_vjp)

exp = _by_dtype(exp64, mx.exp)
sin = _by_dtype(sin64, mx.sin)
cos = _by_dtype(cos64, mx.cos)
sigmoid = _by_dtype(sigmoid64, mx.sigmoid)
erf = _by_dtype(erf64, mx.erf)


def logaddexp(x: mx.array, other: mx.array) -> mx.array:
    """``mx.logaddexp`` of two arrays of one dtype."""
    return logaddexp64(x, other) if x.dtype == mx.float64 else mx.logaddexp(x, other)


def logsumexp64(x: mx.array, axis: int) -> mx.array:
    """``mx.logsumexp(x, axis, keepdims=True)``."""
    top = mx.stop_gradient(mx.max(x, axis, keepdims=True))
    top = mx.where(mx.isfinite(top), top, 0)
    return mx.log(mx.sum(exp64(x - top), axis, keepdims=True)) + top


def softmax64(x: mx.array, axis: int) -> mx.array:
    if not x.size:
        return x
    powers = exp64(x - mx.stop_gradient(mx.max(x, axis, keepdims=True)))
    return powers / mx.sum(powers, axis, keepdims=True)
