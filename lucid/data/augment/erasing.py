"""Random erasing: a rectangle of each image overwritten with zeros or noise.

Source: Zhong et al. 2017, arXiv:1708.04896, as timm defines it.
"""

import functools
import math

import mlx.core as mx
import numpy as np

from lucid import _checks
from lucid.data.augment._batch import STEPS, as_batch, as_float_batch, draw_integers, draw_normals, per_image, split_key
from lucid.ops._common import array
from lucid.ops._types import TensorLike
from lucid.tape import op

MODES = ("const", "rand", "pixel")
_ATTEMPTS = 10  # timm's: a rectangle that does not fit is drawn anew, ten times at most


def box_mask(images: mx.array, top: mx.array, left: mx.array, height: mx.array, width: mx.array) -> mx.array:
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
    """``images`` (N, C, H, W) with a rectangle of each overwritten by ``value``, which broadcasts with them.

    The corner and the size are numbers, or (N,): one for each image.
    """
    images = as_batch("erase", images)
    value = array("erase", value, "value").astype(images.dtype)
    box = {"top": top, "left": left, "height": height, "width": width}
    inside = box_mask(images, *(per_image("erase", name, one, len(images)) for name, one in box.items()))
    return mx.where(inside, value, images)


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
    images = as_batch(where, images) if mode == "const" else as_float_batch(where, images)
    probability, areas, aspects, counts = check_options(
        where, probability, min_area, max_area, min_aspect, max_aspect, mode, min_count, max_count
    )
    if images.size == 0:
        return images
    n, c, height, width = images.shape
    amounts, starts, sizes = _tables(probability, areas, aspects, counts, height, width)
    for_count, *each = split_key(where, key, 1 + counts[1])
    drawn = draw_integers(for_count, n, STEPS)[0]
    count, start = amounts[drawn], starts[drawn]
    for i, one in enumerate(each):
        place, noise = mx.random.split(one)
        numbers = draw_integers(place, n, STEPS, STEPS, STEPS)
        size = mx.take(sizes, start + numbers[0], axis=1)  # (height and width, N)
        if i >= counts[0]:
            size = mx.where(i < count, size, 0)
        corner = mx.right_shift(numbers[1:] * (mx.array([[height + 1], [width + 1]]) - size), mx.array(16, mx.int32))
        if mode == "const":
            value = mx.array(0, images.dtype)
        else:
            value = draw_normals(noise, (n, c, 1, 1) if mode == "rand" else images.shape, images.dtype)
        images = erase.__wrapped__(images, *corner, *size, value)  # type: ignore[attr-defined]
    return images


@functools.lru_cache(maxsize=16)
def _tables(
    probability: float, areas: tuple[float, float], aspects: tuple[float, float], counts: tuple[int, int], height: int,
    width: int,
) -> tuple[mx.array, mx.array, mx.array]:  # fmt: skip
    """What numbers below STEPS mean, int32: how many rectangles (STEPS,), where to start, and from there on a size.

    Sizes are (2, (1 + most) * STEPS), for 0, 1, ... rectangles; the first STEPS are 0. Area and aspect are cut into 256
    steps each. timm draws a rectangle that does not fit anew, ten times at most.
    """
    erased = np.arange(STEPS) < round(probability * STEPS)
    amounts = np.where(erased, counts[0] + np.arange(STEPS) % (counts[1] - counts[0] + 1), 0).astype(np.int32)
    middles = (np.arange(256) + 0.5) / 256
    low, high = math.log(aspects[0]), math.log(aspects[1])
    aspect = np.exp(low + (high - low) * middles)
    sizes = np.zeros((2, counts[1] + 1, STEPS), np.int32)
    for count in range(1, counts[1] + 1):
        area = ((areas[0] + (areas[1] - areas[0]) * middles) * height * width / count)[:, None]
        pairs = np.stack([np.rint(np.sqrt(area * aspect)), np.rint(np.sqrt(area / aspect))]).reshape(2, -1)
        fits = (pairs[0] < height) & (pairs[1] < width)
        none = round(STEPS * (1 - fits.mean()) ** _ATTEMPTS)
        found = pairs[:, fits]
        if none < STEPS:
            sizes[:, count, none:] = found[:, np.arange(STEPS - none) * found.shape[1] // (STEPS - none)]
    return mx.array(amounts), mx.array(amounts * STEPS), mx.array(sizes.reshape(2, -1))


def check_options(
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
