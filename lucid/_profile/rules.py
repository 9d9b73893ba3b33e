"""The kernels of each primitive on an Apple GPU.

Which kernels a primitive launches, and which copies it makes first, is taken from mlx/backend/metal (0.32) for an
M-series Pro. One function per primitive records the launches and returns the layouts of the outputs. Bytes of kernels
of one's own are those of the arrays that they declare.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import mlx.core as mx

from lucid._profile import layout
from lucid._profile.graph import Node
from lucid._profile.launches import Recorder
from lucid._profile.layout import Layout

Shape = tuple[int, ...]
_Launch = Callable[[Recorder, Node, list[Layout], list[Shape]], list[Layout]]


def _same(run: Recorder, node: Node, inputs: list[Layout], shapes: list[Shape]) -> list[Layout]:
    return inputs[-len(node.outputs) :]


def _depends(run: Recorder, node: Node, inputs: list[Layout], shapes: list[Shape]) -> list[Layout]:
    return inputs[: len(node.outputs)]


def _transpose(run: Recorder, node: Node, inputs: list[Layout], shapes: list[Shape]) -> list[Layout]:
    return [layout.transposed(inputs[0], node.arguments[0])]


def _broadcast(run: Recorder, node: Node, inputs: list[Layout], shapes: list[Shape]) -> list[Layout]:
    return [layout.broadcast(inputs[0], shapes[0])]


def _slice(run: Recorder, node: Node, inputs: list[Layout], shapes: list[Shape]) -> list[Layout]:
    return [layout.sliced(inputs[0], shapes[0], node.arguments[2])]


def _split(run: Recorder, node: Node, inputs: list[Layout], shapes: list[Shape]) -> list[Layout]:
    return [layout.sliced(inputs[0], shape, (1,) * len(shape)) for shape in shapes]


def _reshape(run: Recorder, node: Node, inputs: list[Layout], shapes: list[Shape]) -> list[Layout]:
    view = layout.reshaped(inputs[0], shapes[0])
    if view is not None:
        return [view]
    run.copy(inputs[0], run.type_of(0), "reshape")
    return run.dense(node)


def _contiguous(run: Recorder, node: Node, inputs: list[Layout], shapes: list[Shape]) -> list[Layout]:
    if inputs[0].is_row_contiguous or (node.arguments[0] and inputs[0].is_column_contiguous):
        return [inputs[0]]
    return [run.copy(inputs[0], run.type_of(0))]


def _full(run: Recorder, node: Node, inputs: list[Layout], shapes: list[Shape]) -> list[Layout]:
    made = run.dense(node)
    run.launch("Full", inputs, made, 0)
    return made


def _nothing(run: Recorder, node: Node, inputs: list[Layout], shapes: list[Shape]) -> list[Layout]:
    return run.dense(node)


def _matmul(run: Recorder, node: Node, inputs: list[Layout], shapes: list[Shape]) -> list[Layout]:
    operands = [_matrix(run, one, i) for i, one in enumerate(inputs[:2])]
    m, n, k = inputs[0].shape[-2], inputs[1].shape[-1], inputs[0].shape[-1]
    made = run.dense(node)
    batch = math.prod(shapes[0][:-2])
    if batch > 1 and inputs[1].distinct == k * n:
        m, batch = m * batch, 1
    flops = 2 * math.prod(shapes[0]) * k
    tiles, tiles_k = -(-m // 16) * -(-n // 16), k // 16
    if min(m, n) > 1 and batch == 1 and tiles <= 1024 and tiles_k >= 8 and k >= max(m, n):
        blocks = tiles_k // (-(-m // 32) * -(-n // 32))
        parts = min(max(2, 1 << max(blocks - 1, 0).bit_length()), 32)
        partial = layout.dense((parts, m, n), node.outputs[0])
        types = [run.type_of(0), run.type_of(1)]
        run.launch(
            f"{node.primitive} (split K)", operands, [partial], flops, read_types=types, write_types=[mx.float32]
        )
        others = inputs[2:]
        types = [mx.float32, *(run.type_of(2 + i) for i in range(len(others)))]
        run.launch("sum of split K", [partial, *others], made, parts * m * n, read_types=types)
        return made
    run.launch(node.primitive, [*operands, *inputs[2:]], made, flops)
    return made


def _matrix(run: Recorder, x: Layout, position: int) -> Layout:
    """``x`` as MLX multiplies it: rows or columns must be contiguous."""
    rows, columns = x.strides[-2:]
    is_vector = x.shape[-2 + position] == 1
    if columns == 1 and (not is_vector or rows == x.shape[-1]):
        return x
    if rows == 1 and (not is_vector or columns == x.shape[-2]):
        return x
    return run.copy(x, run.type_of(position), "matmul")


def _reduce(run: Recorder, node: Node, inputs: list[Layout], shapes: list[Shape]) -> list[Layout]:
    x, made = inputs[0], run.dense(node)
    axes = sorted(node.arguments[1])
    if math.prod(x.shape) == math.prod(shapes[0]):
        run.launch("copy (reduction of one value)", [x], made, 0)
        return made
    kind, sizes, strides = _reduction(x, axes)
    if kind == "general":
        x = run.copy(x, run.type_of(0), "reduction")
        kind, sizes, strides = _reduction(x, axes)
    passes = 0  # rows of partial results of a first pass
    if kind == "all" and math.prod(x.shape) > 4096:
        passes = 128 if math.prod(x.shape) * run.type_of(0).size <= 1 << 26 else 4096
    elif kind == "columns":
        count, row = math.prod(sizes), strides[-1]
        outputs = math.prod(shapes[0])
        if count >= 32:
            if row < 32 and count >= 1024:
                passes = 128 if count >= 32768 else 32
            elif count > 256 and outputs // 32 < 1024:
                passes = 32
    work = math.prod(x.shape)
    if not passes:
        run.launch("Reduce", [x], made, work)
        return made
    partial = layout.dense((passes,) if kind == "all" else (passes, *shapes[0]), node.outputs[0])
    types = [run.graph.dtypes[node.outputs[0]]]
    run.launch("Reduce (first pass)", [x], [partial], work, write_types=types)
    run.launch("Reduce (second pass)", [partial], made, partial.size, read_types=types)
    return made


def _reduction(x: Layout, axes: Sequence[int]) -> tuple[str, list[int], list[int]]:
    """MLX's plan: "all", "rows", "columns" or "general", with sizes and strides of the reduced dimensions."""
    if math.prod(x.shape) == x.size and len(axes) == len(x.shape) and x.is_contiguous:
        return "all", [], []
    if x.is_row_contiguous:
        sizes, strides = [x.shape[axes[0]]], [x.strides[axes[0]]]
        for before, axis in itertools.pairwise(axes):
            if axis - 1 == before and x.shape[axis] > 1:
                sizes[-1], strides[-1] = sizes[-1] * x.shape[axis], x.strides[axis]
            else:
                sizes.append(x.shape[axis])
                strides.append(x.strides[axis])
        kept = [i for i, n in enumerate(sizes) if n != 1]
        sizes, strides = [sizes[i] for i in kept], [strides[i] for i in kept]
        return ("rows" if strides[-1] == 1 else "columns"), sizes, strides
    pairs = sorted(((x.strides[a], x.shape[a]) for a in axes if x.shape[a] > 1), key=lambda one: (one[0] != 0, -one[0]))
    for i in range(len(pairs) - 1, 0, -1):
        (inner, n), (outer, m) = pairs[i], pairs[i - 1]
        if outer == n * inner:
            del pairs[i]
            pairs[i - 1] = inner, n * m
    sizes, strides = [n for _, n in pairs], [stride for stride, _ in pairs]
    if strides[-1] == 1:
        return "rows", sizes, strides
    if strides[-1] > 1:
        size, expands = 1, False
        for i in reversed(range(len(x.shape))):
            if i == axes[-1]:
                continue
            if x.strides[i] == 0:
                if x.shape[i] == 1:
                    continue
                expands = True
                break
            if x.strides[i] != size and x.shape[i] != 1:
                break
            size *= x.shape[i]
        if size > strides[-1] or (size == strides[-1] and not expands):
            return "columns", sizes, strides
    return "general", sizes, strides


