"""What a dataset can ask about the background thread that it runs in."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lucid.data.seeds import SAMPLES, derived_generator

_START_METHODS = ("fork", "spawn", "forkserver")
_thread = threading.local()


@dataclass(frozen=True)
class WorkerInfo:
    """The background thread of a ``DataLoader``, see ``get_worker_info``."""

    id: int  # from 0
    num_workers: int
    seed: int
    dataset: Any


def get_worker_info() -> WorkerInfo | None:
    """The background thread of a ``DataLoader`` that calls this: ``id``, ``num_workers``, ``seed`` and ``dataset``.

    ``None`` in any other thread. An ``IterableDataset`` is read by one thread, whose ``num_workers`` is 1.

    Example:
        >>> class Stream(data.IterableDataset):
        ...     def __iter__(self):
        ...         info = data.get_worker_info()
        ...         return iter([0 if info is None else info.num_workers])
        ...
        >>> print(*data.DataLoader(Stream(), num_workers=2))
        tensor([1])
    """
    return getattr(_thread, "info", None)


def begin_worker(num_workers: int, dataset: Any, seed: int, init: Callable[[int], Any] | None, number: int) -> None:
    """Prepare background thread ``number``: its information, then the user's function."""
    own_seed = int(derived_generator(seed, SAMPLES, 0, 0, number).integers(2**63))
    _thread.info = WorkerInfo(number, num_workers, own_seed, dataset)
    if init is not None:
        init(number)


def check_workers(num_workers: int, multiprocessing_context: Any, persistent_workers: bool) -> None:
    """Raise for options that need background threads, as PyTorch does, and for contexts that it does not know."""
    if multiprocessing_context is not None:
        if not num_workers:
            raise ValueError("DataLoader: multiprocessing_context requires num_workers of at least 1, got 0")
        is_context = hasattr(multiprocessing_context, "get_start_method")
        if not is_context and multiprocessing_context not in _START_METHODS:
            raise ValueError(
                f"DataLoader: multiprocessing_context must be a context or one of {', '.join(_START_METHODS)}, "
                f"got {multiprocessing_context!r}"
            )
    if persistent_workers and not num_workers:
        raise ValueError("DataLoader: persistent_workers requires num_workers of at least 1, got 0")
