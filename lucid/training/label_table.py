"""CSV files of targets: a row for each photo, with labels or numbers. Errors name the line."""

import csv
import io
import math
import os
import posixpath
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lucid._files import read_regular
from lucid.training.photo_dataset import printable
from lucid.training.recipe import SettingError

MAX_BYTES = 1 << 28
MAX_NUMBER = 1e30  # float32 must hold its square's root, and differences
_FLAGS = {"0": 0.0, "1": 1.0, "0.0": 0.0, "1.0": 1.0, "false": 0.0, "true": 1.0}


@dataclass(frozen=True)
class LabelTable:
    """What a CSV file says: for each photo its name, its line and its row of ``values`` (N, C), float64.

    ``kind`` is "multilabel", with values of 0 and 1 for the labels ``names``, or "regression".
    """

    header: str  # of the first column
    kind: str
    names: list[str]
    files: list[str]
    lines: list[int]
    values: np.ndarray


@dataclass(frozen=True)
class _Cells:
    """The cells right of the names of photos, as text."""

    path: str
    names: list[str]
    lines: list[int]
    rows: list[list[str]]

    def where(self, row: int, column: int) -> str:
        return f"{self.path}, line {self.lines[row]}: column {printable(self.names[column])}"


def read_labels(path: str | os.PathLike[str], kind: str = "auto") -> LabelTable:
    """Read a CSV file whose first line names the columns, and whose first column the photos.

    The others are one column of lists of labels, or a column of 0 and 1 for each label, or columns of numbers. Labels
    of a list are separated by semicolons if the column has any, otherwise by spaces. ``kind`` is "multilabel",
    "regression", or "auto", which takes what has two labels in one row, or several columns of 0 and 1, as labels.

    Raises:
        ValueError: The file is not UTF-8 or no such table, or a cell is wrong.
        SettingError: ``kind`` is "auto" and the table could be either.
        OSError: The file cannot be read.
    """
    path = os.fspath(path)
    rows = _rows(path)
    header, body = rows[0][1], rows[1:]
    _check_header(path, header)
    if not body:
        raise ValueError(f"{path} has names of columns but no photos")
    files: list[str] = []
    seen: dict[str, int] = {}
    for line, row in body:
        if len(row) != len(header):
            raise ValueError(f"{path}, line {line}: expected {len(header)} columns as in line 1, got {len(row)}")
        if not row[0]:
            raise ValueError(f"{path}, line {line}: the name of the photo is empty")
        name = unicodedata.normalize("NFC", posixpath.normpath(row[0].replace("\\", "/")))
        if name in seen:
            raise ValueError(f"{path}, line {line}: {printable(row[0])} already has a row, line {seen[name]}")
        seen[name] = line
        files.append(name)
    cells = _Cells(path, header[1:], [line for line, _ in body], [row[1:] for _, row in body])
    kind, is_list = _decide(cells, kind)
    names, values = cells.names, _lists(cells) if is_list else None
    if values is not None:
        names, table = values
    else:
        table = _flags(cells) if kind == "multilabel" else _numbers(cells)
    return LabelTable(header[0], kind, names, files, cells.lines, table)


def _rows(path: str) -> list[tuple[int, list[str]]]:
    """The rows that are not blank, with the line in which each begins; cells without spaces around them."""
    content = read_regular(path, MAX_BYTES)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ValueError(f"{path}, line {line}: not UTF-8; save it as CSV in UTF-8") from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows, start = [], 1
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if any(cells):
                rows.append((start, cells))
            start = reader.line_num + 1
    except csv.Error as error:
        raise ValueError(f"{path}, line {start}: not valid CSV: {error}") from None
    if not rows:
        raise ValueError(f"{path} is empty")
    return rows


def _check_header(path: str, header: list[str]) -> None:
    if len(header) < 2:
        found = next((name for mark, name in ((";", "semicolons"), ("\t", "tabs")) if mark in header[0]), "")
        got = f"; it seems to be separated by {found}" if found else ""
        raise ValueError(f"{path}, line 1: expected a column of photos and one or more others, with commas{got}")
    for number, name in enumerate(header[1:], 2):
        if not name:
            raise ValueError(f"{path}, line 1: column {number} has no name")
    twice = [name for name, count in Counter(header[1:]).items() if count > 1]
    if twice:
        raise ValueError(f"{path}, line 1: two columns have the name {printable(twice[0])}")


