"""Loading checkpoints of the four implementations and published weights: values, bytes, and errors."""

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest

import lucid
from lucid import models, nn
from lucid.models import FeatureListNet, MismatchError, load_checkpoint, save_checkpoint
from lucid.models.convnext import ConvNeXt, ConvNeXtV2
from lucid.models.preprocessing import transforms_for
from lucid.models.registry import create_model
from lucid.models.weights import load
from lucid.models.weights.hub import DownloadError, NonCommercialLicenseWarning
from lucid.models.weights.load import load_pretrained, resolve_tag
from lucid.models.weights.tags import find_tag
from tests.models.weights.checkpoint_files import (
    RECORDED,
    TIMM_OPTIONS,
    built,
    contents,
    relative_error,
    tensors,
    values,
    written,
)  # fmt: skip
from tests.reference.convnext_cases import numbers
from tests.reference.dialect_cases import CASES, PYTORCH_FILE, value


@pytest.mark.parametrize("case", CASES)
def test_features_logits_and_saved_bytes_match_the_implementation(case, tmp_path):
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
    eps = {name: option for name, option in CASES[case].options.items() if name == "norm_eps"}
    assert metadata == {"format": "pt", **({"options": json.dumps(eps)} if eps else {})}


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


def test_compiled_modules_load_and_save(tmp_path):
    source, model = (models.ConvNeXt(3, [1], [2], patch_size=4) for _ in range(2))
    images = lucid.randn(1, 3, 4, 4)
    run = lucid.compile(model)
    assert not lucid.equal(run(images), source(images))
    save_checkpoint(lucid.compile(source), tmp_path / "m.safetensors")
    report = load_checkpoint(run, tmp_path / "m.safetensors")
    assert report.loaded == len(model.state_dict()) and model.load_report is report
    assert lucid.allclose(run(images), source(images), rtol=1e-5)


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


def test_a_pytorch_file_with_a_moving_average():
    plain, average = built("official, small"), built("official, small")
    report = load_checkpoint(plain, PYTORCH_FILE, use_ema=False)
    assert report.wrapper == ("model",) and "from float16 to float32" in report.changes[0]
    assert load_checkpoint(average, str(PYTORCH_FILE)).wrapper == ("model_ema",)
    for name, tensor in plain.state_dict().items():
        half = value("official, small", name, tensor.shape).astype(np.float16)
        np.testing.assert_array_equal(tensor.numpy(), half)
        np.testing.assert_allclose(average.state_dict()[name].numpy(), 2 * half, rtol=2e-3)


@pytest.mark.parametrize("dtype", [mx.float16, mx.bfloat16])
def test_half_precision_models_load_bit_exactly(dtype, tmp_path):
    source, target = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    mx.save_safetensors(str(source), {name: mx.array(one).astype(dtype) for name, one in tensors("timm").items()})
    model = built("timm").to(dtype)
    assert load_checkpoint(model, source).changes == []
    save_checkpoint(model, target, "timm")
    assert contents(source)[0] == contents(target)[0]


# Differences and warnings ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", ["official", "timm", "torchvision", "huggingface V2", "official isotropic"])
def test_a_classifier_of_another_size_is_kept_with_a_warning(case):
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


def test_a_model_without_classifier_loads_the_rest_without_a_warning():
    model = built("torchvision", classes=0)
    report = load_checkpoint(model, tensors("torchvision"))
    assert report.skipped == dict.fromkeys(["classifier.2.weight", "classifier.2.bias"], "the model has no classifier")


def test_a_checkpoint_without_classifier_warns():
    model = built("huggingface, no classifier", classes=4)
    with pytest.warns(UserWarning, match="the checkpoint has no classifier; the model keeps its own head.weight"):
        report = load_checkpoint(model, tensors("huggingface, no classifier"))
    assert report.loaded == 63


def test_self_supervised_checkpoints_have_no_final_norm():
    given = {name: one for name, one in tensors("official V2").items() if not name.startswith(("norm.", "head."))}
    with pytest.warns(UserWarning, match="has no final norm and classifier; the model keeps its own norm.weight"):
        load_checkpoint(built("official V2"), given)
    del given["stages.0.0.norm.bias"]
    with pytest.raises(MismatchError, match="missing: stages.0.0.norm.bias"):
        load_checkpoint(built("official V2"), given)


