"""The 1,797 handwritten digits that ship with scikit-learn: a dataset that needs no download."""

import gzip
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from lucid.data.archive import ArchiveError
from lucid.data.images import ImageDataset

TEST_EVERY = 5


class Digits(ImageDataset):
    """Handwritten digits of 8 x 8 pixels: 1,442 training images and 355 test images.

    Images are uint8 (1, 8, 8) from 0 to 16; ``ToFloat(Digits.max_value)`` scales them to [0, 1]. The split is fixed:
    every fifth image of each class, in the order of the file, is a test image. Source: Alpaydin and Kaynak, Optical
    Recognition of Handwritten Digits, UCI, 1998 (the test set), as shipped with scikit-learn.

    Args:
        train: the training images, otherwise the test images.
        transform: applied to each image.
        target_transform: applied to each class index.

    Raises:
        ArchiveError: scikit-learn is not installed, or its file is not the expected one.

    Example:
        >>> train = data.Digits(train=True)
        >>> image, label = train[0]
        >>> image.shape, len(train), len(train.classes)
        ((1, 8, 8), 1442, 10)
    """

    classes = tuple("0123456789")
    max_value = 16
    mean = (0.3051,)
    std = (0.3762,)

    def __init__(
        self,
        train: bool = True,
        transform: Callable[[np.ndarray], Any] | None = None,
        target_transform: Callable[[int], Any] | None = None,
    ) -> None:
        table = _read_table()
        targets = table[:, -1].astype(np.int64)
        chosen = _is_test(targets) != train
        data = table[chosen, :-1].reshape(-1, 1, 8, 8)
        super().__init__(data, targets[chosen], train, transform, target_transform)


def _read_table() -> np.ndarray:
    """(1797, 65) uint8: 64 pixels and the digit per row."""
    # Located, not imported: importing scikit-learn takes longer than reading its file.
    package = importlib.util.find_spec("sklearn")
    if package is None or not package.submodule_search_locations:
        raise ArchiveError(
            'Digits: the images ship with scikit-learn, which is not installed: pip install "lucid-mlx[train]"'
        )
    path = Path(package.submodule_search_locations[0]) / "datasets" / "data" / "digits.csv.gz"
    try:
        with gzip.open(path, "rt", encoding="ascii") as file:
            table = np.loadtxt(file, delimiter=",", dtype=np.float32)
    except (OSError, EOFError, ValueError) as error:
        raise ArchiveError(f"Digits: cannot read {path}: {error}") from error
    pixels, digits = table[..., :-1], table[..., -1]
    if table.shape != (1797, 65) or not np.isin(pixels, range(17)).all() or not np.isin(digits, range(10)).all():
        raise ArchiveError(f"Digits: {path} is not the expected table of 1797 digits")
    return table.astype(np.uint8)


def _is_test(targets: np.ndarray) -> np.ndarray:
    """True for every fifth sample of each class."""
    test = np.zeros(len(targets), dtype=bool)
    for target in np.unique(targets):
        test[np.flatnonzero(targets == target)[TEST_EVERY - 1 :: TEST_EVERY]] = True
    return test
