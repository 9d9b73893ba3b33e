"""Photos that show the same: equal files, nearly equal pixels, and bursts of the same moment.

If one of them is for training and another for validation, the model has seen what it is evaluated on. ``inspect``
reads what decides this from a file, ``find_groups`` finds the photos of a class that belong together, and
``find_pairs`` those in both parts.
"""

import datetime
import hashlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lucid.data.decoding import ImageError, image_header, load_pillow, open_image

SIDE = 8  # of the thumbnail that is compared, in pixels
MIN_CONTRAST = 4.0  # standard deviation of the thumbnail; flatter ones all look alike
MIN_CORRELATION = 0.995  # of nearly equal thumbnails
MAX_SHIFT = 10.0  # of their mean colors, of 255
BURST_SECONDS = 3.0  # between photos of a burst
ROWS_AT_ONCE = 1024
_EXIF, _TAKEN, _MODEL = 0x8769, 0x9003, 0x0110  # tags


@dataclass(frozen=True)
class Photo:
    """What is known of a readable file."""

    size: tuple[int, int]  # width and height in pixels, before its EXIF orientation is applied
    digest: bytes  # of the file
    color: np.ndarray  # (3,), the mean
    look: np.ndarray | None  # (SIDE * SIDE * 3,), what differs from the mean, of norm 1; None if the photo is flat
    taken: float | None  # seconds, by the camera's clock
    camera: str = ""


def inspect(path: str) -> Photo | str:
    """What is known of the photo at ``path``, or why it cannot be read. Decodes it to its end."""
    try:
        image = open_image(path, short_side=4 * SIDE)
    except ImageError as error:
        return error.reason
    pillow = load_pillow()
    try:
        with open(path, "rb") as file:
            digest = _digest(file)
        with image_header(path) as header:
            size, (taken, camera) = header.size, _moment(header)
    except OSError as error:
        return str(error)
    pixels = np.asarray(image.resize((SIDE, SIDE), pillow.Image.Resampling.BOX), np.float32).reshape(-1, 3)
    color = pixels.mean(axis=0)
    look = (pixels - color).ravel()
    norm = float(np.linalg.norm(look))
    is_flat = norm < MIN_CONTRAST * np.sqrt(look.size)
    return Photo(size, digest, color, None if is_flat else look / norm, taken, camera)


def _digest(file: Any) -> bytes:
    found = hashlib.blake2b()
    while block := file.read(1 << 20):
        found.update(block)
    return found.digest()


def _moment(image: Any) -> tuple[float | None, str]:
    """When a photo was taken, and the camera; None without valid EXIF data."""
    try:
        exif = image.getexif()
        text = str(exif.get_ifd(_EXIF)[_TAKEN])
        taken = datetime.datetime.strptime(text, "%Y:%m:%d %H:%M:%S").replace(tzinfo=datetime.timezone.utc)
        return taken.timestamp(), str(exif.get(_MODEL, ""))
    except Exception:  # damaged EXIF data raises anything
        return None, ""


def find_pairs(first: Sequence[Photo], second: Sequence[Photo]) -> list[tuple[int, int, bool]]:
    """Photos of ``first`` and ``second`` that are equal: their positions, and whether the files are the same.

    Each photo of ``second`` is in one pair at most.
    """
    by_digest = {photo.digest: i for i, photo in reversed(list(enumerate(first)))}
    found = {j: (by_digest[photo.digest], True) for j, photo in enumerate(second) if photo.digest in by_digest}
    rows, columns = _comparable(first), _comparable(second)
    if rows.size and columns.size:
        looks, colors = _stacked([second[j] for j in columns])
        for start in range(0, len(rows), ROWS_AT_ONCE):
            part = rows[start : start + ROWS_AT_ONCE]
            own_looks, own_colors = _stacked([first[i] for i in part])
            for i, j in np.argwhere(own_looks @ looks.T >= MIN_CORRELATION).tolist():
                if np.abs(own_colors[i] - colors[j]).max() <= MAX_SHIFT:
                    found.setdefault(int(columns[j]), (int(part[i]), False))
    return [(i, j, is_same) for j, (i, is_same) in sorted(found.items())]


def _comparable(photos: Sequence[Photo]) -> np.ndarray:
    return np.array([i for i, photo in enumerate(photos) if photo.look is not None], dtype=np.intp)


def _stacked(photos: Sequence[Photo]) -> tuple[np.ndarray, np.ndarray]:
    return np.stack([photo.look for photo in photos if photo.look is not None]), np.stack([p.color for p in photos])


def find_groups(photos: Sequence[Photo]) -> list[int]:
    """For each photo of a class the position of the first photo of its group: equal ones and bursts."""
    parent = list(range(len(photos)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    def join(i: int, j: int) -> None:
        low, high = sorted((root(i), root(j)))
        parent[high] = low

    places = _comparable(photos)
    for start in range(0, len(places), ROWS_AT_ONCE):
        looks, colors = _stacked([photos[i] for i in places[start:]])
        for i, j in np.argwhere(looks[:ROWS_AT_ONCE] @ looks.T >= MIN_CORRELATION).tolist():
            if i < j and np.abs(colors[i] - colors[j]).max() <= MAX_SHIFT:
                join(int(places[start + i]), int(places[start + j]))
    first_of: dict[bytes, int] = {}
    for i, photo in enumerate(photos):
        join(first_of.setdefault(photo.digest, i), i)
    dated = sorted((photo.camera, photo.taken, i) for i, photo in enumerate(photos) if photo.taken is not None)
    for (camera, taken, i), (other, later, j) in itertools.pairwise(dated):
        if camera == other and later - taken <= BURST_SECONDS:
            join(i, j)
    return [root(i) for i in range(len(photos))]
