"""DataLoader: order, position, threads, errors. The number of threads must not change any result."""

import gc
import inspect
import itertools
import json
import sys
import threading
import time

import mlx.core as mx
import numpy as np
import pytest

import lucid
from lucid.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    Digits,
    IterableDataset,
    RandomSampler,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    get_worker_info,
    transforms,
)
from lucid.data.workers import THREAD_NAME
from tests.data.threads import no_thread_is_left, worker_threads  # noqa: F401 (a fixture for every test)

WORKERS = pytest.mark.parametrize("num_workers", [0, 3])


class Range(Dataset):
    """0, 1, 2, ...; records the threads that read it."""

    def __init__(self, count):
        self.count = count
        self.readers = set()

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        self.readers.add(threading.current_thread().name)
        if not 0 <= index < self.count:
            raise IndexError(index)
        return index


class Stream(IterableDataset):
    def __init__(self, count):
        self.count = count
        self.opened = 0

    def __iter__(self):
        self.opened += 1
        yield from range(self.count)


def lists(loader):
    return [batch.tolist() for batch in loader]


def flat(batches):
    return list(itertools.chain.from_iterable(batches))


def collect(loader, into):
    """``lists`` that keeps the batches before an error."""
    for batch in loader:
        into.append(batch.tolist())


# Batches --------------------------------------------------------------------------------------------------------------


@WORKERS
@pytest.mark.parametrize(
    ("count", "batch_size", "drop_last", "expected"),
    [
        (7, 3, False, [[0, 1, 2], [3, 4, 5], [6]]),
        (7, 3, True, [[0, 1, 2], [3, 4, 5]]),
        (6, 3, True, [[0, 1, 2], [3, 4, 5]]),
        (2, 3, False, [[0, 1]]),
        (2, 3, True, []),
        (0, 3, False, []),
        (3, 1, False, [[0], [1], [2]]),
    ],
)
def test_batches_in_order(num_workers, count, batch_size, drop_last, expected):
    loader = DataLoader(Range(count), batch_size, drop_last=drop_last, num_workers=num_workers)
    assert lists(loader) == expected == lists(loader) and len(loader) == len(expected)


@WORKERS
def test_batches_are_tensors_of_the_fields(num_workers):
    samples = [{"image": np.full((2, 3), i, np.uint8), "name": str(i), "pair": (i, i / 2)} for i in range(5)]
    first = next(iter(DataLoader(samples, batch_size=2, num_workers=num_workers)))
    assert isinstance(first["image"], lucid.Tensor) and first["image"].dtype == lucid.uint8
    assert first["image"].shape == (2, 2, 3) and first["name"] == ["0", "1"]
    assert first["pair"][0].dtype == lucid.int64 and first["pair"][1].tolist() == [0, 0.5]


@WORKERS
def test_without_a_batch_size_single_samples_are_yielded(num_workers):
    loader = DataLoader(TensorDataset(np.arange(6.0).reshape(3, 2)), batch_size=None, num_workers=num_workers)
    assert [sample[0].tolist() for sample in loader] == [[0, 1], [2, 3], [4, 5]] and len(loader) == 3


def test_datasets_of_arrays_and_tensors():
    rows = np.arange(12).reshape(6, 2)
    assert lists(DataLoader(rows, batch_size=4)) == [rows[:4].tolist(), rows[4:].tolist()]
    images, labels = next(iter(DataLoader(TensorDataset(lucid.tensor(rows), lucid.arange(6)), batch_size=6)))
    assert images.tolist() == rows.tolist() and labels.tolist() == list(range(6))


def test_collate_fn_gets_the_list_of_samples():
    loader = DataLoader(Range(5), batch_size=2, collate_fn=lambda samples: {"sum": np.array(sum(samples))})
    assert [batch["sum"].item() for batch in loader] == [1, 5, 4]
    alone = DataLoader(Range(2), batch_size=None, collate_fn=lambda sample: f"sample {sample}")
    assert list(alone) == ["sample 0", "sample 1"]


# Order ----------------------------------------------------------------------------------------------------------------


