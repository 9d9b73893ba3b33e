"""Layouts: where the elements of a view lie in the tensor that it is a view of, as PyTorch's strides tell it.

MLX decides itself how arrays lie in memory. Layouts answer the questions that PyTorch answers with strides: whether
``reshape`` returns a view or a copy, whether a tensor is contiguous, and which elements a write to a view changes.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from typing import Any, NamedTuple


class Layout(NamedTuple):
    """The element at index (i, j, ...) of a view is element ``offset + i * strides[0] + ...`` of the flat tensor."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def is_contiguous(self) -> bool:
        expected = 1
        for size, stride in zip(reversed(self.shape), reversed(self.strides), strict=True):
            if size != 1:
                if stride != expected and self.size:
                    return False
                expected *= size
        return True

    @property
    def overlaps(self) -> bool:
        """Whether several elements of the view are one element of the tensor, as in an expanded view."""
        return any(size > 1 and stride == 0 for size, stride in zip(self.shape, self.strides, strict=True))


def contiguous(shape: tuple[int, ...]) -> Layout:
    """The layout of a tensor that is no view."""
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= max(size, 1)
    return Layout(shape, tuple(reversed(strides)), 0)


def reshaped(before: Layout, shape: tuple[int, ...]) -> Layout | None:
    """The layout of a view of ``shape`` with the same elements in the same order; None if only a copy has it."""
    if before.size == 0:
        return before if shape == before.shape else contiguous(shape)._replace(offset=before.offset)
    if not before.shape:
        return Layout(shape, (1,) * len(shape), before.offset)
    strides = [0] * len(shape)
    at = len(shape) - 1
    base, run, found = before.strides[-1], 1, 1  # dimensions whose elements follow each other are one run
    for axis in range(len(before.shape) - 1, -1, -1):
        run *= before.shape[axis]
        if axis == 0 or (before.shape[axis - 1] != 1 and before.strides[axis - 1] != run * base):
            while at >= 0 and (found < run or shape[at] == 1):
                strides[at] = found * base
                found *= shape[at]
                at -= 1
            if found != run:
                return None
            if axis:
                base, run, found = before.strides[axis - 1], 1, 1
    return None if at >= 0 else Layout(shape, tuple(strides), before.offset)


def permuted(before: Layout, order: Sequence[int]) -> Layout:
    return Layout(
        tuple([before.shape[axis] for axis in order]), tuple([before.strides[axis] for axis in order]), before.offset
    )


def expanded(before: Layout, shape: tuple[int, ...]) -> Layout:
    new = len(shape) - len(before.shape)
    strides = [0] * new
    for size, had, stride in zip(shape[new:], before.shape, before.strides, strict=True):
        strides.append(stride if size == had else 0)
    return Layout(shape, tuple(strides), before.offset)


def narrowed(before: Layout, axis: int, start: int, length: int, step: int = 1) -> Layout:
    shape, strides = list(before.shape), list(before.strides)
    offset = before.offset + start * strides[axis]
    shape[axis], strides[axis] = length, strides[axis] * step
    return Layout(tuple(shape), tuple(strides), offset)


def selected(before: Layout, axis: int, index: int) -> Layout:
    axis %= len(before.shape)
    offset = before.offset + index % max(before.shape[axis], 1) * before.strides[axis]
    return Layout(
        before.shape[:axis] + before.shape[axis + 1 :], before.strides[:axis] + before.strides[axis + 1 :], offset
    )


def diagonal(before: Layout, offset: int, dim1: int, dim2: int) -> Layout:
    rank = len(before.shape)
    first, second = dim1 % rank, dim2 % rank
    row, column = max(-offset, 0), max(offset, 0)
    length = max(min(before.shape[first] - row, before.shape[second] - column), 0)
    start = before.offset
    if length:
        start += row * before.strides[first] + column * before.strides[second]
    rest = [axis for axis in range(rank) if axis not in (first, second)]
    shape = (*(before.shape[axis] for axis in rest), length)
    return Layout(
        shape, (*(before.strides[axis] for axis in rest), before.strides[first] + before.strides[second]), start
    )


def indexed(before: Layout, index: Any) -> Layout | None:
    """The layout of ``tensor[index]``, for integers, slices, ``None`` and ``...``; None for anything else."""
    entries = list(index) if isinstance(index, tuple | list) else [index]
    used = sum(entry is not None and entry is not Ellipsis for entry in entries)
    if not any(entry is Ellipsis for entry in entries):
        entries.append(Ellipsis)
    shape: list[int] = []
    strides: list[int] = []
    offset, axis = before.offset, 0
    for entry in entries:
        if entry is None:
            shape.append(1)
            strides.append(0)
        elif entry is Ellipsis:
            rest = len(before.shape) - used
            shape += before.shape[axis : axis + rest]
            strides += before.strides[axis : axis + rest]
            axis += rest
        elif isinstance(entry, slice):
            start, stop, step = entry.indices(before.shape[axis])
            count = len(range(start, stop, step))
            shape.append(count)
            strides.append(before.strides[axis] * step)
            offset += start * before.strides[axis] if count else 0
            axis += 1
        elif isinstance(entry, numbers.Integral):
            offset += int(entry) % before.shape[axis] * before.strides[axis]
            axis += 1
        else:
            return None
    return Layout(tuple(shape), tuple(strides), offset)
