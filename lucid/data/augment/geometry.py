"""Crops and flips as a single gather, with separate parameters for each image."""

from collections.abc import Sequence

import mlx.core as mx
import numpy as np

from lucid import _bounds, _checks
from lucid.data.augment._batch import STEPS, as_batch, bernoulli_table, draw_integers, per_channel, per_image, split_key
from lucid.ops._types import TensorLike
from lucid.tape import op

PADDING_MODES = ("constant", "edge", "reflect", "symmetric")


@op
def crop_at(
    images: TensorLike, top: TensorLike, left: TensorLike, size: int | Sequence[int],
    padding: int | Sequence[int] = 0, fill: float | Sequence[float] = 0, padding_mode: str = "constant",
) -> mx.array:  # fmt: skip
    """Pad each image, then crop it to ``size`` at its own offset.

    Args:
        images: (N, C, H, W) of any dtype.
        top, left: offsets in the padded image, integers or (N,).
        size: of the crop, an int or (height, width).
        padding: pixels on each side, an int or (left and right, top and bottom) as in torchvision.
        fill: value of the padding in mode "constant", a number or one per channel.
        padding_mode: "constant", "edge", "reflect" or "symmetric".

    Raises:
        ValueError: an option is out of range, or the crop does not fit the padded image.
        TypeError: ``top`` or ``left`` are not integers.
    """
    images = as_batch("crop_at", images)
    size, padding = _window("crop_at", images, size, padding, padding_mode)
    if images.shape[0] == 0 or images.shape[1] == 0:
        return mx.zeros((*images.shape[:2], *size), images.dtype)
    images = _pad("crop_at", images, padding, fill, padding_mode)
    n, _, height, width = images.shape
    row = _offsets("top", top, n, height - size[0])
    column = _offsets("left", left, n, width - size[1])
    return _take_windows(images, row * width + column, size)


def _offsets(name: str, value: TensorLike, n: int, highest: int) -> mx.array:
    offsets = per_image("crop_at", name, value, n, 0, highest)
    if not mx.issubdtype(offsets.dtype, mx.integer):
        raise TypeError(f"crop_at: {name} must be integers, got {_checks.dtype_name(offsets.dtype)}")
    is_host = not isinstance(value, mx.array)
    return _bounds.between("crop_at", name, offsets, 0, highest, is_host=is_host).astype(mx.int32)


@op
def random_crop(
    images: TensorLike, size: int | Sequence[int], padding: int | Sequence[int] = 0,
    fill: float | Sequence[float] = 0, padding_mode: str = "constant", *, key: TensorLike,
) -> mx.array:  # fmt: skip
    """``crop_at`` with uniformly random offsets, like torchvision's ``RandomCrop``.

    Example:
        >>> augment = lucid.data.augment
        >>> images = lucid.zeros(4, 3, 32, 32, dtype=lucid.uint8)
        >>> augment.random_crop(images, 32, padding=4, key=lucid.random.key()).shape
        (4, 3, 32, 32)
    """
    images = as_batch("random_crop", images)
    size, padding = _window("random_crop", images, size, padding, padding_mode)
    if images.shape[0] == 0 or images.shape[1] == 0:
        return mx.zeros((*images.shape[:2], *size), images.dtype)
    images = _pad("random_crop", images, padding, fill, padding_mode)
    n, _, height, width = images.shape
    (key,) = split_key("random_crop", key, 1)
    top, left = draw_integers(key, n, height - size[0] + 1, width - size[1] + 1)
    return _take_windows(images, mx.arange(0, height * width, width)[top] + left, size)


@op
def random_horizontal_flip(images: TensorLike, p: float = 0.5, *, key: TensorLike) -> mx.array:
    """Flip each image (N, C, H, W) left to right with probability ``p``."""
    images = as_batch("random_horizontal_flip", images)
    p = _checks.probability("random_horizontal_flip", "p", p)
    (key,) = split_key("random_horizontal_flip", key, 1)
    flipped = bernoulli_table(p)[draw_integers(key, images.shape[0], STEPS)[0]]
    return mx.where(flipped[:, None, None, None], images[..., ::-1], images)


def _take_windows(images: mx.array, starts: mx.array, size: tuple[int, int]) -> mx.array:
    """The window (N, C, *size) of each image whose first pixel has the flat index ``starts[n]``."""
    n, c, height, width = images.shape
    inside = np.add.outer(np.arange(size[0]) * width, np.arange(size[1])).astype(np.int32).reshape(-1)
    at = (starts[:, None] + mx.array(inside))[:, None]
    return mx.take_along_axis(images.reshape(n, c, height * width), at, axis=2).reshape(n, c, *size)


def _pad(
    caller: str, images: mx.array, padding: tuple[int, int], fill: float | Sequence[float], padding_mode: str
) -> mx.array:
    n, c, height, width = images.shape
    x_pad, y_pad = padding
    if padding == (0, 0):
        return images
    if padding_mode == "constant":
        canvas = per_channel(caller, "fill", fill, c, images.dtype)
        canvas = mx.broadcast_to(canvas, (n, c, height + 2 * y_pad, width + 2 * x_pad))
        return mx.slice_update(canvas, images, mx.array([y_pad, x_pad]), (2, 3))
    for axis, pad in ((2, y_pad), (3, x_pad)):
        sources = np.pad(np.arange(images.shape[axis], dtype=np.int32), pad, padding_mode)  # type: ignore[call-overload]
        images = mx.take(images, mx.array(sources), axis)
    return images


def _window(
    caller: str, images: mx.array, size: int | Sequence[int], padding: int | Sequence[int], padding_mode: str
) -> tuple[tuple[int, int], tuple[int, int]]:
    size, padding = _checks.pair(caller, "size", size, 1), _checks.pair(caller, "padding", padding, 0)
    _checks.one_of(caller, "padding_mode", padding_mode, PADDING_MODES)
    height, width = images.shape[2] + 2 * padding[1], images.shape[3] + 2 * padding[0]
    if 0 in images.shape[2:]:
        raise ValueError(f"{caller}: images must not be empty, got shape {images.shape}")
    if height < size[0] or width < size[1]:
        raise ValueError(f"{caller}: size {size} is larger than the padded images of {height} x {width}")
    return size, padding
