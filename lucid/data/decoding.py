"""Image files to Pillow images as models want them: upright, in RGB, 8 bits, nothing transparent.

Pillow leaves Python's lock while it decodes and resizes, so threads do this on several cores.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Any

import numpy as np

from lucid import _checks

if TYPE_CHECKING:
    from PIL import Image

_ORIENTATION = 0x0112  # a tag of EXIF


class ImageError(OSError):
    """A file is no image that can be read.

    Attributes:
        path: of the file.
        reason: why, without the path.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


def open_image(path: str | os.PathLike[str], short_side: int | None = None) -> Image.Image:
    """The image in RGB, turned as the camera was held; 16 bits become 8, and what is transparent becomes white.

    ``short_side``: so many px are enough. A JPEG that has more is decoded at a half, a quarter or an eighth of its
    size if its short side keeps as many, in a fraction of the time; other formats are decoded whole.

    Of several frames it is the first. Formats are Pillow's, HEIC among them where pillow-heif is installed. Images of
    more than twice ``PIL.Image.MAX_IMAGE_PIXELS`` are refused, as Pillow does: they could unfold to fill the memory.

    Raises:
        ImageError: there is no such file, it is no image, it is damaged or cut off, or too large.
    """
    if short_side is not None:
        _checks.integer("open_image", "short_side", short_side, 1)
    name, pillow = os.fspath(path), load_pillow()
    try:
        if not stat.S_ISREG(os.stat(name).st_mode):  # opening a pipe would wait for ever
            raise ValueError("not a file")
        with pillow.Image.open(name) as file:
            if short_side is not None:
                file.draft(None, (short_side, short_side))
            file.load()
            return _plain_rgb(pillow, _upright(pillow, file))
    except Exception as error:  # a damaged file makes Pillow's readers raise anything, from SyntaxError to struct.error
        raise ImageError(name, _reason(pillow, name, error)) from error


def _upright(pillow: Any, image: Image.Image) -> Image.Image:
    """Turned as its EXIF says; where that is damaged the image stays as it lies in the file."""
    try:
        return image if image.getexif().get(_ORIENTATION, 1) == 1 else pillow.ImageOps.exif_transpose(image)
    except Exception:  # see open_image
        return image


def _plain_rgb(pillow: Any, image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        # Pillow would cut off at 255. Files with more than 8 bits of grey have 16.
        image = pillow.Image.fromarray((np.clip(np.asarray(image), 0, 65535) // 257).astype(np.uint8))
    elif image.mode == "F":
        raise ValueError("its pixels are floating-point numbers, whose range is not known")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = pillow.Image.alpha_composite(pillow.Image.new("RGBA", image.size, "white"), image)
    return image if image.mode == "RGB" else image.convert("RGB")


def _reason(pillow: Any, path: str, error: Exception) -> str:
    if isinstance(error, pillow.Image.DecompressionBombError | pillow.Image.DecompressionBombWarning):
        pixels = str(error).partition("(")[2].partition(" ")[0]
        return f"{pixels} pixels are more than Pillow takes, see PIL.Image.MAX_IMAGE_PIXELS"
    if isinstance(error, pillow.UnidentifiedImageError):
        if os.path.getsize(path) == 0:
            return "the file is empty"
        if path.lower().endswith((".heic", ".heif")):
            return "Pillow reads HEIC only with pillow-heif: pip install pillow-heif"
        return "not an image in a format that Pillow reads"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


_found: Any = None


def load_pillow() -> Any:
    """The package PIL, its modules Image and ImageOps loaded."""
    global _found
    if _found is None:
        try:
            import PIL
            from PIL import Image, ImageOps  # noqa: F401  # they become attributes of PIL
        except ImportError:
            raise ImportError('open_image: images are read by Pillow; pip install "lucid-mlx[vision]"') from None
        try:
            import pillow_heif  # type: ignore[import-not-found]

            pillow_heif.register_heif_opener()
        except ImportError:
            pass
        _found = PIL
    return _found
