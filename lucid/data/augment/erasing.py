"""Random erasing: a rectangle of each image overwritten with zeros or noise.

Source: Zhong et al. 2017, arXiv:1708.04896, as timm defines it.
"""

import math

import mlx.core as mx

from lucid import _checks
from lucid.data.augment._batch import batch_of, floats_of, keys_from
from lucid.ops._types import TensorLike
from lucid.tape import op

MODES = ("const", "rand", "pixel")
_TRIES = 10  # timm's: a rectangle that does not fit is drawn anew, ten times at most


def inside_box(images: mx.array, top: mx.array, left: mx.array, height: mx.array, width: mx.array) -> mx.array:
    """(N, 1, H, W): the pixels of each image's rectangle, whose corner and size are (N,), or (1,) for all alike."""
    y, x = mx.arange(images.shape[2]), mx.arange(images.shape[3])
    rows = (y >= top[:, None]) & (y < (top + height)[:, None])  # (N, H)
    columns = (x >= left[:, None]) & (x < (left + width)[:, None])  # (N, W)
    return rows[:, None, :, None] & columns[:, None, None, :]


@op
def erase(
    images: TensorLike, top: TensorLike, left: TensorLike, height: TensorLike, width: TensorLike,
    value: TensorLike = 0.0,
) -> mx.array:  # fmt: skip
    """``images`` (N, C, H, W) with a rectangle of each, its corner and size (N,), overwritten by ``value``."""
    images = batch_of("erase", images)
    value = mx.array(value, images.dtype) if isinstance(value, int | float) else value
    return mx.where(inside_box(images, top, left, height, width), value.astype(images.dtype), images)


@op
def random_erasing(
    images: TensorLike, probability: float = 0.5, min_area: float = 0.02, max_area: float = 1 / 3,
    min_aspect: float = 0.3, max_aspect: float | None = None, mode: str = "const", min_count: int = 1,
    max_count: int | None = None, *, key: TensorLike,
) -> mx.array:  # fmt: skip
    """Each image, with ``probability``, with ``min_count`` to ``max_count`` rectangles overwritten.

    A rectangle covers ``min_area`` to ``max_area`` of the image, divided by their count; the logarithm of height by
    width is uniform between those of ``min_aspect`` and ``max_aspect`` (``1 / min_aspect``). ``mode`` is "const"
    (zeros), "rand" (one normal number for each channel) or "pixel" (one for each value), which suits normalized
    images; these two need floats.

    Raises:
        ValueError: options out of range or order, or another mode.
        TypeError: integers with "rand" or "pixel".
    """
    where = "random_erasing"
    images = batch_of(where, images) if mode == "const" else floats_of(where, images)
    probability, areas, aspects, counts = checked_options(
        where, probability, min_area, max_area, min_aspect, max_aspect, mode, min_count, max_count
    )
    if images.size == 0:
        return images
    n, c, height, width = images.shape
    chosen, amount, *each = keys_from(where, key, 2 + counts[1])
    erased = mx.random.bernoulli(probability, (n,), key=chosen)
    count = mx.random.randint(counts[0], counts[1] + 1, (n,), key=amount)
    for i, one in enumerate(each):
        place, noise = mx.random.split(one)
        top, left, h, w = _rectangles(n, height, width, count, areas, aspects, place)
        h = mx.where(erased & (i < count), h, 0)
        if mode == "const":
            value = mx.array(0, images.dtype)
        else:
            value = mx.random.normal((n, c, 1, 1) if mode == "rand" else images.shape, images.dtype, key=noise)
        images = erase.__wrapped__(images, top, left, h, w, value)  # type: ignore[attr-defined]
    return images


def _rectangles(
    n: int, height: int, width: int, count: mx.array, areas: tuple[float, float], aspects: tuple[float, float],
    key: mx.array,
) -> tuple[mx.array, mx.array, mx.array, mx.array]:  # fmt: skip
    """Top, left, height and width, (N,) each, of the first of ten rectangles that fits; height 0 where none does."""
    of_area, of_aspect, of_place = mx.random.split(key, 3)
    area = mx.random.uniform(*areas, (n, _TRIES), key=of_area) * (height * width) / count[:, None]
    aspect = mx.exp(mx.random.uniform(math.log(aspects[0]), math.log(aspects[1]), (n, _TRIES), key=of_aspect))
    heights = mx.round(mx.sqrt(area * aspect)).astype(mx.int32)
    widths = mx.round(mx.sqrt(area / aspect)).astype(mx.int32)
    fits = (heights < height) & (widths < width)
    first = fits & (mx.cumsum(fits.astype(mx.int32), axis=1) == 1)
    h, w = (heights * first).sum(axis=1), (widths * first).sum(axis=1)
    u = mx.random.uniform(shape=(2, n), key=of_place)
    top = mx.floor(u[0] * (height - h + 1)).astype(mx.int32)
    left = mx.floor(u[1] * (width - w + 1)).astype(mx.int32)
    return top, left, h, w


def checked_options(
    where: str, probability: float, min_area: float, max_area: float, min_aspect: float, max_aspect: float | None,
    mode: str, min_count: int, max_count: int | None,
) -> tuple[float, tuple[float, float], tuple[float, float], tuple[int, int]]:  # fmt: skip
    """The probability and the ranges of area, aspect and count."""
    probability = _checks.probability(where, "probability", probability)
    low = _checks.number(where, "min_area", min_area, 0, 1)
    high = _checks.number(where, "max_area", max_area, low, 1)
    flat = _checks.number(where, "min_aspect", min_aspect, 0, above=True)
    tall = _checks.number(where, "max_aspect", 1 / flat if max_aspect is None else max_aspect, flat)
    _checks.one_of(where, "mode", mode, MODES)
    few = _checks.integer(where, "min_count", min_count, 1)
    many = _checks.integer(where, "max_count", few if max_count is None else max_count, few)
    return probability, (low, high), (flat, tall), (few, many)
