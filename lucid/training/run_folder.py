"""The folder of a training run, written after every epoch: weights, history, curves, report, TensorBoard events.

All files are written atomically.
"""

import contextlib
import csv
import importlib.util
import io
import json
import os
import re
import shlex
import socket
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import lucid
from lucid import distributed as dist
from lucid import explain, models, nn
from lucid._files import FileLock, lock_file, read_regular, write_atomically
from lucid.data.download import without_secrets
from lucid.models.weights.save import TASK_KEY, extra_options, weights_metadata
from lucid.training.progress import require
from lucid.training.recipe import SettingError
from lucid.training.report import Gallery, Mistake, Report, Sample, write_report
from lucid.training.samples import augmented_samples, class_counts
from lucid.training.tasks import task_of_model

if TYPE_CHECKING:
    from lucid.training.trainer import Trainer

_LOCK = ".lock"
History = list[dict[str, Any]]  # a row for each epoch


class _Best(NamedTuple):
    """What the report shows of the evaluation after the best epoch; best.json holds it for a run that is resumed."""

    epoch: int
    confusion: np.ndarray | None
    mistakes: list[tuple[int, int, int, float, float]]
    sections: list[str]
    heat: Sequence[list[list[float]]] = ()  # (h, w) for each mistake, if the run makes heat maps

    def save(self, path: Path) -> None:
        confusion = None if self.confusion is None else self.confusion.tolist()
        write_atomically(path, json.dumps({**self._asdict(), "confusion": confusion}).encode())

    @classmethod
    def load(cls, path: Path, epoch: int) -> "_Best | None":
        """What ``path`` has of ``epoch``; None if there is nothing, as in folders of version 0.1.0."""
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            if found["epoch"] != epoch:
                return None
            confusion = None if found["confusion"] is None else np.asarray(found["confusion"], dtype=np.int64)
            mistakes = [(int(n), int(t), int(p), float(c), float(o)) for n, t, p, c, o in found["mistakes"]]
            sections = [str(one) for one in found.get("sections", [])]
            heat = [np.asarray(one, dtype=np.float64).reshape(len(one), -1).tolist() for one in found.get("heat", [])]
            return cls(epoch, confusion, mistakes, sections, heat if len(heat) == len(mistakes) else ())
        except (OSError, ValueError, TypeError, KeyError):
            return None


