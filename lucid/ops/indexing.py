"""Indexing: ``x[index]`` and ``x[index] = value``, masks, ``where`` and ``one_hot``.

Indexing follows PyTorch's rules, which are NumPy's with two exceptions: a list that holds lists, tensors or slices is
a tuple of indices, and tensors of uint8 are masks. Unlike in PyTorch, slices may have negative steps. Python integers,
lists and NumPy arrays are checked against the shape, integer tensors as ``lucid/_bounds.py`` says. Boolean masks are
read, because the shape of the result depends on them.
"""

import operator
from typing import Any

import mlx.core as mx
import numpy as np

from lucid import _bounds, _checks, _deferred, _layout
from lucid._layout import Layout
from lucid._views import Place, view_op
from lucid.ops._common import FLOATING, any_op, array, index_array, number_as, pair, scalar_like
from lucid.ops._selection import masked_fill_vjp, where_vjp
from lucid.ops._types import TensorLike
from lucid.tape import TensorBase, op

__all__ = ["argwhere", "masked_fill", "masked_select", "nonzero", "one_hot", "where"]


class _ParsedIndex:
    """A parsed index: basic indexing first, then integer arrays that index the result."""

    __slots__ = ("arrays", "axes", "basic", "separated")

    def __init__(self) -> None:
        self.basic: list[Any] = []  # ints, slices and None, as MLX takes them
        self.arrays: list[mx.array] = []
        self.axes: list[int] = []  # the dimension of the basic result that arrays[i] indexes
        self.separated = False  # the arrays are not adjacent: NumPy puts their dimensions first


def _parse(caller: str, shape: tuple[int, ...], index: Any) -> _ParsedIndex:
    entries = list(index) if isinstance(index, tuple) or _is_tuple(index) else [index]
    entries = [_normalize_entry(caller, entry) for entry in entries]
    used = 0
    for entry in entries:
        used += 0 if entry is None or entry is Ellipsis else max(entry.ndim, 0) if _is_mask(entry) else 1
    if sum(entry is Ellipsis for entry in entries) > 1:
        raise IndexError(f"{caller}: an index can only have a single ellipsis ('...'), got {_shown(index)}")
    if used > len(shape):
        raise IndexError(f"{caller}: too many indices ({used}) for shape {shape}")
    if not any(entry is Ellipsis for entry in entries):
        entries.append(Ellipsis)

    parsed = _ParsedIndex()
    advanced = any(isinstance(entry, mx.array | np.ndarray) for entry in entries)
    axis = out_axis = 0  # the current dimension of x, and of the basic result
    array_positions: list[int] = []  # positions of the array entries, to see whether they are adjacent
    for position, entry in enumerate(entries):
        if entry is None:
            parsed.basic.append(None)
            out_axis += 1
        elif entry is Ellipsis:
            skip = len(shape) - used
            parsed.basic.extend([slice(None)] * skip)
            axis, out_axis = axis + skip, out_axis + skip
            if skip or position < len(entries) - 1:
                continue
        elif isinstance(entry, slice):
            parsed.basic.append(_normalize_slice(caller, entry, shape[axis]))
            axis, out_axis = axis + 1, out_axis + 1
        elif isinstance(entry, int):
            if not -shape[axis] <= entry < shape[axis]:
                _bounds.check_values(caller, np.array(entry, object), axis, shape)
            if not advanced:
                parsed.basic.append(entry % shape[axis])
                axis += 1
                continue
            parsed.basic.append(slice(None))
            parsed.arrays.append(mx.array(entry % shape[axis]))
            parsed.axes.append(out_axis)
            array_positions.append(position)
            axis, out_axis = axis + 1, out_axis + 1
        elif _is_mask(entry):
            array_positions.append(position)
            covered = shape[axis : axis + entry.ndim]
            if entry.shape != covered:
                dims = f"dims {axis} to {axis + entry.ndim - 1} of {shape}" if entry.ndim else f"shape {shape}"
                raise IndexError(f"{caller}: mask of shape {entry.shape} does not match {dims}")
            mask = _bounds.as_numpy(caller, entry) if isinstance(entry, mx.array) else entry
            if entry.ndim == 0:  # True and False add a dimension of size 1 or 0
                parsed.basic.append(None)
                parsed.arrays.append(mx.zeros(int(bool(mask)), mx.int32))
                parsed.axes.append(out_axis)
                out_axis += 1
                continue
            for found in np.nonzero(mask):
                parsed.basic.append(slice(None))
                parsed.arrays.append(mx.array(found.astype(np.int32)))
                parsed.axes.append(out_axis)
                axis, out_axis = axis + 1, out_axis + 1
        else:
            array_positions.append(position)
            parsed.basic.append(slice(None))
            parsed.arrays.append(_integer_array(caller, entry, shape, axis))
            parsed.axes.append(out_axis)
            axis, out_axis = axis + 1, out_axis + 1
    parsed.separated = bool(array_positions) and array_positions[-1] - array_positions[0] != len(array_positions) - 1
    if parsed.arrays:
        try:
            np.broadcast_shapes(*(entry.shape for entry in parsed.arrays))
        except ValueError:
            listed = " and ".join(str(entry.shape) for entry in parsed.arrays)
            raise IndexError(f"{caller}: index arrays of shapes {listed} cannot be broadcast together") from None
    return parsed


