"""Transforms of whole batches of images, in NumPy, for ``DataLoader(batch_transform=...)``.

A transform is called as ``transform(batch, rng)``. It changes the images and passes the rest on: the batch may be the
images alone, or a list or tuple whose first field is the images. Images are (N, C, H, W); a single (C, H, W) works as
well, so that a transform can also be the ``transform`` of a dataset. Inputs are never changed in place. All
randomness comes from ``rng`` (the loader gives one per batch, from seed, epoch and batch number); without one, a
fresh generator is used.

Cropping and flipping are cheapest on uint8, before ``ToFloat``.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from lucid import _checks
from lucid.data.decoding import load_pillow, open_image
from lucid.data.image_folder import num_cores

if TYPE_CHECKING:
    from PIL import Image

__all__ = [
    "CenterCrop", "Compose", "DecodeImages", "Normalize", "RandomCrop", "RandomHorizontalFlip", "RandomResizedCrop",
    "ToFloat", "Transform",
]  # fmt: skip

_PADDING_MODES = ("constant", "edge", "reflect", "symmetric")
_ATTEMPTS = 10
Crop = Callable[["Image.Image", np.random.Generator], "Image.Image"]


class Transform:
    """A change of a batch of images. Subclasses define ``apply(images, rng)`` for images (N, C, H, W)."""

    def __call__(self, batch: Any, rng: np.random.Generator | None = None) -> Any:
        if isinstance(batch, (list, tuple)):
            images = self(batch[0], rng)
            if hasattr(batch, "_fields"):
                return type(batch)(images, *batch[1:])
            return type(batch)([images, *batch[1:]])
        name = type(self).__name__
        if not isinstance(batch, np.ndarray):
            raise TypeError(
                f"{name}: needs NumPy images, or a list or tuple that starts with them, got {type(batch).__name__}"
            )
        if batch.ndim not in (3, 4):
            raise ValueError(f"{name}: images must be (N, C, H, W) or (C, H, W), got shape {batch.shape}")
        rng = np.random.default_rng() if rng is None else rng
        return self.apply(batch, rng) if batch.ndim == 4 else self.apply(batch[None], rng)[0]

    def apply(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        raise NotImplementedError(f"{type(self).__name__}: define apply(images, rng)")

    def __repr__(self) -> str:
        options = ", ".join(f"{name}={value!r}" for name, value in vars(self).items() if not name.startswith("_"))
        return f"{type(self).__name__}({options})"


class Compose:
    """Several transforms, one after the other."""

    def __init__(self, transforms: Sequence[Callable[..., Any]]) -> None:
        self.transforms = list(transforms)

    def __call__(self, batch: Any, rng: np.random.Generator | None = None) -> Any:
        rng = np.random.default_rng() if rng is None else rng
        for transform in self.transforms:
            batch = transform(batch, rng)
        return batch

    def __repr__(self) -> str:
        return f"Compose([{', '.join(map(repr, self.transforms))}])"


class ToFloat(Transform):
    """float32 images from 0 to 1: the values divided by ``max_value`` (255; 16 for ``Digits``)."""

    def __init__(self, max_value: float = 255) -> None:
        self.max_value = _checks.number("ToFloat", "max_value", max_value, 0.0, above=True)

    def apply(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return np.multiply(images, np.float32(1 / self.max_value), dtype=np.float32)


class Normalize(Transform):
    """``(images - mean) / std`` per channel, on the scale of the images, so ``ToFloat`` comes first.

    Raises:
        ValueError: lengths that do not fit each other or the channels, or a ``std`` that is not positive.
        TypeError: images of integers.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        self.mean = tuple(float(value) for value in mean)
        self.std = tuple(float(value) for value in std)
        if len(self.mean) != len(self.std):
            raise ValueError(f"Normalize: mean has {len(self.mean)} channels but std has {len(self.std)}")
        if not all(value > 0 for value in self.std):
            raise ValueError(f"Normalize: std must be positive, got {self.std}")
        # As one multiplication and one addition: x * scale + shift.
        self._scale = (1 / np.asarray(self.std)).astype(np.float32)[:, None, None]
        self._shift = (-np.asarray(self.mean) / np.asarray(self.std)).astype(np.float32)[:, None, None]

    def apply(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        if images.dtype.kind != "f":
            raise TypeError(f"Normalize: images must be floats, got {images.dtype}; put ToFloat before it")
        if images.shape[1] != len(self.mean):
            raise ValueError(f"Normalize: images have {images.shape[1]} channels but mean has {len(self.mean)}")
        out = images * self._scale
        out += self._shift
        return out


class CenterCrop(Transform):
    """The middle ``size`` (an int, or height and width) of each image."""

    def __init__(self, size: int | Sequence[int]) -> None:
        self.size = _checks.pair("CenterCrop", "size", size, 1)

    def apply(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        height, width = _checked_window("CenterCrop", images, self.size)
        top, left = (images.shape[2] - height) // 2, (images.shape[3] - width) // 2
        return images[:, :, top : top + height, left : left + width].copy()


class RandomCrop(Transform):
    """A window of ``size`` at a random place of each image, after ``padding`` pixels were added on every side.

    ``size`` is an int, or height and width; ``padding`` is an int, or (left and right, top and bottom) as in
    torchvision. ``padding_mode`` is "constant" (``fill``), "edge", "reflect" or "symmetric".

    Raises:
        ValueError: options out of range, or padded images smaller than ``size``.
    """

    def __init__(
        self,
        size: int | Sequence[int],
        padding: int | Sequence[int] = 0,
        fill: float = 0,
        padding_mode: str = "constant",
    ) -> None:
        self.size = _checks.pair("RandomCrop", "size", size, 1)
        self.padding = _checks.pair("RandomCrop", "padding", padding, 0)
        self.fill = fill
        self.padding_mode = _checks.one_of("RandomCrop", "padding_mode", padding_mode, _PADDING_MODES)

    def apply(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        x_pad, y_pad = self.padding
        widths = ((0, 0), (0, 0), (y_pad, y_pad), (x_pad, x_pad))
        if self.padding_mode == "constant":
            images = np.pad(images, widths, constant_values=self.fill)
        else:
            images = np.pad(images, widths, mode=self.padding_mode)  # type: ignore[call-overload]
        height, width = _checked_window("RandomCrop", images, self.size)
        n = len(images)
        tops = rng.integers(images.shape[2] - height + 1, size=n)
        lefts = rng.integers(images.shape[3] - width + 1, size=n)
        windows = sliding_window_view(
            images, (height, width), axis=(2, 3)
        )  # (N, C, tops, lefts, height, width), a view
        return windows[np.arange(n), :, tops, lefts]  # (N, C, height, width)


class RandomHorizontalFlip(Transform):
    """Each image mirrored left to right with probability ``p``."""

    def __init__(self, p: float = 0.5) -> None:
        self.p = _checks.probability("RandomHorizontalFlip", "p", p)

    def apply(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        flipped = rng.random(len(images)) < self.p
        out = images.copy()
        out[flipped] = images[flipped, :, :, ::-1]
        return out


def _checked_window(name: str, images: np.ndarray, size: tuple[int, int]) -> tuple[int, int]:
    if images.shape[2] < size[0] or images.shape[3] < size[1]:
        raise ValueError(f"{name}: size {size} does not fit into images of {images.shape[2]} x {images.shape[3]}")
    return size


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
