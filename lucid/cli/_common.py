"""What the commands share: options, the choice of settings, and how a run ends."""

import argparse
import dataclasses
import signal
import sys
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, NoReturn, get_args

import lucid
from lucid import checkpoint
from lucid import distributed as dist
from lucid.training.recipe import Kind, Recipe, in_order, option, read_config
from lucid.training.resume import Saver
from lucid.training.run_folder import RunFolder, best_row
from lucid.training.trainer import Trainer, evaluate, fit


class Parser(argparse.ArgumentParser):
    """Answers a mistake with one sentence and code 2; the usage of so many options would hide it."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message}\n")


def options(group: Any, kind: type[Recipe]) -> None:
    """Add an option to a parser's group for every field."""
    for one in in_order(kind):
        more: dict[str, Any] = {"help": one.metadata["help"], "default": None}
        if one.type is bool:
            more["action"] = argparse.BooleanOptionalAction
        elif "choices" in one.metadata:
            more["choices"] = one.metadata["choices"]
        else:
            letter: dict[Any, str] = {int: "N", float: "X", str: "NAME"}
            kind_of_one = get_args(one.type)[0] if get_args(one.type) else one.type
            more |= {"type": kind_of_one, "metavar": letter[kind_of_one]}
        if get_args(one.type):
            more["nargs"] = "+"
        if one.name == "amp":  # --amp alone is enough
            more |= {"nargs": "?", "const": "bfloat16"}
        group.add_argument(option(one.name), **more)


def choose(kind: type[Kind], args: argparse.Namespace, base: Mapping[str, Any], *, saved: bool = False) -> Kind:
    """The options that were given, completed by ``base``.

    That of a checkpoint (``saved``) must not be contradicted, neither by options nor by ``--config``. Where fewer
    epochs are wanted than ``base`` warms up, the rate rises in all of them.

    Raises:
        ValueError: an option contradicts the checkpoint, a value is out of range, or two do not go together.
    """
    names = [one.name for one in fields(kind)]
    given = {name: getattr(args, name) for name in names if getattr(args, name, None) is not None}
    if saved and getattr(args, "config", None):
        given = {**read_config(args.config, kind), **given}
    if foreign := sorted(set(base) - set(names)):
        raise ValueError(
            f"the checkpoint is of another program: it has the setting {foreign[0]}, which is not known here"
        )
    recipe = kind(**base)
    if saved:
        for name, value in given.items():
            kept = getattr(recipe, name)
            if (tuple(value) if isinstance(value, list) else value) != kept:
                raise ValueError(f"{option(name)} {_words(value)} contradicts the checkpoint, which has {_words(kept)}")
    recipe = dataclasses.replace(recipe, **given)
    if saved or recipe.warmup_epochs <= recipe.epochs:
        return recipe
    if "warmup_epochs" in given:
        raise ValueError(f"--warmup-epochs must be at most --epochs, {recipe.epochs}, got {recipe.warmup_epochs}")
    return dataclasses.replace(recipe, warmup_epochs=recipe.epochs)


def sentence(error: Exception) -> str:
    """What an error says to a user: without the number of one of the system's."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return str(error)


def _words(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


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
        help="share each batch among processes: mlx.launch -n 2 -- python -m %(prog)s ... --distributed",
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


def positive(word: str) -> int:
    """The number that stands on a command line."""
    try:
        number = int(word)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be a positive integer, got {word!r}")
    return number


def use_device(parser: argparse.ArgumentParser, name: str | None) -> None:
    """Compute on the device that an option names, if it does. One that is not there ends the program with code 2."""
    try:
        if name:
            lucid.device(name)
    except RuntimeError as error:
        parser.error(str(error))
