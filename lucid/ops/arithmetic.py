"""Element-wise arithmetic on operands that broadcast.

An operand may be a tensor, a number, a list or a NumPy array. A number only changes the dtype of a tensor if it is of a
higher kind: float16 * 2.5 is float16, int32 + 1 is int32, int32 * 2.5 is float32.
"""

from typing import Any

import mlx.core as mx
import numpy as np

from lucid import _bounds, _checks
from lucid._dtypes import get_default_dtype
from lucid._views import by_shape, view_op
from lucid.kernels import float64
from lucid.kernels.power import power
from lucid.ops._common import (
    FLOATING,
    LOW_PRECISION,
    TrueDivision,
    array,
    arrays,
    binary,
    bool_subtraction,
    factor,
    floating,
    larger,
    numeric,
    pair,
    scalar_like,
    smaller,
    truncated_quotient,
)
from lucid.ops._selection import clamp_max_vjp, clamp_min_vjp, clamp_vjp, maximum_vjp, minimum_vjp
from lucid.ops._types import TensorLike
from lucid.tape import op

__all__ = [
    "add", "addcdiv", "addcmul", "bitwise_and", "bitwise_left_shift", "bitwise_not", "bitwise_or",
    "bitwise_right_shift", "bitwise_xor", "clamp", "clamp_max", "clamp_min", "clip", "div", "divide", "floor_divide",
    "fmod", "hypot", "lerp", "logaddexp", "maximum", "minimum", "mul", "multiply", "neg", "negative", "positive", "pow",
    "remainder", "rsub", "sub", "subtract", "true_divide",
]  # fmt: skip


@op
def add(input: TensorLike, other: TensorLike, *, alpha: float = 1, out: None = None) -> mx.array:
    """``input + alpha * other``."""
    return binary("add", mx.add, input, other if alpha is _ONE else _scaled("add", input, other, alpha))


@op
def sub(input: TensorLike, other: TensorLike, *, alpha: float = 1, out: None = None) -> mx.array:
    """``input - alpha * other``."""
    return _difference("sub", input, other if alpha is _ONE else _scaled("sub", input, other, alpha))


@op
def rsub(input: TensorLike, other: TensorLike, *, alpha: float = 1) -> mx.array:
    """``other - alpha * input``."""
    return _difference("rsub", other, input if alpha is _ONE else _scaled("rsub", other, input, alpha))


def _difference(caller: str, x: Any, other: Any) -> mx.array:
    difference = binary(caller, mx.subtract, x, other)
    if difference.dtype == mx.bool_:
        raise bool_subtraction(caller)
    return difference


_ONE = 1  # by identity, because alpha may be anything


def _scaled(caller: str, x: Any, other: Any, alpha: Any) -> mx.array:
    """``alpha * other`` in the common dtype."""
    x, other = arrays(caller, x, other)
    alpha = factor(caller, "alpha", alpha)
    if isinstance(alpha, float) and other.dtype not in FLOATING:
        raise _checks.DtypeError(f"{caller}: alpha must be an integer for integer tensors, got {alpha!r}")
    if isinstance(alpha, bool) and other.dtype != mx.bool_:
        raise _checks.ArgumentError(
            f"{caller}: alpha must be a number for {_checks.dtype_name(other.dtype)}, got {alpha}"
        )
    return other * (alpha.astype(other.dtype) if isinstance(alpha, mx.array) else scalar_like(alpha, other))


@op
def mul(input: TensorLike, other: TensorLike, *, out: None = None) -> mx.array:
    """``input * other``."""
    return binary("mul", mx.multiply, input, other)


_TRUE_DIVISION = TrueDivision("div")


