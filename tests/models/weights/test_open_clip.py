"""Checkpoints of OpenCLIP and DINOv3: how their images are prepared, names, and folders on the hub."""

import json
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import lucid
from lucid import models
from lucid.models import ImageTransform
from lucid.models._from_checkpoint import _clip_transform, _default_transform
from lucid.models.weights.detect import find_networks
from lucid.models.weights.folder_config import FolderConfig
from lucid.models.weights.open_clip_config import OPEN_CLIP_CONFIG, clip_transform, parse_open_clip_config
from lucid.models.weights.tags import _OPEN_CLIP, CLIP_MEAN, CLIP_STD, TAGS, find_tag
from lucid.models.weights.timm_config import parse_timm_config
from lucid.serialization import open_checkpoint
from tests.reference.checkpoint_cases import CLASSES, DIMS, extract

CONFIG = {
    "model_cfg": {
        "embed_dim": CLASSES,
        "vision_cfg": {"timm_model_name": "convnext_base", "timm_proj": "linear", "image_size": 64},
        "text_cfg": {"width": 640},
    },
    "preprocess_cfg": {"mean": list(CLIP_MEAN), "std": list(CLIP_STD)},
}
CLIP = ImageTransform(64, 64, mean=CLIP_MEAN, std=CLIP_STD)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return extract(tmp_path_factory.mktemp("checkpoints"))


def open_clip_folder(folder, tmp_path, config=CONFIG):
    path = tmp_path / OPEN_CLIP_CONFIG
    if config is not None:
        path.write_text(config if isinstance(config, str) else json.dumps(config))
    for file in ("open_clip_model.safetensors", "open_clip_pytorch_model.bin"):
        (tmp_path / file).write_bytes((folder / "open_clip_folder" / file).read_bytes())
    return tmp_path


@pytest.mark.parametrize("file", ["", "open_clip_model.safetensors", "open_clip_pytorch_model.bin"])
def test_images_are_prepared_as_the_configuration_says(folder, tmp_path, file):
    model = models.from_checkpoint(open_clip_folder(folder, tmp_path) / file)
    assert model.preprocessing == CLIP and model.class_names == []
    assert models.from_checkpoint(tmp_path / file, image_size=96).preprocessing == replace(
        CLIP, image_size=96, resize_size=96
    )
    report = model.load_report
    assert report.prefix == "visual.trunk." and report.dialect == "timm"
    left_out = {name for name, reason in report.skipped.items() if reason == "not part of the network"}
    assert {"logit_scale", "text_projection", "positional_embedding"} < left_out


def test_a_saved_image_tower_opens_again(folder, tmp_path):
    model = models.from_checkpoint(open_clip_folder(folder, tmp_path))
    models.save_checkpoint(model, tmp_path / "own.safetensors")
    again = models.from_checkpoint(tmp_path / "own.safetensors")
    assert again.preprocessing == CLIP and again.class_names == [] and again.num_classes == CLASSES


@pytest.mark.parametrize("config", [None, {}, {"preprocess_cfg": {}}])
def test_without_a_configuration_images_are_prepared_as_by_default(folder, tmp_path, config):
    model = models.from_checkpoint(open_clip_folder(folder, tmp_path, config))
    assert model.preprocessing == ImageTransform(224, 224, mean=CLIP_MEAN, std=CLIP_STD) == clip_transform()