@dataclass
class RunFolder:
    """Writes the results of a run into the folder ``path``.

    Attributes:
        title: Of the report and the curves; by default the name of the model's class.
        metadata: Stored in the weights files, see ``weights_metadata``. By default the classes, the settings, and
            ``model.preprocessing`` if the model has it.
        image: ``image(number)`` gives test sample ``number`` as uint8 (H, W) or (H, W, 3) for the report.
        architecture: The model in a few words, for the report.
        figures: More numbers for the top of the report, as (name, value, remark).
        command: The command line, for the report.
        name: ``name(number)`` gives the name of test sample ``number`` for the report.
        heat_maps: ``heat_maps(trainer, numbers, classes)`` gives heat maps (N, h, w), 0 or more, of test samples for
            the classes that were predicted, with the weights of the trainer. The report shows them; needs Pillow.
        galleries: ``galleries(trainer)`` gives more images for the report, after every epoch.
        counted: What the confusion matrix counts, if not samples.
        convert: ``convert(weights)`` gives the weights to write, for example with outputs in other units.
    """

    path: Path
    title: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    image: Callable[[int], np.ndarray] | None = None
    architecture: str = ""
    figures: Sequence[tuple[str, str, str]] = ()
    command: Sequence[str] = ()
    name: Callable[[int], str] = lambda number: ""
    heat_maps: Callable[["Trainer", list[int], list[int]], np.ndarray] | None = None
    galleries: Callable[["Trainer"], Sequence[Gallery]] = lambda trainer: ()
    counted: str = ""
    convert: Callable[[dict[str, lucid.Tensor]], dict[str, lucid.Tensor]] = dict
    _events: Any = field(default=None, init=False)
    _best: _Best | None = field(default=None, init=False)
    _samples: list[Sample] | None = field(default=None, init=False)
    _lock: FileLock | None = field(default=None, init=False, repr=False)

    @property
    def needs_samples(self) -> bool:
        """Whether the report has no training images yet."""
        return self._samples is None and dist.is_main()

    def claim(self) -> None:
        """Create the folder and keep other runs out of it until ``close``, or until this process ends.

        Of several processes, which must all call it, the first one claims the folder; if it cannot, all fail.

        Raises:
            SettingError: Another run uses the folder.
            OSError: It cannot be created.
            ImportError: matplotlib, which draws the curves, is not installed.
        """
        fault: Exception | None = None
        if dist.is_main() and self._lock is None:
            try:
                self._claim()
            except (SettingError, OSError, ImportError) as error:
                fault = error
        if dist.all_reduce(lucid.tensor(int(fault is not None)), "max").item():
            raise fault or SettingError(f"the first process cannot use {self.path}")

    def _claim(self) -> None:
        require("matplotlib")
        self.path.mkdir(parents=True, exist_ok=True)
        owner = f"{os.getpid()} {socket.gethostname()}\n"
        self._lock = lock_file(self.path / _LOCK, owner.encode("utf-8", "replace"))
        if self._lock is None:
            raise SettingError(
                f"{self.path} is in use by another run{self._owner()}; wait until it ends, or choose another output "
                "folder"
            )

    def _owner(self) -> str:
        """The process that holds the lock, in words."""
        with contextlib.suppress(OSError):
            found = re.fullmatch(
                r"(\d{1,10}) ([\w.-]{1,255})\n", read_regular(self.path / _LOCK).decode("utf-8", "replace")
            )
            if found:
                return f", process {found[1]} on {found[2]}"
        return ""

    def prepare(self) -> None:
        """Check that the folder is writable, before hours of training.

        Raises:
            OSError: It is not.
        """
        probe = self.path / ".probe"
        write_atomically(probe, b" ")
        probe.unlink()

    def write(self, trainer: "Trainer") -> None:
        """Write everything after an epoch.

        Raises:
            OSError: A file cannot be written.
        """
        history, (column, mode) = trainer.history, trainer.monitor
        title = self.title or type(trainer.model).__name__
        metadata = dict(self.metadata) or _default_metadata(trainer, title)
        weights, best = self.convert(trainer.weights()), best_row(history, column, mode)
        if best is history[-1]:
            lucid.save(weights, self.path / "best.safetensors", metadata)
            self._best = None
            if trainer.evaluation is not None:
                found = trainer.evaluation
                heat = self._explain(trainer, found.mistakes)
                self._best = _Best(best["epoch"], found.confusion, found.mistakes, found.sections, heat)
                self._best.save(self.path / "best.json")
        lucid.save(weights, self.path / "last.safetensors", metadata)
        write_atomically(self.path / "history.csv", table(history).encode())
        value = f"{best[column]:.2%}" if column.endswith("_accuracy") else f"{best[column]:.4g}"
        summary = f"{title}: {value} {column.replace('_', ' ')} in epoch {best['epoch']}"
        write_curves(self.path / "curves.png", history, summary, trainer.split)
        self._write_report(trainer, title, best["epoch"])
        self._write_events(history, trainer.split)

    def _explain(self, trainer: "Trainer", mistakes: list[tuple[int, int, int, float, float]]) -> list[Any]:
        """Heat maps of the mistakes for the predicted classes, as lists with four digits."""
        if self.heat_maps is None or not mistakes:
            return []
        maps = self.heat_maps(trainer, [row[0] for row in mistakes], [row[2] for row in mistakes])
        return [[[float(f"{value:.4g}") for value in line] for line in one] for one in maps]

    def _write_report(self, trainer: "Trainer", title: str, best_epoch: int) -> None:
        names, evaluation, last = trainer.classes, trainer.evaluation, trainer.history[-1]["epoch"]
        shown = self._best or _Best.load(self.path / "best.json", best_epoch)
        self._best, which = shown, "the best one, whose weights are in best.safetensors"
        if shown is None and evaluation is not None:
            shown = _Best(last, evaluation.confusion, evaluation.mistakes, evaluation.sections)
            which = "the last one"
        mistakes = []
        if self.image is not None and shown is not None:
            for i, (number, truth, predicted, probability, of_truth) in enumerate(shown.mistakes):
                image, name = self.image(number), self.name(number)
                heat = np.asarray(explain.overlay(image, shown.heat[i])) if shown.heat else None
                mistakes.append(Mistake(image, names[truth], names[predicted], probability, of_truth, name, heat))
        if trainer.first_batch is not None:
            self._samples, trainer.first_batch = augmented_samples(trainer, *trainer.first_batch), None
        report = Report(
            title=title,
            history=trainer.history,
            classes=names,
            confusion=None if shown is None else shown.confusion,
            mistakes=mistakes,
            configuration={**trainer.recipe.settings(), "compiled": trainer.is_compiled},
            figures=[self._parameters(trainer), *self.figures],
            samples=self._samples or (),
            galleries=self.galleries(trainer),
            train_counts=class_counts(getattr(trainer.train_loader, "dataset", None), len(names)),
            curves_hint=_why_training_looks_worse(trainer),
            classes_hint="" if shown is None else f"Classes and mistakes are those of epoch {shown.epoch}, {which}.",
            lead=time.strftime("%Y-%m-%d"),
            command=without_secrets(shlex.join(self.command)),
            split=trainer.split,
            unit=trainer.unit,
            counted=self.counted,
            monitor=trainer.monitor,
            sections=[] if shown is None else shown.sections,
        )
        write_report(self.path / "report.html", report)

    def _parameters(self, trainer: "Trainer") -> tuple[str, str, str]:
        parameters = list(trainer.model.parameters())
        total, trainable = sum(p.numel() for p in parameters), sum(p.numel() for p in parameters if p.requires_grad)
        remark = self.architecture if total == trainable else f"{trainable:,} trainable"
        return "parameters", f"{total:,}", remark

    def _write_events(self, history: History, split: str) -> None:
        """Events for TensorBoard, if tensorboardX is installed. A resumed run replaces those of repeated epochs."""
        if importlib.util.find_spec("tensorboardX") is None:
            return
        row = history[-1]
        if self._events is None:
            # Its flush() does not wait; flush_secs=1 has events on disk a second later.
            writer = require("tensorboardX").SummaryWriter
            self._events = writer(str(self.path / "events"), purge_step=row["epoch"], flush_secs=1)
        for name, value in row.items():
            if name != "epoch":
                first, _, rest = name.partition("_")
                self._events.add_scalar(f"{first}/{rest}" if first in ("train", split) else name, value, row["epoch"])

    def close(self) -> None:
        """Write the last events, and let other runs in."""
        if self._events is not None:
            self._events.close()
            self._events = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None


