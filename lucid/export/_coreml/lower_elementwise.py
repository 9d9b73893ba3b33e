"""Arithmetic, comparisons, and functions of single elements."""

from collections.abc import Callable
from typing import Any

import numpy as np

from lucid.export._coreml.builder import Builder, Lowered, kind_of
from lucid.export._graph import Value


def _unary(operation: str, **options: Any) -> Callable[..., Lowered]:
    """A lowering to one operation of MIL on floating-point numbers."""

    def lower(b: Builder, input: Value) -> Lowered:
        (x,), order = b.aligned(input)
        return Lowered(b.emit(operation, x=b.cast(x, _kind_after(input), "fp32"), **options), order)

    return lower


def _kind_after(value: Value) -> str:
    """The kind that ``aligned`` gives a tensor that stands alone."""
    return "fp32" if kind_of(value.dtype) == "fp32" else "int32"


def _binary(operation: str) -> Callable[..., Lowered]:
    def lower(b: Builder, input: Any, other: Any) -> Lowered:
        (x, y), order = b.aligned(input, other)
        return Lowered(b.emit(operation, x=x, y=y), order)

    return lower


def _logical(operation: str) -> Callable[..., Lowered]:
    def lower(b: Builder, input: Any, other: Any) -> Lowered:
        (x, y), order = b.aligned(input, other, logical=True)
        return Lowered(b.emit(operation, x=x, y=y), order)

    return lower


def _bitwise(operation: str) -> Callable[..., Lowered]:
    """The operators ``&``, ``|`` and ``^`` of bool tensors; Core ML has none for bits."""

    def lower(b: Builder, input: Any, other: Any) -> Lowered:
        if b.node is not None and kind_of(b.node.output.dtype) != "bool":
            b.refuse("it works on the bits of integers; only bool tensors are supported")
        return _logical(operation)(b, input, other)

    return lower


def bitwise_not(b: Builder, input: Value) -> Lowered:
    if kind_of(input.dtype) != "bool":
        b.refuse("it works on the bits of integers; only bool tensors are supported")
    return logical_not(b, input)


def itself(b: Builder, input: Value) -> Lowered:
    return b.lowered(input)


def add(b: Builder, input: Any, other: Any, alpha: Any = 1) -> Lowered:
    (x, y), order = b.aligned(input, other)
    return Lowered(b.emit("add", x=x, y=y if alpha == 1 else b.emit("mul", x=y, y=np.float32(alpha))), order)


def sub(b: Builder, input: Any, other: Any, alpha: Any = 1) -> Lowered:
    (x, y), order = b.aligned(input, other)
    return Lowered(b.emit("sub", x=x, y=y if alpha == 1 else b.emit("mul", x=y, y=np.float32(alpha))), order)


def rsub(b: Builder, input: Any, other: Any, alpha: Any = 1) -> Lowered:
    return sub(b, other, input, alpha)


def div(b: Builder, input: Any, other: Any, rounding_mode: str | None = None) -> Lowered:
    (x, y, _), order = b.aligned(input, other, 1.0)  # 1.0: integers are divided as floating-point numbers
    found = b.emit("real_div", x=x, y=y)
    if rounding_mode == "floor":
        found = b.emit("floor", x=found)
    elif rounding_mode == "trunc":
        found = b.emit("mul", x=b.emit("sign", x=found), y=b.emit("floor", x=b.emit("abs", x=found)))
    return Lowered(found, order)


def pow(b: Builder, input: Any, exponent: Any) -> Lowered:
    if isinstance(exponent, int | float) and exponent in (2, 0.5):
        (x,), order = b.aligned(input)
        x = b.cast(x, _kind_after(input), "fp32")
        return Lowered(b.emit("mul", x=x, y=x) if exponent == 2 else b.emit("sqrt", x=x), order)
    (x, y, _), order = b.aligned(input, exponent, 1.0)
    return Lowered(b.emit("pow", x=x, y=y), order)


def square(b: Builder, input: Value) -> Lowered:
    (x,), order = b.aligned(input)
    return Lowered(b.emit("mul", x=x, y=x), order)


def neg(b: Builder, input: Value) -> Lowered:
    (x, y), order = b.aligned(input, -1)
    return Lowered(b.emit("mul", x=x, y=y), order)


def reciprocal(b: Builder, input: Value) -> Lowered:
    (x, one), order = b.aligned(input, 1.0)
    return Lowered(b.emit("real_div", x=one, y=x), order)


def clamp(b: Builder, input: Value, min: Any = None, max: Any = None) -> Lowered:
    if isinstance(min, int | float) and isinstance(max, int | float) and kind_of(input.dtype) == "fp32":
        x, order = b.lowered(input)
        return Lowered(b.emit("clip", x=x, alpha=np.float32(min), beta=np.float32(max)), order)
    bounds = [one for one in (min, max) if one is not None]
    (x, *limits), order = b.aligned(input, *bounds)
    if min is not None:
        x = b.emit("maximum", x=x, y=limits[0])
    if max is not None:
        x = b.emit("minimum", x=x, y=limits[-1])
    return Lowered(x, order)


def clamp_min(b: Builder, input: Value, min: Any) -> Lowered:
    return clamp(b, input, min, None)


def clamp_max(b: Builder, input: Value, max: Any) -> Lowered:
    return clamp(b, input, None, max)


