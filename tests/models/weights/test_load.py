"""Checkpoints of the four implementations, loaded and saved again: values, bytes, and what is refused."""

import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest

import lucid
from lucid import models, nn
from lucid.models import FeatureListNet, MismatchError, load_checkpoint, save_checkpoint
from lucid.models.variants import VARIANTS
from lucid.models.weights import load
from tests.reference.convnext_cases import numbers
from tests.reference.dialect_cases import CASES, FILE, PYTORCH_FILE, value

RECORDED = np.load(FILE)


def built(case, classes=None, **options):
    one = CASES[case]
    options = {"in_chans": one.in_chans, "patch_size": one.patch_size, **one.forms, **options}
    classes = one.classes if classes is None else classes
    if one.family == "ConvNeXtIsotropic":
        return models.ConvNeXtIsotropic(classes, one.depths[0], one.dims[0], **options)
    if one.family == "ConvNeXt":
        options["layer_scale_init"] = float(one.scaled)
    return getattr(models, one.family)(classes, one.depths, one.dims, **options)


def tensors(case):
    """The checkpoint as the implementation has it."""
    return {name: value(case, name, tuple(shape)) for name, shape in json.loads(str(RECORDED[f"{case}/parameters"]))}


def written(case, path):
    mx.save_safetensors(str(path), {name: mx.array(array) for name, array in tensors(case).items()})
    return path


def contents(path):
    """The names, dtypes, shapes and bytes of a safetensors file, and its metadata: read by hand."""
    data = path.read_bytes()
    [length] = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    metadata = header.pop("__metadata__", {})
    body = data[8 + length :]
    return {k: (v["dtype"], v["shape"], body[slice(*v["data_offsets"])]) for k, v in header.items()}, metadata


def values(model):
    return {name: tensor.tolist() for name, tensor in model.state_dict().items()}


def relative_error(got, wanted):
    assert got.shape == wanted.shape
    return np.abs(got.numpy() - wanted).max() / np.abs(wanted).max()


@pytest.mark.parametrize("case", CASES)
def test_features_and_logits_are_those_of_the_implementation_and_bytes_come_back(case, tmp_path):
    source, target = written(case, tmp_path / "given.safetensors"), tmp_path / "saved.safetensors"
    model = built(case).eval()
    report = load_checkpoint(model, source)
    assert report.dialect == CASES[case].implementation and not report.skipped and not report.kept
    assert report.loaded == len(model.state_dict())

    images = lucid.tensor(numbers(f"{case}/images", CASES[case].image_shape))
    with lucid.no_grad():
        x = model.forward_features(images)
        assert relative_error(model.forward_head(x, pre_logits=True), RECORDED[f"{case}/features"]) < 1e-5
        if CASES[case].classes:
            assert relative_error(model(images), RECORDED[f"{case}/logits"]) < 1e-5
        recorded = [key for key in RECORDED.files if key.startswith(f"{case}/map")]
        for i, got in enumerate(model.forward_intermediates(images, intermediates_only=True) if recorded else ()):
            assert relative_error(got, RECORDED[f"{case}/map {i}"]) < 1e-5

    save_checkpoint(model, target, dialect=report.dialect)
    saved, metadata = contents(target)
    assert saved == contents(source)[0]
    assert metadata == {"format": "pt"}


@pytest.mark.parametrize("dialect", ["official", "torchvision", "timm", "huggingface"])
def test_from_dialect_to_dialect_and_back(dialect, tmp_path):
    source = written("torchvision", tmp_path / "given.safetensors")
    first, second = built("torchvision"), built("torchvision")
    load_checkpoint(first, source)
    save_checkpoint(first, tmp_path / "there.safetensors", dialect, metadata={"epoch": "3"})
    assert contents(tmp_path / "there.safetensors")[1] == {"format": "pt", "epoch": "3"}
    assert load_checkpoint(second, tmp_path / "there.safetensors").dialect == dialect
    assert values(first) == values(second)
    save_checkpoint(second, tmp_path / "back.safetensors", "torchvision")
    assert contents(tmp_path / "back.safetensors")[0] == contents(source)[0]


