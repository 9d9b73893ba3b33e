"""Arithmetic, comparisons and other functions of single elements."""

import math
from typing import Any

import mlx.core as mx

from lucid.export._graph import Node, Value
from lucid.export._onnx.builder import BOOL, INT64, Builder
from lucid.export._onnx.table import lowers

_FLOATING = (mx.float32, mx.float16, mx.float64)
_UNARY = {
    "exp": "Exp", "log": "Log", "sqrt": "Sqrt", "abs": "Abs", "neg": "Neg", "sign": "Sign", "sin": "Sin", "cos": "Cos",
    "tan": "Tan", "asin": "Asin", "acos": "Acos", "atan": "Atan", "sinh": "Sinh", "cosh": "Cosh", "tanh": "Tanh",
    "asinh": "Asinh", "acosh": "Acosh", "atanh": "Atanh", "erf": "Erf", "floor": "Floor", "ceil": "Ceil",
    "reciprocal": "Reciprocal", "sigmoid": "Sigmoid",
}  # fmt: skip
_BINARY = {"mul": "Mul", "fmod": "Mod", "maximum": "Max", "minimum": "Min"}
_COMPARISONS = {"eq": "Equal", "lt": "Less", "le": "LessOrEqual", "gt": "Greater", "ge": "GreaterOrEqual"}
_LOGICAL = {"logical_and": "And", "logical_or": "Or", "logical_xor": "Xor"}
_BITWISE = {"bitwise_and": "And", "bitwise_or": "Or", "bitwise_xor": "Xor"}


def operands(b: Builder, node: Node, *names: str) -> list[str]:
    """Arguments in the element type of the result."""
    element = b.element(node.output.dtype)
    return [b.as_element(node.arguments[name], element) for name in names]


def common(b: Builder, *values: Any) -> list[str]:
    """Values and numbers in the element type that they have in common."""
    tensors = [one.dtype for one in values if isinstance(one, Value)]
    dtype = tensors[0]
    for one in tensors[1:]:
        dtype = mx.result_type(mx.zeros((), dtype), mx.zeros((), one))
    if dtype not in _FLOATING and any(isinstance(one, float) for one in values):
        dtype = mx.float32
    return [b.as_element(one, b.element(dtype)) for one in values]


@lowers(*_UNARY)
def unary(b: Builder, node: Node) -> Any:
    return b.add(_UNARY[node.operation], *operands(b, node, "input"))


@lowers("rsqrt", "square", "exp2", "expm1", "log1p", "log2", "log10", "erfc", "deg2rad", "rad2deg", "frac")
def composed(b: Builder, node: Node) -> Any:
    [x] = operands(b, node, "input")
    kind = node.operation

    def number(value: float) -> str:
        return b.number(value, node.output)

    if kind == "rsqrt":
        return b.add("Reciprocal", b.add("Sqrt", x))
    if kind == "square":
        return b.add("Mul", x, x)
    if kind == "exp2":
        return b.add("Pow", number(2.0), x)
    if kind == "expm1":
        return b.add("Sub", b.add("Exp", x), number(1.0))
    if kind == "log1p":
        return b.add("Log", b.add("Add", x, number(1.0)))
    if kind == "erfc":
        return b.add("Sub", number(1.0), b.add("Erf", x))
    if kind == "frac":
        return b.add("Sub", x, _truncated(b, x))
    factor = {"deg2rad": math.pi / 180, "rad2deg": 180 / math.pi}.get(kind)
    if factor is not None:
        return b.add("Mul", x, number(factor))
    return b.add("Div", b.add("Log", x), number(math.log(2 if kind == "log2" else 10)))


def _truncated(b: Builder, x: str) -> Any:
    return b.add("Mul", b.add("Sign", x), b.add("Floor", b.add("Abs", x)))


@lowers("trunc")
def trunc(b: Builder, node: Node) -> Any:
    return _truncated(b, *operands(b, node, "input"))


@lowers("round")
def round_(b: Builder, node: Node) -> Any:
    if node.arguments["decimals"]:
        raise b.refuse("decimals is not supported")
    return b.add("Round", *operands(b, node, "input"))


@lowers("clone", "positive", "contiguous")
def identity(b: Builder, node: Node) -> Any:
    return b.name(node.arguments["input"])


@lowers(
    "astype", "type_as", "double", "byte", "char", "short", "float", "half", "int", "long", "bool", "bfloat16"
)  # fmt: skip
def astype(b: Builder, node: Node) -> Any:
    return b.as_element(node.arguments["input"], b.element(node.output.dtype))


