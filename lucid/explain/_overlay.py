"""A heat map drawn over its image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

import lucid
from lucid import _checks
from lucid.data.decoding import load_pillow

if TYPE_CHECKING:
    from PIL import Image

# Colors at equal distances from 0 to the maximum.
_COLORS = np.array([(68, 1, 84), (184, 32, 90), (237, 92, 42), (252, 176, 48), (252, 250, 140)], np.float32)


def overlay(image: Any, heat: Any, opacity: float = 0.75) -> Image.Image:
    """A heat map over its image, as an RGB Pillow image of the size of ``image``.

    The map is resized to the image and divided by its largest value. Where it is 0 or negative the image shows
    unchanged; towards the maximum the color goes from purple over red to yellow and covers more of the image.

    Args:
        image: A Pillow image, or a uint8 array (H, W, 3) or (H, W).
        heat: The heat map (h, w), for example one of ``grad_cam``.
        opacity: How much of the image the color covers at the maximum, from 0 to 1.

    Raises:
        ValueError: The map has another shape, or values that are NaN or infinite.
        TypeError: ``image`` is neither a Pillow image nor a uint8 array.
        ImportError: Pillow is not installed.

    Example:
        >>> from lucid import explain
        >>> picture = explain.overlay(np.zeros((60, 80, 3), np.uint8), np.eye(4))
        >>> picture.size, picture.getpixel((79, 0))
        ((80, 60), (0, 0, 0))
    """
    where, pillow = "overlay", load_pillow()
    _checks.probability(where, "opacity", opacity)
    values = np.asarray(heat.detach().float().numpy() if isinstance(heat, lucid.Tensor) else heat, dtype=np.float32)
    _checks.rank(where, "heat", values.shape, 2, "(h, w)")
    if not values.size or not np.isfinite(values).all():
        raise ValueError(f"{where}: heat must have finite values, got shape {values.shape}")
    if not isinstance(image, pillow.Image.Image):
        pixels = np.asarray(image)
        if pixels.dtype != np.uint8 or pixels.shape[2:] not in ((), (3,)) or pixels.ndim < 2 or not pixels.size:
            raise TypeError(
                f"{where}: image must be a Pillow image or a uint8 array (H, W, 3) or (H, W), "
                f"got {pixels.dtype} {pixels.shape}"
            )
        image = pillow.Image.fromarray(pixels)
    pixels = np.asarray(image.convert("RGB"), dtype=np.float32)  # (H, W, 3)
    values = np.maximum(values, 0) / max(float(values.max()), np.finfo(np.float32).tiny)
    resized = pillow.Image.fromarray(values).resize(image.size, pillow.Image.Resampling.BILINEAR)
    values = np.asarray(resized).clip(0, 1)  # (H, W)
    share = opacity * values[..., None]
    mixed = (1 - share) * pixels + share * _color(values)
    return pillow.Image.fromarray(np.rint(mixed).astype(np.uint8))


def _color(values: np.ndarray) -> np.ndarray:
    """RGB colors (H, W, 3) of values in [0, 1]."""
    place = values * (len(_COLORS) - 1)
    below = np.minimum(place.astype(np.intp), len(_COLORS) - 2)
    part = (place - below)[..., None]
    return (1 - part) * _COLORS[below] + part * _COLORS[below + 1]
