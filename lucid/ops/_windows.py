"""The windows of pooling operations over one to three spatial dimensions."""

import functools
import itertools
import math
from collections.abc import Iterator
from typing import Any

import mlx.core as mx
import numpy as np

from lucid import _checks
from lucid.ops.normalization import DATA_FORMATS

SPACE = {1: "L", 2: "H, W", 3: "D, H, W"}


def layout_name(dims: int, data_format: str) -> str:
    """The layout of a batch with ``dims`` spatial dimensions, as "(N, C, H, W)"."""
    return f"(N, C, {SPACE[dims]})" if data_format == "channels_first" else f"(N, {SPACE[dims]}, C)"


def first_spatial_axis(caller: str, x: mx.array, dims: int, data_format: str) -> int:
    """The first of the ``dims`` spatial dimensions of ``x``, with or without a batch."""
    _checks.one_of(caller, "data_format", data_format, DATA_FORMATS)
    _checks.rank(caller, "input", x.shape, (dims + 1, dims + 2), layout_name(dims, data_format))
    return x.ndim - dims - (data_format == "channels_last")


def stride_of(caller: str, stride: Any, kernel: tuple[int, ...]) -> tuple[int, ...]:
    """``stride``, or the size of the kernel if it is not given."""
    is_missing = stride is None or (isinstance(stride, tuple | list) and not stride)
    return kernel if is_missing else _checks.tuple_of(caller, "stride", stride, len(kernel), 1)


def flat_positions(places: list[np.ndarray], size: tuple[int, ...]) -> np.ndarray:
    """The positions in a flattened image of all combinations of the ``places`` along each dimension."""
    strides = [math.prod(size[i + 1 :]) for i in range(len(size))]
    grid = np.meshgrid(*places, indexing="ij", sparse=True)
    return functools.reduce(np.add, [at.astype(np.int64) * step for at, step in zip(grid, strides, strict=True)])


class Windows:
    """The windows of a pooling operation on an image: output size, padding, and the slice of each window position."""

    def __init__(
        self, caller: str, x: mx.array, dims: int, kernel: Any, stride: Any, padding: Any, dilation: Any,
        ceil_mode: bool, data_format: str,
    ) -> None:  # fmt: skip
        self.first = first_spatial_axis(caller, x, dims, data_format)
        self.space = slice(self.first, self.first + dims)
        self.size = x.shape[self.space]
        if x.size == 0 and 0 in x.shape[x.ndim - dims - 1 :]:
            raise _checks.ArgumentError(f"{caller}: only the batch may be empty, got shape {x.shape}")
        self.kernel = _checks.tuple_of(caller, "kernel_size", kernel, dims, 1)
        self.stride = stride_of(caller, stride, self.kernel)
        self.padding = _checks.tuple_of(caller, "padding", padding, dims, 0)
        self.dilation = _checks.tuple_of(caller, "dilation", dilation, dims, 1)
        if any(2 * p > k for p, k in zip(self.padding, self.kernel, strict=True)):
            raise _checks.ArgumentError(
                f"{caller}: padding must be at most half of kernel_size {self.kernel}, got {self.padding}"
            )
        ceil_mode = _checks.flag(caller, "ceil_mode", ceil_mode)
        self.output = tuple(self._output(caller, i, ceil_mode) for i in range(dims))

    def _output(self, caller: str, i: int, ceil_mode: bool) -> int:
        size, k, s, p, d = self.size[i], self.kernel[i], self.stride[i], self.padding[i], self.dilation[i]
        room = size + 2 * p - d * (k - 1) - 1
        count = (-(-room // s) if ceil_mode else room // s) + 1
        if ceil_mode and (count - 1) * s >= size + p:
            count -= 1  # a window must start inside the image or its left padding
        if count < 1:
            raise _checks.ArgumentError(
                f"{caller}: kernel_size {self.kernel} with dilation {self.dilation} is larger than the input of "
                f"{'x'.join(map(str, self.size))} with padding {self.padding}"
            )
        return count

    def padded(self, x: mx.array, value: float) -> mx.array:
        """``x`` padded with ``value`` as far as the windows reach."""
        widths = [(0, 0)] * x.ndim
        for i, (n, k, s, p, d) in enumerate(
            zip(self.output, self.kernel, self.stride, self.padding, self.dilation, strict=True)
        ):
            reach = (n - 1) * s + d * (k - 1) + 1
            widths[self.first + i] = (p, max(reach - self.size[i] - p, 0))
        return mx.pad(x, widths, constant_values=mx.array(value, x.dtype)) if any(map(any, widths)) else x

    def places(self, x: mx.array) -> Iterator[mx.array]:
        """For each position in the window, row by row, the values there in all windows of the padded ``x``."""
        for place in itertools.product(*map(range, self.kernel)):
            spans = [
                slice(at * d, at * d + (n - 1) * s + 1, s)
                for at, n, s, d in zip(place, self.output, self.stride, self.dilation, strict=True)
            ]
            yield x[(slice(None),) * self.first + tuple(spans)]

    def positions(self, ndim: int) -> Iterator[mx.array]:
        """For each position in the window, row by row, where it is in the flattened image.

        The first is where the window starts in the image, even if the window starts in the padding.
        """
        shape = [1] * ndim
        shape[self.space] = self.output
        starts = [np.arange(n) * s - p for n, s, p in zip(self.output, self.stride, self.padding, strict=True)]
        for place in itertools.product(*map(range, self.kernel)):
            at = [first + i * d for first, i, d in zip(starts, place, self.dilation, strict=True)]
            if not any(place):
                at = [
                    np.where(first < 0, first + -(first // d) * d, first)
                    for first, d in zip(at, self.dilation, strict=True)
                ]
            yield mx.array(flat_positions(at, self.size).reshape(shape))

    def counts(self, ndim: int, include_pad: bool) -> np.ndarray:
        """How many values of each window are averaged; none of them is beyond the padding."""
        sides = []
        for n, k, s, p, size in zip(self.output, self.kernel, self.stride, self.padding, self.size, strict=True):
            starts = np.arange(n) * s - p
            low, high = (-p, size + p) if include_pad else (0, size)
            sides.append(np.minimum(starts + k, high) - np.maximum(starts, low))
        shape = [1] * ndim
        shape[self.space] = self.output
        return functools.reduce(np.multiply.outer, sides).reshape(shape)
