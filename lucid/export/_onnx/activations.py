"""Activations, softmax included."""

import math
from typing import Any

from lucid.export._graph import Node, Value
from lucid.export._onnx.arithmetic import operands
from lucid.export._onnx.builder import FLOAT, Builder
from lucid.export._onnx.table import lowers

_PLAIN = {"relu": "Relu", "selu": "Selu", "softsign": "Softsign", "mish": "Mish", "hardswish": "HardSwish"}


@lowers(*_PLAIN)
def plain(b: Builder, node: Node) -> Any:
    return b.add(_PLAIN[node.operation], *operands(b, node, "input"))


@lowers("relu6", "hardtanh")
def hardtanh(b: Builder, node: Node) -> Any:
    low, high = node.arguments.get("min_val", 0.0), node.arguments.get("max_val", 6.0)
    return b.add("Clip", *operands(b, node, "input"), b.number(low, node.output), b.number(high, node.output))


@lowers("leaky_relu")
def leaky_relu(b: Builder, node: Node) -> Any:
    return b.add("LeakyRelu", *operands(b, node, "input"), alpha=float(node.arguments["negative_slope"]))


@lowers("elu", "celu")
def elu(b: Builder, node: Node) -> Any:
    return b.add(node.operation.capitalize(), *operands(b, node, "input"), alpha=float(node.arguments["alpha"]))


@lowers("prelu")
def prelu(b: Builder, node: Node) -> Any:
    x, weight = operands(b, node, "input", "weight")
    slope: Value = node.arguments["weight"]
    ndim = node.output.ndim
    if slope.ndim and slope.example[0] > 1 and ndim > 2:
        weight = b.reshape(weight, [slope.example[0], *[1] * (ndim - 2)])
    return b.add("PRelu", x, weight)


@lowers("hardshrink", "softshrink")
def shrink(b: Builder, node: Node) -> Any:
    lambd = float(node.arguments["lambd"])
    bias = lambd if node.operation == "softshrink" else 0.0
    return b.add("Shrink", *operands(b, node, "input"), lambd=lambd, bias=bias)


@lowers("tanhshrink")
def tanhshrink(b: Builder, node: Node) -> Any:
    [x] = operands(b, node, "input")
    return b.add("Sub", x, b.add("Tanh", x))


@lowers("threshold")
def threshold(b: Builder, node: Node) -> Any:
    x, limit, value = operands(b, node, "input", "threshold", "value")
    return b.add("Where", b.add("Greater", x, limit), x, value)


@lowers("gelu")
def gelu(b: Builder, node: Node) -> Any:
    return b.add("Gelu", *operands(b, node, "input"), approximate=node.arguments["approximate"])


@lowers("silu")
def silu(b: Builder, node: Node) -> Any:
    [x] = operands(b, node, "input")
    return b.add("Mul", x, b.add("Sigmoid", x))


@lowers("softplus")
def softplus(b: Builder, node: Node) -> Any:
    x, beta, limit = operands(b, node, "input", "beta", "threshold")
    scaled = b.add("Mul", x, beta)
    soft = b.add("Div", b.add("Softplus", scaled), beta)
    return b.add("Where", b.add("Greater", scaled, limit), x, soft)


@lowers("logsigmoid")
def logsigmoid(b: Builder, node: Node) -> Any:
    [x] = operands(b, node, "input")
    return b.add("Neg", b.add("Softplus", b.add("Neg", x)))


@lowers("hardsigmoid")
def hardsigmoid(b: Builder, node: Node) -> Any:
    return b.add("HardSigmoid", *operands(b, node, "input"), alpha=1 / 6, beta=0.5)


@lowers("glu")
def glu(b: Builder, node: Node) -> Any:
    [x] = operands(b, node, "input")
    first, second = b.add("Split", x, axis=int(node.arguments["dim"]), num_outputs=2, count=2)
    return b.add("Mul", first, b.add("Sigmoid", second))


@lowers("softmax", "log_softmax", "softmin")
def softmax(b: Builder, node: Node) -> Any:
    dim = node.arguments["dim"]
    if dim is None:  # PyTorch's old rule
        dim = 0 if node.output.ndim in (0, 1, 3) else 1
    x = b.wide(node.arguments["input"])
    if node.operation == "softmin":
        x = b.add("Neg", x)
    found = b.add("LogSoftmax" if node.operation == "log_softmax" else "Softmax", x, axis=int(dim))
    return b.narrow(found, node.output)


@lowers("attention")
def attention(b: Builder, node: Node) -> Any:
    """Scaled dot-product attention in plain operations, as runtimes have no common one."""
    given = node.arguments
    if given["dropout_p"]:
        raise b.refuse("dropout is not supported; call model.eval()")
    q, k, v = (given[name] for name in ("query", "key", "value"))
    if given["enable_gqa"] and q.ndim > 2 and q.shape[-3] != k.shape[-3]:
        raise b.refuse("enable_gqa with fewer heads of keys is not supported")
    scale = 1 / math.sqrt(q.example[-1]) if given["scale"] is None else given["scale"]
    query = b.add("Mul", b.wide(q), b.constant(scale, FLOAT))
    order = [*range(k.ndim - 2), k.ndim - 1, k.ndim - 2]
    scores = b.add("MatMul", query, b.add("Transpose", b.wide(k), perm=order))
    mask = given["attn_mask"]
    if given["is_causal"]:
        sizes = b.sizes([q.shape[-2], k.shape[-2]])
        ones = b.add("Trilu", b.add("Expand", b.constant(1.0, FLOAT), sizes), upper=0)
        scores = b.add("Where", b.cast(ones, FLOAT, 9), scores, b.constant(-math.inf, FLOAT))
    elif mask is not None and b.element(mask.dtype) == 9:
        scores = b.add("Where", b.name(mask), scores, b.constant(-math.inf, FLOAT))
    elif mask is not None:
        scores = b.add("Add", scores, b.wide(mask))
    found = b.add("MatMul", b.add("Softmax", scores, axis=-1), b.wide(v))
    return b.narrow(found, node.output)
