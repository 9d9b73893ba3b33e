"""RandAugment, as in timm, and TrivialAugment, as in torchvision: which operations are drawn, and how strong."""

import functools
import math
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import mlx.core as mx
import numpy as np

from lucid import _checks
from lucid.data.augment import warping
from lucid.data.augment._batch import STEPS, as_uint8_batch, draw_integers, normal_quantiles, split_key
from lucid.data.augment.operations import Rows, apply_rows, make_rows
from lucid.ops._types import TensorLike
from lucid.tape import op

# timm's magnitudes are from 0 to 10. They are rounded to these steps, which are too small to be visible.
_STEPS_PER_MAGNITUDE = 50
_RAND_OPERATIONS = (
    "AutoContrast", "Equalize", "Invert", "Rotate", "Posterize", "Solarize", "SolarizeAdd", "Color", "Contrast",
    "Brightness", "Sharpness", "ShearX", "ShearY", "TranslateX", "TranslateY",
)  # fmt: skip
_WIDE_OPERATIONS = (
    "Identity", "ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate", "Brightness", "Color", "Contrast",
    "Sharpness", "Posterize", "Solarize", "AutoContrast", "Equalize",
)  # fmt: skip


class RandConfig(NamedTuple):
    """The options of RandAugment that a string like "rand-m9-mstd0.5-inc1" sets."""

    magnitude: float = 10.0
    num_ops: int = 2
    magnitude_std: float = 0.0  # inf: uniform from 0 to the magnitude
    magnitude_max: float = 10.0
    prob: float = 0.5
    increasing: bool = False


def parse_rand_config(config: str) -> RandConfig:
    """Parse timm's notation of a RandAugment, such as "rand-m9-mstd0.5-inc1".

    After "rand" come parts separated by "-": "m9" is the magnitude (10 by default), "n2" the number of operations,
    "mstd0.5" the standard deviation of the magnitude (above 100: uniform from 0 to the magnitude), "mmax10" its
    maximum, "p0.5" the probability of each operation. "inc1" makes every operation stronger as the magnitude increases.

    Raises:
        ValueError: the string does not start with "rand", has an unknown part, or a number is out of range.
        TypeError: the number of operations is not an integer.
    """
    head, *parts = str(config).split("-")
    if head != "rand":
        raise ValueError(f"RandAugment: config must start with 'rand', got {config!r}")
    names = {"m": "magnitude", "n": "num_ops", "mstd": "magnitude_std", "mmax": "magnitude_max", "p": "prob",
             "inc": "increasing"}  # fmt: skip
    found: dict[str, Any] = {}
    for part in parts:
        match = re.fullmatch(r"(m|n|mstd|mmax|p|inc)(\d+(?:\.\d+)?|\.\d+)", part)
        if match is None:
            raise ValueError(
                f"RandAugment: {part!r} in {config!r} must be m, n, mstd, mmax, p or inc followed by a number, as in "
                "'rand-m9-mstd0.5-inc1'"
            )
        found[names[match[1]]] = int(match[2]) if match[2].isdecimal() else float(match[2])
    return check_rand_config("RandAugment", RandConfig(**found))


def check_rand_config(caller: str, config: RandConfig) -> RandConfig:
    magnitude_max = _checks.number(caller, "magnitude_max", config.magnitude_max, 0, 100, above=True)
    std = _checks.number(caller, "magnitude_std", config.magnitude_std, 0)
    return RandConfig(
        _checks.number(caller, "magnitude", config.magnitude, 0),
        _checks.integer(caller, "num_ops", config.num_ops, 0),
        math.inf if std > 100 else std,
        magnitude_max,
        _checks.probability(caller, "prob", config.prob),
        bool(config.increasing),
    )


