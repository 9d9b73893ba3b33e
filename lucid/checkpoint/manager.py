"""``Manager``: keeps the newest checkpoints of a run and the best one in one folder."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import math
import os
import re
import shutil
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lucid import _checks
from lucid._files import NO_LOCKS, open_unlinked
from lucid.checkpoint.folder import (
    Checkpoint,
    CheckpointError,
    DamagedError,
    read_folder,
    read_manifest,
    sync_folder,
    write_folder,
)
from lucid.checkpoint.state_protocols import check_parts, load_parts, pack_parts

_NAME = re.compile(r"step-([0-9]{8,18})(?:\.([0-9]{1,9}))?")  # ".2": saved again at the same step
_TEMPORARY = ".temporary-"


class Manager:
    """Saves and restores the state of a training run; see ``lucid.checkpoint`` for an example.

    Only one process writes: in distributed training rank 0 saves and all ranks restore.

    Args:
        folder: Where checkpoints are stored. It is created by the first save.
        keep: Number of newest checkpoints to keep; None keeps all. Saving needs disk space for one more.
        best: Name of a metric. The checkpoint with its best value is kept too.
        mode: "max" if larger values of the metric are better, "min" if smaller ones are.

    Raises:
        ValueError: ``keep`` is below 1, or ``mode`` is invalid.
        NotADirectoryError: ``folder`` is a file.
    """

    def __init__(
        self, folder: str | os.PathLike[str], keep: int | None = 3, *, best: str | None = None, mode: str = "max"
    ) -> None:
        self.folder = Path(folder)
        if self.folder.exists() and not self.folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, f"Manager: {self.folder} is not a folder")
        self._keep = None if keep is None else _checks.integer("Manager", "keep", keep, 1)
        self._metric = best
        self._mode = _checks.one_of("Manager", "mode", mode, ("max", "min"))
        self._resumed_at: int | None = None  # the step of an older checkpoint that was requested

    # Listing --------------------------------------------------------------------------------------------------------

    def checkpoints(self) -> list[Checkpoint]:
        """All checkpoints with a valid manifest, oldest first. Other files are not verified."""
        found = []
        for path in self._paths():
            with contextlib.suppress(CheckpointError):
                found.append(read_manifest(path)[0])
        return found

    def latest(self) -> Checkpoint | None:
        """The newest checkpoint."""
        return next(reversed(self.checkpoints()), None)

    def best(self) -> Checkpoint | None:
        """The checkpoint with the best metric, the first among equals; None if no checkpoint has the metric.

        Raises:
            ValueError: the manager was created without ``best``.
        """
        if self._metric is None:
            raise ValueError('Manager.best: no metric given; create the manager with Manager(folder, best="accuracy")')
        return self._best_of(self.checkpoints())

    def _best_of(self, found: list[Checkpoint]) -> Checkpoint | None:
        name, sign = self._metric, 1 if self._mode == "max" else -1
        rated = [one for one in found if name in one.metrics and not math.isnan(one.metrics[name])]
        return max(rated, key=lambda one: sign * one.metrics[str(name)], default=None)

    def _paths(self) -> list[Path]:
        """The folders of checkpoints, oldest first."""
        names = os.listdir(self.folder) if self.folder.is_dir() else []
        return sorted((self.folder / name for name in names if _NAME.fullmatch(name)), key=_step_and_number)

    # Saving ---------------------------------------------------------------------------------------------------------

    def save(
        self,
        state: Mapping[str, Any],
        *,
        step: int,
        epoch: int | None = None,
        metrics: Mapping[str, Any] | None = None,
    ) -> Path:
        """Write a checkpoint, remove old ones, and return the new checkpoint's folder.

        Call it between steps, since gradients are not saved. It waits for pending values.

        Args:
            state: Parts by name: objects with ``state_dict()`` and ``load_state_dict()``, ``lucid.random`` (also
                ``numpy.random`` and Python's ``random``), or plain values (numbers, strings, lists, tuples,
                dictionaries, tensors, NumPy arrays).
            step: The number of training steps done.
            epoch: The number of epochs done.
            metrics: Numbers by name.

        Raises:
            TypeError: a part holds an object that cannot be saved. Nothing is written.
            ValueError: the folder holds a later step, or ``metrics`` lacks the metric that selects the best checkpoint.
            OSError: writing failed, for example because the disk is full. Existing checkpoints are unchanged.
        """
        where = "Manager.save"
        step = _checks.integer(where, "step", step, 0)
        epoch = None if epoch is None else _checks.integer(where, "epoch", epoch, 0)
        if metrics is not None and not isinstance(metrics, Mapping):
            raise TypeError(f'{where}: metrics must be a dictionary such as {{"accuracy": 0.9}}, got {metrics!r:.60}')
        numbers = {name: _to_float(where, name, value) for name, value in (metrics or {}).items()}
        if numbers and self._metric is not None and self._metric not in numbers:
            raise ValueError(f"{where}: metrics must have {self._metric!r}, got {', '.join(numbers)}")
        parts = pack_parts(where, check_parts(where, state))
        try:
            with self._write_lock():
                target = self._target(step)
                temporary = self._temporary(target)
                try:
                    write_folder(temporary, target, parts, {"step": step, "epoch": epoch, "metrics": numbers})
                finally:
                    shutil.rmtree(temporary, ignore_errors=True)  # already renamed on success
                self._remove_old()
        except OSError as error:
            latest, reason = self.latest(), error.strerror or error
            rest = "there is no checkpoint yet" if latest is None else f"the newest checkpoint is {latest.path.name}"
            raise OSError(
                error.errno, f"{where}: step {step} could not be saved in {self.folder} ({reason}); {rest}"
            ) from error
        return target

    def _target(self, step: int) -> Path:
        """A new folder name: an existing folder could not be replaced atomically."""
        steps = {path: _step_and_number(path) for path in self._paths()}
        newest, number = max(steps.values(), default=(-1, 0))
        if newest > step and self._resumed_at is not None:
            for path, (at, _) in steps.items():
                if at > self._resumed_at:
                    self._set_aside(path, "abandoned")
            self._resumed_at = None
            return self._target(step)
        if newest > step:
            raise ValueError(
                f"Manager.save: {self.folder} already holds step {newest}, which is after step {step}; "
                "call restore() first to continue that run, or use another folder"
            )
        return self.folder / (f"step-{step:08}.{number + 1}" if newest == step else f"step-{step:08}")

    def _remove_old(self) -> None:
        if self._keep is None:
            return
        found = self.checkpoints()
        last_of_steps = list({one.step: one.path for one in found}.values())
        staying = last_of_steps[-self._keep :]
        best = self._best_of(found) if self._metric is not None else None
        for one in found:
            if one.path not in staying and one != best:
                # Rename first, so that a kill here does not leave a checkpoint with missing files.
                doomed = self._temporary(one.path)
                try:
                    os.rename(one.path, doomed)
                    shutil.rmtree(doomed)
                except OSError as error:
                    warnings.warn(f"{one.path} could not be removed: {error.strerror}", UserWarning, stacklevel=3)

    def _temporary(self, path: Path) -> Path:
        return self.folder / f"{_TEMPORARY}{path.name}-{os.getpid()}"

    @contextlib.contextmanager
    def _write_lock(self) -> Iterator[None]:
        """Create and lock the folder, and remove what killed processes left behind."""
        if not self.folder.is_dir():
            self.folder.mkdir(parents=True, exist_ok=True)
            sync_folder(self.folder.parent)
        with open_unlinked(self.folder / ".lock") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
            except OSError as error:  # some network file systems do not support locks
                if error.errno not in NO_LOCKS:
                    raise
            else:  # the lock holder is the only writer, so these are stale
                for path in self.folder.glob(f"{_TEMPORARY}*"):
                    shutil.rmtree(path, ignore_errors=True)
            yield

    # Restoring ------------------------------------------------------------------------------------------------------

    def restore(
        self, state: Mapping[str, Any], checkpoint: Checkpoint | str | os.PathLike[str] | None = None, *,
        strict: bool = True,
    ) -> Checkpoint | None:  # fmt: skip
        """Load the newest checkpoint into all parts; returns None if there is no checkpoint.

        Checksums are verified first. If the newest checkpoint is damaged, it is renamed to "damaged-..." with a
        warning, and the previous one is used.

        Args:
            state: Parts by name, as for ``save``. Plain values are returned in ``Checkpoint.values``.
            checkpoint: A specific checkpoint, such as ``manager.best()``. If training continues from there, the next
                ``save`` renames later checkpoints to "abandoned-...".
            strict: Whether the parts and the checkpoint must have the same names. Otherwise, other names are ignored.

        Raises:
            CheckpointError: the checkpoint does not exist or does not fit the parts, or all checkpoints are damaged.
                Nothing is changed.
        """
        parts = check_parts("Manager.restore", state)
        if checkpoint is not None:
            path = checkpoint.path if isinstance(checkpoint, Checkpoint) else Path(checkpoint)
            if not path.is_dir():
                available = ", ".join(one.name for one in self._paths()) or "no checkpoints"
                fault = "is not a folder" if os.path.lexists(path) else "does not exist"
                raise CheckpointError(f"Manager.restore: {path} {fault}; {self.folder} holds {available}")
            try:
                about, saved = read_folder(path)
            except DamagedError as error:
                raise DamagedError(f"{path} is damaged: {error}") from None
            # A checkpoint of another run says nothing about the steps in this folder.
            back_at = about.step if path.resolve().parent == self.folder.resolve() else None
        else:
            with contextlib.suppress(OSError):  # a read-only folder can be restored from too
                if self.folder.is_dir():
                    with self._write_lock():
                        pass
            found = self._newest_intact()
            if found is None:
                return None
            about, saved = found
            back_at = None
        values = load_parts(str(about.path), parts, saved, strict)
        self._resumed_at = back_at
        return replace(about, values=values)

    def _newest_intact(self) -> tuple[Checkpoint, dict[str, Any]] | None:
        """The newest checkpoint without damage; damaged newer ones are renamed."""
        faults: list[tuple[Path, DamagedError]] = []
        for path in reversed(self._paths()):
            try:
                found = read_folder(path)
            except DamagedError as error:
                if not os.path.lexists(path):  # another process saved a newer one and removed this one
                    return self._newest_intact()
                faults.append((path, error))
                continue
            for damaged, fault in faults:
                now = self._set_aside(damaged, "damaged")
                warnings.warn(f"{damaged} is damaged ({fault}){now}; using {path.name}", UserWarning, stacklevel=3)
            return found
        if faults:
            raise CheckpointError(
                f"Manager.restore: all checkpoints in {self.folder} are damaged; start over in another folder:\n  "
                + "\n  ".join(f"{path.name}: {fault}" for path, fault in faults)
            )
        return None

    def _set_aside(self, path: Path, why: str) -> str:
        """Rename a checkpoint so that it is ignored from now on; returns a description of the outcome."""
        names = (f"{why}-{path.name}{suffix}" for suffix in ("", *(f"-{i}" for i in range(2, 1000))))
        target = next(one for name in names if not (one := self.folder / name).exists())
        try:
            os.rename(path, target)
        except OSError as error:  # another process was faster, or the folder is read-only
            return f", and could not be renamed: {error.strerror}"
        return f" and was renamed to {target.name}"


def _step_and_number(path: Path) -> tuple[int, int]:
    """The step of a checkpoint's folder, and how often that step was saved."""
    match = _NAME.fullmatch(path.name)
    assert match is not None
    return int(match[1]), int(match[2] or 1)


def _to_float(caller: str, name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{caller}: the metric {name!r} must be a number, got {value!r:.60}") from None
