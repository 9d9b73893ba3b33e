"""RandAugment as timm defines it, and TrivialAugment as torchvision does: which operations are drawn, how strong."""

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

# timm's magnitudes go from 0 to 10. They are rounded to these steps, which are far below what can be seen.
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
    """The numbers of a RandAugment; those that ``"rand-m9-mstd0.5-inc1"`` names."""

    magnitude: float = 10.0
    num_ops: int = 2
    magnitude_std: float = 0.0  # inf: uniform from 0 to the magnitude
    magnitude_max: float = 10.0
    prob: float = 0.5
    increasing: bool = False


def parse_rand_config(config: str) -> RandConfig:
    """timm's way to write a RandAugment: "rand", then parts joined by "-".

    "m9" is the magnitude (10 if not given), "n2" the number of operations, "mstd0.5" the standard deviation of the
    magnitude (above 100: uniform from 0 to the magnitude), "mmax10" its highest value, "p0.5" the probability of each
    operation, "inc1" chooses the operations that grow stronger with the magnitude throughout.

    Raises:
        ValueError: another beginning, a part that is none of these, or a number out of range.
        TypeError: a number of operations that is not whole.
    """
    head, *parts = str(config).split("-")
    if head != "rand":
        raise ValueError(f"RandAugment: config must begin with 'rand', got {config!r}")
    names = {"m": "magnitude", "n": "num_ops", "mstd": "magnitude_std", "mmax": "magnitude_max", "p": "prob",
             "inc": "increasing"}  # fmt: skip
    found: dict[str, Any] = {}
    for part in parts:
        match = re.fullmatch(r"(m|n|mstd|mmax|p|inc)(\d+(?:\.\d+)?|\.\d+)", part)
        if match is None:
            raise ValueError(
                f"RandAugment: {part!r} in {config!r} must be m, n, mstd, mmax, p or inc and a number, as in "
                "'rand-m9-mstd0.5-inc1'"
            )
        found[names[match[1]]] = int(match[2]) if match[2].isdecimal() else float(match[2])
    return check_rand_config("RandAugment", RandConfig(**found))


def check_rand_config(where: str, config: RandConfig) -> RandConfig:
    highest = _checks.number(where, "magnitude_max", config.magnitude_max, 0, 100, above=True)
    std = _checks.number(where, "magnitude_std", config.magnitude_std, 0)
    return RandConfig(
        _checks.number(where, "magnitude", config.magnitude, 0),
        _checks.integer(where, "num_ops", config.num_ops, 0),
        math.inf if std > 100 else std,
        highest,
        _checks.probability(where, "prob", config.prob),
        bool(config.increasing),
    )


@op
def rand_augment(
    images: TensorLike, num_ops: int = 2, magnitude: float = 9, magnitude_std: float = 0.5, prob: float = 0.5,
    increasing: bool = True, magnitude_max: float = 10, interpolation: str = "bilinear",
    fill: float | Sequence[float] = 128, *, key: TensorLike,
) -> mx.array:  # fmt: skip
    """Each image (N, C, H, W) uint8 after ``num_ops`` of timm's 15 operations, every one with probability ``prob``.

    The magnitude of each is normal with ``magnitude`` and ``magnitude_std``, cut off to [0, ``magnitude_max``] (with a
    deviation above 100 uniform from 0 to ``magnitude``), and means 30 degrees, a shear of 0.3, 0.45 of the size or a
    factor of 0.1 or 1.9 at 10; directions are drawn too. ``increasing`` takes the forms that grow stronger throughout:
    without it posterizing and solarizing grow weaker, and factors go from 0.1 at 0 to 1.9 at 10. The defaults are
    "rand-m9-mstd0.5-inc1". timm draws bilinear or bicubic interpolation for each; here it is the same for all.
    Source: Cubuk et al. 2019, arXiv:1909.13719.

    Raises:
        TypeError: images that are not uint8.
        ValueError: options out of range.
    """
    where = "rand_augment"
    images = as_uint8_batch(where, images)
    warping.check_options(where, images, interpolation, fill)
    config = check_rand_config(where, RandConfig(magnitude, num_ops, magnitude_std, magnitude_max, prob, increasing))
    n, _, height, width = images.shape
    levels, rows = _rand_rows(config, height, width)
    for one in split_key(where, key, max(config.num_ops, 1))[: config.num_ops]:
        chosen = _draw_rand_rows(config, n, levels, one)
        # Laid out: in a compiled step the next operation is then made of the same kernels as this one.
        images = mx.contiguous(apply_rows(images, rows, chosen, interpolation, fill))
    return images


def _draw_rand_rows(config: RandConfig, n: int, levels: int, key: mx.array) -> mx.array:
    """(N,): numbers of rows."""
    starts = _start_table(config.prob, levels)
    place, level = draw_integers(key, n, len(starts), STEPS)
    return starts[place] + _level_table(config)[level]