def lerp(b: Builder, input: Value, end: Value, weight: Any) -> Lowered:
    (x, y, w), order = b.aligned(input, end, weight)
    return Lowered(b.emit("add", x=x, y=b.emit("mul", x=b.emit("sub", x=y, y=x), y=w)), order)


def addcmul(b: Builder, input: Value, tensor1: Value, tensor2: Value, value: Any = 1) -> Lowered:
    (x, y, z), order = b.aligned(input, tensor1, tensor2)
    product = b.emit("mul", x=y, y=z)
    return Lowered(
        b.emit("add", x=x, y=product if value == 1 else b.emit("mul", x=product, y=np.float32(value))), order
    )


def addcdiv(b: Builder, input: Value, tensor1: Value, tensor2: Value, value: Any = 1) -> Lowered:
    (x, y, z), order = b.aligned(input, tensor1, tensor2)
    quotient = b.emit("real_div", x=y, y=z)
    return Lowered(
        b.emit("add", x=x, y=quotient if value == 1 else b.emit("mul", x=quotient, y=np.float32(value))), order
    )


def where(b: Builder, condition: Value, input: Any = None, other: Any = None) -> Lowered:
    if input is None or other is None:
        b.refuse("the number of its results depends on values")
    (cond, x, y), order = b.aligned(condition, input, other, keep=(0,))
    return Lowered(b.emit("select", cond=b.cast(cond, kind_of(condition.dtype), "bool"), a=x, b=y), order)


def masked_fill(b: Builder, input: Value, mask: Value, value: Any) -> Lowered:
    return where(b, mask, value, input)


def logical_not(b: Builder, input: Value) -> Lowered:
    (x,), order = b.aligned(input, logical=True)
    return Lowered(b.emit("logical_not", x=x), order)


def _scaled(operation: str, before: float = 1, after: float = 1, shift: float = 0) -> Callable[..., Lowered]:
    """``operation(x * before + shift) * after``."""

    def lower(b: Builder, input: Value) -> Lowered:
        (x, _), order = b.aligned(input, 1.0)
        if before != 1:
            x = b.emit("mul", x=x, y=np.float32(before))
        if shift:
            x = b.emit("add", x=x, y=np.float32(shift))
        found = b.emit(operation, x=x)
        return Lowered(found if after == 1 else b.emit("mul", x=found, y=np.float32(after)), order)

    return lower


def _times(b: Builder, input: Value, factor: float) -> Lowered:
    (x, y), order = b.aligned(input, float(factor))
    return Lowered(b.emit("mul", x=x, y=y), order)


def expm1(b: Builder, input: Value) -> Lowered:
    (x, one), order = b.aligned(input, 1.0)
    return Lowered(b.emit("sub", x=b.emit("exp", x=x), y=one), order)


def astype(b: Builder, input: Value) -> Lowered:
    """A cast, to the dtype of the result; half precision is the program's to choose."""
    var, order = b.lowered(input)
    want = kind_of(b.node.output.dtype) if b.node else "fp32"
    return Lowered(b.cast(var, kind_of(input.dtype), want), order)


def trunc(b: Builder, input: Value) -> Lowered:
    var, order = b.lowered(input)
    return Lowered(b.emit("mul", x=b.emit("sign", x=var), y=b.emit("floor", x=b.emit("abs", x=var))), order)


_CASTS = ("astype", "type_as", "float", "half", "double", "bfloat16", "int", "long", "short", "bool", "to")
LOWERINGS: dict[str, Any] = {
    **{name: _unary(name) for name in (
        "abs", "sign", "exp", "exp2", "sqrt", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh",
        "atanh", "erf", "floor", "ceil", "round", "sigmoid",
    )},
    "log": _unary("log"),
    "rsqrt": _unary("rsqrt"),
    "log2": _scaled("log", after=1 / np.log(2)),
    "log10": _scaled("log", after=1 / np.log(10)),
    "log1p": _scaled("log", shift=1),
    "expm1": expm1,
    "deg2rad": lambda b, input: _times(b, input, np.pi / 180),
    "rad2deg": lambda b, input: _times(b, input, 180 / np.pi),
    "add": add, "sub": sub, "rsub": rsub, "div": div, "pow": pow, "square": square, "neg": neg,
    "mul": _binary("mul"), "maximum": _binary("maximum"), "minimum": _binary("minimum"),
    "fmax": _binary("maximum"), "fmin": _binary("minimum"), "remainder": _binary("mod"),
    "floor_divide": _binary("floor_div"), "reciprocal": reciprocal,
    "clamp": clamp, "clamp_min": clamp_min, "clamp_max": clamp_max, "lerp": lerp,
    "addcmul": addcmul, "addcdiv": addcdiv, "where": where, "masked_fill": masked_fill, "trunc": trunc,
    "eq": _binary("equal"), "ne": _binary("not_equal"), "lt": _binary("less"), "le": _binary("less_equal"),
    "gt": _binary("greater"), "ge": _binary("greater_equal"),
    "logical_and": _logical("logical_and"), "logical_or": _logical("logical_or"),
    "logical_xor": _logical("logical_xor"), "logical_not": logical_not,
    "bitwise_and": _bitwise("logical_and"), "bitwise_or": _bitwise("logical_or"),
    "bitwise_xor": _bitwise("logical_xor"), "bitwise_not": bitwise_not,
    **dict.fromkeys(("clone", "contiguous", "positive", "detach", "alias_copy"), itself),
    **dict.fromkeys(_CASTS, astype),
}  # fmt: skip
