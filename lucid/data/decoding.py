"""Decode image files to upright 8-bit RGB Pillow images without transparency.

Pillow releases the GIL while it decodes and resizes, so threads run in parallel.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Any

import numpy as np

from lucid import _checks

if TYPE_CHECKING:
    from PIL import Image

_ORIENTATION = 0x0112  # an EXIF tag


class ImageError(OSError):
    """An image file cannot be read.

    Attributes:
        path: the file.
        reason: why, without the path.

    Example:
        >>> try:
        ...     data.open_image("no such file.jpg")
        ... except (data.ImageError, OSError):
        ...     print("skipped")
        ...
        skipped
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


def open_image(path: str | os.PathLike[str], short_side: int | None = None) -> Image.Image:
    """Decode an image file to 8-bit RGB. EXIF orientation is applied, and transparent pixels become white.

    Multi-frame files give their first frame. All formats of Pillow are supported, and HEIC if pillow-heif is installed.

    Args:
        path: the file.
        short_side: decode JPEGs at 1/2, 1/4 or 1/8 of their size, in a fraction of the time, as long as the short side
            keeps this many pixels. Other formats are decoded at full size.

    Raises:
        ImageError: the file does not exist, is not an image, is damaged or truncated, or has more than twice
            ``PIL.Image.MAX_IMAGE_PIXELS`` pixels (a decompression bomb).

    Example:
        >>> data.open_image("photos/train/cat/0.jpg").size
        (64, 48)
    """
    if short_side is not None:
        _checks.integer("open_image", "short_side", short_side, 1)
    name, pillow = os.fspath(path), load_pillow()
    try:
        if not stat.S_ISREG(os.stat(name).st_mode):  # opening a pipe would block
            raise ValueError("not a file")
        with pillow.Image.open(name) as file:
            if short_side is not None:
                file.draft(None, (short_side, short_side))
            file.load()
            return _plain_rgb(pillow, _upright(pillow, file))
    except Exception as error:  # Pillow raises anything for damaged files, from SyntaxError to struct.error
        raise ImageError(name, _reason(pillow, name, error)) from error


def _upright(pillow: Any, image: Image.Image) -> Image.Image:
    """Apply the EXIF orientation; ignore damaged EXIF data."""
    try:
        return image if image.getexif().get(_ORIENTATION, 1) == 1 else pillow.ImageOps.exif_transpose(image)
    except Exception:  # anything, as in open_image
        return image


def _plain_rgb(pillow: Any, image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        # Pillow would clip at 255. Grayscale files with more than 8 bits have 16.
        image = pillow.Image.fromarray((np.clip(np.asarray(image), 0, 65535) // 257).astype(np.uint8))
    elif image.mode == "F":
        raise ValueError("floating-point pixels have no known range")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = pillow.Image.alpha_composite(pillow.Image.new("RGBA", image.size, "white"), image)
    return image if image.mode == "RGB" else image.convert("RGB")


def _reason(pillow: Any, path: str, error: Exception) -> str:
    if isinstance(error, pillow.Image.DecompressionBombError | pillow.Image.DecompressionBombWarning):
        pixels = str(error).partition("(")[2].partition(" ")[0]
        return f"{pixels} pixels exceed the limit of Pillow, see PIL.Image.MAX_IMAGE_PIXELS"
    if isinstance(error, pillow.UnidentifiedImageError):
        if os.path.getsize(path) == 0:
            return "the file is empty"
        if path.lower().endswith((".heic", ".heif")):
            return "Pillow reads HEIC only with pillow-heif: pip install pillow-heif"
        return "not an image in a format that Pillow supports"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


_pillow: Any = None


def load_pillow() -> Any:
    """The package PIL with its modules Image and ImageOps, and HEIC support if pillow-heif is installed."""
    global _pillow
    if _pillow is None:
        try:
            import PIL
            from PIL import Image, ImageOps  # noqa: F401  # loads them as attributes of PIL
        except ImportError:
            raise ImportError('open_image: Pillow is required; pip install "lucid-mlx[vision]"') from None
        try:
            import pillow_heif  # type: ignore[import-not-found]

            pillow_heif.register_heif_opener()
        except ImportError:
            pass
        _pillow = PIL
    return _pillow
