"""What training programs share: the step of the optimizer, what changes with it, and the test.

A program gives a model, loaders and an augmentation to ``Trainer``, and that to ``fit`` in ``running.py``. The heart of
it all is the step, in ``make_step``, which ``lucid.compile`` turns into one graph.
"""

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence, Sized
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from recipes import Kind, Recipe

import lucid
import lucid.nn.functional as F
from lucid import distributed as dist
from lucid import metrics, models, nn, optim
from lucid.data import augment

KEPT_MISTAKES = 24


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


@dataclass
class Evaluation:
    """What a test found. ``confusion[i, j]`` counts images of class i that were taken for class j."""

    loss: float
    confusion: np.ndarray
    # Number of the image, its class, the class it was taken for, and the probabilities of the latter and the former.
    mistakes: list[tuple[int, int, int, float, float]]  # the surest first

    @property
    def accuracy(self) -> float:
        return float(self.confusion.trace() / self.confusion.sum())


@dataclass
class Clock:
    """Seconds and images of the present epoch, also across an interruption."""

    seconds: float = 0.0  # of training
    waiting: float = 0.0  # for data, of these
    seen: int = 0


@dataclass
class Trainer:
    """Everything that changes from step to step, and what changes it.

    ``prepare(images, labels)`` augments a batch of the train loader and makes floats of it, inside of the step;
    ``prepare_test(images)`` does the latter for the test loader, whose order is fixed. Of several processes each one
    tests with its part, that of ``DistributedSampler(..., shuffle=False)``.
    """

    recipe: Recipe
    model: nn.Module
    groups: list[dict[str, Any]]  # of parameters, for the optimizer
    train_loader: Any
    test_loader: Any
    prepare: Callable[[lucid.Tensor, lucid.Tensor], tuple[lucid.Tensor, lucid.Tensor]]
    prepare_test: Callable[[lucid.Tensor], lucid.Tensor]
    classes: Sequence[str]
    part: str = "test"  # the name of the images that are tested with, in the history
    is_compiled: bool = False
    history: list[dict[str, Any]] = field(default_factory=list)  # a row for each complete epoch
    clock: Clock = field(default_factory=Clock)
    batches: Iterator[Any] | None = field(default=None, init=False)  # of the next epoch, where that has begun already

    def __post_init__(self) -> None:
        recipe = self.recipe
        self.optimizer = make_optimizer(recipe, self.groups)
        steps = len(self.train_loader)
        floor = recipe.min_lr / recipe.lr if recipe.lr else 0.0
        self.lr_factor = warmup_cosine(recipe.warmup_epochs * steps, recipe.epochs * steps, floor)
        self.scheduler = optim.lr_scheduler.LambdaLR(self.optimizer, self.lr_factor)
        self.scaler = lucid.amp.GradScaler(enabled=recipe.amp == "float16")
        self.ema = optim.EMA(self.model, recipe.ema, warmup=True) if recipe.ema else None
        self.loss, self.accuracy = metrics.MeanMetric(), metrics.Accuracy()
        self.step = make_step(self)
        self.evaluation: Evaluation | None = None

    @property
    def epoch(self) -> int:
        """The number of the present epoch, from 1."""
        return len(self.history) + 1

    @property
    def steps_of_epoch(self) -> int:
        """Steps that the present epoch has behind it."""
        return self.clock.seen // self.recipe.batch_size

    def state(self) -> dict[str, Any]:
        """All that decides how training goes on, for ``lucid.checkpoint``."""
        parts = {
            "model": self.model,
            "optimizer": self.optimizer,
            "scheduler": self.scheduler,
            "scaler": self.scaler,
            "loader": self.train_loader,
            "loss": self.loss,
            "accuracy": self.accuracy,
        }
        return parts if self.ema is None else {**parts, "ema": self.ema}

    def weights(self) -> dict[str, lucid.Tensor]:
        """The weights that are tested: the averaged ones where there are such."""
        return self.model.state_dict() if self.ema is None else self.ema.averages()


