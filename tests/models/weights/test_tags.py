"""The table of tags, compared with the metadata of timm and torchvision (tests/reference/record_tags.py)."""

import json
import re
from pathlib import Path

import pytest

from lucid.models.weights.tags import TAGS, find_tag, tags_of

RECORDED = json.loads((Path(__file__).parents[2] / "reference" / "tags.json").read_text())
FIELDS = (
    "license", "num_classes", "image_size", "crop_pct", "crop_mode", "interpolation", "test_image_size", "test_crop_pct"
)  # fmt: skip


@pytest.mark.parametrize("variant", RECORDED["timm"])
def test_tags_match_timm(variant):
    own = [tag for tag in tags_of(variant) if tag.source == "timm"]
    recorded = RECORDED["timm"][variant]
    assert [tag.name for tag in own] == [f"timm/{variant}.{name}" for name in recorded]  # in the same order
    for tag, entry in zip(own, recorded.values(), strict=True):
        assert {field: getattr(tag, field) for field in FIELDS} == {field: entry[field] for field in FIELDS}
        assert (list(tag.mean), list(tag.std), tag.location) == (entry["mean"], entry["std"], entry["repository"])


@pytest.mark.parametrize("variant", RECORDED["torchvision"])
def test_tags_match_torchvision(variant):
    entry = RECORDED["torchvision"][variant]
    tag = find_tag(f"torchvision/{variant}.tv_in1k")
    for field in ("num_classes", "image_size", "resize_size", "interpolation", "top1"):
        assert getattr(tag, field) == entry[field]
    assert (list(tag.mean), list(tag.std), tag.location) == (entry["mean"], entry["std"], entry["file"])
    assert tag.license == "bsd-3-clause"


def test_official_files_match_timms_copies():
    """The copies also have the accuracies that the authors report."""
    copied = {
        entry["file"]: find_tag(f"{variant}.{name}")
        for variant, tags in RECORDED["timm"].items()
        for name, entry in tags.items()
        if entry["file"].startswith("https://dl.fbaipublicfiles.com/") and not name.endswith("fcmae")
    }
    official = {tag.location: tag for tag in TAGS.values() if tag.source == "official"}
    only_official = {location.rpartition("/")[2] for location in official.keys() - copied.keys()}
    assert copied.keys() <= official.keys()
    assert only_official == {
        "convnext_base_1k_384.pth", "convnext_large_1k_384.pth",
        "convnext_iso_small_1k_224_ema.pth", "convnext_iso_base_1k_224_ema.pth", "convnext_iso_large_1k_224_ema.pth",
    }  # fmt: skip
    for location, copy in copied.items():
        tag = official[location]
        for field in ("variant", "num_classes", "image_size", "crop_pct", "crop_mode", "mean", "std"):
            assert getattr(tag, field) == getattr(copy, field)
        assert tag.reported == copy.reported[: len(tag.reported)]


@pytest.mark.parametrize(
    ("name", "top1", "image_size"),
    [
        ("timm/convnext_tiny.fb_in1k", 82.1, 224),
        ("timm/convnext_xlarge.fb_in22k_ft_in1k", 87.0, 224),
        ("timm/convnext_atto.d2_in1k", 75.7, 224),
        ("timm/convnextv2_huge.fcmae_ft_in1k", 86.3, 224),
        ("official/convnext_iso_large_1k_224_ema", 82.6, 224),
        ("facebook/convnextv2-base-22k-384", 87.7, 384),
        ("torchvision/convnext_large.tv_in1k", 84.414, 224),
        ("timm/convnext_small.in12k_ft_in1k", 85.33, 288),
    ],
)
def test_reported_accuracies(name, top1, image_size):
    tag = find_tag(name)
    assert tag.top1 == top1 and tag.reported[0].image_size == image_size


def test_only_classifiers_of_imagenet_1k_report_accuracies():
    assert all(tag.num_classes == 1000 for tag in TAGS.values() if tag.reported)
    assert find_tag("convnextv2_tiny.fcmae").top1 is None and find_tag("convnextv2_tiny.fcmae").num_classes == 0


def test_weights_of_v2_are_non_commercial_in_every_copy():
    for tag in TAGS.values():
        assert tag.non_commercial == (tag.variant.startswith("convnextv2") or ".eupe_" in tag.name)
        assert tag.license != "cc-by-nc-4.0" or tag.non_commercial


def test_licenses_of_v1_by_source():
    licenses = {tag.source: tag.license for tag in tags_of("convnext_base") if "lvd1689m" not in tag.name}
    assert licenses == {
        "timm": "apache-2.0",
        "transformers": "apache-2.0",
        "torchvision": "bsd-3-clause",
        "official": "mit",
    }


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("convnext_tiny.fb_in1k", "timm/convnext_tiny.fb_in1k"),
        ("hf-hub:timm/convnext_tiny.fb_in1k", "timm/convnext_tiny.fb_in1k"),
        ("convnext_tiny.tv_in1k", "torchvision/convnext_tiny.tv_in1k"),
        ("convnext_tiny.IMAGENET1K_V1", "torchvision/convnext_tiny.tv_in1k"),
        ("facebook/convnext-tiny-224", "facebook/convnext-tiny-224"),
        (
            "https://dl.fbaipublicfiles.com/convnext/convnext_iso_small_1k_224_ema.pth",
            "official/convnext_iso_small_1k_224_ema",
        ),
    ],
)
def test_find_tag_accepts_every_name(name, full):
    assert find_tag(name).name == full
    assert find_tag(full) is find_tag(name)


def test_a_revision_needs_a_repository():
    pinned = find_tag("convnextv2_tiny.fcmae@abc")
    assert (pinned.name, pinned.revision) == ("timm/convnextv2_tiny.fcmae@abc", "abc")
    assert not pinned.has_final_norm and pinned.license == "cc-by-nc-4.0"
    with pytest.raises(ValueError, match="official/.* is not in a hub repository, so it has no revisions, got 'abc'"):
        find_tag("official/convnext_tiny_1k_224_ema@abc")


def test_unknown_names_raise_with_suggestions():
    for name in ("convnext_tiny.zzz", "convnext_tiny."):
        with pytest.raises(ValueError, match=r"did you mean (convnext_tiny\.\w+(, )?){3}\?$"):
            find_tag(name)
    with pytest.raises(ValueError, match=r"there is no checkpoint 'resnet50'; see list_models\(pretrained=True\)$"):
        find_tag("resnet50")
    with pytest.raises(
        ValueError, match=r"there is no checkpoint 'convnext_tiny.fb_in2k'; did you mean .*tiny.fb_in1k"
    ):
        find_tag("convnext_tiny.fb_in2k")


def test_torchvision_file_names_contain_their_checksum():
    for tag in TAGS.values():
        found = re.search(r"-([0-9a-f]{8})\.pth$", tag.location)
        assert bool(found) == (tag.source == "torchvision")
