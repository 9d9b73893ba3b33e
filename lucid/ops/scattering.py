"""Write values at positions: by index arrays, by masks, and combined with what is there."""

from typing import Any

import mlx.core as mx
import numpy as np

from lucid import _bounds, _checks
from lucid.kernels.scatter_product import scatter_product
from lucid.ops import shape as shapes
from lucid.ops._common import FLOATING, array, at_least_1d, extremes, index_within
from lucid.ops._types import TensorLike
from lucid.ops.gather_scatter import grid_of, index_vector
from lucid.ops.indexing import flat_positions, getitem, setitem
from lucid.tape import op

__all__ = [
    "diagonal_scatter", "index_put", "index_reduce", "masked_scatter", "put", "scatter_reduce", "select_scatter",
    "slice_scatter",
]  # fmt: skip

_BODY = "__wrapped__"  # of a lifted function: its body on arrays


def _same_dtype(caller: str, x: mx.array, other: Any, name: str) -> mx.array:
    other = array(caller, other, name)
    if other.dtype != x.dtype:
        raise _checks.DtypeError(
            f"{caller}: {name} must have the dtype of the input, {_checks.dtype_name(x.dtype)}, "
            f"got {_checks.dtype_name(other.dtype)}"
        )
    return other


@op
def index_put(input: TensorLike, indices: Any, values: TensorLike, accumulate: bool = False) -> mx.array:
    """``input`` with ``values`` at ``input[indices]``, a tuple of index tensors; with ``accumulate``, added there."""
    x = array("index_put", input)
    values = _same_dtype("index_put", x, values, "values")
    if not isinstance(indices, list | tuple):
        raise TypeError(f"index_put: indices must be a tuple of tensors, got {type(indices).__name__}")
    index = tuple([slice(None) if one is None else one for one in indices])
    if not _checks.flag("index_put", "accumulate", accumulate):
        return getattr(setitem, _BODY)(x, index, values)
    positions = flat_positions("index_put", x.shape, index)
    shape = _checks.broadcast_shapes("index_put", positions.shape, values.shape)
    if shape != positions.shape:
        raise _checks.ArgumentError(f"index_put: values {values.shape} do not fit in indexed shape {positions.shape}")
    if not positions.size:
        return x
    added = mx.broadcast_to(values, shape).reshape(-1)
    return x.reshape(-1).at[positions.reshape(-1)].add(added).reshape(x.shape)


@op
def put(input: TensorLike, index: TensorLike, source: TensorLike, accumulate: bool = False) -> mx.array:
    """``input`` with the elements of ``source`` at the positions ``index`` of the flattened tensor, or added there."""
    x = array("put", input)
    source = _same_dtype("put", x, source, "source").reshape(-1)
    flat = x.reshape(-1)
    at = index_within("put", index, 0, flat.shape).reshape(-1)
    if at.size != source.size:
        raise _checks.ArgumentError(f"put: index and source must have equal sizes, got {at.size} and {source.size}")
    if not at.size:
        return x
    if _checks.flag("put", "accumulate", accumulate):
        return flat.at[at].add(source).reshape(x.shape)
    return mx.put_along_axis(flat, mx.where(at < 0, at + flat.size, at), source, 0).reshape(x.shape)


@op
def masked_scatter(input: TensorLike, mask: TensorLike, source: TensorLike) -> mx.array:
    """``input`` with the elements of ``source``, in order, where ``mask`` is True."""
    x = array("masked_scatter", input)
    mask, source = array("masked_scatter", mask, "mask"), _same_dtype("masked_scatter", x, source, "source")
    if mask.dtype != mx.bool_:
        raise _checks.DtypeError(f"masked_scatter: mask must be bool, got {_checks.dtype_name(mask.dtype)}")
    shape = _checks.broadcast_shapes("masked_scatter", x.shape, mask.shape)
    x, mask, source = mx.broadcast_to(x, shape), mx.broadcast_to(mask, shape), source.reshape(-1)
    if not x.size:
        return x
    if (
        _bounds.is_checking()
        and (count := int(np.count_nonzero(_bounds.as_numpy("masked_scatter", mask)))) > source.size
    ):
        raise _checks.ArgumentError(f"masked_scatter: {count} elements are masked but source has {source.size}")
    if not source.size:
        return x
    position = mx.cumsum(mask.reshape(-1).astype(mx.int32)) - 1
    return mx.where(mask, mx.take(source, mx.clip(position, 0, source.size - 1)).reshape(shape), x)


