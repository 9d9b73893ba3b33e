"""Operations that move, join and cut."""

from typing import Any

import numpy as np

from lucid.export._coreml.builder import Builder, Lowered, kind_of
from lucid.export._graph import Constant, Size, Value

# Permutations change the order alone. --------------------------------------------------------------------------------


def _permuted(b: Builder, input: Value, dims: Any) -> Lowered:
    var, order = b.lowered(input)
    return Lowered(var, tuple(order[dim % input.ndim] for dim in dims))


def permute(b: Builder, input: Value, dims: Any) -> Lowered:
    return _permuted(b, input, dims)


def transpose(b: Builder, input: Value, dim0: int, dim1: int) -> Lowered:
    dims = list(range(input.ndim))
    dims[dim0], dims[dim1] = dims[dim1], dims[dim0]
    return _permuted(b, input, dims)


def swapaxes(b: Builder, input: Value, axis0: int, axis1: int) -> Lowered:
    return transpose(b, input, axis0, axis1)


def t(b: Builder, input: Value) -> Lowered:
    return _permuted(b, input, range(input.ndim)[::-1])


def movedim(b: Builder, input: Value, source: Any, destination: Any) -> Lowered:
    sources = [one % input.ndim for one in (source if isinstance(source, list | tuple) else [source])]
    targets = [one % input.ndim for one in (destination if isinstance(destination, list | tuple) else [destination])]
    left = iter([dim for dim in range(input.ndim) if dim not in sources])
    return _permuted(
        b, input, [sources[targets.index(dim)] if dim in targets else next(left) for dim in range(input.ndim)]
    )


# Reshapes ------------------------------------------------------------------------------------------------------------


def reshaped(b: Builder, input: Value) -> Lowered:
    """Anything that keeps the elements in their order: only the shape of the result counts."""
    output = b.node.output if b.node is not None else input
    order = tuple(range(output.ndim))
    if output.dtype != input.dtype:
        b.refuse("it reads the bytes as another dtype")
    if output.shape == input.shape:
        return b.lowered(input)
    x = b.straight(input)
    if not output.ndim:
        return Lowered(b.emit("squeeze", x=x), order)
    varying = [i for i, one in enumerate(output.shape) if isinstance(one, Size)]
    if len(varying) <= 1:
        return Lowered(b.emit("reshape", x=x, shape=[-1 if isinstance(n, Size) else n for n in output.shape]), order)
    if output.ndim == input.ndim:
        kept = [i for i in varying if input.shape[i] == output.shape[i]]
        if len(varying) - len(kept) <= 1:
            shape = [0 if i in kept else -1 if isinstance(n, Size) else n for i, n in enumerate(output.shape)]
            return Lowered(b.emit("reshape", x=x, shape=shape), order)
    ones = [i for i, one in enumerate(output.shape) if one == 1]
    if [n for n in output.shape if n != 1] == [n for n in input.shape if n != 1]:
        removed = [i for i, one in enumerate(input.shape) if one == 1]
        x = b.emit("squeeze", x=x, axes=removed) if removed else x
        return Lowered(b.emit("expand_dims", x=x, axes=ones) if ones else x, order)
    return b.refuse("more than one size of its result depends on the input; export a fixed size")


def expanded(b: Builder, input: Value) -> Lowered:
    """Repeats along dimensions of size 1."""
    output = b.node.output if b.node is not None else input
    if output.shape == input.shape:
        return b.lowered(input)
    shape = b.fixed_shape(output, range(output.ndim))
    x = b.straight(input)
    if input.ndim < output.ndim:
        x = b.emit("expand_dims", x=x, axes=list(range(output.ndim - input.ndim)))
    have = (1,) * (output.ndim - input.ndim) + input.example
    reps = [want if old == 1 else 1 for old, want in zip(have, shape, strict=True)]
    return Lowered(b.emit("tile", x=x, reps=reps), tuple(range(output.ndim)))


def repeated(b: Builder, input: Value, repeats: Any = None, dims: Any = None) -> Lowered:
    given = b.fixed(repeats if repeats is not None else dims)
    reps = [int(one) for one in (given if isinstance(given, list | tuple) else [given])]
    x = b.straight(input)
    rank = max(len(reps), input.ndim)
    if input.ndim < rank:
        x = b.emit("expand_dims", x=x, axes=list(range(rank - input.ndim)))
    return Lowered(b.emit("tile", x=x, reps=[1] * (rank - len(reps)) + reps), tuple(range(rank)))


# Joining and cutting -------------------------------------------------------------------------------------------------


