"""Element-wise arithmetic with special cases: of integers, of NaN, and at zeros."""

import math
from typing import Any

import mlx.core as mx

from lucid import _checks
from lucid.kernels import float64
from lucid.kernels.custom_vjp import custom_vjp
from lucid.kernels.power import power
from lucid.ops._common import (
    FLOATING,
    array,
    arrays,
    binary,
    floating,
    number_as,
    ordered,
)
from lucid.ops._selection import fmax_vjp, fmin_vjp
from lucid.ops._types import TensorLike
from lucid.tape import op

__all__ = ["fill", "float_power", "fmax", "fmin", "gcd", "heaviside", "lcm", "logaddexp2", "logit", "sinc", "xlogy"]


def _floats(caller: str, input: Any, other: Any) -> tuple[mx.array, mx.array]:
    """``_ordered`` of floating-point numbers; integers become float32."""
    x, other = ordered(caller, input, other)
    return floating(caller, x), floating(caller, other)


@op(vjp=fmax_vjp)
def fmax(input: TensorLike, other: TensorLike, *, out: None = None) -> mx.array:
    """Element-wise maximum that ignores NaN; of equal values, the first gets the gradient."""
    x, other = ordered("fmax", input, other)
    return mx.where((x >= other) | mx.isnan(other), x, other)


@op(vjp=fmin_vjp)
def fmin(input: TensorLike, other: TensorLike, *, out: None = None) -> mx.array:
    """Element-wise minimum that ignores NaN; of equal values, the first gets the gradient."""
    x, other = ordered("fmin", input, other)
    return mx.where((x <= other) | mx.isnan(other), x, other)


@op(autocast="float32")
def logaddexp2(input: TensorLike, other: TensorLike, *, out: None = None) -> mx.array:
    """``log2(2 ** input + 2 ** other)`` without overflow."""
    x, other = ordered("logaddexp2", input, other)
    if x.dtype not in FLOATING:
        raise _checks.DtypeError(f"logaddexp2: {_checks.dtype_name(x.dtype)} is not supported")
    return float64.logaddexp(x * math.log(2), other * math.log(2)) / math.log(2)


@op(autocast="float32")
def float_power(input: TensorLike, exponent: TensorLike, *, out: None = None) -> mx.array:
    """``input ** exponent`` in float64, or float32 on GPUs, which do not have float64; complex64 stays."""
    x, exponent = arrays("float_power", input, exponent)
    dtype = mx.float64 if mx.default_device().type == mx.cpu else mx.float32
    dtype = mx.complex64 if x.dtype == mx.complex64 else dtype
    return binary("float_power", power, x.astype(dtype), exponent.astype(dtype))


@op
def xlogy(input: TensorLike, other: TensorLike, *, out: None = None) -> mx.array:
    """``input * log(other)``, and 0 where ``input`` is 0, unless ``other`` is NaN."""
    return times_log("xlogy", mx.log, *_floats("xlogy", input, other))


def times_log(caller: str, log: Any, x: mx.array, other: mx.array) -> mx.array:
    """``x * log(other)``, where the value and the gradient of x are 0 if x is 0 and the logarithm is not finite."""
    is_zero = (x == 0) & ~mx.isnan(other)
    is_flat = is_zero & ~(other > 0 if log is mx.log else other > -1)
    inner = mx.where(is_flat, mx.ones_like(other), other)
    return mx.where(is_flat, x * 0, x * log(inner))


@op
def logit(input: TensorLike, eps: float | None = None, *, out: None = None) -> mx.array:
    """``log(input / (1 - input))``; with ``eps``, of ``input`` limited to [``eps``, 1 - ``eps``]."""
    x = array("logit", input)
    if x.dtype == mx.complex64:
        raise _checks.DtypeError("logit: complex64 is not supported")
    x = floating("logit", x)
    if eps is None:
        is_inside = (x >= 0) & (x <= 1)
        x = mx.where(is_inside, x, mx.nan)
        return mx.log(x / (1 - x))
    low = _checks.number("logit", "eps", eps)
    limited = mx.where(x < low, low, mx.where(x > 1 - low, 1 - low, x)).astype(x.dtype)
    return mx.log(limited / (1 - limited))