@op
def div(input: TensorLike, other: TensorLike, *, rounding_mode: str | None = None, out: None = None) -> mx.array:
    """``input / other``; the quotient of integers is float32.

    ``rounding_mode`` "trunc" rounds the quotient toward zero and "floor" rounds it down; with either, the quotient of
    integers is an integer.

    Raises:
        ZeroDivisionError: integers are divided by 0 with a ``rounding_mode``, see ``lucid.debug``.
    """
    if rounding_mode is None:
        if get_default_dtype() is not mx.float32:
            input, other = (_in_default_dtype(one) for one in (input, other))
        return binary(_TRUE_DIVISION, mx.divide, input, other)
    if _checks.one_of("div", "rounding_mode", rounding_mode, ("trunc", "floor")) == "floor":
        return _floor_quotient("div", input, other)
    x, other = _dividend_and_divisor("div", input, other)
    if x.dtype in FLOATING:
        return binary("div", lambda a, b: mx.trunc(a / b), x, other)
    # Integers: a floating-point quotient would be wrong beyond 2**24.
    return binary("div", truncated_quotient, x, other)


def _in_default_dtype(operand: Any) -> Any:
    """An operand of a true division: integers are divided in the default dtype, and MLX takes float32."""
    is_whole = isinstance(operand, mx.array) and operand.dtype not in FLOATING
    return operand.astype(get_default_dtype()) if is_whole else operand


def _dividend_and_divisor(caller: str, x: Any, other: Any) -> tuple[mx.array, mx.array]:
    """Both operands as arrays of one dtype.

    Raises:
        ZeroDivisionError: integers are divided by 0. Where the values of a tensor are not read, on a GPU and in
            compiled functions, the quotient is 0.
    """
    is_host = not isinstance(other, mx.array)
    x, other = arrays(caller, x, other)
    numeric(caller, x)
    if x.dtype not in FLOATING:
        _bounds.check_divisor(caller, other, is_host=is_host)
    return x, other


def _floor_quotient(caller: str, x: Any, other: Any) -> mx.array:
    x, other = _dividend_and_divisor(caller, x, other)
    return binary(caller, _floor_of_floats if x.dtype in FLOATING else mx.floor_divide, x, other)


def _floor_of_floats(x: mx.array, other: mx.array) -> mx.array:
    """The quotient of x without the remainder, which is exact, as in Python: floor(x / other) may round up before."""
    dtype = x.dtype
    if dtype in LOW_PRECISION:
        x, other = x.astype(mx.float32), other.astype(mx.float32)
    x, other = mx.stop_gradient(x), mx.stop_gradient(other)
    remainder = mx.remainder(mx.abs(x), mx.abs(other)) * mx.sign(x)
    quotient = (x - remainder) / other
    quotient = mx.where((remainder != 0) & ((remainder < 0) != (other < 0)), quotient - 1, quotient)
    whole = mx.floor(quotient)
    whole = mx.where(quotient - whole > 0.5, whole + 1, whole)
    return mx.where(other == 0, x / other, whole).astype(dtype)


@op
def floor_divide(input: TensorLike, other: TensorLike, *, out: None = None) -> mx.array:
    """``input // other``, rounded down.

    Raises:
        ZeroDivisionError: integers are divided by 0, see ``lucid.debug``.
    """
    return _floor_quotient("floor_divide", input, other)


@op
def remainder(input: TensorLike, other: TensorLike, *, out: None = None) -> mx.array:
    """``input % other`` as in Python: the result has the sign of ``other``.

    Raises:
        ZeroDivisionError: integers are divided by 0, see ``lucid.debug``.
    """
    return binary("remainder", mx.remainder, *_dividend_and_divisor("remainder", input, other))


@op
def fmod(input: TensorLike, other: TensorLike, *, out: None = None) -> mx.array:
    """The remainder as in C: the result has the sign of ``input``.

    Raises:
        ZeroDivisionError: integers are divided by 0, see ``lucid.debug``.
    """
    x, other = _dividend_and_divisor("fmod", input, other)
    size = mx.abs(other)
    return mx.where(x < 0, -binary("fmod", mx.remainder, -x, size), binary("fmod", mx.remainder, x, size))


