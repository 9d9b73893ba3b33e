"""From image files to batches of equally large images: decoding and cropping, in threads."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from lucid import _checks
from lucid.data.decoding import load_pillow, open_image
from lucid.data.image_folder import num_cores

if TYPE_CHECKING:
    from PIL import Image

_ATTEMPTS = 10
Crop = Callable[["Image.Image", np.random.Generator], "Image.Image"]


class RandomResizedCrop:
    """A window of random size, shape and place of an image, resized to ``size``.

    ``scale``: between which shares of the area; ``ratio``: between which widths by height. A window that does not fit
    into the image is drawn again; after 10 attempts it is the largest one in the middle. ``size`` is an int, or
    height and width. Source: Szegedy et al. 2015, arXiv:1409.4842, as in torchvision.

    Call it as ``crop(image, rng)`` with a Pillow image and a NumPy generator. For batches see ``DecodeImages``.
    """

    def __init__(
        self, size: int | Sequence[int], scale: Sequence[float] = (0.08, 1.0), ratio: Sequence[float] = (3 / 4, 4 / 3),
        interpolation: str = "bicubic",
    ) -> None:  # fmt: skip
        self.size = _checks.pair("RandomResizedCrop", "size", size, 1)
        self.scale = _range("scale", scale)
        self.ratio = _range("ratio", ratio)
        self.interpolation = _checks.one_of(
            "RandomResizedCrop", "interpolation", interpolation, ("nearest", "bilinear", "bicubic", "lanczos")
        )

    def __call__(self, image: Image.Image, rng: np.random.Generator | None = None) -> Image.Image:
        rng = np.random.default_rng() if rng is None else rng
        left, top, width, height = self.window(*image.size, rng)
        height_out, width_out = self.size
        filter = getattr(load_pillow().Image.Resampling, self.interpolation.upper())
        return image.crop((left, top, left + width, top + height)).resize((width_out, height_out), filter)

    def window(self, width: int, height: int, rng: np.random.Generator) -> tuple[int, int, int, int]:
        """Left, top, width and height, in px, of a window in an image of ``width`` x ``height``."""
        low, high = math.log(self.ratio[0]), math.log(self.ratio[1])
        for _ in range(_ATTEMPTS):
            area = width * height * rng.uniform(*self.scale)
            ratio = math.exp(rng.uniform(low, high))
            w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < w <= width and 0 < h <= height:
                return int(rng.integers(width - w + 1)), int(rng.integers(height - h + 1)), w, h
        w = min(width, max(1, round(height * self.ratio[1])))
        h = min(height, max(1, round(width / self.ratio[0])))
        return (width - w) // 2, (height - h) // 2, w, h

    def __repr__(self) -> str:
        options = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({options})"


class DecodeImages:
    """Images of paths, for ``DataLoader(batch_transform=...)``: files are read, and ``crop(image, rng)`` of each taken.

    The first field of a batch are paths (``ImageFolder(root, loader=str)`` gives them); in their place come images
    (N, 3, H, W) of uint8. ``crop`` must give images of one size: a ``RandomResizedCrop``, for instance. Each image
    has a generator of its own, so that the same batch of the same epoch is the same again, whatever the threads do.

    ``short_side``: JPEGs are decoded smaller if their short side keeps so many px, see ``open_image``; None decodes
    all of them whole. The work is shared by ``num_threads`` threads (default: as many as there are cores), which all
    batches have in common: two workers of the loader keep them busy. Decoded images are kept for the next epoch until
    they take ``cache_bytes``; that changes nothing but the time.

    Raises:
        ImageError: a file cannot be read.
    """

    def __init__(
        self, crop: Crop, short_side: int | None = None, num_threads: int | None = None, cache_bytes: int = 0
    ) -> None:
        self.crop = crop
        self.short_side = None if short_side is None else _checks.integer("DecodeImages", "short_side", short_side, 1)
        self.num_threads = _checks.integer(
            "DecodeImages", "num_threads", num_cores() if num_threads is None else num_threads, 1
        )
        self.cache_bytes = _checks.integer("DecodeImages", "cache_bytes", cache_bytes, 0)
        self._pool = ThreadPoolExecutor(self.num_threads, "lucid-decode-images")
        self._lock = threading.Lock()
        self._cache: dict[str, Image.Image] = {}
        self._cached_bytes = 0

    def __call__(self, batch: Any, rng: np.random.Generator) -> Any:
        if isinstance(batch, (list, tuple)) and batch and not isinstance(batch[0], (str, os.PathLike)):
            return type(batch)([self(batch[0], rng), *batch[1:]])
        seeds = rng.integers(2**63, size=len(batch))
        return np.stack(list(self._pool.map(self._pixels, batch, seeds.tolist())))

    def _pixels(self, path: str, seed: int) -> np.ndarray:
        """(3, H, W) uint8."""
        image = self.crop(self._image(path), np.random.default_rng(seed))
        return np.asarray(image).transpose(2, 0, 1)

    def _image(self, path: str) -> Image.Image:
        """What is in the file, out of the cache if it is there."""
        image = self._cache.get(path)
        if image is None:
            image = open_image(path, self.short_side)
            size = 4 * image.width * image.height  # Pillow's pixels have 4 bytes
            with self._lock:
                if path not in self._cache and self._cached_bytes + size <= self.cache_bytes:
                    self._cache[path] = image
                    self._cached_bytes += size
        return image

    def __repr__(self) -> str:
        names = ("short_side", "num_threads", "cache_bytes")
        return f"{type(self).__name__}({self.crop!r}, {', '.join(f'{name}={getattr(self, name)}' for name in names)})"


def _range(name: str, values: Sequence[float]) -> tuple[float, float]:
    numbers = values if isinstance(values, Sequence) else ()
    found = tuple(_checks.number("RandomResizedCrop", name, one, 0, above=True) for one in numbers)
    if len(found) != 2 or found[0] > found[1]:
        raise ValueError(f"RandomResizedCrop: {name} must be a smaller number and a larger one, got {values!r}")
    return found