def _is_tuple(index: Any) -> bool:
    """Whether a list is a tuple of indices, as in PyTorch and NumPy before version 1.23."""
    if not isinstance(index, list) or len(index) >= 32:
        return False
    parts = (list, tuple, range, slice, mx.array, np.ndarray)
    return any(one is None or one is Ellipsis or isinstance(one, parts) for one in index)


def _is_mask(one: Any) -> bool:
    return (isinstance(one, mx.array) and one.dtype == mx.bool_) or (
        isinstance(one, np.ndarray) and one.dtype == np.bool_
    )


def _normalize_entry(caller: str, one: Any) -> Any:
    """An index entry as None, Ellipsis, a slice, an int, an mx.array (from a tensor) or an np.ndarray."""
    if isinstance(one, mx.array):
        return one.astype(mx.bool_) if one.dtype == mx.uint8 else one
    if one is None or one is Ellipsis or isinstance(one, slice):
        return one
    if isinstance(one, bool | np.bool_):
        return np.array(bool(one))
    try:
        return operator.index(one)
    except TypeError:
        pass
    if isinstance(one, list | tuple) and any(isinstance(each, mx.array) for each in one):
        return array(caller, one, "index")
    try:
        found = np.asarray(one)
    except ValueError:
        found = np.asarray(None)
    if found.size == 0 and found.dtype == np.float64:
        found = found.astype(np.int64)
    if found.dtype == np.uint8:
        found = found.astype(np.bool_)
    if found.dtype.kind not in "biu":
        raise _checks.IndexTypeError(
            f"{caller}: an index must consist of integers, slices, None, '...', boolean masks and integer tensors, "
            f"got {type(one).__name__} {one!r:.60}"
        )
    return found


def _integer_array(caller: str, one: Any, shape: tuple[int, ...], axis: int) -> mx.array:
    if isinstance(one, np.ndarray):
        _bounds.check_values(caller, one, axis, shape)
        one = one.astype(np.int64)
        return mx.array(np.where(one < 0, one + shape[axis], one))
    if one.dtype in FLOATING:
        raise _checks.IndexTypeError(
            f"{caller}: an index tensor must hold integers or bools, got {_checks.dtype_name(one.dtype)}"
        )
    return _bounds.within(caller, one, axis, shape)


def _normalize_slice(caller: str, one: slice, size: int) -> slice:
    """The slice with its bounds in range; a full slice unchanged."""
    if one.start is one.stop is one.step is None:
        return one
    try:
        start, stop, step = one.indices(size)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{caller}: {error}, got {one}") from None
    count = len(range(start, stop, step))
    if count == 0:
        return slice(0, 0, 1)
    if step > 0:
        return slice(start, stop, step)
    return slice(start, stop if stop >= 0 else None, step)


def _shown(index: Any) -> str:
    return f"{index!r:.80}"


def _item_layout(before: Layout, place: Place) -> Layout | None:
    index = place.args[0]
    entries = index if isinstance(index, tuple) else (index,)
    if any(isinstance(one, mx.array) for one in entries):
        if not _deferred.evaluating():
            return None
        index = tuple([_deferred.item(one) if isinstance(one, mx.array) else one for one in entries])
    return _layout.indexed(before, index)


def _is_basic(index: Any) -> bool:
    """Whether ``x[index]`` is a view: with integers, slices, ``None`` and ``...`` only."""
    if type(index) is int:
        return True
    for one in index if isinstance(index, tuple) or _is_tuple(index) else (index,):
        if one is None or one is Ellipsis or isinstance(one, slice):
            continue
        if isinstance(one, TensorBase):  # a 0-d tensor of integers is an integer
            if one._array.ndim or one._array.dtype in FLOATING or one._array.dtype in (mx.bool_, mx.uint8):
                return False
        elif isinstance(one, np.ndarray):
            if one.ndim or one.dtype.kind not in "iu":
                return False
        elif isinstance(one, bool) or not isinstance(one, int | np.integer):
            return False
    return True


