from types import SimpleNamespace

import numpy as np
import pytest

import lucid
from lucid.data import DataLoader, augment
from lucid.data.images import ImageDataset


class Pictures(ImageDataset):
    classes, max_value, mean, std = ("a", "b"), 255, (0.5,) * 3, (0.25,) * 3


class Dark(Pictures):
    max_value = 16  # as Digits


@pytest.fixture
def pictures():
    rng = np.random.default_rng(0)
    data, targets = rng.integers(0, 256, (11, 3, 4, 5)).astype(np.uint8), rng.integers(0, 2, 11)
    return Pictures(data, targets, True, None, None)


@pytest.fixture
def held():
    values = np.random.default_rng(0).integers(0, 256, (23, 1, 4, 4), dtype=np.uint8)
    return augment.DeviceDataset(SimpleNamespace(data=values, targets=np.arange(23) % 3, max_value=255))


def test_batches_are_the_images_at_an_index(pictures):
    held = augment.DeviceDataset(pictures)
    assert len(held) == 11 and held.images.dtype == lucid.uint8
    index = np.array([3, 3, 0, 10])
    images, labels = held[lucid.tensor(index)]
    np.testing.assert_array_equal(images.numpy(), pictures.data[index])
    np.testing.assert_array_equal(labels.numpy(), pictures.targets[index])
    images, _ = held[lucid.tensor([], dtype=lucid.int64)]
    assert images.shape == (0, 3, 4, 5)


def test_a_loader_of_numbers_goes_through_all_of_it(pictures):
    held = augment.DeviceDataset(pictures)
    loader = DataLoader(np.arange(len(held)), 4, shuffle=True, seed=1)
    found = np.concatenate([held[index][0].numpy() for index in loader])
    assert sorted(map(bytes, found)) == sorted(map(bytes, pictures.data))


def test_values_are_brought_to_255(pictures):
    dark = Dark(pictures.data % 17, pictures.targets, True, None, None)
    held = augment.DeviceDataset(dark)
    assert held.images.numpy().max() == 255
    np.testing.assert_array_equal(held.images.numpy(), np.rint(dark.data * (255 / 16)))


def test_a_compiled_function_takes_batches(pictures):
    held = augment.DeviceDataset(pictures)
    step = lucid.compile(lambda index: held[index])
    for index in ([1, 5], [10, 0]):
        images, labels = step(lucid.tensor(index))
        np.testing.assert_array_equal(images.numpy(), pictures.data[index])
        np.testing.assert_array_equal(labels.numpy(), pictures.targets[index])
    assert step.retraces.count == 0


def test_the_loader_gives_each_image_once_and_goes_on_in_the_middle(held):
    options = {"batch_size": 5, "shuffle": True, "seed": 3, "drop_last": False}
    loader = augment.DeviceLoader(held, **options)
    batches = [(x.numpy(), y.numpy()) for x, y in loader]
    assert [len(y) for _, y in batches] == [5, 5, 5, 5, 3] and len(loader) == 5
    everything = np.concatenate([x for x, _ in batches])
    assert sorted(map(bytes, everything)) == sorted(map(bytes, held.images.numpy()))
    assert all((held.labels.numpy()[np.flatnonzero((held.images.numpy() == x).all(axis=(1, 2, 3)))] == y).all()
               for xs, ys in batches for x, y in zip(xs, ys, strict=True))  # fmt: skip
    first = iter(augment.DeviceLoader(held, **options))
    other = augment.DeviceLoader(held, **options)
    half = iter(loader := augment.DeviceLoader(held, **options))
    for _ in range(2):
        next(half), next(first)
    other.load_state_dict(loader.state_dict())
    for (x, y), (x_again, y_again) in zip(first, other, strict=True):
        np.testing.assert_array_equal(x.numpy(), x_again.numpy())
        np.testing.assert_array_equal(y.numpy(), y_again.numpy())


def test_what_is_no_data_set_or_index_is_refused(pictures):
    with pytest.raises(TypeError, match="DeviceDataset: wanted CIFAR10, CIFAR100 or Digits, got list"):
        augment.DeviceDataset([1, 2])
    for index in (lucid.tensor([0.5]), lucid.tensor(3), lucid.tensor([[1]])):
        with pytest.raises(TypeError, match="DeviceDataset: index must be a vector of integers, got (int|float)"):
            augment.DeviceDataset(pictures)[index]