@pytest.mark.parametrize(
    ("preprocess", "vision", "expected"),
    [
        ({}, {}, clip_transform()),
        ({}, {"image_size": [256, 256]}, clip_transform(256)),
        ({"size": 320}, {"image_size": 256}, clip_transform(320)),
        (
            {"resize_mode": "squash", "interpolation": "bilinear"},
            {"image_size": 32},
            ImageTransform(32, 32, "squash", "bilinear", CLIP_MEAN, CLIP_STD),
        ),
        (
            {"interpolation": "random", "mean": [0.5] * 3, "std": [0.25] * 3},
            {"image_size": 32},
            ImageTransform(32, 32, mean=(0.5,) * 3, std=(0.25,) * 3),
        ),
    ],
)
def test_configurations(preprocess, vision, expected):
    config = {"model_cfg": {"embed_dim": 8, "vision_cfg": vision}, "preprocess_cfg": preprocess}
    assert parse_open_clip_config(config, 8) == expected


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("[]", r"it must be a JSON object, got list"),
        ("{", "it is not JSON"),
        ({"model_cfg": []}, "'model_cfg' must be an object"),
        ({"model_cfg": {"embed_dim": 640}}, "'embed_dim' is 640, but the weights give embeddings of width 3"),
        (
            {"model_cfg": {"vision_cfg": {"image_size": [64, 32]}}},
            r"the side of a square in px, got \[64, 32\]",
        ),
        ({"model_cfg": {"vision_cfg": {"image_size": "64"}}}, "the side of a square in px, got '64'"),
        (
            {"model_cfg": {}, "preprocess_cfg": {"resize_mode": "longest"}},
            "must be one of shortest, squash",
        ),
        ({"model_cfg": {}, "preprocess_cfg": {"interpolation": "nearest"}}, "interpolation must be"),
        ({"model_cfg": {}, "preprocess_cfg": {"mean": [0.5] * 2}}, "mean must be 3 numbers"),
    ],
)
def test_wrong_configurations_raise(folder, tmp_path, config, message):
    with pytest.raises(ValueError, match=rf"open_clip_config\.json: .*{message}"):
        models.from_checkpoint(open_clip_folder(folder, tmp_path, config))


def test_a_projection_with_a_bias(folder, tmp_path):
    """OpenCLIP's ``timm_proj_bias``."""
    tensors = lucid.load(folder / "open_clip.pt")
    bias = lucid.tensor([1.0, 2.0, 3.0])
    lucid.save({**tensors, "visual.head.proj.bias": bias}, tmp_path / "m.safetensors")
    assert models.from_checkpoint(tmp_path / "m.safetensors").head.bias.tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("variant", "width", "size"),
    [("convnext_base", 640, 256), ("convnext_base", 512, 224), ("convnext_tiny", 1024, 224)],
)
def test_widths_of_published_image_towers(variant, width, size, tmp_path):
    """That of convnext_base_w is 640, at 256 px; convnext_base has 512, at 224 px."""
    assert _clip_transform(tmp_path / "w.pt", variant, width, None) == clip_transform(size)


# Names ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "timm"),
    [
        ("laion/CLIP-convnext_base_w-laion2B-s13B-b82K", "convnext_base.clip_laion2b"),
        (
            "hf-hub:laion/CLIP-convnext_base_w_320-laion_aesthetic-s13B-b82K-augreg",
            "convnext_base.clip_laiona_augreg_320",
        ),
        (
            "hf-hub:laion/CLIP-convnext_large_d_320.laion2B-s29B-b131K-ft-soup",
            "convnext_large_mlp.clip_laion2b_ft_soup_320",
        ),
        ("laion/CLIP-convnext_xxlarge-laion2B-s34B-b82K-augreg-rewind", "convnext_xxlarge.clip_laion2b_rewind"),
    ],
)
def test_names_of_open_clip(name, timm):
    tag = find_tag(name)
    assert tag is TAGS[f"timm/{timm}"] and (tag.mean, tag.std) == (CLIP_MEAN, CLIP_STD)
    assert models.transforms_for(name) == clip_transform(tag.image_size)


def test_every_projection_of_timm_has_a_name_of_open_clip():
    """Those without a classifier: their outputs are embeddings."""
    projections = {tag.name for tag in TAGS.values() if ".clip_" in tag.name and "_ft_in" not in tag.name}
    assert {f"timm/{name}" for name in _OPEN_CLIP.values()} == projections and len(projections) == 10


def test_a_revision_is_that_of_the_own_repository(hub, folder):
    repository = "laion/CLIP-convnext_base_w-laion2B-s13B-b82K"
    with pytest.raises(ValueError, match="is no checkpoint of timm; from_checkpoint opens 'hf-hub:laion/CLIP-"):
        find_tag(f"{repository}@v1")
    publish(hub, repository, folder)
    assert models.from_checkpoint(f"hf-hub:{repository}@v1").preprocessing == CLIP


# The hub --------------------------------------------------------------------------------------------------------------


def publish(hub, repository, folder, weights="open_clip_pytorch_model.bin"):
    hub.files[repository, OPEN_CLIP_CONFIG] = json.dumps(CONFIG).encode()
    hub.files[repository, weights] = (folder / "open_clip_folder" / weights).read_bytes()


