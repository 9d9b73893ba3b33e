"""Convolutions and pooling."""

from typing import Any

import numpy as np

from lucid.export._graph import Node, Size, Value
from lucid.export._onnx.builder import FLOAT, Builder
from lucid.export._onnx.table import lowers
from lucid.ops.adaptive_pooling import _bounds


def numbers(value: Any, dims: int) -> list[int]:
    """One number or several, as one for each dimension."""
    found = list(value) if isinstance(value, tuple | list) else [value]
    return [int(one) for one in (found * dims if len(found) == 1 else found)]


class Space:
    """The input of an operation on images as (N, C, ...), and back: without a batch, or with the channels last."""

    def __init__(self, b: Builder, node: Node, dims: int, name: str) -> None:
        value: Value = node.arguments["input"]
        self.b, self.dims = b, dims
        self.unbatched = value.ndim == dims + 1
        self.last = node.arguments.get("data_format", "channels_first") == "channels_last"
        sizes = list(value.shape) if self.unbatched else list(value.shape[1:])
        self.sizes = sizes[:-1] if self.last else sizes[1:]  # of the spatial dimensions
        out = list(node.output.shape) if self.unbatched else list(node.output.shape[1:])
        self.result_sizes = out[:-1] if self.last else out[1:]
        if self.unbatched:
            name = b.add("Unsqueeze", name, b.ints([0]))
        self.x = b.channels_first(name, dims + 2) if self.last else name

    def result(self, name: str) -> str:
        if self.last:
            name = self.b.channels_last(name, self.dims + 2)
        return self.b.add("Squeeze", name, self.b.ints([0])) if self.unbatched else name


def _dims(node: Node) -> int:
    return int(node.operation[-2])


