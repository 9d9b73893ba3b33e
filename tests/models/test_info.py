"""``model_info``: exact parameter counts, multiply-adds within 1 %, and facts about checkpoints."""

import pytest

import lucid
from lucid import models
from lucid.models.weights.tags import TAGS, tags_of

# Published parameter counts with 1000 and with 10 classes, and GMACs at 224 px.
FAMILY = {
    "convnext_atto": (3_695_520, 3_377_730, 0.547),
    "convnext_femto": (5_217_784, 4_836_634, 0.780),
    "convnext_pico": (9_045_672, 8_537_802, 1.367),
    "convnext_nano": (15_593_560, 14_958_970, 2.446),
    "convnext_tiny": (28_589_128, 27_827_818, 4.456),
    "convnext_small": (50_223_688, 49_462_378, 8.684),
    "convnext_base": (88_591_464, 87_576_714, 15.355),
    "convnext_large": (197_767_336, 196_245_706, 34.361),
    "convnext_xlarge": (350_196_968, 348_168_458, 60.921),
    "convnext_xxlarge": (846_471_016, 843_428_746, 151.570),
    "convnext_large_mlp": (200_128_168, 198_606_538, 34.364),
    "convnext_tiny_hnf": (28_589_128, 27_827_818, 4.456),
    "convnext_atto_ols": (3_702_912, 3_385_122, 0.577),
    "convnext_femto_ols": (5_226_520, 4_845_370, 0.813),
    "convnext_pico_ols": (9_061_928, 8_554_058, 1.426),
    "convnext_nano_ols": (15_649_560, 15_014_970, 2.641),
    "convnextv2_small": (50_318_440, None, 8.684),
    "convnextv2_atto": (3_708_400, None, 0.547),
    "convnextv2_femto": (5_233_240, None, 0.780),
    "convnextv2_pico": (9_066_280, None, 1.367),
    "convnextv2_nano": (15_623_800, None, 2.446),
    "convnextv2_tiny": (28_635_496, None, 4.456),
    "convnextv2_base": (88_717_800, None, 15.355),
    "convnextv2_large": (197_956_840, None, 34.361),
    "convnextv2_huge": (660_289_640, None, None),
    "convnext_isotropic_small": (22_308_712, None, None),
    "convnext_isotropic_base": (87_083_752, None, None),
    "convnext_isotropic_large": (305_905_640, None, None),
}


def test_the_table_is_complete():
    assert set(FAMILY) == set(models.list_models())


@pytest.mark.parametrize("name", FAMILY)
def test_parameters_and_multiply_adds(name):
    thousand, ten, gmacs = FAMILY[name]
    lucid.memory.reset()
    before = lucid.memory.active()
    info = models.model_info(name, image_size=224)
    assert info.parameters == thousand and info.num_classes == 1000
    assert models.create_model(name).num_parameters() == thousand
    if ten is not None:
        assert models.create_model(name, num_classes=10).num_parameters() == ten
    if gmacs is not None:
        assert info.macs == pytest.approx(gmacs * 1e9, rel=0.01)
    assert lucid.memory.peak() - before < 1e6  # no weights were computed


def test_macs_of_the_isotropic_network_by_hand():
    places, c, depth = 14 * 14, 384, 18
    block = places * (49 * c + 8 * c * c)
    assert models.model_info("convnext_isotropic_small").macs == places * 3 * 256 * c + depth * block + 1000 * c


def test_a_variant_is_described_by_its_default_checkpoint():
    info, tag = models.model_info("convnext_base"), tags_of("convnext_base")[0]
    assert (info.name, f"timm/{info.tag}") == ("convnext_base", tag.name)
    for word in ("source", "location", "license", "mean", "std", "interpolation", "crop_pct", "image_size", "reported"):
        assert getattr(info, word) == getattr(tag, word), word
    assert "2201.03545" in info.paper


def test_a_checkpoint_by_name():
    info = models.model_info("timm/convnextv2_tiny.fcmae_ft_in22k_in1k_384")
    assert info == models.model_info("convnextv2_tiny.fcmae_ft_in22k_in1k_384")
    assert (info.image_size, info.license, info.non_commercial, info.top1) == (384, "cc-by-nc-4.0", True, 85.1)
    assert "2301.00808" in info.paper
    assert info.macs == pytest.approx(4.456e9 * (384 / 224) ** 2, rel=0.01)
    assert models.model_info("convnext_tiny.fb_in22k").num_classes == 21841
    assert models.model_info("facebook/convnext-tiny-224").name == "convnext_tiny"


@pytest.mark.parametrize("name", [name for name in TAGS if "tiny" in name])
def test_info_of_checkpoints(name):
    info, tag = models.model_info(name), TAGS[name]
    assert info.name == tag.variant and info.num_classes == tag.num_classes
    assert info.license and tag.license in str(info)
    assert ("not for commercial use" in str(info)) == tag.non_commercial


def test_str():
    assert str(models.model_info("convnext_tiny.fb_in1k")).splitlines()[:5] == [
        "convnext_tiny: 28,589,128 parameters with 1,000 classes, 4.456 GMACs at 224 px",
        "  paper: Liu et al. 2022, A ConvNet for the 2020s, arXiv:2201.03545",
        "  weights: convnext_tiny.fb_in1k of timm, timm/convnext_tiny.fb_in1k",
        "  license: apache-2.0",
        "  images: 224 px, bicubic, crop_pct 0.875, mean (0.485, 0.456, 0.406), std (0.229, 0.224, 0.225)",
    ]


def test_the_random_state_does_not_change():
    lucid.manual_seed(3)
    wanted = lucid.rand(1).item()
    lucid.manual_seed(3)
    models.model_info("convnext_pico", image_size=33)  # not cached, because no other test uses this size
    assert lucid.rand(1).item() == wanted


def test_invalid_arguments_raise():
    with pytest.raises(ValueError, match="model_info: there is no model 'convnext_tinny'; did you mean convnext_tiny"):
        models.model_info("convnext_tinny")
    with pytest.raises(ValueError, match="the images must be at least 32x32 px"):
        models.model_info("convnext_tiny", image_size=16)
    with pytest.raises(ValueError, match="model_info: image_size must be at least 1, got 0"):
        models.model_info("convnext_tiny", image_size=0)