@pytest.mark.parametrize("weights", ["open_clip_model.safetensors", "open_clip_pytorch_model.bin"])
def test_a_repository_of_open_clip_opens(hub, folder, weights):
    publish(hub, "me/clip", folder, weights)
    model = models.from_checkpoint("hf-hub:me/clip")
    assert model.preprocessing == CLIP and model.class_names == [] and model.num_classes == CLASSES
    before = len(hub.downloads())
    assert np.array_equal(
        models.from_checkpoint("hf-hub:me/clip").head.weight.detach().numpy(), model.head.weight.detach().numpy()
    )
    assert len(hub.downloads()) == before


# timm -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tag", "names"),
    [("clip_laion2b_augreg", []), ("clip_laion2b_soup_ft_in12k_in1k_320", None), ("fb_in1k", None), ("", None)],
)
def test_timms_folders_of_projections_have_no_classes(tag, names):
    config = {"architecture": "convnext_base", "num_classes": 640, "pretrained_cfg": {"tag": tag, "num_classes": 640}}
    found = parse_timm_config(config)
    assert isinstance(found, FolderConfig) and found.class_names == names and found.num_classes == 640


# DINOv3 ---------------------------------------------------------------------------------------------------------------

# As in facebook/dinov3-convnext-tiny-pretrain-lvd1689m.
DINOV3 = {
    "architectures": ["DINOv3ConvNextModel"], "depths": [1, 1, 1, 1], "drop_path_rate": 0.0, "hidden_act": "gelu",
    "hidden_sizes": list(DIMS), "image_size": 224, "initializer_range": 0.02, "layer_norm_eps": 1e-06,
    "layer_scale_init_value": 1e-06, "model_type": "dinov3_convnext", "num_channels": 3,
}  # fmt: skip
PROCESSOR = {
    "crop_size": None, "do_center_crop": None, "do_convert_rgb": None, "do_normalize": True, "do_rescale": True,
    "do_resize": True, "image_mean": [0.485, 0.456, 0.406], "image_processor_type": "DINOv3ViTImageProcessorFast",
    "image_std": [0.229, 0.224, 0.225], "resample": 2, "rescale_factor": 1 / 255, "size": {"height": 224, "width": 224},
}  # fmt: skip


def dinov3_folder(folder, tmp_path, config=None, processor=PROCESSOR):
    (tmp_path / "config.json").write_text(json.dumps({**DINOV3, **(config or {})}))
    if processor:
        (tmp_path / "preprocessor_config.json").write_text(json.dumps(processor))
    (tmp_path / "model.safetensors").write_bytes((folder / "dinov3_transformers.safetensors").read_bytes())
    return tmp_path


def test_dinov3s_folder_opens(folder, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = models.from_checkpoint(dinov3_folder(folder, tmp_path))
    assert model.preprocessing == ImageTransform(224, 224, "squash", "bilinear", round_crop=False)
    assert model.class_names == [] and model.num_classes == 0 and model.load_report.dialect == "dinov3"
    assert {one.eps for one in model.modules() if isinstance(one, lucid.nn.LayerNorm)} == {1e-6}
    with pytest.warns(UserWarning, match="the checkpoint has no classifier"):
        assert models.create_model(f"local-dir:{tmp_path}", num_classes=4).num_classes == 4


@pytest.mark.parametrize("with_folder", [True, False])
def test_without_a_processor_dinov3_is_prepared_as_in_timm(folder, tmp_path, with_folder):
    """timm's crop takes all of the short side, those of other checkpoints 7/8 of it."""
    path = (
        dinov3_folder(folder, tmp_path, processor=None) if with_folder else folder / "dinov3_transformers.safetensors"
    )
    assert models.from_checkpoint(path).preprocessing.image_size == 224  # of no variant
    assert _default_transform("convnext_tiny", "dinov3", None, "dinov3_") == ImageTransform(224, 224)
    assert _default_transform("convnext_tiny", "timm", None) != ImageTransform(224, 224)


@pytest.mark.parametrize("file", ["dinov3_transformers.safetensors", "dinov3_meta.pth", "state_dict.pth"])
def test_dinov3_is_recognized(folder, file):
    [network] = find_networks(open_checkpoint(Path(folder) / file).content)
    assert network.is_dinov3 == file.startswith("dinov3") and not network.is_clip
