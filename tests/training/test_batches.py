"""Data as batches: arrays, datasets and loaders, shares of processes, augmentation."""

from types import SimpleNamespace

import mlx.core as mx
import numpy as np
import pytest

import lucid
from lucid import data
from lucid.data import augment
from lucid.training import batches
from lucid.training.recipe import Recipe, SettingError

RECIPE = Recipe(batch_size=4)


@pytest.mark.parametrize("kind", [np.asarray, mx.array, lucid.tensor])
def test_arrays_of_any_kind_become_shuffled_batches(kind):
    x = np.arange(24, dtype=np.float32).reshape(12, 2)
    loader = batches.train_loader((kind(x), kind(np.arange(12))), RECIPE)
    found = [(inputs.numpy(), targets.numpy()) for inputs, targets in loader]
    assert len(loader) == 3 and [len(targets) for _, targets in found] == [4, 4, 4]
    order = np.concatenate([targets for _, targets in found])
    assert sorted(order) == list(range(12)) and list(order) != list(range(12))
    np.testing.assert_array_equal(np.concatenate([inputs for inputs, _ in found]), x[order])


def test_test_data_keep_their_order_and_the_last_batch():
    found = [targets.tolist() for _, targets in batches.test_loader((np.zeros((6, 1)), np.arange(6)), RECIPE)]
    assert found == [[0, 1, 2, 3], [4, 5]]


def test_float64_becomes_float32():
    [(inputs, _)] = batches.test_loader((np.zeros((2, 1)), np.arange(2)), RECIPE)
    assert inputs.dtype == lucid.float32


def test_a_dataset_is_loaded_and_a_loader_kept():
    class Squares:
        def __len__(self):
            return 9

        def __getitem__(self, index):
            return np.float32([index]), np.float32([index**2])

    loader = batches.train_loader(Squares(), RECIPE)
    assert isinstance(loader, data.DataLoader) and len(loader) == 2
    for inputs, targets in loader:
        np.testing.assert_array_equal(targets.numpy(), inputs.numpy() ** 2)
    assert isinstance(batches.train_loader(data.TensorDataset(np.zeros((5, 1)), np.zeros(5)), RECIPE), data.DataLoader)
    own = [(np.zeros((2, 1)), np.zeros(2))]
    assert batches.train_loader(own, RECIPE) is own and batches.test_loader(own, RECIPE) is own


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        ((np.zeros(3),), ValueError, "train must be a tuple of inputs and targets, got 1 items"),
        ((np.zeros((8, 1)), np.zeros(9)), ValueError, "got 8 inputs but 9 targets"),
        ((np.zeros((3, 1)), np.zeros(3)), SettingError, "batch_size must be at most 3, the number of training samples"),
        (iter([1]), TypeError, "a loader with a length, got list_iterator"),
        (3, TypeError, "a loader with a length, got int"),
    ],
)
def test_unusable_data_are_explained(source, error, message):
    with pytest.raises(error, match=message):
        batches.train_loader(source, RECIPE)


def test_images_are_read_for_the_report():
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 4, 5), np.uint8)
    read = batches.image_reader((pixels, np.zeros(2)))
    np.testing.assert_array_equal(read(1), pixels[1].transpose(1, 2, 0))
    gray = batches.image_reader((np.array([[[[-1.0, 0.0, 3.0]]]]), np.zeros(1)))
    np.testing.assert_array_equal(gray(0)[..., 0], [[0, 64, 255]])
    for other in (None, [], (np.zeros((2, 3)), np.zeros(2)), (np.zeros((2, 5, 4, 4)), np.zeros(2))):
        assert batches.image_reader(other) is None


def test_batches_are_divided_among_any_number_of_processes(monkeypatch):
    monkeypatch.setattr("lucid.distributed.get_world_size", lambda: 3)
    recipe = Recipe(batch_size=32, accumulate=4, ema=0.9)
    with pytest.raises(SettingError, match="batch_size must be a multiple of 3 processes times accumulate, 4, got 32"):
        batches.share_of_batches(recipe, range(40))
    evaluated = batches.for_evaluation(recipe)
    assert (evaluated.batch_size, evaluated.accumulate, evaluated.ema) == (6, 1, 0.0)
    assert len(batches.share_of_batches(evaluated, range(40))["batch_sampler"]) > 0
    assert batches.for_evaluation(Recipe(batch_size=2)).batch_size == 3


@pytest.mark.parametrize(("processes", "size"), [(1, 6), (2, 3), (3, 2), (24, 1)])
def test_evaluation_has_no_more_samples_at_once_than_training(monkeypatch, processes, size):
    monkeypatch.setattr("lucid.distributed.get_world_size", lambda: processes)
    recipe = Recipe(batch_size=24, accumulate=4)
    assert batches.share_of_evaluation(recipe, range(40))["batch_size"] == size
    alone = batches.for_evaluation(recipe)  # of saved weights: the same batches, so the same result
    assert batches.share_of_evaluation(alone, range(40))["batch_size"] == size
    seen = []
    loader = batches.test_loader((np.zeros((40, 2)), np.arange(40)), recipe)
    for inputs, _ in loader:
        seen.append(len(inputs))
    assert max(seen) == size and sum(seen) >= 40 // processes


def test_the_augmentation_is_what_the_recipe_says():
    def names(crops=(), **settings):
        made = batches.augmentation(Recipe(**settings), (0.5,), (0.2,), 3, crops=crops)
        return [type(one).__name__ for one in made.transforms]

    assert names(flip=False) == ["Normalize"]
    assert names([augment.RandomCrop(4)], flip=False) == ["RandomCrop", "Normalize"]
    everything = {"augment": "trivial", "color_jitter": 0.4, "erasing": 0.2, "mixup": 0.8, "cutmix": 1.0}
    assert names(**everything) == [
        "RandomHorizontalFlip", "TrivialAugmentWide", "ColorJitter", "Normalize", "RandomErasing", "Mixup",
    ]  # fmt: skip
    made = batches.augmentation(Recipe(augment="rand-m7-mstd0.5"), (0.5,), (0.2,), 3)
    assert made.transforms[1].magnitude == 7 and made.transforms[1].fill == [128]
    with pytest.raises(
        SettingError, match="augment must be none, trivial or a RandAugment config; .*'random'"
    ) as caught:
        batches.augmentation(Recipe(augment="random"), (0.5,), (0.2,), 3)
    assert caught.value.names == ("augment",)


def test_datasets_on_the_device_are_loaders():
    rng = np.random.default_rng(0)
    values = rng.integers(0, 256, (23, 1, 4, 4), dtype=np.uint8)
    images = augment.DeviceDataset(SimpleNamespace(data=values, targets=np.arange(23) % 3, max_value=255))
    loader = augment.DeviceLoader(images, **batches.share_of_batches(Recipe(batch_size=5), images))
    assert batches.train_loader(loader, RECIPE) is loader and len(loader) == 4
