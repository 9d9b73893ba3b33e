"""Samplers: the order in which a loader reads samples.

A sampler is any iterable of indices with a length. If it has ``set_epoch(epoch)``, the loader calls it before each
epoch, so that a random order can depend on the seed and the epoch alone.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import Any, Generic, TypeVar

import numpy as np

from lucid import _checks
from lucid.data.seeds import ORDER, RandomSource, derived_generator, resolve_seed

T_co = TypeVar("T_co", covariant=True)
_BLOCK = 1024  # indices that are drawn at a time, with replacement


class Sampler(Generic[T_co]):
    """An iterable of indices. Subclasses define ``__iter__`` and ``__len__``.

    Example:
        >>> class EvenIndices(data.Sampler):
        ...     def __init__(self, size):
        ...         self.size = size
        ...     def __iter__(self):
        ...         return iter(range(0, self.size, 2))
        ...     def __len__(self):
        ...         return (self.size + 1) // 2
        ...
        >>> [batch.tolist() for batch in data.DataLoader(list(range(5)), batch_size=2, sampler=EvenIndices(5))]
        [[0, 2], [4]]
    """

    def __iter__(self) -> Iterator[T_co]:
        raise NotImplementedError(f"{type(self).__name__}: define __iter__()")


class SequentialSampler(Sampler[int]):
    """0, 1, 2, ... up to the length of ``data_source``.

    Args:
        data_source: Anything with a length.

    Example:
        >>> list(data.SequentialSampler("abc"))
        [0, 1, 2]
    """

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class _Seeded(Sampler[int]):
    """A sampler whose order in epoch k depends on the seed and k only. Iterating advances the epoch."""

    def __init__(self, seed: int | None, generator: RandomSource | None) -> None:
        self.seed = resolve_seed(type(self).__name__, seed, generator)
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Use the order of ``epoch`` in the next iteration."""
        self.epoch = _checks.integer(type(self).__name__, "epoch", epoch, 0)

    def __iter__(self) -> Iterator[int]:
        rng = derived_generator(self.seed, ORDER, self.epoch)
        self.epoch += 1
        self._check()
        return itertools.chain.from_iterable(block.tolist() for block in self._blocks(rng))

    def _check(self) -> None:
        """Raise if nothing can be drawn."""

    def _blocks(self, rng: np.random.Generator) -> Iterator[np.ndarray]:
        """The order, piece by piece, so that an order of any length takes little memory."""
        raise NotImplementedError


class RandomSampler(_Seeded):
    """Every sample once in a new random order per epoch, or ``num_samples`` draws, with ``replacement`` if asked.

    Args:
        data_source: Anything with a length.
        replacement: Draw with replacement.
        num_samples: Number of draws; by default the length of ``data_source``.
        generator: A ``lucid.Generator``, a NumPy generator or an int that seeds the order, as in PyTorch.
        seed: An int, instead of ``generator``.

    Raises:
        ValueError: ``num_samples`` is not positive, or the seed is invalid.

    Example:
        >>> sampler = data.RandomSampler(range(5), seed=0)
        >>> sorted(sampler)
        [0, 1, 2, 3, 4]
    """

    def __init__(
        self,
        data_source: Sized,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: RandomSource | None = None,
        *,
        seed: int | None = None,
    ) -> None:
        super().__init__(seed, generator)
        if num_samples is not None:
            _checks.integer("RandomSampler", "num_samples", num_samples, 1)
        self.data_source = data_source
        self.replacement = _checks.strict_flag("RandomSampler", "replacement", replacement)
        self.num_samples = num_samples

    def _check(self) -> None:
        if len(self) and not len(self.data_source):
            raise ValueError(f"RandomSampler: cannot draw {len(self)} samples from an empty data_source")

    def _blocks(self, rng: np.random.Generator) -> Iterator[np.ndarray]:
        available, left = len(self.data_source), len(self)
        while left > 0:
            count = min(left, _BLOCK if self.replacement else available)
            yield rng.integers(available, size=count) if self.replacement else rng.permutation(available)[:count]
            left -= count

    def __len__(self) -> int:
        return len(self.data_source) if self.num_samples is None else self.num_samples