def test_a_compiled_module_takes_and_gives_the_weights_of_the_module(tmp_path):
    source, model = (models.ConvNeXt(3, [1], [2], patch_size=4) for _ in range(2))
    images = lucid.randn(1, 3, 4, 4)
    run = lucid.compile(model)
    assert not lucid.equal(run(images), source(images))
    save_checkpoint(lucid.compile(source), tmp_path / "m.safetensors")
    report = load_checkpoint(run, tmp_path / "m.safetensors")
    assert report.loaded == len(model.state_dict()) and model.load_report is report
    assert lucid.allclose(run(images), source(images), rtol=1e-5)


def test_timm_has_convolutions_for_linear_layers_in_its_small_models(tmp_path):
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
    assert saved_shape(fine_tuned) == [24, 6, 1, 1]  # as it came


def test_the_classifier_of_maps_is_a_convolution_in_timm(tmp_path):
    """As timm 1.0 builds it with ``global_pool=""``."""
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
def test_names_of_hugging_face_without_a_classifier(given, starts, tmp_path):
    model = built("timm", classes=0)
    load_checkpoint(model, tensors(given))
    save_checkpoint(model, tmp_path / "m.safetensors", "huggingface")
    saved = contents(tmp_path / "m.safetensors")[0]
    assert {name.partition(".")[0] for name in saved} - {"layernorm"} == starts
    assert len(saved) == 63


def wrap(names, *keys, **others):
    for key in reversed(keys):
        names = {key: names, **others}
    return names


@pytest.mark.parametrize(
    "packed",
    [
        lambda names: wrap(names, "model", epoch=3, optimizer={"state": {}}),
        lambda names: wrap(names, "state_dict"),
        lambda names: wrap({f"module.{name}": one for name, one in names.items()}, "checkpoint", "network"),
        lambda names: {f"_orig_mod.{name}": one for name, one in names.items()},
        lambda names: {"n_averaged": np.array(3), **{f"module.{name}": one for name, one in names.items()}},
        lambda names: {"model": {name: 0 * one for name, one in names.items()}, "model_ema": names},
        lambda names: {"state_dict_ema": names, "state_dict": {name: 0 * one for name, one in names.items()}},
    ],
)
@pytest.mark.parametrize("case", ["official", "timm", "torchvision", "huggingface"])
def test_wrappers_and_prefixes(case, packed):
    plain, model = built(case), built(case)
    load_checkpoint(plain, tensors(case))
    report = load_checkpoint(model, packed(tensors(case)))
    assert values(model) == values(plain)
    assert set(report.skipped) <= {"n_averaged"}


def test_a_file_of_pytorch_with_its_average():
    plain, average = built("official, small"), built("official, small")
    report = load_checkpoint(plain, PYTORCH_FILE, use_ema=False)
    assert report.wrapper == ("model",) and "from float16 to float32" in report.changes[0]
    assert load_checkpoint(average, str(PYTORCH_FILE)).wrapper == ("model_ema",)
    for name, tensor in plain.state_dict().items():
        half = value("official, small", name, tensor.shape).astype(np.float16)
        np.testing.assert_array_equal(tensor.numpy(), half)
        np.testing.assert_allclose(average.state_dict()[name].numpy(), 2 * half, rtol=2e-3)


@pytest.mark.parametrize("dtype", [mx.float16, mx.bfloat16])
def test_half_precision_stays_bit_exact_in_a_model_of_half_precision(dtype, tmp_path):
    source, target = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    mx.save_safetensors(str(source), {name: mx.array(one).astype(dtype) for name, one in tensors("timm").items()})
    model = built("timm").to(dtype)
    assert load_checkpoint(model, source).changes == []
    save_checkpoint(model, target, "timm")
    assert contents(source)[0] == contents(target)[0]


# What differs, and how loudly ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", ["official", "timm", "torchvision", "huggingface V2", "official isotropic"])
def test_a_classifier_of_another_size_is_replaced_loudly(case):
    model, whole = built(case, classes=4), built(case)
    head = model.head.weight.tolist()
    with pytest.warns(UserWarning, match="the mapping: the checkpoint's classifier has 7 classes, not 4; the model"):
        report = load_checkpoint(model, tensors(case))
    load_checkpoint(whole, tensors(case))
    assert model.head.weight.tolist() == head
    assert model.norm.weight.tolist() == whole.norm.weight.tolist()
    assert list(report.kept) == ["head.weight", "head.bias"] and len(report.skipped) == 2
    assert set(report.skipped.values()) == {"a classifier of 7 classes, the model has 4"}
    assert report.loaded == len(model.state_dict()) - 2
    assert "skipped" in str(report) and "a classifier of 7 classes, the model has 4" in str(report)


