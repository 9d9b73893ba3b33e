"""Where the results of ``lucid classify`` go: text, JSON lines or CSV, a line at a time."""

import csv
import io
import json
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from lucid.training.photo_dataset import printable

# Number, name and probability of each class or label, most probable first; or number, name and value of each number.
Predictions = Sequence[tuple[int, str, float]]
MIN_PROBABILITY = 0.5  # of a label that an image has


class Lines:
    """Lines in a file, or on standard output for ``-``, each complete as soon as it is written.

    The file is opened for the first line, so that a command that fails before leaves an older file as it is.
    """

    def __init__(self, place: str) -> None:
        self._place, self._descriptor = place, -1

    def write(self, text: str) -> None:
        if self._place == "-":
            sys.stdout.write(text)
            sys.stdout.flush()
            return
        if self._descriptor < 0:
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
            self._descriptor = os.open(self._place, flags, 0o666)
        rest = text.encode("utf-8", "backslashreplace")  # names may have bytes that are not UTF-8
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class Writer:
    """Writes what is predicted for one image after another."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines

    def write(self, path: Path, predictions: Predictions) -> None:
        raise NotImplementedError


class TableWriter(Writer):
    """CSV whose header is written with the first row."""

    _is_empty = True

    def _write_row(self, header: Sequence[str], row: Sequence[str]) -> None:
        rows = [header, row] if self._is_empty else [row]
        self._is_empty = False
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerows(rows)
        self._lines.write(text.getvalue())


class TextWriter(Writer):
    """The path of an image, and a line for each class."""

    def write(self, path: Path, predictions: Predictions) -> None:
        classes = [f"{probability:8.2%}  {name}" for _, name, probability in predictions]
        self._lines.write("".join(f"{line}\n" for line in [printable(str(path)), *classes]))


class JsonWriter(Writer):
    """One JSON object for each image."""

    def write(self, path: Path, predictions: Predictions) -> None:
        classes = [{"class": name, "number": n, "probability": round(p, 6)} for n, name, p in predictions]
        self._lines.write(json.dumps({"path": str(path), "predictions": classes}) + "\n")


class CsvWriter(TableWriter):
    """A header, and one row for each image: path, class, probability, class_2, probability_2, ..."""

    def write(self, path: Path, predictions: Predictions) -> None:
        ends = ["", *(f"_{rank}" for rank in range(2, len(predictions) + 1))]
        header = ["path", *(column + end for end in ends for column in ("class", "probability"))]
        self._write_row(header, [str(path), *(cell for _, name, p in predictions for cell in (name, f"{p:.6f}"))])


# Several labels, or numbers -------------------------------------------------------------------------------------------


def present(predictions: Predictions) -> Predictions:
    """The labels that an image has."""
    return [one for one in predictions if one[2] > MIN_PROBABILITY]


class LabelsAsText(Writer):
    """The path of an image, and a line for each label that it has."""

    def write(self, path: Path, predictions: Predictions) -> None:
        labels = [f"{probability:8.2%}  {name}" for _, name, probability in present(predictions)]
        self._lines.write("".join(f"{line}\n" for line in [printable(str(path)), *(labels or ["    none"])]))


class LabelsAsJson(Writer):
    """One JSON object for each image: its path, its labels, and the probability of each label."""

    def write(self, path: Path, predictions: Predictions) -> None:
        found = {name: round(probability, 6) for _, name, probability in predictions}
        labels = [name for _, name, _ in present(predictions)]
        self._lines.write(json.dumps({"path": str(path), "labels": labels, "probabilities": found}) + "\n")


class NumbersAsText(Writer):
    """The path of an image, and a line for each number."""

    def write(self, path: Path, predictions: Predictions) -> None:
        numbers = [f"{value:12.6g}  {name}" for _, name, value in predictions]
        self._lines.write("".join(f"{line}\n" for line in [printable(str(path)), *numbers]))


class NumbersAsJson(Writer):
    """One JSON object for each image: its path, and the numbers by name."""

    def write(self, path: Path, predictions: Predictions) -> None:
        numbers = {name: float(f"{value:.7g}") for _, name, value in predictions}
        self._lines.write(json.dumps({"path": str(path), "numbers": numbers}) + "\n")


class ColumnsWriter(TableWriter):
    """CSV with a column for each label, of its probability, or for each number; in the order of the model."""

    def write(self, path: Path, predictions: Predictions) -> None:
        ordered = sorted(predictions)
        header = ["path", *(name for _, name, _ in ordered)]
        self._write_row(header, [str(path), *(f"{value:.7g}" for _, _, value in ordered)])


# The writers of CSV, JSON lines and text by the task of the model.
WRITERS: dict[str, tuple[type[Writer], type[Writer], type[Writer]]] = {
    "classification": (CsvWriter, JsonWriter, TextWriter),
    "multilabel": (ColumnsWriter, LabelsAsJson, LabelsAsText),
    "regression": (ColumnsWriter, NumbersAsJson, NumbersAsText),
}


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Ctrl-C inside the block takes effect at its end; the second one at once."""
    if threading.current_thread() is not threading.main_thread():  # others are not interrupted
        yield
        return
    former = signal.getsignal(signal.SIGINT)
    requests: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        requests.append(number)
        if len(requests) > 1:
            raise KeyboardInterrupt

    if former is not signal.default_int_handler:  # ignored, or handled by somebody else
        yield
        return
    signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, former)
    if requests:
        raise KeyboardInterrupt
