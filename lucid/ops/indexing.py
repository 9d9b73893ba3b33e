"""Indexing: ``x[index]`` and ``x[index] = value``, masks, ``where`` and ``one_hot``.

Indexing follows NumPy's rules: integers, slices with any step, ``None``, ``...``, boolean masks with any number of
dimensions, and lists, arrays or tensors of integers. Python integers, lists and NumPy arrays are checked against the
shape. The values of integer tensors are not read, so they are not checked (negative ones count from the end). Boolean
masks are read, because the shape of the result depends on them.
"""

import operator
from typing import Any

import mlx.core as mx
import numpy as np

from lucid import _checks
from lucid.ops._common import FLOATING, array, index_array, pair, scalar_like
from lucid.ops._types import TensorLike
from lucid.tape import op

__all__ = ["argwhere", "masked_fill", "masked_select", "nonzero", "one_hot", "where"]


class _Plan:
    """A parsed index: basic indexing first, then integer arrays that index the result."""

    __slots__ = ("arrays", "basic", "places", "shape", "spread")

    def __init__(self) -> None:
        self.basic: list[Any] = []  # ints, slices and None, as MLX takes them
        self.arrays: list[mx.array] = []
        self.places: list[int] = []  # the dimension of the basic result that arrays[i] indexes
        self.spread = False  # the arrays are not adjacent: NumPy puts their dimensions first


def _plan(where: str, shape: tuple[int, ...], index: Any) -> _Plan:
    entries = list(index) if isinstance(index, tuple) else [index]
    entries = [_normalize_entry(where, one) for one in entries]
    used = 0
    for one in entries:
        used += 0 if one is None or one is Ellipsis else max(one.ndim, 0) if _is_mask(one) else 1
    if sum(one is Ellipsis for one in entries) > 1:
        raise IndexError(f"{where}: an index can only have a single ellipsis ('...'), got {_shown(index)}")
    if used > len(shape):
        raise IndexError(f"{where}: too many indices ({used}) for shape {shape}")
    if not any(one is Ellipsis for one in entries):
        entries.append(Ellipsis)

    plan = _Plan()
    advanced = any(isinstance(one, mx.array | np.ndarray) for one in entries)
    at = out = 0  # the current dimension of x, and of the basic result
    groups: list[int] = []  # positions of the array entries, to see whether they are adjacent
    for position, one in enumerate(entries):
        if one is None:
            plan.basic.append(None)
            out += 1
        elif one is Ellipsis:
            skip = len(shape) - used
            plan.basic.extend([slice(None)] * skip)
            at, out = at + skip, out + skip
            if skip or position < len(entries) - 1:
                continue
        elif isinstance(one, slice):
            plan.basic.append(_normalize_slice(where, one, shape[at]))
            at, out = at + 1, out + 1
        elif isinstance(one, int):
            if not -shape[at] <= one < shape[at]:
                raise IndexError(f"{where}: index {one} is out of range for dim {at} of shape {shape}")
            if not advanced:
                plan.basic.append(one % shape[at])
                at += 1
                continue
            plan.basic.append(slice(None))
            plan.arrays.append(mx.array(one % shape[at]))
            plan.places.append(out)
            groups.append(position)
            at, out = at + 1, out + 1
        elif _is_mask(one):
            groups.append(position)
            covered = shape[at : at + one.ndim]
            if one.shape != covered:
                raise IndexError(
                    f"{where}: mask of shape {one.shape} does not match dims {at} to {at + one.ndim - 1} of {shape}"
                    if one.ndim
                    else f"{where}: mask of shape {one.shape} does not match shape {shape}"
                )
            if one.ndim == 0:  # True and False add a dimension of size 1 or 0
                plan.basic.append(None)
                plan.arrays.append(mx.zeros(int(bool(np.array(one))), mx.int32))
                plan.places.append(out)
                out += 1
                continue
            for found in np.nonzero(np.array(one)):
                plan.basic.append(slice(None))
                plan.arrays.append(mx.array(found.astype(np.int32)))
                plan.places.append(out)
                at, out = at + 1, out + 1
        else:
            groups.append(position)
            plan.basic.append(slice(None))
            plan.arrays.append(_integer_array(where, one, shape, at))
            plan.places.append(out)
            at, out = at + 1, out + 1
    plan.spread = bool(groups) and groups[-1] - groups[0] != len(groups) - 1
    if plan.arrays:
        try:
            np.broadcast_shapes(*(one.shape for one in plan.arrays))
        except ValueError:
            listed = " and ".join(str(one.shape) for one in plan.arrays)
            raise IndexError(f"{where}: index arrays of shapes {listed} cannot be broadcast together") from None
    return plan


