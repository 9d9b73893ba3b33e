"""The scaled complementary error function, and the normal distribution's function, its logarithm and its inverse.

Sources: Cody's approximations in ``float64``; for the inverse Acklam's rational approximation, with a step of Halley's
iteration (https://stackedboxes.org/2017/05/01/acklams-normal-quantile-function).
"""

import math

import mlx.core as mx

from lucid.kernels import float64
from lucid.kernels.custom_vjp import custom_vjp

_ROOT_2 = math.sqrt(2)


def erfc(x: mx.array) -> mx.array:
    """``1 - erf(x)`` in every floating-point dtype."""
    return float64.erfc64(x) if x.dtype == mx.float64 else float64.erfc32(x.astype(mx.float32)).astype(x.dtype)


def _erfcx(x: mx.array) -> mx.array:
    size = mx.abs(x)
    outer = float64.scaled_erfc_above(mx.maximum(size, 0.46875))
    near = mx.clip(x, -0.46875, 0.46875)
    inner = float64.exp(near * near) * erfc(near)
    below = 2 * float64.exp(x * x) - outer
    return mx.where(size <= 0.46875, inner, mx.where(x < 0, below, outer))


erfcx: float64.Function = custom_vjp(
    _erfcx, vjp=lambda cotangent, x: (cotangent * (2 * x * erfcx(x) - 2 / math.sqrt(math.pi)),)
)


def ndtr(x: mx.array) -> mx.array:
    """The distribution function of the standard normal distribution."""
    return 0.5 * erfc(-x / _ROOT_2)


def log_ndtr(x: mx.array) -> mx.array:
    """The logarithm of ``ndtr`` without underflow."""
    is_low = x < -1
    low, high = mx.where(is_low, x, -1), mx.where(is_low, 0, x)
    return mx.where(is_low, mx.log(0.5 * erfcx(-low / _ROOT_2)) - low * low / 2, mx.log1p(-0.5 * erfc(high / _ROOT_2)))


_A = (
    -3.969683028665376e1,
    2.209460984245205e2,
    -2.759285104469687e2,
    1.383577518672690e2,
    -3.066479806614716e1,
    2.506628277459239,
)
_B = (-5.447609879822406e1, 1.615858368580409e2, -1.556989798598866e2, 6.680131188771972e1, -1.328068155288572e1, 1.0)
_C = (
    -7.784894002430293e-3,
    -3.223964580411365e-1,
    -2.400758277161838,
    -2.549732539343734,
    4.374664141464968,
    2.938163982698783,
)
_D = (7.784695709041462e-3, 3.224671290700398e-1, 2.445134137142996, 3.754408661907416, 1.0)  # fmt: skip


def _ndtri(p: mx.array) -> mx.array:
    tail = mx.minimum(p, 1 - p)
    is_tail = tail < 0.02425
    middle = mx.where(is_tail, 0, tail - 0.5)
    square = middle * middle
    inner = middle * float64.ratio(square, _A, _B)
    root = mx.sqrt(-2 * mx.log(mx.where(is_tail & (tail > 0), tail, 0.01)))
    outer = float64.ratio(root, _C, _D)
    x = mx.where(is_tail, outer, inner)  # of the lower tail
    error = (ndtr(x) - tail) * math.sqrt(2 * math.pi) * float64.exp(x * x / 2)
    x = x - error / (1 + x * error / 2)
    x = mx.where(p > 0.5, -x, x)
    x = mx.where(p == 0, -mx.inf, mx.where(p == 1, mx.inf, x))
    return mx.where((p < 0) | (p > 1), mx.nan, x)


def _ndtri_vjp(cotangent: mx.array, p: mx.array) -> tuple[mx.array]:
    return (cotangent * math.sqrt(2 * math.pi) * float64.exp(mx.square(ndtri(p)) / 2),)


ndtri: float64.Function = custom_vjp(_ndtri, vjp=_ndtri_vjp)