@op(autocast="float32")
def pow(input: TensorLike, exponent: TensorLike, *, out: None = None) -> mx.array:
    """``input ** exponent``.

    Raises:
        ValueError: integers are raised to a negative integer power.
    """
    if isinstance(exponent, np.generic):
        exponent = exponent.item()
    if isinstance(exponent, int | float) and isinstance(input, mx.array):
        if exponent == 2 and (input.dtype in FLOATING or (isinstance(exponent, int) and input.dtype != mx.bool_)):
            return mx.square(input)
        if input.dtype in FLOATING:
            # Products and roots are exact for negative x on every device, and cheaper than a logarithm.
            if exponent == 1:
                return input + 0  # a new value, with a gradient of its own
            if exponent == 3:
                return input * mx.square(input)
            if exponent == 0.5:
                return mx.sqrt(input)
            if exponent == 0:
                return mx.ones_like(input)  # also for NaN
        elif isinstance(exponent, int) and exponent < 0:
            raise _checks.ArgumentError(
                "pow: integers cannot be raised to a negative integer power; convert with .float() first"
            )
    x, exponent = pair("pow", input, exponent)
    if any(
        one.dtype == mx.complex64 if isinstance(one, mx.array) else isinstance(one, complex) for one in (x, exponent)
    ):
        return binary("pow", power, *arrays("pow", x, exponent))
    if isinstance(exponent, mx.array):
        if exponent.dtype in FLOATING:
            if isinstance(x, mx.array | complex) or x <= 0:
                return binary("pow", power, *arrays("pow", x, exponent))
        elif not (isinstance(x, mx.array) and x.dtype in FLOATING) and not isinstance(x, float | complex):
            return binary("pow", _integer_power, *arrays("pow", x, exponent))
    return binary("pow", mx.power, x, exponent)


def _integer_power(x: mx.array, exponent: mx.array) -> mx.array:
    """The power of integers; with a negative exponent it is 0, except for 1 and -1."""
    if x.dtype == mx.bool_:
        raise _checks.DtypeError("pow: bool is not supported")
    if x.dtype in FLOATING or mx.iinfo(exponent.dtype).min == 0:
        return mx.power(x, exponent)
    inverse = mx.where(x == 1, 1, mx.where(x == -1, 1 - 2 * (exponent & 1), 0)).astype(x.dtype)
    return mx.where(exponent < 0, inverse, mx.power(x, mx.maximum(exponent, 0)))


@op
def neg(input: TensorLike, *, out: None = None) -> mx.array:
    """``-input``."""
    x = array("neg", input)
    if x.dtype == mx.bool_:
        raise _checks.DtypeError("neg: bool tensors cannot be negated; use logical_not or ~")
    return mx.negative(x)


@view_op(layout=by_shape, itself=True)
def positive(input: TensorLike) -> mx.array:
    """``input`` itself."""
    x = array("positive", input)
    if x.dtype == mx.bool_:
        raise _checks.DtypeError("positive: bool is not supported")
    return x


@op(vjp=maximum_vjp)
def maximum(input: TensorLike, other: TensorLike, *, out: None = None) -> mx.array:
    """Element-wise maximum; NaN if either operand is NaN. Equal values share the gradient."""
    return larger("maximum", input, other)


@op(vjp=minimum_vjp)
def minimum(input: TensorLike, other: TensorLike, *, out: None = None) -> mx.array:
    """Element-wise minimum; NaN if either operand is NaN. Equal values share the gradient."""
    return smaller("minimum", input, other)


