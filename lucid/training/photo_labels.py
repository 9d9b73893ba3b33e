"""Photos with several labels, or numbers, from a CSV file: found, checked and split."""

import os
import sys
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

import lucid
from lucid import nn
from lucid.data.image_folder import is_ignored
from lucid.metrics import Metric
from lucid.training.duplicates import Photo, find_pairs
from lucid.training.label_table import LabelTable, read_labels
from lucid.training.photo_dataset import (
    MAX_SHOWN_CLASSES,
    VAL_NAMES,
    Photos,
    as_csv,
    image_files,
    inspected,
    printable,
    split_again,
    split_photos,
)
from lucid.training.tasks import AbsoluteError, MultiLabel, Regression, Task

_MAX_NAMED_ERRORS = 8


class Standardized(Regression):
    """``Regression`` on numbers of mean 0 and variance 1, with results in the units of ``values`` (N, D).

    Args:
        names: The names of the D numbers.
        values: The numbers of the training data, whose mean and standard deviation are taken.
    """

    def __init__(self, names: list[str], values: np.ndarray) -> None:
        super().__init__(names=names)
        self.mean = values.mean(axis=0)
        self.std = np.where(np.ptp(values, axis=0) > 0, values.std(axis=0), 1.0)

    def standardized(self, values: np.ndarray) -> np.ndarray:
        """Numbers (N, D) as the model learns them, float32."""
        return ((values - self.mean) / self.std).astype(np.float32)

    def in_units(self, values: np.ndarray) -> np.ndarray:
        """The reverse, as float64."""
        return values.reshape(len(values), -1).astype(np.float64) * self.std + self.mean

    def metrics(self) -> dict[str, Metric]:
        return {"absolute_error": AbsoluteError(self.std)}

    def results(self, outputs: np.ndarray, targets: np.ndarray) -> dict[str, float]:
        errors = np.abs(self.in_units(outputs) - self.in_units(targets)).mean(axis=0).tolist()
        named = dict(zip(self.names, errors, strict=True)) if 1 < len(errors) <= _MAX_NAMED_ERRORS else {}
        return {
            **super().results(outputs, targets),
            **{f"absolute_error_of_{name}": error for name, error in named.items()},
        }

    def sections(self, outputs: np.ndarray, targets: np.ndarray, split: str) -> list[str]:
        return super().sections(self.in_units(outputs), self.in_units(targets), split)

    def weights_in_units(self, weights: Mapping[str, lucid.Tensor]) -> dict[str, lucid.Tensor]:
        """The weights of a model with a linear ``head`` so that its outputs are in the units of the numbers."""
        weight, bias = (weights[f"head.{name}"].detach().numpy().astype(np.float64) for name in ("weight", "bias"))
        changed = {"head.weight": weight * self.std[:, None], "head.bias": bias * self.std + self.mean}
        return {**weights, **{name: lucid.tensor(one.astype(np.float32)) for name, one in changed.items()}}

    def standardize(self, model: Any) -> None:
        """The reverse of ``weights_in_units``, for the head of a model in place."""
        weight, bias = (getattr(model.head, name).detach().numpy().astype(np.float64) for name in ("weight", "bias"))
        changed = {"weight": weight / self.std[:, None], "bias": (bias - self.mean) / self.std}
        model.head.load_state_dict({name: one.astype(np.float32) for name, one in changed.items()})

    def picked(self, names: list[str]) -> "Standardized":
        """The task for a model whose outputs have these names; others than those of the task stay as they are."""
        known = {name: (mean, std) for name, mean, std in zip(self.names, self.mean, self.std, strict=True)}
        found = Standardized(names, np.zeros((1, len(names))))
        pairs = [known.get(name, (0.0, 1.0)) for name in names]
        found.mean, found.std = (np.array(part) for part in zip(*pairs, strict=True))
        return found