@functools.lru_cache(maxsize=16)
def _start_table(prob: float, levels: int) -> mx.array:
    """int32: the first row of each operation and direction, all equally often, and, the rest, of changing nothing."""
    places = 2 * len(_RAND_OPERATIONS)
    active = np.arange(2000)[:, None] < round(prob * 2000)
    return mx.array(np.where(active, np.arange(places) * levels, places * levels).astype(np.int32).reshape(-1))


@functools.lru_cache(maxsize=16)
def _level_table(config: RandConfig) -> mx.array:
    """(STEPS,) int32: the level that a number below STEPS means."""
    if not config.magnitude_std:
        return mx.array(np.zeros(STEPS, np.int32))
    if config.magnitude_std == math.inf:
        magnitudes = config.magnitude * (np.arange(STEPS) + 0.5) / STEPS
    else:
        magnitudes = config.magnitude + config.magnitude_std * normal_quantiles()
    return mx.array(np.rint(np.clip(magnitudes, 0, config.magnitude_max) * _STEPS_PER_MAGNITUDE).astype(np.int32))


@functools.lru_cache(maxsize=16)
def _rand_rows(config: RandConfig, height: int, width: int) -> tuple[int, Rows]:
    """How many levels there are, and rows: (operation, direction, level), then as many that change nothing."""
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
    still = len(levels)
    return len(levels), make_rows([*names, *["Identity"] * still], [*arguments, *[0.0] * still], height, width)


def rand_argument(name: str, magnitude: float, sign: int, increasing: bool, height: int, width: int) -> float:
    """What a magnitude from 0 to 10 means for an operation, in timm."""
    part = magnitude / 10
    if name in ("Color", "Contrast", "Brightness", "Sharpness"):
        return max(0.1, 1.0 + sign * part * 0.9) if increasing else part * 1.8 + 0.1
    if name == "Posterize":
        return 4 - int(part * 4) if increasing else int(part * 4)
    if name == "Solarize":
        threshold = min(256, int(part * 256))
        return 256 - threshold if increasing else threshold
    if name == "SolarizeAdd":
        return min(128, int(part * 110))
    most = {"Rotate": 30.0, "ShearX": 0.3, "ShearY": 0.3, "TranslateX": 0.45, "TranslateY": 0.45}.get(name, 0.0)
    return sign * part * most * {"TranslateX": width, "TranslateY": height}.get(name, 1)


@op
def trivial_augment_wide(
    images: TensorLike, num_magnitude_bins: int = 31, interpolation: str = "nearest",
    fill: float | Sequence[float] = 0, *, key: TensorLike,
) -> mx.array:  # fmt: skip
    """Each image (N, C, H, W) uint8 after one of torchvision's 14 operations, of a strength that is drawn too.

    All operations, all ``num_magnitude_bins`` strengths and both directions are equally likely. At most 135 degrees, a
    shear of 0.99, 32 pixels, factors from 0.01 to 1.99. Source: Müller and Hutter 2021, arXiv:2103.10158.

    Raises:
        TypeError: images that are not uint8.
        ValueError: options out of range.
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
    places = [(name, sign, strength) for name in _WIDE_OPERATIONS for sign in (1, -1) for strength in range(bins)]
    arguments = [wide_argument(name, strength, sign, bins) for name, sign, strength in places]
    return make_rows([name for name, _, _ in places], arguments, height, width)


def wide_argument(name: str, strength: int, sign: int, bins: int) -> float:
    """What strength number 0 ... bins - 1 means for an operation, in torchvision."""
    if name == "Posterize":
        return float(np.round(np.float32(8) - np.float32(strength) / np.float32((bins - 1) / 6)))
    if name == "Solarize":
        return 255 * _linspace(1.0, 0.0, bins, strength)
    if name in ("TranslateX", "TranslateY"):
        return -sign * int(_linspace(0.0, 32.0, bins, strength))  # it is the image that moves, not where it is read
    if name in ("Color", "Contrast", "Brightness", "Sharpness"):
        return 1 + sign * _linspace(0.0, 0.99, bins, strength)
    most = {"Rotate": 135.0, "ShearX": 0.99, "ShearY": 0.99}.get(name, 0.0)
    return sign * _linspace(0.0, most, bins, strength)


def _linspace(start: float, end: float, count: int, at: int) -> float:
    """``torch.linspace(start, end, count)[at]`` to the last bit: number 15 of 31 up to 32 is a little below 16."""
    low, high = float(np.float32(start)), float(np.float32(end))
    step = float(np.float32((high - low) / (count - 1)))
    return float(np.float32(low + step * at if at < count // 2 else high - step * (count - 1 - at)))
