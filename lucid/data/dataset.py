"""Datasets, and ways to combine and split them.

Samples are tensors, NumPy arrays, numbers, strings, or tuples, lists and dicts of them; ``DataLoader`` converts batches
to tensors. NumPy arrays are the fastest.

A dataset can define one of two methods to fetch many samples at once:

- ``get_batch(indices)`` returns the collated batch, arrays stacked along a new first axis. This is the fastest way.
- ``__getitems__(indices)`` returns a list of samples, as in PyTorch; the loader collates them.
"""

import bisect
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import mlx.core as mx
import numpy as np

from lucid._tensor import Tensor, tensor
from lucid.data.collate import collate_arrays, numpy_leaf
from lucid.data.seeds import SPLIT, RandomSource, derived_generator, resolve_seed

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Dataset(Generic[T_co]):
    """A map from indices to samples. Subclasses define ``__getitem__`` and ``__len__``.

    Example:
        >>> class Squares(data.Dataset):
        ...     def __getitem__(self, index):
        ...         return index, index**2
        ...     def __len__(self):
        ...         return 5
        ...
        >>> [squares.tolist() for _, squares in data.DataLoader(Squares(), batch_size=3)]
        [[0, 1, 4], [9, 16]]
    """

    def __getitem__(self, index: int) -> T_co:
        raise NotImplementedError(f"{type(self).__name__}: define __getitem__(index)")

    if TYPE_CHECKING:  # subclasses of a fixed size define it

        def __len__(self) -> int: ...

    def __repr__(self) -> str:
        try:
            return f"{type(self).__name__}({len(self):,} samples)"
        except TypeError:  # it has no length
            return f"{type(self).__name__}()"

    def __add__(self, other: "Dataset[Any]") -> "ConcatDataset[Any]":
        return ConcatDataset([self, other])


class IterableDataset(Dataset[T_co]):
    """A stream of samples. Subclasses define ``__iter__``; a loader reads the stream in one thread.

    Example:
        >>> class Countdown(data.IterableDataset):
        ...     def __iter__(self):
        ...         return iter([3, 2, 1])
        ...
        >>> print(*data.DataLoader(Countdown(), batch_size=2))
        tensor([3, 2]) tensor([1])
    """

    def __iter__(self) -> Iterator[T_co]:
        raise NotImplementedError(f"{type(self).__name__}: define __iter__()")

    def __getitem__(self, index: int) -> T_co:
        raise TypeError(f"{type(self).__name__}: an IterableDataset has no indices; iterate over it")


class TensorDataset(Dataset[tuple[Tensor, ...]]):
    """Sample i is the tuple of the i-th rows of ``tensors``, as tensors.

    A ``DataLoader`` reads whole batches from one copy in NumPy, which is faster than row by row.

    Args:
        *tensors: Tensors, MLX or NumPy arrays of equal first dimension, converted to NumPy once, here.

    Raises:
        ValueError: there are no tensors, one has no dimensions, or the first dimensions differ.

    Example:
        >>> dataset = data.TensorDataset(lucid.randn(10, 3), lucid.arange(10))
        >>> x, y = dataset[4]
        >>> x.shape, int(y)
        ((3,), 4)
    """

    def __init__(self, *tensors: Any) -> None:
        if not tensors:
            raise ValueError("TensorDataset: expected at least one tensor")
        self.tensors = tensors
        self._arrays = tuple(np.asarray(numpy_leaf(one)) for one in tensors)
        # NumPy has no bfloat16; dtypes of NumPy become those of tensor().
        self._dtypes = tuple(one.dtype if isinstance(one, Tensor | mx.array) else None for one in tensors)
        shapes = [array.shape for array in self._arrays]
        if any(len(shape) == 0 or shape[0] != shapes[0][0] for shape in shapes):
            raise ValueError(f"TensorDataset: tensors must have equal first dimensions, got shapes {shapes}")

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        # From the copy in NumPy: no operation of MLX, which threads would have to wait for.
        at = numpy_leaf(index)
        return tuple([
            tensor(array[at], dtype=dtype) for array, dtype in zip(self._arrays, self._dtypes, strict=True)
        ])  # fmt: skip

    def get_batch(self, indices: Sequence[int]) -> list[np.ndarray]:
        """The samples at ``indices`` as one batch."""
        return [array[np.asarray(indices, dtype=np.intp)] for array in self._arrays]

    def __len__(self) -> int:
        return len(self._arrays[0])


