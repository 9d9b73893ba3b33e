"""Classes of different sizes: weights for the loss, and batches in which all are as frequent."""

from collections.abc import Iterator
from typing import Any

import numpy as np

import lucid
import lucid.nn.functional as F
from lucid import data
from lucid import distributed as dist
from lucid.training.recipe import Recipe, SettingError


def class_numbers(dataset: Any) -> np.ndarray | None:
    """The class of each sample (N,), if ``dataset`` tells without reading its samples."""
    if type(dataset) is data.Subset:
        found = class_numbers(dataset.dataset)
        return None if found is None else found[np.asarray(dataset.indices, np.intp)]
    targets = next((getattr(dataset, name) for name in ("targets", "labels") if hasattr(dataset, name)), None)
    if type(dataset) is data.TensorDataset and len(dataset.tensors) == 2:
        targets = dataset.tensors[1]
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
        message = (
            "balance needs training data whose classes are known, a number for each sample: arrays, or a dataset with "
            "targets"
        )
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


def weights_of(
    recipe: Recipe, loader: Any, num_classes: int, is_default_loss: bool, task: Any = None
) -> lucid.Tensor | None:  # fmt: skip
    """The class weights that a recipe asks for, or None.

    Raises:
        SettingError: The loss is another one than cross entropy, the classes are not known, or a task has none.
    """
    if recipe.balance != "none" and task is not None:
        hint = "; its pos_weight is for rare labels" if hasattr(task, "pos_weight") else ""
        raise SettingError(f"balance is for classes, not for {type(task).__name__}{hint}", "balance")
    if recipe.balance != "weights":
        return None
    if not is_default_loss:
        raise SettingError("balance weights is for the default loss, cross entropy", "balance")
    return class_weights(getattr(loader, "dataset", None), num_classes)


def cross_entropy(
    outputs: lucid.Tensor, targets: lucid.Tensor, weight: lucid.Tensor | None, label_smoothing: float
) -> lucid.Tensor:  # fmt: skip
    """The loss of a classifier.

    Raises:
        SettingError: The model has outputs for classes without a training sample, which have no weight.
    """
    if weight is not None and outputs.ndim > 1 and outputs.shape[1] > len(weight):
        raise SettingError(
            f"balance: there is no training sample of class {len(weight)}, but the model has "
            f"{outputs.shape[1]} outputs",
            "balance",
        )
    return F.cross_entropy(outputs, targets, weight=weight, label_smoothing=label_smoothing)


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