@lowers("conv1d", "conv2d", "conv3d")
def conv(b: Builder, node: Node) -> Any:
    given, dims = node.arguments, _dims(node)
    element = b.element(node.output.dtype)
    inputs = [b.as_element(given[name], element) for name in ("weight", "bias") if given[name] is not None]
    kernel = list(given["weight"].example[2:])
    dilation = numbers(given["dilation"], dims)
    if given["padding"] == "same":
        totals = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        pads = [one // 2 for one in totals] + [one - one // 2 for one in totals]
    else:
        pads = 2 * numbers(0 if given["padding"] == "valid" else given["padding"], dims)
    space = Space(b, node, dims, b.as_element(given["input"], element))
    found = b.add(
        "Conv", space.x, *inputs, kernel_shape=kernel, strides=numbers(given["stride"], dims), pads=pads,
        dilations=dilation, group=int(given["groups"]),
    )  # fmt: skip
    return space.result(found)


@lowers("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def conv_transpose(b: Builder, node: Node) -> Any:
    given, dims = node.arguments, _dims(node)
    element = b.element(node.output.dtype)
    inputs = [b.as_element(given[name], element) for name in ("weight", "bias") if given[name] is not None]
    space = Space(b, node, dims, b.as_element(given["input"], element))
    found = b.add(
        "ConvTranspose", space.x, *inputs, kernel_shape=list(given["weight"].example[2:]),
        strides=numbers(given["stride"], dims), pads=2 * numbers(given["padding"], dims),
        output_padding=numbers(given["output_padding"], dims), dilations=numbers(given["dilation"], dims),
        group=int(given["groups"]),
    )  # fmt: skip
    return space.result(found)


class _Windows:
    """The geometry of pooling; windows that ``ceil_mode`` adds become padding at the end."""

    def __init__(self, b: Builder, node: Node, space: Space) -> None:
        given, dims = node.arguments, space.dims
        self.kernel = numbers(given["kernel_size"], dims)
        stride = given["stride"]
        self.stride = self.kernel if stride is None or stride == () else numbers(stride, dims)
        self.padding = numbers(given.get("padding", 0), dims)
        self.dilation = numbers(given.get("dilation", 1), dims)
        self.extra = [0] * dims
        if given["ceil_mode"]:
            if any(isinstance(one, Size) for one in space.sizes):
                raise b.refuse("ceil_mode is not supported for a variable size")
            for i, (size, out) in enumerate(zip(space.sizes, space.result_sizes, strict=True)):
                assert isinstance(size, int) and isinstance(out, int)
                reach = (out - 1) * self.stride[i] + self.dilation[i] * (self.kernel[i] - 1) + 1
                self.extra[i] = max(0, reach - size - 2 * self.padding[i])

    def attributes(self) -> dict[str, Any]:
        ends = [p + extra for p, extra in zip(self.padding, self.extra, strict=True)]
        return {"kernel_shape": self.kernel, "strides": self.stride, "pads": self.padding + ends}


@lowers("max_pool1d", "max_pool2d", "max_pool3d")
def max_pool(b: Builder, node: Node) -> Any:
    if node.arguments["return_indices"]:
        raise b.refuse("return_indices=True is not supported")
    space = Space(b, node, _dims(node), b.name(node.arguments["input"]))
    windows = _Windows(b, node, space)
    found = b.add("MaxPool", space.x, dilations=windows.dilation, **windows.attributes())
    return space.result(found)


@lowers("avg_pool1d", "avg_pool2d", "avg_pool3d")
def avg_pool(b: Builder, node: Node) -> Any:
    given = node.arguments
    space = Space(b, node, _dims(node), b.wide(given["input"]))
    windows = _Windows(b, node, space)
    if any(windows.extra):
        raise b.refuse("ceil_mode with a partial window is not supported")
    divisor = given.get("divisor_override")
    counts = bool(given["count_include_pad"]) or divisor is not None
    found = b.add("AveragePool", space.x, count_include_pad=int(counts), **windows.attributes())
    if divisor is not None:
        found = b.add("Mul", found, b.constant(float(np.prod(windows.kernel)) / divisor, FLOAT))
    return b.narrow(space.result(found), node.output)


@lowers("adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d")
def adaptive_avg_pool(b: Builder, node: Node) -> Any:
    space = Space(b, node, _dims(node), b.wide(node.arguments["input"]))
    if all(one == 1 for one in space.result_sizes):
        axes = b.ints(range(2, 2 + space.dims))
        return b.narrow(space.result(b.add("ReduceMean", space.x, axes, keepdims=1)), node.output)
    found = space.x
    for axis, (size, out) in enumerate(zip(space.sizes, space.result_sizes, strict=True), 2):
        if size == out:
            continue
        if isinstance(size, Size) or isinstance(out, Size):
            raise b.refuse("an output size other than 1 is not supported for a variable size")
        starts, stops = _bounds(size, out)
        at = np.arange(size)
        matrix = ((at >= starts[:, None]) & (at < stops[:, None])) / (stops - starts)[:, None]
        found = along_axis(b, found, space.dims + 2, axis, matrix)
    return b.narrow(space.result(found), node.output)


@lowers("adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d")
def adaptive_max_pool(b: Builder, node: Node) -> Any:
    if node.arguments["return_indices"]:
        raise b.refuse("return_indices=True is not supported")
    space = Space(b, node, _dims(node), b.name(node.arguments["input"]))
    if all(one == 1 for one in space.result_sizes):
        return space.result(b.add("ReduceMax", space.x, b.ints(range(2, 2 + space.dims)), keepdims=1))
    pairs = list(zip(space.sizes, space.result_sizes, strict=True))
    if any(isinstance(size, Size) or isinstance(out, Size) or size % out for size, out in pairs):
        raise b.refuse(f"sizes {space.sizes} that are not multiples of the output size are not supported")
    kernel = [size // out for size, out in pairs]  # type: ignore[operator]
    return space.result(b.add("MaxPool", space.x, kernel_shape=kernel, strides=kernel))


def along_axis(b: Builder, name: str, ndim: int, axis: int, matrix: np.ndarray) -> str:
    """A float32 tensor with ``matrix`` (out, size) applied along ``axis``."""
    found: str
    if axis == ndim - 1:
        found = b.add("MatMul", name, b.constant(matrix.T, FLOAT))
    elif axis == ndim - 2:
        found = b.add("MatMul", b.constant(matrix, FLOAT), name)
    else:
        order = [*range(axis), *range(axis + 1, ndim), axis]
        moved = b.add("MatMul", b.add("Transpose", name, perm=order), b.constant(matrix.T, FLOAT))
        found = b.add("Transpose", moved, perm=[*range(axis), ndim - 1, *range(axis, ndim - 1)])
    return found
