"""Folders that Lucid saves: what timm and transformers read in them, model cards, shards, and failures."""

import json
import os
import re
from dataclasses import replace

import numpy as np
import pytest

import lucid
from lucid import models, nn
from lucid.models import ImageTransform
from lucid.models.weights.timm_config import parse_timm_config, timm_config
from lucid.models.weights.transformers_config import parse_preprocessor, preprocessor_config
from tests.models.weights.checkpoint_files import contents
from tests.models.weights.folder_models import (
    built,
    logits,
    opened_by_timm,
    opened_by_transformers,
    relative_error,
    saved,
)
from tests.reference.folder_cases import CASES, CONFIGS, FILE, photo

RECORDED, WRITTEN = np.load(FILE), json.loads(CONFIGS.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", CASES)
def test_other_libraries_compute_the_same(name, tmp_path):
    """The recorded logits are those of timm or transformers from a folder with these very files."""
    folder = tmp_path / "model"
    model = saved(name, folder)
    assert relative_error(logits(model, name), RECORDED[f"{name}/logits"]) < 1e-5
    found = {f"lucid/{path.name}": json.loads(path.read_text()) for path in folder.glob("*config.json")}
    assert found == {path: content for path, content in WRITTEN[name].items() if path.startswith("lucid/")}
    again = models.from_checkpoint(folder)
    assert np.array_equal(logits(again, name), logits(model, name))
    assert again.class_names == (model.class_names or [f"class {i}" for i in range(CASES[name].classes)])
    if model.preprocessing is not None:
        assert again.preprocessing == model.preprocessing


@pytest.mark.parametrize("name", [name for name in CASES if f"{name}/pixels" in RECORDED])
def test_other_libraries_prepare_images_the_same(name):
    pytest.importorskip("PIL", reason="images are prepared with Pillow")
    found = built(name).preprocessing(photo()).numpy()[:, ::4, ::4]
    expected = RECORDED[f"{name}/pixels"].astype(np.float32)
    # transformers resizes tensors with torchvision, not images with Pillow.
    assert np.abs(found - expected).mean() < (2e-3 if CASES[name].dialect == "timm" else 2e-2)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.dialect == "timm"])
def test_timm_opens_the_folder(name, tmp_path):
    pytest.importorskip("timm", reason="compares with timm")
    model = saved(name, tmp_path / "model")
    opened, outputs, _ = opened_by_timm(tmp_path / "model", name)
    assert relative_error(logits(model, name), outputs) < 1e-5
    assert list(opened.pretrained_cfg.get("label_names", [])) == (model.class_names or [])
    from timm.models._hub import save_for_hf

    save_for_hf(opened, str(tmp_path / "back"), safe_serialization=True)
    assert relative_error(logits(models.from_checkpoint(tmp_path / "back"), name), outputs) < 1e-5


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.dialect == "huggingface"])
def test_transformers_opens_the_folder(name, tmp_path):
    pytest.importorskip("transformers", reason="compares with transformers")
    model = saved(name, tmp_path / "model", max_shard_size="8KB")
    opened, outputs, _, _ = opened_by_transformers(tmp_path / "model", name)
    assert relative_error(logits(model, name), outputs) < 1e-5
    if model.class_names:
        assert list(opened.config.id2label.values()) == model.class_names
    opened.save_pretrained(tmp_path / "back", max_shard_size="9KB")
    assert len(list((tmp_path / "back").glob("*.safetensors"))) > 1
    assert relative_error(logits(models.from_checkpoint(tmp_path / "back"), name), outputs) < 1e-5


def test_half_precision_is_kept(tmp_path):
    model = built("timm, small").half()
    models.save_pretrained(model, tmp_path / "half")
    assert {dtype for dtype, _, _ in contents(tmp_path / "half/model.safetensors")[0].values()} == {"F16"}
    found = models.from_checkpoint(tmp_path / "half")
    assert relative_error(logits(found, "timm, small"), RECORDED["timm, small/logits"]) < 1e-2


