from collections import OrderedDict, defaultdict, namedtuple

import mlx.core as mx
import numpy as np
import pytest

import lucid
from lucid.data import DataLoader, TensorDataset, default_collate
from lucid.data.collate import collate_arrays, to_numpy, to_tensors

Point = namedtuple("Point", "image label")


def test_nested_fields_are_stacked_in_their_containers():
    samples = [
        (np.full((2, 3), i, np.uint8), {"label": i, "name": f"n{i}", "box": [i, i + 0.5]}, Point(mx.array([i]), i > 0))
        for i in range(3)
    ]
    image, fields, point = batch = collate_arrays(samples)
    assert isinstance(batch, list) and isinstance(fields, dict) and isinstance(point, Point)
    assert image.shape == (3, 2, 3) and image.dtype == np.uint8 and image[2, 0, 0] == 2
    assert fields["label"].tolist() == [0, 1, 2] and fields["label"].dtype == np.int64
    assert fields["name"] == ["n0", "n1", "n2"]
    assert fields["box"][1].tolist() == [0.5, 1.5, 2.5] and fields["box"][1].dtype == np.float32
    assert point.image.shape == (3, 1) and point.label.dtype == np.bool_


@pytest.mark.parametrize(
    ("samples", "dtype"),
    [
        ([1, 2], np.int64),
        ([1, 2.5], np.float32),
        ([True, False], np.bool_),
        ([True, 2], np.int64),
        ([1j, 2], np.complex64),
        ([np.float16(1), np.float16(2)], np.float16),
        ([np.float64(1), np.float64(2)], np.float64),
    ],
)
def test_numbers_get_the_expected_dtype(samples, dtype):
    batch = collate_arrays(samples)
    assert batch.dtype == dtype
    np.testing.assert_array_equal(batch, np.asarray(samples))


def test_mapping_types_are_kept_if_possible():
    assert isinstance(collate_arrays([OrderedDict(a=1)]), OrderedDict)
    assert collate_arrays([defaultdict(int, a=1)])["a"].tolist() == [1]


@pytest.mark.parametrize(
    ("samples", "error", "message"),
    [
        ([], ValueError, "no samples"),
        ([np.zeros((3, 4)), np.zeros((3, 5))], ValueError, r"\(3, 4\), \(3, 5\)"),
        ([(1, 2), (1,)], ValueError, r"the same number of fields, got \[1, 2\]"),
        ([None, None], TypeError, "NoneType"),
        ([1, "x"], TypeError, "a field of the samples mixes numbers with <U"),
    ],
)
def test_samples_that_cannot_be_stacked_raise(samples, error, message):
    with pytest.raises(error, match=message):
        collate_arrays(samples)


def test_to_numpy_and_back_keep_the_structure():
    batch = {"a": (mx.array([1.0]), [np.zeros(2), "text"]), "p": Point(np.array(["x"]), 3)}
    arrays = to_numpy(batch)
    assert isinstance(arrays["a"], tuple) and isinstance(arrays["a"][0], np.ndarray)
    assert arrays["a"][1][0].dtype == np.float32  # from float64
    tensors = to_tensors(arrays)
    assert isinstance(tensors["a"][0], lucid.Tensor) and tensors["a"][0].tolist() == [1.0]
    assert tensors["a"][1][1] == "text" and isinstance(tensors["p"], Point)
    assert isinstance(tensors["p"].image, np.ndarray) and tensors["p"].label == 3  # text stays in NumPy


@pytest.mark.parametrize(
    ("array", "dtype"),
    [
        (np.zeros((0, 3), np.uint8), lucid.uint8),
        (np.array(3.0), lucid.float32),  # a scalar, float64
        (np.array([1.5, 2], np.longdouble), lucid.float32),
        (np.array([1 + 2j]), lucid.complex64),
        (np.ones((2, 1), np.float16), lucid.float16),
        (np.array([True, False]), lucid.bool_),
        (np.arange(6).reshape(2, 3).T[::-1, ::-1], lucid.int64),  # negative strides
        (np.arange(6, dtype=">i4")[::2], lucid.int32),  # the other byte order
    ],
)
def test_arrays_of_any_layout_become_tensors(array, dtype):
    tensor = to_tensors(to_numpy(array))
    assert tensor.shape == array.shape and tensor.dtype == dtype
    assert tensor.tolist() == array.tolist()


def test_tensors_do_not_share_memory_with_their_arrays():
    array = np.zeros(5, np.float32)
    tensor = to_tensors(array)
    array[:] = 1
    assert tensor.tolist() == [0] * 5


def test_tensors_are_collated():
    samples = [(lucid.full((2,), i), lucid.ones((1,), dtype=lucid.bfloat16)) for i in range(2)]
    first, second = collate_arrays(samples)
    np.testing.assert_array_equal(first, [[0, 0], [1, 1]])
    assert second.dtype == np.float32 and second.shape == (2, 1)


def test_default_collate_gives_tensors():
    Pair = namedtuple("Pair", "image label")
    samples = [Pair(np.full((2, 3), i, np.float64), i) for i in range(2)]
    batch = default_collate(samples)
    assert type(batch) is Pair and batch.image.dtype == lucid.float32 and batch.label.dtype == lucid.int64
    assert isinstance(batch.image, lucid.Tensor) and batch.label.tolist() == [0, 1]
    found = default_collate(batch=[{"x": 1.5, "name": "a"}, {"x": 2.5, "name": "b"}])
    assert found["x"].dtype == lucid.float32 and found["x"].tolist() == [1.5, 2.5] and found["name"] == ["a", "b"]
    assert default_collate([lucid.ones(2), lucid.zeros(2)]).tolist() == [[1, 1], [0, 0]]
    assert default_collate([True, False]).dtype == lucid.bool


def test_a_collate_fn_may_work_on_the_tensors_of_default_collate():
    def collate(samples):
        x, y = default_collate(samples)
        return x * 2, y

    dataset = TensorDataset(lucid.arange(4.0), lucid.arange(4))
    for num_workers in (0, 2):
        batches = list(DataLoader(dataset, 2, num_workers=num_workers, collate_fn=collate))
        assert [x.tolist() for x, _ in batches] == [[0, 2], [4, 6]]