class SubsetRandomSampler(_Seeded):
    """The given indices in a new random order per epoch.

    Args:
        indices: The indices to draw.
        generator: A ``lucid.Generator``, a NumPy generator or an int that seeds the order, as in PyTorch.
        seed: An int, instead of ``generator``.

    Example:
        >>> sampler = data.SubsetRandomSampler([2, 4, 6], seed=0)
        >>> sorted(sampler)
        [2, 4, 6]
    """

    def __init__(
        self,
        indices: Sequence[int],
        generator: RandomSource | None = None,
        *,
        seed: int | None = None,
    ) -> None:
        super().__init__(seed, generator)
        self.indices = indices

    def _blocks(self, rng: np.random.Generator) -> Iterator[np.ndarray]:
        yield rng.permutation(np.asarray(self.indices, dtype=np.intp))

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(_Seeded):
    """``num_samples`` draws, index i with a probability proportional to ``weights[i]``.

    Args:
        weights: Weights of the indices, at least 0. They need not sum to 1.
        num_samples: Number of draws.
        replacement: Draw with replacement.
        generator: A ``lucid.Generator``, a NumPy generator or an int that seeds the order, as in PyTorch.
        seed: An int, instead of ``generator``.

    Raises:
        ValueError: weights are negative, not finite or all zero, ``num_samples`` is not positive, or without
            replacement it exceeds the number of positive weights.

    Example:
        >>> sampler = data.WeightedRandomSampler([0.0, 1.0, 0.0], num_samples=4, seed=0)
        >>> list(sampler)
        [1, 1, 1, 1]
    """

    def __init__(
        self,
        weights: Sequence[float],
        num_samples: int,
        replacement: bool = True,
        generator: RandomSource | None = None,
        *,
        seed: int | None = None,
    ) -> None:
        super().__init__(seed, generator)
        self.weights = np.asarray(weights, dtype=np.float64)
        if self.weights.ndim != 1 or not np.isfinite(self.weights).all() or (self.weights < 0).any():
            raise ValueError("WeightedRandomSampler: weights must be a vector of finite, non-negative numbers")
        if not self.weights.any():
            raise ValueError("WeightedRandomSampler: at least one weight must be positive")
        _checks.integer("WeightedRandomSampler", "num_samples", num_samples, 1)
        drawable = np.count_nonzero(self.weights)
        if not replacement and num_samples > drawable:
            raise ValueError(
                f"WeightedRandomSampler: without replacement num_samples must be at most {drawable} "
                f"(the number of positive weights), got {num_samples}"
            )
        self.num_samples = num_samples
        self.replacement = _checks.strict_flag("WeightedRandomSampler", "replacement", replacement)

    def _blocks(self, rng: np.random.Generator) -> Iterator[np.ndarray]:
        p = self.weights / self.weights.sum()
        yield rng.choice(len(p), size=self.num_samples, replace=self.replacement, p=p)

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler[list[int]]):
    """Lists of ``batch_size`` indices from another sampler. The last one may be shorter; ``drop_last`` drops it.

    Args:
        sampler: Yields the indices.
        batch_size: Indices per batch.
        drop_last: Drop the last batch if it is smaller.

    Raises:
        ValueError: ``batch_size`` is below 1.

    Example:
        >>> list(data.BatchSampler(range(5), batch_size=2, drop_last=False))
        [[0, 1], [2, 3], [4]]
    """

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool) -> None:
        self.sampler = sampler
        self.batch_size = _checks.integer("BatchSampler", "batch_size", batch_size, 1)
        self.drop_last = _checks.strict_flag("BatchSampler", "drop_last", drop_last)

    def set_epoch(self, epoch: int) -> None:
        """Pass the epoch to the sampler, if it depends on one."""
        set_epoch(self.sampler, epoch)

    def __iter__(self) -> Iterator[list[int]]:
        batch: list[int] = []
        for index in self.sampler:
            batch.append(index)
            if len(batch) == self.batch_size:
                yield batch
                batch = []
        if batch and not self.drop_last:
            yield batch

    def __len__(self) -> int:
        count = len(self.sampler)  # type: ignore[arg-type]
        return count // self.batch_size if self.drop_last else -(-count // self.batch_size)


def set_epoch(sampler: Any, epoch: int) -> None:
    """Call ``sampler.set_epoch(epoch)`` if the sampler has it."""
    if callable(getattr(sampler, "set_epoch", None)):
        sampler.set_epoch(epoch)