@WORKERS
def test_the_order_of_an_epoch_comes_from_the_seed(num_workers):
    def passes(seed):
        loader = DataLoader(Range(23), 4, shuffle=True, seed=seed, num_workers=num_workers)
        return [lists(loader) for _ in range(3)]

    first = passes(5)
    assert first == passes(5) and first[0] != first[1] != first[2] and first[0] != passes(6)[0]
    for one in first:
        assert sorted(flat(one)) == list(range(23)) and [len(batch) for batch in one] == [4] * 5 + [3]
    loader = DataLoader(Range(23), 4, shuffle=True, generator=5, num_workers=num_workers)
    loader.set_epoch(2)
    assert lists(loader) == first[2]
    assert lists(loader) != first[2]  # epoch 3


def test_without_a_seed_every_loader_has_its_own_order():
    loader = DataLoader(Range(100), 100, shuffle=True)
    assert lists(loader) != lists(DataLoader(Range(100), 100, shuffle=True))
    again = DataLoader(Range(100), 100, shuffle=True, seed=loader.seed)
    loader.set_epoch(0)
    assert lists(loader) == lists(again)


@WORKERS
def test_custom_samplers(num_workers):
    assert lists(DataLoader(Range(9), 2, sampler=[8, 0, 4], num_workers=num_workers)) == [[8, 0], [4]]
    batches = DataLoader(Range(9), batch_sampler=[[1], [2, 3, 5]], num_workers=num_workers)
    assert lists(batches) == [[1], [2, 3, 5]] and len(batches) == 2
    drawn = lists(DataLoader(Range(9), 4, sampler=WeightedRandomSampler([0, 1] + [0] * 7, 6, seed=0)))
    assert drawn == [[1] * 4, [1] * 2]


def test_results_do_not_depend_on_threads():
    class RandomShift(transforms.Transform):
        def apply(self, images, rng):
            return np.stack([np.roll(image, rng.integers(-2, 3, 2), (1, 2)) for image in images])

    def epochs(num_workers, prefetch_factor=None):
        loader = DataLoader(
            Digits(train=False),
            batch_size=17,
            shuffle=True,
            seed=3,
            num_workers=num_workers,
            prefetch_factor=prefetch_factor,
            batch_transform=RandomShift(),
        )
        return [(images.numpy().tobytes(), labels.tolist()) for _ in range(2) for images, labels in loader]

    expected = epochs(0)
    assert len(expected) == 42 and len({images for images, _ in expected}) == 42
    assert epochs(1) == expected and epochs(3) == expected and epochs(3, 1) == expected and epochs(2, 50) == expected


def test_the_generator_of_a_transform_depends_on_seed_epoch_and_batch_only():
    def draws(seed):
        return DataLoader(Range(4), 2, seed=seed, batch_transform=lambda batch, rng: batch * 0 + rng.integers(2**40))

    loader = draws(1)
    first = [lists(loader) for _ in range(2)]
    again = draws(1)
    again.set_epoch(1)
    assert lists(again) == first[1]
    assert len({value for one in [*first, lists(draws(2))] for value, _ in one}) == 6


# Threads --------------------------------------------------------------------------------------------------------------


def test_samples_are_read_in_the_background_and_tensors_made_by_the_consumer(monkeypatch):
    makers = set()

    def noted(batch):
        assert isinstance(batch, np.ndarray)  # the result of the threads
        makers.add(threading.current_thread())
        return lucid.tensor(batch)

    monkeypatch.setattr("lucid.data.loader.to_tensors", noted)
    dataset = Range(40)
    loader = DataLoader(dataset, 2, num_workers=2, batch_transform=lambda batch, rng: mx.array(batch) + 1)
    assert flat(lists(loader)) == list(range(1, 41))
    assert makers == {threading.current_thread()}
    assert dataset.readers and all(name.startswith(THREAD_NAME) for name in dataset.readers)
    serial = Range(4)
    list(DataLoader(serial))
    assert serial.readers == {threading.current_thread().name}


def test_loading_continues_while_the_consumer_works():
    read = []
    noted = type("Noted", (Range,), {"__getitem__": lambda self, index: read.append(index) or index})
    batches = iter(DataLoader(noted(100), 1, num_workers=2, prefetch_factor=3))
    next(batches)
    end = time.monotonic() + 60
    while len(read) < 7 and time.monotonic() < end:
        time.sleep(0.001)
    assert sorted(read) == list(range(7))  # the one yielded, and 2 workers x 3 ahead
    batches.close()


