"""Hue turned around the colour circle, in whole numbers from 0 to 255 as Pillow's HSV images have them."""

import mlx.core as mx

from lucid.data.augment._batch import bytes_of
from lucid.data.augment.color import of_each
from lucid.ops._types import TensorLike
from lucid.tape import op


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
