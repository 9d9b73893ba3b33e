"""Mixup and cutmix: every image mixed with another one of the batch, and their targets in the same proportion.

Image i is mixed with image N - 1 - i, as in timm. Sources: Zhang et al. 2017, arXiv:1710.09412; Yun et al. 2019,
arXiv:1905.04899.
"""

import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

import mlx.core as mx
import numpy as np

from lucid import _checks
from lucid.data.augment._batch import STEPS, floats_of, integers, keys_from, one_each
from lucid.data.augment.erasing import inside_box
from lucid.ops._common import FLOATING, array
from lucid.ops._types import TensorLike
from lucid.tape import op

MODES = ("batch", "pair", "elem")
_HIGHEST_ALPHA = 10_000.0  # shares are within 0.02 of a half then
_CELLS = 4096


class Box(NamedTuple):
    """A rectangle in each image, or (with one entry) the same in all: arrays (N,) or (1,) of integers."""

    top: mx.array
    left: mx.array
    height: mx.array
    width: mx.array


@op
def soft_targets(labels: TensorLike, num_classes: int, label_smoothing: float = 0.0) -> mx.array:
    """Probabilities of classes: 1 at the label, mixed with ``label_smoothing`` of the uniform distribution.

    Shapes: labels (N,) of class numbers, or (N, num_classes) of probabilities, which are mixed likewise; out
    (N, num_classes) float32. A label outside [0, num_classes) has no class: looking at it would wait for its value.
    """
    return _targets("soft_targets", labels, num_classes, label_smoothing)


def _targets(where: str, labels: TensorLike, num_classes: int, label_smoothing: float) -> mx.array:
    labels = array(where, labels, "labels")
    _checks.rank(where, "labels", labels.shape, (1, 2), "(N,) or (N, num_classes)")
    count = _checks.integer(where, "num_classes", num_classes, 1)
    smoothing = _checks.probability(where, "label_smoothing", label_smoothing)
    if labels.ndim == 2:
        if labels.shape[1] != count:
            raise ValueError(f"{where}: labels of shape {labels.shape} do not fit num_classes {count}")
        return labels.astype(mx.float32) * (1 - smoothing) + smoothing / count
    if labels.dtype in FLOATING:
        raise TypeError(f"{where}: labels must be integers, got {_checks.dtype_name(labels.dtype)}")
    low = smoothing / count
    return mx.where(labels[:, None] == mx.arange(count), 1 - smoothing + low, low)


@op
def mix_images(images: TensorLike, lam: TensorLike, box: Sequence[TensorLike] | None = None) -> mx.array:
    """``lam`` of each image and ``1 - lam`` of image N - 1 - i; where a box has pixels, those of the other alone.

    Shapes: images (N, C, H, W) of floats, lam a number or (N,), the top, left, height and width of the box too; out as
    images. What mixup (without a box) and cutmix (with lam 1) compute once their numbers are drawn.
    """
    where = "mix_images"
    images = floats_of(where, images)
    share = one_each(where, "lam", lam, len(images))[:, None, None, None]
    if box is not None:
        share = mx.where(inside_box(images, *(one_each(where, "box", one, len(images)) for one in box)), 0, share)
    share = share.astype(images.dtype)
    return images * share + images[::-1] * (1 - share)


@op
def mixup(
    images: TensorLike, labels: TensorLike, num_classes: int, alpha: float = 1.0, mode: str = "batch",
    label_smoothing: float = 0.0, *, key: TensorLike,
) -> tuple[mx.array, mx.array]:  # fmt: skip
    """``mixup_or_cutmix``, always mixup: blended images (N, C, H, W) and their targets (N, num_classes)."""
    options = {"mixup_alpha": _checks.number("mixup", "alpha", alpha, 0, above=True), "cutmix_alpha": 0.0}
    return _mixed("mixup", images, labels, num_classes, **options, mode=mode, label_smoothing=label_smoothing, key=key)


@op
def cutmix(
    images: TensorLike, labels: TensorLike, num_classes: int, alpha: float = 1.0, mode: str = "batch",
    label_smoothing: float = 0.0, *, key: TensorLike,
) -> tuple[mx.array, mx.array]:  # fmt: skip
    """``mixup_or_cutmix``, always cutmix: patched images (N, C, H, W) and their targets (N, num_classes)."""
    options = {"mixup_alpha": 0.0, "cutmix_alpha": _checks.number("cutmix", "alpha", alpha, 0, above=True)}
    return _mixed("cutmix", images, labels, num_classes, **options, mode=mode, label_smoothing=label_smoothing, key=key)


@op
def mixup_or_cutmix(
    images: TensorLike, labels: TensorLike, num_classes: int, mixup_alpha: float = 0.8, cutmix_alpha: float = 1.0,
    prob: float = 1.0, switch_prob: float = 0.5, mode: str = "batch", label_smoothing: float = 0.1, *, key: TensorLike,
) -> tuple[mx.array, mx.array]:  # fmt: skip
    """Mixed images (N, C, H, W), and their targets: probabilities (N, num_classes).

    With probability ``prob`` images are mixed. Then, if both alphas are above 0, cutmix is taken with probability
    ``switch_prob`` and mixup otherwise; if one is, that one. The share that an image keeps has the distribution
    Beta(alpha, alpha). In cutmix a rectangle of the other image is pasted, its middle anywhere; targets are mixed by
    the area that lies inside. ``mode`` says what draws its own numbers: "batch", the batch as a whole; "elem", every
    image; "pair", two images that are mixed with each other. As timm's ``Mixup``; the middle image of an odd batch
    mixes with itself.

    Raises:
        ValueError: both alphas are 0, options out of range, or shapes that do not fit each other.
        TypeError: images of integers.
    """
    return _mixed(
        "mixup_or_cutmix", images, labels, num_classes, mixup_alpha, cutmix_alpha, prob, switch_prob, mode,
        label_smoothing, key=key,
    )  # fmt: skip


