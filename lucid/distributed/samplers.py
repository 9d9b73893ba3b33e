"""Samplers that shard a dataset among ranks: each sample appears once per epoch, on one rank."""

from __future__ import annotations

from collections.abc import Iterator, Sized

import numpy as np

from lucid import _checks
from lucid.data.sampler import RandomSampler, Sampler, SequentialSampler
from lucid.distributed.group import get_rank, get_world_size


class _ShardedSampler(Sampler):
    """The order of a whole epoch, identical on all ranks, and this rank's index."""

    def __init__(self, dataset: Sized, num_replicas: int | None, rank: int | None, shuffle: bool, seed: int) -> None:
        where = type(self).__name__
        self.num_replicas = get_world_size() if num_replicas is None else num_replicas
        _checks.integer(where, "num_replicas", self.num_replicas, 1)
        self.rank = get_rank() if rank is None else _checks.integer(where, "rank", rank, 0)
        if self.rank >= self.num_replicas:
            raise ValueError(f"{where}: rank must be below num_replicas {self.num_replicas}, got {self.rank}")
        _checks.integer(where, "seed", seed, 0)  # None would give each rank another order
        self.dataset = dataset
        self.shuffle = shuffle
        # The same order as a non-distributed loader with this seed.
        self.sampler: Sampler = RandomSampler(dataset, seed=seed) if shuffle else SequentialSampler(dataset)

    @property
    def seed(self) -> int | None:
        """The seed of the order, which must be the same on all ranks."""
        return getattr(self.sampler, "seed", None)

    @seed.setter
    def seed(self, seed: int) -> None:
        if isinstance(self.sampler, RandomSampler):
            self.sampler.seed = seed

    def set_epoch(self, epoch: int) -> None:
        """Make the next pass epoch ``epoch``. A ``DataLoader`` counts epochs itself; use its ``set_epoch`` instead."""
        if isinstance(self.sampler, RandomSampler):
            self.sampler.set_epoch(epoch)


class DistributedSampler(_ShardedSampler):
    """This rank's indices of ``dataset``: every ``num_replicas``-th of an order shared by all ranks.

    PyTorch's sampler repeats samples until all shards have equal length. Here each sample appears once, so shards may
    differ by one sample (``drop_last`` drops the remainder) and ranks by one batch. Use it for evaluation, and
    ``DistributedBatchSampler`` for training.

    Raises:
        ValueError: ``rank`` is not below ``num_replicas``, or the seed is negative.
    """

    def __init__(
        self,
        dataset: Sized,
        num_replicas: int | None = None,
        rank: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        super().__init__(dataset, num_replicas, rank, shuffle, seed)
        self.drop_last = drop_last

    def __iter__(self) -> Iterator[int]:
        order = list(self.sampler)
        shared = len(order) - len(order) % self.num_replicas if self.drop_last else len(order)
        return iter(order[self.rank : shared : self.num_replicas])

    def __len__(self) -> int:
        surplus = 0 if self.drop_last else self.rank < len(self.dataset) % self.num_replicas
        return len(self.dataset) // self.num_replicas + surplus


class DistributedBatchSampler(_ShardedSampler):
    """This rank's batches: the same number on all ranks, with every sample in exactly one batch.

    Use it as ``DataLoader(dataset, batch_sampler=DistributedBatchSampler(dataset, batch_size))``. The k-th batches of
    all ranks together are the k-th batch of a single process with batch size ``batch_size * num_replicas``. The last
    batch is smaller and may differ by one sample between ranks, which ``average_gradients`` weights correctly with
    ``num_samples``. A remainder of fewer samples than ranks is added to the batch before, so that no rank is idle;
    ``drop_last`` drops the remainder.

    Raises:
        ValueError: there are fewer samples than ranks, ``batch_size`` is below 1, ``rank`` is not below
            ``num_replicas``, or the seed is negative.
    """

    def __init__(
        self,
        dataset: Sized,
        batch_size: int,
        num_replicas: int | None = None,
        rank: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        super().__init__(dataset, num_replicas, rank, shuffle, seed)
        self.batch_size = _checks.integer("DistributedBatchSampler", "batch_size", batch_size, 1)
        self.drop_last = drop_last
        wanted = self.batch_size * self.num_replicas if drop_last else self.num_replicas
        if len(dataset) < wanted:
            raise ValueError(
                f"DistributedBatchSampler: {self.num_replicas} ranks need at least {wanted} samples, got {len(dataset)}"
            )

    def __iter__(self) -> Iterator[list[int]]:
        order = np.fromiter(self.sampler, dtype=np.intp, count=len(self.dataset))
        together = self.batch_size * self.num_replicas
        for number in range(len(self)):
            last = number == len(self) - 1 and not self.drop_last
            shared = order[number * together :] if last else order[number * together : (number + 1) * together]
            yield np.array_split(shared, self.num_replicas)[self.rank].tolist()

    def __len__(self) -> int:
        full, rest = divmod(len(self.dataset), self.batch_size * self.num_replicas)
        return full if self.drop_last or (rest < self.num_replicas and full) else full + 1
