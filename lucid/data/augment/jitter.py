"""Colour jitter: brightness, contrast, saturation and hue changed by random amounts, in random order."""

from collections.abc import Sequence

import mlx.core as mx

from lucid import _checks
from lucid.data.augment import color
from lucid.data.augment._batch import bytes_of, keys_from
from lucid.data.augment.hue import turned
from lucid.ops._types import TensorLike
from lucid.tape import op

Range = tuple[float, float] | None  # None: nothing changes
_BRIGHTNESS, _CONTRAST, _SATURATION, _HUE = range(4)


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
    luma = color.grey(images)
    start = mx.where(which == _CONTRAST, color.mean_of(luma), luma)
    return color.blend(mx.where(which == _BRIGHTNESS, mx.array(0, mx.uint8), start), images, factor)


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