def test_loading_starts_before_the_first_batch_is_requested():
    noted = threading.Event()
    dataset = type("Noted", (Range,), {"__getitem__": lambda self, index: noted.set() or index})(10)
    loader = DataLoader(dataset, 2, num_workers=1)
    list(loader)
    noted.clear()
    before = loader.state_dict()
    batches = iter(loader)
    assert noted.wait(30)  # the next epoch is being read
    assert loader.state_dict() == before  # and no batch was yielded
    batches.close()


@WORKERS
def test_break_and_garbage_leave_no_thread_and_the_loader_usable(num_workers):
    loader = DataLoader(Range(100), 2, num_workers=num_workers)
    for _ in loader:
        break
    assert worker_threads() == []
    holder = [iter(loader)]
    holder.append(holder)
    next(holder[0])
    assert len(worker_threads()) == num_workers
    del holder
    gc.collect()
    assert worker_threads() == []
    assert len(lists(loader)) == 50


@WORKERS
def test_an_exception_in_the_loop_leaves_no_thread(num_workers):
    def train():
        for batch in DataLoader(Range(100), 2, num_workers=num_workers):
            raise ArithmeticError(batch.tolist())

    with pytest.raises(ArithmeticError, match=r"\[0, 1\]"):
        train()
    gc.collect()
    assert worker_threads() == []


def test_two_iterators_at_once_are_independent():
    loader = DataLoader(Range(20), 2, shuffle=True, seed=0, num_workers=2)
    expected = [lists(loader), lists(loader)]
    loader.set_epoch(0)
    pairs = [(one.tolist(), other.tolist()) for one, other in zip(loader, loader, strict=True)]
    assert [[one for one, _ in pairs], [other for _, other in pairs]] == expected


# Errors of the user's code --------------------------------------------------------------------------------------------


@WORKERS
@pytest.mark.parametrize("source", ["dataset", "collate", "transform"])
def test_an_error_names_the_batch_and_is_raised_in_its_place(num_workers, source):
    def fail(samples, rng=None):
        values = np.asarray(samples)
        if 7 in values:
            raise LookupError("sample 7 is broken")
        return values

    class Broken(Range):
        def __getitem__(self, index):
            return int(fail([index])[0])

    loader = DataLoader(
        Broken(12) if source == "dataset" else Range(12),
        batch_size=2,
        num_workers=num_workers,
        collate_fn=fail if source == "collate" else None,
        batch_transform=fail if source == "transform" else None,
    )
    loader.set_epoch(4)
    got = []
    with pytest.raises(LookupError, match="sample 7 is broken") as caught:
        collect(loader, got)
    assert got == [[0, 1], [2, 3], [4, 5]]
    if sys.version_info >= (3, 11):
        assert caught.value.__notes__ == ["DataLoader: raised while loading batch 3 of epoch 4"]
    assert "fail" in [entry.name for entry in caught.traceback]


@WORKERS
def test_an_error_of_the_sampler_is_raised(num_workers):
    def indices():
        yield 0
        yield 1
        raise RuntimeError("the sampler broke")

    class Sampler:
        def __iter__(self):
            return indices()

        def __len__(self):
            return 5

    got = []
    with pytest.raises(RuntimeError, match="the sampler broke"):
        collect(DataLoader(Range(5), 1, sampler=Sampler(), num_workers=num_workers), got)
    assert got == [[0], [1]]


# Position -------------------------------------------------------------------------------------------------------------


def loader_of(kind, num_workers, seed=None):
    augment = {"batch_transform": lambda batch, rng: batch * 1000 + rng.integers(1000)}
    if kind == "shuffled":
        return DataLoader(Range(23), 4, shuffle=True, seed=seed, num_workers=num_workers, **augment)
    if kind == "dropping":
        return DataLoader(Range(23), 4, shuffle=True, drop_last=True, seed=seed, num_workers=num_workers, **augment)
    if kind == "sampler":
        sampler = SubsetRandomSampler(range(2, 22), seed=seed)
        return DataLoader(Range(23), 4, sampler=sampler, seed=seed, num_workers=num_workers, **augment)
    if kind == "batch sampler":
        batch_sampler = BatchSampler(RandomSampler(range(23), seed=seed), 5, drop_last=False)
        return DataLoader(Range(23), batch_sampler=batch_sampler, seed=seed, num_workers=num_workers, **augment)
    if kind == "samples":
        return DataLoader(Range(6), None, shuffle=True, seed=seed, num_workers=num_workers)
    return DataLoader(Stream(23), 4, num_workers=num_workers, seed=seed, **augment)


