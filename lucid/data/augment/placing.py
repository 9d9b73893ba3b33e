"""Where the pixels of an image go: crops and flips, each image its own, in one gather."""

from collections.abc import Iterable, Sequence

import mlx.core as mx
import numpy as np

from lucid import _checks
from lucid.data.augment._batch import STEPS, batch_of, happens, integers, keys_from, one_each, per_channel
from lucid.ops._common import FLOATING
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
    Those that are tensors are not read, so they must be in range. ``padding`` is an int, or (left and right, top and
    bottom) as in torchvision; ``fill`` is for "constant".

    Raises:
        ValueError: options out of range, padded images smaller than ``size``, or a window that is not inside.
        TypeError: top or left that are not integers.
    """
    images = batch_of("crop_at", images)
    size, padding = _window("crop_at", images, size, padding, padding_mode)
    if images.shape[0] == 0 or images.shape[1] == 0:
        return mx.zeros((*images.shape[:2], *size), images.dtype)
    images = _padded("crop_at", images, padding, fill, padding_mode)
    n, _, height, width = images.shape
    top = one_each("crop_at", "top", top, n, 0, height - size[0])
    left = one_each("crop_at", "left", left, n, 0, width - size[1])
    for name, at in (("top", top), ("left", left)):
        if not mx.issubdtype(at.dtype, mx.integer):
            raise TypeError(f"crop_at: {name} must be integers, got {_checks.dtype_name(at.dtype)}")
    return _windows(images, top * width + left, size)


@op
def random_crop(
    images: TensorLike, size: int | Sequence[int], padding: int | Sequence[int] = 0,
    fill: float | Sequence[float] = 0, padding_mode: str = "constant", *, key: TensorLike,
) -> mx.array:  # fmt: skip
    """``crop_at`` a place of its own for each image, all places equally likely, as torchvision's ``RandomCrop``."""
    images = batch_of("random_crop", images)
    size, padding = _window("random_crop", images, size, padding, padding_mode)
    if images.shape[0] == 0 or images.shape[1] == 0:
        return mx.zeros((*images.shape[:2], *size), images.dtype)
    images = _padded("random_crop", images, padding, fill, padding_mode)
    n, _, height, width = images.shape
    (key,) = keys_from("random_crop", key, 1)
    top, left = integers(key, n, height - size[0] + 1, width - size[1] + 1)
    return _windows(images, mx.arange(0, height * width, width)[top] + left, size)


@op
def random_horizontal_flip(images: TensorLike, p: float = 0.5, *, key: TensorLike) -> mx.array:
    """Each image mirrored left to right with probability ``p``."""
    images = batch_of("random_horizontal_flip", images)
    p = _checks.probability("random_horizontal_flip", "p", p)
    (key,) = keys_from("random_horizontal_flip", key, 1)
    flipped = happens(p)[integers(key, images.shape[0], STEPS)[0]]
    return mx.where(flipped[:, None, None, None], images[..., ::-1], images)


def _windows(images: mx.array, starts: mx.array, size: tuple[int, int]) -> mx.array:
    """(N, C, *size): a window of each image, whose first pixel is number ``starts[n]`` of it, row by row."""
    n, c, height, width = images.shape
    inside = np.add.outer(np.arange(size[0]) * width, np.arange(size[1])).astype(np.int32).reshape(-1)
    at = (starts[:, None] + mx.array(inside))[:, None]
    return mx.take_along_axis(images.reshape(n, c, height * width), at, axis=2).reshape(n, c, *size)


def _padded(
    where: str, images: mx.array, padding: tuple[int, int], fill: float | Sequence[float], padding_mode: str
) -> mx.array:
    n, c, height, width = images.shape
    x_pad, y_pad = padding
    if padding == (0, 0):
        return images
    if padding_mode == "constant":
        frame = per_channel(where, "fill", fill, c, images.dtype)
        frame = mx.broadcast_to(frame, (n, c, height + 2 * y_pad, width + 2 * x_pad))
        return mx.slice_update(frame, images, mx.array([y_pad, x_pad]), (2, 3))
    for axis, pad in ((2, y_pad), (3, x_pad)):
        sources = np.pad(np.arange(images.shape[axis], dtype=np.int32), pad, padding_mode)  # type: ignore[call-overload]
        images = mx.take(images, mx.array(sources), axis)
    return images


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


@op
def normalize(images: TensorLike, mean: Sequence[float], std: Sequence[float], max_value: float = 255) -> mx.array:
    """``(images / max_value - mean) / std`` per channel, float32; images of floats are from 0 to 1 already.

    Shapes: images (N, C, H, W), mean and std of C numbers on the scale from 0 to 1.

    Raises:
        ValueError: lengths that do not fit each other or the channels, or a ``std`` that is not positive.
    """
    images = batch_of("normalize", images)
    mean, std = check_statistics("normalize", mean, std)
    max_value = _checks.number("normalize", "max_value", max_value, 0, above=True)
    if images.shape[1] != len(mean):
        raise ValueError(f"normalize: images have {images.shape[1]} channels but mean has {len(mean)}")
    scale = 1.0 if images.dtype in FLOATING else 1 / max_value
    factor = mx.array([scale / s for s in std])[:, None, None]
    shift = mx.array([-m / s for m, s in zip(mean, std, strict=True)])[:, None, None]
    return images.astype(mx.float32) * factor + shift


def check_statistics(
    where: str, mean: Sequence[float], std: Sequence[float]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    for name, values in (("mean", mean), ("std", std)):
        if not isinstance(values, Iterable):
            raise TypeError(f"{where}: {name} must have a number for each channel, got {values!r}")
    mean = tuple(_checks.number(where, "mean", value) for value in mean)
    std = tuple(_checks.number(where, "std", value, 0, above=True) for value in std)
    if len(mean) != len(std):
        raise ValueError(f"{where}: mean has {len(mean)} channels but std has {len(std)}")
    return mean, std
