"""Sorting and counting. All sorts are stable, and gradients flow back to the original positions."""

from typing import Any

import mlx.core as mx
import numpy as np

from lucid import _bounds, _checks, _deferred
from lucid.ops._common import (
    ValuesAndIndices,
    any_op,
    array,
    at_least_1d,
    index_array,
    index_within,
    promoted,
    select_op,
)
from lucid.ops._types import TensorLike
from lucid.tape import op

__all__ = ["argsort", "bincount", "searchsorted", "sort", "topk", "unique"]


def _order(x: mx.array, dim: int, descending: bool) -> mx.array:
    """The indices that sort ``x`` along ``dim``; stable, with NaN as the largest value."""
    x = mx.stop_gradient(x)
    if x.size == 0:
        return mx.zeros(x.shape, mx.uint32)
    if not descending:
        return mx.argsort(x, dim)
    # A stable descending sort is an ascending sort of the reversed values, reversed.
    reverse = (slice(None),) * dim + (slice(None, None, -1),)
    return (x.shape[dim] - 1 - mx.argsort(x[reverse], dim).astype(mx.int32))[reverse]


@select_op
def sort(
    input: TensorLike, dim: int = -1, descending: bool = False, *, stable: bool | None = True, out: None = None
) -> ValuesAndIndices:
    """The values sorted along ``dim``, as the named tuple (values, indices). Always stable.

    Example:
        >>> values, indices = lucid.sort(lucid.tensor([3.0, 1.0, 2.0]))
        >>> values.tolist(), indices.tolist()
        ([1.0, 2.0, 3.0], [1, 2, 0])
    """
    x = array("sort", input)
    shape, x = x.shape, at_least_1d(x)
    at = _checks.dim("sort", dim, x.ndim)
    order = _order(x, at, _checks.flag("sort", "descending", descending))
    values = mx.take_along_axis(x, order, at) if x.size else x
    return ValuesAndIndices(values.reshape(shape), order.astype(mx.int64).reshape(shape))


@op
def argsort(
    input: TensorLike, dim: int = -1, descending: bool = False, *, stable: bool | None = True, out: None = None
) -> mx.array:
    """The indices (int64) that sort the values along ``dim``. Always stable."""
    x = array("argsort", input)
    shape, x = x.shape, at_least_1d(x)
    at = _checks.dim("argsort", dim, x.ndim)
    return _order(x, at, _checks.flag("argsort", "descending", descending)).astype(mx.int64).reshape(shape)


@select_op
def topk(
    input: TensorLike, k: int, dim: int = -1, largest: bool = True, sorted: bool = True, *, out: None = None
) -> ValuesAndIndices:
    """The ``k`` largest (or smallest) values along ``dim``, sorted, as the named tuple (values, indices).

    Example:
        >>> values, indices = lucid.topk(lucid.tensor([3.0, 1.0, 2.0]), 2)
        >>> values.tolist(), indices.tolist()
        ([3.0, 2.0], [0, 2])
    """
    x = array("topk", input)
    shape, x = x.shape, at_least_1d(x)
    at = _checks.dim("topk", dim, x.ndim)
    k = _checks.integer("topk", "k", k)
    largest = _checks.flag("topk", "largest", largest)
    if not 0 <= k <= x.shape[at]:
        raise _checks.ArgumentError(f"topk: k must be in [0, {x.shape[at]}] for dim {dim} of shape {x.shape}, got {k}")
    order = _order(x, at, largest)[(slice(None),) * at + (slice(0, k),)]
    values = mx.take_along_axis(x, order, at) if order.size else mx.zeros(order.shape, x.dtype)
    if not shape and k == 1:
        values, order = values.reshape(()), order.reshape(())
    return ValuesAndIndices(values, order.astype(mx.int64))


