"""Batches of a recipe: each process's share of them, and how images are augmented."""

from collections.abc import Sequence, Sized
from dataclasses import replace
from typing import Any

from lucid import distributed as dist
from lucid.data import augment
from lucid.training.recipe import Kind, Recipe


def share_of_batches(recipe: Recipe, dataset: Sized) -> dict[str, Any]:
    """Options of a loader that gives this process its part of every batch of ``dataset``, shuffled.

    Raises:
        ValueError: the batches cannot be shared evenly.
    """
    processes = dist.get_world_size()
    if processes == 1:
        return {"batch_size": recipe.batch_size, "shuffle": True, "seed": recipe.seed, "drop_last": True}
    if recipe.batch_size % (processes * recipe.accumulate):
        raise ValueError(
            f"--batch-size must be a multiple of {processes} processes times --accumulate {recipe.accumulate}, "
            f"got {recipe.batch_size}"
        )
    own = recipe.batch_size // processes
    sampler = dist.DistributedBatchSampler(dataset, own, seed=recipe.seed, drop_last=True)
    return {"batch_sampler": sampler, "seed": recipe.seed}


def for_test(recipe: Kind) -> Kind:
    """``recipe`` for a file of weights, which has the averages if there are any, with batches for any processes."""
    size = dist.get_world_size()
    return replace(recipe, ema=0.0, accumulate=1, batch_size=max(size, recipe.batch_size // size * size))


def augmentation(
    recipe: Recipe, places: Sequence[Any], mean: Sequence[float], std: Sequence[float], num_classes: int
) -> augment.Compose:
    """What the recipe asks for, in timm's order: ``places`` (crops), flip, colours, Normalize, erasing, mixing."""
    steps = list(places)
    if recipe.flip:
        steps.append(augment.RandomHorizontalFlip())
    if recipe.augment == "trivial":
        steps.append(augment.TrivialAugmentWide())
    elif recipe.augment != "none":
        try:
            steps.append(augment.RandAugment.from_config(recipe.augment, fill=[round(255 * m) for m in mean]))
        except ValueError as error:
            raise ValueError(f"--augment must be none, trivial or RandAugment's words; {error}") from error
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
