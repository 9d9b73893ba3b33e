"""Occlusion maps. Source: Zeiler and Fergus 2014, Visualizing and Understanding Convolutional Networks, section 4.2."""

from collections.abc import Iterator
from typing import Any

import numpy as np

import lucid
from lucid import _checks, nn
from lucid.explain._classifier import (
    as_predictions,
    check_images,
    check_logits,
    evaluation_mode,
    target_classes,
    task_of,
)

_PARTS = 8  # windows along the short side, by default


def occlusion(
    model: nn.Module, images: Any, target: Any = None, *, window: int | tuple[int, int] | None = None,
    stride: int | tuple[int, int] | None = None, value: float = 0.0, batch_size: int = 64,
) -> lucid.Tensor:  # fmt: skip
    """How much the probability of a class falls when a part of the image is covered, (N, H, W) for (N, C, H, W).

    A window of one value is moved over the image, with a last position at the right and the bottom edge, and the model
    runs on each covered image. A pixel gets the mean over the windows that cover it, or 0 if ``stride`` leaves it out;
    evidence for other classes is negative. Unlike ``grad_cam`` it needs no gradients and no feature map, but many
    forward passes: 225 for a square image with the defaults.

    Args:
        model: A classifier that returns logits (N, classes). If its ``task`` is "multilabel" the probability is that
            of a label; if it is "regression" the map says how much a number falls.
        images: Images as the model takes them, for example from ``model.preprocessing``.
        target: The class to explain, or one for each image. By default the most probable one.
        window: Size of the window in px, one number or (height, width). By default an eighth of the short side.
        stride: Step of the window in px. By default half the window.
        value: What the window is filled with. 0 is the mean color of normalized images.
        batch_size: Number of images per forward pass.

    Raises:
        ValueError: The window is larger than the images, or a target is not a class.
        TypeError: The images are not floating-point.

    Example:
        >>> from lucid import explain
        >>> model = models.convnext_atto(num_classes=10)
        >>> explain.occlusion(model, lucid.rand(1, 3, 64, 64), target=3, window=32).shape
        (1, 64, 64)
    """
    where = "occlusion"
    images = check_images(where, images)
    count, _, *size = images.shape
    tall, wide = _checks.pair(where, "window", max(1, min(size) // _PARTS) if window is None else window, 1)
    steps = (max(1, tall // 2), max(1, wide // 2)) if stride is None else _checks.pair(where, "stride", stride, 1)
    if tall > size[0] or wide > size[1]:
        raise ValueError(f"{where}: window {tall}x{wide} must fit into the images, {size[0]}x{size[1]} px")
    _checks.number(where, "value", value)
    _checks.integer(where, "batch_size", batch_size, 1)
    corners = [(y, x) for y in _positions(size[0], tall, steps[0]) for x in _positions(size[1], wide, steps[1])]
    total, covered = np.zeros((count, *size)), np.zeros(size)
    with evaluation_mode(model), lucid.no_grad():
        logits = check_logits(where, model(images), count)
        task = task_of(model)
        chosen = target_classes(where, target, logits, task)
        before = _scores(logits, chosen, task)
        for part in _in_parts(corners, max(1, batch_size // count)):
            masks = np.zeros((len(part), 1, 1, *size), dtype=bool)
            for mask, (y, x) in zip(masks, part, strict=True):
                mask[..., y : y + tall, x : x + wide] = True
            hidden = lucid.where(lucid.tensor(masks), value, images).to(images.dtype)  # (P, N, C, H, W)
            logits = check_logits(where, model(hidden.flatten(0, 1)), len(part) * count)
            falls = before - _scores(logits, chosen.repeat(len(part)), task).reshape(len(part), count)
            for fall, (y, x) in zip(falls, part, strict=True):
                total[:, y : y + tall, x : x + wide] += fall.reshape(-1, 1, 1)
                covered[y : y + tall, x : x + wide] += 1
    return lucid.tensor((total / np.maximum(covered, 1)).astype(np.float32))


def _scores(logits: lucid.Tensor, classes: lucid.Tensor, task: str) -> np.ndarray:
    """The probability of each image's class or label, or its number, (N,) in float64."""
    found = as_predictions(logits.float(), task).gather(1, classes.reshape(-1, 1))
    return np.asarray(found.numpy(), dtype=np.float64)[:, 0]


def _positions(length: int, window: int, step: int) -> list[int]:
    """Where windows begin along one side; the last one ends with it."""
    return sorted({*range(0, length - window + 1, step), length - window})


def _in_parts(items: list[tuple[int, int]], size: int) -> Iterator[list[tuple[int, int]]]:
    for first in range(0, len(items), size):
        yield items[first : first + size]