def _column_sums(run: Recorder, x: Layout, dtype: mx.Dtype, buffer: int) -> None:
    """The sums over all but the last dimension, as MLX's layer norms compute the gradients of their vectors."""
    width = x.shape[-1]
    rows = math.prod(x.shape[:-1])
    made = layout.dense((width,), buffer)
    if rows > 256 and width // 32 < 1024 and width >= 32:
        partial = layout.dense((32, width), buffer)
        run.launch("Reduce (first pass)", [x], [partial], x.size, read_types=[dtype], write_types=[dtype])
        run.launch("Reduce (second pass)", [partial], [made], partial.size, read_types=[dtype], write_types=[dtype])
    else:
        run.launch("Reduce", [x], [made], x.size, read_types=[dtype], write_types=[dtype])


def _row_operation(flops: int) -> _Launch:
    """Primitives along the last dimension, which must be contiguous: norms and softmax."""

    def launch(run: Recorder, node: Node, inputs: list[Layout], shapes: list[Shape]) -> list[Layout]:
        x = inputs[0]
        if not (x.is_contiguous and x.shape and x.strides[-1] == 1):
            x = run.copy(x, run.type_of(0), node.primitive)
        made = [layout.like(x, shape, one) if shape == x.shape else layout.dense(shape, one)
                for shape, one in zip(shapes, node.outputs, strict=True)]  # fmt: skip
        run.launch(node.primitive, [x, *inputs[1:]], made, flops * math.prod(x.shape))
        return made

    return launch