@pytest.mark.parametrize("size", [(224, 256), (224, 235), (96, 97), (288, 288), (384, 384), (384, 438), (64, 10_000)])
@pytest.mark.parametrize("mode", ["center", "squash"])
@pytest.mark.parametrize("dialect", ["timm", "huggingface"])
def test_every_size_before_the_crop_is_kept(dialect, mode, size):
    transform = ImageTransform(*size, mode)
    if dialect == "timm":
        model = models.ConvNeXt(2, (1, 1, 1, 1), (4, 4, 4, 4))
        config = timm_config("test", model, False, None, transform, None)
        assert parse_timm_config(json.loads(json.dumps(config))).preprocessing == transform
    else:
        config = json.loads(json.dumps(preprocessor_config(transform)))
        assert parse_preprocessor(config) == replace(transform, round_crop=False)


@pytest.mark.parametrize("dialect", ["timm", "huggingface"])
def test_the_rounding_of_the_crop_is_kept_for_lucid(dialect, tmp_path):
    for round_crop in (True, False):
        transform = ImageTransform(64, 71, round_crop=round_crop)
        models.save_pretrained(built("timm, small"), tmp_path, dialect=dialect, preprocessing=transform)
        assert models.from_checkpoint(tmp_path).preprocessing == transform
        assert models.create_model(tmp_path).preprocessing == replace(transform, round_crop=dialect == "timm")


def test_an_edited_configuration_counts(tmp_path):
    saved("timm, small", tmp_path)
    path = tmp_path / "config.json"
    config = json.loads(path.read_text())
    config["label_names"] = ["un", "deux", "trois"]
    config["pretrained_cfg"]["mean"] = [0.1, 0.2, 0.3]
    path.write_text(json.dumps(config))
    found = models.from_checkpoint(tmp_path)
    assert found.class_names == ["un", "deux", "trois"] and found.preprocessing.mean == (0.1, 0.2, 0.3)


def test_the_files(tmp_path):
    model = built("huggingface, small")
    assert models.save_pretrained(model, tmp_path / "a/b", dialect="huggingface") == [
        "README.md", "config.json", "model.safetensors", "preprocessor_config.json",
    ]  # fmt: skip
    written = models.save_pretrained(model, tmp_path / "a/b", dialect="huggingface", max_shard_size=6000)
    shards = [name for name in written if name.startswith("model-")]
    assert written == ["README.md", "config.json", *shards, "model.safetensors.index.json", "preprocessor_config.json"]
    index = json.loads((tmp_path / "a/b/model.safetensors.index.json").read_text())
    weights = {shard: contents(tmp_path / "a/b" / shard) for shard in shards}
    assert index["weight_map"] == {name: shard for shard, (tensors, _) in weights.items() for name in tensors}
    sizes = {shard: sum(len(data) for _, _, data in tensors.values()) for shard, (tensors, _) in weights.items()}
    assert index["metadata"] == {"total_size": sum(sizes.values())}
    assert all(size <= 6000 or len(weights[shard][0]) == 1 for shard, size in sizes.items())
    assert all(metadata["format"] == "pt" for _, metadata in weights.values())
    assert sorted(path.name for path in (tmp_path / "a/b").iterdir()) == written  # the single file is gone
    models.save_pretrained(model, tmp_path / "a/b")
    assert sorted(path.name for path in (tmp_path / "a/b").iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
    ]


def test_other_files_in_the_folder_stay(tmp_path):
    for name in ("notes.txt", "pytorch_model.bin", "modelling.safetensors"):
        (tmp_path / name).write_text("mine")
    saved("timm, small", tmp_path)
    saved("timm, small", tmp_path)
    assert {(tmp_path / name).read_text() for name in ("notes.txt", "pytorch_model.bin", "modelling.safetensors")} == {
        "mine"
    }


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.json", '{"port": 8080}', "a file config.json that does not describe a model, which would be replaced"),
        ("config.json", "[1]", "a file config.json that does not describe a model"),
        ("config.json", "{", "a file config.json that does not describe a model"),
        ("config.json", None, "a file config.json that does not describe a model"),
        ("model.safetensors", "mine", "a file model.safetensors without a config.json, which would be replaced"),
        ("model-1-of-2.safetensors", "mine", "a file model-1-of-2.safetensors without a config.json"),
        ("preprocessor_config.json", "{}", "a file preprocessor_config.json without a config.json"),
    ],
)
def test_files_of_something_else_are_not_replaced(tmp_path, name, content, message):
    path = tmp_path / name
    path.mkdir() if content is None else path.write_text(content)
    with pytest.raises(ValueError, match=f"save_pretrained: .* has {message}"):
        saved("timm, small", tmp_path)
    assert [one.name for one in tmp_path.iterdir()] == [name] and (content is None or path.read_text() == content)


