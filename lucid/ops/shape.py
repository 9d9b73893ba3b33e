"""Change the shape of tensors and rearrange their values. Views copy nothing where MLX can share memory."""

import math
from collections.abc import Sequence
from typing import Any

import mlx.core as mx

from lucid import _checks, _deferred, _layout
from lucid._layout import Layout
from lucid._views import Place, by_expansion, by_order, by_shape, view_op
from lucid.ops._common import FLOATING, array, at_least_1d, compact_if_empty, reversed_along, sizes, varargs
from lucid.ops._types import TensorLike
from lucid.tape import op, unwrap

__all__ = [
    "atleast_1d", "broadcast_tensors", "broadcast_to", "contiguous", "diag", "diag_embed", "diagonal", "expand",
    "expand_as", "flatten", "flip", "fliplr", "flipud", "meshgrid", "moveaxis", "movedim", "narrow",
    "permute", "reshape", "reshape_as", "roll", "rot90", "select", "squeeze", "swapaxes", "swapdims", "t", "trace",
    "transpose", "tril", "triu", "unflatten", "unsqueeze", "view", "view_as",
]  # fmt: skip


@view_op(layout=by_shape, copies=True)
@varargs
def reshape(input: TensorLike, shape: Any) -> mx.array:
    """The same values in another shape; one size may be -1 and is inferred."""
    x = array("reshape", input)
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


@view_op(layout=by_shape)
@varargs
def view(input: TensorLike, size: Any = None, *, dtype: Any = None) -> mx.array:
    """``reshape``; with a dtype, the same bits reinterpreted as that dtype."""
    x = array("view", input)
    if isinstance(size, mx.Dtype | type):
        size, dtype = None, size
    if (size is None) == (dtype is None):
        raise TypeError("view: expected either a size or a dtype")
    if dtype is not None:
        dtype = _checks.dtype("view", dtype)
        if dtype.size != x.itemsize and (x.ndim == 0 or x.shape[-1] * x.itemsize % dtype.size):
            raise _checks.ArgumentError(
                f"view: a {_checks.dtype_name(x.dtype)} tensor of shape {x.shape} cannot be reinterpreted as "
                f"{_checks.dtype_name(dtype)}, whose size does not divide the last dimension"
            )
        return x.view(dtype)
    return mx.reshape(x, _resolve_shape("view", x.shape, x.size, sizes("view", size)))


@view_op(layout=by_shape)
def view_as(input: TensorLike, other: TensorLike) -> mx.array:
    """``input`` in the shape of ``other``."""
    x = array("view_as", input)
    return mx.reshape(x, _resolve_shape("view_as", x.shape, x.size, array("view_as", other, "other").shape))


@view_op(layout=by_shape, copies=True)
def reshape_as(input: TensorLike, other: TensorLike) -> mx.array:
    """``input`` in the shape of ``other``."""
    x = array("reshape_as", input)
    return mx.reshape(x, _resolve_shape("reshape_as", x.shape, x.size, array("reshape_as", other, "other").shape))


def _narrow_layout(before: Layout, place: Place) -> Layout | None:
    axis, start = place.argument("dim") % len(before.shape), place.argument("start")
    if isinstance(start, mx.array):
        return None
    return _layout.narrowed(before, axis, start % max(before.shape[axis], 1), place.shape[axis])


