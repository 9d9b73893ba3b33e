"""``DataLoader``: batches of tensors from a dataset.

How a batch is made: the sampler draws indices in the consumer's thread; a job fetches the samples, collates them and
applies ``batch_transform``, all in NumPy, in a background thread if ``num_workers`` is not 0; the consumer's thread
converts the arrays to tensors. No random state is carried from batch to batch: the order is derived from (seed, epoch),
and the generator of the transform and the random state of a background thread from (seed, epoch, batch), with the
batches of all processes counted together. A position is therefore three numbers, and resuming at batch b means drawing
the same order and skipping b lists of indices without reading a sample.
"""

import contextlib
import itertools
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar, overload

import numpy as np

from lucid import _checks, random
from lucid._tensor import Tensor
from lucid.data.collate import collate_arrays, to_numpy, to_tensors
from lucid.data.dataset import Dataset, IterableDataset, fetch_batch, fetch_samples
from lucid.data.sampler import BatchSampler, RandomSampler, SequentialSampler, set_epoch
from lucid.data.seeds import SAMPLES, TRANSFORM, RandomSource, as_seed, derived_generator, resolve_seed
from lucid.data.transforms import HostTransform
from lucid.data.worker_info import begin_worker, check_workers
from lucid.data.workers import run_ahead

_END = object()
Batch = TypeVar("Batch", covariant=True)
_Fields = tuple[np.ndarray | Tensor | float, ...]


@dataclass
class _Position:
    epoch: int
    batch: int = 0  # batches already yielded
    finished: bool = False