def test_the_stem_is_adapted_to_other_channels_as_in_timm():
    gray, color = built("timm", in_chans=1).eval(), built("timm").eval()
    report = load_checkpoint(gray, tensors("timm"))
    load_checkpoint(color, tensors("timm"))
    assert report.changes == ["the stem from 3 to 1 channels"] and not report.kept
    image = lucid.randn(1, 1, 40, 40)
    with lucid.no_grad():
        assert lucid.allclose(gray(image), color(image.expand(1, 3, 40, 40)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("out_indices", [None, (0, 2), (1,)])
def test_a_feature_pyramid_loads_its_layers(out_indices):
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


# Errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("made", "model", "message"),
    [
        (
            lambda: models.convnext_small(3),
            lambda: models.convnext_tiny(3),
            r"holds convnext_small = ConvNeXt\(.*\), the model is convnext_tiny = ConvNeXt\(.*\). Nothing was loaded; "
            r"lucid.models.create_model\('convnext_small'\) fits$",
        ),
        (
            lambda: built("official V2"),
            lambda: built("official"),
            r"holds ConvNeXtV2\(depths=\[1, 2, 1, 1\].* the model is ConvNeXt\(depths.*"
            r"lucid.models.ConvNeXtV2\(.*\) fits; the nearest variant is convnextv2_atto",
        ),
        (lambda: built("official isotropic"), lambda: built("official"), r"holds ConvNeXtIsotropic\(depth=3, dim=11\)"),
        (lambda: built("official"), lambda: built("official, no layer scale", in_chans=3), "layer_scale_init=0"),
        (lambda: models.ConvNeXt(7, [1, 2, 1], [6, 10, 14]), lambda: built("official"), r"depths=\[1, 2, 1\]"),
    ],
)
@pytest.mark.parametrize("strict", [True, False])
def test_another_architecture_raises(made, model, message, strict):
    model = model()
    before = {name: tensor._array for name, tensor in model.state_dict().items()}
    with pytest.raises(MismatchError, match=message):
        load_checkpoint(model, made().state_dict(), strict=strict)
    assert all(tensor._array is before[name] for name, tensor in model.state_dict().items())


def test_unsupported_timm_models_raise():
    added = "stages.0.downsample.1.weight"
    with pytest.raises(MismatchError, match=f"the mapping has module.{added}: timm's stem with patch_size=2"):
        load_checkpoint(built("timm"), {f"module.{name}": np.ones(3) for name in [*tensors("timm"), added]})
    given = {name: one for name, one in tensors("timm").items() if not name.endswith("norm.bias")}
    with pytest.raises(MismatchError, match="_rms"):
        load_checkpoint(built("timm"), given)


@pytest.mark.parametrize("given", TIMM_OPTIONS, ids=str)
def test_timm_options_must_agree(given):
    """Also without classes, where fewer parameters differ."""
    for classes in (0, 3):
        source = models.ConvNeXt(classes, [1, 1], [40, 48], **given).state_dict()
        for options in ({}, *TIMM_OPTIONS):
            model = models.ConvNeXt(classes, [1, 1], [40, 48], **options)
            if options == given:
                assert load_checkpoint(model, source).architecture.startswith("ConvNeXt(")
            else:
                with pytest.raises(MismatchError, match="fits; the nearest variant is convnext_"):
                    load_checkpoint(model, source)


@pytest.mark.parametrize("case", [case for case in CASES if CASES[case].options])
def test_a_feature_pyramid_with_timm_options_loads_its_layers(case):
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


def test_xxlarge_needs_its_own_eps():
    sizes = {"depths": (3, 4, 30, 3), "dims": (384, 768, 1536, 3072)}
    shapes = models.ConvNeXt(3, **sizes).state_dict()  # never computed
    with pytest.raises(MismatchError, match="convnext_xxlarge, whose norms have eps 1e-5: build it with norm_eps=1e-5"):
        load_checkpoint(models.ConvNeXt(3, **sizes), shapes)
    assert {one.eps for one in models.convnext_xxlarge().modules() if isinstance(one, nn.LayerNorm)} == {1e-5}


def test_checkpoints_without_a_convnext_raise():
    with pytest.raises(MismatchError, match="holds no ConvNeXt in any dialect; its names are conv1.weight, fc.bias$"):
        load_checkpoint(built("timm"), {"conv1.weight": np.ones(3), "fc.bias": np.ones(3)})
    with pytest.raises(MismatchError, match="its names are none"):
        load_checkpoint(built("timm"), {})
    with pytest.raises(MismatchError, match="no network with torchvision names, only one with timm names"):
        load_checkpoint(built("timm"), tensors("timm"), dialect="torchvision")
    with pytest.raises(ValueError, match="dialect must be 'official', .* or 'fcmae', got 'hf'"):
        load_checkpoint(built("timm"), tensors("timm"), dialect="hf")


def test_errors_name_the_file_and_leave_the_model_unchanged(tmp_path):
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


def test_scalars_raise():
    for case in ("official", "timm V2", "torchvision", "huggingface", "official isotropic"):
        with pytest.raises(MismatchError, match="Nothing was loaded"):
            load_checkpoint(built(case), {name: np.float32(0) for name in tensors(case)})


def test_missing_and_unknown_names_need_strict_off():
    given = {**tensors("timm"), "stages.0.blocks.0.mlp.extra": np.ones(3)}
    del given["stages.2.blocks.0.gamma"]
    model = built("timm")
    with pytest.raises(MismatchError, match=r"(?s)missing: stages.2.blocks.0.gamma.*unknown: stages.0.blocks.0.mlp"):
        load_checkpoint(model, given)
    with pytest.warns(UserWarning, match="missing from the checkpoint; the model keeps its own stages.2.0.gamma"):
        report = load_checkpoint(model, given, strict=False)
    assert report.kept and report.skipped == {"stages.0.blocks.0.mlp.extra": "no parameter of timm's ConvNeXt"}


def test_other_sources_raise():
    with pytest.raises(TypeError, match=r"source must be a file, .* or a mapping such as .*, got ConvNeXt"):
        load_checkpoint(built("timm"), built("timm"))


def test_other_models_raise():
    with pytest.raises(TypeError, match="load_checkpoint: model must be a ConvNeXt, got Linear$"):
        load_checkpoint(nn.Linear(2, 2), tensors("timm"))
    with pytest.raises(TypeError, match="save_checkpoint: model must be a ConvNeXt, got Sequential; its '1' is one"):
        save_checkpoint(nn.Sequential(nn.Identity(), built("timm")), "x.safetensors")


# Names and files ------------------------------------------------------------------------------------------------------


def test_published_checkpoints_are_downloaded_by_name(tmp_path, monkeypatch):
    asked = []

    def download(tag):
        asked.append(tag.name)
        return written("timm", tmp_path / "m.safetensors")

    monkeypatch.setattr(load, "download", download)
    model = built("timm")
    report = load_checkpoint(model, "convnext_tiny.fb_in1k")
    assert asked == [model.pretrained_tag] == ["timm/convnext_tiny.fb_in1k"]
    assert report.source == "convnext_tiny.fb_in1k" and report.loaded == 65
    with pytest.raises(
        FileNotFoundError, match="no file convnext_tiny.fb_1k, and there is no checkpoint .*did you mean "
    ):
        load_checkpoint(model, "convnext_tiny.fb_1k")
    with pytest.raises(FileNotFoundError, match="load: there is no file convnext_tiny.pth$"):
        load_checkpoint(model, "convnext_tiny.pth")
    assert len(asked) == 1


def test_the_file_may_change_after_loading(tmp_path):
    path = written("timm", tmp_path / "m.safetensors")
    model = built("timm")
    load_checkpoint(model, path)
    path.write_bytes(b"\0" * path.stat().st_size)
    np.testing.assert_array_equal(model.head.bias.numpy(force=True), tensors("timm")["head.fc.bias"])


def test_a_file_truncated_while_it_is_read(tmp_path, monkeypatch):
    path = written("timm", tmp_path / "m.safetensors")
    checked = load.match_parameters

    def check_and_cut(*arguments):
        plan = checked(*arguments)
        os.truncate(path, path.stat().st_size // 2)
        return plan

    monkeypatch.setattr(load, "match_parameters", check_and_cut)
    with pytest.raises(OSError, match=r"m.safetensors: reading failed, \d+ of 65 tensors were replaced: "):
        load_checkpoint(built("timm"), path)


MEMORY = """
import sys
import warnings
from pathlib import Path

import mlx.core as mx

from lucid import memory, models


def resident_peak():
    status = Path("/proc/self/status")  # Linux only; elsewhere this peak is 0
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


# beside: how many copies of the largest tensor may exist besides the model: its old value and the unconverted one
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


# Published checkpoints, from a hub on this machine -------------------------------------------------------------------

SMALL = {"depths": (1, 1, 2, 1), "dims": (4, 8, 12, 16)}
IMAGES = np.linspace(-1, 1, 2 * 3 * 40 * 40, dtype=np.float32).reshape(2, 3, 40, 40)


def trained(kind=ConvNeXt, num_classes=1000):
    lucid.manual_seed(1)
    model = kind(num_classes, **SMALL)
    return model.eval()


def upload(hub, model, name, tmp_path, dialect):
    save_checkpoint(model, tmp_path / "upload.safetensors", dialect=dialect)
    hub.files[name, "model.safetensors"] = (tmp_path / "upload.safetensors").read_bytes()


def logits(model, images=IMAGES):
    return model.eval()(lucid.tensor(images)).detach().numpy()


@pytest.mark.parametrize(
    ("name", "pretrained", "repository", "dialect"),
    [
        ("convnext_tiny", True, "timm/convnext_tiny.in12k_ft_in1k", "timm"),
        ("convnext_tiny", "fb_in1k", "timm/convnext_tiny.fb_in1k", "timm"),
        ("convnext_tiny.fb_in1k", True, "timm/convnext_tiny.fb_in1k", "timm"),
        ("convnext_tiny", "timm/convnext_tiny.fb_in1k", "timm/convnext_tiny.fb_in1k", "timm"),
        ("convnext_tiny", "facebook/convnext-tiny-224", "facebook/convnext-tiny-224", "huggingface"),
        ("facebook/convnext-tiny-224", True, "facebook/convnext-tiny-224", "huggingface"),
    ],
)
def test_pretrained_models_have_the_weights_of_the_source(hub, tmp_path, name, pretrained, repository, dialect):
    source = trained()
    upload(hub, source, repository, tmp_path, dialect)
    model = create_model(name, pretrained=pretrained, **SMALL)
    np.testing.assert_allclose(logits(model), logits(source), rtol=1e-4, atol=1e-6)
    assert model.pretrained_tag == repository
    assert transforms_for(model) == transforms_for(repository)


def test_num_classes_comes_from_the_tag(hub, tmp_path):
    upload(hub, trained(num_classes=21841), "timm/convnext_tiny.fb_in22k", tmp_path, "timm")
    assert create_model("convnext_tiny.fb_in22k", pretrained=True, **SMALL).num_classes == 21841


def test_another_number_of_classes_gets_a_new_classifier_with_a_warning(hub, tmp_path):
    source = trained()
    upload(hub, source, "timm/convnext_tiny.fb_in1k", tmp_path, "timm")
    with pytest.warns(UserWarning, match="classifier has 1000 classes, not 10"):
        model = create_model("convnext_tiny.fb_in1k", pretrained=True, num_classes=10, **SMALL)
    assert logits(model).shape == (2, 10)
    np.testing.assert_array_equal(model.norm.weight.detach().numpy(), source.norm.weight.detach().numpy())


def test_features_and_other_channels(hub, tmp_path):
    source = trained()
    upload(hub, source, "timm/convnext_tiny.fb_in1k", tmp_path, "timm")
    features = create_model("convnext_tiny.fb_in1k", pretrained=True, features_only=True, **SMALL).eval()
    assert transforms_for(features) == transforms_for("convnext_tiny.fb_in1k")
    last = features(lucid.tensor(IMAGES))[-1].detach().numpy()
    np.testing.assert_allclose(
        last, source.forward_features(lucid.tensor(IMAGES)).detach().numpy(), rtol=1e-4, atol=1e-6
    )
    gray = create_model("convnext_tiny.fb_in1k", pretrained=True, in_chans=1, **SMALL).eval()
    out = gray(lucid.tensor(IMAGES[:, :1])).detach().numpy()
    np.testing.assert_allclose(out, logits(source, IMAGES[:, :1].repeat(3, 1)), rtol=1e-4, atol=1e-5)


def test_masked_pretraining_has_neither_classifier_nor_final_norm(hub, tmp_path):
    source = trained(ConvNeXtV2, 0)
    upload(hub, source, "timm/convnextv2_tiny.fcmae", tmp_path, "timm")
    path = tmp_path / "upload.safetensors"
    tensors = {name: one for name, one in lucid.load(path).items() if not name.startswith("head.")}
    assert len(tensors) == len(lucid.load(path)) - 2
    lucid.save({**tensors, "mask_token": lucid.zeros(1, 16, 1, 1)}, path)
    hub.files["timm/convnextv2_tiny.fcmae", "model.safetensors"] = path.read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        model = create_model("convnextv2_tiny.fcmae", pretrained=True, **SMALL)
        by_name = ConvNeXtV2(0, **SMALL)
        assert "mask_token" in load_checkpoint(by_name, "convnextv2_tiny.fcmae").skipped
    assert model.num_classes == 0
    for one in (model, by_name):
        np.testing.assert_allclose(logits(one), logits(source), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "load",
    [
        lambda tag: create_model(tag, pretrained=True, num_classes=3, **SMALL),
        lambda tag: load_checkpoint(ConvNeXtV2(3, **SMALL), tag),
        lambda tag: load_pretrained(ConvNeXtV2(3, **SMALL), tag),
    ],
)
def test_warnings_point_to_the_caller(hub, tmp_path, load):
    upload(hub, trained(ConvNeXtV2), "timm/convnextv2_tiny.fcmae_ft_in1k", tmp_path, "timm")
    with pytest.warns() as caught:
        load("convnextv2_tiny.fcmae_ft_in1k")
    assert [warning.category for warning in caught] == [NonCommercialLicenseWarning, UserWarning]
    assert "cc-by-nc-4.0" in str(caught[0].message) and "the model keeps its own head.weight" in str(caught[1].message)
    place = {(warning.filename, warning.lineno) for warning in caught}
    assert place == {(__file__, load.__code__.co_firstlineno)}


def test_offline_without_the_file_raises_without_a_request(hub, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(DownloadError, match="HF_HUB_OFFLINE forbids downloading it"):
        create_model("convnext_tiny", pretrained=True, **SMALL)
    assert hub.requests == []


def test_load_pretrained_takes_the_name_of_a_tag(hub, tmp_path):
    source = trained()
    upload(hub, source, "timm/convnext_tiny.fb_in1k", tmp_path, "timm")
    model = ConvNeXt(**SMALL)
    report = load_pretrained(model, "convnext_tiny.fb_in1k")
    assert report.dialect == "timm" and report.loaded == len(model.state_dict())
    np.testing.assert_allclose(logits(model), logits(source), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("variant", "pretrained", "name"),
    [
        ("convnext_tiny", True, "timm/convnext_tiny.in12k_ft_in1k"),
        ("convnext_isotropic_small", True, "official/convnext_iso_small_1k_224_ema"),
        ("convnext_tiny", "tv_in1k", "torchvision/convnext_tiny.tv_in1k"),
        ("convnext_tiny", "IMAGENET1K_V1", "torchvision/convnext_tiny.tv_in1k"),
        ("convnext_tiny", "fb_in1k@v1.0", "timm/convnext_tiny.fb_in1k@v1.0"),
        ("convnextv2_huge", "hf-hub:timm/convnextv2_huge.fcmae", "timm/convnextv2_huge.fcmae"),
    ],
)
def test_resolve_tag(variant, pretrained, name):
    assert resolve_tag(variant, pretrained) == find_tag(name)


def test_resolve_tag_errors():
    with pytest.raises(ValueError, match=r"no checkpoint 'convnext_tiny.fb_in3k'; did you mean .*convnext_tiny.fb_in"):
        resolve_tag("convnext_tiny", "fb_in3k")
    with pytest.raises(ValueError, match="convnext_base.fb_in1k has weights for convnext_base, not for convnext_tiny"):
        resolve_tag("convnext_tiny", "timm/convnext_base.fb_in1k")
    with pytest.raises(ValueError, match="create_model: convnext_giant has no pretrained weights"):
        resolve_tag("convnext_giant", True)
    with pytest.raises(
        TypeError, match="create_model: pretrained must be True, False or the name of a checkpoint, got 1"
    ):
        resolve_tag("convnext_tiny", 1)
