"""Element-wise arithmetic on operands that broadcast.

An operand may be a tensor, a number, a list or a NumPy array. A number only changes the dtype of a tensor if it is of a
higher kind: float16 * 2.5 is float16, int32 + 1 is int32, int32 * 2.5 is float32.
"""

from typing import Any

import mlx.core as mx
import numpy as np

from lucid import _checks
from lucid.ops._common import FLOATING, array, arrays, binary, larger, pair, smaller
from lucid.ops._types import TensorLike
from lucid.tape import op

__all__ = [
    "add", "addcdiv", "addcmul", "bitwise_and", "bitwise_left_shift", "bitwise_not", "bitwise_or",
    "bitwise_right_shift", "bitwise_xor", "clamp", "clip", "div", "divide", "floor_divide", "fmod", "hypot", "lerp",
    "logaddexp", "maximum", "minimum", "mul", "multiply", "neg", "negative", "positive", "pow", "remainder", "rsub",
    "sub", "subtract", "true_divide",
]  # fmt: skip


@op
def add(input: TensorLike, other: TensorLike, *, alpha: float = 1, out: None = None) -> mx.array:
    """``input + alpha * other``."""
    return binary("add", mx.add, input, other if alpha == 1 else _scaled("add", input, other, alpha))


@op
def sub(input: TensorLike, other: TensorLike, *, alpha: float = 1, out: None = None) -> mx.array:
    """``input - alpha * other``."""
    return binary("sub", mx.subtract, input, other if alpha == 1 else _scaled("sub", input, other, alpha))


@op
def rsub(input: TensorLike, other: TensorLike, *, alpha: float = 1) -> mx.array:
    """``other - alpha * input``."""
    return binary("rsub", mx.subtract, other, input if alpha == 1 else _scaled("rsub", other, input, alpha))


def _scaled(caller: str, x: Any, other: Any, alpha: Any) -> mx.array:
    other = array(caller, other, "other")
    if isinstance(alpha, float) and other.dtype not in FLOATING and array(caller, x).dtype not in FLOATING:
        raise _checks.DtypeError(f"{caller}: alpha must be an integer for integer tensors, got {alpha!r}")
    return other * alpha


@op
def mul(input: TensorLike, other: TensorLike, *, out: None = None) -> mx.array:
    """``input * other``."""
    return binary("mul", mx.multiply, input, other)


@op
def div(input: TensorLike, other: TensorLike, *, rounding_mode: str | None = None, out: None = None) -> mx.array:
    """``input / other``; the quotient of integers is float32.

    ``rounding_mode`` "trunc" rounds the quotient toward zero and "floor" rounds it down; with either, the quotient of
    integers is an integer.
    """
    if rounding_mode is None:
        return binary("div", mx.divide, input, other)
    _checks.one_of("div", "rounding_mode", rounding_mode, ("trunc", "floor"))
    _check_divisor("div", input, other)
    if rounding_mode == "floor":
        return binary("div", mx.floor_divide, input, other)
    x, other = arrays("div", input, other)
    if x.dtype in FLOATING:
        return binary("div", lambda a, b: mx.trunc(a / b), x, other)
    # Integers: a floating-point quotient would be wrong beyond 2**24.
    return binary("div", lambda a, b: mx.abs(a) // mx.abs(b) * (mx.sign(a) * mx.sign(b)), x, other)


def _check_divisor(caller: str, x: Any, other: Any) -> None:
    """Raise if integers are divided by the number 0. The values of a tensor divisor are not read."""
    if type(other) is int and other == 0 and array(caller, x).dtype not in FLOATING:
        raise ZeroDivisionError(f"{caller}: integers cannot be divided by 0; convert with .float() first")


@op
def floor_divide(input: TensorLike, other: TensorLike, *, out: None = None) -> mx.array:
    """``input // other``, rounded down."""
    _check_divisor("floor_divide", input, other)
    return binary("floor_divide", mx.floor_divide, input, other)


@op
def remainder(input: TensorLike, other: TensorLike, *, out: None = None) -> mx.array:
    """``input % other`` as in Python: the result has the sign of ``other``."""
    _check_divisor("remainder", input, other)
    return binary("remainder", mx.remainder, input, other)


@op
def fmod(input: TensorLike, other: TensorLike, *, out: None = None) -> mx.array:
    """The remainder as in C: the result has the sign of ``input``."""
    _check_divisor("fmod", input, other)
    x, other = arrays("fmod", input, other)
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
    return binary("pow", mx.power, input, exponent)


@op
def neg(input: TensorLike, *, out: None = None) -> mx.array:
    """``-input``."""
    x = array("neg", input)
    if x.dtype == mx.bool_:
        raise _checks.DtypeError("neg: bool tensors cannot be negated; use logical_not or ~")
    return mx.negative(x)


@op
def positive(input: TensorLike) -> mx.array:
    """``input`` itself."""
    return array("positive", input)


@op
def maximum(input: TensorLike, other: TensorLike, *, out: None = None) -> mx.array:
    """Element-wise maximum; NaN if either operand is NaN. Equal values share the gradient."""
    return larger("maximum", input, other)


@op
def minimum(input: TensorLike, other: TensorLike, *, out: None = None) -> mx.array:
    """Element-wise minimum; NaN if either operand is NaN. Equal values share the gradient."""
    return smaller("minimum", input, other)


@op
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
        x = binary("clamp", lambda a, low: mx.where(a < low, low, a), x, min)
    if max is not None:
        x = binary("clamp", lambda a, high: mx.where(a > high, high, a), x, max)
    return x


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
    product = binary("addcmul", mx.multiply, tensor1, tensor2)
    return binary("addcmul", mx.add, input, product if value == 1 else product * value)


@op
def addcdiv(
    input: TensorLike, tensor1: TensorLike, tensor2: TensorLike, *, value: float = 1, out: None = None
) -> mx.array:
    """``input + value * tensor1 / tensor2``."""
    quotient = binary("addcdiv", mx.divide, tensor1, tensor2)
    return binary("addcdiv", mx.add, input, quotient if value == 1 else quotient * value)


@op(autocast="float32")
def logaddexp(input: TensorLike, other: TensorLike, *, out: None = None) -> mx.array:
    """``log(exp(input) + exp(other))`` without overflow."""
    return binary("logaddexp", mx.logaddexp, input, other)


@op
def hypot(input: TensorLike, other: TensorLike, *, out: None = None) -> mx.array:
    """``sqrt(input² + other²)``."""
    return binary("hypot", lambda a, b: mx.sqrt(mx.square(a) + mx.square(b)), *pair("hypot", input, other))


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
    return binary("bitwise_left_shift", mx.left_shift, *_integers("bitwise_left_shift", input, other))


@op
def bitwise_right_shift(input: TensorLike, other: TensorLike, *, out: None = None) -> mx.array:
    """``input >> other`` of integers, with sign extension."""
    return binary("bitwise_right_shift", mx.right_shift, *_integers("bitwise_right_shift", input, other))


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