@pytest.mark.parametrize("content", ['{"architecture": "vit"}', '{"architectures": []}', '{"model_type": "bert"}'])
def test_files_of_another_model_are_replaced(tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    (tmp_path / "model.safetensors").write_text("")
    saved("timm, small", tmp_path)
    assert models.from_checkpoint(tmp_path)


def test_an_edited_model_card_stays(tmp_path):
    saved("timm, small", tmp_path)
    readme = tmp_path / "README.md"
    first = readme.read_text()
    saved("timm, small", tmp_path, license="mit")
    assert "license: mit" in readme.read_text() != first
    readme.write_text(readme.read_text().replace("## Use", "Made with love.\n\n## Use"))
    edited = readme.read_text()
    assert "README.md" not in models.save_pretrained(built("timm, small"), tmp_path)
    assert readme.read_text() == edited


@pytest.mark.parametrize("when", ["weights", "config", "rename"])
@pytest.mark.parametrize("new", [True, False])
def test_a_failed_save_leaves_what_was_there(tmp_path, monkeypatch, when, new):
    folder = tmp_path / "a/model"
    if not new:
        saved("timm, small", folder)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    def fail(*args, **kwargs):
        raise OSError(28, "No space left on device")

    target = {"weights": "save_shards", "config": "write_atomically"}.get(when)
    if target:
        monkeypatch.setattr(f"lucid.models.weights.save_folder.{target}", fail)
    else:
        replace = os.replace
        monkeypatch.setattr(
            os, "replace", lambda a, b: fail() if str(b) == str(folder / "README.md") else replace(a, b)
        )
    with pytest.raises(OSError, match="No space left"):
        models.save_pretrained(built("timm, V2"), folder)
    monkeypatch.undo()
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert new or list(folder.iterdir())
    assert not new or list(tmp_path.iterdir()) == []


def test_the_license_of_the_weights_it_came_from(tmp_path, monkeypatch):
    model = models.create_model("convnextv2_atto.fcmae_ft_in1k")
    models.save_pretrained(model, tmp_path)  # random weights
    assert "\nlicense:" not in (tmp_path / "README.md").read_text()
    model.load_report = models.LoadReport("", "timm", (), "", "convnextv2_atto")
    models.save_pretrained(model, tmp_path)
    card = (tmp_path / "README.md").read_text()
    assert "\nlicense: cc-by-nc-4.0\n" in card and "\nbase_model: timm/convnextv2_atto.fcmae_ft_in1k\n" in card
    assert json.loads((tmp_path / "config.json").read_text())["pretrained_cfg"]["license"] == "cc-by-nc-4.0"


def test_the_recipe_of_a_training_run(tmp_path):
    model = built("timm, small")
    settings = {
        "model": "convnext_tiny",
        "pretrained": True,
        "weights": "",
        "lr": 5e-4,
        "photos": "/home/me/secret/pets",
    }
    model.checkpoint_metadata = {"settings": json.dumps(settings)}
    models.save_pretrained(model, tmp_path, metrics={"top-1 accuracy": 0.934}, name="Pets | *and* more")
    card = (tmp_path / "README.md").read_text()
    assert r"| lr | 0.0005 |" in card and "| photos | pets |" in card and "secret" not in card
    assert r"| top-1 accuracy | 93.40% |" in card and "base_model: timm/convnext_tiny.in12k_ft_in1k" in card
    assert "# Pets | *and* more" in card


# What cannot be saved ------------------------------------------------------------------------------------------------

SMALL = {"depths": (1, 1, 1, 1), "dims": (8, 8, 8, 8)}


@pytest.mark.parametrize(
    ("dialect", "options", "message"),
    [
        (
            "timm",
            {"depths": (1, 1), "dims": (4, 8)},
            "4 stages, the model has 2; dialect='huggingface' takes any number",
        ),
        ("timm", {"patch_size": 2}, "another downsampling after a stem with patch_size=2"),
        ("timm", {"stem_type": "overlap", "patch_size": 2}, "overlapping stems of stride 4 only, the model's has 2"),
        ("timm", {"patch_size": 8}, "a total stride of at most 32, the model's is 64"),
        (
            "timm",
            {"head_norm_eps": 1e-3},
            "one eps for all norms, the model's final norm has 0.001 and the others 1e-06",
        ),
        ("huggingface", {"stem_type": "overlap"}, "no stem_type; dialect='timm' does"),
        ("huggingface", {"stem_type": "overlap", "patch_size": 1}, "no stem_type; dialect='timm' does"),
        ("huggingface", {"head_hidden_size": 5}, "no head_hidden_size; dialect='timm' does"),
        ("huggingface", {"head_norm_first": True}, "no head_norm_first; dialect='timm' does"),
        ("huggingface", {"global_pool": "max"}, "average pooling only, the model has global_pool='max'"),
        ("huggingface", {"output_stride": 16}, "no output_stride, the model has output_stride=16"),
        ("huggingface", {"norm_eps": 1e-5}, "norms with eps 1e-06, the model's have 1e-05"),
    ],
)
def test_models_that_a_library_lacks_raise(dialect, options, message, tmp_path):
    model = models.ConvNeXt(2, **{**SMALL, **options})
    with pytest.raises(ValueError, match=f"save_pretrained: .*ConvNeXt.* has {re.escape(message)}"):
        models.save_pretrained(model, tmp_path / "model", dialect=dialect)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("dialect", ["timm", "huggingface"])
def test_isotropic_networks_raise(dialect, tmp_path):
    with pytest.raises(ValueError, match=r"has no ConvNeXtIsotropic; save_checkpoint writes one for Lucid"):
        models.save_pretrained(models.ConvNeXtIsotropic(2, 1, 8), tmp_path / "model", dialect=dialect)


@pytest.mark.parametrize("dialect", ["timm", "huggingface"])
def test_quantized_layers_raise(dialect, tmp_path):
    model = lucid.quantize(models.ConvNeXt(2, (1, 1, 1, 1), (64, 64, 64, 64)))
    message = rf"save_pretrained: {dialect} has no quantized layers; .*lucid.dequantize\(model\) gives full weights"
    with pytest.raises(ValueError, match=message):
        models.save_pretrained(model, tmp_path / "model", dialect=dialect)
    assert list(tmp_path.iterdir()) == []


def test_wrong_arguments_raise(tmp_path):
    model = models.ConvNeXt(2, **SMALL)
    (tmp_path / "file").write_text("")
    (tmp_path / "run").mkdir()
    (tmp_path / "run/best.safetensors").write_text("")
    for error, message, folder, options in [
        (ValueError, "dialect must be 'timm' or 'huggingface', got 'torchvision'", "x", {"dialect": "torchvision"}),
        (ValueError, "class_names must have one name for each of the 2 outputs, got 1", "x", {"class_names": ["cat"]}),
        (TypeError, "class_names must be a list of strings, got 'cat'", "x", {"class_names": "cat"}),
        (ValueError, 'max_shard_size must be a number of bytes or a string such as "5GB", got \'5 apples\'', "x",
         {"max_shard_size": "5 apples"}),
        (ValueError, "max_shard_size must be a number of bytes .* got 0", "x", {"max_shard_size": 0}),
        (ValueError, "timm reads no shards; max_shard_size needs dialect=", "x", {"max_shard_size": "1KB"}),
        (NotADirectoryError, "file is a file, not a folder", "file", {}),
        (ValueError, "run has best.safetensors, so it is the folder of a training run; choose another one", "run", {}),
    ]:  # fmt: skip
        with pytest.raises(error, match=f"save_pretrained: .*{message}"):
            models.save_pretrained(model, tmp_path / folder, **options)
    with pytest.raises(TypeError, match="save_pretrained: model must be a ConvNeXt, got Linear"):
        models.save_pretrained(nn.Linear(2, 2), tmp_path / "x")
    with pytest.raises(TypeError, match="model must be a ConvNeXt, got FeatureListNet, which has no head"):
        models.save_pretrained(models.FeatureListNet(model), tmp_path / "x")
    assert not (tmp_path / "x").exists()
