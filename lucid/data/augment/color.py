"""Colours of uint8 images (N, C, H, W), C being 1 or 3, in the arithmetic of Pillow, with other numbers for each image.

What maps a value to a value, whatever its neighbours are, is a table of 256 entries for each image and channel, and one
look-up for all of them. Only saturation and sharpness look at more than one value.
"""

import functools
from collections.abc import Sequence
from typing import Any

import mlx.core as mx
import numpy as np

from lucid import _checks
from lucid.data.augment._batch import bytes_of, keys_from, one_each
from lucid.ops._types import TensorLike
from lucid.tape import op

_RED, _GREEN, _BLUE = 19595, 38470, 7471  # ITU-R 601-2 luma in 1 / 65536

Range = tuple[float, float] | None  # None: nothing changes
_BRIGHTNESS, _CONTRAST, _SATURATION, _HUE = range(4)


@op
def adjust_brightness(images: TensorLike, factor: TensorLike) -> mx.array:
    """``images`` blended with black: 0 gives black, 2 doubles every value. ``factor``: a number from 0 on, or (N,)."""
    images = bytes_of("adjust_brightness", images)
    return blend(mx.array(0, mx.uint8), images, of_each("adjust_brightness", images, factor))


@op
def adjust_contrast(images: TensorLike, factor: TensorLike) -> mx.array:
    """``images`` blended with their mean grey. ``factor`` as above."""
    images = bytes_of("adjust_contrast", images)
    return blend(mean_of(grey(images)), images, of_each("adjust_contrast", images, factor))


@op
def adjust_saturation(images: TensorLike, factor: TensorLike) -> mx.array:
    """``images`` blended with themselves in grey. ``factor`` as above."""
    images = bytes_of("adjust_saturation", images)
    return blend(grey(images), images, of_each("adjust_saturation", images, factor))


@op
def adjust_sharpness(images: TensorLike, factor: TensorLike) -> mx.array:
    """``images`` blended with themselves smoothed: 0 smooths, 1 gives the image, 2 sharpens. ``factor`` as above."""
    images = bytes_of("adjust_sharpness", images)
    return blend(smooth(images), images, of_each("adjust_sharpness", images, factor))


def blend(degenerate: mx.array, images: mx.array, factor: mx.array) -> mx.array:
    """``degenerate`` where factor is 0, ``images`` where it is 1, on the line through both elsewhere; cut off to uint8.

    ``factor`` broadcasts with images.
    """
    start = degenerate.astype(mx.float32)
    out = start + factor * (images.astype(mx.float32) - start)
    return mx.clip(out, 0, 255).astype(mx.uint8)


def grey(images: mx.array) -> mx.array:
    """(N, 1, H, W) uint8: the luma."""
    if images.shape[1] == 1:
        return images
    wide = images.astype(mx.int32)
    luma = wide[:, 0:1] * _RED + wide[:, 1:2] * _GREEN + wide[:, 2:3] * _BLUE + 0x8000
    return mx.right_shift(luma, mx.array(16, mx.int32)).astype(mx.uint8)