class Subset(Dataset[T_co]):
    """The samples of ``dataset`` at ``indices``, in this order.

    Args:
        dataset: The dataset.
        indices: The indices of its samples.

    Example:
        >>> subset = data.Subset(["a", "b", "c", "d"], [3, 1])
        >>> subset[0], len(subset)
        ('d', 2)
    """

    def __init__(self, dataset: Dataset[T_co] | Sequence[T_co], indices: Sequence[int]) -> None:
        self.dataset = dataset
        self.indices = indices

    def __getitem__(self, index: int) -> T_co:
        if isinstance(index, list):
            return self.dataset[[self.indices[i] for i in index]]
        return self.dataset[int(self.indices[index])]

    def get_batch(self, indices: Sequence[int]) -> Any:
        """The samples at ``indices`` as one batch."""
        return fetch_batch(self.dataset, [int(self.indices[i]) for i in indices])

    def __getitems__(self, indices: Sequence[int]) -> list[T_co]:
        return fetch_samples(self.dataset, [int(self.indices[i]) for i in indices])

    def __len__(self) -> int:
        return len(self.indices)


class ConcatDataset(Dataset[T_co]):
    """The concatenation of several datasets.

    Args:
        datasets: The datasets, in order.

    Raises:
        ValueError: ``datasets`` is empty.
        TypeError: one of them is an ``IterableDataset``.

    Example:
        >>> both: data.ConcatDataset[str] = data.ConcatDataset([["a", "b"], ["c"]])
        >>> both[2], len(both)
        ('c', 3)
    """

    def __init__(self, datasets: Sequence[Any]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise ValueError("ConcatDataset: expected at least one dataset")
        if any(isinstance(dataset, IterableDataset) for dataset in self.datasets):
            raise TypeError("ConcatDataset: an IterableDataset has no indices and cannot be concatenated")
        self.cumulative_sizes = [int(size) for size in np.cumsum([len(dataset) for dataset in self.datasets])]

    def __getitem__(self, index: int) -> T_co:
        if not -len(self) <= index < len(self):
            raise IndexError(f"ConcatDataset: index {index} is out of range for {len(self)} samples")
        index = index % len(self)
        number = bisect.bisect_right(self.cumulative_sizes, index)
        start = self.cumulative_sizes[number - 1] if number else 0
        return self.datasets[number][index - start]

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]


class ChainDataset(IterableDataset[T_co]):
    """Several streams, one after another.

    Args:
        datasets: Instances of ``IterableDataset``, in order.

    Raises:
        TypeError: one of them is no ``IterableDataset``, when its turn comes.

    Example:
        >>> class Countdown(data.IterableDataset):
        ...     def __init__(self, start):
        ...         self.start = start
        ...     def __iter__(self):
        ...         return iter(range(self.start, 0, -1))
        ...
        >>> list(data.ChainDataset([Countdown(2), Countdown(3)]))
        [2, 1, 3, 2, 1]
    """

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = datasets

    def __iter__(self) -> Iterator[T_co]:
        for dataset in self._streams():
            yield from dataset

    def __len__(self) -> int:
        return sum(len(dataset) for dataset in self._streams())

    def _streams(self) -> Iterator[Any]:
        for number, dataset in enumerate(self.datasets):
            if not isinstance(dataset, IterableDataset):
                raise TypeError(
                    f"ChainDataset: dataset {number} must be an IterableDataset, got {type(dataset).__name__}; "
                    "ConcatDataset joins the others"
                )
            yield dataset


