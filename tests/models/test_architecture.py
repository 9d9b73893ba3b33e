"""Which ConvNeXt a set of names and shapes makes."""

import pytest

from lucid.models import ConvNeXt, ConvNeXtIsotropic, ConvNeXtV2
from lucid.models.architecture import Architecture, architecture_of, nearest_variant, variant_of
from lucid.models.variants import VARIANTS


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
def test_as_a_string_it_is_the_call_that_builds_it(model, call):
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
def test_the_nearest_variant(wanted, name):
    assert nearest_variant(wanted) == name