@view_op(layout=_item_layout, when=_is_basic)
def getitem(input: TensorLike, index: Any) -> mx.array:
    """``x[index]`` by NumPy's rules.

    Raises:
        IndexError: an index is out of range, there are too many, or index arrays do not broadcast.
        TypeError: an entry is not a valid index.
    """
    x = array("getitem", input)
    if type(index) is int and x.ndim and -x.shape[0] <= index < x.shape[0]:  # x[i], x[0]: the common case
        return x[index]
    parsed = _parse("getitem", x.shape, index)
    x = _index_basic(x, parsed.basic)
    if not parsed.arrays:
        return x
    if len(parsed.arrays) == 1:
        axis = parsed.axes[0]
        one = parsed.arrays[0]
        if x.shape[axis] == 0 or one.size == 0:
            return mx.zeros((*x.shape[:axis], *one.shape, *x.shape[axis + 1 :]), x.dtype)
        return mx.take(x, one, axis)
    return _index_with_arrays(x, parsed)


def _index_with_arrays(x: mx.array, parsed: _ParsedIndex) -> mx.array:
    """``x``, the result of basic indexing, indexed by the arrays of the parsed index."""
    shape = np.broadcast_shapes(*(one.shape for one in parsed.arrays))
    rest = [axis for axis in range(x.ndim) if axis not in parsed.axes]
    if 0 in shape or x.size == 0:
        found = mx.zeros((*shape, *(x.shape[axis] for axis in rest)), x.dtype)
    else:
        order = parsed.axes + rest
        found = (x if order == list(range(x.ndim)) else mx.transpose(x, order))[tuple(parsed.arrays)]
    # NumPy's rule: the dimensions of adjacent arrays replace them, those of others come first.
    first = 0 if parsed.separated else parsed.axes[0]
    width = len(shape)
    if not first or not width:
        return found
    return mx.transpose(found, [*range(width, width + first), *range(width), *range(width + first, found.ndim)])


def _index_basic(x: mx.array, steps: list[Any]) -> mx.array:
    return x if all(isinstance(one, slice) and one == slice(None) for one in steps) else x[tuple(steps)]


@op
def setitem(input: TensorLike, index: Any, value: TensorLike) -> mx.array:
    """A copy of ``input`` with ``value`` written at ``index``, broadcast and converted to the dtype of ``input``.

    If an index array contains a position twice, it is undefined which value is written.
    """
    x = array("setitem", input)
    if isinstance(value, bool | int | float | complex):
        is_float = isinstance(value, float) and x.dtype in FLOATING  # as in PyTorch, 1e10 becomes infinite in float16
        value = mx.array(value, x.dtype) if is_float else number_as("setitem", "value", value, x.dtype)
    else:
        value = array("setitem", value, "value").astype(x.dtype)
    parsed = _parse("setitem", x.shape, index)
    # Index an array of flat positions like x, so that reading and writing follow the same rules.
    if not parsed.arrays:
        return _set_basic(x, parsed.basic, value)
    positions = _positions(x.shape, parsed)
    value = _broadcast_value(value, positions.shape)
    if positions.size == 0:
        return x
    flat = mx.put_along_axis(x.reshape(-1), positions.reshape(-1), value.reshape(-1), 0)
    return flat.reshape(x.shape)


def flat_positions(caller: str, shape: tuple[int, ...], index: Any) -> mx.array:
    """The position in the flattened array of every element that ``index`` selects."""
    return _positions(shape, _parse(caller, shape, index))


def _positions(shape: tuple[int, ...], parsed: _ParsedIndex) -> mx.array:
    """The position in the flattened array of every element that the index selects."""
    count = int(np.prod(shape))
    numbers = mx.arange(count, dtype=mx.uint32 if count < 2**32 else mx.int64).reshape(shape)
    return _index_with_arrays(_index_basic(numbers, parsed.basic), parsed)


def _broadcast_value(value: mx.array, shape: tuple[int, ...]) -> mx.array:
    while value.ndim > len(shape) and value.shape[0] == 1:
        value = mx.squeeze(value, 0)
    try:
        return mx.broadcast_to(value, shape)
    except ValueError:
        raise _checks.ArgumentError(
            f"setitem: value of shape {value.shape} cannot be broadcast to the indexed shape {shape}"
        ) from None


