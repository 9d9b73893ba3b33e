"""Operations that move values: shapes, orders of dimensions, joining, splitting, padding and resizing."""

from typing import Any, cast

import numpy as np

from lucid.export._graph import Node, Size, Value
from lucid.export._onnx.builder import FLOAT, INT64, Builder
from lucid.export._onnx.products import indices
from lucid.export._onnx.table import lowers
from lucid.export._onnx.windows import Space, along_axis
from lucid.ops.resize import resize_matrix

_LINEAR = ("linear", "bilinear", "trilinear")


def _input(b: Builder, node: Node) -> tuple[str, Value]:
    value = node.arguments.get("input", node.arguments.get("tensor"))
    assert isinstance(value, Value)
    return b.name(value), value


@lowers(
    "reshape", "view", "view_as", "reshape_as", "flatten", "unflatten", "ravel", "squeeze", "unsqueeze",
    "_with_1_dimension",
)  # fmt: skip
def reshape(b: Builder, node: Node) -> Any:
    name, value = _input(b, node)
    if value.dtype != node.output.dtype:
        raise b.refuse("bits reinterpreted as another dtype are not supported")
    if node.operation == "unsqueeze":
        return b.add("Unsqueeze", name, b.ints([int(node.arguments["dim"])]))
    if node.operation == "squeeze" and node.output.ndim < value.ndim:
        gone = node.arguments["dim"]
        gone = range(value.ndim) if gone is None else gone if isinstance(gone, tuple | list) else [gone]
        return b.add("Squeeze", name, b.ints([one for one in gone if value.shape[one] == 1]))
    return b.reshape(name, node.output.shape, value.shape)


@lowers("expand", "expand_as", "broadcast_to")
def expand(b: Builder, node: Node) -> Any:
    return b.add("Expand", _input(b, node)[0], b.sizes(node.output.shape))


@lowers("permute", "transpose", "swapaxes", "t", "movedim")
def permute(b: Builder, node: Node) -> Any:
    name, value = _input(b, node)
    given, ndim = node.arguments, value.ndim
    order = list(range(ndim))
    if node.operation == "permute":
        dims = given["dims"]
        dims = dims[0] if len(dims) == 1 and isinstance(dims[0], tuple) else dims
        order = [one % ndim for one in dims]
    elif node.operation == "t":
        order.reverse()
    elif node.operation == "movedim":
        start, goal = ([one % ndim for one in (x if isinstance(x, tuple) else (x,))] for x in (
            given["source"], given["destination"]
        ))  # fmt: skip
        rest = iter(one for one in range(ndim) if one not in start)
        order = [start[goal.index(one)] if one in goal else next(rest) for one in range(ndim)]
    elif ndim:
        first, second = (one % ndim for one in list(given.values())[1:3])
        order[first], order[second] = second, first
    found = b.add("Transpose", name, perm=order)
    if order == [0, *range(2, ndim), 1]:
        b.note_channels_last(found, name)
    return found


@lowers("cat", "hstack")
def cat(b: Builder, node: Node) -> Any:
    element = b.element(node.output.dtype)
    given = [one for one in node.arguments["tensors"] if one.shape != (0,)]
    dim = node.arguments.get("dim", 0 if node.output.ndim == 1 else 1)
    return b.add("Concat", *(b.as_element(one, element) for one in given), axis=int(dim))


@lowers("stack")
def stack(b: Builder, node: Node) -> Any:
    element, dim = b.element(node.output.dtype), b.ints([int(node.arguments["dim"])])
    parts = [b.add("Unsqueeze", b.as_element(one, element), dim) for one in node.arguments["tensors"]]
    return b.add("Concat", *parts, axis=int(node.arguments["dim"]))


@lowers("split", "chunk", "unbind")
def split(b: Builder, node: Node) -> Any:
    name, value = _input(b, node)
    dim, count = int(node.arguments["dim"]) % value.ndim, len(node.outputs)
    if node.operation == "unbind":
        lengths: list[Any] = [1] * count
    else:
        lengths = [one.shape[dim] for one in node.outputs]
    parts = [name] if count == 1 else b.add("Split", name, b.sizes(lengths), axis=dim, count=count)
    return [b.add("Squeeze", one, b.ints([dim])) for one in parts] if node.operation == "unbind" else parts