def _is_mask(one: Any) -> bool:
    return (isinstance(one, mx.array) and one.dtype == mx.bool_) or (
        isinstance(one, np.ndarray) and one.dtype == np.bool_
    )


def _normalize_entry(where: str, one: Any) -> Any:
    """An index entry as None, Ellipsis, a slice, an int, an mx.array (from a tensor) or an np.ndarray."""
    if one is None or one is Ellipsis or isinstance(one, slice | mx.array):
        return one
    if isinstance(one, bool | np.bool_):
        return np.array(bool(one))
    try:
        return operator.index(one)
    except TypeError:
        pass
    if isinstance(one, list | tuple) and any(isinstance(each, mx.array) for each in one):
        return array(where, one, "index")
    try:
        found = np.asarray(one)
    except ValueError:
        found = np.asarray(None)
    if found.size == 0 and found.dtype == np.float64:
        found = found.astype(np.int64)
    if found.dtype.kind not in "biu":
        raise TypeError(
            f"{where}: an index must consist of integers, slices, None, '...', boolean masks and integer tensors, "
            f"got {type(one).__name__} {one!r:.60}"
        )
    return found


def _integer_array(where: str, one: Any, shape: tuple[int, ...], at: int) -> mx.array:
    size = shape[at]
    if isinstance(one, np.ndarray):
        wrong = (one < -size) | (one >= size)
        if wrong.any():
            raise IndexError(f"{where}: index {one[wrong].flat[0]} is out of range for dim {at} of shape {shape}")
        return mx.array(np.where(one < 0, one + size, one).astype(np.int64))
    if one.dtype in FLOATING:
        raise TypeError(f"{where}: an index tensor must hold integers or bools, got {_checks.dtype_name(one.dtype)}")
    if size == 0 and one.size:
        raise IndexError(f"{where}: cannot index dim {at} of shape {shape}, which is empty")
    return one


def _normalize_slice(where: str, one: slice, size: int) -> slice:
    """The slice with its bounds in range; a full slice unchanged."""
    if one == slice(None):
        return one
    try:
        start, stop, step = one.indices(size)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{where}: {error}, got {one}") from None
    count = len(range(start, stop, step))
    if count == 0:
        return slice(0, 0, 1)
    if step > 0:
        return slice(start, stop, step)
    return slice(start, stop if stop >= 0 else None, step)


def _shown(index: Any) -> str:
    return f"{index!r:.80}"


@op
def getitem(x: TensorLike, index: Any) -> mx.array:
    """``x[index]`` by NumPy's rules.

    Raises:
        IndexError: an index is out of range, there are too many, or index arrays do not broadcast.
        TypeError: an entry is not a valid index.
    """
    x = array("getitem", x)
    if type(index) is int and x.ndim and -x.shape[0] <= index < x.shape[0]:  # x[i], x[0]: the common case
        return x[index]
    plan = _plan("getitem", x.shape, index)
    x = _index_basic(x, plan.basic)
    if not plan.arrays:
        return x
    if len(plan.arrays) == 1:
        at = plan.places[0]
        one = plan.arrays[0]
        if x.shape[at] == 0 or one.size == 0:
            return mx.zeros((*x.shape[:at], *one.shape, *x.shape[at + 1 :]), x.dtype)
        return mx.take(x, one, at)
    return _index_with_arrays(x, plan)


