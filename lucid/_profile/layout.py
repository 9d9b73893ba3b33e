"""How arrays lie in memory: strides as MLX's GPU backends choose them, and which primitives only make a view.

The rules are those of mlx/backend/common and mlx/backend/gpu (0.32). Elements are counted, not bytes. Whether MLX
writes a result over an input that nobody needs any more is left out: it changes the memory in use, not the traffic.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Layout:
    """An array in memory: ``buffer`` is the array that owns the memory, ``size`` the elements it spans."""

    shape: Shape
    strides: tuple[int, ...]
    buffer: int
    size: int

    @property
    def distinct(self) -> int:
        """The number of different elements: a broadcast array has fewer than its shape says."""
        return math.prod(n for n, stride in zip(self.shape, self.strides, strict=True) if stride)

    @property
    def is_row_contiguous(self) -> bool:
        return self.size == math.prod(self.shape) and _matches(self.shape, self.strides)

    @property
    def is_column_contiguous(self) -> bool:
        return self.size == math.prod(self.shape) and _matches(self.shape[::-1], self.strides[::-1])

    @property
    def is_contiguous(self) -> bool:
        """No holes, in whatever order."""
        return self.size == self.distinct


def dense(shape: Shape, buffer: int) -> Layout:
    return Layout(shape, row_strides(shape), buffer, math.prod(shape))


def row_strides(shape: Shape) -> tuple[int, ...]:
    return tuple(itertools.accumulate((1, *reversed(shape[1:])), lambda a, b: a * b))[::-1] if shape else ()


def _matches(shape: Shape, strides: tuple[int, ...]) -> bool:
    expected = 1
    for n, stride in zip(reversed(shape), reversed(strides), strict=True):
        if n != 1 and stride != expected:
            return False
        expected *= n
    return True


# Views: primitives that move nothing ---------------------------------------------------------------------------------


def transposed(x: Layout, axes: Sequence[int]) -> Layout:
    return Layout(tuple(x.shape[i] for i in axes), tuple(x.strides[i] for i in axes), x.buffer, x.size)


def broadcast(x: Layout, shape: Shape) -> Layout:
    added = len(shape) - len(x.shape)
    kept = [s if n == m else 0 for n, m, s in zip(x.shape, shape[added:], x.strides, strict=True)]
    return Layout(shape, (*(0,) * added, *kept), x.buffer, x.size)


def sliced(x: Layout, shape: Shape, steps: Sequence[int]) -> Layout:
    strides = tuple(s * step for s, step in zip(x.strides, steps, strict=True))
    span = 1 + sum((n - 1) * abs(s) for n, s in zip(shape, strides, strict=True))
    return Layout(shape, strides, x.buffer, span if all(shape) else 0)


def reshaped(x: Layout, shape: Shape) -> Layout | None:
    """``x`` in another shape, or ``None`` if that takes a copy."""
    if x.is_row_contiguous:
        return Layout(shape, row_strides(shape), x.buffer, x.size)
    if not x.shape:
        return Layout(shape, (0,) * len(shape), x.buffer, x.size)
    sizes, steps = _collapsed(x.shape, x.strides)
    strides: list[int] = []
    j = 0
    for n in shape:
        if j < len(sizes) and n and sizes[j] % n == 0:
            sizes[j] //= n
            strides.append(sizes[j] * steps[j])
            j += sizes[j] == 1
        elif n == 1:
            strides.append(strides[-1])
        else:
            return None
    return Layout(shape, tuple(strides), x.buffer, x.size)


def _collapsed(shape: Shape, strides: tuple[int, ...]) -> tuple[list[int], list[int]]:
    """Shape and strides with dimensions joined that are contiguous to each other."""
    kept = [(n, s) for n, s in zip(shape, strides, strict=True) if n != 1]
    sizes: list[int] = []
    steps: list[int] = []
    for n, s in kept:
        if sizes and steps[-1] == n * s:
            sizes[-1], steps[-1] = sizes[-1] * n, s
        else:
            sizes.append(n)
            steps.append(s)
    return (sizes, steps) if kept else ([1], [1])


# Results of elementwise primitives -----------------------------------------------------------------------------------


def like(x: Layout, shape: Shape, buffer: int) -> Layout:
    """A new array with the strides of ``x``."""
    return Layout(shape, x.strides, buffer, x.size)


def elementwise(inputs: Sequence[Layout], shape: Shape, buffer: int) -> Layout:
    """The result of one elementwise primitive."""
    if len(inputs) == 1:
        return like(inputs[0], shape, buffer) if inputs[0].is_contiguous else dense(shape, buffer)
    if len(inputs) == 2:
        a, b = inputs
        if a.size == b.size == 1:
            return like(a, shape, buffer)
        if a.size == 1 and b.is_contiguous:
            return like(b, shape, buffer)
        if b.size == 1 and a.is_contiguous:
            return like(a, shape, buffer)
        return like(a, shape, buffer) if _alike(inputs) else dense(shape, buffer)
    return like(inputs[1], shape, buffer) if _alike(inputs) else dense(shape, buffer)


def _alike(inputs: Sequence[Layout]) -> bool:
    return all(one.is_row_contiguous for one in inputs) or all(one.is_column_contiguous for one in inputs)


def compiled(inputs: Sequence[Layout], shape: Shape, buffer: int) -> Layout:
    """The result of a group of elementwise primitives."""
    arrays = [one for one in inputs if one.shape]
    same = all(one.shape == shape for one in arrays)
    keeps = same and (_alike(arrays) if len(arrays) > 1 else bool(arrays) and arrays[0].is_contiguous)
    return like(arrays[0], shape, buffer) if keeps else dense(shape, buffer)
