"""Training and evaluation data as batches, and the augmentation of a recipe."""

from collections.abc import Callable, Sequence, Sized
from dataclasses import replace
from typing import Any

import numpy as np

import lucid
import lucid.nn.functional as F
from lucid import data
from lucid import distributed as dist
from lucid.data import augment
from lucid.training.balance import BalancedBatches
from lucid.training.recipe import Kind, Recipe, SettingError


class ArrayDataset:
    """Inputs and targets of all samples as two tensors; an index tensor gives a batch."""

    def __init__(self, inputs: Any, targets: Any) -> None:
        self.inputs, self.targets = as_tensor(inputs), as_tensor(targets)
        if len(self.inputs) != len(self.targets):
            raise ValueError(f"Trainer: got {len(self.inputs)} inputs but {len(self.targets)} targets")

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index: Any) -> tuple[lucid.Tensor, lucid.Tensor]:
        return self.inputs[index], self.targets[index]


def train_loader(source: Any, recipe: Recipe) -> Any:
    """``source`` as a loader of shuffled batches; one that is a loader already is returned unchanged.

    Raises:
        SettingError: There are fewer samples than ``batch_size``.
    """
    if _is_loader("train", source):
        return source
    dataset = _as_dataset(source)
    check_batch_size(recipe, len(dataset), "training samples")
    return _loader(dataset, **share_of_batches(recipe, dataset))


def check_batch_size(recipe: Recipe, count: int, what: str = "training images") -> None:
    """Check that there are enough samples for a batch; ``what`` they are.

    Raises:
        SettingError: There are fewer than ``batch_size``.
    """
    if recipe.batch_size > count:
        message = f"batch_size must be at most {count}, the number of {what}, got {recipe.batch_size}"
        raise SettingError(message, "batch_size")


