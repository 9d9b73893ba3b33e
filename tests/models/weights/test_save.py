"""Saving in the dialects of the four implementations, and what they cannot represent."""

import os

import mlx.core as mx
import pytest

from lucid import models, nn
from lucid.models import load_checkpoint, save_checkpoint
from lucid.models.variants import VARIANTS
from tests.models.weights.checkpoint_files import TIMM_OPTIONS, built, contents, tensors, values


def test_small_timm_models_have_pointwise_convolutions(tmp_path):
    path = tmp_path / "m.safetensors"

    def saved_shape(model, **options):
        save_checkpoint(model, path, "timm", **options)
        shapes = {name: shape for name, (_, shape, _) in contents(path)[0].items()}
        return shapes["stages.0.blocks.0.mlp.fc1.weight"]

    kind, options = VARIANTS["convnext_atto"]
    atto = kind(3, **options)
    assert saved_shape(atto) == [160, 40, 1, 1]
    assert saved_shape(atto, pointwise_convolutions=False) == [160, 40]
    assert saved_shape(built("timm")) == [24, 6]
    assert saved_shape(built("timm"), pointwise_convolutions=True) == [24, 6, 1, 1]
    fine_tuned = built("timm, 1x1 convolutions", classes=2)
    with pytest.warns(UserWarning, match="the checkpoint's classifier has 7 classes, not 2"):
        load_checkpoint(fine_tuned, tensors("timm, 1x1 convolutions"))
    assert saved_shape(fine_tuned) == [24, 6, 1, 1]  # as loaded


def test_without_pooling_timms_classifier_is_a_convolution(tmp_path):
    """Like timm 1.0 with ``global_pool=""``."""
    given = tensors("timm")
    given["head.fc.weight"] = given["head.fc.weight"].reshape(7, 22, 1, 1)
    mx.save_safetensors(str(tmp_path / "given.safetensors"), {name: mx.array(one) for name, one in given.items()})
    model = built("timm", global_pool="")
    load_checkpoint(model, tmp_path / "given.safetensors")
    assert model.head.weight.shape == (7, 22)
    for dialect, shape in [("timm", [7, 22, 1, 1]), ("torchvision", [7, 22])]:
        save_checkpoint(model, tmp_path / f"{dialect}.safetensors", dialect)
        saved = contents(tmp_path / f"{dialect}.safetensors")[0]
        assert next(one[1] for name, one in saved.items() if name in ("head.fc.weight", "classifier.2.weight")) == shape
    assert contents(tmp_path / "timm.safetensors")[0] == contents(tmp_path / "given.safetensors")[0]


@pytest.mark.parametrize(("given", "starts"), [("huggingface", {"convnext"}), ("timm", {"embeddings", "encoder"})])
def test_hugging_faces_names_without_a_classifier(given, starts, tmp_path):
    model = built("timm", classes=0)
    load_checkpoint(model, tensors(given))
    save_checkpoint(model, tmp_path / "m.safetensors", "huggingface")
    saved = contents(tmp_path / "m.safetensors")[0]
    assert {name.partition(".")[0] for name in saved} - {"layernorm"} == starts
    assert len(saved) == 63


@pytest.mark.parametrize("given", TIMM_OPTIONS, ids=str)
def test_timm_options_that_a_dialect_lacks_raise(given, tmp_path):
    model = models.ConvNeXt(3, [1], [40], **given)
    [(word, _)] = given.items()
    for dialect in ("torchvision", "huggingface"):
        message = f"{dialect} has no ConvNeXt with {word}; use dialect='timm' or 'official'"
        with pytest.raises(ValueError, match=message):
            save_checkpoint(model, tmp_path / "x.safetensors", dialect)
    assert list(tmp_path.iterdir()) == []
    save_checkpoint(model, tmp_path / "own.safetensors")
    other = models.ConvNeXt(3, [1], [40], **given)
    assert load_checkpoint(other, tmp_path / "own.safetensors").dialect == "official"
    assert values(other) == values(model)


def test_without_pooling_timms_hidden_layer_is_a_convolution(tmp_path):
    model, path = built("timm, head_hidden_size", global_pool=""), tmp_path / "m.safetensors"
    load_checkpoint(model, tensors("timm, head_hidden_size"))
    save_checkpoint(model, path, "timm")
    shapes = {name: shape for name, (_, shape, _) in contents(path)[0].items()}
    assert (shapes["head.pre_logits.fc.weight"], shapes["head.fc.weight"]) == ([9, 22, 1, 1], [7, 9, 1, 1])
    assert load_checkpoint(built("timm, head_hidden_size"), path).dialect == "timm"


def test_networks_that_a_dialect_lacks_raise(tmp_path):
    for case, dialect, message in [
        ("timm V2", "torchvision", "torchvision has no ConvNeXtV2; use dialect='official'"),
        ("official isotropic", "timm", "timm has no ConvNeXtIsotropic"),
        ("official isotropic", "huggingface", "huggingface has no ConvNeXtIsotropic"),
        ("official, no layer scale", "torchvision", "torchvision's ConvNeXt always has layer scale"),
        ("official", "tim", "dialect must be 'official', 'torchvision', 'timm' or 'huggingface', got 'tim'"),
    ]:
        with pytest.raises(ValueError, match=message):
            save_checkpoint(built(case), tmp_path / "x.safetensors", dialect)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("dialect", ["official", "timm"])
def test_added_layers_raise(dialect, tmp_path):
    model = built("timm")
    model.head = nn.Sequential(nn.Linear(22, 5), nn.Linear(5, 4))
    with pytest.raises(
        ValueError, match=r"the model's parameter 'head.0.weight' exists in no dialect; lucid.save\(model.state_dict"
    ):
        save_checkpoint(model, tmp_path / "x.safetensors", dialect)


def test_an_interrupted_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "m.safetensors"
    save_checkpoint(built("timm"), path, "timm")
    before = path.read_bytes()
    for name in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, name, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                save_checkpoint(built("timm"), path, "timm")
        assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]
