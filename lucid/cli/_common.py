"""What the commands share: option parsing, the choice of settings, and the life of a training command."""

import argparse
import contextlib
import dataclasses
import json
import math
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, NoReturn, get_args

import lucid
from lucid import data, nn
from lucid import distributed as dist
from lucid._files import read_regular
from lucid.kernels.quantized_matmul import MODES
from lucid.models import DownloadError
from lucid.serialization import load_with_metadata
from lucid.training import find_lr
from lucid.training.progress import require
from lucid.training.recipe import (
    Kind,
    Recipe,
    SettingError,
    ordered_fields,
    parse_settings,
    rename_settings,
)
from lucid.training.resume import Checkpoints, prepare_run
from lucid.training.run_folder import best_row
from lucid.training.trainer import DivergedError, Stopped, Trainer


class Parser(argparse.ArgumentParser):
    """Reports an error in one line, with exit code 2; the long usage message would hide it."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {' '.join(message.split())}\n")


def positive(word: str) -> int:
    """An ``argparse`` type."""
    try:
        number = int(word)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be a positive integer, got {word!r}")
    return number


def check_folder(out: Path) -> None:
    """Check that the folder ``out`` can be written, or made if it does not exist, before a long computation.

    Raises:
        OSError: It cannot.
    """
    there = next(one for one in (out.absolute(), *out.absolute().parents) if os.path.lexists(one))
    if not there.is_dir():
        raise NotADirectoryError(f"--out {out}: {there} is not a folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise PermissionError(f"--out {out}: {there} is not writable")


def add_device_option(group: Any) -> None:
    group.add_argument("--device", choices=["cpu", "gpu"], help="default: the GPU if there is one")


def add_bits_option(group: Any) -> None:
    group.add_argument(
        "--bits", type=int, choices=sorted(MODES["affine"][0]), metavar="N",
        help="quantize the linear layers: 8 bits for each weight, or fewer, in groups of 64",
    )  # fmt: skip


def quantize(model: nn.Module, bits: int | None) -> None:
    """Quantize a model as ``--bits`` says, if it was given."""
    if bits is not None:
        lucid.quantize(model, bits)


def use_device(parser: argparse.ArgumentParser, name: str | None) -> None:
    """Compute on the device that ``--device`` names; exit with code 2 if it is not available."""
    try:
        if name:
            lucid.set_default_device(name)
    except RuntimeError as error:
        parser.error(str(error))


def message_of(error: Exception) -> str:
    """An error as a command reports it: with options for settings, and without errno."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return re.sub(r"--([\w-]+)=False", r"--no-\1", rename_settings(error, option))


def run_job(
    parser: argparse.ArgumentParser,
    job: Callable[[], int],
    failures: tuple[type[Exception], ...] = (DownloadError,),
) -> int:
    """Call ``job`` and return its exit code, or that of its failure, which is reported in one line.

    It is 1 for ``failures``, which are not the user's fault, 2 for a usage error and 130 after Ctrl-C.
    """
    try:
        return job()
    except failures as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\n{parser.prog}: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of a pipe has seen enough; lucid.cli.main ends the program
        raise
    except (ValueError, OSError, ImportError) as error:
        parser.error(message_of(error))


# Settings -------------------------------------------------------------------------------------------------------------


def option(name: str) -> str:
    """The option of a setting."""
    return f"--{name.replace('_', '-')}"


def add_setting_options(group: Any, kind: type[Recipe]) -> None:
    """Add an option for every field of a recipe."""
    for one in ordered_fields(kind):
        more: dict[str, Any] = {"help": one.metadata["help"], "default": None}
        item_type = get_args(one.type)[0] if get_args(one.type) else one.type
        if one.type is bool:
            more["action"] = argparse.BooleanOptionalAction
        elif "choices" in one.metadata:
            more["choices"] = one.metadata["choices"]
        else:
            metavars: dict[Any, str] = {int: "N", float: "X", str: "NAME"}
            more |= {"type": item_type, "metavar": metavars[item_type]}
        if get_args(one.type):
            more["nargs"] = "+"
        if one.name == "amp":  # --amp alone is enough
            more |= {"nargs": "?", "const": "bfloat16"}
        group.add_argument(option(one.name), **more)


def choose(kind: type[Kind], args: argparse.Namespace, base: Mapping[str, Any], *, saved: bool = False) -> Kind:
    """The settings given as options, completed by ``base``: a preset, or with ``saved`` those of a checkpoint.

    Neither options nor ``--config`` may contradict a checkpoint. The warm-up of a preset is cut to the epochs given.

    Raises:
        SettingError: A value is out of range, or two contradict each other.
        ValueError: An option contradicts the checkpoint.
    """
    names = [one.name for one in fields(kind)]
    given = {name: getattr(args, name) for name in names if getattr(args, name, None) is not None}
    if saved and getattr(args, "config", None):
        given = {**read_config(args.config, kind), **given}
    if unknown := sorted(set(base) - set(names)):
        raise ValueError(f"the checkpoint was written by another command: unknown setting {unknown[0]}")
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
        message = f"warmup_epochs must be at most epochs, {recipe.epochs}, got {recipe.warmup_epochs}"
        raise SettingError(message, "warmup_epochs", "epochs")
    return dataclasses.replace(recipe, warmup_epochs=recipe.epochs)