def fit_batch_size(recipe: Kind, count: int) -> Kind:
    """``recipe`` with a batch size of at most ``count``, the number of training samples."""
    if recipe.batch_size <= count:
        return recipe
    parts = dist.get_world_size() * recipe.accumulate
    return replace(recipe, batch_size=max(parts, count // parts * parts))


def test_loader(source: Any, recipe: Recipe) -> Any:
    """``source`` as a loader in its own order; each process gets a part of the samples."""
    if _is_loader("test", source):
        return source
    dataset = _as_dataset(source)
    return _loader(dataset, **share_of_evaluation(recipe, dataset))


def _is_loader(name: str, source: Any) -> bool:
    """Whether ``source`` yields batches rather than samples."""
    if isinstance(source, tuple):
        if len(source) != 2:
            raise ValueError(f"Trainer: {name} must be a tuple of inputs and targets, got {len(source)} items")
        return False
    is_dataset = hasattr(source, "__getitem__") and not hasattr(source, "__iter__")
    if not hasattr(source, "__len__") or not (is_dataset or hasattr(source, "__iter__")):
        raise TypeError(
            f"Trainer: {name} must be a tuple of arrays, a dataset with a length, or a loader with a length, "
            f"got {type(source).__name__}"
        )
    return not is_dataset


def _as_dataset(source: Any) -> Any:
    return ArrayDataset(*source) if isinstance(source, tuple) else source


def _loader(dataset: Any, **options: Any) -> Any:
    if isinstance(dataset, ArrayDataset):
        return augment.DeviceLoader(dataset, **options)  # type: ignore[arg-type]
    return data.DataLoader(dataset, **options)


def as_tensor(values: Any) -> lucid.Tensor:
    """An array of any kind as a tensor; float64 becomes float32."""
    if isinstance(values, np.ndarray) and values.dtype == np.float64:
        values = values.astype(np.float32)  # MLX has no float64 on the GPU
    if isinstance(values, np.ndarray) and values.dtype.kind not in "biufc":
        hint = "; np.unique(labels, return_inverse=True) numbers them" if values.dtype.kind in "US" else ""
        raise TypeError(f"Trainer: inputs and targets must be numbers, got {kind_of(values)}{hint}")
    return lucid.as_tensor(values)


def kind_of(values: np.ndarray) -> str:
    """What an array that does not hold numbers has instead."""
    if values.dtype.kind not in "US":
        return f"the dtype {values.dtype}"
    return f"strings such as {str(values.flat[0])!r:.40}" if values.size else "strings"


def image_reader(source: Any) -> Callable[[int], np.ndarray] | None:
    """A function that returns input ``number`` as uint8 (H, W) or (H, W, C); None unless inputs are images."""
    if source is None or _is_loader("test", source) or not len(source):
        return None
    dataset = _as_dataset(source)

    def sample(number: int) -> np.ndarray:
        array = dataset[number][0]
        return np.asarray(array.numpy() if isinstance(array, lucid.Tensor) else array)

    def read(number: int) -> np.ndarray:
        image = sample(number).transpose(1, 2, 0)
        if image.dtype != np.uint8:  # stretched over its own range: it may be normalized
            low, high = image.min(), image.max()
            image = np.rint((image - low) * (255 / max(high - low, 1e-12))).astype(np.uint8)
        return image

    shape = sample(0).shape
    return read if len(shape) == 3 and shape[0] in (1, 3) else None


def share_of_batches(recipe: Recipe, dataset: Sized) -> dict[str, Any]:
    """Options of a loader that yields this process's part of every batch of ``dataset``, shuffled.

    Raises:
        SettingError: The batches cannot be divided evenly.
    """
    processes = dist.get_world_size()
    if processes == 1 and recipe.balance != "sampling":
        return {"batch_size": recipe.batch_size, "shuffle": True, "seed": recipe.seed, "drop_last": True}
    if recipe.batch_size % (processes * recipe.accumulate):
        raise SettingError(
            f"batch_size must be a multiple of {processes} processes times accumulate, {recipe.accumulate}, "
            f"got {recipe.batch_size}",
            "batch_size",
            "accumulate",
        )
    if recipe.balance == "sampling":
        return {"batch_sampler": BalancedBatches(dataset, recipe.batch_size, recipe.seed), "seed": recipe.seed}
    own = recipe.batch_size // processes
    sampler = dist.DistributedBatchSampler(dataset, own, seed=recipe.seed, drop_last=True)
    return {"batch_sampler": sampler, "seed": recipe.seed}


def share_of_evaluation(recipe: Recipe, dataset: Sized) -> dict[str, Any]:
    """Options of a loader that yields this process's part of ``dataset``, in order.

    A batch has as many samples as a process has at once in training: evaluation must not be what runs out of memory.
    """
    size = recipe.batch_size // (dist.get_world_size() * recipe.accumulate)
    return {"batch_size": max(1, size), "sampler": dist.DistributedSampler(dataset, shuffle=False)}


def for_evaluation(recipe: Kind) -> Kind:
    """``recipe`` for saved weights, which are averaged already, with batches that any number of processes can share."""
    size, batch_size = dist.get_world_size(), recipe.batch_size // recipe.accumulate
    return replace(recipe, ema=0.0, accumulate=1, balance="none", batch_size=max(size, batch_size // size * size))


def augmentation(
    recipe: Recipe, mean: Sequence[float], std: Sequence[float], num_classes: int, *, crops: Sequence[Any] = ()
) -> augment.Compose:
    """The augmentation that a recipe asks for, as ``transform`` of a ``Trainer``.

    The order is timm's: ``crops``, flip, colors, ``Normalize(mean, std)``, erasing, mixing. It takes uint8 images
    (N, C, H, W) and class numbers, and returns float32 images and, with mixup or cutmix, soft labels.

    Raises:
        SettingError: ``augment`` is not a valid RandAugment config.
    """
    steps = list(crops)
    if recipe.flip:
        steps.append(augment.RandomHorizontalFlip())
    if recipe.augment == "trivial":
        steps.append(augment.TrivialAugmentWide())
    elif recipe.augment != "none":
        try:
            steps.append(augment.RandAugment.from_config(recipe.augment, fill=[round(255 * m) for m in mean]))
        except ValueError as error:
            message = f"augment must be none, trivial or a RandAugment config; {error}"
            raise SettingError(message, "augment") from error
    if recipe.color_jitter:
        steps.append(augment.ColorJitter(*[recipe.color_jitter] * 3))
    steps.append(augment.Normalize(mean, std))
    if recipe.erasing:
        steps.append(augment.RandomErasing(recipe.erasing, mode="pixel"))
    if recipe.mixup or recipe.cutmix:
        steps.append(
            augment.Mixup(
                recipe.mixup, recipe.cutmix, switch_prob=recipe.mix_switch, label_smoothing=recipe.label_smoothing,
                num_classes=num_classes,
            )
        )  # fmt: skip
    return augment.Compose(steps)


def to_size(images: lucid.Tensor, size: int, *, crop: bool = False) -> lucid.Tensor:
    """Float images (N, C, H, W) as (N, C, size, size): resized or, with ``crop``, a random part of larger ones."""
    if images.shape[2:] == (size, size):
        return images
    if crop and min(images.shape[2:]) >= size:
        return augment.RandomCrop(size)(images)
    return F.interpolate(images, (size, size), mode="bilinear", antialias=True)


def augmentation_asked(recipe: Recipe) -> str:
    """The first setting of a recipe that needs ``augmentation``, except ``flip``, which is on by default."""
    names = [name for name in ("color_jitter", "erasing", "mixup", "cutmix") if getattr(recipe, name)]
    return next(iter(["augment"] * (recipe.augment != "none") + names), "")
