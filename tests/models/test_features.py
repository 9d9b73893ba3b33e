"""Backbones: feature maps, channels and reductions compared with timm, and pruning."""

import json

import numpy as np
import pytest

import lucid
from lucid import models
from tests.reference.timm_calls import FEATURES, FILE, IMAGE_SIZES, SMALL

TIMM = json.loads(FILE.read_text())["features"]


def backbone(kind=models.ConvNeXt, **arguments):
    out_indices = arguments.pop("out_indices", None)
    return models.FeatureListNet(kind(0, **SMALL, **arguments), out_indices)


@pytest.mark.parametrize(("arguments", "wanted"), list(zip(FEATURES, TIMM, strict=True)), ids=map(str, FEATURES))
def test_shapes_channels_and_reductions_match_timm(arguments, wanted):
    model = backbone(**arguments)
    info = model.feature_info
    assert info.channels() == wanted["channels"]
    assert info.reduction() == wanted["reduction"]
    assert info.module_name() == wanted["module_name"]
    assert info.channels([0, 1, 2, 3]) == wanted["all channels"]
    with lucid.no_grad():
        for (height, width), shapes in zip(IMAGE_SIZES, wanted["shapes"], strict=True):
            maps = model(lucid.zeros(1, arguments.get("in_chans", 3), height, width))
            assert [list(y.shape) for y in maps] == shapes


@pytest.mark.parametrize("kind", [models.ConvNeXt, models.ConvNeXtV2])
def test_maps_are_those_of_the_stages(kind):
    lucid.manual_seed(1)
    whole = kind(7, **SMALL)
    images = lucid.randn(2, 3, 50, 64)
    last, maps = whole.forward_intermediates(images)
    assert lucid.equal(last, whole.forward_features(images)) and lucid.equal(last, maps[-1])
    lucid.manual_seed(1)
    model = models.FeatureListNet(kind(7, **SMALL), (2, 0, -2))
    got = model(images)
    assert [y.shape[1] for y in got] == model.feature_info.channels() == [16, 8, 16]
    for y, i in zip(got, (2, 0, 2), strict=True):
        assert lucid.equal(y, maps[i])


def test_unused_layers_are_dropped():
    model = backbone(out_indices=(0, 1))
    names = {name for name, _ in model.named_parameters()}
    assert names and all(name.startswith(("body.downsample_layers.", "body.stages.")) for name in names)
    assert not any(".2." in name for name in names if "stages.2" in name or "layers.2" in name)
    assert len(model.body.stages) == 2
    assert [p.grad is not None for p in trained(model)] == [True] * len(names)
    assert model(lucid.zeros(1, 3, 8, 8))[1].shape == (1, 12, 1, 1)  # the smallest image of two stages


def trained(model):
    sum(y.square().sum() for y in model(lucid.randn(1, 3, 32, 32))).backward()
    return list(model.parameters())


def test_feature_info_by_layer():
    info = backbone(out_indices=(1, 3)).feature_info
    assert len(info) == 4 and info.out_indices == (1, 3)
    assert info[2] == {"num_chs": 16, "reduction": 16, "module": "stages.2", "index": 2}
    assert (info.channels(0), info.reduction([0, -1]), info.get("module", 3)) == (8, [4, 32], "stages.3")
    assert info.get_dicts(["reduction"]) == [{"reduction": 8}, {"reduction": 32}]
    assert info.get_dicts(idx=2) == info[2]


def test_the_isotropic_network_gives_the_maps_of_blocks():
    model = models.FeatureListNet(models.ConvNeXtIsotropic(5, 3, 6, patch_size=8), 2)
    assert model.feature_info.module_name() == ["blocks.1", "blocks.2"]
    assert [y.shape for y in model(lucid.zeros(1, 3, 24, 17))] == [(1, 6, 3, 2)] * 2


def test_frozen_stages_get_no_gradient():
    model = backbone(out_indices=(1, 2))
    model.freeze_stages(1)
    trained(model)
    with_gradient = {name for name, p in model.named_parameters() if p.grad is not None}
    frozen = ("body.downsample_layers.0.", "body.stages.0.")
    assert with_gradient == {name for name, _ in model.named_parameters() if not name.startswith(frozen)}
    with pytest.raises(ValueError, match="freeze_stages: n must be at most 3, the number of stages, got 4"):
        model.freeze_stages(4)


def test_grad_checkpointing_gives_the_same_gradients():
    gradients = []
    for enable in (False, True):
        lucid.manual_seed(0)
        model = backbone()
        model.set_grad_checkpointing(enable)
        gradients.append([p.grad.numpy() for p in trained(model)])
    for plain, again in zip(*gradients, strict=True):
        np.testing.assert_allclose(again, plain, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("out_indices", "message"),
    [
        ((0, 4), r"features_only: layers must be in \[-4, 3\] for 4 layers, got \[0, 4\]"),
        ((), r"features_only: expected at least one layer, got \[\]"),
        (5, r"features_only: layers must be in \[-4, 3\] for 4 layers, got \[-5"),
        (0, "features_only: expected at least one layer"),
    ],
)
def test_layers_out_of_range_raise(out_indices, message):
    with pytest.raises(ValueError, match=message):
        backbone(out_indices=out_indices)
