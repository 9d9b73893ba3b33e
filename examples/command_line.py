"""What the command lines of training programs share: the options of a run, whether it goes on, and how it ends."""

import argparse
import signal
import sys
from pathlib import Path
from typing import Any

from run_folder import RunFolder, best_row
from running import Saver, fit
from training import Trainer, evaluate

import lucid
from lucid import checkpoint
from lucid import distributed as dist
from lucid.serialization import load_with_metadata


def run_options(group: Any, out: str) -> None:
    """Add to a parser's group the options of every program; ``out`` is the default folder in words."""
    group.add_argument("--out", type=Path, help=f"folder for the results (default: {out})")
    group.add_argument(
        "--resume", nargs="?", const="auto", metavar="CHECKPOINT",
        help="go on from a checkpoint; auto: from the newest under OUT, or at the start if there is none",
    )  # fmt: skip
    group.add_argument("--overwrite", action="store_true", help="begin anew where an unfinished run lies")
    group.add_argument("--config", type=Path, metavar="FILE", help="settings as JSON; options go before them")
    group.add_argument("--eval-only", action="store_true", help="test the weights of a run, and train nothing")
    group.add_argument(
        "--distributed", action="store_true",
        help="share each batch among processes: mlx.launch -n 2 -- python examples/%(prog)s ... --distributed",
    )  # fmt: skip
    group.add_argument("--print-config", action="store_true", help="show all settings as JSON, and do nothing")
    group.add_argument("--device", choices=["cpu", "gpu"], help="default: the GPU where there is one")
    group.add_argument(
        "--compile", action=argparse.BooleanOptionalAction,
        help="the step as one graph: faster on a GPU (there the default), long to build on a CPU",
    )  # fmt: skip
    group.add_argument(
        "--save-minutes", type=float, default=10.0, metavar="X", help="save so often within an epoch, too (10)"
    )


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
    waited = newest.epoch - best.epoch if best else 0
    return newest.epoch >= recipe["epochs"] or 0 < recipe["patience"] <= waited


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


def test(trainer: Trainer) -> int:
    """Say how many images of each class are right. The program's exit code."""
    found = evaluate(trainer)
    if dist.is_main():
        for number, (name, row) in enumerate(zip(trainer.classes, found.confusion, strict=True)):
            print(f"{name:<16} {row[number]:6,} of {row.sum():6,} right, {row[number] / max(1, row.sum()):7.2%}")
        print(f"{found.accuracy:.2%} of the {trainer.part} images are right, loss {found.loss:.4f}")
    return 0


def train(trainer: Trainer, folder: RunFolder, saver: Saver) -> int:
    """Train to the end, or until a signal comes, and say how it went. The program's exit code."""
    with checkpoint.StopSignals() as stop:
        if not fit(trainer, folder, saver, stop):
            if dist.is_main():
                print(f"Stopped in epoch {trainer.epoch}, all saved; --resume auto goes on.", file=sys.stderr)
            return stop.exit_code or 128 + signal.SIGTERM  # the signal came to another process
    if dist.is_main():
        column = f"{trainer.part}_accuracy"
        last, best = trainer.history[-1], best_row(trainer.history, trainer.part)
        print(
            f"{last[column]:.2%} of the {trainer.part} images are right "
            f"({best[column]:.2%} in epoch {best['epoch']}, the best); "
            f"{sum(row['seconds'] for row in trainer.history):.0f} s; see {folder.folder}"
        )
    return 0
