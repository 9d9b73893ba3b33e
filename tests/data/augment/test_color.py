"""Colours of uint8 images, value for value those of Pillow (recorded)."""

import numpy as np
import pytest

import lucid
from lucid.data import augment
from tests.reference import augment_cases as cases

RECORDED = cases.load()
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