@lowers("repeat", "tile")
def repeat(b: Builder, node: Node) -> Any:
    name, value = _input(b, node)
    counts = node.arguments["repeats" if node.operation == "repeat" else "dims"]
    counts = list(counts) if isinstance(counts, tuple) else [counts]
    if len(counts) == 1 and isinstance(counts[0], tuple):
        counts = list(counts[0])
    extra = len(counts) - value.ndim
    if extra > 0:
        name = b.add("Unsqueeze", name, b.ints(range(extra)))
    return b.add("Tile", name, b.sizes([1] * max(0, -extra) + counts))


@lowers("flip", "fliplr", "flipud")
def flip(b: Builder, node: Node) -> Any:
    name, value = _input(b, node)
    dims = {"fliplr": (1,), "flipud": (0,)}.get(node.operation) or node.arguments["dims"]
    dims = dims if isinstance(dims, tuple) else (dims,)
    dims = [one % value.ndim for one in (dims[0] if len(dims) == 1 and isinstance(dims[0], tuple) else dims)]
    return sliced(b, name, {one: slice(None, None, -1) for one in dims})


@lowers("roll")
def roll(b: Builder, node: Node) -> Any:
    name, value = _input(b, node)
    shifts, dims = (x if isinstance(x, tuple) else (x,) for x in (node.arguments["shifts"], node.arguments["dims"]))
    if not dims:
        raise b.refuse("roll without dims is not supported")
    for shift, dim in zip(shifts, dims, strict=True):
        size = value.shape[dim]
        if isinstance(shift, Size):
            raise b.refuse("a shift that depends on the sizes of the inputs is not supported")
        shift = shift % size if isinstance(size, int) else shift
        if shift:
            parts = [sliced(b, name, {dim % value.ndim: one}) for one in (slice(-shift, None), slice(None, -shift))]
            name = b.add("Concat", *parts, axis=int(dim))
    return name


@lowers("narrow", "select")
def narrow(b: Builder, node: Node) -> Any:
    name, value = _input(b, node)
    given, dim = node.arguments, int(node.arguments["dim"]) % value.ndim
    if node.operation == "select":
        return b.add("Gather", name, b.constant(int(given["index"]), INT64), axis=dim)
    length = node.output.shape[dim]
    if isinstance(given["start"], int) and isinstance(length, int):
        stop = given["start"] + length
        return sliced(b, name, {dim: slice(given["start"], stop or None)})
    start = b.sizes([given["start"]])
    stop = b.add("Add", start, b.sizes([length]))
    return b.add("Slice", name, start, stop, b.ints([dim]))


def sliced(b: Builder, name: str, slices: dict[int, slice]) -> str:
    """``name`` with these slices of these dimensions."""
    slices = {dim: one for dim, one in slices.items() if one != slice(None)}
    if not slices:
        return name
    steps = [1 if one.step is None else one.step for one in slices.values()]
    starts, stops = [], []
    for one, step in zip(slices.values(), steps, strict=True):
        back = isinstance(step, int) and step < 0
        starts.append((2**63 - 1 if back else 0) if one.start is None else one.start)
        stops.append((-(2**63) if back else 2**63 - 1) if one.stop is None else one.stop)
    parts = [b.sizes(starts), b.sizes(stops), b.ints(list(slices)), b.sizes(steps)]
    found: str = b.add("Slice", name, *parts)
    return found


@lowers("getitem")
def getitem(b: Builder, node: Node) -> Any:
    name, value = _input(b, node)
    index = node.arguments["index"]
    entries = list(index) if isinstance(index, tuple) else [index]
    used = sum(one is not None and one is not Ellipsis for one in entries)
    if Ellipsis not in [one for one in entries if not isinstance(one, Value)]:
        entries.append(Ellipsis)
    at = next(i for i, one in enumerate(entries) if one is Ellipsis)
    entries[at : at + 1] = [slice(None)] * (value.ndim - used)
    slices, numbers, tensors, new = {}, [], [], []
    dim = place = 0
    for one in entries:
        if one is None:
            new.append(place)
            place += 1
            continue
        if isinstance(one, slice):
            slices[dim] = one
            place += 1
        elif isinstance(one, Value) and one.dtype.size > 1:
            tensors.append((dim, one))
            place += one.ndim
        elif isinstance(one, int | Size) and not isinstance(one, bool):
            numbers.append((dim, one))
        else:
            raise b.refuse(f"an index of {type(one).__name__} is not supported")
        dim += 1
    if len(tensors) > 1 or (tensors and (numbers or new)):
        raise b.refuse("a tensor together with other indices than slices is not supported")
    name = sliced(b, name, slices)
    for dim, tensor in tensors:
        name = b.add("Gather", name, indices(b, tensor), axis=dim)
    for dim, number in reversed(numbers):
        if isinstance(number, Size):
            name = b.add("Squeeze", b.add("Gather", name, b.sizes([number]), axis=dim), b.ints([dim]))
        else:
            name = b.add("Gather", name, b.constant(number, INT64), axis=dim)
    return b.add("Unsqueeze", name, b.ints(new)) if new else name


