"""Evaluation preprocessing: resizing, cropping and normalization as a published checkpoint expects them.

    transform = lucid.models.transforms_for("timm/convnext_tiny.fb_in1k")
    logits = model(transform([lucid.data.open_image(path) for path in paths]))

The libraries differ in details that affect accuracy: the filter, the size before the crop, whether large images are
squashed or cropped, and how the center is rounded. Images are resized with Pillow, as in those libraries.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from types import ModuleType
from typing import TYPE_CHECKING, Any

import mlx.core as mx
import numpy as np

from lucid import _checks, memory, nn, tape
from lucid._tensor import Tensor
from lucid.models.weights.tags import IMAGENET_MEAN, IMAGENET_STD, Tag, find_tag, tags_of

if TYPE_CHECKING:
    from PIL import Image

_MAX_ASPECT = 256  # long side over short side; the crop discards nearly all of a longer image
_MIN_SQUASHED = 384  # px; the authors and transformers crop smaller images and squash larger ones


@dataclass(frozen=True)
class ImageTransform:
    """Turn images into the input of a model: resize, crop, normalize.

    A call takes a Pillow image or a uint8 array (H, W, 3), (H, W), (H, W, 1) or (H, W, 4), and returns a float32 tensor
    (3, image_size, image_size). Given a list of images or an array (N, H, W, 3), it returns a batch
    (N, 3, image_size, image_size).

    Modes other than RGB are converted by ``Image.convert("RGB")``, which drops transparency and clips 16-bit values at
    255. The EXIF orientation is ignored; use ``ImageOps.exif_transpose``. Other libraries do the same.

    Args:
        image_size: Size of the crop in px.
        resize_size: Size to which the image is resized before the crop, in px.
        crop_mode: "center" resizes the short side and crops the center; "squash" resizes both sides, whatever the
            aspect ratio.
        interpolation: "bicubic" or "bilinear".
        mean: Mean per channel on the scale from 0 to 1, subtracted.
        std: Standard deviation per channel, divided by.
        round_crop: Round an uneven margin of the crop half to even, as torchvision does; False rounds it down, as
            transformers does.

    Example:
        >>> transform = models.ImageTransform(image_size=224, resize_size=256)
        >>> transform(np.zeros((375, 500, 3), np.uint8)).shape
        (3, 224, 224)
    """

    image_size: int = 224
    resize_size: int = 256
    crop_mode: str = "center"
    interpolation: str = "bicubic"
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    round_crop: bool = True

    def __post_init__(self) -> None:
        where = type(self).__name__
        _checks.integer(where, "image_size", self.image_size, 1)
        _checks.integer(where, "resize_size", self.resize_size, self.image_size)
        needed = 12 * self.resize_size**2  # float32, (3, H, W)
        if needed > memory.total():
            raise ValueError(
                f"{where}: an image of {self.resize_size} x {self.resize_size} px takes {needed / 1e9:,.0f} GB, "
                f"this device has {memory.total() / 1e9:,.0f} GB"
            )
        _checks.one_of(where, "crop_mode", self.crop_mode, ("center", "squash"))
        _checks.one_of(where, "interpolation", self.interpolation, ("bicubic", "bilinear"))
        for name in ("mean", "std"):
            values: Any = getattr(self, name)
            if not isinstance(values, list | tuple) or len(values) not in (1, 3):
                raise ValueError(f"{where}: {name} must be 3 numbers, or 1 for all channels, got {values!r}")
            numbers = (_checks.number(where, name, one, 0.0 if name == "std" else None, above=True) for one in values)
            object.__setattr__(self, name, tuple(numbers))  # so that lists, as from JSON, compare equal

    def __call__(self, images: Any) -> Tensor:
        if isinstance(images, list | tuple):
            if not images:
                raise ValueError(f"{type(self).__name__}: expected at least one image")
            return tape.wrap(mx.array(np.stack([self._pixels(image) for image in images])))
        if getattr(images, "ndim", 0) == 4:
            return self(list(np.asarray(images)))
        return tape.wrap(mx.array(self._pixels(images)))

    def crop(self, image: Any) -> Image.Image:
        """The resized and cropped image, before normalization."""
        image = _rgb(type(self).__name__, image)
        if self.crop_mode == "center":
            image = _crop_long_side(image)
        width, height = image.size
        if self.crop_mode == "squash":
            size = (self.resize_size, self.resize_size)
        elif width <= height:
            size = (self.resize_size, int(self.resize_size * height / width))
        else:
            size = (int(self.resize_size * width / height), self.resize_size)
        image = image.resize(size, _pillow().Resampling[self.interpolation.upper()])
        left, top = (self._margin(length) for length in size)
        return image.crop((left, top, left + self.image_size, top + self.image_size))

    def _margin(self, length: int) -> int:
        surplus = length - self.image_size
        return round(surplus / 2) if self.round_crop else surplus // 2

    def _pixels(self, image: Any) -> np.ndarray:
        pixels = np.asarray(self.crop(image), dtype=np.float32) / np.float32(255)  # (H, W, 3)
        pixels = (pixels - np.array(self.mean, np.float32)) / np.array(self.std, np.float32)
        return np.ascontiguousarray(pixels.transpose(2, 0, 1))

    def __repr__(self) -> str:
        side = "both sides" if self.crop_mode == "squash" else "short side"
        steps = [f"resize {side} to {self.resize_size} px ({self.interpolation})"]
        if self.resize_size > self.image_size or self.crop_mode == "center":
            steps.append(f"center crop {self.image_size}x{self.image_size} px")
        return f"{type(self).__name__}({', '.join(steps)}, mean {self.mean}, std {self.std})"


def transforms_for(
    source: str | Tag | nn.Module, *, image_size: int | None = None, use_test_size: bool = False
) -> ImageTransform:
    """The evaluation preprocessing of a published checkpoint.

    Args:
        source: The name of a checkpoint, a variant (which stands for its default checkpoint), a tag, or a model with
            pretrained weights or with ``preprocessing``.
        image_size: A different size in px; the crop fraction stays the same.
        use_test_size: Use the size and crop at which timm reports the best accuracy (often 288 px), if there are any.

    Raises:
        ValueError: There is no such checkpoint or variant, or the model has no pretrained weights.
    """
    own = getattr(source, "preprocessing", None)
    if isinstance(source, nn.Module) and own is not None and getattr(source, "pretrained_tag", None) is None:
        return own if image_size is None else resized(own, image_size)
    tag = _tag(source)
    size, crop_pct = tag.image_size, tag.crop_pct
    if use_test_size:
        size, crop_pct = tag.test_image_size or size, tag.test_crop_pct or crop_pct
    if image_size is not None:
        size = _checks.integer("transforms_for", "image_size", image_size, 1)
    crop_mode = tag.crop_mode
    if tag.resize_size is not None:
        resize_size = size * tag.resize_size // tag.image_size
    elif tag.source == "timm":
        resize_size = int(size / crop_pct)
    else:
        crop_mode = "center" if size < _MIN_SQUASHED else "squash"
        resize_size = int(size / 0.875) if crop_mode == "center" else size
    return ImageTransform(
        size, resize_size, crop_mode, tag.interpolation, tag.mean, tag.std, round_crop=tag.source != "transformers"
    )


def resized(transform: ImageTransform, image_size: int) -> ImageTransform:
    """The transform for another size in px, with the same crop fraction."""
    _checks.integer("transforms_for", "image_size", image_size, 1)
    resize_size = transform.resize_size * image_size // transform.image_size
    return replace(transform, image_size=image_size, resize_size=resize_size)


def _tag(source: Any) -> Tag:
    if isinstance(source, nn.Module):
        tag = getattr(source, "pretrained_tag", None)
        if tag is None:
            raise ValueError(
                f"transforms_for: this {type(source).__name__} has no pretrained weights; "
                "pass the name of a checkpoint, or build an ImageTransform"
            )
        return tag if isinstance(tag, Tag) else find_tag(tag)
    if isinstance(source, Tag):
        return source
    if not isinstance(source, str):
        raise TypeError(f"transforms_for: source must be a name, a Tag or a model, got {source!r}")
    own = tags_of(source)
    return own[0] if own else find_tag(source, "transforms_for")


def _pillow() -> ModuleType:
    try:
        from PIL import Image
    except ImportError:
        raise ImportError('ImageTransform: Pillow is required; pip install "lucid-mlx[vision]"') from None
    return Image


def _crop_long_side(image: Image.Image) -> Image.Image:
    """Crop the center of an image with an extreme aspect ratio, which could fill the memory when resized."""
    width, height = image.size
    margin_x, margin_y = (max(0, long - _MAX_ASPECT * short) // 2 for long, short in ((width, height), (height, width)))
    if not margin_x and not margin_y:
        return image
    return image.crop((margin_x, margin_y, width - margin_x, height - margin_y))


def _rgb(caller: str, image: Any) -> Image.Image:
    pillow = _pillow()
    if isinstance(image, pillow.Image):
        return image if image.mode == "RGB" else image.convert("RGB")  # convert would copy it
    array = np.asarray(image)
    if array.dtype != np.uint8:
        got = array.dtype if hasattr(image, "dtype") else type(image).__name__
        fix = "; scale it to 0..255 and convert it" if array.dtype.kind in "fbiu" else ""
        fix = "; open it with lucid.data.open_image" if isinstance(image, str | os.PathLike) else fix
        raise TypeError(f"{caller}: an image must be a Pillow image or a uint8 array, got {got}{fix}")
    if array.ndim == 3 and array.shape[-1] == 1:
        array = array[..., 0]
    if not (array.ndim == 2 or (array.ndim == 3 and array.shape[-1] in (3, 4))) or 0 in array.shape:
        fix = "; channels come last: transpose(1, 2, 0)" if array.ndim == 3 and array.shape[0] in (1, 3, 4) else ""
        raise ValueError(
            f"{caller}: an image must have the shape (H, W), (H, W, 3) or (H, W, 4), got {array.shape}{fix}"
        )
    return pillow.fromarray(array).convert("RGB")
