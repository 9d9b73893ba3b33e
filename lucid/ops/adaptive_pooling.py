"""Adaptive pooling: windows chosen so that the result has a given size.

Position i of n averages or maximizes the input from floor(i size / n) to ceil((i + 1) size / n), in each dimension.
"""

import math
from typing import Any

import mlx.core as mx
import numpy as np

from lucid import _checks
from lucid.ops._common import FLOATING, any_op, array, average, real_numbers, reversed_along
from lucid.ops._types import TensorLike
from lucid.ops._windows import SPACE, first_spatial_axis, flat_positions
from lucid.tape import op

__all__ = [
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_max_pool1d", "adaptive_max_pool2d",
    "adaptive_max_pool3d",
]  # fmt: skip

OutputSize = int | tuple[int | None, ...] | list[int | None] | None


def _sizes(caller: str, x: mx.array, dims: int, output_size: Any, data_format: str) -> tuple[int, tuple[int, ...]]:
    """The first spatial dimension, and the size of the result."""
    if isinstance(output_size, mx.array):
        output_size = output_size.tolist()
    listed = isinstance(output_size, tuple | list)
    wanted = tuple(output_size) * (dims if len(output_size) == 1 else 1) if listed else (output_size,) * dims
    if len(wanted) != dims:
        kind = {1: "one integer", 2: "a pair (H, W)", 3: "three integers (D, H, W)"}[dims]
        raise _checks.ArgumentError(f"{caller}: output_size must be an integer or {kind}, got {output_size!r}")
    first = first_spatial_axis(caller, x, dims, data_format)
    space = x.shape[first : first + dims]
    if 0 in space:
        shown = "x".join(map(str, space))
        raise _checks.ArgumentError(f"{caller}: the dimensions {SPACE[dims]} must not be empty, got {shown}")
    return first, tuple(
        size if one is None else _checks.tuple_of(caller, "output_size", one, 1, 0)[0]
        for one, size in zip(wanted, space, strict=True)
    )


def _adaptive_avg_pool(caller: str, dims: int, input: Any, output_size: Any, data_format: str) -> mx.array:
    x = real_numbers(caller, input)
    first, sizes = _sizes(caller, x, dims, output_size, data_format)
    wide = x if x.dtype == mx.float64 else x.astype(mx.float32)
    if set(sizes) == {1}:
        return average(wide, tuple(range(first, first + dims)), keepdims=True).astype(x.dtype)
    for axis, out in enumerate(sizes, first):
        wide = along_axis(wide, axis, _averages(x.shape[axis], out, wide.dtype))
    return wide.astype(x.dtype)


@op
def adaptive_avg_pool1d(input: TensorLike, output_size: OutputSize, *, data_format: str = "channels_first") -> mx.array:
    """Averages of (N, C, L) or (C, L) over windows chosen so that L becomes ``output_size``.

    Raises:
        ValueError: ``output_size`` is not one integer, or the signal is empty.
    """
    return _adaptive_avg_pool("adaptive_avg_pool1d", 1, input, output_size, data_format)


@op
def adaptive_avg_pool2d(input: TensorLike, output_size: OutputSize, *, data_format: str = "channels_first") -> mx.array:
    """Averages over windows chosen so that the result has size ``output_size``; ``None`` keeps a size.

    Shapes: input (N, C, H, W) or (C, H, W); out (N, C, OH, OW). Row i of the result averages the input rows from
    floor(i H / OH) to ceil((i + 1) H / OH).

    Raises:
        ValueError: ``output_size`` is not one or two integers, or the image is empty.
    """
    return _adaptive_avg_pool("adaptive_avg_pool2d", 2, input, output_size, data_format)


@op
def adaptive_avg_pool3d(input: TensorLike, output_size: OutputSize, *, data_format: str = "channels_first") -> mx.array:
    """Averages of (N, C, D, H, W) or (C, D, H, W) over windows chosen so that the result has size ``output_size``.

    Raises:
        ValueError: ``output_size`` is not one or three integers, or the volume is empty.
    """
    return _adaptive_avg_pool("adaptive_avg_pool3d", 3, input, output_size, data_format)


def _averages(size: int, out: int, dtype: mx.Dtype) -> mx.array | None:
    """The (out, size) matrix that averages, or ``None`` if it is the identity."""
    if size == out:
        return None
    starts, stops = _bounds(size, out)
    at = np.arange(size)
    inside = (at >= starts[:, None]) & (at < stops[:, None])
    return mx.array(inside / (stops - starts)[:, None], dtype)


def _bounds(size: int, out: int) -> tuple[np.ndarray, np.ndarray]:
    """Where each window starts, and where it stops."""
    rows = np.arange(out)
    return rows * size // max(out, 1), -(-(rows + 1) * size // max(out, 1))


def along_axis(x: mx.array, axis: int, matrix: mx.array | None) -> mx.array:
    """``matrix`` (out, size) applied to the vectors of ``x`` along ``axis``."""
    if matrix is None:
        return x
    before, after = x.shape[:axis], x.shape[axis + 1 :]
    if after:
        flat = matrix @ x.reshape(math.prod(before), x.shape[axis], math.prod(after))
    else:
        flat = x.reshape(math.prod(before), x.shape[axis]) @ matrix.T
    return flat.reshape(*before, matrix.shape[0], *after)