@dataclass(kw_only=True)
class LabeledPhotos(Photos):
    """The images of a folder with targets (C,), float32, in place of class numbers; ``classes`` are their names.

    For regression they have mean 0 and variance 1 over the training images, see ``Standardized``.
    """

    kind: str  # "multilabel" or "regression"
    values: dict[str, np.ndarray] = field(repr=False)  # the row of the table for each path
    without_row: int  # images that are left out

    @cached_property
    def task(self) -> Task:
        """The task for a trainer."""
        if self.kind == "multilabel":
            return MultiLabel(self.classes)
        return Standardized(self.classes, np.stack([self.values[path] for path, _ in self.train]))

    @cached_property
    def samples(self) -> list[list[tuple[str, np.ndarray]]]:
        """The path and target of each sample, for training and for validation."""
        task, parts = self.task, []
        for part in (self.train, self.val):
            values = np.stack([self.values[path] for path, _ in part])
            rows = task.standardized(values) if isinstance(task, Standardized) else values.astype(np.float32)
            parts.append([(path, row) for (path, _), row in zip(part, rows, strict=True)])
        return parts

    def split_table(self) -> str:
        """CSV of path, labels or numbers, and part ("train" or "val")."""
        rows = [
            (self.name(path), self._text(self.values[path]), part)
            for part, samples in (("train", self.train), ("val", self.val))
            for path, _ in samples
        ]
        return as_csv(("path", "labels" if self.kind == "multilabel" else "numbers", "part"), rows)

    def _text(self, row: np.ndarray) -> str:
        if self.kind == "multilabel":
            return ";".join(self.classes[k] for k in np.flatnonzero(row))
        return ";".join(map(repr, row.tolist()))

    def print_summary(self) -> None:
        """Print what was found, and warn on standard error of what the results will suffer from."""
        what = "label" if self.kind == "multilabel" else "number"
        names = ", ".join(self.classes[:MAX_SHOWN_CLASSES]) + (", ..." if len(self.classes) > MAX_SHOWN_CLASSES else "")
        print(
            f"{printable(str(self.root))}: {len(self.train)} training and {len(self.val)} validation images, "
            f"{len(self.classes)} {what}{'s' * (len(self.classes) != 1)}: {names}",
            flush=True,
        )
        train, val = (np.stack([self.values[path] for path, _ in part]) for part in (self.train, self.val))
        width = min(40, max(map(len, self.classes[:MAX_SHOWN_CLASSES])))
        for k, name in enumerate(self.classes[:MAX_SHOWN_CLASSES]):
            if self.kind == "multilabel":
                print(f"  {name:{width}} {int(train[:, k].sum()):7,} + {int(val[:, k].sum()):,}")
            else:
                print(f"  {name:{width}} {train[:, k].min():g} to {train[:, k].max():g}, mean {train[:, k].mean():g}")
        if len(self.classes) > MAX_SHOWN_CLASSES:
            print(f"  and {len(self.classes) - MAX_SHOWN_CLASSES} more {what}s")
        if self.kind == "multilabel" and (none := int((~np.concatenate([train, val]).any(axis=1)).sum())):
            print(f"  {none} image{' has' if none == 1 else 's have'} no label")
        if self.without_row:
            print(f"  {self.without_row} other image{'' if self.without_row == 1 else 's'} without a row: ignored")
        self.print_notes()
        for warning in self._warnings(train, val):
            print(f"warning: {warning}", file=sys.stderr)

    def _warnings(self, train: np.ndarray, val: np.ndarray) -> list[str]:
        if self.kind == "regression":
            flat = [self.classes[k] for k in np.flatnonzero(np.ptp(train, axis=0) == 0)]
            return [f"all training images have the same {name}" for name in flat]
        found = []
        for part, rows in (("training", train), ("validation", val)):
            for words, wrong in (("no {} image has", ~rows.any(axis=0)), ("all {} images have", rows.all(axis=0))):
                names = [self.classes[k] for k in np.flatnonzero(wrong)]
                if names:
                    shown = ", ".join(names[:MAX_SHOWN_CLASSES]) + (", ..." if len(names) > MAX_SHOWN_CLASSES else "")
                    found.append(f"{words.format(part)} the label {shown}")
        return found