@op
def rand_augment(
    images: TensorLike, num_ops: int = 2, magnitude: float = 9, magnitude_std: float = 0.5, prob: float = 0.5,
    increasing: bool = True, magnitude_max: float = 10, interpolation: str = "bilinear",
    fill: float | Sequence[float] = 128, *, key: TensorLike,
) -> mx.array:  # fmt: skip
    """Apply ``num_ops`` random operations of timm's 15 to each image. The defaults are "rand-m9-mstd0.5-inc1".

    Magnitude 10 means 30 degrees, a shear of 0.3, a translation by 0.45 of the size, or a factor of 0.1 or 1.9; the
    direction is random. timm draws bilinear or bicubic interpolation each time; here it is fixed. Source: Cubuk et al.
    2019, arXiv:1909.13719.

    Args:
        images: (N, C, H, W) uint8 with 1 or 3 channels.
        num_ops: operations per image.
        magnitude: mean strength, from 0 to 10.
        magnitude_std: standard deviation of the strength; above 100 it is uniform in [0, ``magnitude``].
        prob: probability of each operation.
        increasing: every operation gets stronger with the magnitude. Otherwise Posterize and Solarize get weaker, and
            factors rise from 0.1 at 0 to 1.9 at 10.
        magnitude_max: strengths are clipped to [0, ``magnitude_max``].
        interpolation: "nearest" or "bilinear".
        fill: value of pixels from outside the image, a number or one per channel.
        key: the random key.

    Raises:
        TypeError: ``images`` are not uint8.
        ValueError: an option is out of range.
    """
    where = "rand_augment"
    images = as_uint8_batch(where, images)
    warping.check_options(where, images, interpolation, fill)
    config = check_rand_config(where, RandConfig(magnitude, num_ops, magnitude_std, magnitude_max, prob, increasing))
    n, _, height, width = images.shape
    levels, rows = _rand_rows(config, height, width)
    for own_key in split_key(where, key, max(config.num_ops, 1))[: config.num_ops]:
        chosen = _draw_rand_rows(config, n, levels, own_key)
        # Contiguous: in a compiled function all operations then share the same kernels.
        images = mx.contiguous(apply_rows(images, rows, chosen, interpolation, fill))
    return images


def _draw_rand_rows(config: RandConfig, n: int, levels: int, key: mx.array) -> mx.array:
    """A random row for each image, (N,)."""
    starts = _start_table(config.prob, levels)
    start, level = draw_integers(key, n, len(starts), STEPS)
    return starts[start] + _level_table(config)[level]


@functools.lru_cache(maxsize=16)
def _start_table(prob: float, levels: int) -> mx.array:
    """int32: with frequency ``prob`` the first row of an operation and direction, else that of the identity."""
    variants = 2 * len(_RAND_OPERATIONS)
    active = np.arange(2000)[:, None] < round(prob * 2000)
    return mx.array(np.where(active, np.arange(variants) * levels, variants * levels).astype(np.int32).reshape(-1))


@functools.lru_cache(maxsize=16)
def _level_table(config: RandConfig) -> mx.array:
    """The level for each random index below STEPS, (STEPS,) int32."""
    if not config.magnitude_std:
        return mx.array(np.zeros(STEPS, np.int32))
    if config.magnitude_std == math.inf:
        magnitudes = config.magnitude * (np.arange(STEPS) + 0.5) / STEPS
    else:
        magnitudes = config.magnitude + config.magnitude_std * normal_quantiles()
    return mx.array(np.rint(np.clip(magnitudes, 0, config.magnitude_max) * _STEPS_PER_MAGNITUDE).astype(np.int32))


@functools.lru_cache(maxsize=16)
def _rand_rows(config: RandConfig, height: int, width: int) -> tuple[int, Rows]:
    """The number of levels, and rows (operation, direction, level) followed by as many rows of the identity."""
    if config.magnitude_std:
        levels = np.arange(round(config.magnitude_max * _STEPS_PER_MAGNITUDE) + 1) / _STEPS_PER_MAGNITUDE
    else:
        levels = np.array([min(config.magnitude, config.magnitude_max)])
    names, arguments = [], []
    for name in _RAND_OPERATIONS:
        for sign in (1, -1):
            for level in levels.tolist():
                names.append(name)
                arguments.append(rand_argument(name, level, sign, config.increasing, height, width))
    count = len(levels)
    return count, make_rows([*names, *["Identity"] * count], [*arguments, *[0.0] * count], height, width)