@op(vjp=clamp_vjp)
def clamp(input: TensorLike, min: TensorLike = None, max: TensorLike = None, *, out: None = None) -> mx.array:
    """``input`` limited to [``min``, ``max``], each a number or a tensor that broadcasts.

    Where ``min`` exceeds ``max``, the result is ``max``. Gradients pass at the bounds, as in PyTorch.

    Raises:
        ValueError: neither ``min`` nor ``max`` is given.

    Example:
        >>> lucid.clamp(lucid.tensor([-2.0, 0.5, 2.0]), 0, 1).tolist()
        [0.0, 0.5, 1.0]
    """
    x = array("clamp", input)
    if min is None and max is None:
        raise _checks.ArgumentError("clamp: at least one of min and max must be given")
    if min is not None:
        x = binary("clamp", _at_least, x, min)
    if max is not None:
        x = binary("clamp", _at_most, x, max)
    return x


@op(vjp=clamp_min_vjp)
def clamp_min(input: TensorLike, min: TensorLike, *, out: None = None) -> mx.array:
    """``input`` limited to at least ``min``, a number or a tensor that broadcasts."""
    return binary("clamp_min", _at_least, array("clamp_min", input), min)


@op(vjp=clamp_max_vjp)
def clamp_max(input: TensorLike, max: TensorLike, *, out: None = None) -> mx.array:
    """``input`` limited to at most ``max``, a number or a tensor that broadcasts."""
    return binary("clamp_max", _at_most, array("clamp_max", input), max)


def _at_least(x: Any, low: Any) -> mx.array:
    limited = mx.where(x < low, low, x)
    return limited if _is_no_nan(low) else mx.where(low != low, mx.nan, limited)


def _at_most(x: Any, high: Any) -> mx.array:
    limited = mx.where(x > high, high, x)
    return limited if _is_no_nan(high) else mx.where(high != high, mx.nan, limited)


def _is_no_nan(bound: Any) -> bool:
    return bound.dtype not in FLOATING if isinstance(bound, mx.array) else bound == bound


@op
def lerp(input: TensorLike, end: TensorLike, weight: TensorLike, *, out: None = None) -> mx.array:
    """Linear interpolation ``input + weight * (end - input)``."""
    step = binary("lerp", mx.subtract, end, input)
    return binary("lerp", mx.add, input, binary("lerp", mx.multiply, step, weight))


@op
def addcmul(
    input: TensorLike, tensor1: TensorLike, tensor2: TensorLike, *, value: float = 1, out: None = None
) -> mx.array:
    """``input + value * tensor1 * tensor2``."""
    return _add_scaled("addcmul", mx.multiply, input, tensor1, tensor2, value)


@op
def addcdiv(
    input: TensorLike, tensor1: TensorLike, tensor2: TensorLike, *, value: float = 1, out: None = None
) -> mx.array:
    """``input + value * tensor1 / tensor2``."""
    return _add_scaled("addcdiv", mx.divide, input, tensor1, tensor2, value)


def _add_scaled(caller: str, function: Any, x: Any, one: Any, two: Any, value: Any) -> mx.array:
    """``x + value * function(one, two)``; half precision is rounded once, at the end."""
    x, one, two = (array(caller, each, name) for each, name in ((x, "input"), (one, "tensor1"), (two, "tensor2")))
    value = factor(caller, "value", value)
    if isinstance(value, float) and not {x.dtype, one.dtype, two.dtype} & FLOATING:
        raise _checks.DtypeError(f"{caller}: value must be an integer for integer tensors, got {value!r}")
    dtype = None
    if {x.dtype, one.dtype, two.dtype} <= LOW_PRECISION:
        dtype = mx.result_type(x, one, two)
        x, one, two = (each.astype(mx.float32) for each in (x, one, two))
    scaled = binary(caller, function, one, two)
    found = binary(caller, mx.add, x, scaled if value is _ONE else scaled * value)
    return found if dtype is None else found.astype(dtype)


@op(autocast="float32")
def logaddexp(input: TensorLike, other: TensorLike, *, out: None = None) -> mx.array:
    """``log(exp(input) + exp(other))`` without overflow."""
    return binary("logaddexp", float64.logaddexp, *arrays("logaddexp", input, other))


