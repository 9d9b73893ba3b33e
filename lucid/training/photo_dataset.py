"""Folders of photos: find the readable ones, and split them into training and validation images."""

import csv
import io
import os
import sys
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lucid import data
from lucid._files import write_atomically
from lucid.data.image_folder import is_ignored
from lucid.training.progress import require

VAL_NAMES = ("val", "valid", "validation", "test")
MAX_SHOWN_CLASSES, MAX_SHOWN_SKIPPED = 20, 50


def printable(name: str) -> str:
    """``name`` on one line: control characters and bytes that are not UTF-8 are escaped."""
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return "".join(ascii(one)[1:-1] if unicodedata.category(one) == "Cc" else one for one in text)


@dataclass
class Photos:
    """The images of a folder: (path, class number) for training and validation, (path, reason) of unreadable ones."""

    root: Path
    classes: list[str]
    train: list[tuple[str, int]]
    val: list[tuple[str, int]]
    skipped: list[tuple[str, str]]
    ignored: int  # files that are not images

    def split_table(self) -> str:
        """CSV of path, class and part ("train" or "val")."""
        parts = (("train", self.train), ("val", self.val))
        rows = [(self.name(path), self.classes[number], part) for part, samples in parts for path, number in samples]
        return _as_csv(("path", "class", "part"), rows)

    def skipped_table(self) -> str:
        """CSV of path and reason."""
        return _as_csv(("path", "reason"), [(self.name(path), reason) for path, reason in self.skipped])

    def name(self, path: str) -> str:
        """``path`` relative to the folder, printable."""
        return printable(os.path.relpath(path, self.root))

    def print_summary(self) -> None:
        """Print what was found."""
        names = ", ".join(self.classes[:MAX_SHOWN_CLASSES]) + (", ..." if len(self.classes) > MAX_SHOWN_CLASSES else "")
        print(
            f"{printable(str(self.root))}: {len(self.train)} training and {len(self.val)} validation images, "
            f"{len(self.classes)} classes: {names}",
            flush=True,
        )
        if self.ignored:
            print(f"{self.ignored} other file{' is not an image' if self.ignored == 1 else 's are not images'}")


def _as_csv(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    return text.getvalue()


def find_photos(root: Path, val_part: float, seed: int) -> Photos:
    """Find the readable images in ``root`` and split them, unless it has folders train and val.

    Raises:
        ValueError, FileNotFoundError: There is no such folder, it has fewer than two classes, or a class has no
            readable image.
    """
    if not root.is_dir():
        raise FileNotFoundError(f"there is no folder {root}")
    train_folder, val_folder = _find_parts(root)
    train = data.ImageFolder(train_folder)
    if len(train.classes) < 2:
        raise ValueError(f"{train_folder} has only one class, {train.classes[0]}; expected one folder per class")
    val = None
    if val_folder is not None:
        if unknown := sorted(set(train.find_classes(val_folder)[0]) - set(train.classes)):
            raise ValueError(f"{val_folder} has classes that {train_folder} lacks: {printable(', '.join(unknown))}")
        val = data.ImageFolder(val_folder, allow_empty=True, class_to_idx=train.class_to_idx)
    skipped: list[tuple[str, str]] = []
    readable = [_readable(folder, skipped) for folder in (train, val) if folder is not None]
    present = {number for _, number in readable[0]}
    for number, name in enumerate(train.classes):
        if number not in present:
            reason = next((why for path, why in skipped if path.startswith(os.path.join(train_folder, name, ""))), "")
            raise ValueError(
                f"{train_folder} has no readable image of class {printable(name)}{reason and ': ' + reason}"
            )
    if val is None:
        first, second = data.stratified_split([number for _, number in readable[0]], val_part, seed)
        readable = [[readable[0][i] for i in numbers] for numbers in (first, second)]
    if not readable[1]:
        where = f"{root} has only one image per class" if val is None else f"{val_folder} is empty"
        raise ValueError(f"there are no images for validation: {where}")
    ignored = sum(folder.ignored.total() for folder in (train, val) if folder is not None)
    return Photos(root, [printable(name) for name in train.classes], readable[0], readable[1], skipped, ignored)


def _find_parts(root: Path) -> tuple[Path, Path | None]:
    """The folders with the training and validation classes: ``root`` and None where it has to be split."""
    parts = {one.name.lower(): one for one in sorted(root.iterdir()) if one.is_dir() and not is_ignored(one.name)}
    train = parts.pop("train", None)
    val = next((parts[name] for name in VAL_NAMES if name in parts), None)
    # With other folders beside it, or none inside, "train" is a class of vehicles.
    if (
        train is None
        or (val is None and parts)
        or not any(one.is_dir() and not is_ignored(one.name) for one in train.iterdir())
    ):
        return root, None
    return train, val


def _readable(folder: data.ImageFolder, skipped: list[tuple[str, str]]) -> list[tuple[str, int]]:
    """The samples that can be read; the others, with the reason, are added to ``skipped``."""
    kept = []
    tqdm = require("tqdm").tqdm
    reasons = tqdm(folder.check(), f"checking {folder.root}", len(folder), leave=False, unit=" images", disable=None)
    for (path, number), reason in zip(folder.samples, reasons, strict=True):
        if reason is None:
            kept.append((path, number))
        else:
            skipped.append((path, reason))
    for here, folders, files in os.walk(folder.root):
        folders[:] = [name for name in folders if not is_ignored(name)]
        if not folders and not files and here.lower().endswith(folder.extensions):
            skipped.append((here, "an empty folder, not a file"))
    return kept


def write_tables(photos: Photos, folder: Path) -> None:
    """Write split.csv and skipped.csv, and report the skipped images on standard error.

    Raises:
        OSError: The files cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    split, skipped = folder / "split.csv", folder / "skipped.csv"
    write_atomically(split, photos.split_table().encode())
    write_atomically(skipped, photos.skipped_table().encode())
    for path, reason in photos.skipped[:MAX_SHOWN_SKIPPED]:
        print(f"{printable(path)}: skipped, cannot be read: {reason}", file=sys.stderr)
    if count := len(photos.skipped):
        print(f"{count} image{'' if count == 1 else 's'} cannot be read; see {skipped}", file=sys.stderr)