def _set_basic(x: mx.array, steps: list[Any], value: mx.array) -> mx.array:
    starts, sizes, strides, kept, flips = [], [], [], [], []
    axis = 0
    for one in steps:
        if one is None:
            kept.append(1)
            continue
        size = x.shape[axis]
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
        axis += 1
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


@op(vjp=where_vjp)
def where(condition: TensorLike, input: TensorLike = None, other: TensorLike = None, *, out: None = None) -> mx.array:
    """``input`` where ``condition`` is True, otherwise ``other``; all three broadcast.

    With ``condition`` alone, ``nonzero(condition, as_tuple=True)``.

    Example:
        >>> x = lucid.tensor([-1.0, 2.0])
        >>> lucid.where(x > 0, x, 0).tolist()
        [0.0, 2.0]
    """
    condition = array("where", condition, "condition")
    if input is None and other is None:
        return _nonzero(condition)  # type: ignore[return-value]
    if input is None or other is None:
        raise TypeError("where: pass both input and other, or neither")
    if condition.dtype != mx.bool_:
        if condition.dtype != mx.uint8:
            raise _checks.DtypeError(
                f"where: condition must be a bool tensor, got {_checks.dtype_name(condition.dtype)}"
            )
        condition = condition.astype(mx.bool_)
    x, other = pair("where", input, other)
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
    return tuple(mx.array(one) for one in np.nonzero(np.atleast_1d(_bounds.as_numpy("nonzero", x))))


@any_op
def nonzero(input: TensorLike, *, as_tuple: bool = False, out: None = None) -> Any:
    """The indices of nonzero values, (count, ndim), or as a tuple one vector per dimension. Waits for the values."""
    x = array("nonzero", input)
    if as_tuple:
        return _nonzero(x)
    return mx.array(np.argwhere(_bounds.as_numpy("nonzero", x)).astype(np.int64))


argwhere = nonzero


def _mask(caller: str, mask: Any) -> mx.array:
    mask = array(caller, mask, "mask")
    if mask.dtype != mx.bool_:
        raise _checks.DtypeError(f"{caller}: mask must be a bool tensor, got {_checks.dtype_name(mask.dtype)}")
    return mask


@op(vjp=masked_fill_vjp)
def masked_fill(input: TensorLike, mask: TensorLike, value: TensorLike) -> mx.array:
    """``input`` with ``value`` where ``mask`` is True; ``mask`` broadcasts."""
    x, mask = array("masked_fill", input), _mask("masked_fill", mask)
    _checks.broadcast_shapes("masked_fill", x.shape, mask.shape)
    return mx.where(mask, number_as("masked_fill", "value", value, x.dtype), x)


@op
def masked_select(input: TensorLike, mask: TensorLike, *, out: None = None) -> mx.array:
    """The values where ``mask`` is True, as a vector. Waits for the mask."""
    x, mask = array("masked_select", input), _mask("masked_select", mask)
    shape = _checks.broadcast_shapes("masked_select", x.shape, mask.shape)
    found = np.flatnonzero(np.broadcast_to(_bounds.as_numpy("masked_select", mask), shape))
    if not found.size:
        return mx.zeros((0,), x.dtype)
    return mx.take(mx.broadcast_to(x, shape).reshape(-1), mx.array(found))


@op
def one_hot(input: TensorLike, num_classes: int = -1) -> mx.array:
    """One-hot vectors (int64) of class indices in [0, ``num_classes``), in a new last dimension.

    With ``num_classes=-1``, it is one more than the largest class, which waits for the values. Where classes are not
    checked (see ``lucid.debug``), one that is out of range is a row of zeros.

    Raises:
        IndexError: a class is out of range.

    Example:
        >>> F.one_hot(lucid.tensor([0, 2]), 3).tolist()
        [[1, 0, 0], [0, 0, 1]]
    """
    is_host = not isinstance(input, mx.array)
    x = index_array("one_hot", input, "input")
    count = _checks.integer("one_hot", "num_classes", num_classes, -1)
    if count == -1:
        if x.size == 0:
            raise _checks.ArgumentError("one_hot: num_classes is required for an empty input")
        largest: Any = _deferred.item(mx.max(x))
        count = max(int(largest), 0) + 1
    _checks.representable("one_hot", (*x.shape, count))
    _bounds.check_classes("one_hot", x, count, name="class", is_host=is_host)
    return (mx.expand_dims(x.astype(mx.int64), -1) == mx.arange(count, dtype=mx.int64)).astype(mx.int64)
