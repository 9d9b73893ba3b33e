"""Checkpoints of a run, and the decision whether to resume or start over."""

import dataclasses
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lucid
from lucid import checkpoint
from lucid import distributed as dist
from lucid.training.progress import Clock
from lucid.training.recipe import SettingError

if TYPE_CHECKING:
    from lucid.training.trainer import Trainer

STEPS_BETWEEN_READINGS = 10
_CLOCK = {one.name for one in dataclasses.fields(Clock)}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_key(value: Any) -> bool:
    """Whether it is the random state of a process."""
    return isinstance(value, list) and len(value) == 2 and all(isinstance(n, int) and 0 <= n < 1 << 32 for n in value)


def _is_list_of(is_valid: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(map(is_valid, value))


# What a checkpoint has beside the states of ``Trainer.state``, and whether it can be used.
_NOTES: dict[str, Callable[[Any], bool]] = {
    "recipe": lambda value: isinstance(value, dict) and all(_is_number(value.get(n)) for n in ("epochs", "patience")),
    "history": _is_list_of(lambda row: isinstance(row, dict) and all(map(_is_number, row.values())) and "epoch" in row),
    "random": _is_list_of(_is_key),
    "clock": lambda value: isinstance(value, dict) and set(value) <= _CLOCK and all(map(_is_number, value.values())),
}


class Checkpoints:
    """Saves checkpoints after every epoch, and every ``save_minutes`` within one; the newest three and the best stay.

    Rank 0 writes; all ranks must call ``save``, and see the same folder in ``restore``.
    """

    def __init__(self, folder: Path, save_minutes: float = 10.0, *, best: str = "accuracy", mode: str = "max") -> None:
        if not save_minutes >= 0:
            raise SettingError(f"save_minutes must be at least 0, got {save_minutes:g}", "save_minutes")
        self.manager = checkpoint.Manager(folder, keep=3, best=best, mode=mode)
        self.save_minutes, self.best = save_minutes, best
        self._saved_at = time.perf_counter()

    def is_due(self) -> bool:
        return time.perf_counter() - self._saved_at > 60 * self.save_minutes

    def save(self, trainer: "Trainer") -> None:
        history, clock = trainer.history, trainer.clock
        # Each process has its own random state, and has counted its own samples; the first one keeps the sums.
        random = [key.tolist() for key in dist.all_gather(lucid.random.get_state())]
        running = trainer.running_metrics().values()
        dist.reduce_metrics(*running)
        if dist.is_main():
            notes = {"recipe": dataclasses.asdict(trainer.recipe), "history": history, "random": random}
            state = {**trainer.state(), **notes, "clock": dataclasses.asdict(clock)}
            scores = {} if clock.steps else {self.best: history[-1][trainer.monitor[0]]}
            step = len(history) * len(trainer.train_loader) + clock.steps
            self.manager.save(state, step=step, epoch=len(history), metrics=scores)
        else:
            for metric in running:
                metric.reset()
        self._saved_at = time.perf_counter()

    def restore(self, trainer: "Trainer", path: Path | None = None) -> None:
        """Restore ``trainer`` from the checkpoint ``path``, by default the newest one.

        Raises:
            SettingError: The checkpoint was saved with a different recipe. Nothing is changed.
            CheckpointError: The checkpoint is damaged or does not fit. Nothing is changed.
        """
        notes = self._notes(path)
        if notes is None:
            return
        _check_recipe(trainer, notes["recipe"])
        if any(trainer.monitor[0] not in row for row in notes["history"]):
            raise checkpoint.CheckpointError(f"the history in the checkpoint has no {trainer.monitor[0]}")
        found = self.manager.restore({**trainer.state(), **dict.fromkeys(_NOTES)}, path)
        if found is None:
            return
        values, size = found.values, dist.get_world_size()
        if len(values["random"]) != size:
            raise checkpoint.CheckpointError(
                f"{found.path} was saved by {len(values['random'])} processes, but this run has {size}"
            )
        lucid.random.set_state(lucid.tensor(values["random"][dist.get_rank()], dtype=lucid.uint32))
        trainer.history = values["history"]
        trainer.clock = type(trainer.clock)(**values["clock"])
        if not trainer.clock.steps:  # version 0.1.0 counted samples only
            trainer.clock.steps = trainer.clock.seen // trainer.recipe.batch_size
        if not dist.is_main():
            for metric in trainer.running_metrics().values():
                metric.reset()

    def recipe(self, path: Path | None = None) -> dict[str, Any] | None:
        """The settings in the checkpoint ``path``, by default the newest one; None if there is no checkpoint.

        Raises:
            CheckpointError: The checkpoint is damaged, or not from a ``Trainer``.
        """
        notes = self._notes(path)
        return None if notes is None else notes["recipe"]

    def _notes(self, path: Path | None) -> dict[str, Any] | None:
        """What is in the checkpoint ``path``, or else in the newest one, beside the states; None without a checkpoint.

        Raises:
            CheckpointError: It is damaged, or not from a ``Trainer``.
        """
        found = self.manager.restore(dict.fromkeys(_NOTES), path, strict=False)
        if found is None:
            return None
        if not all(name in found.values and is_valid(found.values[name]) for name, is_valid in _NOTES.items()):
            raise checkpoint.CheckpointError(f"{found.path} is not a checkpoint of a training run")
        return found.values

    def clear(self) -> None:
        """Remove all checkpoints."""
        shutil.rmtree(self.manager.folder, ignore_errors=True)


def prepare_run(
    checkpoints: Checkpoints, resume: str | Path | None, overwrite: bool
) -> tuple[dict[str, Any] | None, Path | None]:
    """The settings saved in the checkpoint to resume from, and its path if one was named; changes nothing.

    Raises:
        SettingError: The folder contains an unfinished run, and neither ``resume`` nor ``overwrite`` was given.
        CheckpointError: The checkpoint is damaged, or not from a ``Trainer``.
    """
    if resume is None and overwrite:
        return None, None
    manager = checkpoints.manager
    out = manager.folder.parent
    path = None if resume in (None, "auto") else Path(str(resume))
    newest = manager.latest()
    if path and path.is_dir() and not (path / "manifest.json").exists():
        raise ValueError(
            f"{path} is not a checkpoint; a checkpoint is a folder such as {out}/checkpoints/step-00000100"
        )
    if path and path.is_dir() and newest and not path.resolve().parent.samefile(manager.folder):
        raise SettingError(f"{path} is not a checkpoint of the run in {out}; resume auto continues that run", "resume")
    saved = checkpoints.recipe(path)
    if resume is not None:
        return saved, path
    if saved and newest and not _is_over(newest, manager.best(), saved):
        raise SettingError(
            f"{out} already contains an unfinished run, stopped after {newest.epoch} of {saved['epochs']} epochs; "
            "pass resume or overwrite",
            "resume",
            "overwrite",
        )
    return None, None


def _is_over(newest: checkpoint.Checkpoint, best: checkpoint.Checkpoint | None, recipe: dict[str, Any]) -> bool:
    """Whether a saved run is finished; ``Trainer.is_finished`` is the same for one in memory."""
    epochs = newest.epoch or 0
    waited = epochs - (best.epoch or 0) if best else 0
    return epochs >= recipe["epochs"] or 0 < recipe["patience"] <= waited


def _check_recipe(trainer: "Trainer", saved: dict[str, Any]) -> None:
    for name, value in trainer.recipe.settings().items():
        before = saved.get(name, value)
        if (tuple(before) if isinstance(before, list) else before) != value:
            raise SettingError(f"{name} is {value}, but the checkpoint was saved with {before}", name)


def any_process(step: int, *requests: bool) -> list[bool]:
    """What any process requests. Asking the others takes time, so several processes do it every few steps only."""
    if dist.get_world_size() == 1:
        return list(requests)
    if step % STEPS_BETWEEN_READINGS:
        return [False] * len(requests)
    return [one > 0 for one in dist.all_reduce(lucid.tensor(requests, dtype=lucid.int32), "max").tolist()]


def is_requested(stop: checkpoint.StopSignals | None) -> bool:
    return stop is not None and stop.requested
