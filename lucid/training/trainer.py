"""What training programs share: the step of the optimizer, what changes with it, and the test.

A program gives a model, loaders and an augmentation to ``Trainer``, and that to ``fit`` in ``running.py``. The heart of
it all is the step, in ``make_step``, which ``lucid.compile`` turns into one graph.
"""

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import lucid
import lucid.nn.functional as F
from lucid import checkpoint, metrics, nn, optim
from lucid import distributed as dist
from lucid.training.optimizer import make_optimizer, warmup_cosine
from lucid.training.progress import Bar, line
from lucid.training.recipe import Recipe
from lucid.training.run_folder import RunFolder, best_row

KEPT_MISTAKES = 24


STEPS_BETWEEN_READINGS = 10


class Diverged(Exception):
    """The loss is no number any more."""


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


def fit(trainer: Trainer, folder: RunFolder, saver: Any, stop: checkpoint.StopSignals) -> bool:
    """Train to the end of the recipe, and write results and a checkpoint after every epoch. False: it was stopped.

    ``stop.requested`` is looked at after every step; then, and every few minutes, a checkpoint is saved in the middle
    of the epoch. An epoch counts when its checkpoint is there.

    Raises:
        Diverged: the loss is infinite or not a number.
        OSError: something cannot be written.
    """
    if dist.is_main() and not is_finished(trainer):
        folder.prepare()
    with contextlib.closing(folder):
        while not is_finished(trainer):
            if agreed(0, stop.requested)[0] or not run_epoch(trainer, folder, saver, stop):
                return False
    return True


def run_epoch(trainer: Trainer, folder: RunFolder, saver: Any, stop: checkpoint.StopSignals) -> bool:
    """Train, test, write. False: it was stopped in training."""
    title = f"epoch {trainer.epoch:{len(str(trainer.recipe.epochs))}}/{trainer.recipe.epochs}"
    with Bar(trainer, title) as bar:
        if not train_epoch(trainer, bar, saver, stop):
            return False
        dist.reduce_metrics(trainer.loss, trainer.accuracy)
        start = time.perf_counter()
        trainer.evaluation = evaluate(trainer)
        row = make_row(trainer, time.perf_counter() - start)
    trainer.history.append(row)
    trainer.clock = Clock()
    trainer.loss.reset()
    trainer.accuracy.reset()
    if dist.is_main():
        folder.write(trainer)
        print(line(title, row, trainer.part), flush=True)
    saver.save(trainer)
    return True


def is_finished(trainer: Trainer) -> bool:
    """Whether all epochs are done, or the accuracy has not risen for as many as the recipe's patience."""
    done, patience = len(trainer.history), trainer.recipe.patience
    if done and patience and done - best_row(trainer.history, trainer.part)["epoch"] >= patience:
        return True
    return done >= trainer.recipe.epochs


def train_epoch(trainer: Trainer, bar: Bar, saver: Any, stop: checkpoint.StopSignals) -> bool:
    """The rest of the present epoch. False: it was stopped, and saved, before the end."""
    trainer.model.train()
    clock, steps = trainer.clock, len(trainer.train_loader)
    start = time.perf_counter() - clock.seconds
    first = trainer.steps_of_epoch + 1
    batches, trainer.batches = trainer.batches or iter(trainer.train_loader), None
    for step, (images, labels) in enumerate(timed(batches, clock), first):
        trainer.step(images, labels)
        trainer.scheduler.step()
        clock.seen += len(labels) * dist.get_world_size()
        # Reading a number waits for all work so far, so it is done once in a while.
        if step % STEPS_BETWEEN_READINGS == 0 or step == steps:
            loss, accuracy = trainer.loss.compute().item(), trainer.accuracy.compute().item()
            if not math.isfinite(loss):
                raise Diverged(f"The loss is {loss} in epoch {trainer.epoch}: a smaller --lr may help.")
            clock.seconds = time.perf_counter() - start
            bar.show(loss, accuracy)
        if step < steps and any(wishes := agreed(step, stop.requested, saver.is_due())):
            clock.seconds = time.perf_counter() - start
            saver.save(trainer)
            if wishes[0]:
                return False
    if trainer.epoch < trainer.recipe.epochs:
        trainer.batches = iter(trainer.train_loader)  # a loader's threads read while the model is tested
    return True


def timed(batches: Any, clock: Clock) -> Iterator[Any]:
    """``batches``, and on ``clock`` the time that it took to get them."""
    iterator = iter(batches)
    while True:
        asked = time.perf_counter()
        batch = next(iterator, None)
        clock.waiting += time.perf_counter() - asked
        if batch is None:
            return
        yield batch


def agreed(step: int, *wishes: bool) -> list[bool]:
    """What any process wants. Asking the others takes time, so several processes do it every few steps only."""
    if dist.get_world_size() == 1:
        return list(wishes)
    if step % STEPS_BETWEEN_READINGS:
        return [False] * len(wishes)
    return [one > 0 for one in dist.all_reduce(lucid.tensor(wishes, dtype=lucid.int32), "max").tolist()]


def make_row(trainer: Trainer, test_seconds: float) -> dict[str, Any]:
    """The epoch's line of the history."""
    clock, evaluation, part = trainer.clock, trainer.evaluation, trainer.part
    assert evaluation is not None
    row = {
        "lr": trainer.recipe.lr * trainer.lr_factor(len(trainer.history) * len(trainer.train_loader)),
        "train_loss": trainer.loss.compute().item(),
        "train_accuracy": trainer.accuracy.compute().item(),
        f"{part}_loss": evaluation.loss,
        f"{part}_accuracy": evaluation.accuracy,
        "images_per_second": clock.seen / clock.seconds,
        "waiting": clock.waiting / clock.seconds,  # for data: a part of the time of training
        "seconds": clock.seconds + test_seconds,
    }
    return {"epoch": trainer.epoch, **{name: float(f"{value:.6g}") for name, value in row.items()}}


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