@op
def hypot(input: TensorLike, other: TensorLike, *, out: None = None) -> mx.array:
    """``sqrt(input² + other²)``."""
    x, other = arrays("hypot", input, other)
    if x.dtype == mx.complex64:
        raise _checks.DtypeError("hypot: complex64 is not supported")
    return binary("hypot", _hypot, floating("hypot", x), floating("hypot", other))


def _hypot(x: mx.array, other: mx.array) -> mx.array:
    dtype = x.dtype
    if dtype in LOW_PRECISION:
        x, other = x.astype(mx.float32), other.astype(mx.float32)
    is_infinite = mx.isinf(x) | mx.isinf(other)
    scale = mx.stop_gradient(mx.maximum(mx.abs(x), mx.abs(other)))
    scale = mx.where((scale == 0) | is_infinite, 1, scale)  # squares neither overflow nor vanish
    size = scale * mx.sqrt(mx.square(x / scale) + mx.square(other / scale))
    return mx.where(is_infinite, mx.inf, size).astype(dtype)


@op
def bitwise_and(input: TensorLike, other: TensorLike, *, out: None = None) -> mx.array:
    """``input & other`` of integers or bools."""
    return binary("bitwise_and", mx.bitwise_and, *_integers("bitwise_and", input, other))


@op
def bitwise_or(input: TensorLike, other: TensorLike, *, out: None = None) -> mx.array:
    """``input | other`` of integers or bools."""
    return binary("bitwise_or", mx.bitwise_or, *_integers("bitwise_or", input, other))


@op
def bitwise_xor(input: TensorLike, other: TensorLike, *, out: None = None) -> mx.array:
    """``input ^ other`` of integers or bools."""
    return binary("bitwise_xor", mx.bitwise_xor, *_integers("bitwise_xor", input, other))


@op
def bitwise_not(input: TensorLike, *, out: None = None) -> mx.array:
    """``~input`` of integers or bools."""
    return mx.bitwise_invert(_integers("bitwise_not", input, False)[0])


@op
def bitwise_left_shift(input: TensorLike, other: TensorLike, *, out: None = None) -> mx.array:
    """``input << other`` of integers."""
    x, other = _shift_operands("bitwise_left_shift", input, other)
    return mx.where(_is_no_shift(x, other), 0, binary("bitwise_left_shift", mx.left_shift, x, other)).astype(x.dtype)


@op
def bitwise_right_shift(input: TensorLike, other: TensorLike, *, out: None = None) -> mx.array:
    """``input >> other`` of integers, with sign extension."""
    x, other = _shift_operands("bitwise_right_shift", input, other)
    other = mx.where(_is_no_shift(x, other), 8 * x.dtype.size - 1, other).astype(x.dtype)
    shifted = binary("bitwise_right_shift", mx.right_shift, x, other)
    return shifted if mx.iinfo(x.dtype).min else mx.where(other == 8 * x.dtype.size - 1, 0, shifted).astype(x.dtype)


def _shift_operands(caller: str, x: Any, other: Any) -> tuple[mx.array, mx.array]:
    x, other = _integers(caller, x, other)
    if x.dtype == mx.bool_:
        raise _checks.DtypeError(f"{caller}: bool is not supported")
    _checks.broadcast_shapes(caller, x.shape, other.shape)
    return x, other


def _is_no_shift(x: mx.array, other: mx.array) -> mx.array:
    """Where ``other`` is no number of bits of ``x``: nothing defines such a shift in C; PyTorch shifts all bits out."""
    return (other < 0) | (other >= 8 * x.dtype.size)


def _integers(caller: str, x: Any, other: Any) -> tuple[mx.array, mx.array]:
    x, other = arrays(caller, x, other)
    if x.dtype in FLOATING:
        raise _checks.DtypeError(f"{caller}: operands must be integers or bools, got {_checks.dtype_name(x.dtype)}")
    return x, other


subtract = sub
multiply = mul
divide = true_divide = div
negative = neg
clip = clamp
