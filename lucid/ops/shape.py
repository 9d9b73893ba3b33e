"""Change the shape of tensors and rearrange their values. Views copy nothing where MLX can share memory."""

import math
from typing import Any

import mlx.core as mx

from lucid import _checks
from lucid._views import view_op
from lucid.ops._common import array, at_least_1d, compact_if_empty, either, sizes
from lucid.ops._types import TensorLike
from lucid.tape import op

__all__ = [
    "atleast_1d", "broadcast_tensors", "broadcast_to", "contiguous", "diag", "diag_embed", "diagonal", "expand",
    "expand_as", "flatten", "flip", "fliplr", "flipud", "meshgrid", "moveaxis", "movedim", "narrow", "pad",
    "permute", "reshape", "reshape_as", "roll", "rot90", "select", "squeeze", "swapaxes", "swapdims", "t", "trace",
    "transpose", "tril", "triu", "unflatten", "unsqueeze", "view", "view_as",
]  # fmt: skip


@view_op
def reshape(x: TensorLike, *shape: Any) -> mx.array:
    """The same values in another shape; one size may be -1 and is inferred."""
    x = array("reshape", x)
    return mx.reshape(x, _resolve_shape("reshape", x.shape, x.size, sizes("reshape", shape, "shape")))


def _resolve_shape(caller: str, before: tuple[int, ...], count: int, expected: tuple[int, ...]) -> tuple[int, ...]:
    """The shape ``expected`` with its -1 inferred."""
    known = math.prod(size for size in expected if size != -1)
    if expected.count(-1) > 1 or min(expected, default=0) < -1:
        raise _checks.ArgumentError(f"{caller}: sizes must be at least 0, except for a single -1, got {expected}")
    if -1 in expected:
        if known == 0 or count % known:
            raise _checks.ArgumentError(f"{caller}: shape {before} ({count} elements) cannot become {expected}")
        return tuple(count // known if size == -1 else size for size in expected)
    if known != count:
        raise _checks.ArgumentError(
            f"{caller}: shape {before} ({count} elements) cannot become {expected} ({known} elements)"
        )
    return expected


@view_op
def view(x: TensorLike, *shape: Any) -> mx.array:
    """``reshape``; with a dtype, the same bits reinterpreted as that dtype."""
    x = array("view", x)
    if len(shape) == 1 and isinstance(shape[0], mx.Dtype | type):
        dtype = _checks.dtype("view", shape[0])
        if dtype.size != x.itemsize and (x.ndim == 0 or x.shape[-1] * x.itemsize % dtype.size):
            raise _checks.ArgumentError(
                f"view: a {_checks.dtype_name(x.dtype)} tensor of shape {x.shape} cannot be reinterpreted as "
                f"{_checks.dtype_name(dtype)}, whose size does not divide the last dimension"
            )
        return x.view(dtype)
    return mx.reshape(x, _resolve_shape("view", x.shape, x.size, sizes("view", shape, "shape")))


@view_op
def view_as(x: TensorLike, other: TensorLike) -> mx.array:
    """``x`` in the shape of ``other``."""
    x = array("view_as", x)
    return mx.reshape(x, _resolve_shape("view_as", x.shape, x.size, array("view_as", other, "other").shape))


@view_op
def reshape_as(x: TensorLike, other: TensorLike) -> mx.array:
    """``x`` in the shape of ``other``."""
    x = array("reshape_as", x)
    return mx.reshape(x, _resolve_shape("reshape_as", x.shape, x.size, array("reshape_as", other, "other").shape))


@view_op
def narrow(x: TensorLike, dim: int, start: int, length: int) -> mx.array:
    """``length`` elements along ``dim``, starting at ``start``."""
    x = array("narrow", x)
    axis = _checks.dim("narrow", dim, x.ndim)
    first = start + x.shape[axis] if start < 0 else start
    if length < 0 or not 0 <= first <= x.shape[axis] - length:
        raise _checks.ArgumentError(
            f"narrow: start {start} and length {length} exceed size {x.shape[axis]} of dim {dim}"
        )
    return x[(slice(None),) * axis + (slice(first, first + length),)]


@view_op
def select(x: TensorLike, dim: int, index: int) -> mx.array:
    """The slice at ``index`` along ``dim``, with that dimension removed."""
    x = array("select", x)
    axis = _checks.dim("select", dim, x.ndim)
    if not -x.shape[axis] <= index < x.shape[axis]:
        raise IndexError(f"select: index {index} is out of range for size {x.shape[axis]} of dim {dim}")
    return x[(slice(None),) * axis + (index,)]


@view_op
def flatten(x: TensorLike, start_dim: int = 0, end_dim: int = -1) -> mx.array:
    """``x`` with the dimensions from ``start_dim`` to ``end_dim`` merged into one."""
    x = at_least_1d(array("flatten", x))
    first = _checks.dim("flatten", start_dim, x.ndim, "start_dim")
    last = _checks.dim("flatten", end_dim, x.ndim, "end_dim")
    if first > last:
        raise _checks.ArgumentError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim} for shape {x.shape}")
    return x.reshape(*x.shape[:first], math.prod(x.shape[first : last + 1]), *x.shape[last + 1 :])


