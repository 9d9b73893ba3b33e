"""Layer-wise learning rate decay, compared with the authors and timm, and weight decay."""

import json
import re

import numpy as np
import pytest

import lucid
from lucid import models, nn
from lucid.models import param_groups_layer_decay
from tests.reference.timm_calls import FILE

TIMM = json.loads(FILE.read_text())["layer decay"]


def layers_of_the_authors(name):
    """``get_num_layer_for_convnext`` of facebookresearch/ConvNeXt as a table, for depths 3, 3, 27, 3."""
    kind, stage, block = (*name.split("."), "0")[:3]
    if kind == "downsample_layers":
        return {"0": 0, "1": 2, "2": 3, "3": 12}[stage]
    if kind == "stages":
        return {"0": 1, "1": 2, "2": 3 + int(block) // 3, "3": 12}[stage]
    return 13


def scales(groups):
    return {name: group["lr_scale"] for group in groups for name in group["param_names"]}


def test_layers_of_three_blocks_match_the_authors():
    model = models.ConvNeXt(10, [3, 3, 27, 3], [2, 2, 2, 2])
    found = scales(param_groups_layer_decay(model, lr=1e-3, layer_decay=0.8))
    assert found.keys() == {name for name, _ in model.named_parameters()}
    for name, scale in found.items():
        assert scale == pytest.approx(0.8 ** (13 - layers_of_the_authors(name))), name


@pytest.mark.parametrize("case", TIMM)
def test_layers_of_single_blocks_match_timm(case):
    kind = models.ConvNeXtV2 if case == "V2" else models.ConvNeXt
    model = kind(10, TIMM[case]["depths"], [4, 4, 4, 4])
    groups = param_groups_layer_decay(model, lr=1.0, weight_decay=0.05, layer_decay=0.75, blocks_per_layer=1)
    found = {name: [group["lr_scale"], group["weight_decay"]] for group in groups for name in group["param_names"]}
    assert found.keys() == TIMM[case]["parameters"].keys()
    for name, (scale, decay) in found.items():
        assert [scale, decay] == pytest.approx(TIMM[case]["parameters"][name]), name


@pytest.mark.parametrize("options", [{"head_norm_first": True}, {"head_hidden_size": 6, "stem_type": "overlap_act"}])
def test_the_head_is_the_last_layer_and_the_stem_the_first(options):
    model = models.ConvNeXt(10, [1, 1], [4, 8], **options)
    found = scales(param_groups_layer_decay(model, lr=1.0, layer_decay=0.5))
    assert found.keys() == {name for name, _ in model.named_parameters()}
    head = {name for name, scale in found.items() if scale == 1}
    assert head == {name for name in found if name.split(".")[0] in ("head", "norm", "norm_pre", "pre_logits")}
    stem = {name for name, scale in found.items() if scale == 0.5**3}
    assert stem == {name for name in found if name.startswith("downsample_layers.0.")}


def test_weight_decay_applies_to_weights_only():
    model = models.ConvNeXtV2(10, [1, 1], [4, 8])
    groups = param_groups_layer_decay(model, lr=1e-3, weight_decay=0.1, no_weight_decay_list=["head.*"])
    decaying = {name for group in groups if group["weight_decay"] for name in group["param_names"]}
    assert {group["weight_decay"] for group in groups} == {0.0, 0.1}
    assert decaying == {
        name for name, p in model.named_parameters()
        if p.ndim > 1 and not re.search(r"grn|head", name)
    }  # fmt: skip

    alone = param_groups_layer_decay(model, lr=1e-3, weight_decay=0.1, no_weight_decay_list="head.*")
    assert [group["param_names"] for group in alone] == [group["param_names"] for group in groups]


def test_layers_of_the_isotropic_network():
    model = models.ConvNeXtIsotropic(3, 4, 4)
    found = scales(param_groups_layer_decay(model, lr=1.0, layer_decay=0.5, blocks_per_layer=2))
    assert (found["head.weight"], found["norm.bias"], found["blocks.3.norm.bias"]) == (1, 1, 0.5)
    assert (found["blocks.2.norm.bias"], found["blocks.1.norm.bias"], found["stem.bias"]) == (0.5, 0.25, 0.125)


def test_a_backbone_inside_a_model():
    model = nn.ModuleDict({"backbone": models.ConvNeXt(0, [1, 2], [4, 8]), "decoder": nn.Linear(8, 2)})
    found = scales(param_groups_layer_decay(model, lr=1.0, layer_decay=0.5, blocks_per_layer=1, min_scale=0.2))
    assert (found["decoder.weight"], found["backbone.stages.1.1.gamma"]) == (1, 0.5)
    assert (found["backbone.stages.1.0.gamma"], found["backbone.downsample_layers.0.0.bias"]) == (0.25, 0.2)


def test_frozen_parameters_are_left_out():
    model = models.ConvNeXt(3, [1, 1], [4, 8])
    model.freeze_stages(1)
    names = scales(param_groups_layer_decay(model, lr=1.0))
    assert names and all(name.startswith(("downsample_layers.1", "stages.1", "norm", "head")) for name in names)


def test_optimizers_and_schedulers_use_the_rates_of_the_groups():
    model = models.ConvNeXt(3, [1], [4], patch_size=1)
    optimizer = lucid.optim.SGD(param_groups_layer_decay(model, lr=0.1, weight_decay=0.0, layer_decay=0.5))
    rates = [group["lr"] for group in optimizer.param_groups]
    assert sorted(set(rates)) == pytest.approx([0.025, 0.05, 0.1])
    before = {name: p.numpy(force=True) for name, p in model.named_parameters()}
    model(lucid.randn(2, 3, 4, 4)).square().sum().backward()
    gradients = {name: p.grad.numpy() for name, p in model.named_parameters()}
    optimizer.step()
    for group in optimizer.param_groups:
        for name in group["param_names"]:
            wanted = before[name] - group["lr"] * gradients[name]
            np.testing.assert_allclose(model.get_parameter(name).numpy(force=True), wanted, rtol=1e-5, atol=1e-6)
    schedule = lucid.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.1)
    schedule.step()
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.1 * rate for rate in rates])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": -1.0}, "param_groups_layer_decay: lr must be at least 0, got -1"),
        ({"lr": 1.0, "layer_decay": 0.0}, "param_groups_layer_decay: layer_decay must be above 0, got 0"),
        ({"lr": 1.0, "blocks_per_layer": 0}, "param_groups_layer_decay: blocks_per_layer must be at least 1, got 0"),
        ({"lr": 1.0, "min_scale": 2.0}, "param_groups_layer_decay: min_scale must be at least 0 and at most 1, got 2"),
    ],
)
def test_invalid_options_raise(options, message):
    with pytest.raises(ValueError, match=message):
        param_groups_layer_decay(models.ConvNeXt(3, [1], [4]), **options)


def test_other_models_raise():
    with pytest.raises(ValueError, match=r"Linear has no ConvNeXt blocks \(stages.S.B or blocks.B\)"):
        param_groups_layer_decay(nn.Linear(3, 2), lr=1.0)
    with pytest.raises(TypeError, match="model must be a Module, whose parameters have names, got list"):
        param_groups_layer_decay(list(nn.Linear(3, 2).parameters()), lr=1.0)
