"""Folders of photos: find the readable ones, and split them into training and validation images."""

import csv
import io
import os
import sys
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol

from lucid import data
from lucid._files import read_regular, write_atomically
from lucid.data.image_folder import IMG_EXTENSIONS, files_below, is_ignored, num_cores, why_unreadable
from lucid.data.workers import run_ahead
from lucid.training.duplicates import Photo, find_groups, find_pairs, inspect
from lucid.training.progress import require

VAL_NAMES = ("val", "valid", "validation", "test")
MAX_SHOWN_CLASSES, MAX_SHOWN_SKIPPED, MAX_SHOWN_LEAKS = 20, 50, 3


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
    sizes: list[tuple[int, int]] = field(default_factory=list)  # width and height of each
    num_grouped: int = 0  # images that were kept in one part with others of the same moment
    leaks: list[tuple[str, str, bool]] = field(default_factory=list)  # equal images for training and validation
    has_own_split: bool = False  # it has folders train and val
    known: dict[str, Photo] = field(default_factory=dict, repr=False)  # what was found in each readable file

    def split_table(self) -> str:
        """CSV of path, class and part ("train" or "val")."""
        parts = (("train", self.train), ("val", self.val))
        rows = [(self.name(path), self.classes[number], part) for part, samples in parts for path, number in samples]
        return as_csv(("path", "class", "part"), rows)

    def skipped_table(self) -> str:
        """CSV of path and reason."""
        return as_csv(("path", "reason"), [(self.name(path), reason) for path, reason in self.skipped])

    def name(self, path: str) -> str:
        """``path`` relative to the folder, printable."""
        return printable(os.path.relpath(path, self.root))

    def print_summary(self) -> None:
        """Print what was found, and warn on standard error of images that are in both parts."""
        names = ", ".join(self.classes[:MAX_SHOWN_CLASSES]) + (", ..." if len(self.classes) > MAX_SHOWN_CLASSES else "")
        print(
            f"{printable(str(self.root))}: {len(self.train)} training and {len(self.val)} validation images, "
            f"{len(self.classes)} classes: {names}",
            flush=True,
        )
        counts = [[0, 0] for _ in self.classes]
        for part, samples in enumerate((self.train, self.val)):
            for _, number in samples:
                counts[number][part] += 1
        width = min(40, max(map(len, self.classes[:MAX_SHOWN_CLASSES])))
        for name, (train, val) in list(zip(self.classes, counts, strict=True))[:MAX_SHOWN_CLASSES]:
            print(f"  {name:{width}} {train:7,} + {val:,}")
        if len(self.classes) > MAX_SHOWN_CLASSES:
            print(f"  and {len(self.classes) - MAX_SHOWN_CLASSES} more classes")
        self.print_notes()

    def print_notes(self) -> None:
        """The part of the summary that is the same for classes and other targets."""
        if self.sizes:
            small, large = (pick(self.sizes, key=lambda size: size[0] * size[1]) for pick in (min, max))
            middle = sorted(min(size) for size in self.sizes)[len(self.sizes) // 2]
            print(f"  {small[0]}x{small[1]} to {large[0]}x{large[1]} px, half of them with a short side of {middle} px")
        notes = []
        if self.skipped:
            notes.append(f"{len(self.skipped)} image{' cannot' if len(self.skipped) == 1 else 's cannot'} be read")
        if self.ignored:
            notes.append(f"{self.ignored} other file{' is not an image' if self.ignored == 1 else 's are not images'}")
        if self.num_grouped:
            notes.append(f"{self.num_grouped} copies and photos of one burst stay in one part")
        for note in notes:
            print(f"  {note}")
        sys.stdout.flush()
        if self.leaks:
            shown = ", ".join(
                f"{self.name(val)} {'is' if is_same else 'looks like'} {self.name(train)}"
                for train, val, is_same in self.leaks[:MAX_SHOWN_LEAKS]
            )
            more = f" and {len(self.leaks) - MAX_SHOWN_LEAKS} more" if len(self.leaks) > MAX_SHOWN_LEAKS else ""
            print(
                f"warning: {len(self.leaks)} validation image{' is' if len(self.leaks) == 1 else 's are'} also for "
                f"training, so the results will be too good: {shown}{more}",
                file=sys.stderr,
            )


def as_csv(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A header and rows as CSV."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    return text.getvalue()


def find_photos(root: Path, val_part: float, seed: int, split: Path | None = None) -> Photos:
    """Find the readable images in ``root`` and split them, unless it has folders train and val.

    Copies of an image and bursts stay in one part. ``split``, the split.csv of an earlier run, repeats its split if it
    has the same images.

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
    known: dict[str, Photo] = {}
    readable = [_readable(folder, skipped, known) for folder in (train, val) if folder is not None]
    present = {number for _, number in readable[0]}
    for number, name in enumerate(train.classes):
        if number not in present:
            reason = next((why for path, why in skipped if path.startswith(os.path.join(train_folder, name, ""))), "")
            raise ValueError(
                f"{train_folder} has no readable image of class {printable(name)}{reason and ': ' + reason}"
            )
    num_grouped = 0
    if val is None:
        before = split_again(root, readable[0], split)
        if before is None:
            first, second, num_grouped = split_photos(readable[0], known, val_part, seed)
            before = [[readable[0][i] for i in numbers] for numbers in (first, second)]
        readable = before
    if not readable[1]:
        where = f"{root} has only one image per class" if val is None else f"{val_folder} is empty"
        raise ValueError(f"there are no images for validation: {where}")
    ignored = sum(folder.ignored.total() for folder in (train, val) if folder is not None)
    photos = [[known[path] for path, _ in samples] for samples in readable]
    leaks = [(readable[0][i][0], readable[1][j][0], is_same) for i, j, is_same in find_pairs(*photos)]
    sizes = [photo.size for part in photos for photo in part]
    names = [printable(name) for name in train.classes]
    has_own_split = val is not None
    return Photos(
        root, names, readable[0], readable[1], skipped, ignored, sizes, num_grouped, leaks, has_own_split, known
    )


def split_with_seed(photos: Photos, val_part: float, seed: int) -> tuple[list[int], list[int]]:
    """Another split: positions for training and validation in ``all_samples(photos)``.

    The seed that ``find_photos`` got gives the split that it made.
    """
    return split_photos(all_samples(photos), photos.known, val_part, seed)[:2]


def all_samples(photos: Photos) -> list[tuple[str, int]]:
    """All samples, sorted by class and path."""
    return sorted(photos.train + photos.val, key=lambda sample: (sample[1], sample[0]))


def split_photos(
    samples: list[tuple[str, int]], known: dict[str, Photo], val_part: float, seed: int
) -> tuple[list[int], list[int], int]:
    """Positions for training and validation, and how many samples are in groups, which stay in one part.

    A group that has more than its share of a class is for training, unless the class has nothing else.
    """
    members: dict[int, list[int]] = {}  # of each group, by its first sample
    for number in {number for _, number in samples}:
        places = [i for i, (_, other) in enumerate(samples) if other == number]
        groups = find_groups([known[samples[i][0]] for i in places])
        sizes = Counter(groups)
        for i, group in zip(places, groups, strict=True):
            fits = sizes[group] <= max(1, val_part * len(places))
            if len(sizes) == 1:  # the whole class is one group: it has to be split all the same
                members[i] = [i]
            else:
                members.setdefault(places[group] if fits else -1 - places[group], []).append(i)
    free = sorted(first for first in members if first >= 0)
    second = data.stratified_split([samples[first][1] for first in free], val_part, seed)[1]
    chosen = {i for place in second for i in members[free[place]]}
    return (
        [i for i in range(len(samples)) if i not in chosen],
        sorted(chosen),
        sum(len(group) for group in members.values() if len(group) > 1),
    )


def split_again(root: Path, samples: list[tuple[str, int]], split: Path | None) -> list[list[tuple[str, int]]] | None:
    """The parts of ``samples`` that ``split`` says, in its order; None if it has other images."""
    if split is None or not split.is_file():
        return None
    with split.open(encoding="utf-8", newline="") as file:
        rows = [(row.get("path"), row.get("part")) for row in csv.DictReader(file)]
    by_name = {printable(os.path.relpath(path, root)): (path, number) for path, number in samples}
    if len(by_name) != len(samples) or len(rows) != len(samples) or {name for name, _ in rows} != set(by_name):
        return None
    return [[by_name[name] for name, own in rows if name is not None and own == part] for part in ("train", "val")]


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


def _readable(
    folder: data.ImageFolder, skipped: list[tuple[str, str]], known: dict[str, Photo]
) -> list[tuple[str, int]]:
    """The samples that can be read, added to ``known``; the others, with the reason, are added to ``skipped``."""
    kept = inspected(folder.samples, str(folder.root), skipped, known)
    for here, folders, files in os.walk(folder.root):
        folders[:] = [name for name in folders if not is_ignored(name)]
        if not folders and not files and here.lower().endswith(folder.extensions):
            skipped.append((here, "an empty folder, not a file"))
    return kept


def inspected(
    samples: Sequence[tuple[str, int]], root: str, skipped: list[tuple[str, str]], known: dict[str, Photo]
) -> list[tuple[str, int]]:
    """The samples that can be read, added to ``known``; the others, with the reason, are added to ``skipped``."""
    kept = []
    tqdm = require("tqdm").tqdm
    threads = num_cores()
    found = run_ahead((partial(inspect, path) for path, _ in samples), threads, ahead=16 * threads)
    shown = tqdm(found, f"checking {root}", len(samples), leave=False, unit=" images", disable=None)
    for (path, number), photo in zip(samples, shown, strict=True):
        if isinstance(photo, str):
            skipped.append((path, photo))
        else:
            kept.append((path, number))
            known[path] = photo
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


# Without classes ------------------------------------------------------------------------------------------------------


def find_unlabeled(root: Path, val_part: float, seed: int, split: Path | None = None) -> Photos:
    """Find the readable images in ``root`` and its subfolders, and split them, unless it has folders train and val.

    The result has one class without a name. ``split``, the split.csv of an earlier run, repeats its split if it has the
    same images.

    Raises:
        ValueError, FileNotFoundError: There is no such folder, or it has too few readable images.
    """
    if not root.is_dir():
        raise FileNotFoundError(f"there is no folder {root}")
    parts = {one.name.lower(): one for one in sorted(root.iterdir()) if one.is_dir() and not is_ignored(one.name)}
    val_folder = next((parts[name] for name in VAL_NAMES if name in parts), None)
    folders = [root] if val_folder is None or "train" not in parts else [parts["train"], val_folder]
    skipped: list[tuple[str, str]] = []
    found = [_unlabeled(folder, skipped) for folder in folders]
    samples = [[(path, 0) for path in paths] for paths, _ in found]
    if len(samples) == 1:
        samples = split_again(root, samples[0], split) or [
            [samples[0][i] for i in numbers] for numbers in data.stratified_split([0] * len(samples[0]), val_part, seed)
        ]
    for name, part, folder in zip(("training", "validation"), samples, (folders[0], folders[-1]), strict=True):
        if not part:
            reason = f": {skipped[0][1]}" if skipped else ""
            raise ValueError(f"{folder} has too few readable images, there is none for {name}{reason}")
    return Photos(root, [""], samples[0], samples[1], skipped, sum(ignored for _, ignored in found))


def _unlabeled(folder: Path, skipped: list[tuple[str, str]]) -> tuple[list[str], int]:
    """The images in ``folder`` that can be read, sorted, and the number of other files; adds to ``skipped``."""
    paths, ignored = image_files(folder)
    threads = num_cores()
    reasons = run_ahead((partial(why_unreadable, path) for path in paths), threads, ahead=16 * threads)
    shown = require("tqdm").tqdm(reasons, f"checking {folder}", len(paths), leave=False, unit=" images", disable=None)
    readable = []
    for path, reason in zip(paths, shown, strict=True):
        if reason is None:
            readable.append(path)
        else:
            skipped.append((path, reason))
    return readable, ignored


def image_files(folder: Path) -> tuple[list[str], int]:
    """The paths of all images in ``folder`` and its subfolders, sorted, and the number of other files."""
    own = files_below(folder)
    paths = [path for path in own if path.lower().endswith(IMG_EXTENSIONS)]
    return paths, len(own) - len(paths)


class Split(Protocol):
    """Images for training and validation, such as ``Photos``."""

    @property
    def root(self) -> Path: ...

    def split_table(self) -> str: ...


def check_split(out: Path, found: Split, advice: str) -> None:
    """Check that the images are the same as when the run in ``out`` started; ``advice`` ends the message.

    Raises:
        ValueError: An image was added, removed or moved.
        OSError: split.csv cannot be read.
    """
    before = set(read_regular(out / "split.csv").decode("utf-8").splitlines())
    now = set(found.split_table().splitlines())
    if before != now:
        changed = min(before ^ now)
        raise ValueError(
            f"the images in {found.root} have changed since the run in {out} started, for example {changed}; {advice}"
        )
