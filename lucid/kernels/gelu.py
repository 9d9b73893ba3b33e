"""GELU, x * Phi(x) with the cumulative distribution function Phi of the normal distribution, and its derivatives.

Source: Hendrycks and Gimpel 2016, arXiv:1606.08415.

A GPU has a fast erf. Its gradient is written with -x throughout: if forward and backward pass had a subexpression in
common, such as x / sqrt(2), MLX would compute it once and write it to memory, and split what is one kernel otherwise.

MLX's CPU backend takes 33 ns for one erf, but 2 ns for a whole GELU made of rational functions and compiled into one
pass (2 cores, AMD EPYC, November 2026). So the CPU computes

    Phi(x)          = 0.5 + x P(x^2) / Q(x^2)     error below 2e-7, x clamped to [-5.3, 5.3]
    (x Phi(x))'     = 0.5 + x R(x^2) / S(x^2)     error below 4e-7, x clamped to [-6, 6]

with polynomials of degree 5, fitted to float64 values by iteratively reweighted least squares; float32 itself is no
more accurate near 1. ``native/pointwise.cpp`` does so in C++, four times as fast; MLX's operations do where that cannot
be compiled. The second derivative, (2 - x^2) times the normal density, is written out and differentiated by MLX.
"""

import math
from collections.abc import Callable, Sequence

import mlx.core as mx

from lucid import _device
from lucid.kernels import float64, native
from lucid.kernels.choice import reference_is_forced
from lucid.kernels.custom_vjp import custom_vjp
from lucid.kernels.fusion import fused

_CDF_LIMIT = 5.3
_CDF_P = (0.398942256, 0.0329227651, 0.0046271894, 0.000160199799, 6.37798146e-06, 2.40599511e-08)
_CDF_Q = (1.0, 0.249191378, 0.0281313511, 0.00183581824, 7.13080562e-05, 1.23736739e-06)
_SLOPE_LIMIT = 6.0
_SLOPE_P = (0.797884659, -0.030758892, 0.0142102294, 2.39007449e-05, 3.58495233e-05, 1.90939327e-07)
_SLOPE_Q = (1.0, 0.294786967, 0.0410589392, 0.00352844547, 0.000193403251, 8.88893374e-06)


def gelu(x: mx.array) -> mx.array:
    """``x * Phi(x)`` of a floating-point array, in its dtype; half precision is computed in float32."""
    version = implementation(x.dtype)
    if version == "reference":
        return reference(x)
    if version == "erf":
        return _erf_gelu(x)
    return _native_gelu(x) if version == "native" else _gelu(x.astype(mx.float32)).astype(x.dtype)


def gelu_vjp(cotangent: mx.array, x: mx.array) -> tuple[mx.array] | None:
    """The gradient of x, in its dtype, from that of ``gelu(x)``; ``None`` where MLX derives it."""
    version = implementation(x.dtype)
    if version == "reference":
        return None
    if version == "erf":
        return (_erf_slope(cotangent, x),)
    if version == "native":
        return (_native_slope(cotangent.astype(x.dtype), x),)
    return (_rational_slope(cotangent.astype(mx.float32), x.astype(mx.float32)).astype(x.dtype),)


def implementation(dtype: mx.Dtype) -> str:
    """The version for this dtype on the current device.

    - "reference": for float64, and where it is forced.
    - "erf": on GPUs.
    - "native": on the CPU, where the C++ kernels can be compiled.
    - "rational": otherwise on the CPU.
    """
    if reference_is_forced() or dtype == mx.float64:
        return "reference"
    if _device.backend() != "cpu":
        return "erf"
    return "native" if dtype in native.DTYPES and native.library() is not None else "rational"


def reference(x: mx.array) -> mx.array:
    """The same with MLX's erf, which MLX differentiates."""
    return value(x if x.dtype == mx.float64 else x.astype(mx.float32)).astype(x.dtype)


def value(x: mx.array) -> mx.array:
    """``x * Phi(x)`` with an exact erf, in the precision of ``x``."""
    return x * (0.5 + 0.5 * float64.erf(x * math.sqrt(0.5)))


