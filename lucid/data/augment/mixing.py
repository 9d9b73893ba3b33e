"""Mixup and cutmix: mix each image with another one of the batch, and their targets in the same proportion.

Image i is mixed with image N - 1 - i, as in timm. Sources: Zhang et al. 2017, arXiv:1710.09412; Yun et al. 2019,
arXiv:1905.04899.
"""

import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

import mlx.core as mx
import numpy as np

from lucid import _bounds, _checks
from lucid.data.augment._batch import STEPS, as_float_batch, draw_integers, per_image, split_key
from lucid.data.augment.erasing import box_mask
from lucid.ops._common import FLOATING, array
from lucid.ops._types import TensorLike
from lucid.tape import op

MODES = ("batch", "pair", "elem")
_MAX_ALPHA = 10_000.0  # lam is then within 0.02 of 0.5
_CELLS = 4096  # of the table of the Beta distribution


class Box(NamedTuple):
    """A rectangle in each image, integer arrays (N,), or one in all images, (1,)."""

    top: mx.array
    left: mx.array
    height: mx.array
    width: mx.array


@op
def soft_targets(labels: TensorLike, num_classes: int, label_smoothing: float = 0.0) -> mx.array:
    """One-hot probabilities of the labels, with label smoothing.

    Shapes: labels (N,) of class indices or (N, num_classes) of probabilities; out (N, num_classes) float32. Where
    class indices are not checked (see ``lucid.debug``), one outside [0, num_classes) belongs to no class.

    Raises:
        IndexError: a class index is outside [0, num_classes).
    """
    return _targets("soft_targets", labels, num_classes, label_smoothing)


def _targets(caller: str, labels: TensorLike, num_classes: int, label_smoothing: float) -> mx.array:
    is_host = not isinstance(labels, mx.array)
    labels = array(caller, labels, "labels")
    _checks.rank(caller, "labels", labels.shape, (1, 2), "(N,) or (N, num_classes)")
    count = _checks.integer(caller, "num_classes", num_classes, 1)
    smoothing = _checks.probability(caller, "label_smoothing", label_smoothing)
    if labels.ndim == 2:
        if labels.shape[1] != count:
            raise ValueError(f"{caller}: labels have shape {labels.shape}, which does not match num_classes {count}")
        return labels.astype(mx.float32) * (1 - smoothing) + smoothing / count
    if labels.dtype in FLOATING:
        raise TypeError(f"{caller}: labels must be integers, got {_checks.dtype_name(labels.dtype)}")
    _bounds.check_classes(caller, labels, count, name="label", is_host=is_host)
    low = smoothing / count
    return mx.where(labels[:, None] == mx.arange(count), 1 - smoothing + low, low)


@op
def mix_images(images: TensorLike, lam: TensorLike, box: Sequence[TensorLike] | None = None) -> mx.array:
    """Mix image i and image N - 1 - i with weights ``lam`` and ``1 - lam``; inside ``box``, use the other image only.

    This is mixup without a box and cutmix with ``lam`` 1, for given parameters.

    Args:
        images: (N, C, H, W), floating point.
        lam: a number or (N,).
        box: top, left, height and width of a rectangle, numbers or (N,) each.
    """
    where = "mix_images"
    images = as_float_batch(where, images)
    weight = per_image(where, "lam", lam, len(images))[:, None, None, None]
    if box is not None:
        weight = mx.where(box_mask(images, *(per_image(where, "box", side, len(images)) for side in box)), 0, weight)
    weight = weight.astype(images.dtype)
    return images * weight + images[::-1] * (1 - weight)


@op
def mixup(
    images: TensorLike, labels: TensorLike, num_classes: int, alpha: float = 1.0, mode: str = "batch",
    label_smoothing: float = 0.0, *, key: TensorLike,
) -> tuple[mx.array, mx.array]:  # fmt: skip
    """``mixup_or_cutmix`` with mixup only: blended images (N, C, H, W) and their targets (N, num_classes)."""
    options = {"mixup_alpha": _checks.number("mixup", "alpha", alpha, 0, above=True), "cutmix_alpha": 0.0}
    return _mixed("mixup", images, labels, num_classes, **options, mode=mode, label_smoothing=label_smoothing, key=key)


