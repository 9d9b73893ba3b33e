"""Color adjustments of uint8 images (N, C, H, W) with 1 or 3 channels, in Pillow's arithmetic, and normalization.

Every image has its own factor. Operations on single values are lookup tables of 256 entries for each image and channel;
only saturation, sharpness and hue depend on more than one value.
"""

import functools
from collections.abc import Iterable, Sequence
from typing import Any

import mlx.core as mx
import numpy as np

from lucid import _checks
from lucid.data.augment._batch import as_batch, as_uint8_batch, per_image, split_key
from lucid.ops._common import FLOATING
from lucid.ops._types import TensorLike
from lucid.tape import op

_RED, _GREEN, _BLUE = 19595, 38470, 7471  # ITU-R 601-2 luma in 1 / 65536

Range = tuple[float, float] | None  # None: no change
_BRIGHTNESS, _CONTRAST, _SATURATION, _HUE = range(4)


@op
def adjust_brightness(images: TensorLike, brightness_factor: TensorLike) -> mx.array:
    """Blend ``images`` with black: 0 gives black, 1 the image, 2 doubles every value. Factors: a number or (N,)."""
    images = as_uint8_batch("adjust_brightness", images)
    factor = factor_per_image("adjust_brightness", "brightness_factor", images, brightness_factor)
    return blend(mx.array(0, mx.uint8), images, factor)


@op
def adjust_contrast(images: TensorLike, contrast_factor: TensorLike) -> mx.array:
    """Blend ``images`` with their mean gray: 0 gives gray, 1 the image. Factors: a number or (N,)."""
    images = as_uint8_batch("adjust_contrast", images)
    factor = factor_per_image("adjust_contrast", "contrast_factor", images, contrast_factor)
    return blend(mean_luma(to_grayscale(images)), images, factor)


@op
def adjust_saturation(images: TensorLike, saturation_factor: TensorLike) -> mx.array:
    """Blend ``images`` with their grayscale version: 0 gives grayscale, 1 the image. Factors: a number or (N,)."""
    images = as_uint8_batch("adjust_saturation", images)
    factor = factor_per_image("adjust_saturation", "saturation_factor", images, saturation_factor)
    return blend(to_grayscale(images), images, factor)


@op
def adjust_sharpness(images: TensorLike, sharpness_factor: TensorLike) -> mx.array:
    """Blend ``images`` with a smoothed version: 0 smooths, 1 gives the image, 2 sharpens. Factors: a number or (N,)."""
    images = as_uint8_batch("adjust_sharpness", images)
    factor = factor_per_image("adjust_sharpness", "sharpness_factor", images, sharpness_factor)
    return blend(smooth(images), images, factor)


def blend(degenerate: mx.array, images: mx.array, factor: mx.array) -> mx.array:
    """Interpolate from ``degenerate`` (factor 0) to ``images`` (factor 1), or extrapolate; clip to uint8.

    ``factor`` broadcasts with ``images``.
    """
    start = degenerate.astype(mx.float32)
    out = start + factor * (images.astype(mx.float32) - start)
    return mx.clip(out, 0, 255).astype(mx.uint8)


def to_grayscale(images: mx.array) -> mx.array:
    """The luma, (N, 1, H, W) uint8."""
    if images.shape[1] == 1:
        return images
    wide = images.astype(mx.int32)
    luma = wide[:, 0:1] * _RED + wide[:, 1:2] * _GREEN + wide[:, 2:3] * _BLUE + 0x8000
    return mx.right_shift(luma, mx.array(16, mx.int32)).astype(mx.uint8)