def _clamped(x: mx.array, low: float, high: float) -> mx.array:
    """``x`` clamped to the limits, in a pass of its own.

    Within a fused pass, minimum and maximum are branches, because of NaN, and the compiler no longer vectorizes: 6 ns
    per element instead of 2. MLX does not fuse across expand_dims and squeeze.
    """
    return mx.expand_dims(mx.clip(x, low, high), 0).squeeze(0)


def _half_plus_odd_ratio(x: mx.array, numerator: Sequence[float], denominator: Sequence[float]) -> mx.array:
    """``0.5 + x numerator(x^2) / denominator(x^2)``.

    MLX fuses chains of up to 11 operations. Estrin's scheme keeps the chain short; Horner's would take 10 by itself.
    """
    square = x * x
    fourth = square * square
    eighth = fourth * fourth

    def polynomial(p: Sequence[float]) -> mx.array:
        return ((p[0] + p[1] * square) + (p[2] + p[3] * square) * fourth) + (p[4] + p[5] * square) * eighth

    return 0.5 + x * polynomial(numerator) / polynomial(denominator)


def _rational_gelu(x: mx.array) -> mx.array:
    return _times_cdf(x, _clamped(x, -_CDF_LIMIT, _CDF_LIMIT))


def _rational_slope(scale: mx.array, x: mx.array) -> mx.array:
    """``scale`` times the derivative of GELU at x."""
    return _times_slope(scale, x, _clamped(x, -_SLOPE_LIMIT, _SLOPE_LIMIT))


@fused
def _times_cdf(factor: mx.array, x: mx.array) -> mx.array:
    # Below the limit Phi is a rounding error instead of 0.
    return mx.where(factor < -_CDF_LIMIT, 0, factor) * _half_plus_odd_ratio(x, _CDF_P, _CDF_Q)


@fused
def _times_slope(factor: mx.array, x: mx.array, clamped: mx.array) -> mx.array:
    # Not `where(..., 0, factor)`: a factor of NaN or infinity must not vanish.
    return factor * mx.where(x < -_SLOPE_LIMIT, 0.0, 1.0) * _half_plus_odd_ratio(clamped, _SLOPE_P, _SLOPE_Q)


@fused
def _fused_erf_gelu(x: mx.array) -> mx.array:
    return reference(x)


@fused
def _fused_erf_slope(scale: mx.array, x: mx.array) -> mx.array:
    """``scale`` times the derivative of GELU at x. The conversion too is one of -x, which is exact."""
    minus = (-x).astype(mx.float32)
    density = mx.exp(mx.square(minus) * -0.5) * (1 / math.sqrt(2 * math.pi))
    slope = (0.5 - 0.5 * mx.erf(minus * math.sqrt(0.5))) - minus * density
    return (scale.astype(mx.float32) * slope).astype(x.dtype)


def _curvature(scale: mx.array, x: mx.array) -> mx.array:
    """``scale`` times the second derivative of GELU at x."""
    density = mx.exp(-0.5 * mx.square(x)) * (1 / math.sqrt(2 * math.pi))
    return scale * (2 - mx.square(x)) * density


def _differentiable(slope: Callable[..., mx.array]) -> Callable[..., mx.array]:
    """``slope(scale, x)``, which is ``scale`` times the derivative of GELU at x, with its own gradient."""

    def vjp(cotangent: mx.array, scale: mx.array, x: mx.array) -> tuple[mx.array, mx.array]:
        both = cotangent.astype(mx.float32) * scale.astype(mx.float32)
        return found(cotangent, x).astype(scale.dtype), _curvature(both, x.astype(mx.float32)).astype(x.dtype)

    found: Callable[..., mx.array] = custom_vjp(slope, vjp)
    return found


def _with_slope(value: Callable[..., mx.array], slope: Callable[..., mx.array]) -> Callable[..., mx.array]:
    found: Callable[..., mx.array] = custom_vjp(value, lambda cotangent, x: (slope(cotangent, x),))
    return found


_slope, _erf_slope = _differentiable(_rational_slope), _differentiable(_fused_erf_slope)
_native_slope = _differentiable(lambda scale, x: native.library().gelu_gradient(scale, x))
_gelu, _erf_gelu = _with_slope(_rational_gelu, _slope), _with_slope(_fused_erf_gelu, _erf_slope)
_native_gelu = _with_slope(lambda x: native.library().gelu(x), _native_slope)
