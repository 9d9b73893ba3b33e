"""Names and shapes of the four dialects, compared with the recorded ones of the implementations."""

import json

import numpy as np
import pytest

from lucid.models.weights.dialects import DIALECTS, shape_in, translate
from tests.reference.dialect_cases import CASES, FILE

RECORDED = np.load(FILE)
SHAPES = {case: dict(json.loads(str(RECORDED[f"{case}/parameters"]))) for case in CASES}


def inner(name):
    return name.removeprefix("convnext.").removeprefix("convnextv2.")


@pytest.mark.parametrize("case", CASES)
def test_every_name_is_translated_to_official_and_back(case):
    dialect = CASES[case].implementation
    official = {name: translate(inner(name), dialect, "official") for name in SHAPES[case]}
    assert len(set(official.values())) == len(official) and None not in official.values()
    assert all(translate(name, "official", dialect) == inner(given) for given, name in official.items())


@pytest.mark.parametrize("family", ["tiny", "V2"])
def test_all_dialects_have_the_same_parameters(family):
    found = {
        frozenset(translate(inner(name), CASES[case].implementation, "official") for name in SHAPES[case])
        for case in CASES
        if family in case and not CASES[case].bare and not CASES[case].options
    }
    assert len(found) == 1
    assert len(found.pop()) == {"tiny": 182, "V2": 70}[family]


@pytest.mark.parametrize("case", CASES)
def test_shapes_match_the_implementation(case):
    dialect = CASES[case].implementation
    for name, shape in SHAPES[case].items():
        official = translate(inner(name), dialect, "official")
        natural = tuple(size for size in shape if size > 1) if "gamma" in official or "pwconv" in official else shape
        natural = (1, 1, 1, *natural[-1:]) if ".grn." in official else tuple(natural)
        assert shape_in(dialect, official, natural, CASES[case].pointwise) == tuple(shape), name


@pytest.mark.parametrize(
    ("name", "source", "target", "expected"),
    [
        ("features.6.1.bias", "torchvision", "timm", "stages.3.downsample.1.bias"),
        ("features.7.2.layer_scale", "torchvision", "huggingface", "encoder.stages.3.layers.2.layer_scale_parameter"),
        ("stages.10.0.gamma", "official", "torchvision", "features.21.0.layer_scale"),
        ("stages.0.blocks.11.mlp.grn.weight", "timm", "official", "stages.0.11.grn.gamma"),
        ("stages.0.1.grn.beta", "official", "torchvision", None),
        ("blocks.3.dwconv.weight", "official", "official", "blocks.3.dwconv.weight"),
        ("head.pre_logits.fc.bias", "timm", "official", "pre_logits.bias"),
        ("stem.3.bias", "timm", "official", "downsample_layers.0.3.bias"),
        ("norm_pre.weight", "official", "huggingface", None),
        ("stem.bias", "official", "timm", None),
    ],
)
def test_examples(name, source, target, expected):
    assert translate(name, source, target) == expected


@pytest.mark.parametrize(
    ("name", "dialect"),
    [
        ("stages.01.0.gamma", "official"),  # leading zero
        ("downsample_layers.0.4.weight", "official"),
        ("downsample_layers.1.2.weight", "official"),
        ("features.1.0.weight", "torchvision"),  # odd entries hold blocks
        ("features.2.0.block.0.weight", "torchvision"),  # even ones have no blocks
        ("stages.0.downsample.0.weight", "timm"),  # timm's model with patch_size=2
        ("stages.1234567.0.gamma", "official"),  # implausibly deep; looping over it would take forever
        ("layer1.0.conv1.weight", "timm"),
        ("xstem.0.weight", "timm"),
        ("head.fc.weight.scale", "timm"),
        ("", "huggingface"),
    ],
)
def test_other_names_are_not_translated(name, dialect):
    assert translate(name, dialect, "official") is None


def test_dialects():
    assert DIALECTS == ("official", "torchvision", "timm", "huggingface")
