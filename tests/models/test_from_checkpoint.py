"""Models from files, run folders and checkpoint names, with class names and preprocessing."""

import copy
import json
from dataclasses import asdict

import numpy as np
import pytest

import lucid
from lucid import models
from lucid.models import ConvNeXt, ConvNeXtIsotropic, ConvNeXtV2, ImageTransform, from_checkpoint, save_checkpoint
from lucid.models.weights.save import weights_metadata

PREPARED = ImageTransform(48, 56, "squash", "bilinear", (0.1, 0.2, 0.3), (0.4, 0.5, 0.6), round_crop=False)
SMALL = {"depths": (1, 1, 2, 1), "dims": (4, 8, 12, 16)}
NAMES = ["cat", "dog", "ant"]
FAMILIES = {
    "ConvNeXt": lambda classes=3, **options: ConvNeXt(classes, **SMALL, **options),
    "ConvNeXtV2": lambda classes=3, **options: ConvNeXtV2(classes, **SMALL, **options),
    "ConvNeXtIsotropic": lambda classes=3, **options: ConvNeXtIsotropic(classes, 2, 8, patch_size=8, **options),
}
# The metadata of weights from version 0.1.0, key by key.
CIFAR_RECIPE = {
    "epochs": 20, "warmup_epochs": 2, "batch_size": 64, "accumulate": 1, "patience": 0, "optimizer": "adamw",
    "lr": 4e-3, "min_lr": 0.0, "momentum": 0.9, "weight_decay": 0.05, "layer_decay": 1.0, "clip_norm": 1.0,
    "ema": 0.0, "drop_path": 0.1, "label_smoothing": 0.1, "flip": False, "augment": "none", "color_jitter": 0.0,
    "erasing": 0.0, "mixup": 0.0, "cutmix": 0.0, "mix_switch": 0.5, "amp": "none", "seed": 0, "dataset": "digits",
    "recipe": "quick", "depths": [1, 2], "dims": [8, 16], "stem": "overlap", "patch_size": 1,
    "layer_scale_init": 1.0, "crop_padding": 1,
}  # fmt: skip
CIFAR_METADATA = {
    "format": "pt",
    "model": "convnext",
    "classes": json.dumps([str(digit) for digit in range(10)]),
    "preprocessing": json.dumps({"image_size": 8, "mean": [0.3], "std": [0.4]}),
    "recipe": json.dumps(CIFAR_RECIPE),
}
PHOTO_METADATA = {
    "format": "pt",
    "model": "convnext_tiny",
    "classes": json.dumps(NAMES),
    "preprocessing": json.dumps(
        {"image_size": 48, "resize_size": 56, "crop_mode": "squash", "interpolation": "bilinear",
         "mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6], "round_crop": False}
    ),
    "settings": json.dumps({"model": "convnext_tiny", "image_size": 48, "lr": 5e-4, "freeze": "none"}),
}  # fmt: skip


@pytest.fixture
def images():
    return lucid.randn(2, 3, 48, 48)


def logits(model, images):
    with lucid.no_grad():
        return model.eval()(images).numpy()


def digits_model():
    return ConvNeXt(10, [1, 2], [8, 16], in_chans=1, patch_size=1, stem_type="overlap", layer_scale_init=1.0)


@pytest.mark.parametrize("family", FAMILIES)
def test_save_and_load(tmp_path, images, family):
    model = FAMILIES[family]()
    save_checkpoint(model, tmp_path / "m.safetensors", class_names=NAMES, preprocessing=PREPARED, name="pets")
    found = from_checkpoint(tmp_path / "m.safetensors")
    assert type(found) is type(model) and not found.training
    assert (found.class_names, found.preprocessing, found.checkpoint_name) == (NAMES, PREPARED, "pets")
    assert found.checkpoint_metadata["classes"] == json.dumps(NAMES)
    assert list(found.state_dict()) == list(model.state_dict())
    np.testing.assert_array_equal(logits(found, images), logits(model, images))


@pytest.mark.parametrize("family", FAMILIES)
def test_classifying_an_image(tmp_path, family):
    pytest.importorskip("PIL", reason="images are prepared with Pillow")
    save_checkpoint(FAMILIES[family](), tmp_path / "m.safetensors", class_names=NAMES, preprocessing=PREPARED)
    model = models.from_checkpoint(tmp_path / "m.safetensors")
    image = np.random.default_rng(0).integers(0, 256, (50, 60, 3), np.uint8)
    batch = model.preprocessing([image])
    assert batch.shape == (1, 3, 48, 48)
    assert model.class_names[model(batch).argmax(dim=1).item()] in NAMES


@pytest.mark.parametrize(
    ("family", "options"),
    [
        ("ConvNeXt", {"stem_type": "overlap", "patch_size": 1}),
        ("ConvNeXt", {"stem_type": "overlap", "patch_size": 2}),
        ("ConvNeXt", {"stem_type": "overlap_act", "head_norm_first": True}),
        ("ConvNeXt", {"patch_size": 2, "output_stride": 8}),
        ("ConvNeXt", {"global_pool": "avgmax", "head_hidden_size": 6, "layer_scale_init": 0.0}),
        ("ConvNeXt", {"norm_eps": 1e-3}),
        ("ConvNeXtV2", {"norm_eps": 1e-5, "head_norm_eps": 1e-2, "output_stride": 16, "in_chans": 1}),
        ("ConvNeXtV2", {"global_pool": ""}),
        ("ConvNeXtIsotropic", {"global_pool": "max", "layer_scale_init": 0.5, "norm_eps": 1e-3}),
    ],
)
def test_options_that_parameters_do_not_show_are_restored(tmp_path, family, options):
    model = FAMILIES[family](**options)
    save_checkpoint(model, tmp_path / "m.safetensors", class_names=NAMES)
    images = lucid.randn(2, options.get("in_chans", 3), 48, 48) * 1e-2  # small values make eps matter
    np.testing.assert_array_equal(logits(from_checkpoint(tmp_path / "m.safetensors"), images), logits(model, images))


def test_options_of_a_variant_are_restored(tmp_path):
    save_checkpoint(models.convnext_atto(3, output_stride=8), tmp_path / "m.safetensors", "timm")
    assert from_checkpoint(tmp_path / "m.safetensors").output_stride == 8


def test_saving_a_loaded_model_gives_the_same_file(tmp_path, images):
    first, second = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    save_checkpoint(FAMILIES["ConvNeXt"](), first, class_names=NAMES, preprocessing=PREPARED)
    save_checkpoint(from_checkpoint(first), second)
    assert first.read_bytes() == second.read_bytes()
    features = from_checkpoint(first)
    save_checkpoint(features, second, class_names=[])
    assert from_checkpoint(second).class_names == [] and from_checkpoint(second).num_classes == 3


def test_a_new_classifier_drops_the_class_names(tmp_path):
    path = tmp_path / "m.safetensors"
    save_checkpoint(FAMILIES["ConvNeXt"](), path, class_names=NAMES, preprocessing=PREPARED)
    model = from_checkpoint(path)
    model.reset_classifier(5)
    assert model.class_names is None and model.preprocessing == PREPARED
    save_checkpoint(model, path)
    assert from_checkpoint(path).class_names == [f"class {number}" for number in range(5)]


@pytest.mark.parametrize(
    ("names", "error", "message"),
    [
        (["cat", "dog"], ValueError, "class_names must have one name for each of the 3 outputs, got 2"),
        ("cat", TypeError, "class_names must be a list of strings, got 'cat'"),
        ([1, 2, 3], TypeError, r"class_names must be a list of strings, got \[1, 2, 3\]"),
    ],
)
def test_class_names_that_do_not_fit_raise(tmp_path, names, error, message):
    with pytest.raises(error, match=f"save_checkpoint: {message}"):
        save_checkpoint(FAMILIES["ConvNeXt"](), tmp_path / "m.safetensors", class_names=names)
    model = FAMILIES["ConvNeXt"]()
    model.class_names = names
    with pytest.raises(error, match=f"save_checkpoint: {message}"):
        save_checkpoint(model, tmp_path / "m.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_attributes_are_not_part_of_the_state(tmp_path, images):
    """They are copied with the model, and the model compiles."""
    save_checkpoint(FAMILIES["ConvNeXt"](), tmp_path / "m.safetensors", class_names=NAMES, preprocessing=PREPARED)
    model = from_checkpoint(tmp_path / "m.safetensors")
    assert set(model.state_dict()) == set(FAMILIES["ConvNeXt"]().state_dict())
    twin = copy.deepcopy(model)
    assert (twin.class_names, twin.preprocessing) == (NAMES, PREPARED) and twin.class_names is not model.class_names
    np.testing.assert_allclose(lucid.compile(model)(images).detach().numpy(), logits(model, images), rtol=1e-4)


# Files of version 0.1.0 -----------------------------------------------------------------------------------------------


def test_a_run_on_small_images(tmp_path):
    model = digits_model()
    lucid.save(model.state_dict(), tmp_path / "best.safetensors", CIFAR_METADATA)
    found = from_checkpoint(tmp_path / "best.safetensors")
    images = lucid.randn(2, 1, 8, 8)
    np.testing.assert_array_equal(logits(found, images), logits(model, images))
    assert found.class_names == list("0123456789") and found.checkpoint_name == "convnext"
    assert found.preprocessing == ImageTransform(8, 8, mean=(0.3,), std=(0.4,))
    assert found.stem_type == "overlap" and found.in_chans == 1 and found.checkpoint_metadata == CIFAR_METADATA


def test_a_run_on_photos(tmp_path, images):
    model = models.convnext_atto(3)
    lucid.save(model.state_dict(), tmp_path / "last.safetensors", PHOTO_METADATA)
    found = from_checkpoint(tmp_path / "last.safetensors", image_size=96)
    np.testing.assert_array_equal(logits(found, images), logits(model, images))
    assert found.class_names == NAMES and found.checkpoint_name == "convnext_tiny"
    assert asdict(found.preprocessing) == {**asdict(PREPARED), "image_size": 96, "resize_size": 112}


def test_files_have_the_metadata_that_version_0_1_0_reads():
    preprocessing = {"image_size": 8, "mean": (0.3,), "std": (0.4,)}
    digits = [str(digit) for digit in range(10)]
    assert weights_metadata("convnext", digits, preprocessing, recipe=CIFAR_RECIPE) == CIFAR_METADATA
    settings = json.loads(PHOTO_METADATA["settings"])
    assert weights_metadata("convnext_tiny", NAMES, PREPARED, settings=settings) == PHOTO_METADATA


def test_a_run_folder_loads_its_best_weights(tmp_path):
    best, last = digits_model(), digits_model()
    lucid.save(last.state_dict(), tmp_path / "last.safetensors", CIFAR_METADATA)
    (tmp_path / "history.csv").write_text("epoch\n1\n")
    images = lucid.randn(1, 1, 8, 8)
    np.testing.assert_array_equal(logits(from_checkpoint(tmp_path), images), logits(last, images))
    lucid.save(best.state_dict(), tmp_path / "best.safetensors", CIFAR_METADATA)
    np.testing.assert_array_equal(logits(from_checkpoint(str(tmp_path)), images), logits(best, images))


# Other sources --------------------------------------------------------------------------------------------------------


def test_a_file_without_metadata(tmp_path):
    save_checkpoint(models.convnext_atto(1000), tmp_path / "m.safetensors", "timm")
    model = from_checkpoint(tmp_path / "m.safetensors")
    assert model.class_names == models.imagenet_class_names(1000)
    assert model.preprocessing == models.transforms_for("convnext_atto.d2_in1k")
    assert model.checkpoint_name == "convnext_atto" and model.checkpoint_metadata == {"format": "pt"}


def test_a_model_without_classifier_has_no_class_names(tmp_path):
    save_checkpoint(FAMILIES["ConvNeXt"](0), tmp_path / "m.safetensors")
    model = from_checkpoint(tmp_path / "m.safetensors", image_size=64)
    assert model.class_names == [] and model.preprocessing == ImageTransform(64, 73)
    assert model.checkpoint_name == "m"


@pytest.mark.parametrize(("classes", "names"), [(1000, models.imagenet_class_names(1000)), (640, [])])
def test_the_name_of_a_published_checkpoint(monkeypatch, classes, names):
    model = FAMILIES["ConvNeXt"](classes)
    model.pretrained_tag = "timm/convnext_tiny.fb_in1k"
    asked = []
    monkeypatch.setattr(
        "lucid.models._from_checkpoint.create_model", lambda name, **options: asked.append((name, options)) or model
    )
    assert from_checkpoint("convnext_tiny.fb_in1k", image_size=112) is model and not model.training
    assert asked == [("convnext_tiny.fb_in1k", {"pretrained": True})]
    assert model.class_names == names and model.checkpoint_metadata == {}
    assert model.preprocessing == models.transforms_for("convnext_tiny.fb_in1k", image_size=112)
    assert model.checkpoint_name == "timm/convnext_tiny.fb_in1k"


def test_other_sources_raise(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="the folder .*empty has no weights file"):
        from_checkpoint(tmp_path / "empty")
    with pytest.raises(FileNotFoundError, match="there is no file .*m.pth"):
        from_checkpoint(str(tmp_path / "m.pth"))
    with pytest.raises(FileNotFoundError, match="there is no file .*convnext_tiny"):
        from_checkpoint(tmp_path / "convnext_tiny")
    with pytest.raises(ValueError, match="there is no model 'convnext_tinny'; did you mean "):
        from_checkpoint("convnext_tinny")
    with pytest.raises(TypeError, match="path_or_name must be a path or the name of a checkpoint, got int"):
        from_checkpoint(3)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"classes": '["cat"]'}, "'classes' in the metadata must have 3 names, one per output, got 1"),
        ({"classes": "3"}, "'classes' in the metadata must be a JSON list, got 3"),
        ({"preprocessing": "{"}, "'preprocessing' in the metadata is not JSON"),
        ({"preprocessing": '{"mean": 0.5}'}, "mean must be 3 numbers"),
        ({"options": '{"checkpoint_path": "x"}'}, "'options' in the metadata may only have .*, got 'checkpoint_path'"),
        ({"options": '{"output_stride": 7}'}, "output_stride must be 8, 16, 32 or None, got 7"),
        ({"recipe": "{}"}, "the state dict does not match ConvNeXt"),
        ({"recipe": '{"depths": 3}'}, "depths must be a sequence of integers, got 3"),
    ],
)
def test_invalid_metadata_raises(tmp_path, metadata, message):
    path = tmp_path / "m.safetensors"
    save_checkpoint(FAMILIES["ConvNeXt"](), path, metadata=metadata)
    with pytest.raises(ValueError, match=f"m.safetensors: .*{message}"):
        from_checkpoint(path)