def mean_luma(luma: mx.array) -> mx.array:
    """The mean of each (N, 1, H, W) image, rounded half up, (N, 1, 1, 1) uint8."""
    count = luma.shape[2] * luma.shape[3]
    total = mx.sum(luma.astype(mx.int32), axis=(2, 3), keepdims=True)  # 8 million white pixels fit
    return ((total + count // 2) // count).astype(mx.uint8)


def smooth(images: mx.array) -> mx.array:
    """Pillow's SMOOTH filter: the mean of 3 x 3 pixels, the center weighted by 5, rounded. The border is unchanged."""
    if images.shape[2] < 3 or images.shape[3] < 3:
        return images
    wide = images.astype(mx.int16)
    rows = wide[:, :, :-2] + wide[:, :, 1:-1] + wide[:, :, 2:]
    around = rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:] + 4 * wide[:, :, 1:-1, 1:-1]
    inner = (around.astype(mx.float32) * (1 / 13) + 0.5).astype(mx.uint8)  # 13 is odd: no exact halves
    middle = mx.concatenate([images[:, :, 1:-1, :1], inner, images[:, :, 1:-1, -1:]], axis=3)
    return mx.concatenate([images[:, :, :1], middle, images[:, :, -1:]], axis=2)


def apply_tables(images: mx.array, tables: mx.array) -> mx.array:
    """``out[n, c, i, j] = tables[n, c, images[n, c, i, j]]`` for tables (N, C, 256)."""
    n, c, height, width = images.shape
    at = images.reshape(n, c, height * width).astype(mx.uint32)
    return mx.take_along_axis(tables, at, axis=2).reshape(images.shape)


def contrast_tables(images: mx.array, factor: mx.array) -> mx.array:
    """``adjust_contrast`` as tables (N, 1, 256), for factors (N, 1, 1)."""
    return blend(mean_luma(to_grayscale(images))[..., 0], mx.arange(256), factor)


def autocontrast_tables(images: mx.array) -> mx.array:
    """Tables (N, C, 256) that map the darkest value to 0 and the brightest to 255, linear in between."""
    low, high = mx.min(images, axis=(2, 3)).astype(mx.int32), mx.max(images, axis=(2, 3)).astype(mx.int32)
    row = mx.where(low < high, high * (high - 1) // 2 + low + 1, 0)
    return _autocontrast_rows()[row]


@functools.lru_cache(maxsize=1)
def _autocontrast_rows() -> mx.array:
    """(32641, 256) uint8: row 0 is the identity; row 1 + high * (high - 1) / 2 + low maps [low, high] to [0, 255].

    Precomputed on the host because Pillow uses float64: 1 in 230 of its values is one below the integer result.
    """
    values = np.arange(256, dtype=np.float64)
    rows = [values[None]]
    for high in range(1, 256):
        low = np.arange(high, dtype=np.float64)[:, None]
        scale = 255.0 / (high - low)
        rows.append(np.clip(np.trunc(values * scale - low * scale), 0, 255))
    return mx.array(np.concatenate(rows).astype(np.uint8))


def equalize_tables(images: mx.array) -> mx.array:
    """Tables (N, C, 256) that equalize the histogram of each channel."""
    n, c, height, width = images.shape
    at = images.reshape(n, c, height * width).astype(mx.uint32)
    # The histogram is the gradient of a lookup: on a CPU 40 times faster than adding at indices.
    pull = mx.vjp(lambda table: mx.take_along_axis(table, at, axis=2), [mx.zeros((n, c, 256))], [mx.ones(at.shape)])
    counts = pull[1][0].astype(mx.int32)
    brightest = mx.max(images, axis=(2, 3))[:, :, None].astype(mx.uint32)
    step = (height * width - mx.take_along_axis(counts, brightest, axis=2)) // 255  # (N, C, 1)
    below = mx.cumsum(counts, axis=2) - counts
    spread = mx.minimum((step // 2 + below) // mx.maximum(step, 1), 255)
    return mx.where(step == 0, mx.arange(256), spread).astype(mx.uint8)


def factor_per_image(
    caller: str, name: str, images: mx.array, factor: Any, low: float = 0, high: float | None = None
) -> mx.array:
    """The checked factor as float32 of shape (N, 1, 1, 1) or (1, 1, 1, 1)."""
    return per_image(caller, name, factor, len(images), low, high).astype(mx.float32)[:, None, None, None]


@op
def adjust_hue(images: TensorLike, hue_factor: TensorLike) -> mx.array:
    """Shift the hue by ``hue_factor`` in [-0.5, 0.5], a number or (N,). 0.5 gives complementary colors.

    Gray images are returned unchanged.
    """
    images = as_uint8_batch("adjust_hue", images)
    factor = factor_per_image("adjust_hue", "hue_factor", images, hue_factor, -0.5, 0.5)
    return shift_hue(images, factor[:, 0] * 255)


def shift_hue(images: mx.array, shift: mx.array) -> mx.array:
    """Add ``shift`` (N, 1, 1) to the hue, in 255ths of the circle, truncated to integers."""
    if images.shape[1] == 1:
        return images
    hue, saturation, value = _to_hsv(images)
    hue = mx.bitwise_and(hue + shift.astype(mx.int32), 255)  # modulo 256, as in torchvision
    return _from_hsv(hue, saturation, value)


def _to_hsv(images: mx.array) -> tuple[mx.array, mx.array, mx.array]:
    """Hue, saturation and value, each (N, H, W) int32 in [0, 255]."""
    red, green, blue = (images[:, i].astype(mx.int32) for i in range(3))
    value = mx.maximum(mx.maximum(red, green), blue)
    span = value - mx.minimum(mx.minimum(red, green), blue)
    # The position on a color circle of length 6 * span: red at 0, green at 2 * span, blue at 4 * span.
    position = mx.where(
        red == value,
        green - blue + mx.where(green < blue, 6 * span, 0),
        mx.where(green == value, 2 * span + blue - red, 4 * span + red - green),
    )
    hue = 85 * position // mx.maximum(2 * span, 1)
    return hue, 255 * span // mx.maximum(value, 1), value


def _from_hsv(hue: mx.array, saturation: mx.array, value: mx.array) -> mx.array:
    """RGB images (N, 3, H, W) uint8."""
    hue, saturation, value = (channel[:, None] for channel in (hue, saturation, value))
    # How far each channel falls below value, in 255ths of the saturation: a trapezoid over the circle, shifted by a
    # third for each channel.
    position = (6 * hue + mx.array([5 * 255, 3 * 255, 1 * 255])[:, None, None]) % (6 * 255)
    drop = mx.clip(mx.minimum(position, 4 * 255 - position), 0, 255)
    return ((2 * value * (255 * 255 - saturation * drop) + 65025) // 130050).astype(mx.uint8)


@op
def color_jitter(
    images: TensorLike, brightness: float | Sequence[float] = 0, contrast: float | Sequence[float] = 0,
    saturation: float | Sequence[float] = 0, hue: float | Sequence[float] = 0, *, key: TensorLike,
) -> mx.array:  # fmt: skip
    """Randomly change brightness, contrast, saturation and hue, with factors and an order drawn for each image.

    Like torchvision's ``ColorJitter`` on Pillow images.

    Args:
        images: (N, C, H, W) uint8 with 1 or 3 channels.
        brightness, contrast, saturation: the factor is uniform in [max(0, 1 - x), 1 + x], or in (min, max).
        hue: the shift is uniform in [-x, x] with x at most 0.5, or in (min, max).
        key: the random key.

    Raises:
        TypeError: ``images`` are not uint8.
        ValueError: an option is out of range.
    """
    images = as_uint8_batch("color_jitter", images)
    ranges = check_ranges("color_jitter", brightness, contrast, saturation, hue)
    active = [i for i, bounds in enumerate(ranges) if bounds is not None]
    if not active or images.size == 0:
        return images
    n = images.shape[0]
    (key,) = split_key("color_jitter", key, 1)
    u = mx.random.uniform(shape=(n, 2, len(active)), key=key)
    order = mx.argsort(u[:, 0], axis=1)
    low, high = (mx.array([bounds[i] for bounds in ranges if bounds is not None]) for i in (0, 1))
    factors = mx.take_along_axis(low + (high - low) * u[:, 1], order, axis=1)
    kinds = mx.array(active, mx.int32)[order]
    for step in range(len(active)):
        kind, factor = kinds[:, step, None, None, None], factors[:, step, None, None, None]
        out = _blend_by_kind(images, kind, factor)
        if ranges[_HUE] is not None:
            out = mx.where(kind == _HUE, shift_hue(images, factor[:, 0] * 255), out)
        images = mx.contiguous(out)  # in a compiled function all steps then share the same kernels
    return images


def _blend_by_kind(images: mx.array, kind: mx.array, factor: mx.array) -> mx.array:
    """Adjust brightness, contrast or saturation, as ``kind`` (N, 1, 1, 1) says, by ``factor`` (N, 1, 1, 1)."""
    luma = to_grayscale(images)
    degenerate = mx.where(kind == _CONTRAST, mean_luma(luma), luma)
    return blend(mx.where(kind == _BRIGHTNESS, mx.array(0, mx.uint8), degenerate), images, factor)


def check_ranges(
    caller: str, brightness: float | Sequence[float], contrast: float | Sequence[float],
    saturation: float | Sequence[float], hue: float | Sequence[float],
) -> tuple[Range, Range, Range, Range]:  # fmt: skip
    return (
        _range(caller, "brightness", brightness),
        _range(caller, "contrast", contrast),
        _range(caller, "saturation", saturation),
        _range(caller, "hue", hue, center=0.0, bounds=(-0.5, 0.5)),
    )


def _range(
    caller: str, name: str, value: float | Sequence[float], center: float = 1.0,
    bounds: tuple[float, float | None] = (0, None),
) -> Range:  # fmt: skip
    if isinstance(value, Sequence):
        if len(value) != 2:
            raise ValueError(f"{caller}: {name} must be a number or (min, max), got {value!r}")
        low = _checks.number(caller, name, value[0], *bounds)
        high = _checks.number(caller, name, value[1], low, bounds[1])
    else:
        width = _checks.number(caller, name, value, 0, bounds[1])
        low, high = max(center - width, bounds[0]), center + width
    return None if low == high == center else (low, high)


@op
def normalize(images: TensorLike, mean: Sequence[float], std: Sequence[float], max_value: float = 255) -> mx.array:
    """``(images / max_value - mean) / std`` per channel, in float32. Floating-point images are not divided.

    Shapes: images (N, C, H, W). ``mean`` and ``std`` have one number per channel, for images in [0, 1].

    Raises:
        ValueError: ``mean``, ``std`` and the channels differ in number, or a ``std`` is not positive.
    """
    images = as_batch("normalize", images)
    mean, std = check_statistics("normalize", mean, std)
    max_value = _checks.number("normalize", "max_value", max_value, 0, above=True)
    if images.shape[1] != len(mean):
        raise ValueError(f"normalize: images have {images.shape[1]} channels but mean has {len(mean)}")
    scale = 1.0 if images.dtype in FLOATING else 1 / max_value
    factor = mx.array([scale / s for s in std])[:, None, None]
    shift = mx.array([-m / s for m, s in zip(mean, std, strict=True)])[:, None, None]
    return images.astype(mx.float32) * factor + shift


def check_statistics(
    caller: str, mean: Sequence[float], std: Sequence[float]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    for name, values in (("mean", mean), ("std", std)):
        if not isinstance(values, Iterable):
            raise TypeError(f"{caller}: {name} must have a number for each channel, got {values!r}")
    mean = tuple(_checks.number(caller, "mean", value) for value in mean)
    std = tuple(_checks.number(caller, "std", value, 0, above=True) for value in std)
    if len(mean) != len(std):
        raise ValueError(f"{caller}: mean has {len(mean)} channels but std has {len(std)}")
    return mean, std
