"""Host transforms: decoding, cropping and scaling of images in the loader's threads, with Pillow and NumPy.

``HostTransform`` is the protocol. ``DataLoader(batch_transform=...)`` calls a host transform with each collated batch;
``DecodeImages`` calls the one it is given with each decoded image. Transforms of whole batches on the device are in
``lucid.data.augment``; when to use which is in ``lucid.data``.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from lucid import _checks
from lucid.data.decoding import load_pillow, opened_image
from lucid.data.image_folder import num_cores

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["CenterCrop", "DecodeImages", "HostTransform", "RandomResizedCrop", "ToFloat", "Transform"]

_ATTEMPTS = 10


class HostTransform(Protocol):
    """A callable ``transform(value, rng)``; any function of these two arguments qualifies.

    ``value`` is a NumPy batch in ``DataLoader(batch_transform=...)`` and a Pillow image in ``DecodeImages``; the result
    takes its place. It must not be modified in place. Draw all random numbers from ``rng``: the loader derives it from
    the seed, the epoch and the batch number, which makes epochs reproducible with any number of threads.

    Example:
        >>> def add_noise(batch, rng):
        ...     images, labels = batch
        ...     return images + rng.normal(0, 0.1, images.shape).astype(np.float32), labels
        ...
        >>> loader = data.DataLoader(data.Digits(), batch_size=64, seed=0, batch_transform=add_noise)
    """

    def __call__(self, value: Any, rng: np.random.Generator, /) -> Any: ...


class Transform:
    """Base class for host transforms of NumPy images: define ``apply(images, rng)`` for images (N, C, H, W).

    A batch is the images alone, or a list or tuple that starts with them; the other fields are passed through. A
    single image (C, H, W) works too, as the ``transform`` of a dataset gets it. Without ``rng`` a new generator is
    used.

    Example:
        >>> class Invert(data.transforms.Transform):
        ...     def apply(self, images, rng):
        ...         return 16 - images
        ...
        >>> loader = data.DataLoader(data.Digits(), batch_size=64, batch_transform=Invert())
    """

    def __call__(self, batch: Any, rng: np.random.Generator | None = None) -> Any:
        if isinstance(batch, (list, tuple)):
            return _with_images(batch, self(batch[0], rng))
        name = type(self).__name__
        if not isinstance(batch, np.ndarray):
            raise TypeError(
                f"{name}: expected NumPy images, or a list or tuple that starts with them, got {type(batch).__name__}"
            )
        if batch.ndim not in (3, 4):
            raise ValueError(f"{name}: images must be (N, C, H, W) or (C, H, W), got shape {batch.shape}")
        rng = np.random.default_rng() if rng is None else rng
        return self.apply(batch, rng) if batch.ndim == 4 else self.apply(batch[None], rng)[0]

    def apply(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The changed images (N, C, H, W); subclasses define it and draw from ``rng`` only."""
        raise NotImplementedError(f"{type(self).__name__}: define apply(images, rng)")

    def __repr__(self) -> str:
        options = ", ".join(f"{name}={value!r}" for name, value in vars(self).items() if not name.startswith("_"))
        return f"{type(self).__name__}({options})"


