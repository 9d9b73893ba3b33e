"""Random erasing: overwrite a rectangle of each image with zeros or noise.

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
_ATTEMPTS = 10  # as in timm: a rectangle that does not fit is drawn again, at most ten times


def box_mask(images: mx.array, top: mx.array, left: mx.array, height: mx.array, width: mx.array) -> mx.array:
    """(N, 1, H, W) bool: true inside each image's box. Corner and size are (N,), or (1,) to share one box."""
    y, x = mx.arange(images.shape[2]), mx.arange(images.shape[3])
    rows = (y >= top[:, None]) & (y < (top + height)[:, None])  # (N, H)
    columns = (x >= left[:, None]) & (x < (left + width)[:, None])  # (N, W)
    return rows[:, None, :, None] & columns[:, None, None, :]


@op
def erase(
    images: TensorLike, top: TensorLike, left: TensorLike, height: TensorLike, width: TensorLike,
    value: TensorLike = 0.0,
) -> mx.array:  # fmt: skip
    """Overwrite a rectangle of each image (N, C, H, W) with ``value``, which broadcasts with ``images``.

    The corner and the size are numbers, or (N,).
    """
    images = as_batch("erase", images)
    value = array("erase", value, "value").astype(images.dtype)
    box = {"top": top, "left": left, "height": height, "width": width}
    inside = box_mask(images, *(per_image("erase", name, side, len(images)) for name, side in box.items()))
    return mx.where(inside, value, images)


@op
def random_erasing(
    images: TensorLike, probability: float = 0.5, min_area: float = 0.02, max_area: float = 1 / 3,
    min_aspect: float = 0.3, max_aspect: float | None = None, mode: str = "const", min_count: int = 1,
    max_count: int | None = None, *, key: TensorLike,
) -> mx.array:  # fmt: skip
    """Overwrite random rectangles of each image (N, C, H, W), with the arguments of timm's ``RandomErasing``.

    Args:
        images: floating point, normalized; with mode "const" any dtype.
        probability: that an image is changed.
        min_area, max_area: bounds of the erased fraction of the image, divided by the number of rectangles.
        min_aspect, max_aspect: bounds of height by width, log-uniform. ``max_aspect`` is ``1 / min_aspect`` by default.
        mode: "const" (zeros), "rand" (one normal number per channel) or "pixel" (one per value).
        min_count, max_count: bounds of the number of rectangles.
        key: the random key.

    Raises:
        ValueError: an option is out of range, or the mode is unknown.
        TypeError: integer images with mode "rand" or "pixel".
    """
    where = "random_erasing"
    images = as_batch(where, images) if mode == "const" else as_float_batch(where, images)
    probability, areas, aspects, counts = check_options(
        where, probability, min_area, max_area, min_aspect, max_aspect, mode, min_count, max_count
    )
    if images.size == 0:
        return images
    n, c, height, width = images.shape
    box_counts, starts, sizes = _tables(probability, areas, aspects, counts, height, width)
    count_key, *box_keys = split_key(where, key, 1 + counts[1])
    drawn = draw_integers(count_key, n, STEPS)[0]
    count, start = box_counts[drawn], starts[drawn]
    for i, own_key in enumerate(box_keys):
        place_key, noise_key = mx.random.split(own_key)
        numbers = draw_integers(place_key, n, STEPS, STEPS, STEPS)
        size = mx.take(sizes, start + numbers[0], axis=1)  # (height and width, N)
        if i >= counts[0]:
            size = mx.where(i < count, size, 0)
        corner = mx.right_shift(numbers[1:] * (mx.array([[height + 1], [width + 1]]) - size), mx.array(16, mx.int32))
        if mode == "const":
            value = mx.array(0, images.dtype)
        else:
            value = draw_normals(noise_key, (n, c, 1, 1) if mode == "rand" else images.shape, images.dtype)
        images = erase.__wrapped__(images, *corner, *size, value)  # type: ignore[attr-defined]
    return images


@functools.lru_cache(maxsize=16)
def _tables(
    probability: float, areas: tuple[float, float], aspects: tuple[float, float], counts: tuple[int, int], height: int,
    width: int,
) -> tuple[mx.array, mx.array, mx.array]:  # fmt: skip
    """Lookup tables for random indices below STEPS, int32: number of rectangles, first size, and sizes.

    The number of rectangles and the first size are (STEPS,). Sizes (height and width) are (2, (1 + max_count) * STEPS):
    STEPS entries for each number of rectangles, those for 0 being 0. Area and aspect have 256 levels each. A rectangle
    that does not fit the image is drawn again, up to 10 times, as in timm.
    """
    erased = np.arange(STEPS) < round(probability * STEPS)
    box_counts = np.where(erased, counts[0] + np.arange(STEPS) % (counts[1] - counts[0] + 1), 0).astype(np.int32)
    levels = (np.arange(256) + 0.5) / 256
    low, high = math.log(aspects[0]), math.log(aspects[1])
    aspect = np.exp(low + (high - low) * levels)
    sizes = np.zeros((2, counts[1] + 1, STEPS), np.int32)
    for count in range(1, counts[1] + 1):
        area = ((areas[0] + (areas[1] - areas[0]) * levels) * height * width / count)[:, None]
        pairs = np.stack([np.rint(np.sqrt(area * aspect)), np.rint(np.sqrt(area / aspect))]).reshape(2, -1)
        fits = (pairs[0] < height) & (pairs[1] < width)
        failed = round(STEPS * (1 - fits.mean()) ** _ATTEMPTS)
        fitting = pairs[:, fits]
        if failed < STEPS:
            sizes[:, count, failed:] = fitting[:, np.arange(STEPS - failed) * fitting.shape[1] // (STEPS - failed)]
    return mx.array(box_counts), mx.array(box_counts * STEPS), mx.array(sizes.reshape(2, -1))


def check_options(
    caller: str, probability: float, min_area: float, max_area: float, min_aspect: float, max_aspect: float | None,
    mode: str, min_count: int, max_count: int | None,
) -> tuple[float, tuple[float, float], tuple[float, float], tuple[int, int]]:  # fmt: skip
    """The checked probability and (min, max) of area, aspect and count."""
    probability = _checks.probability(caller, "probability", probability)
    low = _checks.number(caller, "min_area", min_area, 0, 1)
    high = _checks.number(caller, "max_area", max_area, low, 1)
    min_aspect = _checks.number(caller, "min_aspect", min_aspect, 0, above=True)
    max_aspect = _checks.number(caller, "max_aspect", 1 / min_aspect if max_aspect is None else max_aspect, min_aspect)
    _checks.one_of(caller, "mode", mode, MODES)
    min_count = _checks.integer(caller, "min_count", min_count, 1)
    max_count = _checks.integer(caller, "max_count", min_count if max_count is None else max_count, min_count)
    return probability, (low, high), (min_aspect, max_aspect), (min_count, max_count)
