"""The loop around training: epochs, progress, results, checkpoints, and signals that stop it.

``fit`` does it all for a ``Trainer``: it writes results and a checkpoint after every epoch, and stops when asked to.
"""

import contextlib
import dataclasses
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from report import duration
from run_folder import RunFolder, best_row
from tqdm import tqdm
from training import Clock, Trainer, evaluate

import lucid
from lucid import checkpoint
from lucid import distributed as dist

STEPS_BETWEEN_READINGS = 10


class Diverged(Exception):
    """The loss is no number any more."""


class Saver:
    """Saves checkpoints, after every epoch and every ``minutes`` in between; the newest three and the best stay.

    Of several processes the first one writes; all of them must call ``save``, and read the same folder in ``restore``.
    """

    def __init__(self, folder: Path, minutes: float = 10.0) -> None:
        self.manager = checkpoint.Manager(folder, keep=3, best="accuracy")
        self.minutes, self.saved_at = minutes, time.perf_counter()

    def is_due(self) -> bool:
        return time.perf_counter() - self.saved_at > 60 * self.minutes

    def save(self, trainer: Trainer) -> None:
        history, clock = trainer.history, trainer.clock
        # Each process draws its own random numbers, and has counted its own images; the first one keeps the sum.
        random = [key.tolist() for key in dist.all_gather(lucid.random.get_state())]
        dist.reduce_metrics(trainer.loss, trainer.accuracy)
        if dist.is_main():
            notes = {"recipe": dataclasses.asdict(trainer.recipe), "history": history, "random": random}
            state = {**trainer.state(), **notes, "clock": dataclasses.asdict(clock)}
            scores = {} if clock.seen else {"accuracy": history[-1][f"{trainer.part}_accuracy"]}
            step = len(history) * len(trainer.train_loader) + trainer.steps_of_epoch
            self.manager.save(state, step=step, epoch=len(history), metrics=scores)
        else:
            trainer.loss.reset()
            trainer.accuracy.reset()
        self.saved_at = time.perf_counter()

    def restore(self, trainer: Trainer, path: Path | None) -> None:
        """Bring ``trainer`` to where the checkpoint ``path``, or else the newest one, was saved.

        Raises:
            CheckpointError: it does not fit, or is damaged. Nothing has changed then.
        """
        notes = dict.fromkeys(("recipe", "history", "random", "clock"))
        found = self.manager.restore({**trainer.state(), **notes}, path)
        if found is None:
            return
        values, size = found.values, dist.get_world_size()
        if len(values["random"]) != size:
            raise checkpoint.CheckpointError(f"{found.path} is of {len(values['random'])} processes, here are {size}")
        lucid.random.set_state(lucid.tensor(values["random"][dist.get_rank()], dtype=lucid.uint32))
        trainer.history, trainer.clock = values["history"], Clock(**values["clock"])
        if not dist.is_main():
            trainer.loss.reset()
            trainer.accuracy.reset()

    def recipe(self, path: Path | None = None) -> dict[str, Any] | None:
        """The recipe of the checkpoint ``path``, or else of the newest one; None where there is no checkpoint.

        Raises:
            CheckpointError: it is damaged, or no checkpoint of such a program.
        """
        found = self.manager.restore({"recipe": None}, path, strict=False)
        if found is not None and "recipe" not in found.values:
            raise checkpoint.CheckpointError(f"{found.path} is no checkpoint of this program")
        return None if found is None else found.values["recipe"]


class Bar:
    """A progress bar for an epoch, where somebody watches; it also says when the whole run will be over."""

    def __init__(self, trainer: Trainer, title: str) -> None:
        self.trainer, self.start = trainer, time.perf_counter()
        self.begun_at = trainer.clock.seen
        total = len(trainer.train_loader) * trainer.recipe.batch_size
        hidden = None if dist.is_main() else True  # None: where nobody watches
        self.bar = tqdm(total=total, initial=self.begun_at, desc=title, unit=" img", leave=False, disable=hidden)

    def __enter__(self) -> "Bar":
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def show(self, loss: float, accuracy: float) -> None:
        recipe, seen = self.trainer.recipe, self.trainer.clock.seen
        per_second = (seen - self.begun_at) / (time.perf_counter() - self.start)
        left = self.bar.total * (recipe.epochs - len(self.trainer.history)) - seen
        text = f"loss {loss:.3f}, accuracy {accuracy:.1%}, run ends in {duration(round(left / per_second))}"
        self.bar.set_postfix_str(text, refresh=False)
        self.bar.update(seen - self.bar.n)


def fit(trainer: Trainer, folder: RunFolder, saver: Saver, stop: checkpoint.StopSignals) -> bool:
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


def run_epoch(trainer: Trainer, folder: RunFolder, saver: Saver, stop: checkpoint.StopSignals) -> bool:
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


def train_epoch(trainer: Trainer, bar: Bar, saver: Saver, stop: checkpoint.StopSignals) -> bool:
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


def line(title: str, row: dict[str, Any], part: str) -> str:
    return (
        f"{title}: loss {row['train_loss']:.3f}, accuracy {row['train_accuracy']:.2%}; "
        f"{part} loss {row[f'{part}_loss']:.3f}, accuracy {row[f'{part}_accuracy']:.2%}; "
        f"{row['images_per_second']:,.0f} images/s, {row['waiting']:.1%} of the time waiting for data"
    )
