"""Networks are found anywhere in a checkpoint, and their architecture is read from names and shapes."""

import numpy as np
import pytest

from lucid.models import ConvNeXt, ConvNeXtIsotropic, ConvNeXtV2
from lucid.models.variants import VARIANTS
from lucid.models.weights.detect import (
    Architecture,
    MismatchError,
    architecture_of,
    find_networks,
    nearest_variant,
    select_network,
    variant_of,
)  # fmt: skip

ONE = np.zeros(1)
OFFICIAL = {"downsample_layers.0.0.weight": ONE, "stages.0.0.dwconv.weight": ONE, "head.bias": ONE}
TIMM = {"stem.0.weight": ONE, "stages.0.blocks.0.conv_dw.weight": ONE, "head.fc.bias": ONE}
TORCHVISION = {"features.0.0.weight": ONE, "features.1.0.block.0.weight": ONE, "classifier.2.bias": ONE}
HUGGINGFACE = {"embeddings.patch_embeddings.weight": ONE, "encoder.stages.0.layers.0.dwconv.weight": ONE}
ISOTROPIC = {"stem.weight": ONE, "blocks.0.dwconv.weight": ONE, "head.bias": ONE}


def behind(prefix, names):
    return {prefix + name: value for name, value in names.items()}


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "backbone.", "model.module.", "visual.trunk."])
@pytest.mark.parametrize(
    ("names", "dialect"),
    [
        (OFFICIAL, "official"),
        (TIMM, "timm"),
        (TORCHVISION, "torchvision"),
        (HUGGINGFACE, "huggingface"),
        (ISOTROPIC, "official"),
    ],
)
def test_any_prefix(names, dialect, prefix):
    [found] = find_networks({**behind(prefix, names), "epoch": 3})
    assert (found.dialect, found.prefix, found.wrapper) == (dialect, prefix, ())
    assert list(found.names.values()) == list(behind(prefix, names))
    assert found.unknown == found.outside == []
    assert str(found) == f"{dialect} names" + (f" with prefix {prefix!r}" if prefix else "")


@pytest.mark.parametrize("outer", ["", "module."])
@pytest.mark.parametrize("base", ["convnext.", "convnextv2."])
def test_hugging_faces_classifier_is_outside_the_network(outer, base):
    tree = {**behind(outer + base, HUGGINGFACE), f"{outer}classifier.bias": ONE, f"{outer}decoder.bias": ONE}
    [found] = find_networks(tree)
    assert found.names["head.bias"] == f"{outer}classifier.bias"
    assert found.outside == [f"{outer}decoder.bias"]


def test_unknown_and_outside_names():
    [found] = find_networks({**behind("net.", TIMM), "net.stem.9.weight": ONE, "optimizer.lr": ONE})
    assert found.unknown == ["net.stem.9.weight"] and found.outside == ["optimizer.lr"]


@pytest.mark.parametrize("keys", [("model",), ("state_dict",), ("model_state_dict",), ("checkpoint", "network")])
def test_any_wrapper(keys):
    tree = OFFICIAL
    for key in reversed(keys):
        tree = {key: tree, "epoch": 1, "args": {"lr": 0.1}, 7: [OFFICIAL]}
    [found] = find_networks(tree)
    assert found.wrapper == keys
    assert "".join(f"[{key!r}]" for key in keys) in str(found)


def test_recursive_mappings_are_searched_to_a_limit():
    tree = {"a": dict(OFFICIAL)}
    tree["a"]["a"] = tree["a"]
    assert len(list(find_networks(tree))) == 4


@pytest.mark.parametrize(
    "tree",
    [
        {"state_dict": OFFICIAL, "state_dict_ema": TIMM},
        {"model_ema": TIMM, "model": OFFICIAL},
        {"model": OFFICIAL, "ema": {"module": TIMM}},
        {**behind("model.", OFFICIAL), **behind("ema_model.", TIMM)},
        {**OFFICIAL, **behind("ema.", TIMM)},
        {"model": OFFICIAL, "ema": {"decay": 0.9, "averages": TIMM}},
    ],
)
def test_selecting_the_moving_average_or_the_other_network(tree):
    found = list(find_networks(tree))
    assert select_network("c", found, True).dialect == "timm"
    assert select_network("c", found, False).dialect == "official"
    assert all(len(one.names) == 3 and not one.unknown for one in found)  # no names of the other network