@view_op
def unflatten(x: TensorLike, dim: int, sizes: Any) -> mx.array:
    """``x`` with dimension ``dim`` split into dimensions of the given sizes, one of which may be -1."""
    x = array("unflatten", x)
    axis = _checks.dim("unflatten", dim, x.ndim)
    expected = tuple(_checks.integer("unflatten", "sizes", size) for size in sizes)
    inner = _resolve_shape("unflatten", (x.shape[axis],), x.shape[axis], expected)
    return x.reshape(*x.shape[:axis], *inner, *x.shape[axis + 1 :])


@view_op
def permute(x: TensorLike, *dims: Any) -> mx.array:
    """``x`` with its dimensions in the given order.

    Example:
        >>> lucid.permute(lucid.zeros(2, 224, 224, 3), (0, 3, 1, 2)).shape  # NHWC to NCHW
        (2, 3, 224, 224)
    """
    x = array("permute", x)
    order = tuple(_checks.dim("permute", one, x.ndim, "dims") for one in sizes("permute", dims, "dims"))
    if sorted(order) != list(range(x.ndim)):
        raise _checks.ArgumentError(f"permute: dims must be a permutation of the {x.ndim} dimensions, got {order}")
    return mx.transpose(x, order)


@view_op
def transpose(x: TensorLike, dim0: int, dim1: int) -> mx.array:
    """``x`` with two dimensions swapped."""
    x = array("transpose", x)
    first = _checks.dim("transpose", dim0, x.ndim, "dim0")
    second = _checks.dim("transpose", dim1, x.ndim, "dim1")
    return mx.swapaxes(x, first, second) if x.ndim else x


@view_op
def t(x: TensorLike) -> mx.array:
    """The transpose of a matrix; a vector or 0-d tensor unchanged."""
    x = array("t", x)
    if x.ndim > 2:
        raise _checks.ArgumentError(
            f"t: input must have at most 2 dimensions, got shape {x.shape}; use mT to transpose the last two"
        )
    return mx.transpose(x)


@view_op
def movedim(x: TensorLike, source: Any, destination: Any) -> mx.array:
    """``x`` with the dimensions ``source`` moved to ``destination``; the others keep their order."""
    x = array("movedim", x)
    start = _checks.dims("movedim", (source,) if isinstance(source, int) else source, x.ndim, "source")
    goal = _checks.dims(
        "movedim", (destination,) if isinstance(destination, int) else destination, x.ndim, "destination"
    )
    if len(start) != len(goal):
        raise _checks.ArgumentError(
            f"movedim: source and destination must have the same length, got {source} and {destination}"
        )
    rest = iter(one for one in range(x.ndim) if one not in start)
    return mx.transpose(x, [start[goal.index(one)] if one in goal else next(rest) for one in range(x.ndim)])


@view_op
def squeeze(x: TensorLike, dim: Any = None, *, axis: Any = None) -> mx.array:
    """``x`` without its dimensions of size 1, or only those in ``dim``."""
    x = array("squeeze", x)
    dim = either("squeeze", "dim", dim, "axis", axis)
    found = _checks.dims("squeeze", dim, x.ndim)
    gone = [one for one in found if one < x.ndim and x.shape[one] == 1]
    return mx.squeeze(x, gone) if gone else x


@view_op
def unsqueeze(x: TensorLike, dim: int) -> mx.array:
    """``x`` with a new dimension of size 1 at ``dim``."""
    x = array("unsqueeze", x)
    return mx.expand_dims(x, _checks.dim("unsqueeze", dim, x.ndim + 1))


@view_op
def expand(x: TensorLike, *sizes_: Any) -> mx.array:
    """``x`` with dimensions of size 1 broadcast to the given sizes, without a copy; -1 keeps a size."""
    x = array("expand", x)
    expected = sizes("expand", sizes_)
    return _expand("expand", x, expected)