@op
def cutmix(
    images: TensorLike, labels: TensorLike, num_classes: int, alpha: float = 1.0, mode: str = "batch",
    label_smoothing: float = 0.0, *, key: TensorLike,
) -> tuple[mx.array, mx.array]:  # fmt: skip
    """``mixup_or_cutmix`` with cutmix only: patched images (N, C, H, W) and their targets (N, num_classes)."""
    options = {"mixup_alpha": 0.0, "cutmix_alpha": _checks.number("cutmix", "alpha", alpha, 0, above=True)}
    return _mixed("cutmix", images, labels, num_classes, **options, mode=mode, label_smoothing=label_smoothing, key=key)


@op
def mixup_or_cutmix(
    images: TensorLike, labels: TensorLike, num_classes: int, mixup_alpha: float = 0.8, cutmix_alpha: float = 1.0,
    prob: float = 1.0, switch_prob: float = 0.5, mode: str = "batch", label_smoothing: float = 0.1, *, key: TensorLike,
) -> tuple[mx.array, mx.array]:  # fmt: skip
    """Apply mixup or cutmix, like timm's ``Mixup``.

    The weight ``lam`` of an image has the distribution Beta(alpha, alpha). Cutmix pastes a rectangle of the other image
    around a uniformly random center; targets are mixed by its area inside the image. The middle image of an odd batch
    is mixed with itself.

    Args:
        images: (N, C, H, W), floating point.
        labels: (N,) class indices or (N, num_classes) probabilities.
        num_classes: number of classes.
        mixup_alpha, cutmix_alpha: parameters of the Beta distributions; 0 disables one of the two.
        prob: probability of mixing at all.
        switch_prob: probability of cutmix instead of mixup when both are enabled.
        mode: what draws parameters: "batch" once for all images, "pair" for each pair, "elem" for each image.
        label_smoothing: as in ``soft_targets``.
        key: the random key.

    Returns:
        Mixed images (N, C, H, W) and soft targets (N, num_classes).

    Raises:
        IndexError: a class index is outside [0, num_classes).
        ValueError: both alphas are 0, an option is out of range, or shapes do not match.
        TypeError: integer images.

    Example:
        >>> augment = lucid.data.augment
        >>> images, targets = augment.mixup_or_cutmix(
        ...     lucid.rand(4, 3, 8, 8), lucid.tensor([0, 1, 2, 3]), num_classes=4, key=lucid.random.key()
        ... )
        >>> images.shape, targets.shape
        ((4, 3, 8, 8), (4, 4))
    """
    return _mixed(
        "mixup_or_cutmix", images, labels, num_classes, mixup_alpha, cutmix_alpha, prob, switch_prob, mode,
        label_smoothing, key=key,
    )  # fmt: skip