@pytest.mark.parametrize("kind", ["shuffled", "dropping", "sampler", "batch sampler", "samples", "stream"])
@pytest.mark.parametrize("num_workers", [0, 3])
def test_a_position_resumes_with_exactly_the_batches_not_yielded(kind, num_workers):
    def values(loader):
        return [batch if isinstance(batch, int) else batch.tolist() for batch in loader]

    original = loader_of(kind, num_workers, seed=8)
    epochs = [values(original) for _ in range(3)]
    length = len(epochs[0])
    for epoch in range(2):
        for handed_over in (0, 1, 3, length - 1, length):
            running = loader_of(kind, num_workers, seed=8)
            running.set_epoch(epoch)
            batches = iter(running)
            for _ in range(handed_over):
                next(batches)
            state = json.loads(json.dumps(running.state_dict()))
            batches.close()
            assert running.state_dict() == state  # a break does not move the position
            # Another seed and number of workers: the position holds all that matters.
            resumed = loader_of(kind, 3 - num_workers, seed=999)
            resumed.load_state_dict(state)
            assert resumed.state_dict() == state
            assert values(resumed) == epochs[epoch][handed_over:]
            assert values(resumed) == epochs[epoch + 1]


def test_after_a_complete_epoch_the_position_is_the_next_one():
    loader = DataLoader(Range(5), 2, shuffle=True, seed=1)
    assert loader.state_dict() == {
        "seed": 1,
        "sampler_seed": 1,
        "epoch": 0,
        "batch": 0,
        "batch_size": 2,
        "num_samples": 5,
        "num_replicas": 1,
    }
    list(loader)
    assert (loader.state_dict()["epoch"], loader.state_dict()["batch"]) == (1, 0)
    next(iter(loader))
    assert (loader.state_dict()["epoch"], loader.state_dict()["batch"]) == (1, 1)


@WORKERS
def test_skipped_batches_are_not_read(num_workers):
    loader = DataLoader(Range(20), 2, num_workers=num_workers)
    loader.load_state_dict({**loader.state_dict(), "batch": 8})
    read = []
    loader.dataset.__class__ = type("Noted", (Range,), {"__getitem__": lambda self, index: read.append(index) or index})
    assert lists(loader) == [[16, 17], [18, 19]] and sorted(read) == [16, 17, 18, 19]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"batch_size": 3}, ValueError, "saved with batch_size 3, but this loader has 2"),
        ({"num_samples": 9}, ValueError, "saved with num_samples 9, but this loader has 5"),
        ({"epoch": -1}, ValueError, "epoch must be at least 0, got -1"),
        ({"batch": 1.5}, TypeError, "batch must be an integer, got 1.5"),
        ({"seed": -2}, ValueError, "seed must be at least 0, got -2"),
        ({"epoch": None}, TypeError, "epoch must be an integer"),
    ],
)
def test_a_position_that_does_not_match_raises_and_changes_nothing(change, error, message):
    loader = DataLoader(Range(5), 2, shuffle=True, seed=1)
    before = loader.state_dict()
    with pytest.raises(error, match=f"DataLoader.load_state_dict.*{message}"):
        loader.load_state_dict({**before, "seed": 7, "sampler_seed": 7, **change})
    assert loader.state_dict() == before and loader.sampler.seed == 1
    with pytest.raises(ValueError, match=r"missing keys \['batch', 'epoch'\]"):
        loader.load_state_dict({key: value for key, value in before.items() if key not in ("epoch", "batch")})


# Streams --------------------------------------------------------------------------------------------------------------


@WORKERS
def test_streams_are_read_once_per_epoch_in_one_thread(num_workers):
    stream = Stream(7)
    loader = DataLoader(stream, 3, num_workers=num_workers)
    assert lists(loader) == [[0, 1, 2], [3, 4, 5], [6]] == lists(loader)
    assert stream.opened == 2
    assert lists(DataLoader(Stream(7), 3, drop_last=True, num_workers=num_workers)) == [[0, 1, 2], [3, 4, 5]]
    assert lists(DataLoader(Stream(0), 3, num_workers=num_workers)) == []
    assert list(DataLoader(Stream(3), None, num_workers=num_workers)) == [0, 1, 2]
    doubled = DataLoader(Stream(3), 2, collate_fn=lambda samples: np.array(samples) * 2, num_workers=num_workers)
    assert lists(doubled) == [[0, 2], [4]]


