"""ImageNet's class names, compared with torchvision's names and timm's indices."""

import json
import re
from pathlib import Path

import pytest

from lucid.models import imagenet_class_names
from lucid.models.weights.tags import TAGS

ROOT = Path(__file__).parents[2]
RECORDED = json.loads((ROOT / "tests/reference/class_names.json").read_text())
POSITIONS = RECORDED["numbers of the 1000 classes"]
SYNONYMS = {134: "crane", 639: "maillot, tank suit"}  # where torchvision's name is not WordNet's
RELEASES = {"imagenet-1k": 1000, "imagenet-12k": 11_821, "imagenet-22k": 21_841}


@pytest.mark.parametrize("count", [11_821, 21_841])
def test_class_names_are_unique(count):
    names = imagenet_class_names(count)
    assert len(names) == len({name.casefold() for name in names}) == count
    assert all(name and name == name.strip() and not name.startswith(("*", "#")) for name in names)


@pytest.mark.parametrize(("count", "missing"), [(11_821, 7), (21_841, 1)])
def test_the_1000_classes_have_the_indices_of_timm(count, missing):
    names, torchvision = imagenet_class_names(count), imagenet_class_names(1000)
    positions = POSITIONS[str(count)]
    assert len(positions) == len(torchvision) == 1000 and positions.count(None) == missing
    for number, (name, position) in enumerate(zip(torchvision, positions, strict=True)):
        if position is not None:
            words = names[position].partition(": ")[0]
            assert SYNONYMS.get(number, name).lower() in (words.lower(), *words.lower().split(", "))


def test_imagenet_12k_is_an_ordered_subset_of_22k():
    rest = iter(imagenet_class_names(21_841))
    assert all(name in rest for name in imagenet_class_names(11_821))


@pytest.mark.parametrize(
    ("number", "name"),
    [(359, "tench"), (563, "junco"), (9204, "pickup"), (9212, "pier"), (15732, "groom"), (21817, "toilet tissue")],
)
def test_the_order_matches_other_libraries(number, name):
    """The indices in data/map22kto1k.txt of Swin-Transformer are Google's, whose list has two more classes."""
    number -= (number > 9205) + (number > 15027)
    assert re.split("[,:]", imagenet_class_names(21_841)[number])[0] == name


def test_every_classifier_has_class_names():
    without = set()
    for tag in TAGS.values():
        names = imagenet_class_names(tag.num_classes) if tag.num_classes in (1000, 11_821, 21_841) else None
        if names is None:
            without.add(tag.name)
        else:
            assert len(names) == tag.num_classes
        if tag.source == "timm":
            release = RECORDED["subsets"][str(tag.num_classes)]
            assert (release and RELEASES[release]) == (names and len(names))
    features = ("dinov3_", "eupe_", "fcmae", "clip_laion")
    assert all(name.partition(".")[2].startswith(features) and "_ft_in" not in name for name in without)
    assert len(without) == sum(tag.num_classes in (0, 640, 768, 1024) for tag in TAGS.values())


@pytest.mark.parametrize("count", [0, 10, 640, 21_843])
def test_other_numbers_of_classes_raise(count):
    with pytest.raises(ValueError, match=f"num_classes must be 1000, 11821 or 21841, got {count}$"):
        imagenet_class_names(count)


def test_the_file_contains_the_license_of_wordnet():
    text = (ROOT / "lucid/models/imagenet_22k.txt").read_text(encoding="ascii")
    header = " ".join(line[2:] for line in text.splitlines() if line.startswith("#"))
    assert "WordNet 3.0 Copyright 2006 by Princeton University. All rights reserved." in header
    assert "Permission to use, copy, modify and distribute" in header
    assert 'IS PROVIDED "AS IS"' in header and "LICENSEE agrees to preserve same." in header