def _norm_vjp(run: Recorder, node: Node, inputs: list[Layout], shapes: list[Shape]) -> list[Layout]:
    """The gradient of a norm. With a weight, it writes products for the weight's gradient to memory and sums them."""
    x, weight, *rest, dy = inputs
    last = len(inputs) - 1
    x = run.contiguous(x, run.type_of(0), node.primitive)
    dy = run.contiguous(dy, run.type_of(last), node.primitive)
    made = run.dense(node)
    dtype = run.graph.dtypes[node.outputs[0]]
    if rest and rest[0].shape:
        _column_sums(run, dy, run.type_of(last), node.outputs[2])
    types = [run.type_of(0), run.type_of(1), run.type_of(last)]
    products = [layout.dense(x.shape, node.outputs[1])] if weight.shape else []
    run.launch(node.primitive, [x, weight, dy], [made[0], *products], 14 * math.prod(x.shape), read_types=types,
               write_types=[dtype] * (1 + len(products)))  # fmt: skip
    for one in products:
        _column_sums(run, one, dtype, node.outputs[1])
    return made


def _gather(run: Recorder, node: Node, inputs: list[Layout], shapes: list[Shape]) -> list[Layout]:
    made = run.dense(node)
    taken = layout.dense(shapes[0], node.inputs[0])  # reads as many elements as it writes
    run.launch(node.primitive, [taken, *inputs[1:]], made, 0)
    return made


def _scatter(run: Recorder, node: Node, inputs: list[Layout], shapes: list[Shape]) -> list[Layout]:
    made = run.dense(node)
    types = [run.graph.dtypes[node.outputs[0]]]
    run.launch("copy (scatter)", [inputs[0]], made, 0, read_types=types)
    touched = [layout.dense(inputs[-1].shape, node.outputs[0])]
    others = [run.type_of(i) for i in range(1, len(inputs))]
    run.launch(node.primitive, inputs[1:], touched, inputs[-1].distinct, read_types=others)
    return made


def _concatenate(run: Recorder, node: Node, inputs: list[Layout], shapes: list[Shape]) -> list[Layout]:
    for i, one in enumerate(inputs):
        part = [layout.dense(one.shape, node.outputs[0])]
        run.launch("copy (concatenate)", [one], part, 0, read_types=[run.type_of(i)])
    return run.dense(node)


def _pad(run: Recorder, node: Node, inputs: list[Layout], shapes: list[Shape]) -> list[Layout]:
    made = run.dense(node)
    run.launch("Full (pad)", inputs[1:], made, 0, read_types=[run.type_of(1)])
    part = [layout.dense(inputs[0].shape, node.outputs[0])]
    run.launch("copy (pad)", inputs[:1], part, 0, read_types=[run.type_of(0)])
    return made


def _convolution(run: Recorder, node: Node, inputs: list[Layout], shapes: list[Shape]) -> list[Layout]:
    x = run.contiguous(inputs[0], run.type_of(0), "convolution")
    weight = run.contiguous(inputs[1], run.type_of(1), "convolution")
    made = run.dense(node)
    _, *kernel, width = weight.shape
    flops = 2 * math.prod(shapes[0]) * math.prod(kernel) * width
    strides, _, _, dilation, input_dilation, groups, _ = node.arguments
    if not _unfolds(x, weight, shapes[0], strides, dilation, input_dilation, groups):
        run.launch("Convolution", [x, weight], made, flops)
        return made
    unfolded = layout.dense((math.prod(shapes[0][:-1]), math.prod(kernel) * width * groups), node.outputs[0])
    types = [run.type_of(0)]
    run.launch("unfold (convolution)", [x], [unfolded], 0, read_types=types, write_types=types)
    run.launch("Matmul (convolution)", [unfolded, weight], made, flops)
    return made