@view_op(layout=_narrow_layout)
def narrow(input: TensorLike, dim: int, start: TensorLike, length: int) -> mx.array:
    """``length`` elements along ``dim``, starting at ``start``, a number or a 0-d tensor, whose value is waited for."""
    x = array("narrow", input)
    if x.ndim == 0:
        raise _checks.ArgumentError("narrow: input must have at least 1 dimension, got a 0-d tensor")
    axis = _checks.dim("narrow", dim, x.ndim)
    length = _checks.integer("narrow", "length", length, 0)
    if isinstance(start, mx.array):
        if start.ndim or start.dtype in FLOATING or start.dtype == mx.bool_:
            raise _checks.ArgumentError(f"narrow: start must be an integer or a 0-d tensor of one, got {start}")
        start = _deferred.item(start)
    start = _checks.integer("narrow", "start", start)
    if not -x.shape[axis] <= start <= x.shape[axis]:
        raise _checks.BoundsError(f"narrow: start {start} is out of range for size {x.shape[axis]} of dim {dim}")
    first = start + x.shape[axis] if start < 0 else start
    if first > x.shape[axis] - length:
        raise _checks.ArgumentError(
            f"narrow: start {start} and length {length} exceed size {x.shape[axis]} of dim {dim}"
        )
    return x[(slice(None),) * axis + (slice(first, first + length),)]


def _select_layout(before: Layout, place: Place) -> Layout | None:
    index = place.argument("index")
    return None if isinstance(index, mx.array) else _layout.selected(before, place.argument("dim"), index)


@view_op(layout=_select_layout)
def select(input: TensorLike, dim: int, index: int) -> mx.array:
    """The slice at ``index`` along ``dim``, with that dimension removed."""
    x = array("select", input)
    if x.ndim == 0:
        raise _checks.DimError("select: input must have at least 1 dimension, got a 0-d tensor")
    axis, index = _checks.dim("select", dim, x.ndim), _checks.integer("select", "index", index)
    if not -x.shape[axis] <= index < x.shape[axis]:
        raise IndexError(f"select: index {index} is out of range for size {x.shape[axis]} of dim {dim}")
    return x[(slice(None),) * axis + (index,)]


@view_op(layout=by_shape, copies=True, itself=True)
def flatten(input: TensorLike, start_dim: int = 0, end_dim: int = -1) -> mx.array:
    """``input`` with the dimensions from ``start_dim`` to ``end_dim`` merged into one."""
    x = at_least_1d(array("flatten", input))
    first = _checks.dim("flatten", start_dim, x.ndim, "start_dim")
    last = _checks.dim("flatten", end_dim, x.ndim, "end_dim")
    if first > last:
        raise _checks.ArgumentError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim} for shape {x.shape}")
    return x.reshape(*x.shape[:first], math.prod(x.shape[first : last + 1]), *x.shape[last + 1 :])


@view_op(layout=by_shape)
def unflatten(input: TensorLike, dim: int, sizes: Any) -> mx.array:
    """``input`` with dimension ``dim`` split into dimensions of the given sizes, one of which may be -1."""
    x = array("unflatten", input)
    axis = _checks.dim("unflatten", dim, x.ndim)
    if x.ndim == 0 or not isinstance(sizes, Sequence) or not sizes:
        raise _checks.DtypeError(
            f"unflatten: expected at least 1 dimension and a list of sizes, got shape {x.shape} and {sizes!r}"
        )
    expected = tuple(_checks.integer("unflatten", "sizes", size) for size in sizes)
    inner = _resolve_shape("unflatten", (x.shape[axis],), x.shape[axis], expected)
    return x.reshape(*x.shape[:axis], *inner, *x.shape[axis + 1 :])


@view_op(layout=by_order)
@varargs
def permute(input: TensorLike, dims: Any) -> mx.array:
    """``input`` with its dimensions in the given order.

    Example:
        >>> lucid.permute(lucid.zeros(2, 224, 224, 3), (0, 3, 1, 2)).shape  # NHWC to NCHW
        (2, 3, 224, 224)
    """
    x = array("permute", input)
    order = tuple(_checks.dim("permute", one, x.ndim, "dims") for one in sizes("permute", dims, "dims"))
    if sorted(order) != list(range(x.ndim)):
        raise _checks.ArgumentError(f"permute: dims must be a permutation of the {x.ndim} dimensions, got {order}")
    return mx.transpose(x, order)


