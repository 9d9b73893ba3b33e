"""What the report shows of the training data: how many samples each class has, and images as the model sees them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

import lucid
from lucid.data import augment
from lucid.training.balance import class_numbers
from lucid.training.report import Sample

if TYPE_CHECKING:
    from lucid.training.trainer import Trainer

MAX_SAMPLES = 8
MENTIONED_SHARE = 0.1  # of a class in a mixed image


def class_counts(dataset: Any, num_classes: int) -> list[int]:
    """The number of samples of each class, if the targets of ``dataset`` can be told without reading its samples."""
    numbers = class_numbers(dataset)
    if numbers is None or numbers.max() >= num_classes:
        return []
    return np.bincount(numbers, minlength=num_classes).tolist()


@lucid.no_grad()
def augmented_samples(trainer: "Trainer", inputs: lucid.Tensor, targets: lucid.Tensor) -> list[Sample]:
    """The first images of a training batch after the transform of ``trainer``, which draws from a copy of the state."""
    if trainer.transform is not None:
        with lucid.random.fork():
            inputs, targets = trainer.transform(inputs, targets)
    if inputs.ndim != 4 or inputs.shape[1] not in (1, 3):
        return []
    images, labels = pixels(trainer, inputs[:MAX_SAMPLES]), np.asarray(targets[:MAX_SAMPLES].numpy())
    return [Sample(image, _label(label, trainer.classes)) for image, label in zip(images, labels, strict=True)]


def pixels(trainer: "Trainer", inputs: lucid.Tensor) -> np.ndarray:
    """Images (N, C, H, W), normalized or not, as uint8 (N, H, W, C)."""
    images = np.asarray(inputs.numpy()).transpose(0, 2, 3, 1)
    if images.dtype == np.uint8:
        return images
    normalize = trainer.test_transform
    if isinstance(normalize, augment.Normalize):
        mean, std = np.asarray(normalize.mean, np.float32), np.asarray(normalize.std, np.float32)
        images = (images * std + mean) * 255
    else:  # stretched over their own range
        low, high = images.min(), images.max()
        images = (images - low) * (255 / max(high - low, 1e-12))
    return np.rint(images.clip(0, 255)).astype(np.uint8)


def _label(target: Any, classes: Sequence[str]) -> str:
    """The class of a target, or those of a mixed one with their shares."""
    if np.ndim(target) > 1:  # a mask
        return ""
    if np.ndim(target) == 0:
        number = int(target)
        return classes[number] if target == number and 0 <= number < len(classes) else f"{target:.4g}"
    shares = {k: float(share) for k, share in enumerate(target) if share > MENTIONED_SHARE and k < len(classes)}
    ordered = sorted(shares, key=lambda k: -shares[k])
    return ", ".join(
        classes[k] if len(shares) == 1 or shares[k] == 1 else f"{classes[k]} {shares[k]:.0%}" for k in ordered
    )
