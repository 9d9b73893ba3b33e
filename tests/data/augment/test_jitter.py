"""Colour jitter: one change at a time as Pillow does it, amounts and order in distribution."""

import mlx.core as mx
import numpy as np
import pytest

import lucid
from lucid.data import augment
from tests.reference import augment_cases as cases

KEY = mx.random.key(2)
ADJUST = {
    "brightness": augment.adjust_brightness,
    "contrast": augment.adjust_contrast,
    "saturation": augment.adjust_saturation,
    "hue": augment.adjust_hue,
}


@pytest.mark.parametrize("name", ADJUST)
def test_a_fixed_amount_is_the_plain_adjustment(name):
    images = lucid.tensor(cases.images(3))
    amount = 0.2 if name == "hue" else 1.6
    out = augment.color_jitter(images, **{name: (amount, amount)}, key=KEY)
    np.testing.assert_array_equal(out.numpy(), ADJUST[name](images, amount).numpy())


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
            one = ADJUST[name](one, amounts[name][0])
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