class ToFloat(Transform):
    """Convert images to float32 in [0, 1] by dividing by ``max_value`` (255; 16 for ``Digits``).

    Args:
        max_value: The pixel value that becomes 1: 255, or 16 for ``Digits``.

    Example:
        >>> scale = data.transforms.ToFloat(255)
        >>> scale(np.full((1, 3, 2, 2), 255, np.uint8)).max().item()
        1.0
    """

    def __init__(self, max_value: float = 255) -> None:
        self.max_value = _checks.number("ToFloat", "max_value", max_value, 0.0, above=True)

    def apply(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return np.multiply(images, np.float32(1 / self.max_value), dtype=np.float32)


class CenterCrop(Transform):
    """Crop the center of each image to ``size``, an int or (height, width).

    Args:
        size: An integer or (height, width) in px.

    Example:
        >>> crop = data.transforms.CenterCrop(24)
        >>> crop(np.zeros((8, 3, 32, 32), np.uint8)).shape
        (8, 3, 24, 24)
    """

    def __init__(self, size: int | Sequence[int]) -> None:
        self.size = _checks.pair("CenterCrop", "size", size, 1)

    def apply(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        height, width = self.size
        if images.shape[2] < height or images.shape[3] < width:
            raise ValueError(
                f"CenterCrop: size {self.size} is larger than the images of {images.shape[2]} x {images.shape[3]}"
            )
        top, left = (images.shape[2] - height) // 2, (images.shape[3] - width) // 2
        return images[:, :, top : top + height, left : left + width].copy()


class RandomResizedCrop:
    """Crop a random area of a Pillow image and resize it to ``size``, an int or (height, width).

    ``scale`` bounds the area of the crop as a fraction of the image, ``ratio`` its aspect ratio (width / height). A
    crop that does not fit the image is drawn again; after 10 attempts it is the largest one in the center. Source:
    Szegedy et al. 2015, arXiv:1409.4842, as in torchvision.

    Args:
        size: Size of the result, an integer or (height, width) in px.
        scale: Bounds of the crop's area as a fraction of the image.
        ratio: Bounds of the crop's aspect ratio (width / height).
        interpolation: "nearest", "bilinear", "bicubic" or "lanczos".

    Example:
        >>> from PIL import Image
        >>> crop = data.transforms.RandomResizedCrop(224)
        >>> crop(Image.new("RGB", (500, 375)), np.random.default_rng(0)).size
        (224, 224)
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
        left, top, width, height = self.sample_box(*image.size, rng)
        height_out, width_out = self.size
        resampling = getattr(load_pillow().Image.Resampling, self.interpolation.upper())
        return image.crop((left, top, left + width, top + height)).resize((width_out, height_out), resampling)

    def sample_box(self, width: int, height: int, rng: np.random.Generator) -> tuple[int, int, int, int]:
        """Draw the left, top, width and height in pixels of a crop of a ``width`` x ``height`` image."""
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
    """Turn a batch of paths into images (N, 3, H, W) of uint8, for ``DataLoader(batch_transform=...)``.

    The paths are the first field of the batch, as from ``ImageFolder(root, loader=str)``; the other fields are passed
    through. A pool of threads, shared by all batches, decodes the files; ``num_workers=2`` in the loader keeps it busy.
    Every image gets its own generator, so results do not depend on the number of threads.

    Args:
        transform: turns each decoded image into one of fixed size, such as ``RandomResizedCrop``. Called with a
            Pillow image and a generator; returns a Pillow image or an array (H, W, 3) of uint8.
        short_side: decode JPEGs at reduced size as long as their short side keeps this many pixels, see ``open_image``.
            None decodes at full size.
        num_threads: threads in the pool; the number of cores by default.
        cache_bytes: keep decoded images in memory for the next epoch, up to this size. Does not change the results.

    Raises:
        ImageError: a file cannot be read.

    Example:
        >>> photos = data.ImageFolder("photos/train", loader=str)
        >>> decode = data.transforms.DecodeImages(data.transforms.RandomResizedCrop(224))
        >>> loader = data.DataLoader(photos, batch_size=2, shuffle=True, num_workers=2, batch_transform=decode)
        >>> images, labels = next(iter(loader))
        >>> images.shape
        (2, 3, 224, 224)
    """

    def __init__(
        self, transform: HostTransform, short_side: int | None = None, num_threads: int | None = None,
        cache_bytes: int = 0,
    ) -> None:  # fmt: skip
        self.transform = transform
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
            return _with_images(batch, self(batch[0], rng))
        seeds = rng.integers(2**63, size=len(batch))
        return np.stack(list(self._pool.map(self._pixels, batch, seeds.tolist())))

    def _pixels(self, path: str, seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        image = self._cache.get(path)
        if image is not None:
            return self._transformed(image, rng)
        with opened_image(path, self.short_side) as image:
            self._keep(path, image)
            return self._transformed(image, rng)

    def _transformed(self, image: Image.Image, rng: np.random.Generator) -> np.ndarray:
        return np.asarray(self.transform(image, rng)).transpose(2, 0, 1)  # (3, H, W)

    def _keep(self, path: str, image: Image.Image) -> None:
        """Add the decoded file to the cache if there is space."""
        size = 4 * image.width * image.height  # Pillow stores 4 bytes per pixel
        with self._lock:
            if path not in self._cache and self._cached_bytes + size <= self.cache_bytes:
                self._cache[path] = image
                self._cached_bytes += size

    def __repr__(self) -> str:
        names = ("short_side", "num_threads", "cache_bytes")
        options = ", ".join(f"{name}={getattr(self, name)}" for name in names)
        return f"{type(self).__name__}({self.transform!r}, {options})"


def _with_images(batch: Any, images: np.ndarray) -> Any:
    """``batch``, a list or tuple of either kind, with another first field."""
    fields = [images, *batch[1:]]
    return type(batch)(*fields) if hasattr(batch, "_fields") else type(batch)(fields)


def _range(name: str, values: Sequence[float]) -> tuple[float, float]:
    numbers = values if isinstance(values, Sequence) else ()
    found = tuple(_checks.number("RandomResizedCrop", name, value, 0, above=True) for value in numbers)
    if len(found) != 2 or found[0] > found[1]:
        raise ValueError(f"RandomResizedCrop: {name} must be (min, max), got {values!r}")
    return found