def test_moments_of_an_optimizer_are_ignored():
    state = {"exp_avg": OFFICIAL, "momentum_buffer": OFFICIAL}
    [found] = find_networks(
        {"model": OFFICIAL, "optimizer": {"state": OFFICIAL, **state}, "optim_state": OFFICIAL, **state}
    )
    assert found.wrapper == ("model",)
    [found] = find_networks({**behind("model.", OFFICIAL), **behind("optimizer.exp_avg.", OFFICIAL)})
    assert found.prefix == "model." and len(found.outside) == len(OFFICIAL)
    [found] = find_networks({**OFFICIAL, **behind("optimizer.0.", OFFICIAL)})
    assert len(found.unknown) == len(OFFICIAL)  # their prefix does not set them apart


def test_a_single_network_is_selected_under_any_name():
    for tree in ({"model_ema": TIMM}, {"model": TIMM}, {"schema": TIMM}):
        [found] = find_networks(tree)
        assert select_network("c", [found], True) is select_network("c", [found], False) is found
    assert not found.is_ema


def test_two_networks_of_the_same_kind_raise():
    with pytest.raises(MismatchError, match=r"c holds 2 networks: official names in \['a'\]; timm names in \['b'\]"):
        select_network("c", list(find_networks({"a": OFFICIAL, "b": TIMM})), True)


def test_other_networks_are_not_found():
    mobilenet = {"features.0.0.weight": ONE, "features.1.conv.0.0.weight": ONE, "classifier.1.weight": ONE}
    assert list(find_networks(mobilenet)) == list(find_networks({})) == list(find_networks({1: ONE, "x": "y"})) == []


def shapes(model):
    return {name: tensor.shape for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_is_recognized(name):
    kind, options = VARIANTS[name]
    found = architecture_of(shapes(kind(**options)))
    assert variant_of(found) == nearest_variant(found) == name


@pytest.mark.parametrize(
    ("model", "call"),
    [
        (ConvNeXt(0, [1, 0, 2], [5, 6, 7]), "ConvNeXt(depths=[1, 0, 2], dims=[5, 6, 7])"),
        (ConvNeXt(3, [1], [5], layer_scale_init=0), "ConvNeXt(depths=[1], dims=[5], layer_scale_init=0)"),
        (ConvNeXtV2(3, [1, 1], [5, 6]), "ConvNeXtV2(depths=[1, 1], dims=[5, 6])"),
        (ConvNeXt(3, [1], [40], stem_type="overlap"), "ConvNeXt(depths=[1], dims=[40], stem_type='overlap')"),
        (
            ConvNeXt(0, [1], [40], stem_type="overlap_tiered", head_hidden_size=7),
            "ConvNeXt(depths=[1], dims=[40], stem_type='overlap_tiered', head_hidden_size=7)",
        ),
        (
            ConvNeXtV2(3, [1], [8], stem_type="overlap_act", head_norm_first=True),
            "ConvNeXtV2(depths=[1], dims=[8], stem_type='overlap_act', head_norm_first=True)",
        ),
        (ConvNeXtIsotropic(3, 2, 5), "ConvNeXtIsotropic(depth=2, dim=5)"),
        (
            ConvNeXtIsotropic(3, 2, 5, layer_scale_init=1e-6),
            "ConvNeXtIsotropic(depth=2, dim=5, layer_scale_init=1e-06)",
        ),
    ],
)
def test_str_is_the_call_that_builds_it(model, call):
    found = architecture_of(shapes(model))
    assert str(found) == call and variant_of(found) is None


def test_parameters_may_be_missing():
    model = ConvNeXt(3, [2, 1], [5, 6])
    whole = architecture_of(shapes(model))
    rest = {name: shape for name, shape in shapes(model).items() if "downsample" not in name and "norm" not in name}
    assert architecture_of(rest) == whole


@pytest.mark.parametrize(
    ("wanted", "name"),
    [
        (Architecture("ConvNeXt", (3, 3, 9, 3), (96, 192, 384, 700), True), "convnext_tiny"),
        (Architecture("ConvNeXt", (3, 3, 25, 3), (96, 192, 384, 768), True), "convnext_small"),
        (Architecture("ConvNeXt", (3, 4, 30, 3), (384, 768, 1536, 3000), True), "convnext_xxlarge"),
        (Architecture("ConvNeXt", (3, 3, 9, 3), (96, 192, 384, 768), True, "overlap"), "convnext_nano_ols"),
        (Architecture("ConvNeXt", (3, 3, 9, 3), (96, 192, 384, 768), True, "overlap_act"), "convnext_tiny"),
        (Architecture("ConvNeXtV2", (1, 1, 1, 1), (6, 10, 14, 22), False), "convnextv2_atto"),
        (Architecture("ConvNeXtIsotropic", (36,), (1000,), False), "convnext_isotropic_large"),
        (Architecture("ConvNeXt", (), (), True), "convnext_atto"),
    ],
)
def test_nearest_variant(wanted, name):
    assert nearest_variant(wanted) == name
