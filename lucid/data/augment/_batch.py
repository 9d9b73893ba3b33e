"""What all augmentations ask of their images and keys, in one wording."""

import functools
import math
from statistics import NormalDist
from typing import Any

import mlx.core as mx
import numpy as np

from lucid import _checks
from lucid.ops._common import FLOATING, array

STEPS = 1 << 16  # how finely a probability or a distribution is cut


def as_batch(where: str, images: Any) -> mx.array:
    """``images`` as an array (N, C, H, W)."""
    images = array(where, images, "images")
    _checks.rank(where, "images", images.shape, 4, "(N, C, H, W)")
    return images


def as_uint8_batch(where: str, images: Any) -> mx.array:
    """``images`` as an array (N, C, H, W) of uint8, grey or red, green and blue."""
    images = as_batch(where, images)
    if images.dtype != mx.uint8:
        raise TypeError(
            f"{where}: images must be uint8 from 0 to 255, got {_checks.dtype_name(images.dtype)}; "
            "put it before Normalize"
        )
    if images.shape[1] not in (1, 3):
        raise ValueError(f"{where}: images must have 1 or 3 channels, got shape {images.shape}")
    return images


def as_float_batch(where: str, images: Any) -> mx.array:
    """``images`` as an array (N, C, H, W) of floating point."""
    images = as_batch(where, images)
    if images.dtype not in FLOATING:
        raise TypeError(
            f"{where}: images must be floats, got {_checks.dtype_name(images.dtype)}; put Normalize before it"
        )
    return images


def split_key(where: str, key: Any, count: int) -> list[mx.array]:
    """``count`` independent keys from one."""
    if not isinstance(key, mx.array) or key.shape != (2,):
        found = f"shape {key.shape}" if isinstance(key, mx.array) else repr(key)
        raise TypeError(f"{where}: key must be a random key, as lucid.random.key() gives, got {found}")
    return list(mx.random.split(key.astype(mx.uint32), count))


def per_channel(where: str, name: str, value: Any, channels: int, dtype: mx.Dtype) -> mx.array:
    """A number, or one for each channel, in a shape that broadcasts with (N, C, H, W)."""
    values = np.asarray(value)
    if values.dtype.kind not in "iuf" or values.shape not in ((), (1,), (channels,)):
        raise ValueError(f"{where}: {name} must be a number or one for each of {channels} channels, got {value!r}")
    if dtype == mx.uint8 and not ((values >= 0) & (values <= 255)).all():
        raise ValueError(f"{where}: {name} must be from 0 to 255, as the images are, got {value!r}")
    return mx.array(values.reshape(1, -1, 1, 1), dtype)


def per_image(
    where: str, name: str, value: Any, n: int, low: float | None = None, high: float | None = None
) -> mx.array:
    """A number as (1,), or one for each image as (N,). Only what is on the host is compared with ``low`` and ``high``:
    looking at values on the device would wait for them."""
    if isinstance(value, int | float | np.ndarray):
        for one in np.ravel(value).tolist():
            _checks.number(where, name, one, low, high)
    values = array(where, value, name)
    if values.shape not in ((), (1,), (n,)):
        raise ValueError(f"{where}: {name} must be a number or one for each of {n} images, got shape {values.shape}")
    return values.reshape(-1)


def draw_integers(key: mx.array, n: int, *counts: int) -> mx.array:
    """(len(counts), n) int32: row i holds numbers from 0 to ``counts[i] - 1``, all equally likely.

    Most of what augmentations draw, they draw like this, and look up what it means in tables made on the host, where
    arithmetic is float64. On a CPU a compiled step has a kernel, compiled in half a second, for every two pieces of
    arithmetic that stand together; a look-up is none (``mx.take`` along an axis, that is: ``[:, i]`` is two).
    """
    u = mx.random.uniform(shape=(len(counts), n), key=key)
    return mx.contiguous((u * mx.array(counts, mx.float32)[:, None]).astype(mx.int32))


def draw_normals(key: mx.array, shape: tuple[int, ...], dtype: mx.Dtype) -> mx.array:
    """Normal numbers: one of STEPS quantiles each, a third of the time that MLX takes to compute them on a CPU."""
    (numbers,) = draw_integers(key, math.prod(shape), STEPS)
    return mx.take_along_axis(mx.array(normal_quantiles(), dtype), numbers, axis=0).reshape(shape)


@functools.lru_cache(maxsize=1)
def normal_quantiles() -> np.ndarray:
    """(STEPS,) float64, ascending: the quantiles (i + 0.5) / STEPS of the standard normal distribution."""
    return np.array([NormalDist().inv_cdf((i + 0.5) / STEPS) for i in range(STEPS)])


def bernoulli_table(p: float) -> mx.array:
    """(STEPS,) bool, a share ``p`` of them true: looked up with a random index, a Bernoulli variable."""
    return mx.array(np.arange(STEPS) < round(p * STEPS))
