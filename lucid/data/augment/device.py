"""Datasets that fit in memory, held on the device, and a loader that draws batches from them."""

from collections.abc import Iterator
from typing import Any

import mlx.core as mx
import numpy as np

from lucid import _bounds, _checks, tape
from lucid._tensor import Tensor
from lucid.data.images import ImageDataset
from lucid.data.loader import DataLoader
from lucid.ops._common import array
from lucid.ops._types import TensorLike


class DeviceDataset:
    """The images of a ``CIFAR10``, ``CIFAR100`` or ``Digits`` dataset as one uint8 tensor, indexed on the device. ::

        train = DeviceDataset(CIFAR10("data"))
        for images, labels in DeviceLoader(train, batch_size=128, shuffle=True, drop_last=True):
            ...
        images, labels = train[index]  # also in a compiled function

    CIFAR takes 154 MB. Images whose ``max_value`` is not 255 (``Digits``: 16) are scaled to it, since the color
    operations work on values from 0 to 255.

    Args:
        dataset: A ``CIFAR10``, ``CIFAR100`` or ``Digits`` dataset, or another ``ImageDataset``.

    Attributes:
        images: (N, C, H, W) uint8, from 0 to 255.
        labels: (N,) int32.

    Example:
        >>> train = data.augment.DeviceDataset(data.Digits())
        >>> images, labels = train[lucid.tensor([0, 7])]
        >>> images.shape, labels.shape
        ((2, 1, 8, 8), (2,))
    """

    def __init__(self, dataset: ImageDataset) -> None:
        for name in ("data", "targets", "max_value"):
            if not hasattr(dataset, name):
                raise TypeError(
                    f"DeviceDataset: dataset must be CIFAR10, CIFAR100 or Digits, got {type(dataset).__name__}"
                )
        data = np.asarray(dataset.data)
        if dataset.max_value != 255:
            data = np.rint(data * (255 / dataset.max_value)).astype(np.uint8)
        self.images = tape.wrap(mx.array(data))
        self.labels = tape.wrap(mx.array(np.asarray(dataset.targets, np.int32)))

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: TensorLike) -> tuple[Tensor, Tensor]:
        """The images and labels at ``index``, (B,) integers.

        Raises:
            IndexError: an index is out of range.
        """
        at: Any = array("DeviceDataset", tape.unwrap(index), "index")
        if at.ndim != 1 or not mx.issubdtype(at.dtype, mx.integer):
            found = f"{_checks.dtype_name(at.dtype)} of shape {at.shape}"
            raise TypeError(f"DeviceDataset: index must be a vector of integers, got {found}")
        is_host = not isinstance(index, tape.TensorBase | mx.array)
        at = _bounds.within("DeviceDataset", at, 0, (len(self),), is_host=is_host)
        return tape.wrap(mx.take(self.images._array, at, 0)), tape.wrap(mx.take(self.labels._array, at, 0))

    def __repr__(self) -> str:
        return f"DeviceDataset({len(self)} images {self.images.shape[1:]})"


class DeviceLoader:
    """Batches of a ``DeviceDataset``, in the order that a ``DataLoader`` with these options draws.

    As with ``DataLoader``, the order of an epoch depends on the seed and the epoch only, and ``state_dict()`` holds the
    position.

    Args:
        dataset: the dataset.
        options: of ``DataLoader``, such as ``batch_size``, ``shuffle``, ``seed`` or ``sampler``.

    Example:
        >>> train = data.augment.DeviceDataset(data.Digits())
        >>> loader = data.augment.DeviceLoader(train, batch_size=256, shuffle=True, seed=0)
        >>> images, labels = next(iter(loader))
        >>> images.shape
        (256, 1, 8, 8)
    """

    def __init__(self, dataset: DeviceDataset, **options: Any) -> None:
        self.dataset = dataset
        self.loader = DataLoader(np.arange(len(dataset), dtype=np.int32), **options)
        self.state_dict, self.load_state_dict = self.loader.state_dict, self.loader.load_state_dict

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for index in self.loader:
            yield self.dataset[index]