def _reduced(caller: str, x: mx.array, places: mx.array, source: mx.array, reduce: str, includes: bool) -> mx.array:
    """The flat ``x`` with ``source`` combined at flat ``places``; gradients of equal extremes are shared."""
    dtype = x.dtype
    if dtype == mx.bool_:
        x, source = x.astype(mx.int32), source.astype(mx.int32)
    if reduce in ("amax", "amin"):
        found = _extreme(x, places, source, reduce, includes)
        return found.astype(dtype)
    counts = mx.zeros(x.shape, mx.int32).at[places].add(mx.ones(places.shape, mx.int32))
    is_hit = counts > 0
    start = x if includes else mx.where(is_hit, mx.array(1 if reduce == "prod" else 0, x.dtype), x)
    if reduce == "prod":
        return scatter_product(start, places, source).astype(dtype)
    total = start.at[places].add(source)
    if reduce == "sum":
        return total.astype(dtype)
    number = mx.maximum(counts + (1 if includes else 0), 1)
    if x.dtype in FLOATING:
        return mx.where(is_hit, total / number.astype(x.dtype), total).astype(dtype)
    return mx.where(is_hit, mx.floor_divide(total, number.astype(x.dtype)), total).astype(dtype)


def _extreme(x: mx.array, places: mx.array, source: mx.array, reduce: str, includes: bool) -> mx.array:
    fixed, given = mx.stop_gradient(x), mx.stop_gradient(source)
    if not includes:
        low, high = extremes(x.dtype)
        is_hit = mx.zeros(x.shape, mx.bool_).at[places].maximum(mx.ones(places.shape, mx.bool_))
        fixed = mx.where(is_hit, mx.array(low if reduce == "amax" else high, x.dtype), fixed)
    at = fixed.at[places]
    best = at.maximum(given) if reduce == "amax" else at.minimum(given)
    if x.dtype not in FLOATING:
        return best
    # The gradient goes to all that equal the extreme, in equal shares.
    is_ours = (fixed == best) if includes else mx.zeros(x.shape, mx.bool_)
    if not includes:
        is_ours = ~is_hit
    is_theirs = (given == mx.take(best, places)).astype(x.dtype)
    shares = is_ours.astype(x.dtype).at[places].add(is_theirs)
    shares = mx.maximum(shares, 1)
    linear = mx.where(is_ours, x - mx.stop_gradient(x), 0) / shares
    linear = linear.at[places].add((source - given) * is_theirs / mx.take(shares, places))
    return best + mx.where(mx.isnan(linear), 0, linear)


_REDUCTIONS = ("sum", "prod", "mean", "amax", "amin")


@op
def scatter_reduce(
    input: TensorLike, dim: int, index: TensorLike, src: TensorLike, reduce: str, *, include_self: bool = True,
    out: None = None,
) -> mx.array:  # fmt: skip
    """``input`` with ``src[i][j]`` combined at ``out[index[i][j]][j]`` for ``dim`` 0, and likewise for others.

    Args:
        reduce: "sum", "prod", "mean", "amax" or "amin".
        include_self: Whether the values of ``input`` at these positions are combined too.

    Example:
        >>> x, index = lucid.zeros(2), lucid.tensor([0, 0, 1])
        >>> lucid.scatter_reduce(x, 0, index, lucid.tensor([1.0, 3.0, 5.0]), "mean", include_self=False).tolist()
        [2.0, 5.0]
    """
    _checks.one_of("scatter_reduce", "reduce", reduce, _REDUCTIONS)
    includes = _checks.flag("scatter_reduce", "include_self", include_self)
    x = array("scatter_reduce", input)
    src = _same_dtype("scatter_reduce", x, src, "src")
    found = grid_of("scatter_reduce", x, dim, index, src)
    if found is None:
        return x
    places, source = found
    return _reduced("scatter_reduce", x.reshape(-1), places, source, reduce, includes).reshape(x.shape)