def _mixed(
    where: str, images: TensorLike, labels: TensorLike, num_classes: int, mixup_alpha: float, cutmix_alpha: float,
    prob: float = 1.0, switch_prob: float = 0.5, mode: str = "batch", label_smoothing: float = 0.0, *, key: TensorLike,
) -> tuple[mx.array, mx.array]:  # fmt: skip
    images = floats_of(where, images)
    mixup_alpha, cutmix_alpha = checked_alphas(where, mixup_alpha, cutmix_alpha)
    prob, switch_prob = _checks.probability(where, "prob", prob), _checks.probability(where, "switch_prob", switch_prob)
    _checks.one_of(where, "mode", mode, MODES)
    targets = _targets(where, labels, num_classes, label_smoothing)
    n = images.shape[0]
    if targets.shape[0] != n:
        raise ValueError(f"{where}: {n} images but {targets.shape[0]} labels")
    if images.size == 0:
        return images, targets

    count = {"batch": 1, "pair": (n + 1) // 2, "elem": n}[mode]
    (key,) = keys_from(where, key, 1)
    height, width = images.shape[2:]
    starts, lams, cuts = _tables(mixup_alpha, cutmix_alpha, prob, switch_prob, height, width)
    numbers = integers(key, count, STEPS, STEPS, height, width)
    at, middle = starts[numbers[0]] + numbers[1], numbers[2:]
    lam, box = lams[at], None
    if cutmix_alpha:
        below, above = mx.take(cuts, at, axis=2)  # (height and width, count) each
        corner = mx.maximum(middle - below, 0)
        size = mx.minimum(middle + above, mx.array([[height], [width]])) - corner
        box = Box(*corner, *size)
    if mode == "pair":  # images i and N - 1 - i share their numbers
        at = mx.minimum(mx.arange(n), n - 1 - mx.arange(n))
        lam = lam[at]
        box = None if box is None else Box(*(one[at] for one in box))
    images = mix_images.__wrapped__(images, lam, box)  # type: ignore[attr-defined]
    if box is not None:
        lam = lam - box.height * box.width / (images.shape[2] * images.shape[3])  # a box has pixels only where lam is 1
    lam = lam[:, None]
    return images, targets * lam + targets[::-1] * (1 - lam)


@functools.lru_cache(maxsize=16)
def _tables(
    mixup_alpha: float, cutmix_alpha: float, prob: float, switch_prob: float, height: int, width: int
) -> tuple[mx.array, mx.array, mx.array]:
    """What numbers below STEPS mean: where to start (STEPS,), and from there on a share and the halves of a box.

    Shares are (3 * STEPS,) float32: cutmix first, then mixup, then nothing. Boxes are (2, 2, 3 * STEPS) int32: what
    lies before their middle and after it, in height and width.
    """
    share = switch_prob if mixup_alpha and cutmix_alpha else float(cutmix_alpha > 0)
    bounds = np.array([round(prob * share * STEPS), round(prob * STEPS)])
    starts = (STEPS * np.searchsorted(bounds, np.arange(STEPS), side="right")).astype(np.int32)
    lams, cuts = np.ones((3, STEPS), np.float32), np.zeros((2, 2, 3, STEPS), np.int32)
    if cutmix_alpha:
        ratio = np.sqrt(1 - beta_quantiles(cutmix_alpha, STEPS))
        cut = (np.array([[height], [width]]) * ratio).astype(np.int32)
        cuts[0, :, 0], cuts[1, :, 0] = cut // 2, (cut + 1) // 2
    if mixup_alpha:
        lams[1] = beta_quantiles(mixup_alpha, STEPS)
    return mx.array(starts), mx.array(lams.reshape(-1)), mx.array(cuts.reshape(2, 2, -1))


def checked_alphas(where: str, mixup_alpha: float, cutmix_alpha: float) -> tuple[float, float]:
    mixup_alpha = _checks.number(where, "mixup_alpha", mixup_alpha, 0, _HIGHEST_ALPHA)
    cutmix_alpha = _checks.number(where, "cutmix_alpha", cutmix_alpha, 0, _HIGHEST_ALPHA)
    if not mixup_alpha and not cutmix_alpha:
        raise ValueError(f"{where}: mixup_alpha or cutmix_alpha must be above 0, got 0 and 0")
    return mixup_alpha, cutmix_alpha


def beta_quantiles(alpha: float, count: int) -> np.ndarray:
    """(count,) float64, ascending: the quantiles (i + 0.5) / count of Beta(alpha, alpha).

    One of them at random has that distribution, its distribution function off by less than 1 / 4096: the quantiles
    are exact at so many points, and in the outermost cells everywhere, and linear between them.
    """
    places = (np.arange(count) + 0.5) / count
    outermost = places[places < 4 / _CELLS]
    wanted = np.union1d(outermost, np.arange(_CELLS // 2 + 1) / _CELLS)  # the lower half; the upper one mirrors it
    low, high = np.zeros(len(wanted)), np.full(len(wanted), 0.5)
    for _ in range(60):  # bisection, to the last bit of float64 near 0.5
        middle = (low + high) / 2
        below = _distribution(middle, alpha) < wanted
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    lower = np.interp(np.minimum(places, 1 - places), wanted, np.where(wanted == 0, 0.0, high))
    return np.where(places < 0.5, lower, 1 - lower)


def _distribution(x: np.ndarray, a: float) -> np.ndarray:
    """The distribution function of Beta(a, a) for x in (0, 0.5], by its continued fraction (Lentz's method).

    Source: Abramowitz and Stegun, 26.5.8; below the middle it converges in a few steps.
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