@view_op(layout=by_order)
def transpose(input: TensorLike, dim0: int, dim1: int) -> mx.array:
    """``input`` with two dimensions swapped."""
    return _swapped("transpose", input, dim0, dim1)


def _swapped(caller: str, x: Any, dim0: int, dim1: int, name0: str = "dim0", name1: str = "dim1") -> mx.array:
    x = array(caller, x)
    first, second = _checks.dim(caller, dim0, x.ndim, name0), _checks.dim(caller, dim1, x.ndim, name1)
    return mx.swapaxes(x, first, second) if x.ndim else x


@view_op(layout=by_order)
def t(input: TensorLike) -> mx.array:
    """The transpose of a matrix; a vector or 0-d tensor unchanged."""
    x = array("t", input)
    if x.ndim > 2:
        raise _checks.ArgumentError(
            f"t: input must have at most 2 dimensions, got shape {x.shape}; use mT to transpose the last two"
        )
    return mx.transpose(x)


@op
def H(input: TensorLike) -> mx.array:
    """The transpose of complex matrices, conjugated; see ``Tensor.H``."""
    return mx.conj(mx.swapaxes(array("H", input), -2, -1))


@view_op(layout=by_order)
def movedim(input: TensorLike, source: Any, destination: Any) -> mx.array:
    """``input`` with the dimensions ``source`` moved to ``destination``; the others keep their order."""
    x = array("movedim", input)
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


@view_op(layout=by_shape)
@varargs
def squeeze(input: TensorLike, dim: Any = None) -> mx.array:
    """``input`` without its dimensions of size 1, or only those in ``dim``."""
    x = array("squeeze", input)
    found = _checks.dims("squeeze", dim, x.ndim)
    gone = [one for one in found if one < x.ndim and x.shape[one] == 1]
    return mx.squeeze(x, gone) if gone else x


@view_op(layout=by_shape)
def unsqueeze(input: TensorLike, dim: int) -> mx.array:
    """``input`` with a new dimension of size 1 at ``dim``."""
    x = array("unsqueeze", input)
    return mx.expand_dims(x, _checks.dim("unsqueeze", dim, x.ndim + 1))


@view_op(layout=by_expansion)
@varargs
def expand(input: TensorLike, size: Any, *, implicit: bool = False) -> mx.array:
    """``input`` with dimensions of size 1 broadcast to the given sizes, without a copy; -1 keeps a size."""
    return _expand("expand", array("expand", input), sizes("expand", size))


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
    return mx.broadcast_to(x, _checks.representable(caller, tuple(full)))


@view_op(layout=by_expansion)
def expand_as(input: TensorLike, other: TensorLike) -> mx.array:
    """``input`` broadcast to the shape of ``other``."""
    return _expand("expand_as", array("expand_as", input), array("expand_as", other, "other").shape)


@view_op(layout=by_expansion)
@varargs
def broadcast_to(input: TensorLike, size: Any) -> mx.array:
    """``input`` broadcast to ``size``."""
    return _expand("broadcast_to", array("broadcast_to", input), sizes("broadcast_to", size))


def broadcast_tensors(*tensors: TensorLike) -> Any:
    """The tensors broadcast to their common shape."""
    found = [array("broadcast_tensors", unwrap(one)) for one in tensors]
    shape = _checks.broadcast_shapes("broadcast_tensors", *(one.shape for one in found))
    return tuple([broadcast_to(one, shape) for one in tensors])


@op
@varargs
def flip(input: TensorLike, dims: Any) -> mx.array:
    """``input`` reversed along ``dims``."""
    x = array("flip", input)
    gone = set(_checks.dims("flip", sizes("flip", dims, "dims"), x.ndim, "dims"))
    return x[tuple(slice(None, None, -1) if axis in gone else slice(None) for axis in range(x.ndim))] if gone else x


@op
def fliplr(input: TensorLike) -> mx.array:
    """``input`` with its columns reversed."""
    return _at_least_2d("fliplr", input)[:, ::-1]