@lowers("setitem")
def setitem(b: Builder, node: Node) -> Any:
    """A write to a range of one dimension, or to all: what is before, the values, and what is after."""
    value, index = node.arguments["input"], node.arguments["index"]
    element = b.element(value.dtype)
    name, written = b.as_element(value, element), b.as_element(node.arguments["value"], element)
    entries = list(index) if isinstance(index, tuple) else [index]
    if any(isinstance(one, Value) or one is None for one in entries):
        raise b.refuse("a write to an index of tensors is not supported; use where")
    if Ellipsis in entries:
        at = entries.index(Ellipsis)
        entries[at : at + 1] = [slice(None)] * (value.ndim - len(entries) + 1)
    chosen = [(dim, one) for dim, one in enumerate(entries) if one != slice(None)]
    if not chosen:
        return b.add("Expand", written, b.sizes(value.shape))
    [(dim, one)] = chosen if len(chosen) == 1 else [(0, None)]
    size = value.shape[dim]
    is_plain = isinstance(one, int) or (isinstance(one, slice) and one.step in (None, 1))
    if not (is_plain and isinstance(size, int)):
        raise b.refuse("only a write to a range of one dimension of fixed size is supported; use cat or where")
    place = slice(one % size, one % size + 1) if isinstance(one, int) else cast(slice, one)
    start, stop = place.indices(size)[:2]
    shape = [stop - start if i == dim else n for i, n in enumerate(value.shape)]
    if isinstance(one, int):
        given, after = node.arguments["value"], value.ndim - 1 - dim
        if isinstance(given, Value) and given.ndim > after:  # it lacks the dimension
            written = b.add("Unsqueeze", written, b.ints([given.ndim - after]))
    parts = [] if start == 0 else [sliced(b, name, {dim: slice(0, start)})]
    parts.append(b.add("Expand", written, b.sizes(shape)))
    if stop < size:
        parts.append(sliced(b, name, {dim: slice(stop, size)}))
    return parts[0] if len(parts) == 1 else b.add("Concat", *parts, axis=dim)


@lowers("gather", "take_along_dim")
def gather(b: Builder, node: Node) -> Any:
    name, _ = _input(b, node)
    index = node.arguments["index" if node.operation == "gather" else "indices"]
    if node.arguments["dim"] is None:
        raise b.refuse("it needs a dim")
    if node.operation == "take_along_dim" and index.shape != node.output.shape:
        raise b.refuse("indices that broadcast are not supported")
    return b.add("GatherElements", name, indices(b, index), axis=int(node.arguments["dim"]))


@lowers("index_select")
def index_select(b: Builder, node: Node) -> Any:
    return b.add("Gather", _input(b, node)[0], indices(b, node.arguments["index"]), axis=int(node.arguments["dim"]))


@lowers("tril", "triu")
def tril(b: Builder, node: Node) -> Any:
    diagonal = b.constant(int(node.arguments["diagonal"]), INT64)
    return b.add("Trilu", _input(b, node)[0], diagonal, upper=int(node.operation == "triu"))