def _expand(caller: str, x: mx.array, expected: tuple[int, ...]) -> mx.array:
    new = len(expected) - x.ndim
    if new < 0:
        raise _checks.ArgumentError(f"{caller}: shape {x.shape} has more dimensions than {expected}")
    full = list(expected)
    for axis, size in enumerate(expected):
        had = x.shape[axis - new] if axis >= new else None
        if size == -1 and had is not None:
            full[axis] = had
        elif size < 0 or (had is not None and had not in (1, size)):
            raise _checks.ArgumentError(
                f"{caller}: shape {x.shape} cannot be expanded to {expected}: dim {axis} is {had or 'new'}"
            )
    return mx.broadcast_to(x, full)


@view_op
def expand_as(x: TensorLike, other: TensorLike) -> mx.array:
    """``x`` broadcast to the shape of ``other``."""
    return _expand("expand_as", array("expand_as", x), array("expand_as", other, "other").shape)


@view_op
def broadcast_to(x: TensorLike, size: Any) -> mx.array:
    """``x`` broadcast to ``size``."""
    return _expand("broadcast_to", array("broadcast_to", x), sizes("broadcast_to", (size,)))


@op
def broadcast_tensors(*tensors: TensorLike) -> tuple[mx.array, ...]:
    """The tensors broadcast to their common shape."""
    found = [array("broadcast_tensors", one) for one in tensors]
    shape = _checks.broadcast_shapes("broadcast_tensors", *(one.shape for one in found))
    return tuple(mx.broadcast_to(one, shape) for one in found)


@op
def flip(x: TensorLike, *dims: Any) -> mx.array:
    """``x`` reversed along ``dims``."""
    x = array("flip", x)
    gone = set(_checks.dims("flip", sizes("flip", dims, "dims"), x.ndim, "dims"))
    return x[tuple(slice(None, None, -1) if axis in gone else slice(None) for axis in range(x.ndim))] if gone else x


@op
def fliplr(x: TensorLike) -> mx.array:
    """``x`` with its columns reversed."""
    x = array("fliplr", x)
    if x.ndim < 2:
        raise _checks.ArgumentError(f"fliplr: input must have at least 2 dimensions, got shape {x.shape}")
    return x[:, ::-1]


@op
def flipud(x: TensorLike) -> mx.array:
    """``x`` with its rows reversed."""
    x = array("flipud", x)
    if x.ndim < 1:
        raise _checks.ArgumentError(f"flipud: input must have at least 1 dimension, got shape {x.shape}")
    return x[::-1]


@op
def roll(x: TensorLike, shifts: Any, dims: Any = None) -> mx.array:
    """``x`` shifted circularly by ``shifts`` along ``dims``; without ``dims``, as if flattened."""
    x = array("roll", x)
    steps = (shifts,) if isinstance(shifts, int) else tuple(shifts)
    if dims is None or dims == ():
        if len(steps) != 1:
            raise _checks.ArgumentError(f"roll: without dims, shifts must be a single number, got {shifts}")
        return mx.roll(x.reshape(-1), steps[0]).reshape(x.shape) if x.size else x
    along = (dims,) if isinstance(dims, int) else tuple(dims)
    if len(along) != len(steps):
        raise _checks.ArgumentError(f"roll: shifts and dims must have the same length, got {shifts} and {dims}")
    for step, one in zip(steps, along, strict=True):
        axis = _checks.dim("roll", one, x.ndim, "dims")
        if x.size:
            x = mx.roll(x, _checks.integer("roll", "shifts", step), axis)
    return x


@op
def rot90(x: TensorLike, k: int = 1, dims: Any = (0, 1)) -> mx.array:
    """``x`` rotated by 90 degrees ``k`` times, from the first of ``dims`` toward the second."""
    x = array("rot90", x)
    found = _checks.dims("rot90", dims, x.ndim, "dims")
    if len(found) != 2:
        raise _checks.ArgumentError(f"rot90: dims must be two different dimensions, got {dims}")
    first, second = found
    turns = _checks.integer("rot90", "k", k) % 4
    if turns == 2:
        return _reverse(_reverse(x, first), second)
    if turns == 1:
        return _reverse(mx.swapaxes(x, first, second), first)
    return _reverse(mx.swapaxes(x, first, second), second) if turns == 3 else x