def cat(b: Builder, tensors: Any, dim: int = 0) -> Lowered:
    leader = next((one for one in tensors if not isinstance(one, Constant)), tensors[0])
    order = b.lowered(leader).order
    kind = "fp32" if any(kind_of(one.dtype) == "fp32" for one in tensors) else kind_of(leader.dtype)
    values = [b.cast(b.arranged(one, order), kind_of(one.dtype), kind) for one in tensors]
    return Lowered(b.emit("concat", values=values, axis=order[dim % leader.ndim]), order)


def stack(b: Builder, tensors: Any, dim: int = 0) -> Lowered:
    rank = tensors[0].ndim + 1
    values = [b.emit("expand_dims", x=b.straight(one), axes=[dim % rank]) for one in tensors]
    return Lowered(b.emit("concat", values=values, axis=dim % rank), tuple(range(rank)))


def _parts(b: Builder, input: Value, dim: int) -> list[Lowered]:
    """A cut along ``dim`` into parts of the sizes of the node's outputs."""
    var, order = b.lowered(input)
    outputs = b.node.outputs if b.node is not None else []
    sizes = [one.shape[dim] for one in outputs]
    if any(isinstance(one, Size) for one in sizes):
        b.refuse("the sizes of its parts depend on the size of the input; export a fixed size")
    if len(sizes) == 1:
        return [Lowered(var, order)]
    found = b.emit("split", x=var, split_sizes=sizes, axis=order[dim])
    return [Lowered(one, order) for one in found]


def split(b: Builder, tensor: Value, dim: int = 0) -> list[Lowered]:
    return _parts(b, tensor, dim % tensor.ndim)


def chunk(b: Builder, input: Value, dim: int = 0) -> list[Lowered]:
    return _parts(b, input, dim % input.ndim)


def unbind(b: Builder, input: Value, dim: int = 0) -> list[Lowered]:
    axis = dim % input.ndim
    count = b.fixed_shape(input, [axis])[0]
    var = b.straight(input)
    parts = [var] if count == 1 else b.emit("split", x=var, split_sizes=[1] * count, axis=axis)
    return [Lowered(b.emit("squeeze", x=one, axes=[axis]), tuple(range(input.ndim - 1))) for one in parts]


def getitem(b: Builder, input: Value, index: Any) -> Lowered:
    """Slices, integers, None and "..."."""
    entries = list(index) if isinstance(index, tuple) else [index]
    for one in entries:
        if isinstance(one, Value | bool) or not (one is None or one is Ellipsis or isinstance(one, int | slice | Size)):
            b.refuse("an index that is a tensor or a list; use index_select or where")
    real = [one for one in entries if one is not None and one is not Ellipsis]
    whole = [slice(None)] * (input.ndim - len(real))
    if any(one is Ellipsis for one in entries):
        at = next(i for i, one in enumerate(entries) if one is Ellipsis)
        entries[at : at + 1] = whole
    else:
        entries += whole
    found = _sliced(b, input, [one for one in entries if one is not None])
    added, place = [], 0
    for one in entries:
        if one is None:
            added.append(place)
        place += not isinstance(one, int)
    if not added:
        return found
    rank = len(found.order)
    var = b.emit("expand_dims", x=b.moved(found, range(rank)), axes=added)
    return Lowered(var, tuple(range(rank + len(added))))


def _sliced(b: Builder, input: Value, entries: list[Any]) -> Lowered:
    var, order = b.lowered(input)
    rank = input.ndim
    begin, end, step = [0] * rank, [0] * rank, [1] * rank
    open_start, open_end, squeezed = [False] * rank, [False] * rank, [False] * rank
    reversed_axes = []
    for dim, one in enumerate(entries):
        at, size = order[dim], input.shape[dim]
        if isinstance(one, Size):
            b.fixed(one, "an index")
        elif isinstance(one, int):
            if isinstance(size, Size) and one < 0:
                b.refuse("an index from the end of a dimension that varies; export a fixed size")
            begin[at], end[at] = one % input.example[dim], one % input.example[dim] + 1
            squeezed[at] = True
        else:
            stride = 1 if one.step is None else one.step
            b.fixed(stride, "the step of a slice")
            if stride < 0:
                if one.start is not None or one.stop is not None or stride != -1:
                    b.refuse("a slice with a negative step and bounds; use flip")
                reversed_axes.append(at)
                open_start[at] = open_end[at] = True
                continue
            step[at] = stride
            if one.start is None or one.start == 0:
                open_start[at] = True
            else:
                begin[at] = b.fixed(one.start, "the start of a slice")
            if one.stop is None or one.stop == size:
                open_end[at] = True
            elif isinstance(size, Size) or isinstance(one.stop, Size):
                end[at] = b.fixed(one.stop, "the end of a slice")
            else:
                end[at] = len(range(*slice(0, one.stop).indices(size)))
            if isinstance(begin[at], int) and begin[at] < 0 and not isinstance(size, Size):
                begin[at] = max(0, begin[at] + size)
    if reversed_axes:
        var = b.emit("reverse", x=var, axes=reversed_axes)
    dropped = [at for at in range(rank) if squeezed[at]]
    if all(open_start) and all(open_end) and step == [1] * rank:
        return Lowered(var, order)
    var = b.emit(
        "slice_by_index", x=var, begin=begin, end=end, stride=step, begin_mask=open_start, end_mask=open_end,
        squeeze_mask=squeezed,
    )  # fmt: skip
    return Lowered(var, b.without(input, dropped))