def find_labeled(
    root: Path, labels: str | Path, kind: str, val_part: float, seed: int, split: Path | None = None
) -> LabeledPhotos:
    """Find the images in ``root`` that the CSV file ``labels`` names, and split them; see ``read_labels`` for ``kind``.

    Folders train and val are the split if the file names images in both. Otherwise copies of an image and bursts stay
    in one part. ``split``, the split.csv of an earlier run, repeats its split if it has the same images.

    Raises:
        ValueError, OSError: There is no such folder or file, the file is wrong, or there are too few images.
    """
    if not root.is_dir():
        raise FileNotFoundError(f"there is no folder {root}")
    table = read_labels(labels, kind)
    paths, ignored = image_files(root)
    chosen, without_row = _matched(root, labels, table, paths)
    skipped: list[tuple[str, str]] = []
    known: dict[str, Photo] = {}
    values = {path: table.values[row] for path, row in chosen}
    samples = inspected([(path, 0) for path, _ in sorted(chosen)], str(root), skipped, known)
    if len(samples) < 2:
        reason = f": {printable(skipped[0][0])} cannot be read: {skipped[0][1]}" if skipped else ""
        raise ValueError(f"{labels} must name at least two images that can be read, got {len(samples)}{reason}")
    num_grouped, own = 0, _own_split(root, samples)
    parts = own or split_again(root, samples, split)
    if parts is None:
        first, second, num_grouped = split_photos(samples, known, val_part, seed)
        parts = [[samples[i] for i in numbers] for numbers in (first, second)]
    for name, part in zip(("training", "validation"), parts, strict=True):
        if not part:
            raise ValueError(f"there are no images for {name}: {root} has too few with a row in {labels}")
    photos = [[known[path] for path, _ in part] for part in parts]
    leaks = [(parts[0][i][0], parts[1][j][0], is_same) for i, j, is_same in find_pairs(*photos)]
    if root.resolve() in Path(labels).resolve().parents:
        ignored -= 1
    return LabeledPhotos(
        root, [printable(name) for name in table.names], parts[0], parts[1], skipped, ignored,
        [photo.size for part in photos for photo in part], num_grouped, leaks, own is not None, known,
        kind=table.kind, values=values, without_row=without_row,
    )  # fmt: skip


def _matched(
    root: Path, labels: str | Path, table: LabelTable, paths: list[str]
) -> tuple[list[tuple[str, int]], int]:  # fmt: skip
    """The path of the photo of each row, with the number of the row, and how many photos have none.

    Raises:
        ValueError: A row names no photo.
    """
    by_name = {_name(root, path): path for path in paths}
    if table.header in by_name:
        raise ValueError(f"{labels}, line 1: expected names of columns, got the photo {printable(table.header)}")
    missing = [row for row, name in enumerate(table.files) if name not in by_name]
    if missing:
        row = missing[0]
        name = table.files[row]
        ends = (one for one in by_name if one.startswith(f"{name}.") or one.endswith(f"/{name}"))
        found = next(ends, None)
        hint = f"; there is {printable(found)}" if found else ""
        if not found and (root / name).is_file():
            hint = ", the file is not an image"
        more = f" (and {len(missing) - 1} more rows name none)" if len(missing) > 1 else ""
        raise ValueError(
            f"{labels}, line {table.lines[row]}: there is no photo {printable(name)} in {root}{hint}{more}"
        )
    return [(by_name[name], row) for row, name in enumerate(table.files)], len(paths) - len(table.files)


def _name(root: Path, path: str) -> str:
    return unicodedata.normalize("NFC", os.path.relpath(path, root).replace(os.sep, "/"))


def _own_split(root: Path, samples: list[tuple[str, int]]) -> list[list[tuple[str, int]]] | None:
    """The parts of ``samples`` in the folders train and val, if it has some in both.

    Raises:
        ValueError: There are others beside them.
    """
    parts = {one.name.lower(): one.name for one in sorted(root.iterdir()) if one.is_dir() and not is_ignored(one.name)}
    val = next((parts[name] for name in VAL_NAMES if name in parts), None)
    if val is None or "train" not in parts:
        return None
    names = [_name(root, path).partition("/")[0] for path, _ in samples]
    found = [[one for one, name in zip(samples, names, strict=True) if name == part] for part in (parts["train"], val)]
    if not all(found):
        return None
    others = [path for (path, _), name in zip(samples, names, strict=True) if name not in (parts["train"], val)]
    if others:
        raise ValueError(f"{root} has photos in {parts['train']} and {val}, and others beside them: {others[0]}")
    return found


def teach_in_units(task: Task, teacher: nn.Module) -> None:
    """Make a teacher, whose numbers are in their own units, give those that the task's model learns."""
    if isinstance(task, Standardized):
        task.picked(list(teacher.class_names)).standardize(teacher)