def mean_of(luma: mx.array) -> mx.array:
    """(N, 1, 1, 1) uint8: the mean of (N, 1, H, W), rounded half up."""
    count = luma.shape[2] * luma.shape[3]
    total = mx.sum(luma.astype(mx.int32), axis=(2, 3), keepdims=True)  # 8 million white pixels fit
    return ((total + count // 2) // count).astype(mx.uint8)


def smooth(images: mx.array) -> mx.array:
    """The mean of 3 x 3 pixels of which the middle counts five times, rounded; the border stays."""
    if images.shape[2] < 3 or images.shape[3] < 3:
        return images
    wide = images.astype(mx.int16)
    rows = wide[:, :, :-2] + wide[:, :, 1:-1] + wide[:, :, 2:]
    around = rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:] + 4 * wide[:, :, 1:-1, 1:-1]
    inner = (around.astype(mx.float32) * (1 / 13) + 0.5).astype(mx.uint8)  # never near a half: 13 is odd
    middle = mx.concatenate([images[:, :, 1:-1, :1], inner, images[:, :, 1:-1, -1:]], axis=3)
    return mx.concatenate([images[:, :, :1], middle, images[:, :, -1:]], axis=2)


def looked_up(images: mx.array, tables: mx.array) -> mx.array:
    """``out[n, c, i, j] = tables[n, c, images[n, c, i, j]]`` for tables (N, C, 256)."""
    n, c, height, width = images.shape
    at = images.reshape(n, c, height * width).astype(mx.uint32)
    return mx.take_along_axis(tables, at, axis=2).reshape(images.shape)


def contrast_tables(images: mx.array, factor: mx.array) -> mx.array:
    """(N, 1, 256): what ``adjust_contrast`` makes of every value. factor (N, 1, 1)."""
    return blend(mean_of(grey(images))[..., 0], mx.arange(256), factor)


def autocontrast_tables(images: mx.array) -> mx.array:
    """(N, C, 256): the darkest value to 0, the brightest to 255, linear between them."""
    low, high = mx.min(images, axis=(2, 3)).astype(mx.int32), mx.max(images, axis=(2, 3)).astype(mx.int32)
    row = mx.where(low < high, high * (high - 1) // 2 + low + 1, 0)
    return _stretched()[row]


@functools.lru_cache(maxsize=1)
def _stretched() -> mx.array:
    """(32641, 256) uint8: row 0 changes nothing; row 1 + high * (high - 1) / 2 + low maps low ... high to 0 ... 255.

    A table, since Pillow computes in float64: 1 in 230 of its values is one below what whole numbers give.
    """
    values = np.arange(256, dtype=np.float64)
    rows = [values[None]]
    for high in range(1, 256):
        low = np.arange(high, dtype=np.float64)[:, None]
        scale = 255.0 / (high - low)
        rows.append(np.clip(np.trunc(values * scale - low * scale), 0, 255))
    return mx.array(np.concatenate(rows).astype(np.uint8))


def equalize_tables(images: mx.array) -> mx.array:
    """(N, C, 256): values spread so that each is about equally frequent, channel by channel."""
    n, c, height, width = images.shape
    at = images.reshape(n, c, height * width).astype(mx.uint32)
    # How often each value is there: the gradient of looking them up, 40 times as fast as adding at indices on a CPU.
    pull = mx.vjp(lambda table: mx.take_along_axis(table, at, axis=2), [mx.zeros((n, c, 256))], [mx.ones(at.shape)])
    counts = pull[1][0].astype(mx.int32)
    brightest = mx.max(images, axis=(2, 3))[:, :, None].astype(mx.uint32)
    step = (height * width - mx.take_along_axis(counts, brightest, axis=2)) // 255  # (N, C, 1)
    below = mx.cumsum(counts, axis=2) - counts
    spread = mx.minimum((step // 2 + below) // mx.maximum(step, 1), 255)
    return mx.where(step == 0, mx.arange(256), spread).astype(mx.uint8)


def of_each(where: str, images: mx.array, factor: Any, low: float = 0, high: float | None = None) -> mx.array:
    """(N or 1, 1, 1, 1) float32."""
    return one_each(where, "factor", factor, len(images), low, high).astype(mx.float32)[:, None, None, None]


@op
def adjust_hue(images: TensorLike, factor: TensorLike) -> mx.array:
    """``images`` (N, C, H, W) uint8 with their hue turned by ``factor``, from -0.5 to 0.5: the opposite colour.

    ``factor`` is a number or (N,). Grey images have no hue and stay.
    """
    images = bytes_of("adjust_hue", images)
    return turned(images, of_each("adjust_hue", images, factor, -0.5, 0.5)[:, 0] * 255)


def turned(images: mx.array, turn: mx.array) -> mx.array:
    """``images`` with ``turn`` (N or 1, 1, 1), in 255ths and without its fraction, added to their hue."""
    if images.shape[1] == 1:
        return images
    hue, saturation, value = _to_hsv(images)
    hue = mx.bitwise_and(hue + turn.astype(mx.int32), 255)  # 256 steps of 255ths, as in torchvision
    return _from_hsv(hue, saturation, value)


def _to_hsv(images: mx.array) -> tuple[mx.array, mx.array, mx.array]:
    """Hue, saturation and value, each (N, H, W) int32 from 0 to 255."""
    red, green, blue = (images[:, i].astype(mx.int32) for i in range(3))
    value = mx.maximum(mx.maximum(red, green), blue)
    span = value - mx.minimum(mx.minimum(red, green), blue)
    # The position on the circle in units of 1 / 6 of span: red at 0, green at 2, blue at 4 spans.
    place = mx.where(
        red == value,
        green - blue + mx.where(green < blue, 6 * span, 0),
        mx.where(green == value, 2 * span + blue - red, 4 * span + red - green),
    )
    hue = 85 * place // mx.maximum(2 * span, 1)
    return hue, 255 * span // mx.maximum(value, 1), value


def _from_hsv(hue: mx.array, saturation: mx.array, value: mx.array) -> mx.array:
    """(N, 3, H, W) uint8."""
    hue, saturation, value = (one[:, None] for one in (hue, saturation, value))
    # How much of the saturation each channel lacks, in 255ths: a trapezium around the circle, moved by two sixths.
    place = (6 * hue + mx.array([5 * 255, 3 * 255, 1 * 255])[:, None, None]) % (6 * 255)
    lacking = mx.clip(mx.minimum(place, 4 * 255 - place), 0, 255)
    return ((2 * value * (255 * 255 - saturation * lacking) + 65025) // 130050).astype(mx.uint8)


@op
def color_jitter(
    images: TensorLike, brightness: float | Sequence[float] = 0, contrast: float | Sequence[float] = 0,
    saturation: float | Sequence[float] = 0, hue: float | Sequence[float] = 0, *, key: TensorLike,
) -> mx.array:  # fmt: skip
    """Images (N, C, H, W) uint8 with colours changed, every image by its own factors and in its own order.

    As torchvision's ``ColorJitter`` on Pillow images: factors are uniform in [max(0, 1 - x), 1 + x], or in the range
    that is given, the turn of the hue in [-x, x]; the order of the changes is random.

    Raises:
        TypeError: images that are not uint8.
        ValueError: options out of range.
    """
    images = bytes_of("color_jitter", images)
    ranges = checked_ranges("color_jitter", brightness, contrast, saturation, hue)
    active = [i for i, one in enumerate(ranges) if one is not None]
    if not active or images.size == 0:
        return images
    n = images.shape[0]
    (key,) = keys_from("color_jitter", key, 1)
    u = mx.random.uniform(shape=(n, 2, len(active)), key=key)
    order = mx.argsort(u[:, 0], axis=1)
    low, high = (mx.array([one[i] for one in ranges if one is not None]) for i in (0, 1))
    amounts = low + (high - low) * u[:, 1]
    ordered = mx.take_along_axis(amounts, order, axis=1)
    which = mx.array(active, mx.int32)[order]
    for step in range(len(active)):
        one, amount = which[:, step, None, None, None], ordered[:, step, None, None, None]
        out = _blended(images, one, amount)
        if ranges[_HUE] is not None:
            out = mx.where(one == _HUE, turned(images, amount[:, 0] * 255), out)
        images = mx.contiguous(out)  # every step of a compiled chain is then made of the same kernels
    return images


def _blended(images: mx.array, which: mx.array, factor: mx.array) -> mx.array:
    """``images`` after one change each, except that of the hue. which and factor (N, 1, 1, 1)."""
    luma = grey(images)
    start = mx.where(which == _CONTRAST, mean_of(luma), luma)
    return blend(mx.where(which == _BRIGHTNESS, mx.array(0, mx.uint8), start), images, factor)


def checked_ranges(
    where: str, brightness: float | Sequence[float], contrast: float | Sequence[float],
    saturation: float | Sequence[float], hue: float | Sequence[float],
) -> tuple[Range, Range, Range, Range]:  # fmt: skip
    return (
        _range(where, "brightness", brightness),
        _range(where, "contrast", contrast),
        _range(where, "saturation", saturation),
        _range(where, "hue", hue, center=0.0, bounds=(-0.5, 0.5)),
    )


def _range(
    where: str, name: str, value: float | Sequence[float], center: float = 1.0,
    bounds: tuple[float, float | None] = (0, None),
) -> Range:  # fmt: skip
    if isinstance(value, Sequence):
        if len(value) != 2:
            raise ValueError(f"{where}: {name} must be a number or two, got {value!r}")
        low = _checks.number(where, name, value[0], *bounds)
        high = _checks.number(where, name, value[1], low, bounds[1])
    else:
        width = _checks.number(where, name, value, 0, bounds[1])
        low, high = max(center - width, bounds[0]), center + width
    return None if low == high == center else (low, high)
