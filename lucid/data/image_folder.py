"""``ImageFolder``: images in one folder per class."""

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
# Folders that systems make: __MACOSX in zips from a Mac, @eaDir with thumbnails on a Synology, and those of disks.
_SYSTEM_FOLDERS = {"__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found"}


def is_ignored(name: str) -> bool:
    """Whether a file or folder of that name is not the user's: hidden, such as ``._cat.jpg``, or made by a system."""
    return name.startswith(".") or name in _SYSTEM_FOLDERS


def files_below(folder: str | os.PathLike[str]) -> list[str]:
    """The paths of the user's files in a folder and its subfolders, sorted.

    Links to folders are followed, but no folder twice.

    Raises:
        OSError: A folder cannot be read.
    """
    return sorted(os.path.join(here, name) for here, _, files in _visited(folder) for name in files)


def _visited(folder: str | os.PathLike[str]) -> Iterator[tuple[str, list[str], list[str]]]:
    """``os.walk`` of the user's files and folders, which follows links, but visits no folder twice."""
    seen = set()
    for here, folders, files in os.walk(folder, onerror=_fail, followlinks=True):
        status = os.stat(here)
        if (status.st_dev, status.st_ino) in seen:  # a link to a parent
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not is_ignored(name))
        yield here, folders, [name for name in files if not is_ignored(name)]


class ImageFolder(Dataset[tuple[Any, Any]]):
    """The images in ``root/class/`` and its subfolders, with torchvision's interface.

    Sample i is ``(image, class index)``: ``transform(loader(path))`` and ``target_transform(index)``. For training it
    is faster to decode in a pool of threads that knows the final size, as in the second half of the example.

    Classes are sorted by name. Symbolic links are followed, but no folder is visited twice, and links from one class
    into another, or to ``root`` itself, are ignored. Files and folders whose names start with a dot are skipped, as are
    ``__MACOSX`` and the like, since macOS and notebooks create them (torchvision treats them as classes).

    Args:
        root: the folder of the class folders.
        transform: applied to each image.
        target_transform: applied to each class index.
        loader: called with each path. ``open_image`` returns Pillow images.
        is_valid_file: whether a path is an image, instead of ``extensions``.
        allow_empty: accept classes without images.
        class_to_idx: indices of the classes, instead of those by name.
        extensions: of image files, case-insensitive.

    Attributes:
        classes: class names by index.
        class_to_idx: class indices by name.
        samples: (path, class index) of each image, sorted by class and path. ``imgs`` is the same list.
        targets: the class index of each image.
        ignored: number of files that are not images, and of links that are not followed, by extension.

    Raises:
        FileNotFoundError: ``root`` does not exist or has no classes, or a class has no images.
        PermissionError: a folder cannot be read.
        ValueError: ``class_to_idx`` is missing a class.

    Example:
        >>> photos = data.ImageFolder("photos/train")
        >>> image, label = photos[0]
        >>> photos.classes[label], image.size
        ('cat', (64, 48))
        >>> paths = data.ImageFolder("photos/train", loader=str)  # for decoding in a pool of threads
        >>> decode = data.transforms.DecodeImages(data.transforms.RandomResizedCrop(224))
        >>> loader = data.DataLoader(paths, 64, shuffle=True, num_workers=2, batch_transform=decode)
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
        self.extensions = tuple(name.lower() for name in names)
        self.ignored: Counter[str] = Counter()
        found = self.find_classes(self.root)[1]
        self.class_to_idx = found if class_to_idx is None else dict(class_to_idx)
        unknown = sorted(set(found) - set(self.class_to_idx))
        if unknown:
            raise ValueError(f"ImageFolder: class_to_idx is missing classes of {self.root}: {', '.join(unknown)}")
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
            hint = "" if is_valid_file else f"; supported extensions are {', '.join(self.extensions)}"
            raise FileNotFoundError(f"ImageFolder: {self.root} has no images of class {', '.join(empty)}{hint}")

    def find_classes(self, directory: str | os.PathLike[str]) -> tuple[list[str], dict[str, int]]:
        """The names of the folders in ``directory``, sorted, and their indices."""
        if not os.path.isdir(directory):
            raise FileNotFoundError(f"ImageFolder: there is no folder {os.fspath(directory)}")
        with os.scandir(directory) as entries:
            names = sorted(entry.name for entry in entries if entry.is_dir() and not is_ignored(entry.name))
        if not names:
            raise FileNotFoundError(
                f"ImageFolder: {os.fspath(directory)} has no subfolders; expected one folder of images per class"
            )
        return names, {name: number for number, name in enumerate(names)}

    def _files(self, class_name: str, is_valid: Callable[[str], bool]) -> Iterator[str]:
        """The images of a class, sorted. Other files are counted in ``ignored``."""
        found, others = _walk(self.root, class_name)
        for path in found:
            if is_valid(path):
                yield path
            else:
                others.append(path)
        self.ignored.update(Path(path).suffix.lower() for path in others)

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
        """Decode every image in threads. Yields None, or why it cannot be read, for each sample in order."""
        threads = num_threads or num_cores()
        jobs = (partial(why_unreadable, path) for path, _ in self.samples)
        return run_ahead(jobs, threads, ahead=16 * threads)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.root}: {len(self)} images, {len(self.classes)} classes)"


def stratified_split(targets: Sequence[int], fraction: float, seed: int) -> tuple[list[int], list[int]]:
    """Split sample indices into ``1 - fraction`` and ``fraction`` of each class. Both lists are sorted.

    Classes with two samples or more have at least one in each list; a single sample goes to the first list. The same
    seed gives the same split.

    Raises:
        ValueError: ``fraction`` is not between 0 and 1.

    Example:
        >>> train, test = data.stratified_split([0, 0, 0, 0, 1, 1], fraction=0.5, seed=0)
        >>> len(train), len(test)
        (3, 3)
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
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def why_unreadable(path: str) -> str | None:
    """Why an image cannot be read, or None."""
    try:
        open_image(path, short_side=1)  # reads a JPEG to its end, but decodes it at 1/8 of its size
    except ImageError as error:
        return error.reason
    return None


def _fail(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):  # classes of ``class_to_idx`` may have no folder
        raise error


def _walk(root: str, class_name: str) -> tuple[list[str], list[str]]:
    """All files of a class, sorted, without hidden ones, and the links that are not followed.

    Those lead out of the class but into the root, where the images belong to other classes. A dangling link counts as a
    file.
    """
    folder, real_root = os.path.join(root, class_name), os.path.realpath(root)
    real_folder = os.path.realpath(folder)

    def leads_astray(path: str) -> bool:
        real = os.path.realpath(path)
        return not _is_inside(real, real_folder) and (_is_inside(real, real_root) or _is_inside(real_root, real))

    found: list[str] = []
    astray: list[str] = []
    if _is_inside(real_root, real_folder):  # the class is a link to the root
        return [], [folder]
    for here, folders, files in _visited(folder):
        with_links = [(name, os.path.join(here, name)) for name in [*folders, *files]]
        wrong = {name for name, path in with_links if os.path.islink(path) and leads_astray(path)}
        astray += [os.path.join(here, name) for name in wrong]
        folders[:] = [name for name in folders if name not in wrong]
        found += [os.path.join(here, name) for name in files if name not in wrong]
    return sorted(found), astray


def _is_inside(path: str, folder: str) -> bool:
    """Whether ``path`` is ``folder`` or in it; both are real paths."""
    return path == folder or path.startswith(os.path.join(folder, ""))