def _mixed(
    caller: str, images: TensorLike, labels: TensorLike, num_classes: int, mixup_alpha: float, cutmix_alpha: float,
    prob: float = 1.0, switch_prob: float = 0.5, mode: str = "batch", label_smoothing: float = 0.0, *, key: TensorLike,
) -> tuple[mx.array, mx.array]:  # fmt: skip
    images = as_float_batch(caller, images)
    mixup_alpha, cutmix_alpha = check_alphas(caller, mixup_alpha, cutmix_alpha)
    prob, switch_prob = (
        _checks.probability(caller, "prob", prob),
        _checks.probability(caller, "switch_prob", switch_prob),
    )
    _checks.one_of(caller, "mode", mode, MODES)
    targets = _targets(caller, labels, num_classes, label_smoothing)
    n = images.shape[0]
    if targets.shape[0] != n:
        raise ValueError(f"{caller}: {n} images but {targets.shape[0]} labels")
    if images.size == 0:
        return images, targets

    count = {"batch": 1, "pair": (n + 1) // 2, "elem": n}[mode]
    (key,) = split_key(caller, key, 1)
    height, width = images.shape[2:]
    starts, lams, halves = _tables(mixup_alpha, cutmix_alpha, prob, switch_prob, height, width)
    numbers = draw_integers(key, count, STEPS, STEPS, height, width)
    index, center = starts[numbers[0]] + numbers[1], numbers[2:]
    lam, box = lams[index], None
    if cutmix_alpha:
        before, after = mx.take(halves, index, axis=2)  # (height and width, count) each
        corner = mx.maximum(center - before, 0)
        size = mx.minimum(center + after, mx.array([[height], [width]])) - corner
        box = Box(*corner, *size)
    if mode == "pair":  # images i and N - 1 - i share their parameters
        index = mx.minimum(mx.arange(n), n - 1 - mx.arange(n))
        lam = lam[index]
        box = None if box is None else Box(*(side[index] for side in box))
    images = mix_images.__wrapped__(images, lam, box)  # type: ignore[attr-defined]
    if box is not None:
        lam = lam - box.height * box.width / (
            images.shape[2] * images.shape[3]
        )  # lam is 1 wherever the box is not empty
    lam = lam[:, None]
    return images, targets * lam + targets[::-1] * (1 - lam)


@functools.lru_cache(maxsize=16)
def _tables(
    mixup_alpha: float, cutmix_alpha: float, prob: float, switch_prob: float, height: int, width: int
) -> tuple[mx.array, mx.array, mx.array]:
    """Lookup tables for random indices below STEPS: the first row of an operation, lam, and half sizes of a box.

    The first row is (STEPS,) int32, lam (3 * STEPS,) float32: rows of cutmix, mixup, and neither. Half sizes are
    (2, 2, 3 * STEPS) int32: the pixels before and after the center, in height and width.
    """
    cutmix_prob = switch_prob if mixup_alpha and cutmix_alpha else float(cutmix_alpha > 0)
    bounds = np.array([round(prob * cutmix_prob * STEPS), round(prob * STEPS)])
    starts = (STEPS * np.searchsorted(bounds, np.arange(STEPS), side="right")).astype(np.int32)
    lams, halves = np.ones((3, STEPS), np.float32), np.zeros((2, 2, 3, STEPS), np.int32)
    if cutmix_alpha:
        ratio = np.sqrt(1 - beta_quantiles(cutmix_alpha, STEPS))
        cut = (np.array([[height], [width]]) * ratio).astype(np.int32)
        halves[0, :, 0], halves[1, :, 0] = cut // 2, (cut + 1) // 2
    if mixup_alpha:
        lams[1] = beta_quantiles(mixup_alpha, STEPS)
    return mx.array(starts), mx.array(lams.reshape(-1)), mx.array(halves.reshape(2, 2, -1))


def check_alphas(caller: str, mixup_alpha: float, cutmix_alpha: float) -> tuple[float, float]:
    mixup_alpha = _checks.number(caller, "mixup_alpha", mixup_alpha, 0, _MAX_ALPHA)
    cutmix_alpha = _checks.number(caller, "cutmix_alpha", cutmix_alpha, 0, _MAX_ALPHA)
    if not mixup_alpha and not cutmix_alpha:
        raise ValueError(f"{caller}: mixup_alpha or cutmix_alpha must be above 0, got 0 and 0")
    return mixup_alpha, cutmix_alpha


def beta_quantiles(alpha: float, count: int) -> np.ndarray:
    """The quantiles (i + 0.5) / count of Beta(alpha, alpha), (count,) float64.

    MLX cannot draw from a Beta distribution, and a compiled step cannot draw until a sample is accepted, so samples are
    looked up in this table. It is computed at 4096 points, and at every point of the outermost cells, and interpolated
    linearly, which puts the distribution function off by less than 1 / 4096.
    """
    levels = (np.arange(count) + 0.5) / count
    outermost = levels[levels < 4 / _CELLS]
    points = np.union1d(outermost, np.arange(_CELLS // 2 + 1) / _CELLS)  # the lower half; the upper one is its mirror
    low, high = np.zeros(len(points)), np.full(len(points), 0.5)
    for _ in range(60):  # bisection, to the last bit of float64 near 0.5
        middle = (low + high) / 2
        below = _beta_cdf(middle, alpha) < points
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    lower = np.interp(np.minimum(levels, 1 - levels), points, np.where(points == 0, 0.0, high))
    return np.where(levels < 0.5, lower, 1 - lower)


def _beta_cdf(x: np.ndarray, a: float) -> np.ndarray:
    """The distribution function of Beta(a, a) for x in (0, 0.5], as a continued fraction (Lentz's method).

    Source: Abramowitz and Stegun, 26.5.8. It converges fast below the mean.
    """
    front = np.exp(a * np.log(x) + a * np.log1p(-x) + math.lgamma(2 * a) - 2 * math.lgamma(a)) / a
    c, d = np.ones_like(x), 1 / (1 - 2 * a * x / (a + 1))
    fraction = d.copy()
    for m in range(1, 1000):
        for numerator in (
            m * (a - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (2 * a + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d, c = 1 / (1 + numerator * d), 1 + numerator / c
            fraction = fraction * (c * d)
        if np.all(np.abs(c * d - 1) < 1e-14):
            break
    return front * fraction
