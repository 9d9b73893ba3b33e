"""Sums, means and maxima of rows of a table, for bags of indices."""

from typing import Any

import mlx.core as mx
import numpy as np

from lucid import _bounds, _checks
from lucid.ops._common import LOW_PRECISION, array, index_within, real_numbers
from lucid.ops._types import TensorLike
from lucid.tape import op

MODES = ("sum", "mean", "max")


def bags(caller: str, indices: mx.array, offsets: Any, include_last_offset: bool) -> np.ndarray:
    """The size of each bag, from the places where they start. Waits for the offsets."""
    found = array(caller, offsets, "offsets")
    if found.ndim != 1:
        raise _checks.ArgumentError(f"{caller}: offsets must be a vector, got shape {found.shape}")
    starts = np.asarray(_bounds.as_numpy(caller, found), np.int64)
    if include_last_offset:
        if not starts.size:
            raise _checks.ArgumentError(f"{caller}: offsets must not be empty with include_last_offset=True")
        starts = starts[:-1]
    if starts.size and starts[0] != 0:
        raise _checks.ArgumentError(f"{caller}: offsets must start with 0, got {starts[0]}")
    if (np.diff(starts) < 0).any() or (starts.size and starts[-1] > indices.size):
        raise _checks.ArgumentError(f"{caller}: offsets must increase, up to the {indices.size} indices")
    return np.diff(np.append(starts, indices.size))


@op
def embedding_bag(
    input: TensorLike, weight: TensorLike, sizes: Any, mode: str, scale_grad_by_freq: bool,
    per_sample_weights: TensorLike, padding_idx: int | None,
) -> mx.array:  # fmt: skip
    """The rows of ``weight`` at ``input``, reduced over bags of these ``sizes``, (bags, embedding_dim)."""
    where = "embedding_bag"
    table = real_numbers(where, weight, "weight")
    index = index_within(where, input, 0, table.shape, "input", lowest=0).reshape(-1).astype(mx.int64)
    count, width = len(sizes), table.shape[1]
    bag = mx.array(np.repeat(np.arange(count), sizes))
    if not index.size or not count or not width:
        return mx.zeros((count, width), table.dtype)
    if scale_grad_by_freq:
        times = mx.zeros(table.shape[0], mx.float32).at[index].add(1)
        fixed = mx.stop_gradient(table)
        table = fixed + (table - fixed) * (1 / mx.maximum(times, 1)).astype(table.dtype)[:, None]
    rows = mx.take(table, index, 0)
    wide = rows.astype(mx.float32) if rows.dtype in LOW_PRECISION else rows
    if per_sample_weights is not None:
        wide = wide * array(where, per_sample_weights).reshape(-1)[:, None].astype(wide.dtype)
    is_kept = None if padding_idx is None else index != padding_idx
    if mode == "max":
        return _largest(wide, bag, is_kept, count).astype(table.dtype)
    if is_kept is not None:
        wide = mx.where(is_kept[:, None], wide, 0)
    found = mx.zeros((count, width), wide.dtype).at[bag].add(wide)
    if mode == "mean":
        ones = mx.ones(index.shape, wide.dtype) if is_kept is None else is_kept.astype(wide.dtype)
        found = found / mx.maximum(mx.zeros((count,), wide.dtype).at[bag].add(ones), 1)[:, None]
    return found.astype(table.dtype)


def _largest(rows: mx.array, bag: mx.array, is_kept: mx.array | None, count: int) -> mx.array:
    """The maximum of each bag, whose gradient goes to the first of equal values; 0 for empty bags."""
    fixed = mx.stop_gradient(rows)
    if is_kept is not None:
        fixed = mx.where(is_kept[:, None], fixed, -mx.inf)
    top = mx.full((count, rows.shape[1]), -mx.inf, dtype=rows.dtype).at[bag].maximum(fixed)
    place = mx.arange(rows.shape[0])[:, None]
    is_top = mx.where(fixed == mx.take(top, bag, 0), place, rows.shape[0])
    first = mx.full((count, rows.shape[1]), rows.shape[0]).at[bag].minimum(is_top)
    chosen = mx.take_along_axis(rows, mx.minimum(first, rows.shape[0] - 1), 0)
    return mx.where(mx.isinf(top) & (top < 0), 0, chosen)