def test_a_stream_with_a_length_gives_the_loader_a_length():
    class Known(Stream):
        def __len__(self):
            return self.count

    assert [
        len(DataLoader(Known(7), size, drop_last=drop)) for size, drop in ((3, False), (3, True), (None, False))
    ] == [
        3,
        2,
        7,
    ]
    with pytest.raises(TypeError, match="len"):
        len(DataLoader(Stream(7), 3))


@WORKERS
def test_an_endless_stream_can_be_stopped(num_workers):
    class Endless(IterableDataset):
        def __iter__(self):
            yield from iter(int, 1)

    for number, batch in enumerate(DataLoader(Endless(), 4, num_workers=num_workers)):
        assert batch.tolist() == [0] * 4
        if number == 5:
            break


@WORKERS
def test_an_error_in_a_stream_names_the_batch(num_workers):
    class Broken(IterableDataset):
        def __iter__(self):
            yield from range(5)
            raise OSError("the disk is gone")

    batches = iter(DataLoader(Broken(), 2, num_workers=num_workers))
    assert [next(batches).tolist(), next(batches).tolist()] == [[0, 1], [2, 3]]
    with pytest.raises(OSError, match="the disk is gone") as caught:
        next(batches)
    if sys.version_info >= (3, 11):
        assert caught.value.__notes__ == ["DataLoader: raised while loading batch 2 of epoch 0"]


# Options --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"batch_size": 0}, ValueError, "batch_size must be at least 1, got 0"),
        ({"batch_size": 2.0}, TypeError, "batch_size must be an integer, got 2.0"),
        ({"num_workers": -1}, ValueError, "num_workers must be at least 0, got -1"),
        ({"prefetch_factor": 2}, ValueError, "prefetch_factor 2 requires num_workers of at least 1"),
        ({"num_workers": 1, "prefetch_factor": 0}, ValueError, "prefetch_factor must be at least 1, got 0"),
        ({"shuffle": True, "sampler": [0]}, ValueError, "shuffle and sampler are mutually exclusive"),
        ({"batch_sampler": [[0]], "batch_size": 2}, ValueError, "batch_sampler is mutually exclusive with batch_size"),
        (
            {"batch_sampler": [[0]], "drop_last": True},
            ValueError,
            "batch_sampler is mutually exclusive with batch_size",
        ),
        ({"batch_size": None, "drop_last": True}, ValueError, "drop_last requires a batch_size"),
        ({"seed": 1, "generator": 1}, ValueError, "seed and generator are mutually exclusive"),
        ({"seed": "a"}, TypeError, "seed must be an integer, got 'a'"),
    ],
)
def test_invalid_options_raise(options, error, message):
    with pytest.raises(error, match=f"^DataLoader: .*{message}"):
        DataLoader(Range(4), **options)


@pytest.mark.parametrize("options", [{"shuffle": True}, {"sampler": [0]}, {"batch_sampler": [[0]]}])
def test_streams_with_an_order_raise(options):
    with pytest.raises(ValueError, match="an IterableDataset decides its own order"):
        DataLoader(Stream(3), **options)


def test_other_options_of_pytorch_are_accepted():
    assert lists(DataLoader(Range(2), pin_memory=True, num_workers=1, persistent_workers=True)) == [[0], [1]]


def test_the_repr_shows_the_dataset_and_the_options():
    images = TensorDataset(np.zeros((10, 2)))
    loader = DataLoader(images, 4, shuffle=True, num_workers=2)
    assert repr(loader) == (
        "DataLoader(TensorDataset(10 samples): 3 batches, batch_size=4, sampler=RandomSampler, num_workers=2)"
    )
    text = repr(DataLoader(list(range(1000)), 4, drop_last=True))
    assert text.startswith("DataLoader(list of 1,000: 250 batches, batch_size=4, drop_last=True, sampler=Sequential")

    class Stream(IterableDataset):
        def __iter__(self):
            yield 1.0

    assert repr(DataLoader(Stream(), 4)) == "DataLoader(Stream(): batch_size=4, num_workers=0)"


