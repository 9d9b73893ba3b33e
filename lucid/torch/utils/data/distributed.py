"""``torch.utils.data.distributed``: the sampler that gives every process the same number of samples."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from lucid import distributed
from lucid.data import RandomSampler, Sampler, SequentialSampler


class DistributedSampler(Sampler[int]):
    """This process's share of the indices of ``dataset``, as long as those of all others.

    Samples are repeated at the end, or dropped with ``drop_last``, until the number of samples is a multiple of the
    number of processes. ``lucid.distributed.DistributedSampler`` gives each sample once instead.

    Args:
        dataset: Anything with a length.
        num_replicas: The number of processes, by default that of the group.
        rank: The number of this process.
        shuffle: Whether the order is random, and another one after ``set_epoch``.
        seed: Of the order; the same in all processes.
        drop_last: Whether to drop samples instead of repeating them.

    Raises:
        ValueError: ``rank`` is not below ``num_replicas``.
    """

    def __init__(
        self, dataset: Any, num_replicas: int | None = None, rank: int | None = None, shuffle: bool = True,
        seed: int = 0, drop_last: bool = False,
    ) -> None:  # fmt: skip
        self.dataset = dataset
        self.num_replicas = distributed.get_world_size() if num_replicas is None else num_replicas
        self.rank = distributed.get_rank() if rank is None else rank
        if not 0 <= self.rank < self.num_replicas:
            raise ValueError(f"DistributedSampler: rank must be from 0 to {self.num_replicas - 1}, got {self.rank}")
        self.epoch, self.shuffle, self.seed, self.drop_last = 0, shuffle, seed, drop_last
        rounded = math.floor if drop_last and len(dataset) >= self.num_replicas else math.ceil
        self.num_samples = rounded(len(dataset) / self.num_replicas)
        self.total_size = self.num_samples * self.num_replicas
        self._order: Any = RandomSampler(dataset, seed=seed) if shuffle else SequentialSampler(dataset)

    def __iter__(self) -> Iterator[int]:
        if self.shuffle:
            self._order.set_epoch(self.epoch)
        order = list(self._order)
        order *= math.ceil(self.total_size / len(order)) if order else 1
        return iter(order[self.rank : self.total_size : self.num_replicas])

    def __len__(self) -> int:
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """Draw the order of ``epoch`` from here on. To be called before each epoch, or all have the same order."""
        self.epoch = epoch