@op
def pad(x: TensorLike, pad: Any, mode: str = "constant", value: float | None = None) -> mx.array:
    """``x`` with padding.

    Args:
        pad: Sizes (left, right, top, bottom, ...), starting from the last dimension. Negative sizes crop.
        mode: "constant" pads with ``value``, "reflect" mirrors at the edge, "replicate" repeats the edge, and
            "circular" wraps around.

    Raises:
        ValueError: ``pad`` does not match the dimensions, or exceeds what the mode or the size allows.

    Example:
        >>> F.pad(lucid.ones(1, 1, 2, 2), (1, 1, 0, 0)).tolist()
        [[[[0.0, 1.0, 1.0, 0.0], [0.0, 1.0, 1.0, 0.0]]]]
    """
    x = array("pad", x)
    _checks.one_of("pad", "mode", mode, ("constant", "reflect", "replicate", "circular"))
    amounts = [_checks.integer("pad", "pad", one) for one in pad]
    if len(amounts) % 2 or len(amounts) > 2 * x.ndim:
        raise _checks.ArgumentError(f"pad: pad must hold pairs for at most {x.ndim} dimensions, got {tuple(amounts)}")
    if mode == "constant":
        return _constant_pad(x, amounts, 0 if value is None else value)
    if value is not None:
        raise _checks.ArgumentError(
            f"pad: value is only supported by mode 'constant', got {value!r} with mode {mode!r}"
        )
    for i in range(0, len(amounts), 2):
        x = _pad_by_slices(x, x.ndim - 1 - i // 2, amounts[i], amounts[i + 1], mode)
    return x


def _constant_pad(x: mx.array, amounts: list[int], value: float) -> mx.array:
    cut, widths = [slice(None)] * x.ndim, [(0, 0)] * x.ndim
    for i in range(0, len(amounts), 2):
        axis, low, high = x.ndim - 1 - i // 2, amounts[i], amounts[i + 1]
        _check_crop(x, axis, low, high)
        widths[axis] = (max(low, 0), max(high, 0))
        cut[axis] = slice(max(-low, 0), x.shape[axis] + min(high, 0))
    if min(amounts, default=0) < 0:
        x = x[tuple(cut)]
    return mx.pad(x, widths, constant_values=mx.array(value, x.dtype)) if max(amounts, default=0) > 0 else x


def _pad_by_slices(x: mx.array, axis: int, low: int, high: int, mode: str) -> mx.array:
    """Padding with slices of ``x``, so that the gradient consists of slices too."""
    whole, size = x, x.shape[axis]
    left = size + min(low, 0) + min(high, 0)
    limit = {"reflect": size - 1, "circular": left, "replicate": max(low, high) if size else 0}[mode]
    if max(low, high) > limit:
        raise _checks.ArgumentError(
            f"pad: mode {mode!r} can add at most {limit} to dim {axis} of shape {x.shape}, got {(low, high)}"
        )
    if low < 0 or high < 0:
        _check_crop(x, axis, low, high)
        x = _slice(x, axis, max(-low, 0), size + min(high, 0))
        low, high = max(low, 0), max(high, 0)
    parts = [x]
    if mode == "reflect":  # the mirror image includes what was cropped
        if low:
            parts.insert(0, _reverse(_slice(whole, axis, 1, low + 1), axis))
        if high:
            parts.append(_reverse(_slice(whole, axis, size - 1 - high, size - 1), axis))
    elif mode == "circular":
        if low:
            parts.insert(0, _slice(x, axis, left - low, left))
        if high:
            parts.append(_slice(x, axis, 0, high))
    else:
        before, after = x.shape[:axis], x.shape[axis + 1 :]
        if low:
            parts.insert(0, mx.broadcast_to(_slice(x, axis, 0, 1), (*before, low, *after)))
        if high:
            parts.append(mx.broadcast_to(_slice(x, axis, left - 1, left), (*before, high, *after)))
    return mx.concatenate(parts, axis) if len(parts) > 1 else x


def _check_crop(x: mx.array, axis: int, low: int, high: int) -> None:
    if x.shape[axis] + low + high < 0:
        raise _checks.ArgumentError(f"pad: ({low}, {high}) crops more than the size of dim {axis} of shape {x.shape}")


def _slice(x: mx.array, axis: int, start: int, stop: int) -> mx.array:
    """``x[start:stop]`` along dimension ``at``."""
    return x[(slice(None),) * axis + (slice(start, stop),)]


def _reverse(x: mx.array, axis: int) -> mx.array:
    return x[(slice(None),) * axis + (slice(None, None, -1),)]


@op
def tril(x: TensorLike, diagonal: int = 0) -> mx.array:
    """The lower triangle of the last two dimensions, zero above the given diagonal."""
    return mx.tril(_at_least_2d("tril", x), _checks.integer("tril", "diagonal", diagonal))


@op
def triu(x: TensorLike, diagonal: int = 0) -> mx.array:
    """The upper triangle of the last two dimensions, zero below the given diagonal."""
    return mx.triu(_at_least_2d("triu", x), _checks.integer("triu", "diagonal", diagonal))


def _at_least_2d(caller: str, x: Any) -> mx.array:
    x = array(caller, x)
    if x.ndim < 2:
        raise _checks.ArgumentError(f"{caller}: input must have at least 2 dimensions, got shape {x.shape}")
    return x


@op
def diag(x: TensorLike, diagonal: int = 0) -> mx.array:
    """The diagonal of a matrix, or a matrix with the vector ``x`` as its diagonal."""
    x = array("diag", x)
    _checks.rank("diag", "input", x.shape, (1, 2))
    k = _checks.integer("diag", "diagonal", diagonal)
    if x.ndim == 2:
        return _diagonal("diag", x, k, 0, 1)
    return _embed_diagonal(x, k)


def _embed_diagonal(x: mx.array, offset: int) -> mx.array:
    """Matrices (..., n, n) with the vectors ``x`` on a diagonal."""
    length = x.shape[-1]
    side = length + abs(offset)
    here = mx.eye(length, side, max(offset, 0), dtype=mx.bool_)
    rows = mx.where(here, mx.expand_dims(x, -1), mx.zeros((), x.dtype))  # (..., length, side)
    above, below = max(-offset, 0), max(offset, 0)
    return mx.pad(rows, [(0, 0)] * (x.ndim - 1) + [(above, below), (0, 0)])


@op
def diag_embed(x: TensorLike, offset: int = 0) -> mx.array:
    """Matrices with the vectors along the last dimension of ``x`` on a diagonal."""
    x = array("diag_embed", x)
    if x.ndim == 0:
        raise _checks.ArgumentError("diag_embed: input must have at least 1 dimension, got a 0-d tensor")
    return _embed_diagonal(x, _checks.integer("diag_embed", "offset", offset))


@view_op
def diagonal(x: TensorLike, offset: int = 0, dim1: int = 0, dim2: int = 1) -> mx.array:
    """The diagonal of dimensions ``dim1`` and ``dim2``, as a new last dimension."""
    return _diagonal("diagonal", array("diagonal", x), _checks.integer("diagonal", "offset", offset), dim1, dim2)


def _diagonal(caller: str, x: mx.array, offset: int, dim1: int, dim2: int) -> mx.array:
    first, second = _checks.dim(caller, dim1, x.ndim, "dim1"), _checks.dim(caller, dim2, x.ndim, "dim2")
    if first == second:
        raise _checks.ArgumentError(f"{caller}: dim1 and dim2 must differ, got {dim1} and {dim2}")
    rest = [axis for axis in range(x.ndim) if axis not in (first, second)]
    x = mx.transpose(x, [*rest, first, second])
    rows, columns = x.shape[-2:]
    row, column = max(-offset, 0), max(offset, 0)
    length = max(min(rows - row, columns - column), 0)
    if length == 0:
        return mx.zeros((*x.shape[:-2], 0), x.dtype) if x.size == 0 else mx.reshape(x[..., :0, 0], (*x.shape[:-2], 0))
    flat = x.reshape(*x.shape[:-2], rows * columns)
    start, step = row * columns + column, columns + 1
    return flat[..., start : start + step * (length - 1) + 1 : step]


@op(autocast="float32")
def trace(x: TensorLike) -> mx.array:
    """The sum of the diagonal of a matrix."""
    x = array("trace", x)
    _checks.rank("trace", "input", x.shape, 2)
    found = compact_if_empty(_diagonal("trace", x, 0, 0, 1))
    return mx.sum(found if mx.issubdtype(x.dtype, mx.inexact) else found.astype(mx.int64))


@op
def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[mx.array, ...]:
    """The coordinates of a grid, one tensor per input vector; ``indexing="xy"`` swaps the first two dimensions."""
    _checks.one_of("meshgrid", "indexing", indexing, ("ij", "xy"))
    listed = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], list | tuple) else tensors
    found = [array("meshgrid", one).reshape(-1) for one in listed]
    return tuple(mx.meshgrid(*found, indexing=indexing))


@op
def atleast_1d(x: TensorLike) -> mx.array:
    """``x`` with at least 1 dimension."""
    return at_least_1d(array("atleast_1d", x))


@op
def contiguous(x: TensorLike) -> mx.array:
    """``x`` in row-major order in memory."""
    return mx.contiguous(array("contiguous", x))


swapaxes = swapdims = transpose
moveaxis = movedim
