import mlx.core as mx
import numpy as np
import pytest

import lucid
from lucid.data import (
    ChainDataset,
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    StackDataset,
    Subset,
    TensorDataset,
    random_split,
)
from lucid.data.dataset import fetch_batch, fetch_samples


class Squares(Dataset):
    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        if not 0 <= index < self.count:
            raise IndexError(index)
        return index * index


def test_tensor_dataset_gives_rows_and_batches():
    images, labels = np.arange(24).reshape(6, 4), mx.arange(6)
    dataset = TensorDataset(images, labels)
    assert len(dataset) == 6
    image, label = dataset[4]
    assert image.tolist() == [16, 17, 18, 19] and label == 4
    batch = dataset.get_batch([5, 0, 5])
    np.testing.assert_array_equal(batch[0], images[[5, 0, 5]])
    np.testing.assert_array_equal(batch[1], [5, 0, 5])
    assert dataset.tensors[0] is images


def test_tensor_dataset_takes_anything_with_a_numpy_method():
    class Wrapped:
        def numpy(self):
            return np.ones((3, 2))

    assert TensorDataset(Wrapped(), mx.zeros((3,), mx.bfloat16))[0][0].tolist() == [1, 1]


@pytest.mark.parametrize(
    ("tensors", "message"),
    [((), "at least one"), ((np.zeros(3), np.zeros(4)), r"\(3,\), \(4,\)"), ((np.float32(1),), r"\(\)")],
)
def test_tensor_dataset_checks_its_tensors(tensors, message):
    with pytest.raises(ValueError, match=message):
        TensorDataset(*tensors)


def test_subset_of_a_subset_and_of_a_list():
    inner = Subset(Squares(10), [9, 7, 5, 3])
    outer = Subset(inner, np.array([2, 0]))
    assert [outer[0], outer[1]] == [25, 81] and len(outer) == 2
    assert outer.get_batch([1, 0]).tolist() == [81, 25]
    assert outer.__getitems__([1]) == [81]
    assert Subset(["a", "b", "c"], [2, 0])[0] == "c"


def test_concat_finds_every_sample():
    joined = Squares(3) + TensorDataset(np.arange(2)) + Squares(0) + Squares(2)
    assert isinstance(joined, ConcatDataset) and len(joined) == 7
    assert [joined[i] for i in range(7)] == [0, 1, 4, (0,), (1,), 0, 1]
    assert joined[-1] == 1 and joined[-7] == 0
    for index in (7, -8):
        with pytest.raises(IndexError, match="7 samples"):
            joined[index]
    with pytest.raises(ValueError, match="at least one"):
        ConcatDataset([])


def test_concatenating_an_iterable_dataset_raises():
    with pytest.raises(TypeError, match="IterableDataset"):
        ConcatDataset([Squares(1), IterableDataset()])


def test_abstract_methods_say_what_to_define():
    with pytest.raises(NotImplementedError, match="__getitem__"):
        Dataset()[0]
    with pytest.raises(NotImplementedError, match="__iter__"):
        iter(IterableDataset())
    with pytest.raises(TypeError, match="has no indices; iterate over it"):
        IterableDataset()[0]


def test_batches_use_the_fastest_method_of_a_dataset():
    class Listed(Squares):
        def __getitems__(self, indices):
            return [f"listed {index}" for index in indices]

    class Batched(Listed):
        def get_batch(self, indices):
            return ("whole", list(indices))

    assert fetch_batch(Squares(4), [3, 1]).tolist() == [9, 1]
    assert fetch_batch(Listed(4), [3]) == ["listed 3"]
    assert fetch_batch(Batched(4), [3]) == ("whole", [3])
    assert fetch_samples(Batched(4), [3]) == ["listed 3"]
    assert fetch_batch(np.arange(12).reshape(4, 3), [2]).tolist() == [[6, 7, 8]]


