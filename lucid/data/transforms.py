"""Transforms of whole batches of images, in NumPy, for ``DataLoader(batch_transform=...)``.

A transform is called as ``transform(batch, rng)``. It changes the images and passes the rest on: the batch may be the
images alone, or a list or tuple whose first field is the images. Images are (N, C, H, W); a single (C, H, W) works as
well, so that a transform can also be the ``transform`` of a dataset. Inputs are never changed in place. All
randomness comes from ``rng`` (the loader gives one per batch, from seed, epoch and batch number); without one, a
fresh generator is used.

Cropping and flipping are cheapest on uint8, before ``ToFloat``.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from lucid import _checks
from lucid.data.cropping import DecodeImages, RandomResizedCrop

__all__ = [
    "CenterCrop", "Compose", "DecodeImages", "Normalize", "RandomCrop", "RandomHorizontalFlip", "RandomResizedCrop",
    "ToFloat", "Transform",
]  # fmt: skip

_PADDING_MODES = ("constant", "edge", "reflect", "symmetric")


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
