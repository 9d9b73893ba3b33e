import itertools
import tracemalloc

import numpy as np
import pytest

from lucid.data import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)
from lucid.data.seeds import ORDER, derived_generator


def test_sequential_counts_up():
    assert list(SequentialSampler("abcd")) == [0, 1, 2, 3] and len(SequentialSampler("abcd")) == 4


def test_random_order_depends_on_seed_and_epoch_only():
    sampler = RandomSampler(range(50), seed=3)
    first, second = list(sampler), list(sampler)
    assert sorted(first) == sorted(second) == list(range(50))
    assert first != second
    again = RandomSampler(range(50), seed=3)
    again.set_epoch(1)
    assert list(again) == second
    assert list(RandomSampler(range(50), generator=4)) != first
    assert all(isinstance(index, int) for index in first)


def test_random_sampler_without_a_seed_draws_one():
    assert list(RandomSampler(range(200))) != list(RandomSampler(range(200)))


def test_random_sampler_draws_more_or_fewer_samples():
    assert len(set(RandomSampler(range(10), num_samples=4, seed=0))) == 4
    many = list(RandomSampler(range(10), num_samples=25, seed=0))
    assert len(many) == 25 and sorted(many[:10]) == sorted(many[10:20]) == list(range(10))
    with_replacement = list(RandomSampler(range(10), replacement=True, num_samples=1000, seed=0))
    assert len(with_replacement) == 1000 and set(with_replacement) == set(range(10))


def test_subset_random_sampler_shuffles_its_indices():
    sampler = SubsetRandomSampler([3, 30, 300], seed=1)
    passes = [tuple(sampler) for _ in range(20)]
    assert {tuple(sorted(one)) for one in passes} == {(3, 30, 300)} and len(set(passes)) > 1 and len(sampler) == 3


def test_samples_are_drawn_in_proportion_to_their_weights():
    counts = np.bincount(list(WeightedRandomSampler([1, 0, 3], 4000, seed=0)))
    assert counts[1] == 0 and abs(counts[2] / 4000 - 0.75) < 0.03
    assert sorted(WeightedRandomSampler([1, 0, 3], 2, replacement=False, seed=0)) == [0, 2]


def test_batch_sampler_and_its_last_batch():
    batches = BatchSampler(SequentialSampler(range(7)), 3, drop_last=False)
    assert list(batches) == [[0, 1, 2], [3, 4, 5], [6]] and len(batches) == 3
    whole = BatchSampler(SequentialSampler(range(7)), 3, drop_last=True)
    assert list(whole) == [[0, 1, 2], [3, 4, 5]] and len(whole) == 2


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: RandomSampler(range(3), num_samples=0), ValueError, "num_samples must be at least 1, got 0"),
        (lambda: list(RandomSampler([], num_samples=2)), ValueError, "empty"),
        (lambda: RandomSampler(range(3), generator=1, seed=2), ValueError, "seed and generator are mutually exclusive"),
        (lambda: RandomSampler(range(3), seed=-1), ValueError, "seed must be at least 0, got -1"),
        (lambda: RandomSampler(range(3), seed=1.5), TypeError, "seed must be an integer, got 1.5"),
        (lambda: WeightedRandomSampler([1, -1], 1), ValueError, "negative"),
        (lambda: WeightedRandomSampler([0, 0], 1), ValueError, "at least one weight must be positive"),
        (lambda: WeightedRandomSampler([1, float("nan")], 1), ValueError, "finite"),
        (lambda: WeightedRandomSampler([1, 0], 2, replacement=False), ValueError, "at most 1"),
        (lambda: BatchSampler(range(3), 0, False), ValueError, "batch_size must be at least 1, got 0"),
        (lambda: BatchSampler(range(3), True, False), TypeError, "batch_size"),
        (lambda: iter(Sampler()), NotImplementedError, "__iter__"),
    ],
)
def test_invalid_arguments_raise(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_an_endless_order_with_replacement_is_drawn_as_it_is_read():
    sampler = RandomSampler(range(1000), replacement=True, num_samples=10**10, seed=0)
    assert len(sampler) == 10**10
    tracemalloc.start()
    try:
        some = list(itertools.islice(sampler, 5000))
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()
    assert set(some) <= set(range(1000)) and len(set(some)) > 900
    # The same numbers as drawn at once, as saved positions of earlier versions mean them.
    again = RandomSampler(range(1000), replacement=True, num_samples=5000, seed=0)
    assert list(again) == some == derived_generator(0, ORDER, 0).integers(1000, size=5000).tolist()
    assert len(list(itertools.islice(BatchSampler(sampler, 64, drop_last=True), 3))) == 3


@pytest.mark.parametrize(
    "make",
    [
        lambda: RandomSampler(range(3), replacement=1),
        lambda: WeightedRandomSampler([1.0], 1, replacement=None),
        lambda: BatchSampler(range(3), 2, drop_last="yes"),
    ],
)
def test_flags_must_be_bools(make):
    with pytest.raises(TypeError, match="must be True or False, got"):
        make()


def test_samplers_can_be_subscripted():
    class Own(Sampler[int]):
        def __iter__(self):
            return iter([2, 0])

    assert list(Own()) == [2, 0]
