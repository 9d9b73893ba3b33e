import itertools

import numpy as np
import pytest

from lucid.data import BatchSampler, DataLoader, RandomSampler, TensorDataset
from lucid.distributed import DistributedBatchSampler, DistributedSampler


def joined(lists):
    return list(itertools.chain.from_iterable(lists))


SIZES = [(1, 1), (2, 2), (3, 3), (5, 3), (7, 2), (12, 4), (13, 4), (29, 3), (64, 2), (65, 2), (97, 5)]


@pytest.mark.parametrize(("samples", "ranks"), SIZES)
def test_every_sample_appears_once_on_one_rank(samples, ranks):
    parts = [DistributedSampler(range(samples), ranks, rank, seed=4) for rank in range(ranks)]
    for _ in range(2):
        indices = [list(part) for part in parts]
        assert sorted(joined(indices)) == list(range(samples))
        assert [len(one) for one in indices] == [len(part) for part in parts]
        assert max(map(len, indices)) - min(map(len, indices)) <= 1
        assert all(isinstance(index, int) for one in indices for index in one)


def test_drop_last_drops_the_remainder():
    parts = [DistributedSampler(range(11), 3, rank, drop_last=True) for rank in range(3)]
    indices = [list(part) for part in parts]
    assert [len(one) for one in indices] == [len(part) for part in parts] == [3, 3, 3]
    assert len(set(joined(indices))) == 9


def test_orders_match_a_single_process_and_change_every_epoch():
    alone = RandomSampler(range(20), seed=6)
    parts = [DistributedSampler(range(20), 2, rank, seed=6) for rank in range(2)]
    first, second = list(alone), list(alone)
    assert [list(part) for part in parts] == [first[0::2], first[1::2]]
    parts[0].set_epoch(1)
    assert list(parts[0]) == second[0::2] != first[0::2]
    assert list(DistributedSampler(range(5), 2, 1, shuffle=False)) == [1, 3]


@pytest.mark.parametrize("batch_size", [1, 2, 5, 8, 100])
@pytest.mark.parametrize(("samples", "ranks"), SIZES)
def test_ranks_have_equal_numbers_of_batches_with_every_sample_once(samples, ranks, batch_size):
    parts = [DistributedBatchSampler(range(samples), batch_size, ranks, rank, seed=1) for rank in range(ranks)]
    for _ in range(2):
        batches = [list(part) for part in parts]
        assert {len(one) for one in batches} == {len(parts[0])}
        assert sorted(index for one in batches for batch in one for index in batch) == list(range(samples))
        for together in zip(*batches, strict=True):
            sizes = [len(batch) for batch in together]
            assert min(sizes) >= 1 and max(sizes) - min(sizes) <= 1 and max(sizes) <= batch_size + 1
            assert sum(sizes) < (batch_size + 1) * ranks


@pytest.mark.parametrize(("samples", "drop_last"), [(48, False), (53, False), (53, True), (40, True)])
def test_batches_of_all_ranks_match_a_single_process(samples, drop_last):
    alone = list(BatchSampler(RandomSampler(range(samples), seed=3), 12, drop_last))
    parts = [list(DistributedBatchSampler(range(samples), 4, 3, r, seed=3, drop_last=drop_last)) for r in range(3)]
    assert [joined(batches) for batches in zip(*parts, strict=True)] == alone


def test_a_remainder_smaller_than_the_group_joins_the_batch_before():
    parts = [list(DistributedBatchSampler(range(14), 4, 3, rank, shuffle=False)) for rank in range(3)]
    assert parts == [[[0, 1, 2, 3, 4]], [[5, 6, 7, 8, 9]], [[10, 11, 12, 13]]]


def test_a_loader_resumes_in_the_middle_of_an_epoch():
    dataset = TensorDataset(np.arange(50))

    def loader(seed):
        return DataLoader(dataset, batch_sampler=DistributedBatchSampler(dataset, 4, 3, 1, seed=seed))

    whole = [batch[0].tolist() for batch in loader(seed=9)]
    assert len(whole) == len(loader(seed=9)) == 4  # 12, 12, 12 and 12 + 2
    running, resumed = loader(seed=9), loader(seed=0)
    batches = iter(running)
    seen = [next(batches)[0].tolist() for _ in range(2)]
    resumed.load_state_dict(running.state_dict())
    assert seen + [batch[0].tolist() for batch in resumed] == whole
    assert [batch[0].tolist() for batch in resumed] != whole  # the next epoch


@pytest.mark.parametrize("batches", [False, True])
def test_the_position_of_a_loader_is_refused_by_another_number_of_processes(batches):
    dataset = TensorDataset(np.arange(50))

    def loader(ranks):
        if batches:
            return DataLoader(dataset, batch_sampler=DistributedBatchSampler(dataset, 4, ranks, 0))
        return DataLoader(dataset, 4, sampler=DistributedSampler(dataset, ranks, 0))

    taken = loader(2).state_dict()
    with pytest.raises(ValueError, match="saved with num_replicas 2, but this loader has 3"):
        loader(3).load_state_dict(taken)


def test_samplers_refuse_invalid_arguments():
    with pytest.raises(ValueError, match="DistributedSampler: rank must be below num_replicas 2, got 2"):
        DistributedSampler(range(4), 2, 2)
    with pytest.raises(ValueError, match="DistributedBatchSampler: 3 ranks need at least 3 samples, got 2"):
        DistributedBatchSampler(range(2), 4, 3, 0)
    with pytest.raises(ValueError, match="3 ranks need at least 12 samples, got 11"):
        DistributedBatchSampler(range(11), 4, 3, 0, drop_last=True)
    with pytest.raises(ValueError, match="DistributedBatchSampler: batch_size must be at least 1, got 0"):
        DistributedBatchSampler(range(2), 0, 1, 0)
    with pytest.raises(TypeError, match="DistributedSampler: seed must be an integer"):
        DistributedSampler(range(4), 2, 0, seed=None)
    with pytest.raises(TypeError, match="num_replicas must be an integer"):
        DistributedSampler(range(4), 2.0)


def test_a_loader_draws_differently_on_every_rank():
    def drawn(**options):
        return [batch.tolist() for batch in DataLoader(list(range(12)), seed=3, batch_transform=draw, **options)]

    def draw(batch, rng):
        return batch * 0 + rng.integers(2**31)

    ranks = [drawn(batch_sampler=DistributedBatchSampler(range(12), 2, 3, rank)) for rank in range(3)]
    numbers = [batch[0] for one in ranks for batch in one]
    assert len(set(numbers)) == len(numbers) == 6
    assert drawn(batch_sampler=DistributedBatchSampler(range(12), 2, 1, 0)) == drawn(batch_size=2)
