"""``ImageDataset``: images and class indices in two arrays, the base of CIFAR and Digits."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from lucid.data.collate import collate_arrays
from lucid.data.dataset import Dataset


class ImageDataset(Dataset[tuple[Any, Any]]):
    """Images and class indices in memory.

    Sample i is ``(image, target)``: ``transform(data[i])`` and ``target_transform(int(targets[i]))``. Both are called
    once per sample; host and device transforms of whole batches are many times faster, see ``lucid.data``.

    Args:
        data: images (N, C, H, W), uint8.
        targets: class indices (N,), int64.
        train: whether these are the training images.
        transform: applied to each image.
        target_transform: applied to each class index.

    Attributes:
        data: (N, C, H, W), uint8, from 0 to ``max_value``.
        targets: (N,), int64.
        classes: class names by index.
        class_to_idx: class indices by name.
        max_value: the highest possible pixel value.
        mean, std: per channel over the training images, for values in [0, 1].

    Example:
        >>> train = data.Digits(train=True)
        >>> isinstance(train, data.ImageDataset)
        True
        >>> train.data.shape, train.targets.shape
        ((1442, 1, 8, 8), (1442,))
    """

    classes: ClassVar[tuple[str, ...]]
    max_value: ClassVar[int]
    mean: ClassVar[tuple[float, ...]]
    std: ClassVar[tuple[float, ...]]

    def __init__(
        self,
        data: np.ndarray,
        targets: np.ndarray,
        train: bool,
        transform: Callable[[np.ndarray], Any] | None,
        target_transform: Callable[[int], Any] | None,
    ) -> None:
        self.data = data
        self.targets = targets
        self.train = train
        self.transform = transform
        self.target_transform = target_transform

    @property
    def class_to_idx(self) -> dict[str, int]:
        """The class indices by name."""
        return {name: number for number, name in enumerate(self.classes)}

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        image, target = self.data[index], int(self.targets[index])
        return (
            image if self.transform is None else self.transform(image),
            target if self.target_transform is None else self.target_transform(target),
        )

    def get_batch(self, indices: Sequence[int]) -> list[Any]:
        """The samples at ``indices`` as one batch."""
        rows = np.asarray(indices, dtype=np.intp)
        images: Any = self.data[rows]
        targets: Any = self.targets[rows]
        if self.transform is not None:
            images = collate_arrays([self.transform(image) for image in images])
        if self.target_transform is not None:
            targets = collate_arrays([self.target_transform(int(target)) for target in targets])
        return [images, targets]

    def __repr__(self) -> str:
        part = "train" if self.train else "test"
        return f"{type(self).__name__}({part}: {len(self)} images {self.data.shape[1:]}, {len(self.classes)} classes)"