def _index_with_arrays(x: mx.array, plan: _Plan) -> mx.array:
    """``x``, the result of basic indexing, indexed by the arrays of the plan."""
    shape = np.broadcast_shapes(*(one.shape for one in plan.arrays))
    rest = [at for at in range(x.ndim) if at not in plan.places]
    if 0 in shape or x.size == 0:
        found = mx.zeros((*shape, *(x.shape[at] for at in rest)), x.dtype)
    else:
        order = plan.places + rest
        found = (x if order == list(range(x.ndim)) else mx.transpose(x, order))[tuple(plan.arrays)]
    # NumPy's rule: the dimensions of adjacent arrays replace them, those of others come first.
    first = 0 if plan.spread else plan.places[0]
    width = len(shape)
    if not first or not width:
        return found
    return mx.transpose(found, [*range(width, width + first), *range(width), *range(width + first, found.ndim)])


def _index_basic(x: mx.array, steps: list[Any]) -> mx.array:
    return x if all(isinstance(one, slice) and one == slice(None) for one in steps) else x[tuple(steps)]


@op
def setitem(x: TensorLike, index: Any, value: TensorLike) -> mx.array:
    """A copy of ``x`` with ``value`` written at ``index``, broadcast and converted to the dtype of ``x``.

    If an index array contains a position twice, it is undefined which value is written.
    """
    x = array("setitem", x)
    value = array("setitem", value, "value").astype(x.dtype)
    plan = _plan("setitem", x.shape, index)
    # Index an array of flat positions like x, so that reading and writing follow the same rules.
    if not plan.arrays:
        return _set_basic(x, plan.basic, value)
    where = _positions(x.shape, plan)
    value = _broadcast_value(value, where.shape)
    if where.size == 0:
        return x
    flat = mx.put_along_axis(x.reshape(-1), where.reshape(-1), value.reshape(-1), 0)
    return flat.reshape(x.shape)


def _positions(shape: tuple[int, ...], plan: _Plan) -> mx.array:
    """The position in the flattened array of every element that the index selects."""
    count = int(np.prod(shape))
    numbers = mx.arange(count, dtype=mx.uint32 if count < 2**32 else mx.int64).reshape(shape)
    return _index_with_arrays(_index_basic(numbers, plan.basic), plan)


def _broadcast_value(value: mx.array, shape: tuple[int, ...]) -> mx.array:
    while value.ndim > len(shape) and value.shape[0] == 1:
        value = mx.squeeze(value, 0)
    try:
        return mx.broadcast_to(value, shape)
    except ValueError:
        raise ValueError(
            f"setitem: value of shape {value.shape} cannot be broadcast to the indexed shape {shape}"
        ) from None


def _set_basic(x: mx.array, steps: list[Any], value: mx.array) -> mx.array:
    starts, sizes, strides, kept, flips = [], [], [], [], []
    at = 0
    for one in steps:
        if one is None:
            kept.append(1)
            continue
        size = x.shape[at]
        if isinstance(one, int):
            start, stop, step = one, one + 1, 1
        else:
            start, stop, step = one.indices(size)
            count = len(range(start, stop, step))
            kept.append(count)
            if step < 0:  # write with a positive step, and reverse the value
                flips.append(len(kept) - 1)
                start, step = start + (count - 1) * step, -step
            stop = start + (count - 1) * step + 1 if count else start
        starts.append(start)
        sizes.append(stop)
        strides.append(step)
        at += 1
    value = _broadcast_value(value, tuple(kept))
    if flips:
        value = value[tuple(slice(None, None, -1) if i in flips else slice(None) for i in range(value.ndim))]
    if value.size == 0:
        return x
    lengths = [len(range(a, b, c)) for a, b, c in zip(starts, sizes, strides, strict=True)]
    if x.ndim == 0:
        return value.reshape(())
    place = tuple(slice(a, b, c) for a, b, c in zip(starts, sizes, strides, strict=True))
    copy = mx.array(x)  # writing rebinds the copy and leaves x unchanged
    copy[place] = value.reshape(lengths)
    return copy


