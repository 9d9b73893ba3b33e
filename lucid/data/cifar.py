"""CIFAR-10 and CIFAR-100, read from the official binary archives.

Source: Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009. A file is a sequence of records: one
label byte (CIFAR-100: the coarse label, then the fine one), then 3072 bytes for the red, green and blue planes of
32 x 32 pixels in row-major order.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from lucid.data.archive import ArchiveError, read_members
from lucid.data.download import fetch_file, md5_of, without_secrets
from lucid.data.images import ImageDataset

IMAGE_SHAPE = (3, 32, 32)
IMAGE_BYTES = 3072

# CIFAR-10: the lines of batches.meta.txt.
_CLASSES = "airplane automobile bird cat deer dog frog horse ship truck"
# CIFAR-100: the lines of fine_label_names.txt and coarse_label_names.txt.
_FINE_CLASSES = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle
caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant flatfish
forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle
mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine
possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar
sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle wardrobe whale
willow_tree wolf woman worm
"""
_COARSE_CLASSES = """
aquatic_mammals fish flowers food_containers fruit_and_vegetables household_electrical_devices household_furniture
insects large_carnivores large_man-made_outdoor_things large_natural_outdoor_scenes large_omnivores_and_herbivores
medium_mammals non-insect_invertebrates people reptiles small_mammals trees vehicles_1 vehicles_2
"""


class CIFAR10(ImageDataset):
    """60,000 photos of 32 x 32 pixels in 10 classes: 50,000 training images and 10,000 test images.

    Images are uint8 (3, 32, 32), channels first (torchvision returns PIL images and keeps ``data`` channels last).

    Args:
        root: the folder of the archive ``cifar-10-binary.tar.gz`` or of the extracted ``cifar-10-batches-bin``.
        train: the training images, otherwise the test images.
        transform: applied to each image.
        target_transform: applied to each class index.
        download: download a missing or damaged archive to ``root``. 162 MB, verified by checksum; interrupted downloads
            resume.
        base_url: a different server for the archive.

    Raises:
        ArchiveError: the archive is missing and cannot be downloaded, or it is damaged. Existing files are kept.

    Example:
        >>> train = data.CIFAR10("data", download=True)  # doctest: +SKIP
        >>> image, label = train[0]  # doctest: +SKIP
        >>> image.shape, train.classes[label]  # doctest: +SKIP
    """

    base_url: ClassVar[str] = "https://www.cs.toronto.edu/~kriz/"
    filename: ClassVar[str] = "cifar-10-binary.tar.gz"
    md5: ClassVar[str | None] = "c32a1d4ab5d03f1284b67883e8d87530"
    base_folder: ClassVar[str] = "cifar-10-batches-bin"
    # Number of records of each file.
    train_files: ClassVar[Mapping[str, int]] = {f"data_batch_{number}.bin": 10_000 for number in range(1, 6)}
    test_files: ClassVar[Mapping[str, int]] = {"test_batch.bin": 10_000}
    # Number of classes of each label byte; the last byte is the target.
    label_sizes: ClassVar[tuple[int, ...]] = (10,)

    classes: ClassVar[tuple[str, ...]] = tuple(_CLASSES.split())
    max_value = 255
    mean = (0.4914, 0.4822, 0.4465)
    std = (0.2470, 0.2435, 0.2616)

    def __init__(
        self,
        root: str | os.PathLike[str],
        train: bool = True,
        transform: Callable[[np.ndarray], Any] | None = None,
        target_transform: Callable[[int], Any] | None = None,
        download: bool = False,
        *,
        base_url: str | None = None,
    ) -> None:
        self.root = Path(root).expanduser()
        if base_url is not None:
            self.base_url = base_url  # type: ignore[misc]
        files = self.train_files if train else self.test_files
        data, labels = self._decode(files, self._contents(files, download))
        super().__init__(data, labels[:, -1].astype(np.int64), train, transform, target_transform)
        self._labels = labels

    def _contents(self, files: Mapping[str, int], download: bool) -> Iterator[tuple[str, Any]]:
        """Name and contents of each file, from the extracted folder or the archive, whichever exists."""
        sizes = {name: records * self._record_bytes() for name, records in files.items()}
        folder = next((folder for folder in (self.root / self.base_folder, self.root) if _holds(folder, sizes)), None)
        if folder is not None:
            return ((name, np.fromfile(folder / name, dtype=np.uint8)) for name in files)
        archive = self._archive(download)
        members = read_members(archive, {f"{self.base_folder}/{name}": size for name, size in sizes.items()})
        return ((name.rpartition("/")[2], content) for name, content in members)

    def _archive(self, download: bool) -> Path:
        """The path of the archive, after verification."""
        path = self.root / self.filename
        where = type(self).__name__
        problem = self._problem(path)
        if problem is None:
            return path
        if not download:
            server = without_secrets(self.base_url)
            raise ArchiveError(
                f"{where}: {problem}. Pass download=True, or copy {self.filename} from {server} to {self.root}"
            )
        url = f"{self.base_url.rstrip('/')}/{self.filename}"
        try:
            fetch_file(url, path, self.md5)
        except ArchiveError as error:
            damaged = f"{problem}; " if path.is_file() else ""
            raise ArchiveError(
                f"{where}: {damaged}{error}. To work offline, copy {self.filename} to {self.root} from another machine"
            ) from None
        return path

    def _problem(self, path: Path) -> str | None:
        if not path.is_file():
            return f"{path} does not exist, and {self.root / self.base_folder} is not a complete dataset"
        if self.md5 is not None and (found := md5_of(path)) != self.md5:
            return f"{path} is damaged or incomplete: md5 {found}, expected {self.md5}"
        return None

    def _decode(self, files: Mapping[str, int], contents: Iterator[tuple[str, Any]]) -> tuple[np.ndarray, np.ndarray]:
        """Images (N, 3, 32, 32) and labels (N, label bytes), in the order of ``files``."""
        starts = dict(zip(files, np.cumsum([0, *files.values()]).tolist(), strict=False))
        data = np.empty((sum(files.values()), *IMAGE_SHAPE), dtype=np.uint8)
        labels = np.empty((len(data), len(self.label_sizes)), dtype=np.uint8)
        for name, content in contents:
            records = np.frombuffer(content, dtype=np.uint8).reshape(files[name], self._record_bytes())
            rows = slice(starts[name], starts[name] + files[name])
            labels[rows] = records[:, : len(self.label_sizes)]
            data[rows] = records[:, len(self.label_sizes) :].reshape(-1, *IMAGE_SHAPE)
            if (labels[rows] >= np.array(self.label_sizes)).any():
                raise ArchiveError(
                    f"{type(self).__name__}: {name} in {self.root} is damaged: it has labels out of range"
                )
        return data, labels

    @classmethod
    def _record_bytes(cls) -> int:
        return len(cls.label_sizes) + IMAGE_BYTES