def test_random_split_covers_everything_once_and_repeats_from_its_seed():
    first, second = random_split(Squares(11), [8, 3], seed=5)
    assert sorted([*first.indices, *second.indices]) == list(range(11))
    assert [len(first), len(second)] == [8, 3]
    assert random_split(Squares(11), [8, 3], 5)[0].indices == first.indices
    assert random_split(Squares(11), [8, 3], seed=6)[0].indices != first.indices
    from_generator = random_split(Squares(11), [8, 3], generator=np.random.default_rng(1))
    assert from_generator[0].indices == random_split(Squares(11), [8, 3], np.random.default_rng(1))[0].indices


@pytest.mark.parametrize(
    ("total", "fractions", "counts"),
    [(10, [0.3, 0.3, 0.4], [3, 3, 4]), (11, [0.5, 0.5], [6, 5]), (7, [0.1] * 10, [1] * 7 + [0] * 3), (1, [1], [1])],
)
def test_random_split_distributes_the_remainder_from_the_first_subset(total, fractions, counts):
    assert [len(part) for part in random_split(Squares(total), fractions, seed=0)] == counts


@pytest.mark.parametrize(
    ("lengths", "message"),
    [([3, 3], r"10 samples, got \[3, 3\] \(sum 6\)"), ([0.5, 0.4], "fractions"), ([11, -1], "negative")],
)
def test_random_split_checks_its_lengths(lengths, message):
    with pytest.raises(ValueError, match=message):
        random_split(Squares(10), lengths)


def test_samples_of_a_tensor_dataset_are_tensors():
    values = [lucid.arange(6.0).reshape(3, 2), lucid.tensor([1.5, 2.5, 3.5], dtype=lucid.bfloat16), np.arange(3)]
    values.append(lucid.tensor([0.1, 0.2, 0.3], dtype=lucid.float64))
    dataset = TensorDataset(*values)
    rows = dataset[1]
    assert type(rows) is tuple and all(isinstance(row, lucid.Tensor) for row in rows)
    assert [row.tolist() for row in rows] == [[2.0, 3.0], 2.5, 1, 0.2]
    assert [row.dtype for row in rows] == [lucid.float32, lucid.bfloat16, lucid.int64, lucid.float64]
    assert dataset[-1][0].tolist() == [4.0, 5.0] and dataset[0:2][0].shape == (2, 2)
    assert dataset[[0, 2]][0].tolist() == [[0.0, 1.0], [4.0, 5.0]]
    assert dataset[lucid.tensor(2)][2].item() == 2
    assert Subset(dataset, [2, 1])[[1]][0].tolist() == [[2.0, 3.0]]


class Stream(IterableDataset):
    def __init__(self, *values):
        self.values = values

    def __iter__(self):
        return iter(self.values)

    def __len__(self):
        return len(self.values)


def test_chained_streams_follow_each_other_in_a_loader_too():
    chain = ChainDataset([Stream(1, 2), Stream(), Stream(3)])
    assert list(chain) == list(chain) == [1, 2, 3] and len(chain) == 3
    assert [batch.tolist() for batch in DataLoader(chain, batch_size=2)] == [[1, 2], [3]]
    with pytest.raises(TypeError, match="dataset 1 must be an IterableDataset, got list; ConcatDataset"):
        list(ChainDataset([Stream(1), [2]]))


def test_stacked_datasets_give_tuples_or_dictionaries():
    numbers, words = TensorDataset(np.arange(4)), ["a", "b", "c", "d"]
    pairs = StackDataset(numbers, words)
    assert len(pairs) == 4 and pairs[-1][1] == "d" and pairs[2][0][0].item() == 2
    named = StackDataset(number=np.arange(4), word=words)
    assert named[1] == {"number": 1, "word": "b"}
    assert named.__getitems__([3, 0]) == [{"number": 3, "word": "d"}, {"number": 0, "word": "a"}]
    [batch] = DataLoader(named, batch_size=4)
    assert batch["number"].tolist() == [0, 1, 2, 3] and batch["word"] == words
    with pytest.raises(ValueError, match="must have the same size, got 4, 3"):
        StackDataset(words, words[:3])
    with pytest.raises(ValueError, match="at least one"):
        StackDataset()
    with pytest.raises(ValueError, match="all by name"):
        StackDataset(words, word=words)