def _adaptive_max_pool(
    caller: str, dims: int, input: Any, output_size: Any, return_indices: bool, data_format: str
) -> Any:
    x = array(caller, input)
    if x.dtype not in FLOATING or x.dtype == mx.complex64:
        x = real_numbers(caller, x)
    first, sizes = _sizes(caller, x, dims, output_size, data_format)
    if x.shape[first - 1 if data_format == "channels_first" else -1] == 0:
        raise _checks.ArgumentError(f"{caller}: only the batch may be empty, got shape {x.shape}")
    space = x.shape[first : first + dims]
    places = []  # (out, K) per dimension: which of its positions are in each window, the last one repeated
    for size, out in zip(space, sizes, strict=True):
        starts, stops = _bounds(size, out)
        width = int((stops - starts).max(initial=1))
        places.append(np.minimum(starts[:, None] + np.arange(width), stops[:, None] - 1))
    if 0 in sizes or x.size == 0:
        shape = (*x.shape[:first], *sizes, *x.shape[first + dims :])
        found = mx.zeros(shape, x.dtype), mx.zeros(shape, mx.int64)
        return found if _checks.flag(caller, "return_indices", return_indices) else found[0]
    # Blocks of all values of a window: (..., out, K, out, K, ...), then the K together in the last dimension.
    blocks = x
    for axis, (size, at) in enumerate(zip(space, places, strict=True)):
        where = first + 2 * axis
        if at.size != size:  # windows overlap, or differ in size
            blocks = mx.take(blocks, mx.array(at.reshape(-1)), where)
        blocks = blocks.reshape(*blocks.shape[:where], *at.shape, *blocks.shape[where + 1 :])
    outer = [first + 2 * i for i in range(dims)]
    order = [*range(first), *outer, *range(first + 2 * dims, blocks.ndim), *(axis + 1 for axis in outer)]
    blocks = mx.transpose(blocks, order)
    blocks = blocks.reshape(*blocks.shape[: x.ndim], -1)
    at = mx.expand_dims(_last_nan_or_largest(mx.stop_gradient(blocks)), -1)
    largest = mx.squeeze(mx.take_along_axis(blocks, at, -1), -1)
    if not _checks.flag(caller, "return_indices", return_indices):
        return largest
    positions = flat_positions([one.reshape(-1) for one in places], space)
    positions = positions.reshape([n for one in places for n in one.shape])
    positions = positions.transpose([*range(0, 2 * dims, 2), *range(1, 2 * dims, 2)])  # (out, out, ..., K, K, ...)
    positions = positions.reshape(*(1,) * first, *sizes, *(1,) * (x.ndim - first - dims), -1)
    table = mx.broadcast_to(mx.array(positions), blocks.shape)
    return largest, mx.squeeze(mx.take_along_axis(table, at, -1), -1)


def _last_nan_or_largest(blocks: mx.array) -> mx.array:
    """The position along the last dimension of the last NaN, or of the first of the largest values."""
    is_nan = blocks != blocks
    last_nan = blocks.shape[-1] - 1 - mx.argmax(reversed_along(is_nan, blocks.ndim - 1), -1)
    largest = mx.argmax(mx.where(is_nan, mx.array(-mx.inf, blocks.dtype), blocks), -1)
    return mx.where(mx.any(is_nan, -1), last_nan.astype(mx.uint32), largest)


@any_op
def adaptive_max_pool1d(
    input: TensorLike, output_size: OutputSize, return_indices: bool = False, *, data_format: str = "channels_first"
) -> Any:
    """Maxima of (N, C, L) or (C, L) over windows chosen so that L becomes ``output_size``.

    Args:
        return_indices: Whether to return the values and their positions.

    Raises:
        ValueError: ``output_size`` is not one integer, or the signal is empty.
    """
    return _adaptive_max_pool("adaptive_max_pool1d", 1, input, output_size, return_indices, data_format)


@any_op
def adaptive_max_pool2d(
    input: TensorLike, output_size: OutputSize, return_indices: bool = False, *, data_format: str = "channels_first"
) -> Any:
    """Maxima over windows chosen so that the result has size ``output_size``; ``None`` keeps a size.

    Shapes: input (N, C, H, W) or (C, H, W); out (N, C, OH, OW), and with ``return_indices`` also the positions
    row * W + column, int64. The windows are those of ``adaptive_avg_pool2d``.

    Raises:
        ValueError: ``output_size`` is not one or two integers, or the image is empty.

    Example:
        >>> F.adaptive_max_pool2d(lucid.arange(9).reshape(1, 3, 3).float(), 2).tolist()
        [[[4.0, 5.0], [7.0, 8.0]]]
    """
    return _adaptive_max_pool("adaptive_max_pool2d", 2, input, output_size, return_indices, data_format)


@any_op
def adaptive_max_pool3d(
    input: TensorLike, output_size: OutputSize, return_indices: bool = False, *, data_format: str = "channels_first"
) -> Any:
    """Maxima of (N, C, D, H, W) or (C, D, H, W) over windows chosen so that the result has size ``output_size``.

    Args:
        return_indices: Whether to return the values and their positions (depth * H + row) * W + column.

    Raises:
        ValueError: ``output_size`` is not one or three integers, or the volume is empty.
    """
    return _adaptive_max_pool("adaptive_max_pool3d", 3, input, output_size, return_indices, data_format)
