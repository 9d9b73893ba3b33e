"""DeviceDataset and DeviceLoader: batches that never leave the device."""

from types import SimpleNamespace

import numpy as np
import pytest

import lucid
from lucid.data import DataLoader, augment
from lucid.data.images import ImageDataset


class SmallImages(ImageDataset):
    classes, max_value, mean, std = ("a", "b"), 255, (0.5,) * 3, (0.25,) * 3


class SixteenLevels(SmallImages):
    max_value = 16  # like Digits


@pytest.fixture
def dataset():
    rng = np.random.default_rng(0)
    data, targets = rng.integers(0, 256, (11, 3, 4, 5)).astype(np.uint8), rng.integers(0, 2, 11)
    return SmallImages(data, targets, True, None, None)


@pytest.fixture
def on_device():
    values = np.random.default_rng(0).integers(0, 256, (23, 1, 4, 4), dtype=np.uint8)
    return augment.DeviceDataset(SimpleNamespace(data=values, targets=np.arange(23) % 3, max_value=255))


def test_batches_are_the_images_at_an_index(dataset):
    on_device = augment.DeviceDataset(dataset)
    assert len(on_device) == 11 and on_device.images.dtype == lucid.uint8
    index = np.array([3, 3, 0, 10])
    images, labels = on_device[lucid.tensor(index)]
    np.testing.assert_array_equal(images.numpy(), dataset.data[index])
    np.testing.assert_array_equal(labels.numpy(), dataset.targets[index])
    images, _ = on_device[lucid.tensor([], dtype=lucid.int64)]
    assert images.shape == (0, 3, 4, 5)


def test_an_index_out_of_range_is_rejected_or_clamped(dataset, on_cpu):
    on_device = augment.DeviceDataset(dataset)
    for wrong in (11, -12, 10**9):
        for kind in (lucid.tensor, np.array):
            with pytest.raises(
                IndexError, match=f"DeviceDataset: index {wrong} is out of range for dim 0 with size 11"
            ):
                on_device[kind([0, wrong])]
    images, _ = lucid.compile(lambda index: on_device[index])(lucid.tensor([99, 0]))
    np.testing.assert_array_equal(images.numpy(), dataset.data[[10, 0]])


def test_a_loader_of_indices_visits_every_image_once(dataset):
    on_device = augment.DeviceDataset(dataset)
    loader = DataLoader(np.arange(len(on_device)), 4, shuffle=True, seed=1)
    found = np.concatenate([on_device[index][0].numpy() for index in loader])
    assert sorted(map(bytes, found)) == sorted(map(bytes, dataset.data))


def test_values_are_scaled_to_255(dataset):
    dataset = SixteenLevels(dataset.data % 17, dataset.targets, True, None, None)
    on_device = augment.DeviceDataset(dataset)
    assert on_device.images.numpy().max() == 255
    np.testing.assert_array_equal(on_device.images.numpy(), np.rint(dataset.data * (255 / 16)))


def test_indexing_works_in_a_compiled_function(dataset):
    on_device = augment.DeviceDataset(dataset)
    step = lucid.compile(lambda index: on_device[index])
    for index in ([1, 5], [10, 0]):
        images, labels = step(lucid.tensor(index))
        np.testing.assert_array_equal(images.numpy(), dataset.data[index])
        np.testing.assert_array_equal(labels.numpy(), dataset.targets[index])
    assert step.retraces.count == 0


def test_the_loader_visits_each_image_once_and_resumes_within_an_epoch(on_device):
    options = {"batch_size": 5, "shuffle": True, "seed": 3, "drop_last": False}
    loader = augment.DeviceLoader(on_device, **options)
    batches = [(x.numpy(), y.numpy()) for x, y in loader]
    assert [len(y) for _, y in batches] == [5, 5, 5, 5, 3] and len(loader) == 5
    everything = np.concatenate([x for x, _ in batches])
    all_images, all_labels = on_device.images.numpy(), on_device.labels.numpy()
    assert sorted(map(bytes, everything)) == sorted(map(bytes, all_images))
    for xs, ys in batches:
        for x, y in zip(xs, ys, strict=True):
            assert (all_labels[(all_images == x).all(axis=(1, 2, 3))] == y).all()
    first = iter(augment.DeviceLoader(on_device, **options))
    other = augment.DeviceLoader(on_device, **options)
    half = iter(loader := augment.DeviceLoader(on_device, **options))
    for _ in range(2):
        next(half), next(first)
    other.load_state_dict(loader.state_dict())
    for (x, y), (x_again, y_again) in zip(first, other, strict=True):
        np.testing.assert_array_equal(x.numpy(), x_again.numpy())
        np.testing.assert_array_equal(y.numpy(), y_again.numpy())


def test_other_datasets_and_indices_raise(dataset):
    with pytest.raises(TypeError, match="DeviceDataset: dataset must be CIFAR10, CIFAR100 or Digits, got list"):
        augment.DeviceDataset([1, 2])
    for index in (lucid.tensor([0.5]), lucid.tensor(3), lucid.tensor([[1]])):
        with pytest.raises(TypeError, match="DeviceDataset: index must be a vector of integers, got (int|float)"):
            augment.DeviceDataset(dataset)[index]