def best_row(history: History, column: str, mode: str = "max") -> dict[str, Any]:
    """The row of the first epoch with the best value in ``column``."""
    return max(history, key=lambda row: row[column]) if mode == "max" else min(history, key=lambda row: row[column])


def table(history: History) -> str:
    """The history as CSV."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=list(history[-1]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    return text.getvalue()


def write_curves(path: Path, history: History, title: str, split: str) -> None:
    """Plot the loss and, if there is one, the accuracy by epoch as a PNG."""
    figure = require("matplotlib.figure").Figure(figsize=(10, 4), layout="constrained")
    ticker = require("matplotlib.ticker")
    figure.suptitle(title)
    names = [name for name in ("loss", "accuracy") if f"train_{name}" in history[-1]]
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        for part, color in (("train", "#0072b2"), (split, "#d55e00")):
            if f"{part}_{name}" in history[-1]:
                values = [row[f"{part}_{name}"] for row in history]
                axes.plot([row["epoch"] for row in history], values, color=color, label=part, marker=".")
        axes.set(xlabel="epoch", ylabel=name)
        axes.xaxis.set_major_locator(ticker.MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, loc="upper right" if name == "loss" else "lower right")
        if name == "accuracy":
            axes.yaxis.set_major_formatter(ticker.PercentFormatter(1.0))
    image = io.BytesIO()
    with warnings.catch_warnings():
        # matplotlib's font lacks some letters of folder names; it draws boxes for them.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(image, format="png", dpi=150)
    write_atomically(path, image.getvalue())


def _why_training_looks_worse(trainer: "Trainer") -> str:
    """Why the results in training and in evaluation cannot be compared, in a sentence or two."""
    recipe, modules = trainer.recipe, list(trainer.model.modules())
    reasons = {
        "on augmented images": recipe.augment != "none" or recipe.erasing or recipe.color_jitter,
        "on mixed images": recipe.mixup or recipe.cutmix,
        "with label smoothing": trainer.loss_function is None and recipe.label_smoothing,
        "with drop path": any(isinstance(one, nn.DropPath) and one.drop_prob for one in modules),
        "with dropout": any(isinstance(one, nn.Dropout) and one.p for one in modules),
        "with class weights": trainer.class_weights is not None,
        "with the part of the teacher": trainer.distillation is not None,
    }
    found = [reason for reason, holds in reasons.items() if holds]
    average = f" The {trainer.split} results are those of the averaged weights." if trainer.ema is not None else ""
    if not found or trainer.test_loader is None:
        return average.strip()
    listed = found[0] if len(found) == 1 else f"{', '.join(found[:-1])} and {found[-1]}"
    return (
        f"The training loss and metrics are measured during the epoch, {listed}; those of the {trainer.split} set are "
        f"not. The training loss can therefore lie above the {trainer.split} loss.{average}"
    )


def _default_metadata(trainer: "Trainer", title: str) -> dict[str, str]:
    more: dict[str, Any] = {"settings": trainer.recipe.settings()}
    if isinstance(trainer.model, (models.ConvNeXt, models.ConvNeXtV2, models.ConvNeXtIsotropic)):
        more["options"] = extra_options(trainer.model)
    preprocessing = getattr(trainer.model, "preprocessing", None)
    if (kind := task_of_model(trainer.task)) != "classification":
        more[TASK_KEY] = kind
    names = trainer.classes or getattr(trainer.task, "names", [])
    metadata = weights_metadata(title, names, preprocessing or {}, **more)
    if preprocessing is None:
        del metadata["preprocessing"]
    return metadata