@op
def flipud(input: TensorLike) -> mx.array:
    """``input`` with its rows reversed."""
    x = array("flipud", input)
    if x.ndim < 1:
        raise _checks.ArgumentError(f"flipud: input must have at least 1 dimension, got shape {x.shape}")
    return x[::-1]


@op
def roll(input: TensorLike, shifts: Any, dims: Any = ()) -> mx.array:
    """``input`` shifted circularly by ``shifts`` along ``dims``; without ``dims``, as if flattened."""
    x = array("roll", input)
    steps, along = sizes("roll", shifts, "shifts"), sizes("roll", () if dims is None else dims, "dims")
    if not along:
        if len(steps) != 1:
            raise _checks.ArgumentError(f"roll: without dims, shifts must be a single number, got {shifts}")
        return mx.roll(x.reshape(-1), steps[0] % x.size).reshape(x.shape) if x.size else x
    if x.ndim == 0:
        raise _checks.DimError(f"roll: a 0-d tensor has no dims, got {dims}")
    if len(along) != len(steps):
        raise _checks.ArgumentError(f"roll: shifts and dims must have the same length, got {shifts} and {dims}")
    for step, one in zip(steps, along, strict=True):
        axis = _checks.dim("roll", one, x.ndim, "dims")
        if x.size:
            x = mx.roll(x, step % x.shape[axis], axis)
    return x


@op
def rot90(input: TensorLike, k: int = 1, dims: Any = (0, 1)) -> mx.array:
    """``input`` rotated by 90 degrees ``k`` times, from the first of ``dims`` toward the second."""
    x = _at_least_2d("rot90", input)
    found = _checks.dims("rot90", dims, x.ndim, "dims")
    if len(found) != 2:
        raise _checks.ArgumentError(f"rot90: dims must be two different dimensions, got {dims}")
    first, second = found
    turns = _checks.integer("rot90", "k", k) % 4
    if turns == 2:
        return reversed_along(reversed_along(x, first), second)
    if turns == 1:
        return reversed_along(mx.swapaxes(x, first, second), first)
    return reversed_along(mx.swapaxes(x, first, second), second) if turns == 3 else x


@op
def tril(input: TensorLike, diagonal: int = 0, *, out: None = None) -> mx.array:
    """The lower triangle of the last two dimensions, zero above the given diagonal."""
    x = _at_least_2d("tril", input)
    return mx.tril(x, _offset("tril", x, diagonal))


@op
def triu(input: TensorLike, diagonal: int = 0, *, out: None = None) -> mx.array:
    """The upper triangle of the last two dimensions, zero below the given diagonal."""
    x = _at_least_2d("triu", input)
    return mx.triu(x, _offset("triu", x, diagonal))


def _offset(caller: str, x: mx.array, diagonal: Any) -> int:
    """The number of a diagonal; those beyond the corners are equivalent, and MLX takes 32 bits."""
    return max(-x.shape[-2], min(_checks.integer(caller, "diagonal", diagonal), x.shape[-1]))


def _at_least_2d(caller: str, x: Any) -> mx.array:
    x = array(caller, x)
    if x.ndim < 2:
        raise _checks.ArgumentError(f"{caller}: input must have at least 2 dimensions, got shape {x.shape}")
    return x


@op
def diag(input: TensorLike, diagonal: int = 0, *, out: None = None) -> mx.array:
    """The diagonal of a matrix, or a matrix with the vector ``input`` as its diagonal."""
    x = array("diag", input)
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
def diag_embed(input: TensorLike, offset: int = 0, dim1: int = -2, dim2: int = -1) -> mx.array:
    """Matrices, in the new dimensions ``dim1`` and ``dim2``, with the last dimension of ``input`` on a diagonal."""
    x = array("diag_embed", input)
    if x.ndim == 0:
        raise _checks.DimError("diag_embed: input must have at least 1 dimension, got a 0-d tensor")
    first = _checks.dim("diag_embed", dim1, x.ndim + 1, "dim1")
    second = _checks.dim("diag_embed", dim2, x.ndim + 1, "dim2")
    if first == second:
        raise _checks.ArgumentError(f"diag_embed: dim1 and dim2 must differ, got {dim1} and {dim2}")
    found = _embed_diagonal(x, _checks.integer("diag_embed", "offset", offset))
    if (first, second) == (x.ndim - 1, x.ndim):
        return found
    rest = iter(range(x.ndim - 1))
    return mx.transpose(
        found, [x.ndim - 1 if d == first else x.ndim if d == second else next(rest) for d in range(x.ndim + 1)]
    )


