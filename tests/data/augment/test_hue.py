"""The hue turned as Pillow does it (recorded), in its whole numbers."""

import numpy as np
import pytest

import lucid
from lucid.data import augment
from lucid.data.augment import hue
from tests.reference import augment_cases as cases

RECORDED = cases.load()


@pytest.mark.parametrize("turn", cases.TURNS)
def test_turned_images_are_those_of_pillow(turn):
    out = augment.adjust_hue(lucid.tensor(cases.images(3)), turn).numpy().astype(int)
    difference = np.abs(out - RECORDED[f"hue|{turn}|3"])
    # Where a hue is a whole number exactly, Pillow's floats may come out below it: one step of 255 elsewhere.
    assert (difference > 0).mean() < 0.01 and difference.max() <= 6


def test_grey_images_have_no_hue():
    images = cases.images(1)
    np.testing.assert_array_equal(augment.adjust_hue(lucid.tensor(images), 0.3).numpy(), images)
    grey = np.repeat(images, 3, axis=1)
    np.testing.assert_array_equal(augment.adjust_hue(lucid.tensor(grey), 0.3).numpy(), grey)


def test_pure_colours_turn_into_each_other():
    red, green, blue = (np.eye(3, dtype=np.uint8)[i].reshape(1, 3, 1, 1) * 255 for i in range(3))
    third = augment.adjust_hue(lucid.tensor(np.concatenate([red, green, blue])), 1 / 3).numpy()
    assert np.abs(third.astype(int) - np.concatenate([green, blue, red])).max() <= 6  # a circle of 256 steps


def test_degrees_are_refused():
    with pytest.raises(ValueError, match="adjust_hue: factor must be at least -0.5 and at most 0.5, got 90"):
        augment.adjust_hue(lucid.tensor(cases.images(3)), 90)


def test_the_way_to_hsv_and_back_keeps_hue_within_a_step():
    images = lucid.tensor(np.random.default_rng(0).integers(0, 256, (1, 3, 64, 64)).astype(np.uint8))
    h, s, v = (np.array(one) for one in hue._to_hsv(images._array))
    wanted = images.numpy().astype(int)
    assert (v == wanted.max(1)).all() and (s == 255 * (wanted.max(1) - wanted.min(1)) // wanted.max(1).clip(1)).all()
    assert h.min() >= 0 and h.max() <= 255
    back = augment.adjust_hue(images, 0.0).numpy().astype(int)
    assert np.abs(back - wanted).max() <= 6 and np.abs(back - wanted).mean() < 1.5
