"""Where the pixels of an image go: crops and flips, each image its own, in one gather."""

from collections.abc import Sequence

import mlx.core as mx
import numpy as np

from lucid import _checks
from lucid.data.augment._batch import batch_of, keys_from, per_channel
from lucid.ops._types import TensorLike
from lucid.tape import op

PADDING_MODES = ("constant", "edge", "reflect", "symmetric")


@op
def crop_at(
    images: TensorLike, top: TensorLike, left: TensorLike, size: int | Sequence[int],
    padding: int | Sequence[int] = 0, fill: float | Sequence[float] = 0, padding_mode: str = "constant",
) -> mx.array:  # fmt: skip
    """The window of ``size`` at (``top``, ``left``) of each image, after ``padding`` pixels were added on every side.

    Shapes: images (N, C, H, W) of any dtype, top and left (N,) of integers in the padded image, out (N, C, *size).
    ``padding`` is an int, or (left and right, top and bottom) as in torchvision; ``fill`` is for "constant".

    Raises:
        ValueError: options out of range, or padded images smaller than ``size``.
    """
    images = batch_of("crop_at", images)
    size, padding = _window("crop_at", images, size, padding, padding_mode)
    rows = _sources(images.shape[2], padding[1], padding_mode)[top[:, None] + mx.arange(size[0])]  # (N, h)
    columns = _sources(images.shape[3], padding[0], padding_mode)[left[:, None] + mx.arange(size[1])]  # (N, w)
    out = gathered(images, rows, columns)
    if padding_mode != "constant" or padding == (0, 0):
        return out
    inside = (rows >= 0)[:, None, :, None] & (columns >= 0)[:, None, None, :]
    return mx.where(inside, out, per_channel("crop_at", "fill", fill, images.shape[1], images.dtype))


@op
def random_crop(
    images: TensorLike, size: int | Sequence[int], padding: int | Sequence[int] = 0,
    fill: float | Sequence[float] = 0, padding_mode: str = "constant", *, key: TensorLike,
) -> mx.array:  # fmt: skip
    """``crop_at`` a place of its own for each image, all places equally likely, as torchvision's ``RandomCrop``."""
    images = batch_of("random_crop", images)
    size, padding = _window("random_crop", images, size, padding, padding_mode)
    n, _, height, width = images.shape
    down, right = keys_from("random_crop", key, 2)
    top = mx.random.randint(0, height + 2 * padding[1] - size[0] + 1, (n,), key=down)
    left = mx.random.randint(0, width + 2 * padding[0] - size[1] + 1, (n,), key=right)
    return crop_at.__wrapped__(images, top, left, size, padding, fill, padding_mode)  # type: ignore[attr-defined]


@op
def random_horizontal_flip(images: TensorLike, p: float = 0.5, *, key: TensorLike) -> mx.array:
    """Each image mirrored left to right with probability ``p``."""
    images = batch_of("random_horizontal_flip", images)
    p = _checks.probability("random_horizontal_flip", "p", p)
    (key,) = keys_from("random_horizontal_flip", key, 1)
    flipped = mx.random.bernoulli(p, (images.shape[0], 1, 1, 1), key=key)
    return mx.where(flipped, images[..., ::-1], images)


def gathered(images: mx.array, rows: mx.array, columns: mx.array) -> mx.array:
    """``out[n, c, i, j] = images[n, c, rows[n, i], columns[n, j]]``; indices outside of the image give anything."""
    n, c, height, width = images.shape
    h, w = rows.shape[1], columns.shape[1]
    if images.size == 0:
        return mx.zeros((n, c, h, w), images.dtype)
    at = mx.maximum(rows, 0)[:, :, None] * width + mx.maximum(columns, 0)[:, None, :]  # (N, h, w)
    out = mx.take_along_axis(images.reshape(n, c, height * width), at.reshape(n, 1, h * w), axis=2)
    return out.reshape(n, c, h, w)


def _sources(size: int, padding: int, padding_mode: str) -> mx.array:
    """The row (or column) of the image that each one of the padded image is a copy of; -1 where it is filled."""
    options = {"constant_values": -1} if padding_mode == "constant" else {}
    return mx.array(np.pad(np.arange(size, dtype=np.int32), padding, padding_mode, **options))  # type: ignore[call-overload]


def _window(
    where: str, images: mx.array, size: int | Sequence[int], padding: int | Sequence[int], padding_mode: str
) -> tuple[tuple[int, int], tuple[int, int]]:
    size, padding = _checks.pair(where, "size", size, 1), _checks.pair(where, "padding", padding, 0)
    _checks.one_of(where, "padding_mode", padding_mode, PADDING_MODES)
    height, width = images.shape[2] + 2 * padding[1], images.shape[3] + 2 * padding[0]
    if 0 in images.shape[2:]:
        raise ValueError(f"{where}: images must have pixels, got shape {images.shape}")
    if height < size[0] or width < size[1]:
        raise ValueError(f"{where}: size {size} does not fit into padded images of {height} x {width}")
    return size, padding
