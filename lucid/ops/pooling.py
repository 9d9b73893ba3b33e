"""Pooling over images (N, C, H, W), or (N, H, W, C) with ``data_format="channels_last"``. N may be missing.

Each position within the window is a strided slice of the whole image, and pooling combines these slices. No windows are
copied, and the gradient consists of slices too.
"""

import math
from collections.abc import Iterator
from typing import Any

import mlx.core as mx
import numpy as np

from lucid import _checks
from lucid.ops._common import FLOATING, any_op, array, average, real_numbers, truncated_quotient
from lucid.ops._types import TensorLike
from lucid.ops.normalization import DATA_FORMATS
from lucid.tape import op

__all__ = ["adaptive_avg_pool2d", "avg_pool2d", "max_pool2d"]

Pair = int | tuple[int, int] | list[int]


class _Windows:
    """The windows of a pooling operation on an image: output size, padding, and the slice of each window position."""

    def __init__(
        self, caller: str, x: mx.array, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool,
        data_format: str,
    ) -> None:  # fmt: skip
        self.first = _height_axis(caller, x, data_format)
        self.size = x.shape[self.first : self.first + 2]
        if x.size == 0 and 0 in x.shape[x.ndim - 3 :]:
            raise _checks.ArgumentError(f"{caller}: only the batch may be empty, got shape {x.shape}")
        self.kernel = _checks.pair(caller, "kernel_size", kernel, 1)
        self.stride = self.kernel if stride is None or stride in ((), []) else _checks.pair(caller, "stride", stride, 1)
        self.padding = _checks.pair(caller, "padding", padding, 0)
        self.dilation = _checks.pair(caller, "dilation", dilation, 1)
        if any(2 * p > k for p, k in zip(self.padding, self.kernel, strict=True)):
            raise _checks.ArgumentError(
                f"{caller}: padding must be at most half of kernel_size {self.kernel}, got {tuple(self.padding)}"
            )
        ceil_mode = _checks.flag(caller, "ceil_mode", ceil_mode)
        self.output = tuple(self._output(caller, i, ceil_mode) for i in (0, 1))

    def _output(self, caller: str, i: int, ceil_mode: bool) -> int:
        size, k, s, p, d = self.size[i], self.kernel[i], self.stride[i], self.padding[i], self.dilation[i]
        room = size + 2 * p - d * (k - 1) - 1
        count = (-(-room // s) if ceil_mode else room // s) + 1
        if ceil_mode and (count - 1) * s >= size + p:
            count -= 1  # a window must start inside the image or its left padding
        if count < 1:
            raise _checks.ArgumentError(
                f"{caller}: kernel_size {self.kernel} with dilation {self.dilation} is larger than the input of "
                f"{self.size[0]}x{self.size[1]} with padding {self.padding}"
            )
        return count

    def padded(self, x: mx.array, value: float) -> mx.array:
        """``x`` padded with ``value`` as far as the windows reach."""
        widths = [(0, 0)] * x.ndim
        for i in (0, 1):
            reach = (self.output[i] - 1) * self.stride[i] + self.dilation[i] * (self.kernel[i] - 1) + 1
            widths[self.first + i] = (self.padding[i], max(reach - self.size[i] - self.padding[i], 0))
        return mx.pad(x, widths, constant_values=mx.array(value, x.dtype)) if any(map(any, widths)) else x

    def places(self, x: mx.array) -> Iterator[mx.array]:
        """For each position in the window, row by row, the values there in all windows of the padded ``x``."""
        for i in range(self.kernel[0]):
            for j in range(self.kernel[1]):
                spans = [
                    slice(axis * d, axis * d + (n - 1) * s + 1, s)
                    for axis, n, s, d in zip((i, j), self.output, self.stride, self.dilation, strict=True)
                ]
                yield x[(slice(None),) * self.first + tuple(spans)]

    def positions(self, ndim: int) -> list[mx.array]:
        """For each position in the window, row by row, where it is in the image, as row * W + column.

        The first is where the window starts in the image, even if the window starts in the padding.
        """
        rows, columns = (
            [np.arange(n) * s - p + i * d for i in range(k)]
            for n, s, p, d, k in zip(self.output, self.stride, self.padding, self.dilation, self.kernel, strict=True)
        )
        starts = [
            np.where(first < 0, first + -(first // d) * d, first)
            for first, d in zip((rows[0], columns[0]), self.dilation, strict=True)
        ]
        shape = [1] * ndim
        shape[self.first : self.first + 2] = self.output
        pairs = [(row, column) for row in rows for column in columns]
        found = [row[:, None] * self.size[1] + column for row, column in (tuple(starts), *pairs[1:])]
        return [mx.array(one.reshape(shape), mx.int64) for one in found]


def _height_axis(caller: str, x: mx.array, data_format: str) -> int:
    _checks.one_of(caller, "data_format", data_format, DATA_FORMATS)
    layout = "(N, C, H, W)" if data_format == "channels_first" else "(N, H, W, C)"
    _checks.rank(caller, "input", x.shape, (3, 4), layout)
    return x.ndim - (2 if data_format == "channels_first" else 3)


@any_op
def max_pool2d(
    input: TensorLike, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0, dilation: Pair = 1,
    ceil_mode: bool = False, return_indices: bool = False, *, data_format: str = "channels_first",
) -> Any:  # fmt: skip
    """The maximum of each window; NaN if the window contains NaN. The first of equal values gets the gradient.

    Shapes: input (N, C, H, W) or (C, H, W), out the same with pooled H and W.

    Args:
        stride: Defaults to ``kernel_size``.
        padding: Pixels on each side, which never are the maximum.
        ceil_mode: Whether to keep windows that extend beyond the padded image.
        return_indices: Whether to return the values and their positions in the image, row * W + column.

    Raises:
        ValueError: the padding exceeds half of the kernel, or the kernel is larger than the padded input.

    Example:
        >>> F.max_pool2d(lucid.arange(16).reshape(1, 1, 4, 4).float(), 2).tolist()
        [[[[5.0, 7.0], [13.0, 15.0]]]]
    """
    x = array("max_pool2d", input)
    if x.dtype in (mx.bool_, mx.complex64):
        raise _checks.DtypeError(f"max_pool2d: input must hold real numbers, got {_checks.dtype_name(x.dtype)}")
    windows = _Windows("max_pool2d", x, kernel_size, stride, padding, dilation, ceil_mode, data_format)
    lowest = -mx.inf if x.dtype in FLOATING else mx.iinfo(x.dtype).min
    places = windows.places(windows.padded(x, lowest))
    largest = next(places)
    if not _checks.flag("max_pool2d", "return_indices", return_indices):
        for one in places:
            largest = mx.where((one > largest) | (one != one), one, largest)
        return largest
    found, *positions = windows.positions(x.ndim)
    for one, position in zip(places, positions, strict=True):
        is_larger = (one > largest) | (one != one)
        largest, found = mx.where(is_larger, one, largest), mx.where(is_larger, position, found)
    return largest, mx.broadcast_to(found, largest.shape)


@op
def avg_pool2d(
    input: TensorLike, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: int | None = None, *, data_format: str = "channels_first",
) -> mx.array:  # fmt: skip
    """The average of each window, summed in float32. int64 is rounded toward zero; other integers are refused.

    Shapes: input (N, C, H, W) or (C, H, W), out the same with pooled H and W.

    Args:
        stride: Defaults to ``kernel_size``.
        padding: Zeros on each side.
        ceil_mode: Whether to keep windows that extend beyond the padded image.
        count_include_pad: Whether the padding is included in the average.
        divisor_override: Divide every sum by this number instead.

    Raises:
        ValueError: the padding exceeds half of the kernel, or the kernel is larger than the padded input.

    Example:
        >>> F.avg_pool2d(lucid.arange(16).reshape(1, 1, 4, 4).float(), 2).tolist()
        [[[[2.5, 4.5], [10.5, 12.5]]]]
    """
    x = array("avg_pool2d", input)
    if x.dtype != mx.int64:
        x = real_numbers("avg_pool2d", x)
    windows = _Windows("avg_pool2d", x, kernel_size, stride, padding, 1, ceil_mode, data_format)
    wide = windows.padded(x if x.dtype in (mx.float64, mx.int64) else x.astype(mx.float32), 0)
    places = windows.places(wide)
    total = next(places)
    for one in places:
        total = total + one
    if divisor_override is not None:
        if not _checks.integer("avg_pool2d", "divisor_override", divisor_override):
            raise _checks.ArgumentError("avg_pool2d: divisor_override must not be 0")
        return _quotient(total, mx.array(divisor_override, wide.dtype)).astype(x.dtype)
    rows, columns = (_counts(windows, i, count_include_pad) for i in (0, 1))
    counts = mx.array([[r * c for c in columns] for r in rows], wide.dtype)
    shape = [1] * x.ndim
    shape[windows.first : windows.first + 2] = windows.output
    return _quotient(total, counts.reshape(shape)).astype(x.dtype)


def _quotient(total: mx.array, count: mx.array) -> mx.array:
    """``total / count``, for integers rounded toward zero as in PyTorch."""
    return truncated_quotient(total, count) if total.dtype == mx.int64 else total / count


def _counts(windows: _Windows, i: int, include_pad: bool) -> list[int]:
    """The number of rows (i = 0) or columns (i = 1) of each window that are averaged; none beyond the padding."""
    size, k, s, p = windows.size[i], windows.kernel[i], windows.stride[i], windows.padding[i]
    low, high = (-p, size + p) if include_pad else (0, size)
    starts = [axis * s - p for axis in range(windows.output[i])]
    return [min(start + k, high) - max(start, low) for start in starts]


@op
def adaptive_avg_pool2d(
    input: TensorLike, output_size: int | tuple[int | None, int | None] | None, *, data_format: str = "channels_first"
) -> mx.array:
    """Averages over windows chosen so that the result has size ``output_size``; ``None`` keeps a size.

    Shapes: input (N, C, H, W) or (C, H, W); out (N, C, OH, OW). Row i of the result averages the input rows from
    floor(i H / OH) to ceil((i + 1) H / OH).

    Raises:
        ValueError: ``output_size`` is not one or two integers, or the image is empty.
    """
    x = real_numbers("adaptive_avg_pool2d", input)
    expected = output_size if isinstance(output_size, tuple | list) else (output_size, output_size)
    if len(expected) != 2:
        raise _checks.ArgumentError(
            f"adaptive_avg_pool2d: output_size must be an integer or a pair (H, W), got {output_size!r}"
        )
    first = _height_axis("adaptive_avg_pool2d", x, data_format)
    height, width = x.shape[first : first + 2]
    if not height or not width:
        raise _checks.ArgumentError(f"adaptive_avg_pool2d: the image must not be empty, got {height}x{width}")
    oh, ow = (
        size if one is None else _checks.tuple_of("adaptive_avg_pool2d", "output_size", one, 1, 0)[0]
        for one, size in zip(expected, (height, width), strict=True)
    )
    wide = x if x.dtype == mx.float64 else x.astype(mx.float32)
    if oh == ow == 1:
        return average(wide, (first, first + 1), keepdims=True).astype(x.dtype)
    for axis, size, out in ((first, height, oh), (first + 1, width, ow)):
        wide = along_axis(wide, axis, _averages(size, out, wide.dtype))
    return wide.astype(x.dtype)


def _averages(size: int, out: int, dtype: mx.Dtype) -> mx.array | None:
    """The (out, size) matrix that averages, or ``None`` if it is the identity."""
    if size == out:
        return None
    rows = []
    for i in range(out):
        start, stop = i * size // out, -(-(i + 1) * size // out)
        rows.append([1 / (stop - start) if start <= axis < stop else 0.0 for axis in range(size)])
    return mx.array(rows, dtype).reshape(out, size)


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