def make_step(trainer: Trainer) -> Callable[[lucid.Tensor, lucid.Tensor], None]:
    """One step of the optimizer: augment, forward, backward, clip, update, average. Nothing in it waits for a value."""
    recipe, model, optimizer, scaler, ema = (
        trainer.recipe, trainer.model, trainer.optimizer, trainer.scaler, trainer.ema,
    )  # fmt: skip
    prepare, mean_loss, accuracy = trainer.prepare, trainer.loss, trainer.accuracy
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    half = {"none": None, "bfloat16": lucid.bfloat16, "float16": lucid.float16}[recipe.amp]
    # Mixed targets are smoothed when they are mixed.
    smoothing = 0.0 if recipe.mixup or recipe.cutmix else recipe.label_smoothing

    def step(images: lucid.Tensor, labels: lucid.Tensor) -> None:
        optimizer.zero_grad()
        size = len(labels) // recipe.accumulate
        for start in range(0, size * recipe.accumulate, size):
            inputs, targets = prepare(images[start : start + size], labels[start : start + size])
            with lucid.autocast(dtype=half, enabled=half is not None):
                logits = model(inputs)
                loss = F.cross_entropy(logits, targets, label_smoothing=smoothing)
            scaler.scale(loss / recipe.accumulate).backward()
            mean_loss.update(loss.detach(), size)
            accuracy.update(logits.detach(), targets)
        dist.average_gradients(parameters)
        scaler.unscale_(optimizer)
        if recipe.clip_norm:
            nn.utils.clip_grad_norm_(parameters, recipe.clip_norm)
        scaler.step(optimizer)
        scaler.update()
        if ema is not None:
            ema.update()

    if not trainer.is_compiled:
        return step
    state = [model, optimizer, scaler, mean_loss, accuracy, *([] if ema is None else [ema])]
    return lucid.compile(step, state=state)


def make_groups(recipe: Recipe, model: nn.Module) -> list[dict[str, Any]]:
    """The parameters in groups: no weight decay where there shall be none, lower rates for earlier layers if asked."""
    groups = models.param_groups_layer_decay(
        model, recipe.lr, weight_decay=recipe.weight_decay, layer_decay=recipe.layer_decay
    )
    merged: dict[tuple[float, float], dict[str, Any]] = {}
    for group in groups:  # with a layer decay of 1 two are left
        one = merged.setdefault((group["lr_scale"], group["weight_decay"]), {**group, "params": [], "param_names": []})
        one["params"] += group["params"]
        one["param_names"] += group["param_names"]
    return list(merged.values())


def make_optimizer(recipe: Recipe, groups: list[dict[str, Any]]) -> optim.Optimizer:
    if recipe.optimizer == "sgd":
        return optim.SGD(
            groups, lr=recipe.lr, momentum=recipe.momentum, nesterov=recipe.momentum > 0,
            weight_decay=recipe.weight_decay,
        )  # fmt: skip
    return optim.AdamW(groups, lr=recipe.lr, weight_decay=recipe.weight_decay)


def warmup_cosine(warmup_steps: int, steps: int, floor: float) -> Callable[[int], float]:
    """A factor on the learning rate: it rises to 1 in the warm-up, then falls along half a cosine to ``floor``."""

    def factor(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / warmup_steps
        along = min(1.0, (step - warmup_steps) / max(1, steps - warmup_steps))
        return floor + (1 - floor) * (0.5 + 0.5 * math.cos(math.pi * along))

    return factor


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


@lucid.no_grad()
def evaluate(trainer: Trainer) -> Evaluation:
    """Go through the test images once, with averaged weights where there are such. All processes learn the result."""
    trainer.model.eval()
    mean_loss, counts, rows = metrics.MeanMetric(), metrics.ConfusionMatrix(len(trainer.classes)), []
    with contextlib.nullcontext() if trainer.ema is None else trainer.ema.applied():
        for images, labels in trainer.test_loader:
            logits = trainer.model(trainer.prepare_test(images))
            mean_loss.update(F.cross_entropy(logits, labels), len(labels))
            counts.update(logits, labels)
            probabilities = F.softmax(logits, dim=1)
            sure, taken = probabilities.max(dim=1)
            columns = labels, taken, sure, probabilities.gather(1, labels.reshape(-1, 1)).reshape(-1)
            rows.append(np.stack([column.numpy() for column in columns], axis=1, dtype=np.float64))
    found = np.concatenate([np.empty((0, 4)), *rows])  # there may be fewer images than processes
    numbers = dist.get_rank() + dist.get_world_size() * np.arange(len(found))
    dist.reduce_metrics(mean_loss, counts)
    wrong = np.flatnonzero(found[:, 0] != found[:, 1])
    mistakes = surest(np.column_stack([numbers, found])[wrong])
    if dist.get_world_size() > 1:
        padded = np.full((KEPT_MISTAKES, 5), -1.0)  # all processes send as many
        padded[: len(mistakes)] = mistakes
        together = np.concatenate([one.numpy() for one in dist.all_gather(lucid.tensor(padded, dtype=lucid.float32))])
        mistakes = surest(together[together[:, 0] >= 0])
    listed = [(*map(int, row[:3]), *map(float, row[3:])) for row in mistakes]
    return Evaluation(mean_loss.compute().item(), counts.compute().numpy(), listed)  # type: ignore[arg-type]


def surest(rows: np.ndarray) -> np.ndarray:
    """The mistakes that the model was surest of; of equal ones the first."""
    return rows[np.lexsort((rows[:, 0], -rows[:, 3]))][:KEPT_MISTAKES]
