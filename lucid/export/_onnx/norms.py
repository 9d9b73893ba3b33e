"""Normalization. Means and variances are computed in float32."""

from typing import Any

import numpy as np

from lucid.export._graph import Node, Value
from lucid.export._onnx.builder import FLOAT, Builder
from lucid.export._onnx.table import lowers


def _affine(b: Builder, node: Node, size: int) -> tuple[str, str]:
    """Weight and bias as float32 tensors; ones and zeros if there are none."""
    weight, bias = node.arguments["weight"], node.arguments["bias"]
    return (
        b.constant(np.ones(size), FLOAT) if weight is None else b.wide(weight),
        b.constant(np.zeros(size), FLOAT) if bias is None else b.wide(bias),
    )


def _channel_axis(node: Node) -> int:
    return node.output.ndim - 1 if node.arguments["data_format"] == "channels_last" else 1


def _fixed(b: Builder, value: Value, axis: int) -> int:
    size = value.shape[axis]
    if not isinstance(size, int):
        raise b.refuse("a variable number of channels is not supported")
    return size


def _scaled(b: Builder, node: Node, name: str, axis: int) -> str:
    """``name * weight + bias`` along ``axis``."""
    ndim, size = node.output.ndim, _fixed(b, node.output, axis)
    shape = [size if one == axis else 1 for one in range(ndim)]
    for kind, value in (("Mul", node.arguments["weight"]), ("Add", node.arguments.get("bias"))):
        if value is not None:
            name = b.add(kind, name, b.reshape(b.wide(value), shape))
    return name


@lowers("layer_norm")
def layer_norm(b: Builder, node: Node) -> Any:
    sizes = node.arguments["normalized_shape"]
    sizes = list(sizes) if isinstance(sizes, tuple | list) else [sizes]
    weight, bias = node.arguments["weight"], node.arguments["bias"]
    scale = b.constant(np.ones(sizes), FLOAT) if weight is None else b.wide(weight)
    inputs = [scale] if bias is None else [scale, b.wide(bias)]
    x, ndim = b.wide(node.arguments["input"]), node.output.ndim
    first = node.arguments["data_format"] == "channels_first"
    if first:
        x = b.add("Transpose", x, perm=[0, *range(2, ndim), 1])
    found = b.add("LayerNormalization", x, *inputs, axis=-len(sizes), epsilon=float(node.arguments["eps"]))
    if first:
        found = b.add("Transpose", found, perm=[0, ndim - 1, *range(1, ndim - 1)])
    return b.narrow(found, node.output)


@lowers("rms_norm")
def rms_norm(b: Builder, node: Node) -> Any:
    sizes = node.arguments["normalized_shape"]
    count = len(sizes) if isinstance(sizes, tuple | list) else 1
    x, eps = b.wide(node.arguments["input"]), node.arguments["eps"]
    eps = float(np.finfo(np.float32).eps) if eps is None else float(eps)
    mean = b.add("ReduceMean", b.add("Mul", x, x), b.ints(range(-count, 0)), keepdims=1)
    found = b.add("Div", x, b.add("Sqrt", b.add("Add", mean, b.constant(eps, FLOAT))))
    if node.arguments["weight"] is not None:
        found = b.add("Mul", found, b.wide(node.arguments["weight"]))
    return b.narrow(found, node.output)


@lowers("batch_norm_with_statistics")
def batch_norm(b: Builder, node: Node) -> Any:
    given, axis = node.arguments, _channel_axis(node)
    x, ndim = b.wide(given["input"]), node.output.ndim
    weight, bias = _affine(b, node, _fixed(b, node.output, axis))
    last = axis != 1
    x = b.channels_first(x, ndim) if last else x
    mean, var = b.wide(given["mean"]), b.wide(given["var"])
    found = b.add("BatchNormalization", x, weight, bias, mean, var, epsilon=float(given["eps"]))
    return b.narrow(b.channels_last(found, ndim) if last else found, node.output)


@lowers("instance_norm_of_batch")
def instance_norm(b: Builder, node: Node) -> Any:
    axis, ndim = _channel_axis(node), node.output.ndim
    x, last = b.wide(node.arguments["input"]), _channel_axis(node) != 1
    weight, bias = _affine(b, node, _fixed(b, node.output, axis))
    x = b.channels_first(x, ndim) if last else x
    found = b.add("InstanceNormalization", x, weight, bias, epsilon=float(node.arguments["eps"]))
    found = b.narrow(b.channels_last(found, ndim) if last else found, node.output)
    return [found]  # nothing uses the statistics


@lowers("group_norm")
def group_norm(b: Builder, node: Node) -> Any:
    axis, groups = _channel_axis(node), int(node.arguments["num_groups"])
    x, ndim = b.wide(node.arguments["input"]), node.output.ndim
    last = axis != 1
    x = b.channels_first(x, ndim) if last else x
    grouped = b.add("Reshape", x, b.ints([0, groups, -1]))
    ones, zeros = b.constant(np.ones(groups), FLOAT), b.constant(np.zeros(groups), FLOAT)
    found = b.add("InstanceNormalization", grouped, ones, zeros, epsilon=float(node.arguments["eps"]))
    found = b.add("Reshape", found, b.add("Shape", x))
    found = _scaled(b, node, b.channels_last(found, ndim) if last else found, axis)
    return b.narrow(found, node.output)


@lowers("global_response_norm")
def global_response_norm(b: Builder, node: Node) -> Any:
    axis = _channel_axis(node)
    x = b.wide(node.arguments["input"])
    size = b.add("ReduceL2", x, b.ints([one for one in (1, 2, 3) if one != axis]), keepdims=1)
    mean = b.add("ReduceMean", size, b.ints([axis]), keepdims=1)
    response = b.add("Div", size, b.add("Add", mean, b.constant(float(node.arguments["eps"]), FLOAT)))
    return b.narrow(b.add("Add", _scaled(b, node, b.add("Mul", x, response), axis), x), node.output)


@lowers("normalize")
def normalize(b: Builder, node: Node) -> Any:
    kind = {1.0: "ReduceL1", 2.0: "ReduceL2"}.get(float(node.arguments["p"]))
    if kind is None:
        raise b.refuse(f"p={node.arguments['p']} is not supported")
    dim = node.arguments["dim"]
    x = b.wide(node.arguments["input"])
    size = b.add(kind, x, b.ints(list(dim) if isinstance(dim, tuple) else [dim]), keepdims=1)
    found = b.add("Div", x, b.add("Max", size, b.constant(float(node.arguments["eps"]), FLOAT)))
    return b.narrow(found, node.output)


@lowers("local_response_norm")
def local_response_norm(b: Builder, node: Node) -> Any:
    given = node.arguments
    if given["size"] % 2 == 0:
        raise b.refuse("an even size is not supported")
    x = b.wide(given["input"])
    options: dict[str, Any] = {"alpha": float(given["alpha"]), "beta": float(given["beta"]), "bias": float(given["k"])}
    return b.narrow(b.add("LRN", x, size=int(given["size"]), **options), node.output)
