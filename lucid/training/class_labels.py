"""Class labels are checked once, in NumPy and before the first step, where a trainer's data holds all of them."""

import contextlib
import functools
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

import lucid
from lucid import _bounds, data
from lucid.data import augment
from lucid.data.images import ImageDataset
from lucid.training.batches import ArrayDataset


class ClassLabels:
    """The labels of the training and test data, as far as they are known without reading every batch.

    Others are checked batch by batch by the loss, where ``lucid.debug`` says so.
    """

    def __init__(self, train: Any = None, test: Any = None, transform: Any = None) -> None:
        self._labels = {"train": all_labels(train) if keeps_labels(transform) else None, "test": all_labels(test)}
        self.check_all = functools.cache(self._check_all)

    def _check_all(self, num_classes: int) -> None:
        """Raise an ``IndexError`` if there are labels outside [0, ``num_classes``), other than the ignored -100."""
        for name, labels in self._labels.items():
            if labels is not None:
                _bounds.check_labels("Trainer", labels[labels != -100], num_classes, name=f"{name} label")

    def check(self, outputs: Any) -> None:
        """``check_all`` for the number of classes of a model's outputs (N, C, ...), the first time only."""
        if any(labels is not None for labels in self._labels.values()) and outputs.ndim > 1:
            self.check_all(outputs.shape[1])

    def trusting(self) -> AbstractContextManager[None]:
        """For a training step: labels that ``check`` has seen are not read again, which may wait for the last step."""
        return contextlib.nullcontext() if self._labels["train"] is None else _bounds.trusting_labels()


def all_labels(source: Any) -> np.ndarray | None:
    """All class labels that the batches of ``source`` contain, or None where only the batches tell."""
    labels = all_targets(source)
    return labels if labels is not None and labels.dtype.kind in "iu" else None


def all_targets(source: Any) -> np.ndarray | None:
    """All targets that the batches of ``source`` contain, or None where only the batches tell."""
    found: Any = None
    if isinstance(source, tuple):
        found = source[1] if len(source) == 2 else None
    elif isinstance(source, ArrayDataset):
        found = source.targets
    elif type(source) is augment.DeviceDataset:
        found = source.labels
    elif type(source) is data.TensorDataset and len(source.tensors) == 2:
        found = source.tensors[1]
    elif isinstance(source, ImageDataset | data.ImageFolder):
        # A subclass may change what a sample is.
        is_plain = type(source).__module__.startswith("lucid.") and source.target_transform is None
        found = source.targets if is_plain else None
    elif type(source) is data.Subset:
        found = all_targets(source.dataset)
        found = None if found is None else found[np.asarray(source.indices, np.intp)]
    elif _is_plain_loader(source):
        return all_targets(source.dataset)
    return None if found is None else np.asarray(found.numpy() if isinstance(found, lucid.Tensor) else found)


def _is_plain_loader(source: Any) -> bool:
    if type(source) is data.DataLoader:
        return source.collate_fn is None and source.batch_transform is None
    return type(source) is augment.DeviceLoader


def keeps_labels(transform: Any) -> bool:
    """Whether the loss gets the labels of the data, or probabilities of the same classes."""
    steps = transform.transforms if type(transform) is augment.Compose else [transform]
    return all(step is None or isinstance(step, augment.Augmentation | augment.Mixup) for step in steps)