class Noise(Dataset):
    """Random tensors, as PyTorch's users draw them in ``__getitem__``."""

    def __len__(self):
        return 12

    def __getitem__(self, index):
        return lucid.randn(2) + index


def test_random_tensors_of_a_dataset_come_from_the_seed():
    def epochs(num_workers, seed):
        loader = DataLoader(Noise(), 3, num_workers=num_workers, seed=seed)
        return [[batch.tolist() for batch in loader] for _ in range(2)]

    lucid.manual_seed(0)
    before = lucid.random.get_state().tolist()
    one, other, different = epochs(1, 8), epochs(3, 8), epochs(3, 9)
    assert one == other
    assert one[0] != one[1]
    assert one != different
    assert lucid.random.get_state().tolist() == before


def test_random_tensors_without_workers_come_from_the_calling_thread():
    def batches():
        lucid.manual_seed(0)
        return [batch.tolist() for batch in DataLoader(Noise(), 3)]

    assert batches() == batches()


# PyTorch's arguments -----------------------------------------------------------------------------------------------


def test_positions_are_pytorchs():
    dataset = TensorDataset(np.arange(6))
    names = ["dataset", "batch_size", "shuffle", "sampler", "batch_sampler", "num_workers", "collate_fn", "pin_memory"]
    names += ["drop_last", "timeout", "worker_init_fn", "multiprocessing_context", "generator"]
    parameters = inspect.signature(DataLoader).parameters
    assert list(parameters)[: len(names)] == names and parameters["shuffle"].default is None
    loader = DataLoader(dataset, 4, None, [5, 4, 3, 2, 1], None, 1, list, True, True, 60, None, "spawn", 7)
    assert [[int(one[0]) for one in batch] for batch in loader] == [[5, 4, 3, 2]] and loader.seed == 7
    attributes = (loader.pin_memory, loader.timeout, loader.worker_init_fn, loader.multiprocessing_context)
    assert attributes == (True, 60, None, "spawn") and loader.in_order


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"timeout": -1}, ValueError, "timeout must be at least 0, got -1"),
        ({"timeout": "a"}, TypeError, "timeout must be a number"),
        ({"worker_init_fn": 3}, TypeError, "worker_init_fn must be a function, got 3"),
        ({"collate_fn": 3}, TypeError, "collate_fn must be a function, got 3"),
        ({"persistent_workers": True}, ValueError, "persistent_workers requires num_workers of at least 1, got 0"),
        ({"multiprocessing_context": "fork"}, ValueError, "multiprocessing_context requires num_workers"),
        (
            {"multiprocessing_context": "x", "num_workers": 1},
            ValueError,
            "multiprocessing_context must be a context or one of",
        ),
    ],
)
def test_wrong_options_of_workers_are_refused(options, error, message):
    with pytest.raises(error, match=f"DataLoader: {message}"):
        DataLoader(TensorDataset(np.arange(4)), **options)


class Located(Dataset):
    """Says in which background thread a sample was read."""

    def __getitem__(self, index):
        info = get_worker_info()
        return -1 if info is None else info.id + 10 * info.num_workers

    def __len__(self):
        return 8


def test_workers_know_who_they_are():
    assert {batch.item() for batch in DataLoader(Located())} == {-1}
    started = []
    loader = DataLoader(Located(), num_workers=2, worker_init_fn=started.append, multiprocessing_context="fork")
    assert {batch.item() for batch in loader} <= {20, 21}
    assert sorted(started) == [0, 1] and get_worker_info() is None


def test_an_error_in_worker_init_fn_is_raised():
    def init(number):
        raise ValueError(f"worker {number} fails")

    with pytest.raises(ValueError, match=r"worker \d fails"):
        list(DataLoader(Located(), num_workers=2, worker_init_fn=init))


def test_a_batch_that_takes_too_long_raises():
    release = threading.Event()

    class Stuck(Located):
        def __getitem__(self, index):
            release.wait()
            return index

    batches = iter(DataLoader(Stuck(), num_workers=1, timeout=0.05))
    threading.Timer(0.2, release.set).start()  # closing the loader waits for its thread
    with pytest.raises(RuntimeError, match=r"^DataLoader: timed out after 0.05 seconds$"):
        next(batches)
    assert len(list(DataLoader(Stuck(), num_workers=1, timeout=60))) == 8
