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
def add(x: TensorLike, other: TensorLike, *, alpha: float = 1) -> mx.array:
    """``x + alpha * other``."""
    return binary("add", mx.add, x, other if alpha == 1 else _scaled("add", x, other, alpha))


@op
def sub(x: TensorLike, other: TensorLike, *, alpha: float = 1) -> mx.array:
    """``x - alpha * other``."""
    return binary("sub", mx.subtract, x, other if alpha == 1 else _scaled("sub", x, other, alpha))


@op
def rsub(x: TensorLike, other: TensorLike, *, alpha: float = 1) -> mx.array:
    """``other - alpha * x``."""
    return binary("rsub", mx.subtract, other, x if alpha == 1 else _scaled("rsub", other, x, alpha))


def _scaled(caller: str, x: Any, other: Any, alpha: Any) -> mx.array:
    other = array(caller, other, "other")
    if isinstance(alpha, float) and other.dtype not in FLOATING and array(caller, x).dtype not in FLOATING:
        raise _checks.DtypeError(f"{caller}: alpha must be an integer for integer tensors, got {alpha!r}")
    return other * alpha


@op
def mul(x: TensorLike, other: TensorLike) -> mx.array:
    """``x * other``."""
    return binary("mul", mx.multiply, x, other)


@op
def div(x: TensorLike, other: TensorLike, *, rounding_mode: str | None = None) -> mx.array:
    """``x / other``; the quotient of integers is float32.

    ``rounding_mode`` "trunc" rounds the quotient toward zero and "floor" rounds it down; with either, the quotient of
    integers is an integer.
    """
    if rounding_mode is None:
        return binary("div", mx.divide, x, other)
    _checks.one_of("div", "rounding_mode", rounding_mode, ("trunc", "floor"))
    _check_divisor("div", x, other)
    if rounding_mode == "floor":
        return binary("div", mx.floor_divide, x, other)
    x, other = arrays("div", x, other)
    if x.dtype in FLOATING:
        return binary("div", lambda a, b: mx.trunc(a / b), x, other)
    # Integers: a floating-point quotient would be wrong beyond 2**24.
    return binary("div", lambda a, b: mx.abs(a) // mx.abs(b) * (mx.sign(a) * mx.sign(b)), x, other)


def _check_divisor(caller: str, x: Any, other: Any) -> None:
    """Raise if integers are divided by the number 0. The values of a tensor divisor are not read."""
    if type(other) is int and other == 0 and array(caller, x).dtype not in FLOATING:
        raise ZeroDivisionError(f"{caller}: integers cannot be divided by 0; convert with .float() first")


@op
def floor_divide(x: TensorLike, other: TensorLike) -> mx.array:
    """``x // other``, rounded down."""
    _check_divisor("floor_divide", x, other)
    return binary("floor_divide", mx.floor_divide, x, other)


@op
def remainder(x: TensorLike, other: TensorLike) -> mx.array:
    """``x % other`` as in Python: the result has the sign of ``other``."""
    _check_divisor("remainder", x, other)
    return binary("remainder", mx.remainder, x, other)


@op
def fmod(x: TensorLike, other: TensorLike) -> mx.array:
    """The remainder as in C: the result has the sign of ``x``."""
    _check_divisor("fmod", x, other)
    x, other = arrays("fmod", x, other)
    size = mx.abs(other)
    return mx.where(x < 0, -binary("fmod", mx.remainder, -x, size), binary("fmod", mx.remainder, x, size))


@op(autocast="float32")
def pow(x: TensorLike, exponent: TensorLike) -> mx.array:
    """``x ** exponent``.

    Raises:
        ValueError: integers are raised to a negative integer power.
    """
    if isinstance(exponent, np.generic):
        exponent = exponent.item()
    if isinstance(exponent, int | float) and isinstance(x, mx.array):
        if exponent == 2 and (x.dtype in FLOATING or (isinstance(exponent, int) and x.dtype != mx.bool_)):
            return mx.square(x)
        if x.dtype in FLOATING:
            # Products and roots are exact for negative x on every device, and cheaper than a logarithm.
            if exponent == 1:
                return x + 0  # a new value, with a gradient of its own
            if exponent == 3:
                return x * mx.square(x)
            if exponent == 0.5:
                return mx.sqrt(x)
            if exponent == 0:
                return mx.ones_like(x)  # also for NaN
        elif isinstance(exponent, int) and exponent < 0:
            raise _checks.ArgumentError(
                "pow: integers cannot be raised to a negative integer power; convert with .float() first"
            )
    return binary("pow", mx.power, x, exponent)


@op
def neg(x: TensorLike) -> mx.array:
    """``-x``."""
    x = array("neg", x)
    if x.dtype == mx.bool_:
        raise _checks.DtypeError("neg: bool tensors cannot be negated; use logical_not or ~")
    return mx.negative(x)


@op
def positive(x: TensorLike) -> mx.array:
    """``x`` itself."""
    return array("positive", x)


@op
def maximum(x: TensorLike, other: TensorLike) -> mx.array:
    """Element-wise maximum; NaN if either operand is NaN. Equal values share the gradient."""
    return larger("maximum", x, other)


@op
def minimum(x: TensorLike, other: TensorLike) -> mx.array:
    """Element-wise minimum; NaN if either operand is NaN. Equal values share the gradient."""
    return smaller("minimum", x, other)


@op
def clamp(x: TensorLike, min: TensorLike = None, max: TensorLike = None) -> mx.array:
    """``x`` limited to [``min``, ``max``], each a number or a tensor that broadcasts.

    Where ``min`` exceeds ``max``, the result is ``max``. Gradients pass at the bounds, as in PyTorch.

    Raises:
        ValueError: neither ``min`` nor ``max`` is given.

    Example:
        >>> lucid.clamp(lucid.tensor([-2.0, 0.5, 2.0]), 0, 1).tolist()
        [0.0, 0.5, 1.0]
    """
    x = array("clamp", x)
    if min is None and max is None:
        raise _checks.ArgumentError("clamp: at least one of min and max must be given")
    if min is not None:
        x = binary("clamp", lambda a, low: mx.where(a < low, low, a), x, min)
    if max is not None:
        x = binary("clamp", lambda a, high: mx.where(a > high, high, a), x, max)
    return x


@op
def lerp(x: TensorLike, end: TensorLike, weight: TensorLike) -> mx.array:
    """Linear interpolation ``x + weight * (end - x)``."""
    step = binary("lerp", mx.subtract, end, x)
    return binary("lerp", mx.add, x, binary("lerp", mx.multiply, step, weight))


@op
def addcmul(x: TensorLike, tensor1: TensorLike, tensor2: TensorLike, *, value: float = 1) -> mx.array:
    """``x + value * tensor1 * tensor2``."""
    product = binary("addcmul", mx.multiply, tensor1, tensor2)
    return binary("addcmul", mx.add, x, product if value == 1 else product * value)


@op
def addcdiv(x: TensorLike, tensor1: TensorLike, tensor2: TensorLike, *, value: float = 1) -> mx.array:
    """``x + value * tensor1 / tensor2``."""
    quotient = binary("addcdiv", mx.divide, tensor1, tensor2)
    return binary("addcdiv", mx.add, x, quotient if value == 1 else quotient * value)


@op(autocast="float32")
def logaddexp(x: TensorLike, other: TensorLike) -> mx.array:
    """``log(exp(x) + exp(other))`` without overflow."""
    return binary("logaddexp", mx.logaddexp, x, other)


@op
def hypot(x: TensorLike, other: TensorLike) -> mx.array:
    """``sqrt(x² + other²)``."""
    return binary("hypot", lambda a, b: mx.sqrt(mx.square(a) + mx.square(b)), *pair("hypot", x, other))


@op
def bitwise_and(x: TensorLike, other: TensorLike) -> mx.array:
    """``x & other`` of integers or bools."""
    return binary("bitwise_and", mx.bitwise_and, *_integers("bitwise_and", x, other))


@op
def bitwise_or(x: TensorLike, other: TensorLike) -> mx.array:
    """``x | other`` of integers or bools."""
    return binary("bitwise_or", mx.bitwise_or, *_integers("bitwise_or", x, other))


@op
def bitwise_xor(x: TensorLike, other: TensorLike) -> mx.array:
    """``x ^ other`` of integers or bools."""
    return binary("bitwise_xor", mx.bitwise_xor, *_integers("bitwise_xor", x, other))


@op
def bitwise_not(x: TensorLike) -> mx.array:
    """``~x`` of integers or bools."""
    return mx.bitwise_invert(_integers("bitwise_not", x, False)[0])


@op
def bitwise_left_shift(x: TensorLike, other: TensorLike) -> mx.array:
    """``x << other`` of integers."""
    return binary("bitwise_left_shift", mx.left_shift, *_integers("bitwise_left_shift", x, other))


@op
def bitwise_right_shift(x: TensorLike, other: TensorLike) -> mx.array:
    """``x >> other`` of integers, with sign extension."""
    return binary("bitwise_right_shift", mx.right_shift, *_integers("bitwise_right_shift", x, other))


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
