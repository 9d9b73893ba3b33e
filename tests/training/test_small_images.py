"""Models and presets for small images."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import lucid
from lucid.training import small_images
from lucid.training.recipe import SettingError


@pytest.mark.parametrize(("patch_size", "sizes"), [(1, [8]), (2, [4]), (4, [4, 2])])
def test_an_overlapping_stem_has_the_stride_of_patches(patch_size, sizes):
    settings = small_images.Settings(depths=(1,), dims=(6,), stem="overlap", patch_size=patch_size)
    model = small_images.make_model(settings, 3, 10)
    x, found = lucid.randn(2, 8, 8, 3), []
    for layer in list(model.downsample_layers[0])[:-1]:
        x = layer(x)
        found.append(x.shape[1])
        assert layer.weight.shape[2:] == (3, 3) and 0.01 < layer.weight.std().item() < 0.03
    assert found == sizes and model(lucid.randn(2, 3, 8, 8)).shape == (2, 10)


@pytest.mark.parametrize("dataset", ["cifar10", "digits"])
@pytest.mark.parametrize("recipe", ["quick", "laptop", "strong", "paper"])
def test_presets_make_models_and_augmentations(dataset, recipe):
    settings = small_images.preset(recipe, dataset)
    channels, size = (3, 32) if dataset == "cifar10" else (1, 8)
    shape = (settings.batch_size, channels, size, size)
    images = SimpleNamespace(
        data=np.zeros(shape, np.uint8), targets=np.zeros(shape[0], np.int64), max_value=255, mean=(0.5,) * channels,
        std=(0.2,) * channels, classes=list("0123456789"), __len__=None,
    )  # fmt: skip
    images = type("Images", (), {**vars(images), "__len__": lambda self: len(self.data)})()
    made = small_images.make_trainer(settings, images, images, compile=False)
    is_plain = recipe in ("quick", "laptop")
    assert (made.ema is None) == is_plain
    mixes = any(type(one).__name__ == "Mixup" for one in made.transform.transforms)
    assert mixes != is_plain and made.scheduler.get_last_lr()[0] <= settings.lr


def test_settings_override_a_preset():
    settings = small_images.preset("strong", "digits", epochs=7)
    assert (settings.epochs, settings.ema, settings.dataset, settings.recipe) == (7, 0.995, "digits", "strong")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"dims": (8, 100_000_000)},
            "has 160,000,016,.* parameters, and training it takes .* this device has",
        ),
        ({"crop_padding": 10**9}, "crop_padding must be at most 8, got 1000000000"),
    ],
)
def test_absurd_sizes_are_refused_before_memory_is_taken(settings, message):
    train_set, test_set = small_images.load_datasets("digits", Path("data"))
    chosen = small_images.preset("quick", "digits", **settings)
    with pytest.raises(SettingError, match=message):
        small_images.make_trainer(chosen, train_set, test_set)


def test_absurd_depths_are_refused():
    with pytest.raises(SettingError, match="depths has 1,000,000,001 blocks, the most are 10,000"):
        small_images.preset("quick", "digits", depths=(1, 10**9))
