"""Models by name: creation, lists and errors, compared with timm."""

import json
import re

import pytest

import lucid
from lucid import models, nn
from lucid.models import registry
from lucid.models.variants import VARIANTS
from lucid.models.weights.tags import TAGS
from tests.reference.timm_calls import FEATURES, FILE, LISTS, SMALL

TIMM = json.loads(FILE.read_text())


def test_options_go_to_the_class():
    model = models.create_model("convnext_tiny", num_classes=5, in_chans=1, patch_size=2, global_pool="max")
    assert type(model) is models.ConvNeXt
    assert (model.depths, model.dims) == ((3, 3, 9, 3), (96, 192, 384, 768))
    assert (model.num_classes, model.in_chans, model.patch_size, model.global_pool) == (5, 1, 2, "max")
    assert model.head.weight.shape == (5, 768) and model.downsample_layers[0][0].weight.shape == (96, 1, 2, 2)
    dilated = models.create_model("convnextv2_tiny", output_stride=8, **SMALL)
    assert type(dilated) is models.ConvNeXtV2
    assert [one["reduction"] for one in dilated.feature_info] == [4, 8, 8, 8]


def test_option_names_of_timm_and_the_authors():
    model = models.create_model("convnext_atto", drop_path_rate=0.3, ls_init_value=0.5, global_pool=None)
    assert model.stages[3][1].drop_path.drop_prob == pytest.approx(0.3)
    assert model.stages[0][0].gamma[0].item() == 0.5
    assert models.create_model("convnext_atto", layer_scale_init_value=0).stages[0][0].gamma is None
    assert models.create_model("convnext_tiny", drop_path_rate=None, checkpoint_path="", **SMALL).num_classes == 1000


def test_a_checkpoint_name_sets_variant_and_classes():
    for name in ("convnext_tiny.fb_in22k", "timm/convnext_tiny.fb_in22k"):
        model = models.create_model(name, **SMALL)
        assert model.num_classes == 21841
        assert model.pretrained_tag == (name if "/" in name else f"timm/{name}")
    assert models.create_model("convnext_tiny.fb_in22k", num_classes=3, **SMALL).num_classes == 3
    assert models.create_model("convnext_tiny", **SMALL).num_classes == 1000
    assert models.create_model("convnext_tiny", **SMALL).pretrained_tag is None


def test_without_classes():
    model = models.create_model("convnext_tiny", num_classes=0, **SMALL)
    assert isinstance(model.get_classifier(), nn.Identity)
    assert model(lucid.zeros(2, 3, 32, 32)).shape == (2, 20)


@pytest.mark.parametrize(
    ("arguments", "wanted"), list(zip(FEATURES, TIMM["features"], strict=True)), ids=map(str, FEATURES)
)
def test_features_only(arguments, wanted):
    model = models.create_model("convnext_tiny", features_only=True, **SMALL, **arguments)
    assert isinstance(model, models.FeatureListNet)
    assert model.feature_info.channels() == wanted["channels"]
    assert model.feature_info.reduction() == wanted["reduction"]
    parts = {name.split(".")[1] for name, _ in model.named_parameters()}
    assert parts == {"downsample_layers", "stages"}


def test_features_only_keeps_the_pretrained_tag():
    model = models.create_model("convnext_tiny.fb_in1k", features_only=True, **SMALL)
    assert model.pretrained_tag == "timm/convnext_tiny.fb_in1k"


def test_checkpoint_path(tmp_path):
    path = tmp_path / "small.safetensors"
    source = models.create_model("convnext_tiny", num_classes=7, **SMALL)
    models.save_checkpoint(source, path, dialect="timm")
    images = lucid.randn(1, 3, 40, 32)
    model = models.create_model("convnext_tiny", num_classes=7, checkpoint_path=path, **SMALL)
    assert lucid.equal(model(images), source(images))
    options = {"features_only": True, "out_indices": (0, 2), "checkpoint_path": path}
    maps = models.create_model("convnext_tiny", **options, **SMALL)(images)
    for y, wanted in zip(maps, source.forward_intermediates(images, (0, 2))[1], strict=True):
        assert lucid.equal(y, wanted)
    dilated = models.create_model("convnext_tiny", num_classes=7, checkpoint_path=path, output_stride=8, **SMALL)
    assert lucid.equal(dilated.head.weight, source.head.weight)


def test_large_models_are_built_without_computing_weights():
    lucid.memory.reset()
    before = lucid.memory.active()
    for name in ("convnext_xlarge", "convnextv2_huge"):
        model = models.create_model(name)
        assert model.num_parameters() > 350e6
    assert lucid.memory.peak() - before < 1e6


@pytest.mark.parametrize(("arguments", "wanted"), list(zip(LISTS, TIMM["lists"], strict=True)), ids=map(str, LISTS))
def test_lists_match_timm(arguments, wanted):
    """Apart from models that only one of the two has."""
    found = models.list_models(**arguments)
    own = [name for name in found if not re.search(r"isotropic|\.tv_", name)]
    theirs = [name for name in wanted if name.startswith("convnext") and "_rms" not in name]
    assert own == theirs and own


def test_lists_are_complete():
    assert sorted(models.list_models()) == sorted(VARIANTS)
    pretrained = models.list_models(pretrained=True)
    assert len(pretrained) == len(set(pretrained)) == len(TAGS)
    assert all(registry.short_name(registry.parse("", name)[1]) == name for name in pretrained)
    assert "convnext_tiny.tv_in1k" in models.list_models("convnext_tiny", pretrained=True)
    assert models.list_models("facebook/*tiny-224", pretrained=True)
    assert models.list_models("timm/convnext_atto.*", pretrained=True) == ["convnext_atto.d2_in1k"]
    assert models.list_models("resnet*") == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("convnext_tinny", "create_model: there is no model 'convnext_tinny'; did you mean convnext_tiny"),
        ("convnext_tiny.fb_in1", r"there is no model 'convnext_tiny.fb_in1'; did you mean convnext_tiny\.fb_in1k"),
        ("vgg16", r"create_model: there is no model 'vgg16'; see list_models\(\)"),
    ],
)
def test_unknown_names_raise_with_suggestions(name, message):
    with pytest.raises(ValueError, match=message):
        models.create_model(name)


def test_unknown_options_raise():
    with pytest.raises(
        TypeError, match="create_model: ConvNeXtV2 has no option 'layer_scale_init', expected one of depths, dims,"
    ):
        models.create_model("convnextv2_tiny", layer_scale_init=1.0)
    with pytest.raises(TypeError, match="create_model: drop_path_rate is an alias of an option that is also given"):
        models.create_model("convnext_tiny", drop_path_rate=0.1, drop_path=0.2, **SMALL)
    with pytest.raises(TypeError, match="create_model: ConvNeXtIsotropic has no option 'output_stride'"):
        models.create_model("convnext_isotropic_small", output_stride=16)
    with pytest.raises(TypeError, match="create_model: name must be a string, got ConvNeXt"):
        models.create_model(models.ConvNeXt(3, [1], [4]))
    with pytest.raises(ValueError, match="create_model: out_indices requires features_only=True"):
        models.create_model("convnext_tiny", out_indices=(1,), **SMALL)
    with pytest.raises(TypeError, match="list_models: filters must be strings, got"):
        models.list_models(["a", 3])
    with pytest.raises(TypeError, match="list_models: pretrained must be True or False, got 'convnext'"):
        models.list_models("*", "convnext")
