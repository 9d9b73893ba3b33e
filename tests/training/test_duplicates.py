"""Equal photos, nearly equal ones, and bursts."""

import shutil

import numpy as np
import pytest

pytest.importorskip("PIL", reason="images are read with Pillow")

from PIL import Image

from lucid.training import duplicates
from tests.training.drawn_photos import CLASSES, draw

EXIF, TAKEN, MODEL = 0x8769, 0x9003, 0x0110


def save(image, path, taken=None, camera="A", **options):
    if taken is not None:
        exif = Image.Exif()
        exif[MODEL] = camera
        exif.get_ifd(EXIF)[TAKEN] = f"2026:06:01 12:00:{taken:02}"
        options["exif"] = exif
    image.save(path, **options)
    return duplicates.inspect(str(path))


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Paths of 60 photos of three classes that have nothing in common."""
    folder, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    paths = [folder / f"{number:02}.png" for number in range(60)]
    for number, path in enumerate(paths):
        draw(rng, CLASSES[number % 3], (90, 70)).save(path)
    return paths


@pytest.fixture(scope="module")
def known(photos):
    return [duplicates.inspect(str(path)) for path in photos]


def test_different_photos_are_no_duplicates(known):
    assert duplicates.find_groups(known) == list(range(60))
    assert duplicates.find_pairs(known[:30], known[30:]) == []


def test_copies_and_other_encodings_of_a_photo_are_found(photos, known, tmp_path):
    shutil.copy(photos[7], tmp_path / "copy.png")
    copy = duplicates.inspect(str(tmp_path / "copy.png"))
    image = Image.open(photos[8])
    smaller = save(image.resize((60, 47)), tmp_path / "smaller.jpg", quality=60)
    brighter = save(image.point(lambda value: value * 0.97 + 4), tmp_path / "brighter.webp")
    assert duplicates.find_pairs(known, [copy, smaller, brighter]) == [(7, 0, True), (8, 1, False), (8, 2, False)]
    assert duplicates.find_groups([*known[:10], copy, smaller, brighter]) == [*range(10), 7, 8, 8]


def test_flat_images_are_equal_only_as_files(tmp_path):
    flat = [save(Image.new("RGB", (40, 40), color), tmp_path / f"{color}.png") for color in ("white", "black", "red")]
    assert all(photo.look is None for photo in flat)
    assert duplicates.find_groups([*flat, flat[1]]) == [0, 1, 2, 1]
    assert duplicates.find_pairs(flat, [flat[2]]) == [(2, 0, True)]


def test_photos_of_one_burst_belong_together(tmp_path):
    rng = np.random.default_rng(1)
    moments = [(0, "A"), (2, "A"), (5, "A"), (5, "B"), (20, "A"), (None, "A"), (None, "A")]
    found = [
        save(draw(rng, "balls", (64, 64)), tmp_path / f"{number}.jpg", taken, camera)
        for number, (taken, camera) in enumerate(moments)
    ]
    # Three within 3 s of each other, another camera, later, and two without a date.
    assert duplicates.find_groups(found) == [0, 0, 0, 3, 4, 5, 6]
    assert duplicates.find_groups(found[::-1]) == [0, 1, 2, 3, 4, 4, 4]


def test_what_is_known_of_a_file(tmp_path):
    found = save(Image.new("RGB", (30, 20), (10, 20, 30)), tmp_path / "x.png")
    assert found.size == (30, 20) and found.color.tolist() == [10, 20, 30] and found.taken is None
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    assert duplicates.inspect(str(tmp_path / "broken.jpg")) == "not an image in a supported format"
