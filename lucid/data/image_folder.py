"""``ImageFolder``: images that lie in one folder for each class."""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lucid.data.dataset import Dataset
from lucid.data.decoding import ImageError, open_image
from lucid.data.seeds import SPLIT, derived_generator
from lucid.data.workers import run_ahead

IMG_EXTENSIONS = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm",
    ".avif", ".heic", ".heif", ".jp2", ".tga", ".mpo",
)  # fmt: skip


class ImageFolder(Dataset[tuple[Any, Any]]):
    """The images under ``root/class/``, also in folders therein. The words are torchvision's.

    Sample i is ``(image, class number)``: ``transform(loader(path))`` and ``target_transform(number)``. The loader is
    ``open_image``, which gives Pillow images. For training, leave reading to threads that know what size is wanted::

        images = data.ImageFolder("photos/train", loader=str)  # samples are paths
        decode = data.transforms.DecodeImages(data.transforms.RandomResizedCrop(224))
        loader = data.DataLoader(images, 64, shuffle=True, num_workers=2, batch_transform=decode)

    Classes are numbered by name. Links are followed, each folder once. Files are taken by the end of their name
    (``extensions``, any case) or as ``is_valid_file(path)`` says. Files and folders whose names begin with a dot are
    left out, as macOS and notebooks leave them everywhere (torchvision takes such folders for classes).

    Attributes:
        classes: names, by number.
        class_to_idx: numbers, by name.
        samples: (path, number) of each image, sorted by class and path; ``imgs`` is the same list.
        targets: the numbers alone.
        ignored: how many files are no images, by the end of their name.

    Raises:
        FileNotFoundError: there is no such folder, no class in it, or, but for ``allow_empty``, a class without image.
        PermissionError: a folder must not be looked into.
        ValueError: ``class_to_idx`` is given and lacks a class.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[int], Any] | None = None,
        loader: Callable[[str], Any] = open_image,
        is_valid_file: Callable[[str], bool] | None = None,
        allow_empty: bool = False,
        *,
        class_to_idx: Mapping[str, int] | None = None,
        extensions: str | Sequence[str] = IMG_EXTENSIONS,
    ) -> None:
        self.root = os.fspath(root)
        self.transform = transform
        self.target_transform = target_transform
        self.loader = loader
        names = (extensions,) if isinstance(extensions, str) else extensions
        self.extensions = tuple(one.lower() for one in names)
        self.ignored: Counter[str] = Counter()
        found = self.find_classes(self.root)[1]
        self.class_to_idx = found if class_to_idx is None else dict(class_to_idx)
        unknown = sorted(set(found) - set(self.class_to_idx))
        if unknown:
            raise ValueError(f"ImageFolder: {self.root} has classes that class_to_idx has not: {', '.join(unknown)}")
        self.classes = sorted(self.class_to_idx, key=self.class_to_idx.__getitem__)
        is_valid = is_valid_file or (lambda path: path.lower().endswith(self.extensions))
        self.samples = [
            (path, self.class_to_idx[name]) for name in self.classes for path in self._files(name, is_valid)
        ]
        self.imgs = self.samples
        self.targets = [number for _, number in self.samples]
        present = set(self.targets)
        empty = [name for name in self.classes if self.class_to_idx[name] not in present]
        if empty and not allow_empty:
            wanted = "" if is_valid_file else f"; names of images end in {', '.join(self.extensions)}"
            raise FileNotFoundError(f"ImageFolder: {self.root} has no image of the class {', '.join(empty)}{wanted}")

    def find_classes(self, directory: str | os.PathLike[str]) -> tuple[list[str], dict[str, int]]:
        """The names of the folders in ``directory`` in the order of the alphabet, and their numbers."""
        if not os.path.isdir(directory):
            raise FileNotFoundError(f"ImageFolder: there is no folder {os.fspath(directory)}")
        with os.scandir(directory) as entries:
            names = sorted(one.name for one in entries if one.is_dir() and not one.name.startswith("."))
        if not names:
            raise FileNotFoundError(
                f"ImageFolder: {os.fspath(directory)} has no folders with images in them, one for each class"
            )
        return names, {name: number for number, name in enumerate(names)}

    def _files(self, class_name: str, is_valid: Callable[[str], bool]) -> Iterator[str]:
        """The images of a class, sorted; the other files are counted."""
        for path in _walk(os.path.join(self.root, class_name)):
            if is_valid(path):
                yield path
            else:
                self.ignored[Path(path).suffix.lower()] += 1

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        path, number = self.samples[index]
        image = self.loader(path)
        return (
            image if self.transform is None else self.transform(image),
            number if self.target_transform is None else self.target_transform(number),
        )

    def check(self, num_threads: int | None = None) -> Iterator[str | None]:
        """Read each image once, in threads: None where that goes well, else the reason why it does not. In order."""
        threads = num_threads or num_cores()
        # At an eighth of its size a JPEG is still read to its end.
        jobs = (partial(_problem, path) for path, _ in self.samples)
        return run_ahead(jobs, threads, ahead=16 * threads)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.root}: {len(self)} images, {len(self.classes)} classes)"


def stratified_split(targets: Sequence[int], fraction: float, seed: int) -> tuple[list[int], list[int]]:
    """Numbers of samples, ``1 - fraction`` and ``fraction`` of each class, both sorted: the same for the same seed.

    Where a class has two samples or more, each side gets at least one of it; a single one goes to the first side.

    Raises:
        ValueError: ``fraction`` is not between 0 and 1.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"stratified_split: fraction must be above 0 and below 1, got {fraction}")
    numbers, second = np.asarray(targets), []
    for target in np.unique(numbers):
        members = np.flatnonzero(numbers == target)
        order = derived_generator(seed, SPLIT, int(target)).permutation(members)
        count = min(max(1, round(len(members) * fraction)), len(members) - 1)
        second += order[:count].tolist()
    chosen = set(second)
    return [number for number in range(len(numbers)) if number not in chosen], sorted(second)


def num_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _problem(path: str) -> str | None:
    try:
        open_image(path, short_side=1)
    except ImageError as error:
        return error.reason
    return None


def _fail(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):  # a class of ``class_to_idx`` need have no folder
        raise error


def _walk(folder: str) -> list[str]:
    """All files in ``folder`` and the folders therein, sorted, but hidden ones. A link to nowhere counts as a file."""
    found, seen = [], set()
    for here, folders, files in os.walk(folder, onerror=_fail, followlinks=True):
        place = os.stat(here)
        if (place.st_dev, place.st_ino) in seen:  # a link led back
            folders.clear()
            continue
        seen.add((place.st_dev, place.st_ino))
        folders[:] = sorted(one for one in folders if not one.startswith("."))
        found += [os.path.join(here, one) for one in files if not one.startswith(".")]
    return sorted(found)
