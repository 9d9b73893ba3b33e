"""Networks are found wherever they lie in a checkpoint, and the right one of several is chosen."""

import numpy as np
import pytest

from lucid.models.contents import MismatchError, choose, networks

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
    [found] = networks({**behind(prefix, names), "epoch": 3})
    assert (found.dialect, found.prefix, found.wrapper) == (dialect, prefix, ())
    assert list(found.names.values()) == list(behind(prefix, names))
    assert found.unknown == found.outside == []
    assert str(found) == f"{dialect} names" + (f" behind {prefix!r}" if prefix else "")


@pytest.mark.parametrize("outer", ["", "module."])
@pytest.mark.parametrize("base", ["convnext.", "convnextv2."])
def test_the_classifier_of_hugging_face_stands_beside_the_network(outer, base):
    tree = {**behind(outer + base, HUGGINGFACE), f"{outer}classifier.bias": ONE, f"{outer}decoder.bias": ONE}
    [found] = networks(tree)
    assert found.names["head.bias"] == f"{outer}classifier.bias"
    assert found.outside == [f"{outer}decoder.bias"]


def test_names_that_are_unknown_or_outside():
    [found] = networks({**behind("net.", TIMM), "net.stem.9.weight": ONE, "optimizer.lr": ONE})
    assert found.unknown == ["net.stem.9.weight"] and found.outside == ["optimizer.lr"]


@pytest.mark.parametrize("keys", [("model",), ("state_dict",), ("model_state_dict",), ("checkpoint", "network")])
def test_any_wrapper(keys):
    tree = OFFICIAL
    for key in reversed(keys):
        tree = {key: tree, "epoch": 1, "args": {"lr": 0.1}, 7: [OFFICIAL]}
    [found] = networks(tree)
    assert found.wrapper == keys
    assert "".join(f"[{key!r}]" for key in keys) in str(found)


def test_the_search_ends_in_mappings_that_hold_themselves():
    tree = {"a": dict(OFFICIAL)}
    tree["a"]["a"] = tree["a"]
    assert len(list(networks(tree))) == 4


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
def test_of_two_networks_the_average_or_the_other(tree):
    found = list(networks(tree))
    assert choose("c", found, True).dialect == "timm"
    assert choose("c", found, False).dialect == "official"
    assert all(len(one.names) == 3 and not one.unknown for one in found)  # each has its own names alone


def test_the_moments_of_an_optimizer_are_no_network():
    state = {"exp_avg": OFFICIAL, "momentum_buffer": OFFICIAL}
    [found] = networks({"model": OFFICIAL, "optimizer": {"state": OFFICIAL, **state}, "optim_state": OFFICIAL, **state})
    assert found.wrapper == ("model",)
    [found] = networks({**behind("model.", OFFICIAL), **behind("optimizer.exp_avg.", OFFICIAL)})
    assert found.prefix == "model." and len(found.outside) == len(OFFICIAL)
    [found] = networks({**OFFICIAL, **behind("optimizer.0.", OFFICIAL)})
    assert len(found.unknown) == len(OFFICIAL)  # nothing says where the network ends


def test_a_lone_network_is_taken_whatever_it_is_called():
    for tree in ({"model_ema": TIMM}, {"model": TIMM}, {"schema": TIMM}):
        [found] = networks(tree)
        assert choose("c", [found], True) is choose("c", [found], False) is found
    assert not found.is_ema


def test_two_networks_of_one_kind_are_refused():
    with pytest.raises(MismatchError, match=r"c holds 2 networks: official names in \['a'\]; timm names in \['b'\]"):
        choose("c", list(networks({"a": OFFICIAL, "b": TIMM})), True)


def test_other_networks_are_not_found():
    mobilenet = {"features.0.0.weight": ONE, "features.1.conv.0.0.weight": ONE, "classifier.1.weight": ONE}
    assert list(networks(mobilenet)) == list(networks({})) == list(networks({1: ONE, "x": "y"})) == []
