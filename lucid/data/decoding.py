"""Decode image files to upright 8-bit RGB Pillow images without transparency.

Every image file is opened here, with the formats of ``FORMATS`` only: left to itself, Pillow recognizes a file by its
contents and starts Ghostscript for PostScript named ``cat.jpg``.

Pillow releases the GIL while it decodes and resizes, so threads run in parallel. The pixels that all threads decode at
the same time are limited, so that a folder of huge images does not fill the memory.
"""

from __future__ import annotations

import contextlib
import os
import stat
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from lucid import _checks

if TYPE_CHECKING:
    from PIL import Image

# Pillow's names; those that are not installed are left out.
FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "HEIF", "AVIF", "TIFF", "GIF", "BMP", "PPM", "JPEG2000", "TGA")
PIXELS_AT_ONCE = 200_000_000  # of all threads together: 0.8 GB, and as much again where colors are converted
_BAND_PIXELS = 1 << 22  # converted at a time
_ORIENTATION = 0x0112  # an EXIF tag
# What follows "ftyp" at byte 4 of a file.
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1")


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


class _PixelBudget:
    """Limits the pixels that all threads hold together. A thread waits for the others, never for itself."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._used = 0
        self._own = threading.local()

    @contextlib.contextmanager
    def hold(self, pixels: int) -> Iterator[None]:
        own = getattr(self._own, "pixels", 0)
        with self._changed:
            # An image above the limit is decoded alone.
            self._changed.wait_for(lambda: own or not self._used or self._used + pixels <= PIXELS_AT_ONCE)
            self._used += pixels
        self._own.pixels = own + pixels
        try:
            yield
        finally:
            self._own.pixels = own
            with self._changed:
                self._used -= pixels
                self._changed.notify_all()


_budget = _PixelBudget()


def open_image(path: str | os.PathLike[str], short_side: int | None = None) -> Image.Image:
    """Decode an image file to 8-bit RGB. EXIF orientation is applied, and transparent pixels become white.

    Multi-frame files give their first frame. The formats are JPEG, PNG, WebP, AVIF, TIFF, GIF, BMP, PPM, JPEG 2000 and
    TGA, and HEIC if pillow-heif is installed. The contents decide, not the name.

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
    with opened_image(path, short_side) as image:
        return image


@contextlib.contextmanager
def opened_image(path: str | os.PathLike[str], short_side: int | None = None) -> Iterator[Image.Image]:
    """``open_image`` for a block that needs the image only inside: it counts towards the limit of pixels until then."""
    if short_side is not None:
        _checks.integer("open_image", "short_side", short_side, 1)
    name, pillow = os.fspath(path), load_pillow()
    with contextlib.ExitStack() as stack:
        try:
            image = _decoded(pillow, name, short_side, stack)
        except Exception as error:  # Pillow raises anything for damaged files, from SyntaxError to struct.error
            raise ImageError(name, reason_of(pillow, name, error)) from error
        yield image


@contextlib.contextmanager
def image_header(path: str | os.PathLike[str]) -> Iterator[Image.Image]:
    """An image file with its size and EXIF data, but not decoded. The only place that opens image files.

    Raises:
        OSError: it cannot be read, or is not an image.
        ValueError: it is not a regular file.
    """
    pillow = load_pillow()
    if not stat.S_ISREG(os.stat(path).st_mode):  # opening a pipe would block
        raise ValueError("not a file")
    with pillow.Image.open(path, formats=_formats) as file:
        yield file


def _decoded(pillow: Any, name: str, short_side: int | None, stack: contextlib.ExitStack) -> Image.Image:
    with image_header(name) as file:
        if short_side is not None:
            file.draft(None, (short_side, short_side))
        stack.enter_context(_budget.hold(file.width * file.height))
        file.load()
        return _plain_rgb(pillow, upright(pillow, file))


def upright(pillow: Any, image: Image.Image) -> Image.Image:
    """Apply the EXIF orientation; ignore damaged EXIF data."""
    try:
        return image if image.getexif().get(_ORIENTATION, 1) == 1 else pillow.ImageOps.exif_transpose(image)
    except Exception:  # anything, as in open_image
        return image


def _plain_rgb(pillow: Any, image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise ValueError("floating-point pixels have no known range")
    if image.mode.startswith("I"):
        return _in_bands(pillow, image, lambda band: _eight_bits(pillow, band))
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        return _in_bands(pillow, image, lambda band: _on_white(pillow, band))
    return image if image.mode == "RGB" else image.convert("RGB")


def _in_bands(pillow: Any, image: Image.Image, convert: Callable[[Image.Image], Image.Image]) -> Image.Image:
    """``convert(image)``, some rows at a time: the steps of a conversion need several copies."""
    rows = max(1, _BAND_PIXELS // image.width)
    if image.height <= rows:
        return convert(image)
    result = pillow.Image.new("RGB", image.size)
    for top in range(0, image.height, rows):
        box = (0, top, image.width, min(top + rows, image.height))
        result.paste(convert(image.crop(box)), box)
    return result


def _eight_bits(pillow: Any, image: Image.Image) -> Image.Image:
    # Pillow would clip at 255. Grayscale files with more than 8 bits have 16.
    image = pillow.Image.fromarray((np.clip(np.asarray(image), 0, 65535) // 257).astype(np.uint8))
    return image.convert("RGB")


def _on_white(pillow: Any, image: Image.Image) -> Image.Image:
    image = image.convert("RGBA")
    return pillow.Image.alpha_composite(pillow.Image.new("RGBA", image.size, "white"), image).convert("RGB")


def reason_of(pillow: Any, path: str, error: Exception) -> str:
    """Why Pillow could not read a file, without the path."""
    if isinstance(error, pillow.Image.DecompressionBombError | pillow.Image.DecompressionBombWarning):
        pixels = str(error).partition("(")[2].partition(" ")[0]
        return f"{pixels} pixels exceed the limit of Pillow, see PIL.Image.MAX_IMAGE_PIXELS"
    if isinstance(error, pillow.UnidentifiedImageError):
        return _unidentified(path)
    if isinstance(error, MemoryError):
        return "not enough memory to decode it"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()) or type(error).__name__


def _unidentified(path: str) -> str:
    with open(path, "rb") as file:
        start = file.read(12)
    if not start:
        return "the file is empty"
    if start[4:8] == b"ftyp" and start[8:] in _HEIC_BRANDS:
        return 'Pillow reads HEIC only with pillow-heif: pip install "lucid-mlx[vision]"'
    return "not an image in a supported format"


_pillow: Any = None
_formats: list[str] = []  # those of ``FORMATS`` that Pillow has here


def load_pillow() -> Any:
    """The package PIL with its modules Image and ImageOps, and HEIC support if pillow-heif is installed."""
    global _pillow, _formats
    if _pillow is None:
        try:
            import PIL
            from PIL import Image, ImageOps  # noqa: F401  # loads them as attributes of PIL
        except ImportError:
            raise ImportError('open_image: Pillow is required; pip install "lucid-mlx[vision]"') from None
        try:
            import pillow_heif

            pillow_heif.register_heif_opener()
        except ImportError:
            pass
        PIL.Image.init()  # the plugins of rarer formats
        _formats = [name for name in FORMATS if name in PIL.Image.OPEN]
        _pillow = PIL
    return _pillow
