"""Rearrange pixels and channels: shuffles, and windows as columns."""

import math
from typing import Any

import mlx.core as mx

from lucid import _checks
from lucid.ops._common import array
from lucid.ops._types import TensorLike
from lucid.tape import op

__all__ = ["channel_shuffle", "fold", "pixel_shuffle", "pixel_unshuffle", "unfold"]

Ints = int | tuple[int, ...] | list[int]


@op
def pixel_shuffle(input: TensorLike, upscale_factor: int) -> mx.array:
    """Blocks of r x r channels become blocks of r x r pixels, for sub-pixel convolution.

    Shapes: input (..., C r², H, W), out (..., C, H r, W r). Source: Shi et al. 2016, arXiv:1609.05158.

    Raises:
        ValueError: the number of channels is not divisible by r².

    Example:
        >>> F.pixel_shuffle(lucid.tensor([[[1.0]], [[2.0]], [[3.0]], [[4.0]]]), 2).tolist()
        [[[1.0, 2.0], [3.0, 4.0]]]
    """
    where = "pixel_shuffle"
    x, r = array(where, input), _checks.integer(where, "upscale_factor", upscale_factor, 1)
    *batch, c, h, w = _image(where, x)
    _checks.divisible(where, "the number of channels", c, "upscale_factor ** 2 =", r * r)
    blocks = x.reshape(-1 if x.size else math.prod(batch) * c // r**2, r, r, h, w)
    return blocks.transpose(0, 3, 1, 4, 2).reshape(*batch, c // r**2, h * r, w * r)


@op
def pixel_unshuffle(input: TensorLike, downscale_factor: int) -> mx.array:
    """Blocks of r x r pixels become r² channels, the inverse of ``pixel_shuffle``.

    Shapes: input (..., C, H r, W r), out (..., C r², H, W).

    Raises:
        ValueError: height or width are not divisible by r.
    """
    where = "pixel_unshuffle"
    x, r = array(where, input), _checks.integer(where, "downscale_factor", downscale_factor, 1)
    *batch, c, h, w = _image(where, x)
    _checks.divisible(where, "the height", h, "downscale_factor", r)
    _checks.divisible(where, "the width", w, "downscale_factor", r)
    blocks = x.reshape(math.prod(batch) * c, h // r, r, w // r, r)
    return blocks.transpose(0, 2, 4, 1, 3).reshape(*batch, c * r * r, h // r, w // r)


def _image(caller: str, x: mx.array) -> tuple[int, ...]:
    if x.ndim < 3:
        raise _checks.ArgumentError(f"{caller}: input must have at least 3 dimensions (..., C, H, W), got {x.shape}")
    return x.shape


@op
def channel_shuffle(input: TensorLike, groups: int) -> mx.array:
    """The channels of (N, C, ...) in the order that takes one of each group of adjacent channels in turn.

    Source: Zhang et al. 2017 (ShuffleNet), arXiv:1707.01083.

    Raises:
        ValueError: the number of channels is not divisible by ``groups``.

    Example:
        >>> F.channel_shuffle(lucid.arange(4).reshape(1, 4, 1), 2).flatten().tolist()
        [0, 2, 1, 3]
    """
    where = "channel_shuffle"
    x, groups = array(where, input), _checks.integer(where, "groups", groups, 1)
    if x.ndim < 3:
        raise _checks.ArgumentError(f"{where}: input must have at least 3 dimensions (N, C, ...), got {x.shape}")
    n, c, *rest = x.shape
    _checks.divisible(where, "the number of channels", c, "groups", groups)
    return x.reshape(n, groups, c // groups, *rest).swapaxes(1, 2).reshape(x.shape)


class _Columns:
    """The windows of an image of a given size as columns."""

    def __init__(self, caller: str, size: Any, kernel: Any, dilation: Any, padding: Any, stride: Any) -> None:
        self.size = tuple(size)
        self.kernel = _checks.pair(caller, "kernel_size", kernel, 1)
        self.dilation = _checks.pair(caller, "dilation", dilation, 1)
        self.padding = _checks.pair(caller, "padding", padding, 0)
        self.stride = _checks.pair(caller, "stride", stride, 1)
        self.counts = tuple(
            (n + 2 * p - d * (k - 1) - 1) // s + 1
            for n, k, d, p, s in zip(self.size, self.kernel, self.dilation, self.padding, self.stride, strict=True)
        )
        if min(self.counts) < 1:
            raise _checks.ArgumentError(
                f"{caller}: kernel_size {self.kernel} with dilation {self.dilation} is larger than the image of "
                f"{'x'.join(map(str, self.size))} with padding {self.padding}"
            )

    def of(self, x: mx.array) -> mx.array:
        """The columns (N, C KH KW, L) of images (N, C, H, W)."""
        n, c = x.shape[:2]
        if any(self.padding):
            x = mx.pad(x, [(0, 0), (0, 0), *((p, p) for p in self.padding)])
        (kh, kw), (rows, columns), (dy, dx), (sy, sx) = self.kernel, self.counts, self.dilation, self.stride
        parts = [
            x[:, :, i * dy : i * dy + (rows - 1) * sy + 1 : sy, j * dx : j * dx + (columns - 1) * sx + 1 : sx]
            for i in range(kh)
            for j in range(kw)
        ]
        return mx.stack(parts, 2).reshape(n, c * kh * kw, rows * columns)


@op
def unfold(input: TensorLike, kernel_size: Ints, dilation: Ints = 1, padding: Ints = 0, stride: Ints = 1) -> mx.array:
    """The windows of images as columns.

    Shapes: input (N, C, H, W) or (C, H, W), out (N, C KH KW, L) with one column for each of L windows.

    Args:
        padding: Zeros on each side.

    Raises:
        ValueError: the kernel is larger than the padded image.

    Example:
        >>> F.unfold(lucid.arange(9).reshape(1, 3, 3).float(), 2).tolist()[0]
        [0.0, 1.0, 3.0, 4.0]
    """
    where = "unfold"
    x = array(where, input)
    _checks.rank(where, "input", x.shape, (3, 4), "(N, C, H, W)")
    if 0 in x.shape[-3:]:
        raise _checks.ArgumentError(f"{where}: only the batch may be empty, got shape {x.shape}")
    columns = _Columns(where, x.shape[-2:], kernel_size, dilation, padding, stride)
    return columns.of(x) if x.ndim == 4 else columns.of(x[None])[0]


@op
def fold(
    input: TensorLike, output_size: Ints, kernel_size: Ints, dilation: Ints = 1, padding: Ints = 0, stride: Ints = 1
) -> mx.array:
    """The sums of windows that are given as columns, the transpose of ``unfold``.

    Shapes: input (N, C KH KW, L) or (C KH KW, L), out (N, C, H, W) with ``output_size`` (H, W).

    Raises:
        ValueError: the channels are not divisible by the size of the kernel, or L is not the number of windows.

    Example:
        >>> F.fold(lucid.ones(4, 4), (3, 3), 2).tolist()  # how many windows cover each pixel
        [[[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]]
    """
    where = "fold"
    x = array(where, input)
    _checks.rank(where, "input", x.shape, (2, 3), "(N, C KH KW, L)")
    if 0 in x.shape[-2:]:
        raise _checks.ArgumentError(f"{where}: only the batch may be empty, got shape {x.shape}")
    columns = _Columns(
        where, _checks.pair(where, "output_size", output_size, 1), kernel_size, dilation, padding, stride
    )
    wide, length = x.shape[-2:]
    area, count = math.prod(columns.kernel), math.prod(columns.counts)
    _checks.divisible(where, "the number of channels", wide, "the size of the kernel", area)
    if length != count:
        raise _checks.ArgumentError(f"{where}: {count} columns are needed for size {columns.size}, got {length}")
    batch = x if x.ndim == 3 else x[None]
    image = mx.zeros((batch.shape[0], wide // area, *columns.size), x.dtype)
    y = mx.vjp(columns.of, [image], [batch])[1][0] if batch.size else image
    return y if x.ndim == 3 else y[0]
