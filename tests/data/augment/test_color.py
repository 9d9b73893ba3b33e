"""Colours of uint8 images, value for value those of Pillow (recorded)."""

import mlx.core as mx
import numpy as np
import pytest

import lucid
from lucid.data import augment
from lucid.data.augment import color
from tests.reference import augment_cases as cases

RECORDED = cases.load()
KEY = mx.random.key(2)
ADJUST = {
    "brightness": augment.adjust_brightness,
    "contrast": augment.adjust_contrast,
    "saturation": augment.adjust_saturation,
    "sharpness": augment.adjust_sharpness,
}


@pytest.mark.parametrize("channels", [3, 1])
@pytest.mark.parametrize("name", ADJUST)
def test_adjusted_images_are_those_of_pillow(name, channels):
    images = lucid.tensor(cases.images(channels))
    for factor in cases.FACTORS:
        out = ADJUST[name](images, factor)
        assert out.dtype == lucid.uint8
        np.testing.assert_array_equal(out.numpy(), RECORDED[f"{name}|{factor}|{channels}"], err_msg=str(factor))


@pytest.mark.parametrize("name", ADJUST)
def test_every_image_has_its_own_factor(name):
    images = lucid.tensor(cases.images(3))
    factors = np.array([0.3, 1.0, 1.9, 0.0, 1.4], np.float32)
    out = ADJUST[name](images, lucid.tensor(factors)).numpy()
    for i, factor in enumerate(factors):
        np.testing.assert_array_equal(out[i : i + 1], ADJUST[name](images[i : i + 1], float(factor)).numpy())


@pytest.mark.parametrize("shape", [(2, 3, 1, 1), (1, 1, 2, 7), (1, 3, 5, 2), (0, 3, 4, 4)])
def test_tiny_images_have_only_a_border_to_smooth(shape):
    images = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    np.testing.assert_array_equal(augment.adjust_sharpness(lucid.tensor(images), 0.0).numpy(), images)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: augment.adjust_contrast(x.float(), 1), TypeError, "images must be uint8 from 0 to 255, got float32"),
        (lambda x: augment.adjust_contrast(x[:, :2], 1), ValueError, r"must have 1 or 3 channels, got shape \(5, 2,"),
        (lambda x: augment.adjust_contrast(x[0], 1), ValueError, r"must have 4 dimensions \(N, C, H, W\)"),
        (lambda x: augment.adjust_contrast(x, -1), ValueError, "factor must be at least 0, got -1"),
        (lambda x: augment.adjust_contrast(x, np.full(5, np.nan)), ValueError, "factor must be at least 0, got nan"),
        (lambda x: augment.adjust_contrast(x, [1, 2]), ValueError, r"for each of 5 images, got shape \(2,\)"),
    ],
)
def test_wrong_images_are_refused(call, error, message):
    with pytest.raises(error, match=f"adjust_contrast: .*{message}"):
        call(lucid.tensor(cases.images(3)))


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
    h, s, v = (np.array(one) for one in color._to_hsv(images._array))
    wanted = images.numpy().astype(int)
    assert (v == wanted.max(1)).all() and (s == 255 * (wanted.max(1) - wanted.min(1)) // wanted.max(1).clip(1)).all()
    assert h.min() >= 0 and h.max() <= 255
    back = augment.adjust_hue(images, 0.0).numpy().astype(int)
    assert np.abs(back - wanted).max() <= 6 and np.abs(back - wanted).mean() < 1.5


JITTERED = {
    "brightness": augment.adjust_brightness,
    "contrast": augment.adjust_contrast,
    "saturation": augment.adjust_saturation,
    "hue": augment.adjust_hue,
}


@pytest.mark.parametrize("name", JITTERED)
def test_a_fixed_amount_is_the_plain_adjustment(name):
    images = lucid.tensor(cases.images(3))
    amount = 0.2 if name == "hue" else 1.6
    out = augment.color_jitter(images, **{name: (amount, amount)}, key=KEY)
    np.testing.assert_array_equal(out.numpy(), JITTERED[name](images, amount).numpy())


def test_factors_are_uniform_around_one():
    images = lucid.full((4000, 1, 1, 1), 100, dtype=lucid.uint8)
    factors = np.sort(augment.color_jitter(images, brightness=0.4, key=KEY).numpy().ravel()) / 100
    assert factors[0] >= 0.59 and factors[-1] <= 1.4
    wanted = np.linspace(0.595, 1.395, len(factors))  # cut off to hundredths
    assert np.abs(factors - wanted).max() < 0.03


def test_every_order_is_equally_likely():
    picture = np.zeros((3, 2, 2), np.uint8)
    picture[:, 0] = [[200], [30], [90]]
    amounts = {"brightness": (1.5, 1.5), "contrast": (0.3, 0.3), "saturation": (1.9, 1.9)}
    images = lucid.tensor(np.repeat(picture[None], 6000, axis=0))
    out = augment.color_jitter(images, **amounts, key=KEY).numpy()
    orders = {}
    for order in [(a, b, c) for a in amounts for b in amounts for c in amounts if len({a, b, c}) == 3]:
        one = lucid.tensor(picture[None])
        for name in order:
            one = JITTERED[name](one, amounts[name][0])
        orders.setdefault(one.numpy().tobytes(), []).append(order)
    counts = dict.fromkeys(orders, 0)
    for one in out:
        counts[one.tobytes()] += 1  # nothing else may come out
    assert len(orders) >= 5
    for result, found in counts.items():
        assert abs(found - 1000 * len(orders[result])) < 140


def test_without_amounts_nothing_changes():
    images = lucid.tensor(cases.images(3))
    np.testing.assert_array_equal(augment.color_jitter(images, key=KEY).numpy(), images.numpy())
    assert augment.color_jitter(images[:0], 0.4, hue=0.1, key=KEY).shape == (0, 3, 9, 13)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"brightness": -1}, "brightness must be at least 0, got -1"),
        ({"hue": 0.6}, "hue must be at least 0 and at most 0.5, got 0.6"),
        ({"contrast": (1.5, 0.5)}, "contrast must be at least 1.5, got 0.5"),
        ({"saturation": (1, 2, 3)}, "saturation must be a number or two"),
    ],
)
def test_wrong_amounts_are_refused(options, message):
    with pytest.raises(ValueError, match=f"color_jitter: {message}"):
        augment.color_jitter(lucid.zeros(1, 3, 2, 2, dtype=lucid.uint8), **options, key=KEY)
    with pytest.raises(ValueError, match=f"ColorJitter: {message}"):
        augment.ColorJitter(**options)