class StackDataset(Dataset[Any]):
    """Datasets side by side: a sample is the tuple of their samples, or a dictionary of them if they are given by name.

    Args:
        args: Datasets of the same size.
        kwargs: Datasets of the same size by name, instead of ``args``.

    Raises:
        ValueError: there is none, there are some with and some without a name, or their sizes differ.

    Example:
        >>> pairs = data.StackDataset(image=[10, 20], text=["a", "b"])
        >>> pairs[1]
        {'image': 20, 'text': 'b'}
    """

    datasets: tuple[Any, ...] | dict[str, Any]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if args and kwargs:
            raise ValueError("StackDataset: give all datasets by position, or all by name")
        self.datasets = kwargs or args
        sizes = [len(dataset) for dataset in self._all()]
        if not sizes:
            raise ValueError("StackDataset: expected at least one dataset")
        if len(set(sizes)) > 1:
            raise ValueError(f"StackDataset: the datasets must have the same size, got {', '.join(map(str, sizes))}")
        self._length = sizes[0]

    def _all(self) -> list[Any]:
        return list(self.datasets.values() if isinstance(self.datasets, dict) else self.datasets)

    def _joined(self, parts: Iterable[Any]) -> Any:
        return dict(zip(self.datasets, parts, strict=True)) if isinstance(self.datasets, dict) else tuple(parts)

    def __getitem__(self, index: int) -> Any:
        return self._joined([dataset[index] for dataset in self._all()])

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        return [
            self._joined(parts) for parts in zip(*(fetch_samples(one, indices) for one in self._all()), strict=True)
        ]

    def __len__(self) -> int:
        return self._length


def fetch_samples(dataset: Any, indices: Sequence[int]) -> list[Any]:
    """The samples at ``indices`` as a list."""
    if hasattr(dataset, "__getitems__"):
        return dataset.__getitems__(indices)
    return [dataset[index] for index in indices]


def fetch_batch(dataset: Any, indices: Sequence[int]) -> Any:
    """The collated batch of the samples at ``indices``, by the fastest method of ``dataset``."""
    if hasattr(dataset, "get_batch"):
        return dataset.get_batch(indices)
    if isinstance(dataset, np.ndarray):
        return dataset[np.asarray(indices, dtype=np.intp)]
    return collate_arrays(fetch_samples(dataset, indices))


def random_split(
    dataset: Dataset[T] | Sequence[T],
    lengths: Sequence[int | float],
    generator: RandomSource | None = None,
    *,
    seed: int | None = None,
) -> list[Subset[T]]:
    """Split ``dataset`` randomly into non-overlapping subsets.

    Args:
        dataset: the dataset.
        lengths: sizes that sum to ``len(dataset)``, or fractions that sum to 1. Fractions are rounded down, and the
            remaining samples are distributed one by one, starting with the first subset.
        generator: a ``lucid.Generator``, a NumPy generator or an int, as in PyTorch.
        seed: an int instead of a generator. The same seed gives the same split.

    Raises:
        ValueError: the lengths do not sum to the size of the dataset, or one is negative.

    Example:
        >>> train, test = data.random_split(data.Digits(), [0.9, 0.1], seed=0)
        >>> len(train), len(test)
        (1298, 144)
    """
    counts = _split_counts(len(dataset), list(lengths))
    rng = derived_generator(resolve_seed("random_split", seed, generator), SPLIT)
    order = rng.permutation(len(dataset)).tolist()
    ends = np.cumsum(counts).tolist()
    return [Subset(dataset, order[end - count : end]) for count, end in zip(counts, ends, strict=True)]


def _split_counts(total: int, lengths: list[int | float]) -> list[int]:
    if any(length < 0 for length in lengths):
        raise ValueError(f"random_split: lengths must not be negative, got {lengths}")
    if math.isclose(sum(lengths), 1) and all(length <= 1 for length in lengths):
        counts = [math.floor(total * length) for length in lengths]
        for extra in range(total - sum(counts)):
            counts[extra % len(counts)] += 1
    else:
        if any(int(length) != length for length in lengths):
            raise ValueError(f"random_split: fractions must sum to 1, got {lengths} (sum {sum(lengths)})")
        counts = [int(length) for length in lengths]
    if sum(counts) != total:
        raise ValueError(f"random_split: lengths must sum to the {total} samples, got {lengths} (sum {sum(counts)})")
    return counts