class DataLoader(Generic[Batch]):
    """Iterate over batches of ``dataset`` as tensors.

    For type checkers, ``DataLoader[X]`` yields ``X``: ``list[Tensor]`` for datasets of tuples of arrays and numbers,
    otherwise what the annotation of a variable says, as in ``loader: DataLoader[dict[str, Tensor]] = ...``.

    Every ``iter(loader)`` starts the next epoch, and its threads start immediately. With ``shuffle`` the order of epoch
    k depends only on the seed and k; without a seed, a random one is drawn and kept in ``loader.seed``.

    Datasets and functions passed here run in background threads, and are fastest in NumPy: Lucid's operations of all
    threads are evaluated one after another. Random tensors that they draw there depend only on the seed, the epoch and
    the batch number. Without background threads, they advance the random state of the calling thread.

    Args:
        dataset: anything with ``__getitem__`` and ``__len__``, or an ``IterableDataset``. NumPy arrays and datasets
            with ``get_batch`` (``TensorDataset``, ``CIFAR10``, ``Digits``, their subsets) are indexed by whole batches.
        batch_size: samples per batch. None yields single samples.
        shuffle: draw a new random order in each epoch.
        sampler: yields the indices of the samples. Its ``set_epoch``, if any, is called before each epoch.
        batch_sampler: yields lists of indices, one per batch.
        num_workers: background threads. They help where loading waits or runs outside of Python (NumPy, image decoding,
            disks). 0 loads in the calling thread. An ``IterableDataset`` is read by one thread.
        collate_fn: turns a list of samples into a batch. ``default_collate`` by default.
        drop_last: drop the last batch if it is smaller.
        generator: a ``lucid.Generator``, a NumPy generator or an int that seeds the loader, as in PyTorch.
        seed: an int, instead of ``generator``.
        batch_transform: a ``HostTransform`` of collated batches, called as ``batch_transform(batch, rng)``. ``rng`` is
            derived from the seed, the epoch and the batch number, and differs between processes.
        prefetch_factor: batches that each thread loads ahead, 2 by default.
        pin_memory, persistent_workers, pin_memory_device, multiprocessing_context: accepted for compatibility with
            PyTorch, without effect: memory is unified, and threads are cheap to start.
        timeout: seconds to wait for a batch of a background thread; 0 waits as long as it takes.
        worker_init_fn: called as ``worker_init_fn(number)`` in each background thread when it starts, in each epoch.
        in_order: accepted for compatibility with PyTorch; batches always come in order.

    Raises:
        ValueError: options contradict each other or are out of range.

    Example:
        >>> dataset = data.TensorDataset(np.arange(10), np.arange(10) % 2)
        >>> loader = data.DataLoader(dataset, batch_size=4, shuffle=True, seed=0)
        >>> for inputs, labels in loader:
        ...     print(inputs.shape, labels.shape)
        ...
        (4,) (4,)
        (4,) (4,)
        (2,) (2,)
    """

    @overload
    def __init__(
        self: "DataLoader[list[Tensor]]", dataset: Dataset[_Fields], batch_size: int = 1, shuffle: bool | None = None,
        sampler: Iterable[Any] | None = None, batch_sampler: Iterable[Sequence[Any]] | None = None,
        num_workers: int = 0, collate_fn: None = None, pin_memory: bool = False, drop_last: bool = False,
        timeout: float = 0, worker_init_fn: Callable[[int], Any] | None = None, multiprocessing_context: Any = None,
        generator: RandomSource | None = None, *, prefetch_factor: int | None = None,
        persistent_workers: bool = False, pin_memory_device: str = "", in_order: bool = True, seed: int | None = None,
        batch_transform: HostTransform | None = None,
    ) -> None: ...  # fmt: skip
    @overload
    def __init__(
        self: "DataLoader[Any]", dataset: Any, batch_size: int | None = 1, shuffle: bool | None = None,
        sampler: Iterable[Any] | None = None, batch_sampler: Iterable[Sequence[Any]] | None = None,
        num_workers: int = 0, collate_fn: Callable[[list[Any]], Any] | None = None, pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0, worker_init_fn: Callable[[int], Any] | None = None, multiprocessing_context: Any = None,
        generator: RandomSource | None = None, *, prefetch_factor: int | None = None,
        persistent_workers: bool = False, pin_memory_device: str = "", in_order: bool = True, seed: int | None = None,
        batch_transform: HostTransform | None = None,
    ) -> None: ...  # fmt: skip
    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Iterable[Any] | None = None,
        batch_sampler: Iterable[Sequence[Any]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], Any] | None = None,
        multiprocessing_context: Any = None,
        generator: RandomSource | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
        seed: int | None = None,
        batch_transform: HostTransform | None = None,
    ) -> None:
        self.dataset = dataset
        self.num_workers = _checks.integer("DataLoader", "num_workers", num_workers, 0)
        if prefetch_factor is not None and not self.num_workers:
            raise ValueError(f"DataLoader: prefetch_factor {prefetch_factor} requires num_workers of at least 1, got 0")
        self.prefetch_factor = _checks.integer(
            "DataLoader", "prefetch_factor", 2 if prefetch_factor is None else prefetch_factor, 1
        )
        self.timeout = _checks.number("DataLoader", "timeout", timeout, 0.0)
        check_workers(self.num_workers, multiprocessing_context, persistent_workers)
        for name, function in (("worker_init_fn", worker_init_fn), ("collate_fn", collate_fn)):
            if function is not None and not callable(function):
                raise TypeError(f"DataLoader: {name} must be a function, got {function!r:.60}")
        self.worker_init_fn = worker_init_fn
        self.multiprocessing_context = multiprocessing_context
        self.pin_memory = bool(pin_memory)
        self.pin_memory_device = pin_memory_device
        self.persistent_workers = bool(persistent_workers)
        self.in_order = bool(in_order)
        self.generator = generator
        self.collate_fn = collate_fn
        self.batch_transform = batch_transform
        self.seed = resolve_seed("DataLoader", seed, generator)
        self._streams = isinstance(dataset, IterableDataset)
        _check_choices(self._streams, batch_size, shuffle, sampler, batch_sampler, drop_last)
        if sampler is None and batch_sampler is None and not self._streams:
            sampler = RandomSampler(dataset, seed=self.seed) if shuffle else SequentialSampler(dataset)
        if batch_sampler is None and batch_size is not None and not self._streams:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)  # type: ignore[arg-type]
        self.batch_size = batch_size if batch_sampler is None else getattr(batch_sampler, "batch_size", None)
        self.drop_last = drop_last
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        self._position = _Position(epoch=0)
        self._at_start = True  # the position is the start of the next epoch, not where the last one stopped

    def __len__(self) -> int:
        """The number of batches in a full epoch."""
        if self._streams:
            samples = len(self.dataset)
            if self.batch_size is None:
                return samples
            return samples // self.batch_size if self.drop_last else -(-samples // self.batch_size)
        return len(self.batch_sampler if self.batch_sampler is not None else self.sampler)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[Batch]:
        if not self._at_start:
            self._position = _Position(self._position.epoch + 1)
        self._at_start = False
        batches = self._run(self._position)
        next(batches)
        return batches

    def set_epoch(self, epoch: int) -> None:
        """Start the next iteration at the first batch of ``epoch``."""
        self._position = _Position(_checks.integer("DataLoader.set_epoch", "epoch", epoch, 0))
        self._at_start = True

    def state_dict(self) -> dict[str, int | None]:
        """The position, from which ``load_state_dict`` resumes with exactly the batches not yet yielded.

        Inside a loop and after a ``break`` it is within the epoch, after a complete epoch at the start of the next.
        """
        position = self._position
        at = (position.epoch + 1, 0) if position.finished else (position.epoch, position.batch)
        return {
            "seed": self.seed,
            "sampler_seed": getattr(self._order(), "seed", None),
            "epoch": at[0],
            "batch": at[1],
            "batch_size": self.batch_size,
            "num_samples": self._num_samples(),
            "num_replicas": self._shard()[1],
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Resume at the position of ``state_dict``: the next ``iter(loader)`` yields the rest of that epoch.

        The seeds are restored too. A custom sampler must yield the same indices again for the same epoch
        (``set_epoch``). An ``IterableDataset`` is read from the start, and the batches already seen are discarded.

        Raises:
            ValueError: a key is missing, or the position is from a loader with a different batch size, number of
                samples or number of processes.
        """
        fixed = {
            "batch_size": self.batch_size,
            "num_samples": self._num_samples(),
            "num_replicas": self._shard()[1],
        }
        missing = {"seed", "sampler_seed", "epoch", "batch", *fixed} - set(state_dict)
        if missing:
            raise ValueError(f"DataLoader.load_state_dict: missing keys {sorted(missing)}")
        for name, own in fixed.items():
            if state_dict[name] != own:
                raise ValueError(
                    f"DataLoader.load_state_dict: the position was saved with {name} {state_dict[name]}, but "
                    f"this loader has {own}"
                )
        where = "DataLoader.load_state_dict"
        epoch, batch = (_checks.integer(where, key, state_dict[key], 0) for key in ("epoch", "batch"))
        seed = as_seed(where, "seed", state_dict["seed"])
        if state_dict["sampler_seed"] is not None:
            self._order().seed = as_seed(where, "sampler_seed", state_dict["sampler_seed"])
        self.seed = seed
        self._position = _Position(epoch, batch)
        self._at_start = True

    def __repr__(self) -> str:
        try:
            count = f"{len(self):,} batches, "
        except TypeError:  # a stream of unknown length
            count = ""
        options: dict[str, Any] = {"batch_size": self.batch_size, "drop_last": self.drop_last or None}
        if not self._streams:
            options["sampler"] = type(self._order() or self.batch_sampler).__name__
        options["num_workers"] = self.num_workers
        shown = ", ".join(f"{name}={value}" for name, value in options.items() if value is not None)
        return f"DataLoader({_short(self.dataset)}: {count}{shown})"

    def _order(self) -> Any:
        """The sampler that decides the order: ``sampler``, or that of ``batch_sampler``."""
        return getattr(self.batch_sampler, "sampler", None) if self.sampler is None else self.sampler

    def _num_samples(self) -> int | None:
        return len(self.dataset) if hasattr(self.dataset, "__len__") else None

    def _shard(self) -> tuple[int, int]:
        """The rank of this process and the number of processes that share the samples."""
        source = self.batch_sampler if self.sampler is None else self.sampler
        return getattr(source, "rank", 0), getattr(source, "num_replicas", 1)

    def _run(self, position: _Position) -> Iterator[Any]:
        """None once the threads have started, then the batches."""
        if self._streams:
            jobs, num_workers = self._stream_jobs(position), min(self.num_workers, 1)
        else:
            jobs, num_workers = self._indexed_jobs(position), self.num_workers
        if num_workers:
            begin = partial(begin_worker, num_workers, self.dataset, self.seed, self.worker_init_fn)
            ahead = self.num_workers * self.prefetch_factor
            batches: Iterator[Any] = run_ahead(jobs, num_workers, ahead, self.timeout or None, begin)
            if self.timeout:
                batches = _with_timeout(batches, self.timeout)
        else:
            batches = (job() for job in jobs)
        with contextlib.closing(batches):  # type: ignore[type-var]
            yield None
            for batch in batches:
                if batch is _END:
                    break
                tensors = to_tensors(batch)
                del batch
                position.batch += 1
                yield tensors
                del tensors
        position.finished = True

    def _indexed_jobs(self, position: _Position) -> Iterator[Callable[[], Any]]:
        source: Any = self.sampler if self.batch_sampler is None else self.batch_sampler
        set_epoch(source, position.epoch)
        first = position.batch
        for number, indices in enumerate(itertools.islice(source, first, None), start=first):
            yield partial(self._load, partial(self._fetch, indices), position.epoch, number)

    def _fetch(self, indices: Any) -> Any:
        if self.batch_sampler is None:
            sample = self.dataset[indices]
            return sample if self.collate_fn is None else self.collate_fn(sample)
        if self.collate_fn is None:
            return fetch_batch(self.dataset, indices)
        return self.collate_fn(fetch_samples(self.dataset, indices))

    def _stream_jobs(self, position: _Position) -> Iterator[Callable[[], Any]]:
        stream = _Stream(self.dataset, self.batch_size, self.drop_last, skip=position.batch)
        for number in itertools.count(position.batch):
            yield partial(self._load, partial(self._read, stream), position.epoch, number)

    def _read(self, stream: "_Stream") -> Any:
        samples = stream.next_samples()
        if samples is _END:
            return _END
        if self.collate_fn is not None:
            return self.collate_fn(samples)
        return samples if self.batch_size is None else collate_arrays(samples)

    def _load(self, fetch: Callable[[], Any], epoch: int, number: int) -> Any:
        """Batch ``number`` of ``epoch`` in NumPy. Runs in a background thread if there are any."""
        rank, replicas = self._shard()
        place = epoch, number * replicas + rank
        try:
            if self.num_workers:
                random.manual_seed(int(derived_generator(self.seed, SAMPLES, *place).integers(2**63)))
            batch = fetch()
            if batch is _END:
                return _END
            if self.batch_transform is not None:
                rng = derived_generator(self.seed, TRANSFORM, *place)
                batch = self.batch_transform(to_numpy(batch), rng)
            return to_numpy(batch)
        except Exception as error:
            if sys.version_info >= (3, 11):
                error.add_note(f"DataLoader: raised while loading batch {number} of epoch {epoch}")
            raise


def _with_timeout(batches: Iterator[Any], timeout: float) -> Iterator[Any]:
    with contextlib.closing(batches):  # type: ignore[type-var]
        try:
            yield from batches
        except TimeoutError:
            raise RuntimeError(f"DataLoader: timed out after {timeout:g} seconds") from None


def _short(dataset: Any) -> str:
    """The repr of a dataset if its class defines one of a line, or else its class and length."""
    if not isinstance(dataset, (np.ndarray, list, tuple)) and type(dataset).__repr__ is not object.__repr__:
        text = repr(dataset)
        if len(text) <= 80 and "\n" not in text:
            return text
    return f"{type(dataset).__name__} of {len(dataset):,}" if hasattr(dataset, "__len__") else type(dataset).__name__


class _Stream:
    """Lists of ``batch_size`` samples of an iterable dataset, which is opened and read in the loading thread."""

    def __init__(self, dataset: Iterable[Any], batch_size: int | None, drop_last: bool, skip: int) -> None:
        self._dataset = dataset
        self._batch_size = batch_size
        self._drop_last = drop_last
        self._skip = skip * (batch_size or 1)
        self._samples: Iterator[Any] | None = None

    def next_samples(self) -> Any:
        if self._samples is None:
            self._samples = itertools.islice(iter(self._dataset), self._skip, None)
        if self._batch_size is None:
            return next(self._samples, _END)
        samples = list(itertools.islice(self._samples, self._batch_size))
        if not samples or (self._drop_last and len(samples) < self._batch_size):
            return _END
        return samples


def _check_choices(
    streams: bool,
    batch_size: int | None,
    shuffle: bool | None,
    sampler: Any,
    batch_sampler: Any,
    drop_last: bool,
) -> None:
    if streams and (shuffle or sampler is not None or batch_sampler is not None):
        raise ValueError(
            "DataLoader: an IterableDataset decides its own order; shuffle, sampler and batch_sampler do not apply"
        )
    if shuffle and sampler is not None:
        raise ValueError("DataLoader: shuffle and sampler are mutually exclusive")
    if batch_sampler is not None and (batch_size != 1 or shuffle or sampler is not None or drop_last):
        raise ValueError(
            "DataLoader: batch_sampler is mutually exclusive with batch_size, shuffle, sampler and drop_last"
        )
    if batch_size is None and drop_last:
        raise ValueError("DataLoader: drop_last requires a batch_size")
    if batch_size is not None:
        _checks.integer("DataLoader", "batch_size", batch_size, 1)
