"""What lies under ``--out`` after every epoch: weights, a table, curves, a report, events for TensorBoard.

Every file is written under another name and renamed: it is complete or not there.
"""

import csv
import importlib.util
import io
import json
import shlex
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

import lucid
from lucid._files import write_atomically
from lucid.training.report import Mistake, Report, write_report

History = list[dict[str, Any]]  # a row for each epoch


@dataclass
class RunFolder:
    """Writes the results of a run into ``folder``, after every epoch anew.

    ``metadata`` goes into the files of weights, so that others can build the model and name the classes;
    ``picture(number)`` is image ``number`` of the test data as bytes (H, W) or (H, W, 3), ``name(number)`` its name.
    """

    folder: Path
    title: str
    configuration: dict[str, Any]
    metadata: dict[str, str]
    picture: Callable[[int], np.ndarray]
    figures: Sequence[tuple[str, str, str]] = ()
    command: Sequence[str] = ()
    name: Callable[[int], str] = lambda number: ""
    events: Any = field(default=None, init=False)

    def prepare(self) -> None:
        """Make the folder, and write a byte into it: better than to learn after an hour that it cannot be done.

        Raises:
            OSError: it cannot.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        probe = self.folder / ".probe"
        write_atomically(probe, b" ")
        probe.unlink()

    def write(self, trainer: Any) -> None:
        """The state of things after an epoch; an interruption leaves whole files.

        Raises:
            OSError: a file cannot be written.
        """
        history, part, weights = trainer.history, trainer.part, trainer.weights()
        best = best_row(history, part)
        if best is history[-1]:
            lucid.save(weights, self.folder / "best.safetensors", self.metadata)
        lucid.save(weights, self.folder / "last.safetensors", self.metadata)
        write_atomically(self.folder / "history.csv", table(history).encode())
        accuracy = f"{best[f'{part}_accuracy']:.2%} {part} accuracy in epoch {best['epoch']}"
        write_atomically(self.folder / "curves.png", draw_curves(history, f"{self.title}: {accuracy}", part))
        self._write_report(trainer)
        self._write_events(history, part)

    def _write_report(self, trainer: Any) -> None:
        names, last = trainer.classes, trainer.history[-1]
        mistakes = [
            Mistake(self.picture(number), names[truth], names[taken], sure, sure_of_truth, self.name(number))
            for number, truth, taken, sure, sure_of_truth in trainer.evaluation.mistakes
        ]
        report = Report(
            self.title, trainer.history, names, trainer.evaluation.confusion, mistakes, self.configuration,
            self.figures, f"{time.strftime('%Y-%m-%d')}. Classes and mistakes are those of epoch {last['epoch']}.",
            shlex.join(self.command), trainer.part,
        )  # fmt: skip
        write_report(self.folder / "report.html", report)

    def _write_events(self, history: History, part: str) -> None:
        """For TensorBoard, where tensorboardX is installed; after an interruption they go on where the history does."""
        if importlib.util.find_spec("tensorboardX") is None:
            return
        from tensorboardX import SummaryWriter

        row = history[-1]
        if self.events is None:
            # Its flush() waits for nothing: what matters is that events are on disk a second later.
            self.events = SummaryWriter(str(self.folder / "events"), purge_step=row["epoch"], flush_secs=1)
        for name, value in row.items():
            if name != "epoch":
                first, _, what = name.partition("_")
                self.events.add_scalar(f"{first}/{what}" if first in ("train", part) else name, value, row["epoch"])

    def close(self) -> None:
        """Write the last events."""
        if self.events is not None:
            self.events.close()
            self.events = None


def best_row(history: History, part: str) -> dict[str, Any]:
    """The first of the epochs with the highest accuracy."""
    return max(history, key=lambda row: row[f"{part}_accuracy"])


def table(history: History) -> str:
    """The history as CSV."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=list(history[-1]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    return text.getvalue()


def draw_curves(history: History, title: str, part: str) -> bytes:
    """A PNG with loss and accuracy by epoch, side by side."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    figure.suptitle(title)
    for axes, what in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for name, color in (("train", "#0072b2"), (part, "#d55e00")):
            values = [row[f"{name}_{what}"] for row in history]
            axes.plot([row["epoch"] for row in history], values, color=color, label=name, marker=".")
        axes.set(xlabel="epoch", ylabel=what)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, loc="upper right" if what == "loss" else "lower right")
        if what == "accuracy":
            axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    image = io.BytesIO()
    with warnings.catch_warnings():
        # A folder's name may have letters that matplotlib's font has not; boxes stand for them.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(image, format="png", dpi=150)
    return image.getvalue()


def weights_metadata(model: str, classes: Sequence[str], preprocessing: dict[str, Any], **more: Any) -> dict[str, str]:
    """What a file of weights says about itself; ``examples/classify.py`` reads it."""
    notes = {"classes": list(classes), "preprocessing": preprocessing, **more}
    return {"format": "pt", "model": model, **{name: json.dumps(value) for name, value in notes.items()}}