def rand_argument(name: str, magnitude: float, sign: int, increasing: bool, height: int, width: int) -> float:
    """The argument of an operation for a magnitude from 0 to 10, as in timm."""
    fraction = magnitude / 10
    if name in ("Color", "Contrast", "Brightness", "Sharpness"):
        return max(0.1, 1.0 + sign * fraction * 0.9) if increasing else fraction * 1.8 + 0.1
    if name == "Posterize":
        return 4 - int(fraction * 4) if increasing else int(fraction * 4)
    if name == "Solarize":
        threshold = min(256, int(fraction * 256))
        return 256 - threshold if increasing else threshold
    if name == "SolarizeAdd":
        return min(128, int(fraction * 110))
    maximum = {"Rotate": 30.0, "ShearX": 0.3, "ShearY": 0.3, "TranslateX": 0.45, "TranslateY": 0.45}.get(name, 0.0)
    return sign * fraction * maximum * {"TranslateX": width, "TranslateY": height}.get(name, 1)


@op
def trivial_augment_wide(
    images: TensorLike, num_magnitude_bins: int = 31, interpolation: str = "nearest",
    fill: float | Sequence[float] = 0, *, key: TensorLike,
) -> mx.array:  # fmt: skip
    """Apply one random operation of torchvision's 14, with random strength, to each image (N, C, H, W) uint8.

    Operations, the ``num_magnitude_bins`` strengths and both directions are equally likely. The maxima are 135 degrees,
    a shear of 0.99, 32 pixels, and factors of 0.01 and 1.99. Source: Müller and Hutter 2021, arXiv:2103.10158.

    Raises:
        TypeError: ``images`` are not uint8.
        ValueError: an option is out of range.
    """
    where = "trivial_augment_wide"
    images = as_uint8_batch(where, images)
    warping.check_options(where, images, interpolation, fill)
    bins = _checks.integer(where, "num_magnitude_bins", num_magnitude_bins, 2)
    n, _, height, width = images.shape
    rows = _wide_rows(bins, height, width)
    (key,) = split_key(where, key, 1)
    return apply_rows(images, rows, draw_integers(key, n, len(rows.lookups))[0], interpolation, fill)


@functools.lru_cache(maxsize=16)
def _wide_rows(bins: int, height: int, width: int) -> Rows:
    """Rows (operation, direction, strength)."""
    variants = [(name, sign, strength) for name in _WIDE_OPERATIONS for sign in (1, -1) for strength in range(bins)]
    arguments = [wide_argument(name, strength, sign, bins) for name, sign, strength in variants]
    return make_rows([name for name, _, _ in variants], arguments, height, width)


def wide_argument(name: str, strength: int, sign: int, bins: int) -> float:
    """The argument of an operation for a strength in [0, bins), as in torchvision."""
    if name == "Posterize":
        return float(np.round(np.float32(8) - np.float32(strength) / np.float32((bins - 1) / 6)))
    if name == "Solarize":
        return 255 * _linspace(1.0, 0.0, bins, strength)
    if name in ("TranslateX", "TranslateY"):
        return -sign * int(_linspace(0.0, 32.0, bins, strength))  # moves the image, not where it is read
    if name in ("Color", "Contrast", "Brightness", "Sharpness"):
        return 1 + sign * _linspace(0.0, 0.99, bins, strength)
    maximum = {"Rotate": 135.0, "ShearX": 0.99, "ShearY": 0.99}.get(name, 0.0)
    return sign * _linspace(0.0, maximum, bins, strength)


def _linspace(start: float, end: float, count: int, index: int) -> float:
    """``torch.linspace(start, end, count)[index]``, bit for bit: index 15 of 31 up to 32 is just below 16."""
    low, high = float(np.float32(start)), float(np.float32(end))
    step = float(np.float32((high - low) / (count - 1)))
    return float(np.float32(low + step * index if index < count // 2 else high - step * (count - 1 - index)))