@lowers("pad")
def pad(b: Builder, node: Node) -> Any:
    name, value = _input(b, node)
    mode = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    given = list(node.arguments["pad"])
    before: list[Any] = [0] * value.ndim
    after: list[Any] = [0] * value.ndim
    for i in range(len(given) // 2):
        before[-1 - i], after[-1 - i] = given[2 * i], given[2 * i + 1]
    inputs = [name, b.sizes(before + after)]
    if node.arguments["mode"] == "constant":
        inputs.append(b.as_element(node.arguments["value"] or 0, b.element(value.dtype)))
    return b.add("Pad", *inputs, mode=mode[node.arguments["mode"]])


# Images --------------------------------------------------------------------------------------------------------------


@lowers("pixel_shuffle")
def pixel_shuffle(b: Builder, node: Node) -> Any:
    name, value = _input(b, node)
    if value.ndim != 4:
        raise b.refuse("only images (N, C, H, W) are supported")
    return b.add("DepthToSpace", name, blocksize=int(node.arguments["upscale_factor"]), mode="CRD")


@lowers("pixel_unshuffle")
def pixel_unshuffle(b: Builder, node: Node) -> Any:
    name, value = _input(b, node)
    r, channels = int(node.arguments["downscale_factor"]), value.shape[1]
    if value.ndim != 4 or not isinstance(channels, int):
        raise b.refuse("only images (N, C, H, W) are supported")
    found = b.add("SpaceToDepth", name, blocksize=r)  # channels in the order (block, C)
    order = np.arange(channels * r * r).reshape(r * r, channels).T.reshape(-1)
    return b.add("Gather", found, b.ints(order.tolist()), axis=1)


@lowers("channel_shuffle")
def channel_shuffle(b: Builder, node: Node) -> Any:
    name, value = _input(b, node)
    channels, groups = value.shape[1], int(node.arguments["groups"])
    if not isinstance(channels, int):
        raise b.refuse("a variable number of channels is not supported")
    order = np.arange(channels).reshape(groups, channels // groups).T.reshape(-1)
    return b.add("Gather", name, b.ints(order.tolist()), axis=1)


@lowers("interpolate")
def interpolate(b: Builder, node: Node) -> Any:
    given, value = node.arguments, node.arguments["input"]
    mode, dims, corners = given["mode"], value.ndim - 2, bool(given["align_corners"])
    if b.element(value.dtype) not in (FLOAT, 10, 11):
        raise b.refuse("only floating-point images are supported; convert with .float()")
    space = Space(b, node, dims, b.wide(value))
    if given["antialias"] or mode == "area":
        return b.narrow(space.result(_averaged(b, node, space)), node.output)
    options: dict[str, Any] = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric"}
    if mode == "nearest":
        options["nearest_mode"] = "floor"
    elif mode == "nearest-exact":
        options |= {"coordinate_transformation_mode": "half_pixel", "nearest_mode": "round_prefer_ceil"}
    else:
        options["mode"] = "linear" if mode in _LINEAR else "cubic"
        options["coordinate_transformation_mode"] = "align_corners" if corners else "half_pixel"
        if mode == "bicubic":
            options["cubic_coeff_a"] = -0.75
    factor = given["scale_factor"]
    if factor is not None and not given["recompute_scale_factor"]:
        factors = list(factor) if isinstance(factor, tuple) else [factor] * dims
        found = b.add("Resize", space.x, "", b.constant([1.0, 1.0, *map(float, factors)], FLOAT), **options)
    else:
        start = b.add("Shape", space.x, start=0, end=2)
        sizes = b.add("Concat", start, b.sizes(space.result_sizes), axis=0)
        found = b.add("Resize", space.x, "", "", sizes, **options)
    return b.narrow(space.result(found), node.output)


def _averaged(b: Builder, node: Node, space: Space) -> str:
    """Resizing by matrices, for the modes that ONNX does not have or defines in another way."""
    given, name = node.arguments, space.x
    factor = given["scale_factor"]
    factors = list(factor) if isinstance(factor, tuple) else [factor] * space.dims
    for i in reversed(range(space.dims)):
        old, new = space.sizes[i], space.result_sizes[i]
        if isinstance(old, Size) or isinstance(new, Size):
            raise b.refuse(f"mode {given['mode']!r} with antialias or areas is not supported for a variable size")
        scale = None if given["recompute_scale_factor"] else factors[i]
        if old != new:
            matrix = resize_matrix(
                old, new, scale, given["mode"], bool(given["align_corners"]), bool(given["antialias"])
            )
            name = along_axis(b, name, space.dims + 2, 2 + i, matrix)
    return name
