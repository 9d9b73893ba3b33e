"""From photographs to what a model was evaluated on: the resizing, cropping and scaling that belong to a tag.

    transform = lucid.models.transforms_for("timm/convnext_tiny.fb_in1k")
    logits = model(transform([Image.open(path) for path in paths]))

The libraries differ in details that move accuracies: the filter, the size before the crop, whether large images are
squashed or cropped, and where the middle of an odd number of pixels is. Pillow does the resizing, as it does for them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

import mlx.core as mx
import numpy as np

from lucid import _checks, nn, tape
from lucid._tensor import Tensor
from lucid.models.weights.tags import IMAGENET_MEAN, IMAGENET_STD, Tag, find_tag, tags_of

if TYPE_CHECKING:
    from PIL import Image

_LONGEST = 256  # times the short side; the crop leaves nearly all of it out
_SQUASHED_FROM = 384  # px; the authors and transformers crop smaller images and squash larger ones


@dataclass(frozen=True)
class ImageTransform:
    """Pillow images or arrays in, normalized pixels out.

    - "center": the short side is resized to ``resize_size`` px, then the middle ``image_size`` x ``image_size`` are cut
      out. "squash": both sides are resized, whatever the shape.
    - ``round_crop``: where an odd number of pixels is to be cut off, the middle is rounded to even as torchvision
      does; False cuts the smaller half first, as transformers does.

    Takes an image, an array (H, W, 3) of uint8 (also (H, W), (H, W, 1) and (H, W, 4)), a list of these or an array
    (N, H, W, 3). Gives a float32 tensor (3, image_size, image_size), or (N, 3, image_size, image_size). Modes other
    than RGB are converted by ``Image.convert("RGB")``, as the libraries do: it drops transparency and cuts 16 bit off
    at 255. Nothing turns an image by its EXIF orientation, as they do not: ``ImageOps.exif_transpose`` does.
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
        _checks.one_of(where, "crop_mode", self.crop_mode, ("center", "squash"))
        _checks.one_of(where, "interpolation", self.interpolation, ("bicubic", "bilinear"))
        for name in ("mean", "std"):
            values: Any = getattr(self, name)
            if not isinstance(values, list | tuple) or len(values) not in (1, 3):
                raise ValueError(f"{where}: {name} must be 3 numbers, or 1 for all channels, got {values!r}")
            numbers = (_checks.number(where, name, one, 0.0 if name == "std" else None, above=True) for one in values)
            object.__setattr__(self, name, tuple(numbers))  # a list, as from JSON, compares as a tuple does

    def __call__(self, images: Any) -> Tensor:
        if isinstance(images, list | tuple):
            if not images:
                raise ValueError(f"{type(self).__name__}: got no images")
            return tape.wrap(mx.array(np.stack([self._pixels(image) for image in images])))
        if getattr(images, "ndim", 0) == 4:
            return self(list(np.asarray(images)))
        return tape.wrap(mx.array(self._pixels(images)))

    def crop(self, image: Any) -> Image.Image:
        """The part of the image that the model sees, resized, before its pixels are normalized."""
        image = _rgb(type(self).__name__, image)
        if self.crop_mode == "center":
            image = _without_ends(image)
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
        side = "both sides" if self.crop_mode == "squash" else "the short side"
        steps = [f"{side} to {self.resize_size} px ({self.interpolation})"]
        if self.resize_size > self.image_size or self.crop_mode == "center":
            steps.append(f"the middle {self.image_size}x{self.image_size} px")
        return f"{type(self).__name__}({', '.join(steps)}, minus {self.mean}, divided by {self.std})"


def transforms_for(
    source: str | Tag | nn.Module, *, image_size: int | None = None, use_test_size: bool = False
) -> ImageTransform:
    """The evaluation preprocessing of a tag, of an architecture's first tag, or of the tag that a model was made with.

    - ``image_size``: another size in px; what is cut off stays the same share.
    - ``use_test_size``: the size and crop with which timm gets the best accuracy (often 288 px), where it states them.

    Raises:
        ValueError: there is no such tag or architecture, or the model was made without one.
    """
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
        crop_mode = "center" if size < _SQUASHED_FROM else "squash"
        resize_size = int(size / 0.875) if crop_mode == "center" else size
    return ImageTransform(
        size, resize_size, crop_mode, tag.interpolation, tag.mean, tag.std, round_crop=tag.source != "transformers"
    )


def _tag(source: Any) -> Tag:
    if isinstance(source, nn.Module):
        tag = getattr(source, "pretrained_tag", None)
        if tag is None:
            raise ValueError(
                f"transforms_for: this {type(source).__name__} was made without pretrained weights; "
                "name a tag, or build an ImageTransform"
            )
        return tag if isinstance(tag, Tag) else find_tag(tag)
    if isinstance(source, Tag):
        return source
    if not isinstance(source, str):
        raise TypeError(f"transforms_for: source must be a name, a tag or a model, got {source!r}")
    own = tags_of(source)
    return own[0] if own else find_tag(source, "transforms_for")


def _pillow() -> ModuleType:
    try:
        from PIL import Image
    except ImportError:
        raise ImportError('transforms_for: images are resized by Pillow; pip install "lucid-mlx[vision]"') from None
    return Image


def _without_ends(image: Image.Image) -> Image.Image:
    """The middle of an image that is very long for its width: all of it, resized, could fill the memory."""
    width, height = image.size
    margin_x, margin_y = (max(0, long - _LONGEST * short) // 2 for long, short in ((width, height), (height, width)))
    if not margin_x and not margin_y:
        return image
    return image.crop((margin_x, margin_y, width - margin_x, height - margin_y))


def _rgb(where: str, image: Any) -> Image.Image:
    pillow = _pillow()
    if isinstance(image, pillow.Image):
        return image.convert("RGB")
    array = np.asarray(image)
    if array.dtype != np.uint8:
        got = array.dtype if hasattr(image, "dtype") else type(image).__name__
        fix = "; scale it to 0..255 and convert it" if array.dtype.kind in "fbiu" else ""
        fix = "; open it with PIL.Image.open" if isinstance(image, str | os.PathLike) else fix
        raise TypeError(f"{where}: an image must be a Pillow image or an array of uint8, got {got}{fix}")
    if array.ndim == 3 and array.shape[-1] == 1:
        array = array[..., 0]
    if not (array.ndim == 2 or (array.ndim == 3 and array.shape[-1] in (3, 4))) or 0 in array.shape:
        fix = "; channels come last: transpose(1, 2, 0)" if array.ndim == 3 and array.shape[0] in (1, 3, 4) else ""
        raise ValueError(
            f"{where}: an image must have the shape (H, W), (H, W, 3) or (H, W, 4), got {array.shape}{fix}"
        )
    return pillow.fromarray(array).convert("RGB")
