"""Find photos in folders, decode them in threads, and account for every file."""

import os
import sys
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PIL import Image

import lucid
from lucid import nn
from lucid.cli.contact_sheet import shrunk
from lucid.data import ImageError
from lucid.data.decoding import FORMATS, opened_image
from lucid.data.image_folder import IMG_EXTENSIONS, is_ignored, num_cores
from lucid.data.workers import run_ahead
from lucid.training.photo_dataset import printable

# JPEGs of more than 8 times the model's size are decoded at a reduced size, which changes no digit that is printed.
SIZES_TO_DECODE = 8
MAX_AHEAD = 64  # prepared images that wait for the model


@dataclass(frozen=True)
class Skipped:
    """A file that is no readable image, or a folder of such files, and why."""

    path: Path
    reason: str
    files: int = 1


@dataclass
class Prepared:
    """An image as the model takes it; the decoded image, which may be a thousand times larger, is not kept."""

    path: Path
    pixels: lucid.Tensor  # (C, H, W)
    thumbnail: Image.Image | None = None  # for the contact sheet
    crop: Image.Image | None = None  # what the model sees, for heat maps


def find_photos(places: Iterable[str], leave_out: Sequence[Path] = ()) -> list[Path | Skipped]:
    """The files given, and all files in the folders given and their subfolders, in the order of the names.

    Files in folders are photos or ``Skipped``; those that are given are photos, whatever their names. Folders in
    ``leave_out`` are skipped. Places without an image are reported, unless there is nothing else.

    Raises:
        ValueError: None of the places has an image.
    """
    found: list[Path | Skipped] = []
    faults = []
    for place in map(Path, places):
        if place.is_dir():
            inside = _files_in(place, leave_out)
            found += inside
            if not any(isinstance(one, Path) for one in inside):
                faults.append(f"there are no images in {place}")
        elif place.exists():
            found.append(place)
        else:
            faults.append(f"there is no file or folder {place}")
    if not any(isinstance(one, Path) for one in found):
        raise ValueError(printable("; ".join(faults)))
    for fault in faults:
        print(f"{printable(fault)}; skipped", file=sys.stderr)
    return found


def _files_in(folder: Path, leave_out: Sequence[Path]) -> list[Path | Skipped]:
    """Every file below ``folder``: photos by their names, and the others. Links are followed, but no folder twice."""
    suffixes = _suffixes()
    found: list[Path | Skipped] = []
    outputs = {_identity(one) for one in leave_out if one.is_dir()}
    visited = set()
    folders, links = [folder], [folder][:0]
    while folders or links:
        here = folders.pop() if folders else links.pop()  # links last, so that files have their own paths
        try:
            identity, names = _identity(here), sorted(os.listdir(here), reverse=True)
        except OSError as error:
            found.append(Skipped(here, error.strerror or str(error)))
            continue
        if identity in outputs:
            found += _whole_folder(here, "an output folder")
            continue
        if identity in visited:
            found.append(Skipped(here, "a link to a folder that is read already"))
            continue
        visited.add(identity)
        for path in (here / name for name in names):
            is_folder, is_link = os.path.isdir(path), os.path.islink(path)
            if is_ignored(path.name):
                what = "hidden" if path.name.startswith(".") else "made by the system"
                found += _whole_folder(path, what) if is_folder and not is_link else [Skipped(path, what)]
            elif is_folder:
                (links if is_link else folders).append(path)
            else:
                found.append(path if path.suffix.lower() in suffixes else Skipped(path, "not an image by its name"))
    return sorted(found, key=lambda one: (one if isinstance(one, Path) else one.path).parts)


def _identity(folder: Path) -> tuple[int, int]:
    status = os.stat(folder)
    return status.st_dev, status.st_ino


def _whole_folder(folder: Path, what: str) -> list[Skipped]:
    """A folder that is skipped with all files in it; nothing if it has none."""
    count = sum(len(files) for _, _, files in os.walk(folder))
    return [Skipped(folder, f"{what}, {count} file{'s' * (count > 1)}", count)] if count else []


def _suffixes() -> set[str]:
    """Of images, also in formats that Pillow may lack, such as HEIC."""
    return {*IMG_EXTENSIONS, *(suffix for suffix, kind in Image.registered_extensions().items() if kind in FORMATS)}


def prepared(
    model: nn.Module, entries: Sequence[Path | Skipped], ahead: int, *, thumbnails: bool = False, crops: bool = False
) -> Generator[Prepared | Skipped, None, None]:
    """The entries in their order, decoded in threads; those that cannot be read as ``Skipped``.

    While the caller computes, up to ``ahead`` images are prepared.

    Raises:
        ValueError: The model takes images of neither 1 nor 3 channels.
    """
    if model.in_chans not in (1, 3):
        raise ValueError(f"the model expects {model.in_chans}-channel images; only 1 and 3 channels are supported")
    threads = min(num_cores(), len(entries))
    jobs = (partial(prepare, model, one, thumbnails, crops) for one in entries)
    return run_ahead(jobs, threads, threads + min(ahead, MAX_AHEAD))


def prepare(model: nn.Module, path: Path | Skipped, thumbnail: bool, crop: bool) -> Prepared | Skipped:
    """An image file as the model takes it, or why it cannot be read. A file that is skipped already stays so."""
    if isinstance(path, Skipped):
        return path
    try:
        with opened_image(path, SIZES_TO_DECODE * model.preprocessing.resize_size) as image:
            small = shrunk(image) if thumbnail else None
            if model.in_chans == 1:
                image = image.convert("L")
            pixels = model.preprocessing(image)[: model.in_chans]
            return Prepared(path, pixels, small, model.preprocessing.crop(image) if crop else None)
    except ImageError as error:
        return Skipped(path, error.reason)
    except MemoryError:
        return Skipped(path, "not enough memory to prepare it")