def _sinc(x: mx.array) -> mx.array:
    angle = mx.where(x == 0, 1, x * math.pi)
    return mx.where(x == 0, 1, float64.sin(angle) / angle).astype(x.dtype)


def _sinc_vjp(cotangent: mx.array, x: mx.array) -> tuple[mx.array]:
    # Near 0, where cos(angle) - sin(angle) / angle cancels, by its power series.
    angle = x * math.pi
    square = mx.square(angle)
    is_small = square < 0.25
    safe = mx.where(is_small, 1, angle)
    slope = (float64.cos(safe) - float64.sin(safe) / safe) / safe
    near = mx.zeros_like(angle)
    for power_of_angle in (11, 9, 7, 5, 3, 1):
        sign = -1 if power_of_angle % 4 == 1 else 1
        near = near * square + sign * (power_of_angle + 1) / math.factorial(power_of_angle + 2)
    near = near * angle
    return (cotangent * math.pi * mx.where(is_small, near, slope).astype(x.dtype),)


_real_sinc = custom_vjp(_sinc, vjp=_sinc_vjp)


@op
def sinc(input: TensorLike, *, out: None = None) -> mx.array:
    """``sin(pi * input) / (pi * input)``, and 1 at 0."""
    x = floating("sinc", input)
    return _sinc(x) if x.dtype == mx.complex64 else _real_sinc(x)


@op
def heaviside(input: TensorLike, values: TensorLike, *, out: None = None) -> mx.array:
    """0 where ``input`` is negative, 1 where it is positive, and ``values`` where it is 0."""
    x, at_zero = array("heaviside", input), array("heaviside", values, "values")
    if x.dtype != at_zero.dtype or x.dtype == mx.complex64:
        raise _checks.DtypeError(
            f"heaviside: input and values must be real and have the same dtype, got {_checks.dtype_name(x.dtype)} "
            f"and {_checks.dtype_name(at_zero.dtype)}"
        )
    _checks.broadcast_shapes("heaviside", x.shape, at_zero.shape)
    x = mx.stop_gradient(x)
    return mx.where(x == 0, mx.stop_gradient(at_zero), (x > 0).astype(x.dtype))


@op
def gcd(input: TensorLike, other: TensorLike, *, out: None = None) -> mx.array:
    """The greatest common divisor of integers."""
    return _gcd("gcd", *_integers("gcd", input, other))


@op
def lcm(input: TensorLike, other: TensorLike, *, out: None = None) -> mx.array:
    """The least common multiple of integers; 0 if one of them is 0."""
    x, other = _integers("lcm", input, other)
    divisor = _gcd("lcm", x, other)
    return mx.abs(x // mx.where(divisor == 0, 1, divisor).astype(x.dtype) * other)


def _integers(caller: str, input: Any, other: Any) -> tuple[mx.array, mx.array]:
    x, other = ordered(caller, input, other)
    if x.dtype in FLOATING or x.dtype == mx.bool_:
        raise _checks.DtypeError(f"{caller}: operands must be integers, got {_checks.dtype_name(x.dtype)}")
    return x, other


def _gcd(caller: str, x: mx.array, other: mx.array) -> mx.array:
    """Euclid's algorithm for all elements, with as many steps as numbers of these bits can need (Lamé)."""
    x, other = mx.abs(x), mx.abs(other)
    for _ in range(math.ceil(8 * x.dtype.size / math.log2((1 + 5**0.5) / 2)) + 1):
        rest = mx.where(other == 0, 0, mx.remainder(x, mx.maximum(other, 1))).astype(x.dtype)
        x, other = mx.where(other == 0, x, other), rest
    return x


@op
def fill(input: TensorLike, value: TensorLike) -> mx.array:
    """A tensor like ``input`` filled with the number ``value``."""
    x = array("fill", input)
    return mx.broadcast_to(number_as("fill", "value", value, x.dtype), x.shape)
