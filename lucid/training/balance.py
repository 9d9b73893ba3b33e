"""Classes of different sizes: weights for the loss, and batches in which all are as frequent."""

from collections.abc import Iterator
from typing import Any

import numpy as np

import lucid
from lucid import data
from lucid import distributed as dist
from lucid.training.recipe import Recipe, SettingError


def class_numbers(dataset: Any) -> np.ndarray | None:
    """The class of each sample (N,), if ``dataset`` tells without reading its samples."""
    if type(dataset) is data.Subset:
        found = class_numbers(dataset.dataset)
        return None if found is None else found[np.asarray(dataset.indices, np.intp)]
    targets = next((getattr(dataset, name) for name in ("targets", "labels") if hasattr(dataset, name)), None)
    if targets is None and isinstance(dataset, list) and dataset and isinstance(dataset[0], tuple):
        targets = [sample[1] for sample in dataset]
    if targets is None:
        return None
    numbers = np.asarray(targets.numpy() if isinstance(targets, lucid.Tensor) else targets)
    if numbers.ndim != 1 or numbers.dtype.kind not in "iu" or not len(numbers) or numbers.min() < 0:
        return None
    return numbers


def _required(dataset: Any) -> np.ndarray:
    numbers = class_numbers(dataset)
    if numbers is None:
        message = "balance needs training data whose classes are known: arrays, or a dataset with targets"
        raise SettingError(message, "balance")
    return numbers


def class_weights(dataset: Any, num_classes: int = 0) -> lucid.Tensor:
    """A weight for each class, N / (C n): the mean over the samples is 1. They are scikit-learn's "balanced" weights.

    Raises:
        SettingError: The classes are not known, or one has no sample.
    """
    numbers = _required(dataset)
    counts = np.bincount(numbers, minlength=num_classes)
    if not counts.all():
        raise SettingError(f"balance: there is no training sample of class {int(np.argmin(counts))}", "balance")
    return lucid.tensor((len(numbers) / (len(counts) * counts)).astype(np.float32))


def weights_of(recipe: Recipe, loader: Any, num_classes: int, is_default_loss: bool) -> lucid.Tensor | None:
    """The class weights that a recipe asks for, or None.

    Raises:
        SettingError: The loss is another one than cross entropy, or the classes are not known.
    """
    if recipe.balance != "weights":
        return None
    if not is_default_loss:
        raise SettingError("balance weights is for the default loss, cross entropy", "balance")
    return class_weights(getattr(loader, "dataset", None), num_classes)


class BalancedBatches:
    """This process's part of batches that are drawn with replacement, each class with the same probability.

    An epoch has as many samples as the dataset. The order of epoch k depends on the seed and k only.
    """

    def __init__(self, dataset: Any, batch_size: int, seed: int) -> None:
        numbers = _required(dataset)
        counts = np.bincount(numbers)
        self.part, self.rank = batch_size // dist.get_world_size(), dist.get_rank()
        draws = data.WeightedRandomSampler((1 / counts[numbers]).tolist(), len(numbers), seed=seed)
        self.batches = data.BatchSampler(draws, self.part * dist.get_world_size(), drop_last=True)

    def set_epoch(self, epoch: int) -> None:
        self.batches.set_epoch(epoch)

    def __iter__(self) -> Iterator[list[int]]:
        for batch in self.batches:
            yield batch[self.rank * self.part : (self.rank + 1) * self.part]

    def __len__(self) -> int:
        return len(self.batches)
