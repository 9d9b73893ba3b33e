"""Photos in folders: which can be read, and which are trained and tested with."""

import csv
import io
import os
import sys
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from lucid import data
from lucid._files import write_atomically

VAL_NAMES = ("val", "valid", "validation", "test")
SHOWN_CLASSES, SHOWN_PROBLEMS = 20, 50


@dataclass
class Photos:
    """What is trained and what is tested with: (path, class number), and (path, reason) of what cannot be read."""

    root: Path
    classes: list[str]
    train: list[tuple[str, int]]
    val: list[tuple[str, int]]
    skipped: list[tuple[str, str]]
    ignored: int  # files that are no pictures

    def split_table(self) -> str:
        """CSV of path, class and part."""
        parts = (("train", self.train), ("val", self.val))
        rows = [(self.name(path), self.classes[number], part) for part, samples in parts for path, number in samples]
        return as_csv(("path", "class", "part"), rows)

    def skipped_table(self) -> str:
        return as_csv(("path", "reason"), [(self.name(path), reason) for path, reason in self.skipped])

    def name(self, path: str) -> str:
        """``path`` below the folder, printable whatever bytes it has."""
        return printable(os.path.relpath(path, self.root))


def as_csv(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    return text.getvalue()


def printable(name: str) -> str:
    """``name`` on one line, with escapes for bytes that are no UTF-8 and for what would steer a terminal."""
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return "".join(ascii(one)[1:-1] if unicodedata.category(one) == "Cc" else one for one in text)


def find_photos(root: Path, val_part: float, seed: int) -> Photos:
    """All pictures that can be read, in two parts.

    Raises:
        ValueError, FileNotFoundError: no folder, fewer than two classes, a class that has no picture in it.
    """
    if not root.is_dir():
        raise FileNotFoundError(f"there is no folder {root}")
    train_folder, val_folder = find_parts(root)
    train = data.ImageFolder(train_folder)
    if len(train.classes) < 2:
        raise ValueError(
            f"{train_folder} has one class only, {train.classes[0]}; it takes a folder for each of several"
        )
    val = None
    if val_folder is not None:
        if unknown := sorted(set(train.find_classes(val_folder)[0]) - set(train.classes)):
            raise ValueError(f"{val_folder} has classes that {train_folder} has not: {printable(', '.join(unknown))}")
        val = data.ImageFolder(val_folder, allow_empty=True, class_to_idx=train.class_to_idx)
    skipped: list[tuple[str, str]] = []
    kept = [checked(folder, skipped) for folder in (train, val) if folder is not None]
    present = {number for _, number in kept[0]}
    for number, name in enumerate(train.classes):
        if number not in present:
            raise ValueError(f"no picture of the class {printable(name)} in {train_folder} can be read")
    if val is None:
        first, second = data.stratified_split([number for _, number in kept[0]], val_part, seed)
        kept = [[kept[0][i] for i in numbers] for numbers in (first, second)]
    if not kept[1]:
        raise ValueError(f"there is nothing to test with: {'one picture a class' if val is None else val_folder}")
    ignored = sum(folder.ignored.total() for folder in (train, val) if folder is not None)
    return Photos(root, [printable(name) for name in train.classes], kept[0], kept[1], skipped, ignored)


def find_parts(root: Path) -> tuple[Path, Path | None]:
    """The folders with the classes to train and to test with: ``root`` itself and None, where these are all in one."""
    parts = {one.name.lower(): one for one in sorted(root.iterdir()) if one.is_dir() and not one.name.startswith(".")}
    train = parts.pop("train", None)
    val = next((parts[name] for name in VAL_NAMES if name in parts), None)
    # With only others beside it, or none inside, "train" is a class of vehicles.
    if train is None or (val is None and parts) or not any(one.is_dir() for one in train.iterdir()):
        return root, None
    return train, val


def checked(folder: data.ImageFolder, skipped: list[tuple[str, str]]) -> list[tuple[str, int]]:
    """The samples that can be read; the others, and why, go to ``skipped``."""
    kept = []
    reasons = tqdm(folder.check(), f"checking {folder.root}", len(folder), leave=False, unit=" img", disable=None)
    for (path, number), reason in zip(folder.samples, reasons, strict=True):
        if reason is None:
            kept.append((path, number))
        else:
            skipped.append((path, reason))
    for here, folders, files in os.walk(folder.root):
        if not folders and not files and here.lower().endswith(folder.extensions):
            skipped.append((here, "an empty folder, not a file"))
    return kept


def tell(photos: Photos) -> None:
    """Say what was found."""
    names = ", ".join(photos.classes[:SHOWN_CLASSES]) + (", ..." if len(photos.classes) > SHOWN_CLASSES else "")
    print(
        f"{printable(str(photos.root))}: {len(photos.train)} pictures to train and {len(photos.val)} to test with, "
        f"{len(photos.classes)} classes: {names}",
        flush=True,
    )
    if photos.ignored:
        print(f"{photos.ignored} other {'file is no picture' if photos.ignored == 1 else 'files are no pictures'}")


def write_tables(photos: Photos, folder: Path) -> None:
    """Write which pictures are in what part, and which cannot be read; say the latter.

    Raises:
        OSError: the files cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    split, skipped = folder / "split.csv", folder / "skipped.csv"
    write_atomically(split, photos.split_table().encode())
    write_atomically(skipped, photos.skipped_table().encode())
    for path, reason in photos.skipped[:SHOWN_PROBLEMS]:
        print(f"{printable(path)}: skipped, cannot be read: {reason}", file=sys.stderr)
    if count := len(photos.skipped):
        what = "1 picture" if count == 1 else f"{count} pictures"
        print(f"{what} cannot be read, all of them are listed in {skipped}", file=sys.stderr)