def select(b: Builder, input: Value, dim: int, index: int) -> Lowered:
    entries: list[Any] = [slice(None)] * input.ndim
    entries[dim] = index
    return _sliced(b, input, entries)


def narrow(b: Builder, input: Value, dim: int, start: Any, length: Any) -> Lowered:
    first = int(b.array(start).reshape(())) if isinstance(start, Constant) else b.fixed(start, "start")
    entries: list[Any] = [slice(None)] * input.ndim
    entries[dim] = slice(first, first + b.fixed(length, "length"))
    return _sliced(b, input, entries)


def index_select(b: Builder, input: Value, dim: int, index: Value) -> Lowered:
    var, order = b.lowered(input)
    chosen = b.array(index, "index").reshape(-1)
    return Lowered(b.emit("gather", x=var, indices=chosen, axis=order[dim % input.ndim]), order)


def flip(b: Builder, input: Value, dims: Any) -> Lowered:
    var, order = b.lowered(input)
    return Lowered(b.emit("reverse", x=var, axes=b.axes(input, dims)), order)


def roll(b: Builder, input: Value, shifts: Any, dims: Any = ()) -> Lowered:
    amounts = list(shifts) if isinstance(shifts, list | tuple) else [shifts]
    axes = list(dims) if isinstance(dims, list | tuple) else [dims]
    if not axes:
        b.refuse("a roll of all elements; name the dimensions")
    var, order = b.lowered(input)
    for amount, dim in zip(amounts, axes, strict=True):
        size = b.fixed_shape(input, [dim % input.ndim])[0]
        if amount % size:
            at = order[dim % input.ndim]
            first, last = b.emit("split", x=var, split_sizes=[size - amount % size, amount % size], axis=at)
            var = b.emit("concat", values=[last, first], axis=at)
    return Lowered(var, order)


def pad(b: Builder, input: Value, pad: Any, mode: str = "constant", value: Any = None) -> Lowered:
    if mode not in ("constant", "reflect", "replicate"):
        b.refuse(f"mode {mode!r}")
    b.fixed(pad, "pad")
    var, order = b.lowered(input)
    sides = [(0, 0)] * input.ndim
    for i in range(len(pad) // 2):
        sides[order[input.ndim - 1 - i]] = (int(pad[2 * i]), int(pad[2 * i + 1]))
    cut = [(max(0, -before), max(0, -after)) for before, after in sides]
    if any(one for pair in cut for one in pair):
        var = b.emit(
            "slice_by_index", x=var, begin=[before for before, _ in cut],
            end=[-after for _, after in cut], end_mask=[not after for _, after in cut],
        )  # fmt: skip
    more = [max(0, side) for pair in sides for side in pair]
    if not any(more):
        return Lowered(var, order)
    fill = {"constant_val": np.float32(value or 0)} if mode == "constant" else {}
    if mode != "constant" and any(more[:-4]):
        b.refuse(f"mode {mode!r} along other dimensions than the last two")
    return Lowered(b.emit("pad", x=var, pad=more if mode == "constant" else more[-4:], mode=mode, **fill), order)


def channel_shuffle(b: Builder, input: Value, groups: int) -> Lowered:
    """Channels in another order, as a selection."""
    var, order = b.lowered(input)
    count = input.example[1]
    chosen = np.arange(count).reshape(groups, count // groups).T.reshape(-1).astype(np.int32)
    return Lowered(b.emit("gather", x=var, indices=chosen, axis=order[1]), order)


_RESHAPES = (
    "reshape", "view", "view_as", "reshape_as", "flatten", "unflatten", "squeeze", "unsqueeze", "ravel",
    "with_1_dimension", "with_2_dimensions", "with_3_dimensions",
)  # fmt: skip
LOWERINGS: dict[str, Any] = {
    **{
        one.__name__: one
        for one in (
            permute, transpose, swapaxes, t, movedim, cat, stack, split, chunk, unbind, getitem, select, narrow,
            index_select, flip, roll, pad, channel_shuffle,
        )
    },
    **dict.fromkeys(_RESHAPES, reshaped),
    **dict.fromkeys(("expand", "expand_as", "broadcast_to"), expanded),
    "repeat": repeated, "tile": repeated,
}  # fmt: skip
