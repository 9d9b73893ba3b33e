"""Names that are only read, and classifiers of other names. test_checkpoint_kinds.py loads whole files."""

import numpy as np
import pytest

from lucid.models import ConvNeXt, load_checkpoint
from lucid.models.weights.detect import MismatchError, find_networks
from lucid.models.weights.foreign import UNUSED, converted, official_name, own_classifier
from lucid.serialization import Placeholder
from tests.reference.checkpoint_cases import CLASSES, DIMS, HEAD, value

DEPTHS = (1, 1, 1, 1)


def built(classes=CLASSES):
    return ConvNeXt(classes, DEPTHS, DIMS)


def tensors(without=()):
    found = {name: value(name, tensor.shape) for name, tensor in built().state_dict().items()}
    return {name: array for name, array in found.items() if name not in without}


@pytest.mark.parametrize(
    ("dialect", "name", "official"),
    [
        ("dinov3", "stages.0.downsample_layers.1.weight", "downsample_layers.0.1.weight"),
        ("dinov3", "stages.3.downsample_layers.0.bias", "downsample_layers.3.0.bias"),
        ("dinov3", "stages.2.layers.11.pointwise_conv2.bias", "stages.2.11.pwconv2.bias"),
        ("dinov3", "stages.2.layers.1.gamma", "stages.2.1.gamma"),
        ("dinov3", "layer_norm.weight", "norm.weight"),
        ("openmmlab", "stages.1.0.depthwise_conv.weight", "stages.1.0.dwconv.weight"),
        ("openmmlab", "stages.1.0.grn.gamma", "stages.1.0.grn.gamma"),
        ("openmmlab", "norm3.bias", "norm.bias"),
        ("openmmlab", "norm0.bias", UNUSED),
        ("official", "norms.3.weight", "norm.weight"),
        ("official", "norms.2.weight", UNUSED),
        ("fcmae", "stages.2.11.dwconv.kernel", "stages.2.11.dwconv.weight"),
        ("fcmae", "stages.2.11.norm.ln.weight", "stages.2.11.norm.weight"),
        ("fcmae", "stages.2.11.pwconv1.linear.bias", "stages.2.11.pwconv1.bias"),
        ("fcmae", "downsample_layers.1.1.kernel", "downsample_layers.1.1.weight"),
        ("fcmae", "decoder.0.dwconv.weight", None),
        ("dinov3", "mask_token", None),
        ("timm", "norms.3.weight", None),
    ],
)
def test_names(dialect, name, official):
    assert official_name(name, dialect) == official


def test_kernels_of_sparse_convolutions():
    """The formula of the authors' remap_checkpoint_keys, in NumPy."""
    depthwise, standard = np.arange(49 * 3.0).reshape(49, 3), np.arange(4 * 2 * 5.0).reshape(4, 2, 5)
    found = converted("stages.0.0.dwconv.weight", depthwise, "fcmae").numpy()
    assert np.array_equal(found, depthwise.transpose(1, 0).reshape(3, 1, 7, 7).swapaxes(3, 2))
    found = converted("downsample_layers.1.1.weight", standard, "fcmae").numpy()
    assert np.array_equal(found, standard.transpose(2, 1, 0).reshape(5, 2, 2, 2).swapaxes(3, 2))
    for name, array in (("stages.0.0.pwconv1.weight", depthwise), ("stages.0.0.dwconv.weight", depthwise[:48])):
        assert converted(name, array, "fcmae") is array
    assert converted("stages.0.0.dwconv.weight", depthwise, "official") is depthwise


@pytest.mark.parametrize(
    ("shapes", "found"),
    [
        ({"fc.weight": (10, 5), "fc.bias": (10,)}, "fc.weight"),
        ({"head.1.weight": (10, 5), "other.weight": (10, 5)}, "head.1.weight"),
        ({"classifier.fc.weight": (10, 5)}, "classifier.fc.weight"),
        ({"fc.weight": (10, 6)}, None),  # of another width
        ({"head.0.weight": (8, 5), "head.2.weight": (10, 8)}, None),  # a hidden layer, which the model does not have
        ({"fc.weight": (10, 5), "head.1.weight": (3, 5)}, None),
        ({"decode_head.weight": (10, 5)}, None),
        ({"fc.weight": (10, 5, 1, 1)}, None),
    ],
)
def test_a_classifier_is_used_only_if_it_is_the_only_one(shapes, found):
    assert own_classifier({name: np.zeros(shape) for name, shape in shapes.items()}, 5) == found


def test_a_classifier_of_another_size_is_skipped_under_its_own_name():
    tree = {**tensors(without=HEAD), "fc.weight": np.ones((9, DIMS[-1])), "fc.bias": np.ones(9)}
    with pytest.warns(UserWarning, match="the checkpoint's classifier has 9 classes, not 3"):
        report = load_checkpoint(built(), tree)
    assert set(report.skipped) == {"fc.weight", "fc.bias"} and set(report.kept) == set(HEAD)


def test_a_missing_bias_is_zero_whatever_the_weight_is():
    weight = np.full((CLASSES, DIMS[-1]), np.inf, np.float32)
    model = built()
    load_checkpoint(model, {**tensors(without=HEAD), "fc.weight": weight})
    assert model.head.bias.tolist() == [0, 0, 0]


def test_hidden_layers_of_a_classifier_are_unknown():
    tree = {**tensors(without=HEAD), "head.0.weight": np.ones((8, 5)), "head.2.weight": np.ones((3, 8))}
    with pytest.raises(MismatchError, match=r"unknown: head\.0\.weight"):
        load_checkpoint(built(), tree)


@pytest.mark.parametrize("name", ["stages.1.0.dwconv.weight", "downsample_layers.0.0.bias", "head.weight"])
def test_a_placeholder_in_place_of_a_tensor_is_named(name):
    tree = {**tensors(), name: Placeholder("torch._utils._rebuild_qtensor")}
    with pytest.raises(MismatchError, match=rf"{name} is torch\._utils\._rebuild_qtensor, which is not supported"):
        load_checkpoint(built(), tree, strict=False)


def test_a_placeholder_that_the_model_does_not_need_is_ignored():
    tree = {**tensors(), "head.weight": Placeholder("a"), "decoder.weight": Placeholder("b")}
    assert load_checkpoint(built(classes=0), tree).loaded == len(tensors(without=HEAD))


@pytest.mark.parametrize(
    ("tree", "fault"),
    [
        (
            {"model": Placeholder("timm.ConvNeXt"), "epoch": 3},
            r"its 'model' is a pickled timm\.ConvNeXt; .* state_dict",
        ),
        ({"a": 1, "b": 2}, "its names are a, b"),
        ({}, "its names are none"),
    ],
)
def test_what_a_checkpoint_without_a_convnext_holds(tree, fault):
    with pytest.raises(MismatchError, match=f"holds no ConvNeXt in any dialect; {fault}"):
        load_checkpoint(built(), tree)


def test_wrappers_within_names_are_ignored():
    def wrapped(name):
        return name.replace("stages.0.0.", "stages.0.0._fsdp_wrapped_module._checkpoint_wrapped_module.")

    [network] = find_networks({f"_fsdp_wrapped_module.{wrapped(name)}": array for name, array in tensors().items()})
    assert network.tensors.keys() == tensors().keys() and not network.unknown
    assert network.names["stages.0.0.gamma"].startswith("_fsdp_wrapped_module.stages.0.0._fsdp_wrapped_module.")
