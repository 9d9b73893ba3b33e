"""Masks as pictures: files with a palette, and overlays on photos."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from lucid import _checks
from lucid._files import write_atomically
from lucid.data.decoding import load_pillow

if TYPE_CHECKING:
    from PIL import Image

Color = tuple[int, int, int]


def voc_palette(count: int = 256) -> list[Color]:
    """The colors of Pascal VOC: black for class 0, then red, green, olive, ...

    Bit k of each channel, counted from the top, is bit 3k, 3k + 1 or 3k + 2 of the class number.
    Source: Everingham et al., VOCdevkit, ``VOClabelcolormap.m``.

    Example:
        >>> data.voc_palette(3)
        [(0, 0, 0), (128, 0, 0), (0, 128, 0)]
    """
    numbers = np.arange(count)
    channels = [
        sum((((numbers >> (3 * k + channel)) & 1) << (7 - k)) for k in range(8)) + np.zeros(count, int)
        for channel in range(3)
    ]
    return list(zip(*(one.tolist() for one in channels), strict=True))


def save_mask(path: str | os.PathLike[str], mask: np.ndarray, palette: Sequence[Color] | None = None) -> None:
    """Write class numbers (H, W) as a PNG with a palette, or of 16 bits if one is above 255. Written atomically.

    Args:
        path: The file, whose name should end with ``.png``.
        mask: Integers from 0 to 65535.
        palette: The color of each class; that of Pascal VOC by default.

    Raises:
        ValueError: ``mask`` is not (H, W), or a number is out of range.
        OSError: The file cannot be written.

    Example:
        >>> data.save_mask("mask.png", np.array([[0, 1], [2, 255]]))
        >>> data.open_mask("mask.png").tolist()
        [[0, 1], [2, 255]]
    """
    numbers = np.asarray(mask)
    if numbers.ndim != 2 or numbers.dtype.kind not in "iu" or not numbers.size:
        raise ValueError(f"save_mask: mask must be integers (H, W), got {numbers.dtype} {numbers.shape}")
    if numbers.min() < 0 or numbers.max() > 65535:
        raise ValueError(f"save_mask: numbers must be from 0 to 65535, got {numbers.min()} to {numbers.max()}")
    pillow = load_pillow()
    if numbers.max() > 255:
        image = pillow.Image.fromarray(numbers.astype(np.uint16))
    else:
        image = pillow.Image.fromarray(numbers.astype(np.uint8)).convert("L")
        image.putpalette(np.asarray(_colors(palette), np.uint8).tobytes())
    content = io.BytesIO()
    image.save(content, "PNG")
    write_atomically(path, content.getvalue())


def overlay(
    image: Image.Image | np.ndarray,
    mask: np.ndarray,
    palette: Sequence[Color] | None = None,
    alpha: float = 0.5,
    *,
    ignore_index: int = 255,
) -> Image.Image:
    """A photo with its mask drawn over it in colors; class 0 and ignored pixels stay as they are.

    Args:
        image: A Pillow image, or uint8 (H, W, 3).
        mask: Class numbers (H, W).
        palette: The color of each class; that of Pascal VOC by default. Classes from 256 on have those of 1 to 254.
        alpha: Opacity of the colors from 0 to 1.
        ignore_index: The class number of ignored pixels.

    Raises:
        ValueError: Image and mask differ in size, or ``alpha`` is out of range.

    Example:
        >>> data.overlay(np.zeros((2, 2, 3), np.uint8), np.array([[0, 1], [1, 0]])).size
        (2, 2)
    """
    pixels = np.asarray(image if isinstance(image, np.ndarray) else image.convert("RGB"))
    numbers, alpha = np.asarray(mask), _checks.number("overlay", "alpha", alpha, 0, 1)
    if numbers.shape != pixels.shape[:2]:
        raise ValueError(f"overlay: image {pixels.shape[:2]} and mask {numbers.shape} differ in size")
    shown = ((numbers > 0) & (numbers != ignore_index))[..., None]
    colors = np.asarray(_colors(palette), np.float32)[np.where(numbers > 255, (numbers - 1) % 254 + 1, numbers)]
    mixed = np.where(shown, (1 - alpha) * pixels + alpha * colors, pixels)
    return load_pillow().Image.fromarray(np.rint(mixed).astype(np.uint8))


def _colors(palette: Sequence[Color] | None) -> list[Color]:
    """256 colors: those given, then Pascal VOC's."""
    given = [] if palette is None else list(palette)[:256]
    return given + voc_palette()[len(given) :]
