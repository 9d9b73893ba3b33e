"""create_model(pretrained=...) from a hub on this machine, with networks small enough to travel."""

import warnings

import numpy as np
import pytest

import lucid
from lucid.models.convnext import ConvNeXt, ConvNeXtV2
from lucid.models.preprocessing import transforms_for
from lucid.models.registry import create_model
from lucid.models.weights.hub import DownloadError, NonCommercialLicenceWarning
from lucid.models.weights.load import load_checkpoint, load_pretrained, resolve
from lucid.models.weights.save import save_checkpoint
from lucid.models.weights.tags import find_tag

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
def test_weights_arrive_and_classify(hub, tmp_path, name, pretrained, repository, dialect):
    source = trained()
    upload(hub, source, repository, tmp_path, dialect)
    model = create_model(name, pretrained=pretrained, **SMALL)
    np.testing.assert_allclose(logits(model), logits(source), rtol=1e-4, atol=1e-6)
    assert model.pretrained_tag == repository
    assert transforms_for(model) == transforms_for(repository)


def test_the_number_of_classes_is_the_tags(hub, tmp_path):
    upload(hub, trained(num_classes=21841), "timm/convnext_tiny.fb_in22k", tmp_path, "timm")
    assert create_model("convnext_tiny.fb_in22k", pretrained=True, **SMALL).num_classes == 21841


def test_another_number_of_classes_gets_a_new_classifier_loudly(hub, tmp_path):
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
    grey = create_model("convnext_tiny.fb_in1k", pretrained=True, in_chans=1, **SMALL).eval()
    out = grey(lucid.tensor(IMAGES[:, :1])).detach().numpy()
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
def test_warnings_point_to_the_users_line(hub, tmp_path, load):
    upload(hub, trained(ConvNeXtV2), "timm/convnextv2_tiny.fcmae_ft_in1k", tmp_path, "timm")
    with pytest.warns() as caught:
        load("convnextv2_tiny.fcmae_ft_in1k")
    assert [warning.category for warning in caught] == [NonCommercialLicenceWarning, UserWarning]
    assert "cc-by-nc-4.0" in str(caught[0].message) and "the model keeps its own head.weight" in str(caught[1].message)
    place = {(warning.filename, warning.lineno) for warning in caught}
    assert place == {(__file__, load.__code__.co_firstlineno)}


def test_offline_without_the_file_leaves_an_error_and_no_request(hub, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(DownloadError, match="HF_HUB_OFFLINE forbids to download it"):
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
def test_what_pretrained_means(variant, pretrained, name):
    assert resolve(variant, pretrained) == find_tag(name)


def test_what_pretrained_does_not_mean():
    with pytest.raises(ValueError, match=r"no tag 'convnext_tiny.fb_in3k'; the nearest are .*convnext_tiny.fb_in"):
        resolve("convnext_tiny", "fb_in3k")
    with pytest.raises(ValueError, match="convnext_base.fb_in1k holds weights of convnext_base, not of convnext_tiny"):
        resolve("convnext_tiny", "timm/convnext_base.fb_in1k")
    with pytest.raises(ValueError, match="there are no trained weights of convnext_giant"):
        resolve("convnext_giant", True)
    with pytest.raises(TypeError, match="must be True, False or the name of a tag, got 1"):
        resolve("convnext_tiny", 1)
