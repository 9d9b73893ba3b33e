"""Matrix products, embeddings and reductions."""

from typing import Any

import mlx.core as mx

from lucid.export._graph import Node, Value
from lucid.export._onnx.arithmetic import operands
from lucid.export._onnx.builder import FLOAT, INT64, Builder
from lucid.export._onnx.table import lowers

_REDUCTIONS = {"sum": "ReduceSum", "mean": "ReduceMean", "prod": "ReduceProd", "logsumexp": "ReduceLogSumExp"}
_EXTREMES = {"amax": "ReduceMax", "amin": "ReduceMin"}


@lowers("linear")
def linear(b: Builder, node: Node) -> Any:
    given, element = node.arguments, b.element(node.output.dtype)
    x, weight = operands(b, node, "input", "weight")
    bias = given["bias"]
    if given["weight"].ndim == 1:
        return b.add("MatMul", x, weight)
    if given["input"].ndim == 2 and (bias is None or bias.ndim == 1):
        return b.add("Gemm", x, weight, *([] if bias is None else [b.as_element(bias, element)]), transB=1)
    found = b.add("MatMul", x, b.add("Transpose", weight, perm=[1, 0]))
    return found if bias is None else b.add("Add", found, b.as_element(bias, element))


@lowers("matmul", "mm", "bmm", "mv", "dot")
def matmul(b: Builder, node: Node) -> Any:
    names = {"mm": "mat2", "bmm": "mat2", "mv": "vec", "dot": "tensor"}
    return b.add("MatMul", *operands(b, node, "input", names.get(node.operation, "other")))


@lowers("addmm", "baddbmm")
def addmm(b: Builder, node: Node) -> Any:
    names = ("mat1", "mat2") if node.operation == "addmm" else ("batch1", "batch2")
    x, first, second, alpha, beta = operands(b, node, "input", *names, "alpha", "beta")
    product = b.add("MatMul", first, second)
    if node.arguments["alpha"] != 1:
        product = b.add("Mul", product, alpha)
    if node.arguments["beta"] != 1:
        x = b.add("Mul", x, beta)
    return b.add("Add", x, product)


@lowers("outer")
def outer(b: Builder, node: Node) -> Any:
    x, other = operands(b, node, "input", "vec2")
    return b.add("Mul", b.add("Unsqueeze", x, b.ints([1])), b.add("Unsqueeze", other, b.ints([0])))


@lowers("einsum")
def einsum(b: Builder, node: Node) -> Any:
    element = b.element(node.output.dtype)
    given = node.arguments["operands"]
    if len(given) == 1 and isinstance(given[0], tuple):
        given = given[0]
    equation = node.arguments["equation"].replace(" ", "")
    return b.add("Einsum", *(b.as_element(one, element) for one in given), equation=equation)


@lowers("embedding")
def embedding(b: Builder, node: Node) -> Any:
    if node.arguments.get("max_norm") is not None:
        raise b.refuse("max_norm is not supported")
    weight = b.as_element(node.arguments["weight"], b.element(node.output.dtype))
    return b.add("Gather", weight, indices(b, node.arguments["input"]), axis=0)


def indices(b: Builder, value: Value) -> str:
    """Integers of a kind that ONNX takes for an index."""
    return b.name(value) if value.dtype in (mx.int32, mx.int64) else b.as_element(value, INT64)


# Reductions ----------------------------------------------------------------------------------------------------------


def axes_of(dim: Any, ndim: int) -> list[int]:
    """The dimensions to reduce; None and () mean all."""
    if dim is None or dim == ():
        return list(range(ndim))
    return [int(one) for one in (dim if isinstance(dim, tuple | list) else [dim])]


def _reduce(b: Builder, kind: str, name: str, node: Node) -> str:
    axes = axes_of(node.arguments["dim"], node.arguments["input"].ndim)
    found: str = b.add(kind, name, b.ints(axes), keepdims=int(node.arguments["keepdim"]))
    return found