@any_op
def unique(
    input: TensorLike,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The distinct values, sorted; with ``dim``, the distinct slices along it. Waits for the values.

    Args:
        return_inverse: Whether to also return the index of each value in the result.
        return_counts: Whether to also return how often each distinct value occurs.

    Example:
        >>> lucid.unique(lucid.tensor([3, 1, 3])).tolist()
        [1, 3]
    """
    x = array("unique", input)
    return_inverse = _checks.flag("unique", "return_inverse", return_inverse)
    return_counts = _checks.flag("unique", "return_counts", return_counts)
    data = _bounds.as_numpy("unique", x)
    axis = None if dim is None else _checks.dim("unique", dim, x.ndim)
    values, inverse, counts = np.unique(data, return_inverse=True, return_counts=True, axis=axis)
    found = [mx.array(values, x.dtype)]
    if return_inverse:
        shape = x.shape if axis is None else (x.shape[axis],)
        found.append(mx.array(inverse.astype(np.int64).reshape(shape)))
    if return_counts:
        found.append(mx.array(counts.astype(np.int64)))
    return found[0] if len(found) == 1 else tuple(found)


@op
def searchsorted(
    sorted_sequence: TensorLike, input: TensorLike, *, out_int32: bool = False, right: bool = False,
    side: str | None = None, sorter: TensorLike = None, out: None = None,
) -> mx.array:  # fmt: skip
    """The index (int64) at which to insert each value of ``input`` into a sorted vector, before equal values.

    Shapes: sorted_sequence (n,), input any; or sorted_sequence (..., n), input (..., m) for vectors of their own.

    Args:
        out_int32: Whether to return int32.
        right: Whether to insert after equal values, as ``side="right"``.
        side: "left" or "right".
        sorter: The indices that sort ``sorted_sequence``, if it is not sorted.
    """
    sequence = array("searchsorted", sorted_sequence, "sorted_sequence")
    values = array("searchsorted", input)
    right = _checks.flag("searchsorted", "right", right)
    if side is not None:
        if _checks.one_of("searchsorted", "side", side, ("left", "right")) == "left" and right:
            raise _checks.ArgumentError("searchsorted: side must be 'right' with right=True, got 'left'")
        right = side == "right"
    if sequence.ndim == 0:
        raise _checks.ArgumentError("searchsorted: sorted_sequence must have at least 1 dimension, got 0")
    if sequence.ndim > 1 and sequence.shape[:-1] != values.shape[:-1]:
        raise _checks.ArgumentError(
            f"searchsorted: input {values.shape} must have the leading sizes of sorted_sequence {sequence.shape}"
        )
    if sorter is not None:
        order = index_within("searchsorted", sorter, sequence.ndim - 1, sequence.shape, "sorter", lowest=0)
        if order.shape != sequence.shape:
            raise _checks.ArgumentError(
                f"searchsorted: sorter must have the shape of sorted_sequence, {sequence.shape}, got {order.shape}"
            )
        sequence = mx.take_along_axis(sequence, order, -1)
    sequence, values = promoted(mx.stop_gradient(sequence), mx.stop_gradient(values))
    if sequence.ndim == 1:
        sequence = mx.broadcast_to(sequence, (*values.shape[:-1], sequence.size))
    found = insertion_points(sequence, at_least_1d(values), right).reshape(values.shape)
    return found.astype(mx.int32 if _checks.flag("searchsorted", "out_int32", out_int32) else mx.int64)


def insertion_points(sequence: mx.array, values: mx.array, right: bool) -> mx.array:
    """Binary search for all values at once: sequence (..., n), values (..., m), out (..., m)."""
    size = sequence.shape[-1]
    low = mx.zeros(values.shape, mx.int32)
    high = mx.full(values.shape, size, mx.int32)
    for _ in range(size.bit_length() if values.size else 0):
        middle = (low + high) // 2
        found = mx.take_along_axis(sequence, mx.minimum(middle, size - 1), -1)
        # NaN counts as the largest value.
        is_below = (low < high) & ~(found > values if right else found >= values)
        low, high = mx.where(is_below, middle + 1, low), mx.where(is_below, high, mx.minimum(middle, high))
    return low


@op
def bincount(input: TensorLike, weights: TensorLike = None, minlength: int = 0) -> mx.array:
    """How often each integer from 0 on occurs (int64), or the sums of their weights. Waits for the values.

    The sums are float32 for float32 weights, otherwise float64 (float32 on GPUs, which do not have float64).
    """
    x = index_array("bincount", input, "input")
    _checks.rank("bincount", "input", x.shape, 1)
    smallest, largest = (int(_deferred.item(mx.min(x))), int(_deferred.item(mx.max(x)))) if x.size else (0, -1)
    if smallest < 0:
        raise _checks.ArgumentError(f"bincount: input must not be negative, got {smallest}")
    size = max(largest + 1, _checks.integer("bincount", "minlength", minlength, 0))
    amounts = mx.ones(x.shape, mx.int64) if weights is None else array("bincount", weights, "weights")
    if amounts.shape != x.shape:
        raise _checks.ArgumentError(
            f"bincount: weights must have the shape of the input, {x.shape}, got {amounts.shape}"
        )
    if weights is not None and amounts.dtype != mx.float32:
        amounts = amounts.astype(mx.float64 if mx.default_device().type == mx.cpu else mx.float32)
    counts = mx.zeros((size,), amounts.dtype)
    return counts.at[x].add(amounts) if x.size else counts
