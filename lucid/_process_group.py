"""What lower levels use of the process group: ``lucid.distributed``, which forms it, registers its functions here."""

from collections.abc import Callable
from typing import NamedTuple

import mlx.core as mx


class Collectives(NamedTuple):
    """Functions of the current group. ``gather`` returns the arrays of all ranks, stacked; ``total`` their sum."""

    rank: Callable[[], int]
    size: Callable[[], int]
    gather: Callable[[mx.array], mx.array]
    total: Callable[[mx.array], mx.array]


_registered: list[Collectives] = []


def register(collectives: Collectives) -> None:
    """Let the functions below use ``collectives``."""
    _registered[:] = [collectives]


def size() -> int:
    """The number of processes; 1 without a group."""
    return _registered[0].size() if _registered else 1


def rank() -> int:
    """The index of this process, from 0."""
    return _registered[0].rank()


def gather(array: mx.array) -> mx.array:
    """The arrays of all ranks, stacked in the order of the ranks."""
    return _registered[0].gather(array)


def total(array: mx.array) -> mx.array:
    """The sum of the arrays of all ranks."""
    return _registered[0].total(array)
