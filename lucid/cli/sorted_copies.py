"""Put files into one folder per class. Nothing is overwritten: a name that is taken gets a number."""

import os
import re
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

_MAX_NAME = 255  # bytes, of most file systems
_UNUSABLE = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|]+')  # somewhere: file systems differ


class SortedCopies:
    """Copies of files in ``folder/class/``.

    The folder of a class has its name, as far as file systems allow. Where classes share a name, as ImageNet's two
    cranes do, it is followed by the number of the class.

    Args:
        folder: Is created if it does not exist.
        class_names: By class number.
    """

    def __init__(self, folder: Path, class_names: Sequence[str]) -> None:
        self._folder = folder
        names = [folder_name(name) for name in class_names]
        count = Counter(name.casefold() for name in names)
        self._names = [f"{name} {number}" if count[name.casefold()] > 1 else name for number, name in enumerate(names)]

    def add(self, path: Path, number: int) -> Path:
        """Copy a file into the folder of class ``number``, with its times. Returns the copy.

        Raises:
            OSError: The file cannot be read, or the copy cannot be written; nothing is left of it.
        """
        folder = self._folder / self._names[number]
        folder.mkdir(parents=True, exist_ok=True)
        return put(folder, path.name, lambda copy: shutil.copy2(path, copy))


def folder_name(text: str) -> str:
    """A class name as the name of a folder on any file system."""
    name = _UNUSABLE.sub("_", text).strip().strip(".")
    name = _shortened(name, _MAX_NAME - 8)  # leaves room for a number
    return name or "_"


def put(folder: Path, name: str, write: Callable[[Path], object]) -> Path:
    """Write a file into ``folder`` under ``name``, or ``name`` with a number if that is taken. Returns its path.

    ``write(path)`` fills a temporary file, so that the name stands for a complete file only.

    Raises:
        OSError: The file cannot be written; nothing is left of it.
    """
    temporary = folder / f".lucid-{os.getpid()}-{threading.get_ident()}{Path(name).suffix[:16]}"
    reserved: Path | None = None
    try:
        write(temporary)
        reserved = _reserve(folder, name)
        os.replace(temporary, reserved)
        return reserved
    except BaseException:
        for one in (temporary, reserved):
            if one is not None:
                one.unlink(missing_ok=True)
        raise


def _reserve(folder: Path, name: str) -> Path:
    """Create an empty file that nobody else has, under ``name`` or with a number before its suffix."""
    path = Path(name)
    stem, suffix = (path.stem, path.suffix) if len(os.fsencode(path.suffix)) < 32 else (name, "")
    number = 1
    while True:
        end = f"-{number}{suffix}" if number > 1 else suffix
        chosen = folder / (_shortened(stem, _MAX_NAME - len(os.fsencode(end))) + end)
        try:
            os.close(os.open(chosen, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
            return chosen
        except FileExistsError:
            number += 1


def _shortened(text: str, size: int) -> str:
    """``text`` in at most ``size`` bytes."""
    while len(os.fsencode(text)) > size:
        text = text[:-1]
    return text