def _unfolds(
    x: Layout, weight: Layout, out: Shape, strides: Any, dilation: Any, input_dilation: Any, groups: int
) -> bool:
    """Whether MLX's Metal backend writes the patches to memory before it multiplies them."""
    if len(out) != 4:
        return False
    width, filters = weight.shape[-1], weight.shape[0] // groups
    undilated = set(input_dilation) <= {1}
    if groups > 1:
        small = width == filters == 1 and set(dilation) <= {1} and max(weight.shape[1:3]) <= 7 and max(strides) <= 2
        if undilated and small and x.shape[-1] % 16 == 0:
            return False
        fits = (width <= 4 or width % 16 == 0) and (filters <= 16 or filters % 16 == 0)
        return not (undilated and fits)
    fits = (width <= 4 or width % 16 == 0) and (filters <= 16 or filters % 16 == 0)
    aligned = width % 16 == 0 and filters % 16 == 0
    return not ((undilated and fits) or aligned or math.prod(out[:3]) >= 256)


def _custom_kernel(run: Recorder, node: Node, inputs: list[Layout], shapes: list[Shape]) -> list[Layout]:
    name = node.arguments[0].removeprefix("custom_kernel_").removeprefix("lucid_")
    ensures_contiguous = node.arguments[9] if len(node.arguments) > 9 else True
    if ensures_contiguous:
        inputs = [run.contiguous(one, run.type_of(i), "kernel") for i, one in enumerate(inputs)]
    made = run.dense(node)
    short = next((one for one in _CUSTOM_FLOPS if name.startswith(one)), None)
    flops = _CUSTOM_FLOPS[short](inputs, shapes) if short else sum(math.prod(one) for one in shapes)
    run.launch(short or name, inputs, made, flops)
    return made


# Arithmetic of Lucid's own kernels, by the start of their names; of others, one operation per output is assumed.
_CUSTOM_FLOPS: dict[str, Callable[[list[Layout], list[Shape]], int]] = {
    "rolling_forward": lambda inputs, shapes: 2 * math.prod(shapes[0]) * math.prod(inputs[1].shape[1:]),
    "general_forward": lambda inputs, shapes: 2 * math.prod(shapes[0]) * math.prod(inputs[1].shape[1:]),
    "gelu_and_square_sums": lambda inputs, shapes: 26 * inputs[0].size,
    "padded_gelu": lambda inputs, shapes: 25 * inputs[0].size,
    "gelu_square_sums": lambda inputs, shapes: 26 * inputs[0].size,
    "gelu_product_sums": lambda inputs, shapes: 27 * inputs[0].size,
    "scaled_gelu_gradient": lambda inputs, shapes: 52 * inputs[0].size,
    "biased_gelu_gradient": lambda inputs, shapes: 24 * math.prod(shapes[0]),
    "strided_input_gradient": lambda inputs, shapes: 2 * inputs[0].size * math.prod(inputs[1].shape[1:]),
    "rolling_weight_gradient": lambda inputs, shapes: 2 * inputs[1].size * (shapes[0][1] - 1),
    "general_weight_gradient": lambda inputs, shapes: 2 * inputs[1].size * (shapes[0][1] - 1),
}
LAUNCHES: dict[str, _Launch] = {
    "Transpose": _transpose,
    "Broadcast": _broadcast,
    "BroadcastAxes": _broadcast,
    "Slice": _slice,
    "Split": _split,
    "Contiguous": _contiguous,
    "CustomTransforms": _same,
    "Depends": _depends,
    "NumberOfElements": _nothing,
    "Full": _full,
    "Matmul": _matmul,
    "AddMM": _matmul,
    "Reduce": _reduce,
    "LayerNorm": _row_operation(8),
    "RMSNorm": _row_operation(4),
    "Softmax": _row_operation(4),
    "LogSumExp": _row_operation(3),
    "LayerNormVJP": _norm_vjp,
    "RMSNormVJP": _norm_vjp,
    "Gather": _gather,
    "GatherAxis": _gather,
    "Scatter": _scatter,
    "ScatterAxis": _scatter,
    "Concatenate": _concatenate,
    "Pad": _pad,
    "Convolution": _convolution,
    "CustomKernel": _custom_kernel,
} | dict.fromkeys(("Reshape", "Flatten", "Unflatten", "Squeeze", "ExpandDims"), _reshape)
