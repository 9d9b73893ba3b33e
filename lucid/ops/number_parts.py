"""The parts of floating-point numbers: signs, exponents, neighbors and special values."""

from typing import Any, NamedTuple

import mlx.core as mx

from lucid import _checks
from lucid.kernels.custom_vjp import custom_vjp
from lucid.ops._common import FLOATING, array, binary, floating, ordered
from lucid.ops._types import TensorLike
from lucid.tape import op

__all__ = ["copysign", "frexp", "isneginf", "isposinf", "isreal", "ldexp", "nextafter", "sgn", "signbit"]


class MantissaAndExponent(NamedTuple):
    """A number as ``mantissa * 2 ** exponent``."""

    mantissa: mx.array
    exponent: mx.array


@op
def ldexp(input: TensorLike, other: TensorLike, *, out: None = None) -> mx.array:
    """``input * 2 ** other``."""
    exponent = floating("ldexp", array("ldexp", other, "other"))
    return binary("ldexp", mx.multiply, input, mx.power(2.0, exponent))


# Bits of the sign, the exponent and the fraction.
_BITS = {
    mx.float16: (mx.int16, 10, 15), mx.bfloat16: (mx.int16, 7, 127), mx.float32: (mx.int32, 23, 127),
    mx.float64: (mx.int64, 52, 1023),
}  # fmt: skip


@op
def signbit(input: TensorLike, *, out: None = None) -> mx.array:
    """True where the sign is negative, that of -0.0 too."""
    x = array("signbit", input)
    if x.dtype == mx.complex64:
        raise _checks.DtypeError("signbit: complex64 is not supported")
    if x.dtype not in FLOATING:
        return mx.zeros(x.shape, mx.bool_) if x.dtype == mx.bool_ else x < 0
    return mx.contiguous(x).view(_BITS[x.dtype][0]) < 0


@op
def copysign(input: TensorLike, other: TensorLike, *, out: None = None) -> mx.array:
    """The absolute value of ``input`` with the sign of ``other``, that of -0.0 too."""
    x, other = (floating("copysign", one) for one in ordered("copysign", input, other))
    is_negative = mx.contiguous(mx.stop_gradient(other)).view(_BITS[other.dtype][0]) < 0
    size = mx.abs(x)  # its gradient at 0 is 0
    return mx.where(is_negative, -size, size)


@op
def nextafter(input: TensorLike, other: TensorLike, *, out: None = None) -> mx.array:
    """The next floating-point number after ``input`` in the direction of ``other``."""
    x, other = ordered("nextafter", input, other)
    if x.dtype not in FLOATING:
        raise _checks.DtypeError(f"nextafter: {_checks.dtype_name(x.dtype)} is not supported")
    return _next(x, other)


def _next_number(x: mx.array, other: mx.array) -> mx.array:
    kind, _, _ = _BITS[x.dtype]
    bits = mx.contiguous(x).view(kind)  # numbers of one sign are ordered as their bits
    step = mx.where((other > x) == (bits >= 0), 1, -1).astype(kind)
    smallest = mx.where(other > 0, 1, mx.array(1, kind) | mx.array(mx.iinfo(kind).min, kind)).astype(kind)
    moved = mx.where(x == 0, smallest, bits + step).astype(kind).view(x.dtype)
    moved = mx.where(x == other, other, moved)
    return mx.where(mx.isnan(x) | mx.isnan(other), mx.nan, moved).astype(x.dtype)


_next = custom_vjp(
    _next_number, vjp=lambda cotangent, x, other: (mx.where(x == other, 0, cotangent), mx.zeros_like(other))
)


@op
def frexp(input: TensorLike, *, out: None = None) -> tuple[mx.array, mx.array]:
    """The named tuple (mantissa, exponent): ``input`` is mantissa * 2 ** exponent, with the mantissa in [0.5, 1)."""
    x = array("frexp", input)
    if x.dtype not in FLOATING or x.dtype == mx.complex64:
        raise _checks.DtypeError(f"frexp: {_checks.dtype_name(x.dtype)} is not supported")
    kind, fraction, bias = _BITS[x.dtype]
    fixed = mx.stop_gradient(x)
    is_tiny = mx.abs(fixed) < 2.0 ** (1 - bias)
    scaled = mx.where(is_tiny, fixed * 2.0**fraction, fixed).astype(x.dtype)
    bits = mx.contiguous(scaled).view(kind)
    width = 8 * x.dtype.size - 1 - fraction
    exponent = mx.bitwise_and(mx.right_shift(bits, fraction), (1 << width) - 1).astype(mx.int32) - (bias - 1)
    exponent = exponent - mx.where(is_tiny, fraction, 0)
    exponent = mx.where((fixed == 0) | ~mx.isfinite(fixed), 0, exponent).astype(mx.int32)
    # In two steps: 2 ** -exponent alone may exceed the dtype.
    half = exponent // 2
    factors = [mx.power(2.0, -one.astype(mx.float32)).astype(x.dtype) for one in (half, exponent - half)]
    return MantissaAndExponent(x * factors[0] * factors[1], exponent)


@op
def sgn(input: TensorLike, *, out: None = None) -> mx.array:
    """The sign; of a complex number, the number divided by its absolute value, and 0 for 0."""
    x = array("sgn", input)
    if x.dtype != mx.complex64:
        return mx.sign(x)
    size = mx.abs(x)
    return mx.where(size == 0, 0, x / mx.where(size == 0, 1, size))


@op
def isposinf(input: TensorLike, *, out: None = None) -> mx.array:
    """True where ``input`` is inf."""
    return mx.isposinf(_real("isposinf", input))


@op
def isneginf(input: TensorLike, *, out: None = None) -> mx.array:
    """True where ``input`` is -inf."""
    return mx.isneginf(_real("isneginf", input))


def _real(caller: str, input: Any) -> mx.array:
    x = array(caller, input)
    if x.dtype == mx.complex64:
        raise _checks.DtypeError(f"{caller}: complex64 is not supported")
    return x


@op
def isreal(input: TensorLike) -> mx.array:
    """True where the imaginary part is 0."""
    x = array("isreal", input)
    return mx.imag(x) == 0 if x.dtype == mx.complex64 else mx.ones(x.shape, mx.bool_)
