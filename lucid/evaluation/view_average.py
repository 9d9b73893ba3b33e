"""``ViewAverage``: test-time augmentation.

Sources: Krizhevsky et al. 2012, ImageNet Classification with Deep Convolutional Neural Networks (crops); Jordan 2024,
94% on CIFAR-10 in 3.29 Seconds on a Single GPU, arXiv:2404.00498 (shifts).
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import lucid
import lucid.nn.functional as F
from lucid import _checks, nn
from lucid.models import ImageTransform

VIEWS = ("flip", "shift", "five_crop", "ten_crop")
_CROPS = ("five_crop", "ten_crop")
_AVERAGES = ("outputs", "probabilities")
_WHERE = "ViewAverage"

View = Callable[[lucid.Tensor], lucid.Tensor]


class ViewAverage(nn.Module):
    """Test-time augmentation: the mean of the outputs of ``model`` for several views of each image.

    The views of images (N, C, H, W), with their weights:

    - "flip": the image and its mirror image, 1/2 each;
    - "shift": the same two, 1/4 each, and both of the image moved by one pixel up and left, and down and right, 1/8
      each, with reflected borders. Made for small images such as CIFAR's;
    - "five_crop": the corners and the center, 1/5 each. Crops have 7/8 of each side, as 224 of 256 px;
    - "ten_crop": these and their mirror images, 1/10 each.

    Args:
        model: Any module that takes images and returns a tensor with a row for each. It is not copied.
        views: One of these names, or functions of the images, which then have equal weights.
        average: "outputs", or "probabilities": the mean of their softmax over dimension 1, returned as logarithms.

    Attributes:
        preprocessing: That of the model, if it has one. For crops it makes images 8/7 as large, so that the crops have
            the size that the model expects.

    Raises:
        ValueError: There are no such views; in a call, images are no images or too small.
        TypeError: ``views`` is something else, or ``model`` not a module.

    Example:
        >>> model = models.ConvNeXt(10, [1, 1], [8, 16], patch_size=2).eval()
        >>> averaged = evaluation.ViewAverage(model, "shift")
        >>> averaged(lucid.rand(4, 3, 32, 32)).shape
        (4, 10)
    """

    def __init__(self, model: nn.Module, views: str | Sequence[View] = "flip", *, average: str = "outputs") -> None:
        super().__init__()
        if not isinstance(model, nn.Module):
            raise TypeError(f"{_WHERE}: model must be a module, got {model!r:.60}")
        _checks.one_of(_WHERE, "average", average, _AVERAGES)
        if average == "probabilities" and (task := getattr(model, "task", "classification")) != "classification":
            raise ValueError(f"{_WHERE}: average must be 'outputs' for {task}, whose outputs get no softmax")
        if isinstance(views, str):
            _checks.one_of(_WHERE, "views", views, VIEWS)
        elif not isinstance(views, Sequence) or not all(callable(one) for one in views):
            raise TypeError(f"{_WHERE}: views must be one of {', '.join(VIEWS)}, or functions, got {views!r:.60}")
        elif not views:
            raise ValueError(f"{_WHERE}: expected at least one view")
        self.model, self.views, self.average = model, views, average
        own = getattr(model, "preprocessing", None)
        self.preprocessing = own if own is None or not isinstance(views, str) else transform_for(views, own)
        self.training = model.training

    def forward(self, x: lucid.Tensor) -> lucid.Tensor:
        total: Any = None
        for weight, view in self._views(x):
            outputs = self.model(view)
            if self.average == "outputs":
                part = outputs * weight
                total = part if total is None else total + part
            else:  # a sum of probabilities, as logarithms so that none becomes 0
                part = outputs.log_softmax(dim=1) + math.log(weight)
                total = part if total is None else lucid.logaddexp(total, part)
        averaged: lucid.Tensor = total
        return averaged

    def _views(self, x: lucid.Tensor) -> Iterable[tuple[float, lucid.Tensor]]:
        if isinstance(self.views, str):
            return _named_views(self.views, x)
        return ((1 / len(self.views), view(x)) for view in self.views)


def _named_views(name: str, x: lucid.Tensor) -> Iterable[tuple[float, lucid.Tensor]]:
    """The views of images with their weights, one after the other."""
    _checks.rank(_WHERE, "the images", x.shape, 4, "(N, C, H, W)")  # to mirror (N, D) would turn the features around
    if name == "flip":
        yield from _mirrored(1, x)
        return
    height, width = x.shape[2:]
    if min(height, width) < 2:
        raise ValueError(f"{_WHERE}: images must be at least 2x2 px for {name}, got {height}x{width}")
    if name == "shift":
        yield from _mirrored(1 / 2, x)
        wide = F.pad(x, (1, 1, 1, 1), mode="reflect")
        for start in (0, 2):
            yield from _mirrored(1 / 4, wide[:, :, start : start + height, start : start + width])
        return
    tall, broad = (_part(side) for side in (height, width))
    bottom, right = height - tall, width - broad
    corners = [(0, 0), (0, right), (bottom, 0), (bottom, right), (round(bottom / 2), round(right / 2))]
    for top, left in corners:
        crop = x[:, :, top : top + tall, left : left + broad]
        yield from _mirrored(1 / 5, crop) if name == "ten_crop" else [(1 / 5, crop)]


def _mirrored(weight: float, x: lucid.Tensor) -> list[tuple[float, lucid.Tensor]]:
    return [(weight / 2, x), (weight / 2, x.flip(-1))]


def _part(side: int) -> int:
    """7/8 of a side, rounded."""
    return (7 * side + 4) // 8


def transform_for(views: str, transform: ImageTransform) -> ImageTransform:
    """``transform`` for the views of that name: for crops, it makes images of which a crop has the former size."""
    if views not in _CROPS:
        return transform
    size = (8 * transform.image_size + 3) // 7
    return replace(transform, image_size=size, resize_size=max(size, transform.resize_size))