def _diagonal_layout(before: Layout, place: Place) -> Layout:
    return _layout.diagonal(before, *(place.argument(name) for name in ("offset", "dim1", "dim2")))


@view_op(layout=_diagonal_layout)
def diagonal(input: TensorLike, offset: int = 0, dim1: int = 0, dim2: int = 1) -> mx.array:
    """The diagonal of dimensions ``dim1`` and ``dim2``, as a new last dimension."""
    return _diagonal("diagonal", array("diagonal", input), _checks.integer("diagonal", "offset", offset), dim1, dim2)


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
def trace(input: TensorLike) -> mx.array:
    """The sum of the diagonal of a matrix."""
    x = array("trace", input)
    _checks.rank("trace", "input", x.shape, 2)
    found = compact_if_empty(_diagonal("trace", x, 0, 0, 1))
    return mx.sum(found if mx.issubdtype(x.dtype, mx.inexact) else found.astype(mx.int64))


def meshgrid(*tensors: Any, indexing: str | None = None) -> Any:
    """The coordinates of a grid, one tensor per input vector of equal dtypes.

    ``indexing`` "xy" swaps the first two dimensions, unlike "ij", the default.
    """
    order = "ij" if indexing is None else _checks.one_of("meshgrid", "indexing", indexing, ("ij", "xy"))
    listed = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], list | tuple) else tensors
    found = [array("meshgrid", unwrap(one), "tensors") for one in listed]
    if not found:
        raise _checks.ArgumentError("meshgrid: expected at least one tensor")
    for one in found:
        _checks.rank("meshgrid", "each tensor", one.shape, (0, 1))
        if one.dtype != found[0].dtype:
            names = f"{_checks.dtype_name(found[0].dtype)} and {_checks.dtype_name(one.dtype)}"
            raise _checks.DtypeError(f"meshgrid: all tensors must have the same dtype, got {names}")
    axes = list(range(len(found)))
    if order == "xy":
        axes[:2] = axes[1::-1]  # a single axis stays
    shape = tuple([found[axis].size for axis in axes])
    return tuple(
        [
            expand(view(one, tuple([size if axis == own else 1 for axis, size in enumerate(shape)])), shape)
            for one, own in zip(listed, axes, strict=True)
        ]
    )


@view_op(layout=by_shape, itself=True)
def _with_1_dimension(input: TensorLike) -> mx.array:
    return at_least_1d(array("atleast_1d", input))


def atleast_1d(*tensors: Any) -> Any:
    """The tensor with at least 1 dimension, or a tuple of them for several tensors or a list."""
    if len(tensors) == 1 and not isinstance(tensors[0], list | tuple):
        return _with_1_dimension(tensors[0])
    return tuple(map(_with_1_dimension, tensors[0] if len(tensors) == 1 else tensors))


@op
def contiguous(input: TensorLike) -> mx.array:
    """``input`` in row-major order in memory."""
    return mx.contiguous(array("contiguous", input))


@view_op(layout=by_order)
def swapaxes(input: TensorLike, axis0: int, axis1: int) -> mx.array:
    """``input`` with two dimensions swapped, as ``transpose``."""
    return _swapped("swapaxes", input, axis0, axis1, "axis0", "axis1")


swapdims = transpose
moveaxis = movedim