@op
def where(condition: TensorLike, x: TensorLike = None, other: TensorLike = None) -> Any:
    """``x`` where ``condition`` is True, otherwise ``other``; all three broadcast.

    With ``condition`` alone, ``nonzero(condition, as_tuple=True)``.
    """
    condition = array("where", condition, "condition")
    if x is None and other is None:
        return _nonzero(condition)
    if x is None or other is None:
        raise TypeError("where: pass both x and other, or neither")
    if condition.dtype != mx.bool_:
        if condition.dtype != mx.uint8:
            raise TypeError(f"where: condition must be a bool tensor, got {_checks.dtype_name(condition.dtype)}")
        condition = condition.astype(mx.bool_)
    x, other = pair("where", x, other)
    if not isinstance(x, mx.array):
        x = scalar_like(x, other)
    elif not isinstance(other, mx.array):
        other = scalar_like(other, x)
    try:
        return mx.where(condition, x, other)
    except ValueError:
        _checks.broadcast_shapes("where", condition.shape, x.shape, other.shape)
        raise


def _nonzero(x: mx.array) -> tuple[mx.array, ...]:
    return tuple(mx.array(one) for one in np.nonzero(np.atleast_1d(_numpy(x))))


def _numpy(x: mx.array) -> np.ndarray:
    return np.array(x.astype(mx.float32) if x.dtype == mx.bfloat16 else x)


@op
def nonzero(x: TensorLike, as_tuple: bool = False) -> Any:
    """The indices of nonzero values, (count, ndim), or as a tuple one vector per dimension. Waits for the values."""
    x = array("nonzero", x)
    if as_tuple:
        return _nonzero(x)
    return mx.array(np.argwhere(_numpy(x)).astype(np.int64))


argwhere = nonzero


def _mask(where: str, mask: Any) -> mx.array:
    mask = array(where, mask, "mask")
    if mask.dtype != mx.bool_:
        raise TypeError(f"{where}: mask must be a bool tensor, got {_checks.dtype_name(mask.dtype)}")
    return mask


@op
def masked_fill(x: TensorLike, mask: TensorLike, value: TensorLike) -> mx.array:
    """``x`` with ``value`` where ``mask`` is True; ``mask`` broadcasts."""
    x, mask = array("masked_fill", x), _mask("masked_fill", mask)
    _checks.broadcast_shapes("masked_fill", x.shape, mask.shape)
    value = array("masked_fill", value, "value")
    if value.ndim:
        raise ValueError(f"masked_fill: value must be a single number, got shape {value.shape}")
    return mx.where(mask, value.astype(x.dtype), x)


@op
def masked_select(x: TensorLike, mask: TensorLike) -> mx.array:
    """The values where ``mask`` is True, as a vector. Waits for the mask."""
    x, mask = array("masked_select", x), _mask("masked_select", mask)
    shape = _checks.broadcast_shapes("masked_select", x.shape, mask.shape)
    found = np.flatnonzero(np.broadcast_to(np.array(mask), shape))
    if not found.size:
        return mx.zeros((0,), x.dtype)
    return mx.take(mx.broadcast_to(x, shape).reshape(-1), mx.array(found))


@op
def one_hot(x: TensorLike, num_classes: int = -1) -> mx.array:
    """One-hot vectors (int64) in a new last dimension; a class outside [0, ``num_classes``) is a row of zeros.

    With ``num_classes=-1``, it is one more than the largest class, which waits for the values.
    """
    x = index_array("one_hot", x, "input")
    count = _checks.integer("one_hot", "num_classes", num_classes, -1)
    if count == -1:
        if x.size == 0:
            raise ValueError("one_hot: num_classes is required for an empty input")
        largest: Any = mx.max(x).item()
        count = int(largest) + 1
    return (mx.expand_dims(x, -1) == mx.arange(count, dtype=x.dtype)).astype(mx.int64)