@lowers(*_REDUCTIONS)
def reduction(b: Builder, node: Node) -> Any:
    floating = node.output.dtype in (mx.float32, mx.float16)
    x = b.as_element(node.arguments["input"], FLOAT if floating else b.element(node.output.dtype))
    return b.narrow(_reduce(b, _REDUCTIONS[node.operation], x, node), node.output, floating)


@lowers(*_EXTREMES)
def extreme(b: Builder, node: Node) -> Any:
    [x] = operands(b, node, "input")
    return _reduce(b, _EXTREMES[node.operation], x, node)


@lowers("max", "min")
def max_(b: Builder, node: Node) -> Any:
    given, largest = node.arguments, node.operation == "max"
    dim, other = given["dim"], given["other"]
    if isinstance(dim, Value):
        dim, other = None, dim
    [x] = operands(b, node, "input")
    if other is not None:
        return b.add("Max" if largest else "Min", x, b.as_element(other, b.element(node.output.dtype)))
    kind, keep = "ReduceMax" if largest else "ReduceMin", int(given["keepdim"])
    values = b.add(kind, x, b.ints(axes_of(dim, given["input"].ndim)), keepdims=keep)
    if dim is None:
        return values
    return [values, b.add("ArgMax" if largest else "ArgMin", x, axis=int(dim), keepdims=keep)]


@lowers("argmax", "argmin")
def argmax(b: Builder, node: Node) -> Any:
    kind, dim, keep = node.operation.replace("arg", "Arg").replace("m", "M"), node.arguments["dim"], False
    x = b.name(node.arguments["input"])
    if dim is None:
        x, dim = b.add("Reshape", x, b.ints([-1])), 0
        if node.output.ndim:
            raise b.refuse("keepdim=True without dim is not supported")
    else:
        keep = bool(node.arguments["keepdim"])
    return b.add(kind, x, axis=int(dim), keepdims=int(keep))


@lowers("any", "all")
def any_(b: Builder, node: Node) -> Any:
    x = b.cast(b.as_element(node.arguments["input"], 9), 9, 6)
    found = _reduce(b, "ReduceMax" if node.operation == "any" else "ReduceMin", x, node)
    return b.cast(found, 6, b.element(node.output.dtype))


@lowers("var", "std", "var_mean", "std_mean")
def variance(b: Builder, node: Node) -> Any:
    given = node.arguments
    dim, unbiased, value = given["dim"], given["unbiased"], given["input"]
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    correction = given["correction"] if given["correction"] is not None else int(unbiased)
    axes = [one % value.ndim for one in axes_of(dim, value.ndim)]
    x, keep = b.wide(value), int(given["keepdim"])
    mean = b.add("ReduceMean", x, b.ints(axes), keepdims=1)
    away = b.add("Sub", x, mean)
    squares = b.add("ReduceSum", b.add("Mul", away, away), b.ints(axes), keepdims=keep)
    count = b.add("ReduceProd", b.sizes([value.shape[one] for one in axes]), b.ints([0]), keepdims=0)
    left = b.add("Sub", b.cast(count, INT64, FLOAT), b.constant(float(correction), FLOAT))
    found = b.add("Div", squares, left)
    if node.operation.startswith("std"):
        found = b.add("Sqrt", found)
    found = b.narrow(found, node.output)
    if not node.operation.endswith("mean"):
        return found
    return [found, b.narrow(mean if keep else b.add("Squeeze", mean, b.ints(axes)), node.outputs[1])]


@lowers("norm")
def norm(b: Builder, node: Node) -> Any:
    p = node.arguments.get("p", "of lucid.linalg")
    kind = {1: "ReduceL1", 2: "ReduceL2"}.get(2 if p in (None, "fro") else p)
    if kind is None:
        raise b.refuse(f"p={p!r} is not supported")
    return b.narrow(_reduce(b, kind, b.wide(node.arguments["input"]), node), node.output)


@lowers("cumsum")
def cumsum(b: Builder, node: Node) -> Any:
    [x] = operands(b, node, "input")
    return b.add("CumSum", x, b.constant(int(node.arguments["dim"]), INT64))