class CIFAR100(CIFAR10):
    """60,000 photos of 32 x 32 pixels in 100 classes, grouped into 20 superclasses (the coarse labels).

    Arguments and errors are those of ``CIFAR10``. The archive is ``cifar-100-binary.tar.gz``, the extracted folder
    ``cifar-100-binary``.

    Args:
        root: the folder of the archive ``cifar-100-binary.tar.gz`` or of the extracted ``cifar-100-binary``.
        train: the training images, otherwise the test images.
        transform: applied to each image.
        target_transform: applied to each class index.
        download: download a missing or damaged archive to ``root``, verified by checksum.
        base_url: another server for the archive.

    Attributes:
        targets: fine labels in [0, 100), (N,), int64.
        coarse_targets: coarse labels in [0, 20), (N,), int64.
        coarse_classes: the names of the coarse labels.

    Example:
        >>> train = data.CIFAR100("data", download=True)  # doctest: +SKIP
        >>> len(train.classes), len(train.coarse_classes)  # doctest: +SKIP
    """

    filename = "cifar-100-binary.tar.gz"
    md5 = "03b5dce01913d631647c71ecec9e9cb8"
    base_folder = "cifar-100-binary"
    train_files: ClassVar[Mapping[str, int]] = {"train.bin": 50_000}
    test_files: ClassVar[Mapping[str, int]] = {"test.bin": 10_000}
    label_sizes = (20, 100)

    classes = tuple(_FINE_CLASSES.split())
    coarse_classes: ClassVar[tuple[str, ...]] = tuple(_COARSE_CLASSES.split())
    # The commonly published statistics of the training images.
    mean = (0.5071, 0.4865, 0.4409)
    std = (0.2673, 0.2564, 0.2762)

    @property
    def coarse_targets(self) -> np.ndarray:
        """The superclass of each image (N,), int64."""
        return self._labels[:, 0].astype(np.int64)


def _holds(folder: Path, sizes: Mapping[str, int]) -> bool:
    return all((folder / name).is_file() and (folder / name).stat().st_size == size for name, size in sizes.items())
