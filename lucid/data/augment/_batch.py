"""Checks and random draws that all augmentations share."""

import functools
import math
from statistics import NormalDist
from typing import Any

import mlx.core as mx
import numpy as np

from lucid import _checks
from lucid.ops._common import FLOATING, array

STEPS = 1 << 16  # resolution of probabilities and distributions


def as_batch(caller: str, images: Any) -> mx.array:
    """``images`` as an array (N, C, H, W)."""
    images = array(caller, images, "images")
    _checks.rank(caller, "images", images.shape, 4, "(N, C, H, W)")
    return images


def as_uint8_batch(caller: str, images: Any) -> mx.array:
    """``images`` as an array (N, C, H, W) of uint8, with 1 or 3 channels."""
    images = as_batch(caller, images)
    if images.dtype != mx.uint8:
        raise TypeError(
            f"{caller}: images must be uint8 from 0 to 255, got {_checks.dtype_name(images.dtype)}; "
            f"apply {caller} before Normalize"
        )
    if images.shape[1] not in (1, 3):
        raise ValueError(f"{caller}: images must have 1 or 3 channels, got shape {images.shape}")
    return images


def as_float_batch(caller: str, images: Any) -> mx.array:
    """``images`` as a floating-point array (N, C, H, W)."""
    images = as_batch(caller, images)
    if images.dtype not in FLOATING:
        raise TypeError(
            f"{caller}: images must be floating point, got {_checks.dtype_name(images.dtype)}; apply Normalize first"
        )
    return images


def split_key(caller: str, key: Any, count: int) -> list[mx.array]:
    """``count`` independent keys from one key."""
    if not isinstance(key, mx.array) or key.shape != (2,):
        found = f"shape {key.shape}" if isinstance(key, mx.array) else repr(key)
        raise TypeError(f"{caller}: key must be a random key as from lucid.random.key(), got {found}")
    return list(mx.random.split(key.astype(mx.uint32), count))


def per_channel(caller: str, name: str, value: Any, channels: int, dtype: mx.Dtype) -> mx.array:
    """``value``, one number or one per channel, as an array that broadcasts with (N, C, H, W)."""
    values = np.asarray(value)
    if values.dtype.kind not in "iuf" or values.shape not in ((), (1,), (channels,)):
        raise ValueError(f"{caller}: {name} must be a number or one per channel ({channels}), got {value!r}")
    if dtype == mx.uint8 and not ((values >= 0) & (values <= 255)).all():
        raise ValueError(f"{caller}: {name} must be from 0 to 255 for uint8 images, got {value!r}")
    return mx.array(values.reshape(1, -1, 1, 1), dtype)


def per_image(
    caller: str, name: str, value: Any, n: int, low: float | None = None, high: float | None = None
) -> mx.array:
    """``value``, one number or one per image, as an array (1,) or (N,).

    Only values on the host are compared with ``low`` and ``high``: reading a tensor would wait for its evaluation.
    """
    if isinstance(value, int | float | np.ndarray):
        for number in np.ravel(value).tolist():
            _checks.number(caller, name, number, low, high)
    values = array(caller, value, name)
    if values.shape not in ((), (1,), (n,)):
        raise ValueError(f"{caller}: {name} must be a number or one per image ({n}), got shape {values.shape}")
    return values.reshape(-1)


def draw_integers(key: mx.array, n: int, *counts: int) -> mx.array:
    """(len(counts), n) int32: row i is uniform over 0, ..., ``counts[i] - 1``.

    Most augmentations draw their parameters like this and look them up in tables made on the host, in float64. On a
    CPU a compiled step fuses arithmetic into kernels that take half a second each to compile; a lookup with ``mx.take``
    along an axis needs none (``[:, i]`` needs two).
    """
    u = mx.random.uniform(shape=(len(counts), n), key=key)
    return mx.contiguous((u * mx.array(counts, mx.float32)[:, None]).astype(mx.int32))


def draw_normals(key: mx.array, shape: tuple[int, ...], dtype: mx.Dtype) -> mx.array:
    """Standard normal numbers, rounded to STEPS quantiles: on a CPU three times faster than ``mx.random.normal``."""
    (numbers,) = draw_integers(key, math.prod(shape), STEPS)
    return mx.take_along_axis(mx.array(normal_quantiles(), dtype), numbers, axis=0).reshape(shape)


@functools.lru_cache(maxsize=1)
def normal_quantiles() -> np.ndarray:
    """The quantiles (i + 0.5) / STEPS of the standard normal distribution, (STEPS,) float64."""
    return np.array([NormalDist().inv_cdf((i + 0.5) / STEPS) for i in range(STEPS)])


def bernoulli_table(p: float) -> mx.array:
    """(STEPS,) bool, true in a share ``p``: a lookup at a random index is true with probability ``p``."""
    return mx.array(np.arange(STEPS) < round(p * STEPS))
