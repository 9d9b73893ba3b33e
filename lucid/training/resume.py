"""Checkpoints of a run, and how it is resumed from them."""

import argparse
import dataclasses
import time
from pathlib import Path
from typing import Any

import lucid
from lucid import checkpoint
from lucid import distributed as dist
from lucid.serialization import load_with_metadata
from lucid.training.trainer import Clock, Trainer


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


def begin(args: argparse.Namespace, out: Path) -> tuple[Saver, dict[str, Any] | None, Path | None]:
    """What saves the run in ``out``; the recipe to go on with, if one goes on, and the checkpoint if one was named.

    Raises:
        ValueError: a run lies there, and nobody said what shall become of it.
        CheckpointError: the checkpoint is damaged, or none of such a program.
    """
    if not args.save_minutes >= 0:
        raise ValueError(f"--save-minutes must be at least 0, got {args.save_minutes:g}")
    saver = Saver(out / "checkpoints", args.save_minutes)
    if args.resume is None and args.overwrite:
        return saver, None, None
    path = None if args.resume in (None, "auto") else Path(args.resume)
    newest = saver.manager.latest()
    if path and path.is_dir() and not (path / "manifest.json").exists():
        raise ValueError(f"{path} is no checkpoint, which is a folder such as {out}/checkpoints/step-00000100")
    if path and path.is_dir() and newest and not path.resolve().parent.samefile(saver.manager.folder):
        raise ValueError(
            f"{out} holds another run than that of {path}; --resume auto goes on with it, another --out with the latter"
        )
    saved = saver.recipe(path)
    if args.resume is not None:
        return saver, saved, path
    if saved and newest and not is_over(newest, saver.manager.best(), saved):
        raise ValueError(
            f"{out} holds a run that stopped after {newest.epoch} of {saved['epochs']} epochs; --resume auto goes on "
            "with it, --overwrite begins anew"
        )
    return saver, None, None


def is_over(newest: checkpoint.Checkpoint, best: checkpoint.Checkpoint | None, recipe: dict[str, Any]) -> bool:
    """Whether a run has done all its epochs, or has lost its patience; see ``is_finished`` for one in memory."""
    epochs = newest.epoch or 0
    waited = epochs - (best.epoch or 0) if best else 0
    return epochs >= recipe["epochs"] or 0 < recipe["patience"] <= waited


def find_weights(args: argparse.Namespace, out: Path, key: str) -> tuple[str, dict[str, lucid.Tensor], dict[str, str]]:
    """What ``--eval-only`` tests: the name of a file of weights, these, and its metadata, which has the settings.

    Raises:
        ValueError: it is of another program: ``key`` is not in the metadata. Or ``--resume`` was given.
        OSError: it cannot be read.
    """
    if args.resume is not None:
        raise ValueError("--eval-only tests a file of weights, see --weights; --resume is for training")
    path = str(args.weights or out / "best.safetensors")
    weights, metadata = load_with_metadata(path)
    if key not in metadata:
        raise ValueError(f"{path} is not a file of weights of this program")
    return path, weights, metadata
