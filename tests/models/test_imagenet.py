"""The names of ImageNet's classes, against torchvision's names and the numbers that timm gives them."""

import json
import re
from pathlib import Path

import pytest

from lucid.models.imagenet import imagenet_classes
from lucid.models.weights.tags import TAGS

ROOT = Path(__file__).parents[2]
RECORDED = json.loads((ROOT / "tests/reference/class_names.json").read_text())
POSITIONS = RECORDED["numbers of the 1000 classes"]
OWN_WORDS = {134: "crane", 639: "maillot, tank suit"}  # where torchvision's are not WordNet's
RELEASES = {"imagenet-1k": 1000, "imagenet-12k": 11_821, "imagenet-22k": 21_841}


@pytest.mark.parametrize("count", [11_821, 21_841])
def test_no_two_classes_have_the_same_name(count):
    names = imagenet_classes(count)
    assert len(names) == len({name.casefold() for name in names}) == count
    assert all(name and name == name.strip() and not name.startswith(("*", "#")) for name in names)


@pytest.mark.parametrize(("count", "missing"), [(11_821, 7), (21_841, 1)])
def test_the_thousand_classes_are_where_timm_has_them(count, missing):
    names, torchvision = imagenet_classes(count), imagenet_classes(1000)
    positions = POSITIONS[str(count)]
    assert len(positions) == len(torchvision) == 1000 and positions.count(None) == missing
    for number, (name, position) in enumerate(zip(torchvision, positions, strict=True)):
        if position is not None:
            words = names[position].partition(": ")[0]
            assert OWN_WORDS.get(number, name).lower() in (words.lower(), *words.lower().split(", "))


def test_the_classes_of_12k_are_some_of_22k_in_the_same_order():
    rest = iter(imagenet_classes(21_841))
    assert all(name in rest for name in imagenet_classes(11_821))


@pytest.mark.parametrize(
    ("number", "name"),
    [(359, "tench"), (563, "junco"), (9204, "pickup"), (9212, "pier"), (15732, "groom"), (21817, "toilet tissue")],
)
def test_the_order_is_that_of_other_libraries(number, name):
    """The numbers of microsoft/Swin-Transformer, data/map22kto1k.txt, are Google's, whose list has two classes more."""
    number -= (number > 9205) + (number > 15027)
    assert re.split("[,:]", imagenet_classes(21_841)[number])[0] == name


def test_every_tag_with_classes_has_their_names():
    without = set()
    for tag in TAGS.values():
        names = imagenet_classes(tag.num_classes)
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


def test_a_count_that_no_release_has():
    assert [imagenet_classes(count) for count in (0, 10, 640, 21_843)] == [None] * 4


def test_the_licence_of_wordnet_stands_on_the_copy():
    text = (ROOT / "lucid/models/imagenet_22k.txt").read_text(encoding="ascii")
    header = " ".join(line[2:] for line in text.splitlines() if line.startswith("#"))
    assert "WordNet 3.0 Copyright 2006 by Princeton University. All rights reserved." in header
    assert "Permission to use, copy, modify and distribute" in header
    assert 'IS PROVIDED "AS IS"' in header and "LICENSEE agrees to preserve same." in header