def test_a_model_without_classifier_takes_the_rest_without_a_warning():
    model = built("torchvision", classes=0)
    report = load_checkpoint(model, tensors("torchvision"))
    assert report.skipped == dict.fromkeys(["classifier.2.weight", "classifier.2.bias"], "the model has no classifier")


def test_a_checkpoint_without_classifier_leaves_the_model_its_own_loudly():
    model = built("huggingface, no classifier", classes=4)
    with pytest.warns(UserWarning, match="the checkpoint has no classifier; the model keeps its own head.weight"):
        report = load_checkpoint(model, tensors("huggingface, no classifier"))
    assert report.loaded == 63


def test_a_checkpoint_of_self_supervised_training_has_no_final_norm_either():
    given = {name: one for name, one in tensors("official V2").items() if not name.startswith(("norm.", "head."))}
    with pytest.warns(UserWarning, match="has no final norm and classifier; the model keeps its own norm.weight"):
        load_checkpoint(built("official V2"), given)
    del given["stages.0.0.norm.bias"]
    with pytest.raises(MismatchError, match="missing: stages.0.0.norm.bias"):
        load_checkpoint(built("official V2"), given)


def test_other_channels_give_the_stem_of_timm():
    grey, colour = built("timm", in_chans=1).eval(), built("timm").eval()
    report = load_checkpoint(grey, tensors("timm"))
    load_checkpoint(colour, tensors("timm"))
    assert report.changes == ["the stem from 3 to 1 channels"] and not report.kept
    image = lucid.randn(1, 1, 40, 40)
    with lucid.no_grad():
        assert lucid.allclose(grey(image), colour(image.expand(1, 3, 40, 40)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("out_indices", [None, (0, 2), (1,)])
def test_a_pyramid_takes_what_it_has(out_indices):
    model, whole = FeatureListNet(built("timm"), out_indices).eval(), built("timm").eval()
    report = load_checkpoint(model, tensors("timm"))
    load_checkpoint(whole, tensors("timm"))
    assert {"the model has no classifier", "the model has no final norm"} <= set(report.skipped.values())
    assert len(report.skipped) + report.loaded == 65
    image = lucid.randn(1, 3, 40, 40)
    with lucid.no_grad():
        maps = whole.forward_intermediates(image, intermediates_only=True)
        for got, i in zip(model(image), out_indices or range(4), strict=True):
            assert lucid.equal(got, maps[i])


def test_the_eps_of_hugging_faces_final_norm(tmp_path):
    path = written("huggingface", tmp_path / "model.safetensors")
    model = built("huggingface")
    assert "eps of the model's final norm from 1e-06 to 1e-12" in load_checkpoint(model, path).changes
    assert model.norm.eps == 1e-12
    (tmp_path / "config.json").write_text('{"layer_norm_eps": 1e-5}')
    load_checkpoint(model, path)
    assert model.norm.eps == 1e-5
    load_checkpoint(model, tensors("timm"))
    assert model.norm.eps == 1e-6
    chosen = built("huggingface", head_norm_eps=1e-3)
    load_checkpoint(chosen, path)
    assert chosen.norm.eps == 1e-3


# What is refused -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("made", "model", "message"),
    [
        (
            lambda: models.convnext_small(3),
            lambda: models.convnext_tiny(3),
            r"holds convnext_small = ConvNeXt\(.*\), the model is convnext_tiny = ConvNeXt\(.*\). Nothing was loaded; "
            r"lucid.models.create_model\('convnext_small'\) takes it$",
        ),
        (
            lambda: built("official V2"),
            lambda: built("official"),
            r"holds ConvNeXtV2\(depths=\[1, 2, 1, 1\].* the model is ConvNeXt\(depths.*"
            r"lucid.models.ConvNeXtV2\(.*\) takes it; the nearest variant is convnextv2_atto",
        ),
        (lambda: built("official isotropic"), lambda: built("official"), r"holds ConvNeXtIsotropic\(depth=3, dim=11\)"),
        (lambda: built("official"), lambda: built("official, no layer scale", in_chans=3), "layer_scale_init=0"),
        (lambda: models.ConvNeXt(7, [1, 2, 1], [6, 10, 14]), lambda: built("official"), r"depths=\[1, 2, 1\]"),
    ],
)
@pytest.mark.parametrize("strict", [True, False])
def test_another_architecture_is_refused_by_name(made, model, message, strict):
    model = model()
    before = {name: tensor._array for name, tensor in model.state_dict().items()}
    with pytest.raises(MismatchError, match=message):
        load_checkpoint(model, made().state_dict(), strict=strict)
    assert all(tensor._array is before[name] for name, tensor in model.state_dict().items())


def test_forms_of_timm_that_are_not_supported_are_named():
    added = "stages.0.downsample.1.weight"
    with pytest.raises(MismatchError, match=f"the mapping has module.{added}: timm's form .*patch_size=2"):
        load_checkpoint(built("timm"), {f"module.{name}": np.ones(3) for name in [*tensors("timm"), added]})
    given = {name: one for name, one in tensors("timm").items() if not name.endswith("norm.bias")}
    with pytest.raises(MismatchError, match="_rms"):
        load_checkpoint(built("timm"), given)


FORMS = [
    {"stem_type": "overlap"}, {"stem_type": "overlap_tiered"}, {"stem_type": "overlap_act"}, {"head_norm_first": True},
    {"head_hidden_size": 9}, {"head_hidden_size": 8},
]  # fmt: skip


@pytest.mark.parametrize("given", FORMS, ids=str)
def test_every_form_is_told_from_the_others(given):
    """Also without classes, where less is there to tell them by."""
    for classes in (0, 3):
        source = models.ConvNeXt(classes, [1, 1], [40, 48], **given).state_dict()
        for form in ({}, *FORMS):
            model = models.ConvNeXt(classes, [1, 1], [40, 48], **form)
            if form == given:
                assert load_checkpoint(model, source).architecture.startswith("ConvNeXt(")
            else:
                with pytest.raises(MismatchError, match="takes it; the nearest variant is convnext_"):
                    load_checkpoint(model, source)


@pytest.mark.parametrize("given", FORMS, ids=str)
def test_a_form_that_a_dialect_lacks_is_not_saved(given, tmp_path):
    model = models.ConvNeXt(3, [1], [40], **given)
    [(word, _)] = given.items()
    for dialect in ("torchvision", "huggingface"):
        message = f"{dialect} has no ConvNeXt with {word}; dialect='timm' and 'official' have it"
        with pytest.raises(ValueError, match=message):
            save_checkpoint(model, tmp_path / "x.safetensors", dialect)
    assert list(tmp_path.iterdir()) == []
    save_checkpoint(model, tmp_path / "own.safetensors")
    other = models.ConvNeXt(3, [1], [40], **given)
    assert load_checkpoint(other, tmp_path / "own.safetensors").dialect == "official"
    assert values(other) == values(model)


@pytest.mark.parametrize("case", [case for case in CASES if CASES[case].forms])
def test_a_pyramid_of_any_form_takes_what_it_has(case):
    model = FeatureListNet(built(case), (1, 3)).eval()
    report = load_checkpoint(model, tensors(case))
    assert set(report.skipped.values()) <= {
        "the model has no classifier", "the model has no final norm", "the model has no such layer"
    }  # fmt: skip
    assert report.loaded == len(model.state_dict()) and not any("norm_pre" in name for name in model.state_dict())
    with lucid.no_grad():
        images = lucid.tensor(numbers(f"{case}/images", CASES[case].image_shape))
        for i, got in zip((1, 3), model(images), strict=True):
            assert relative_error(got, RECORDED[f"{case}/map {i}"]) < 1e-5


def test_the_hidden_layer_of_maps_is_a_convolution_in_timm(tmp_path):
    model, path = built("timm, head_hidden_size", global_pool=""), tmp_path / "m.safetensors"
    load_checkpoint(model, tensors("timm, head_hidden_size"))
    save_checkpoint(model, path, "timm")
    shapes = {name: shape for name, (_, shape, _) in contents(path)[0].items()}
    assert (shapes["head.pre_logits.fc.weight"], shapes["head.fc.weight"]) == ([9, 22, 1, 1], [7, 9, 1, 1])
    assert load_checkpoint(built("timm, head_hidden_size"), path).dialect == "timm"


def test_xxlarge_has_an_eps_of_its_own():
    sizes = {"depths": (3, 4, 30, 3), "dims": (384, 768, 1536, 3072)}
    shapes = models.ConvNeXt(3, **sizes).state_dict()  # lazy: nothing of it is ever computed
    with pytest.raises(MismatchError, match="convnext_xxlarge, whose norms have eps 1e-5: build it with norm_eps=1e-5"):
        load_checkpoint(models.ConvNeXt(3, **sizes), shapes)
    assert {one.eps for one in models.convnext_xxlarge().modules() if isinstance(one, nn.LayerNorm)} == {1e-5}


def test_what_holds_no_convnext_is_refused():
    with pytest.raises(MismatchError, match="holds no ConvNeXt in any dialect; its names are conv1.weight, fc.bias$"):
        load_checkpoint(built("timm"), {"conv1.weight": np.ones(3), "fc.bias": np.ones(3)})
    with pytest.raises(MismatchError, match="its names are none"):
        load_checkpoint(built("timm"), {})
    with pytest.raises(MismatchError, match="no network with torchvision names, but one with timm names"):
        load_checkpoint(built("timm"), tensors("timm"), dialect="torchvision")
    with pytest.raises(ValueError, match="dialect must be 'official', .* or 'huggingface', got 'hf'"):
        load_checkpoint(built("timm"), tensors("timm"), dialect="hf")


def test_an_error_says_which_file_and_changes_nothing(tmp_path):
    path = tmp_path / "given.safetensors"
    given = {name: mx.array(one) for name, one in tensors("timm").items()}
    del given["stages.2.blocks.0.gamma"], given["stem.0.bias"]
    mx.save_safetensors(str(path), given)
    model = built("timm")
    before = values(model)
    with pytest.raises(RuntimeError, match=r"given.safetensors does not fit the model; .*\n  missing: stem.0.bias"):
        load_checkpoint(model, path)
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(ValueError, match="given.safetensors is not a complete safetensors file"):
        load_checkpoint(model, path)
    with pytest.raises(FileNotFoundError, match="there is no file .*other.safetensors"):
        load_checkpoint(model, tmp_path / "other.safetensors")
    assert values(model) == before and not hasattr(model, "load_report")


def test_scalars_under_every_name_are_refused():
    for case in ("official", "timm V2", "torchvision", "huggingface", "official isotropic"):
        with pytest.raises(MismatchError, match="Nothing was loaded"):
            load_checkpoint(built(case), {name: np.float32(0) for name in tensors(case)})


def test_names_that_are_missing_or_unknown_need_strict_off():
    given = {**tensors("timm"), "stages.0.blocks.0.mlp.extra": np.ones(3)}
    del given["stages.2.blocks.0.gamma"]
    model = built("timm")
    with pytest.raises(MismatchError, match=r"(?s)missing: stages.2.blocks.0.gamma.*unknown: stages.0.blocks.0.mlp"):
        load_checkpoint(model, given)
    with pytest.warns(UserWarning, match="missing from the checkpoint; the model keeps its own stages.2.0.gamma"):
        report = load_checkpoint(model, given, strict=False)
    assert report.kept and report.skipped == {"stages.0.blocks.0.mlp.extra": "no parameter of timm's ConvNeXt"}


def test_what_is_no_source_is_refused():
    with pytest.raises(TypeError, match=r"source must be a file, .* or a mapping such as .*, got ConvNeXt"):
        load_checkpoint(built("timm"), built("timm"))


def test_what_is_no_convnext_is_refused():
    with pytest.raises(TypeError, match="load_checkpoint: model must be a ConvNeXt, got Linear$"):
        load_checkpoint(nn.Linear(2, 2), tensors("timm"))
    with pytest.raises(TypeError, match="save_checkpoint: model must be a ConvNeXt, got Sequential; its '1' is one"):
        save_checkpoint(nn.Sequential(nn.Identity(), built("timm")), "x.safetensors")


def test_what_a_dialect_lacks_is_not_saved(tmp_path):
    for case, dialect, message in [
        ("timm V2", "torchvision", "torchvision has no ConvNeXtV2; dialect='official' has it"),
        ("official isotropic", "timm", "timm has no ConvNeXtIsotropic"),
        ("official isotropic", "huggingface", "huggingface has no ConvNeXtIsotropic"),
        ("official, no layer scale", "torchvision", "torchvision's ConvNeXt always has layer scale"),
        ("official", "tim", "dialect must be 'official', 'torchvision', 'timm' or 'huggingface', got 'tim'"),
    ]:
        with pytest.raises(ValueError, match=message):
            save_checkpoint(built(case), tmp_path / "x.safetensors", dialect)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("dialect", ["official", "timm"])
def test_what_was_added_to_a_model_is_named(dialect, tmp_path):
    model = built("timm")
    model.head = nn.Sequential(nn.Linear(22, 5), nn.Linear(5, 4))
    with pytest.raises(ValueError, match=r"no ConvNeXt has the model's 'head.0.weight'; lucid.save\(model.state_dict"):
        save_checkpoint(model, tmp_path / "x.safetensors", dialect)


# Names and files ------------------------------------------------------------------------------------------------------


def test_the_name_of_a_published_checkpoint_is_downloaded(tmp_path, monkeypatch):
    asked = []

    def download(tag):
        asked.append(tag.name)
        return written("timm", tmp_path / "m.safetensors")

    monkeypatch.setattr(load, "download", download)
    model = built("timm")
    report = load_checkpoint(model, "convnext_tiny.fb_in1k")
    assert asked == [model.pretrained_tag] == ["timm/convnext_tiny.fb_in1k"]
    assert report.source == "convnext_tiny.fb_in1k" and report.loaded == 65
    with pytest.raises(FileNotFoundError, match="no file convnext_tiny.fb_1k, and there is no tag .*the nearest are"):
        load_checkpoint(model, "convnext_tiny.fb_1k")
    with pytest.raises(FileNotFoundError, match="load: there is no file convnext_tiny.pth$"):
        load_checkpoint(model, "convnext_tiny.pth")
    assert len(asked) == 1


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


def test_the_file_may_change_after_it_was_loaded(tmp_path):
    path = written("timm", tmp_path / "m.safetensors")
    model = built("timm")
    load_checkpoint(model, path)
    path.write_bytes(b"\0" * path.stat().st_size)
    np.testing.assert_array_equal(model.head.bias.numpy(force=True), tensors("timm")["head.fc.bias"])


def test_a_file_that_breaks_off_while_it_is_read(tmp_path, monkeypatch):
    path = written("timm", tmp_path / "m.safetensors")
    checked = load.plan_fitting

    def check_and_cut(*arguments):
        plan = checked(*arguments)
        os.truncate(path, path.stat().st_size // 2)
        return plan

    monkeypatch.setattr(load, "plan_fitting", check_and_cut)
    with pytest.raises(OSError, match=r"m.safetensors: reading broke off, \d+ of 65 tensors are replaced: "):
        load_checkpoint(built("timm"), path)


MEMORY = """
import sys
from pathlib import Path

import mlx.core as mx

from lucid import memory, models


def resident_peak():
    status = Path("/proc/self/status")  # Linux; elsewhere only what MLX counts is looked at
    lines = status.read_text().splitlines() if status.exists() else ["VmHWM: 0 kB"]
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


path, used = sys.argv[1], sys.argv[2] == "used"
model = models.ConvNeXt(10, [1, 1, 3, 1], [96, 192, 384, 768])
size = 4 * model.num_parameters()
mx.eval([p._array for p in model.parameters()] if used else [])
memory.reset()
before = resident_peak()
models.load_checkpoint(model, path)
mx.eval([p._array for p in model.parameters()])
assert model.head.bias._array[0].item() == 0.25
print(size, memory.peak() / size, (resident_peak() - before) / size)
"""


# beside: how many of the largest tensor may be there beside all others: the value it had, the one not yet converted
@pytest.mark.parametrize(("used", "dtype", "beside"), [("fresh", "float32", 0), ("used", "float16", 2)])
def test_a_checkpoint_is_in_memory_once(tmp_path, used, dtype, beside):
    model = models.ConvNeXt(10, [1, 1, 3, 1], [96, 192, 384, 768])
    path = tmp_path / "m.safetensors"
    given = {name: mx.full(tensor.shape, 0.25, getattr(mx, dtype)) for name, tensor in model.state_dict().items()}
    mx.save_safetensors(str(path), given)
    command = [sys.executable, "-c", MEMORY, str(path), used]
    done = subprocess.run(command, cwd=Path(__file__).parents[3], check=True, capture_output=True, text=True)
    size, peak, resident = (float(word) for word in done.stdout.split())
    assert size > 40e6
    largest = 4 * 4 * 768 * 768 / size
    assert peak < 1 + beside * largest + 0.02, done.stdout
    assert resident < 1 + beside * largest + 0.1, done.stdout