def read_config(path: Path | None, kind: type[Recipe]) -> dict[str, Any]:
    """The settings in the file that ``--config`` names, some or all.

    Raises:
        ValueError: The file is not a JSON object of settings.
        OSError: The file cannot be read.
    """
    if path is None:
        return {}
    try:
        return parse_settings(read_regular(path).decode("utf-8"), kind)
    except UnicodeDecodeError as error:
        raise ValueError(f"--config {path}: not valid JSON: {error}") from error
    except SettingError as error:
        raise ValueError(f"--config {path}: {error}; --print-config shows all settings") from error


def _words(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


# Training commands ----------------------------------------------------------------------------------------------------

_PICTURE = "find-lr.png"


def add_run_options(group: Any, out: str, command: str) -> None:
    """Add the options of a training command; ``out`` describes its default output folder."""
    group.add_argument("--out", type=Path, help=f"output folder (default: {out})")
    group.add_argument(
        "--resume", nargs="?", const="auto", metavar="CHECKPOINT",
        help="resume from this checkpoint; without a value (auto), from the newest in OUT, if there is one",
    )  # fmt: skip
    group.add_argument("--overwrite", action="store_true", help="start over, even if OUT contains an unfinished run")
    group.add_argument("--config", type=Path, metavar="FILE", help="settings as JSON; options override them")
    group.add_argument("--eval-only", action="store_true", help="evaluate the weights of a run instead of training")
    group.add_argument(
        "--find-lr", action="store_true", help=f"suggest a value for --lr instead of training; draws {_PICTURE} in OUT"
    )
    group.add_argument(
        "--distributed", action="store_true",
        help=f"split each batch among processes: mlx.launch -n 2 -- python -m lucid {command} ... --distributed",
    )  # fmt: skip
    group.add_argument("--print-config", action="store_true", help="print all settings as JSON and exit")
    add_device_option(group)
    group.add_argument(
        "--compile", action=argparse.BooleanOptionalAction,
        help="compile the training step: faster on a GPU (the default there), slow to build on a CPU",
    )  # fmt: skip
    group.add_argument(
        "--save-minutes", type=float, default=10.0, metavar="X",
        help="save a checkpoint within an epoch every X minutes (default: 10)",
    )  # fmt: skip


def saved_settings(
    args: argparse.Namespace, out: Path, *, best: str = "accuracy", mode: str = "max"
) -> dict[str, Any] | None:
    """The settings of the checkpoint that ``--resume`` names. ``best`` and ``mode`` say which checkpoint is best.

    ``--find-lr`` leaves a run that is in ``out`` alone.

    Raises:
        SettingError: ``out`` contains an unfinished run, and neither --resume nor --overwrite was given.
        CheckpointError: The checkpoint is damaged, or not from a training command.
        OSError: ``out`` is no folder, or cannot be written.
    """
    check_folder(out)
    if args.find_lr:
        return None
    checkpoints = Checkpoints(out / "checkpoints", args.save_minutes, best=best, mode=mode)
    return prepare_run(checkpoints, args.resume, args.overwrite)[0]


def find_weights(args: argparse.Namespace, out: Path, key: str) -> tuple[str, dict[str, lucid.Tensor], dict[str, Any]]:
    """For ``--eval-only``: the path of a file, its weights, and its metadata with the settings under ``key`` parsed.

    Raises:
        ValueError: The file is from another command, or --resume was given.
        OSError: The file cannot be read.
    """
    if args.resume is not None:
        raise ValueError("--resume is for training; with --eval-only, pass a weights file with --weights")
    path = str(args.weights or out / "best.safetensors")
    weights, metadata = load_with_metadata(path)
    if key not in metadata:
        raise ValueError(f"{path} was not written by this command")
    settings = json.loads(metadata[key])
    if not isinstance(settings, dict):
        raise ValueError(f"{path} was not written by this command")
    return path, weights, {**metadata, key: settings}


def with_views(args: argparse.Namespace, saved: Mapping[str, Any]) -> dict[str, Any]:
    """For ``--eval-only``: the settings of a run with the views that ``--tta`` or ``--test-flip`` name, if either."""
    given = {name: getattr(args, name) for name in ("test_flip", "tta") if getattr(args, name) is not None}
    return {**saved, **({"test_flip": False, "tta": "none", **given} if given else {})}


def trains(args: argparse.Namespace) -> bool:
    """Whether the command trains, and not something else instead."""
    return not (args.eval_only or args.find_lr or args.print_config)


def run_training(
    parser: argparse.ArgumentParser,
    args: argparse.Namespace,
    out: Callable[[], Path],
    *,
    show_config: Callable[[], Recipe],
    make_trainer: Callable[[], Trainer],
    make_evaluator: Callable[[], Trainer],
    advice: str,
) -> int:
    """Print the settings, evaluate, find a learning rate, or train, as the options say. Returns the exit code.

    ``out`` returns the output folder; ``advice`` says what to do when a download fails.
    """
    has_started = False
    try:
        _check_find_lr(args)
        if args.device:
            lucid.set_default_device(args.device)
        if args.distributed:
            dist.init_process_group()
        if args.print_config:
            print(show_config().to_json())
            return 0
        trainer = make_evaluator() if args.eval_only else make_trainer()
        has_started = True
        if args.find_lr:
            return _find_lr(trainer, out() / _PICTURE)
        return _evaluate(trainer) if args.eval_only else _fit(trainer)
    except (data.ArchiveError, DownloadError) as error:
        print(f"{parser.prog}: {error}{advice}", file=sys.stderr)
        return 1
    except DivergedError as error:
        print(message_of(error), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        advice = "; --resume continues from the last checkpoint, if there is one" if trains(args) else ""
        print(f"\nInterrupted{advice}.", file=sys.stderr)
        return 130
    except (ValueError, TypeError, RuntimeError, OSError, ImportError) as error:
        if has_started and not isinstance(error, (OSError, ImportError, SettingError)):  # a bug, no mistake of the user
            raise
        parser.error(message_of(error))


def _check_find_lr(args: argparse.Namespace) -> None:
    """Refuse ``--find-lr`` with what it excludes, and without matplotlib, before anything is read."""
    if not args.find_lr:
        return
    for name in ("resume", "overwrite", "eval_only"):
        if getattr(args, name) not in (None, False):
            raise ValueError(f"--find-lr neither continues, replaces nor evaluates a run; leave out {option(name)}")
    if not args.print_config:
        require("matplotlib")


def _find_lr(trainer: Trainer, picture: Path) -> int:
    with _sigterm_exits():
        curve = find_lr(trainer, progress=True)
        if not dist.is_main():
            return 0
        is_found = math.isfinite(curve.suggestion)
        if is_found:
            digit, exponent = f"{curve.suggestion:.0e}".split("e")
            found = f"a learning rate of {curve.suggestion:.2g}: --lr {digit}e{int(exponent)}"
            print(f"The loss falls fastest around {found} (now {trainer.recipe.lr:g})", flush=True)
        else:
            print(f"The loss falls at no learning rate from {curve.lrs[0]:g} to {curve.lrs[-1]:.2g}", file=sys.stderr)
        picture.parent.mkdir(parents=True, exist_ok=True)
        curve.plot(picture)
        print(f"Curve: {picture}")
    return 0 if is_found else 1


@contextlib.contextmanager
def _sigterm_exits() -> Iterator[None]:
    """Inside, SIGTERM ends the program by an exception, as Ctrl-C does, so that temporary files are removed."""
    number = signal.SIGTERM

    def leave(*_: object) -> NoReturn:
        raise SystemExit(128 + number)

    former = signal.getsignal(number)
    if former is not signal.SIG_DFL or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(number, leave)
    try:
        yield
    finally:
        signal.signal(number, former)


def _fit(trainer: Trainer) -> int:
    try:
        trainer.fit()
    except Stopped as stopped:
        if dist.is_main():
            print(f"Stopped in epoch {trainer.epoch}; --resume continues from here.", file=sys.stderr)
        return int(stopped.code or 0)
    if dist.is_main() and trainer.folder is not None:
        column, mode = trainer.monitor
        last, best = trainer.history[-1], best_row(trainer.history, column, mode)
        what, result, number = f"{column.replace('_', ' ')}: ", "", ".4f" if column.endswith("_loss") else ".2%"
        if column.endswith("_accuracy"):
            what, result = "", f" of the {trainer.split} {trainer.unit} are right"
        print(
            f"{what}{last[column]:{number}}{result} ({best[column]:{number}} in epoch {best['epoch']}, the best); "
            f"{sum(row['seconds'] for row in trainer.history):.0f} s; see {trainer.folder.path}"
        )
    return 0


def _evaluate(trainer: Trainer) -> int:
    evaluation = trainer.evaluate()
    if dist.is_main() and evaluation.confusion is None:
        found = {**evaluation.metrics, "loss": evaluation.loss}
        print(f"{trainer.split} " + ", ".join(f"{k.replace('_', ' ')} {v:.4f}" for k, v in found.items()))
    if dist.is_main() and evaluation.confusion is not None:
        of = trainer.unit if "mean_iou" not in evaluation.metrics else "pixels"
        for number, (name, row) in enumerate(zip(trainer.classes, evaluation.confusion, strict=True)):
            union = row.sum() + evaluation.confusion[:, number].sum() - row[number]
            iou = f", IoU {row[number] / union:7.2%}" if of == "pixels" and union else ""
            print(f"{name:<16} {row[number]:6,} of {row.sum():6,} right, {row[number] / max(1, row.sum()):7.2%}{iou}")
        right = f"{evaluation.accuracy:.2%} of the {trainer.split} {of} are right"
        others = "".join(f", {k.replace('_', ' ')} {v:.4f}" for k, v in evaluation.metrics.items() if k != "accuracy")
        print(f"{right}{others}, loss {evaluation.loss:.4f}")
    return 0