def _decide(cells: _Cells, kind: str) -> tuple[str, bool]:
    """The kind of the targets, and whether they are one column of lists."""
    columns, path = len(cells.names), cells.path
    flat = [cell for row in cells.rows for cell in row]
    are_flags = all(cell.lower() in _FLAGS for cell in flat)
    if kind == "regression":
        return kind, False
    if kind == "multilabel" or (columns > 1 and are_flags):
        return "multilabel", columns == 1 and not are_flags
    name = printable(cells.names[0])
    if columns > 1:
        if all(_number(cell) is not None for cell in flat):
            row, column = next(
                (i, k) for i, one in enumerate(cells.rows) for k, cell in enumerate(one) if cell.lower() not in _FLAGS
            )
            raise SettingError(
                "task regression is for columns of numbers, multilabel for columns of 0 and 1: "
                f"{cells.where(row, column)} has {cells.rows[row][column]}",
                "task",
            )
        return "multilabel", False  # the first wrong cell is reported
    given = [cell for cell in flat if cell]
    if given and all(_number(cell) is not None for cell in given):
        raise SettingError(
            f"task must say what the numbers in {path}, column {name}, are: regression for numbers, multilabel for "
            "labels",
            "task",
        )
    if given and max(len(_split(cell, _separator(given))) for cell in given) < 2:
        raise SettingError(
            f"task multilabel is needed, or one folder per class: each photo in {path} has one label at most", "task"
        )
    return "multilabel", True


def _separator(cells: Sequence[str]) -> str | None:
    """What separates labels: semicolons if there are any, otherwise spaces."""
    return ";" if any(";" in cell for cell in cells) else None


def _split(cell: str, separator: str | None) -> list[str]:
    return [label for part in cell.split(separator) if (label := part.strip())]


def _lists(cells: _Cells) -> tuple[list[str], np.ndarray]:
    """The labels that appear, sorted, and which of them each row has."""
    separator = _separator([row[0] for row in cells.rows])
    found = [_split(row[0], separator) for row in cells.rows]
    if separator is None:
        for i, labels in enumerate(found):
            if any("," in label for label in labels):
                raise ValueError(
                    f"{cells.where(i, 0)}: labels are separated by spaces or semicolons, got {cells.rows[i][0]!r}"
                )
    names = sorted({label for labels in found for label in labels})
    if not names:
        raise ValueError(f"{cells.path}: no photo has a label")
    number = {name: k for k, name in enumerate(names)}
    values = np.zeros((len(found), len(names)))
    for i, labels in enumerate(found):
        values[i, [number[label] for label in labels]] = 1
    return names, values


def _flags(cells: _Cells) -> np.ndarray:
    values = np.zeros((len(cells.rows), len(cells.names)))
    for i, row in enumerate(cells.rows):
        for k, cell in enumerate(row):
            found = _FLAGS.get(cell.lower())
            if found is None:
                raise ValueError(f"{cells.where(i, k)} must be 0 or 1, got {_got(cell)}")
            values[i, k] = found
    return values


def _numbers(cells: _Cells) -> np.ndarray:
    values = np.zeros((len(cells.rows), len(cells.names)))
    for i, row in enumerate(cells.rows):
        for k, cell in enumerate(row):
            found = _number(cell)
            if found is None:
                hint = "; decimals need a point" if _number(cell.replace(",", ".")) is not None else ""
                raise ValueError(f"{cells.where(i, k)} must be a number, got {_got(cell)}{hint}")
            if not math.isfinite(found) or abs(found) > MAX_NUMBER:
                raise ValueError(f"{cells.where(i, k)} must be finite and at most {MAX_NUMBER:g}, got {cell[:40]}")
            values[i, k] = found
    return values


def _number(cell: str) -> float | None:
    try:
        return None if "_" in cell else float(cell)
    except ValueError:
        return None


def _got(cell: str) -> str:
    return repr(cell[:40]) if cell else "an empty cell"