@op
def index_reduce(
    input: TensorLike, dim: int, index: TensorLike, source: TensorLike, reduce: str, *, include_self: bool = True,
    out: None = None,
) -> mx.array:  # fmt: skip
    """``input`` with the slices of ``source`` along ``dim`` combined at the positions in the vector ``index``.

    ``reduce`` is "prod", "mean", "amax" or "amin"; ``include_self`` is whether the slices of ``input`` count.
    """
    _checks.one_of("index_reduce", "reduce", reduce, _REDUCTIONS[1:])
    includes = _checks.flag("index_reduce", "include_self", include_self)
    x = array("index_reduce", input)
    source = at_least_1d(_same_dtype("index_reduce", x, source, "source"))
    rows = at_least_1d(x)
    axis = _checks.dim("index_reduce", dim, rows.ndim)
    at = index_vector("index_reduce", index, axis, rows.shape)
    expected = (*rows.shape[:axis], at.size, *rows.shape[axis + 1 :])
    if source.shape != expected:
        raise _checks.ArgumentError(f"index_reduce: source must have shape {expected}, got {source.shape}")
    if not source.size:
        return x
    numbers = mx.arange(rows.size, dtype=mx.int64).reshape(rows.shape)
    places = mx.take(numbers, at, axis).reshape(-1)
    return _reduced("index_reduce", x.reshape(-1), places, source.reshape(-1), reduce, includes).reshape(x.shape)


def _written(caller: str, x: Any, src: Any, view: Any, *args: Any) -> mx.array:
    """``x`` with ``src`` in the elements that the view ``view(x, *args)`` has."""
    x = array(caller, x)
    src = array(caller, src, "src")
    positions = getattr(view, _BODY)(mx.arange(x.size, dtype=mx.int64).reshape(x.shape), *args)
    if positions.shape != src.shape:
        raise _checks.ArgumentError(f"{caller}: src must have shape {positions.shape}, got {src.shape}")
    if not positions.size:
        return x
    flat = mx.put_along_axis(x.reshape(-1), positions.reshape(-1), src.astype(x.dtype).reshape(-1), 0)
    return flat.reshape(x.shape)


@op
def select_scatter(input: TensorLike, src: TensorLike, dim: int, index: int) -> mx.array:
    """``input`` with ``src`` in place of ``select(input, dim, index)``."""
    return _written("select_scatter", input, src, shapes.select, dim, index)


@op
def diagonal_scatter(input: TensorLike, src: TensorLike, offset: int = 0, dim1: int = 0, dim2: int = 1) -> mx.array:
    """``input`` with ``src`` in place of ``diagonal(input, offset, dim1, dim2)``."""
    return _written("diagonal_scatter", input, src, shapes.diagonal, offset, dim1, dim2)


@op
def slice_scatter(
    input: TensorLike, src: TensorLike, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> mx.array:
    """``input`` with ``src`` in place of the slice ``start:end:step`` along ``dim``."""
    x = array("slice_scatter", input)
    axis = _checks.dim("slice_scatter", dim, x.ndim)
    step = _checks.integer("slice_scatter", "step", step, 1)
    ends = [None if one is None else _checks.integer("slice_scatter", "end", one) for one in (start, end)]
    index = (slice(None),) * axis + (slice(ends[0], ends[1], step),)
    return _written("slice_scatter", x, src, getitem, index)