@lowers("add", "sub", "rsub")
def add(b: Builder, node: Node) -> Any:
    x, other = operands(b, node, "input", "other")
    if node.operation == "rsub":
        x, other = other, x
    alpha = node.arguments["alpha"]
    if alpha != 1:
        other = b.add("Mul", other, b.as_element(alpha, b.element(node.output.dtype)))
    return b.add("Add" if node.operation == "add" else "Sub", x, other)


@lowers(*_BINARY)
def binary(b: Builder, node: Node) -> Any:
    more = {"fmod": 1} if node.operation == "fmod" else {}
    return b.add(_BINARY[node.operation], *operands(b, node, "input", "other"), **more)


@lowers("div", "floor_divide", "remainder")
def div(b: Builder, node: Node) -> Any:
    x, other = operands(b, node, "input", "other")
    mode = node.arguments.get("rounding_mode", "floor")
    if mode is None:
        return b.add("Div", x, other)
    if node.output.dtype not in _FLOATING:
        raise b.refuse("division of integers is not supported; convert with .float()")
    quotient = b.add("Div", x, other)
    quotient = _truncated(b, quotient) if mode == "trunc" else b.add("Floor", quotient)
    return b.add("Sub", x, b.add("Mul", quotient, other)) if node.operation == "remainder" else quotient


@lowers("pow")
def power(b: Builder, node: Node) -> Any:
    return b.add("Pow", *operands(b, node, "input", "exponent"))


@lowers("lerp")
def lerp(b: Builder, node: Node) -> Any:
    x, end, weight = operands(b, node, "input", "end", "weight")
    return b.add("Add", x, b.add("Mul", weight, b.add("Sub", end, x)))


@lowers("addcmul", "addcdiv")
def addcmul(b: Builder, node: Node) -> Any:
    x, first, second, value = operands(b, node, "input", "tensor1", "tensor2", "value")
    product = b.add("Mul" if node.operation == "addcmul" else "Div", first, second)
    return b.add("Add", x, b.add("Mul", product, value))


@lowers("clamp", "clamp_min", "clamp_max")
def clamp(b: Builder, node: Node) -> Any:
    element = b.element(node.output.dtype)
    found = b.as_element(node.arguments["input"], element)
    for kind, name in (("Max", "min"), ("Min", "max")):
        if node.arguments.get(name) is not None:
            found = b.add(kind, found, b.as_element(node.arguments[name], element))
    return found


@lowers(*_COMPARISONS, "ne")
def compare(b: Builder, node: Node) -> Any:
    pair = common(b, node.arguments["input"], node.arguments["other"])
    if node.operation == "ne":
        return b.add("Not", b.add("Equal", *pair))
    return b.add(_COMPARISONS[node.operation], *pair)


@lowers(*_LOGICAL)
def logical(b: Builder, node: Node) -> Any:
    pair = [b.as_element(node.arguments[name], BOOL) for name in ("input", "other")]
    return b.add(_LOGICAL[node.operation], *pair)


@lowers(*_BITWISE)
def bitwise(b: Builder, node: Node) -> Any:
    kind = _BITWISE[node.operation]
    if node.output.dtype != mx.bool_:
        kind = f"Bitwise{kind}"
    return b.add(kind, *operands(b, node, "input", "other"))


@lowers("logical_not", "bitwise_not")
def logical_not(b: Builder, node: Node) -> Any:
    if node.output.dtype != mx.bool_:
        return b.add("BitwiseNot", *operands(b, node, "input"))
    return b.add("Not", b.as_element(node.arguments["input"], BOOL))


@lowers("isnan", "isinf", "isfinite")
def isnan(b: Builder, node: Node) -> Any:
    x = b.wide(node.arguments["input"])
    if node.operation == "isfinite":
        return b.add("Not", b.add("Or", b.add("IsNaN", x), b.add("IsInf", x)))
    return b.add("IsNaN" if node.operation == "isnan" else "IsInf", x)


@lowers("where")
def where(b: Builder, node: Node) -> Any:
    condition = b.as_element(node.arguments["condition"], BOOL)
    return b.add("Where", condition, *operands(b, node, "input", "other"))


@lowers("masked_fill")
def masked_fill(b: Builder, node: Node) -> Any:
    x, value = operands(b, node, "input", "value")
    return b.add("Where", b.as_element(node.arguments["mask"], BOOL), value, x)


@lowers("one_hot")
def one_hot(b: Builder, node: Node) -> Any:
    x = b.add("Unsqueeze", b.as_element(node.arguments["input"], INT64), b.ints([-1]))
    count = node.output.shape[-1]
    assert isinstance(count, int)
    return b.cast(b.add("Equal", x, b.ints(range(count))), BOOL, INT64)
