"""Crops and flips: torchvision's pixels at given places (recorded), and all places equally likely."""

import mlx.core as mx
import numpy as np
import pytest

import lucid
from lucid.data import augment
from lucid.data import transforms as T
from tests.reference import augment_cases as cases

RECORDED = cases.load()
KEY = mx.random.key(5)
MEAN, STD = (0.1, 0.5, 0.9), (0.5, 1.0, 2.0)


@pytest.mark.parametrize("channels", [3, 1])
@pytest.mark.parametrize("number", range(len(cases.CROPS)))
def test_windows_are_those_of_torchvision(number, channels):
    images = cases.images(channels)
    top, left, *options = cases.CROPS[number]
    tops, lefts = (lucid.tensor(np.full(len(images), one)) for one in (top, left))
    for dtype in (lucid.uint8, lucid.float32, lucid.float16):
        out = augment.crop_at(lucid.tensor(images).to(dtype), tops, lefts, *options)
        assert out.dtype == dtype
        np.testing.assert_array_equal(out.numpy(), RECORDED[f"crop|{number}|{channels}"])


def test_every_image_has_its_own_window():
    images = lucid.tensor(cases.images(3))
    tops, lefts = np.array([0, 3, 1, 2, 4]), np.array([5, 0, 2, 1, 4])
    out = augment.crop_at(images, lucid.tensor(tops), lucid.tensor(lefts), (5, 8))
    for i, (top, left) in enumerate(zip(tops, lefts, strict=True)):
        np.testing.assert_array_equal(out[i].numpy(), images.numpy()[i, :, top : top + 5, left : left + 8])


def test_random_crops_reach_every_place_equally_often():
    image = np.arange(25, dtype=np.float32).reshape(1, 1, 5, 5)
    many = lucid.tensor(np.repeat(image, 9000, axis=0))
    out = augment.random_crop(many, (3, 4), padding=(0, 1), fill=-1, key=KEY).numpy()
    padded = np.pad(image[0, 0], ((1, 1), (0, 0)), constant_values=-1)
    places = [padded[t : t + 3, f : f + 4].tobytes() for t in range(5) for f in range(2)]
    counts = np.array([sum(one.tobytes() == place for one in out[:, 0]) for place in places])
    assert counts.sum() == 9000
    assert ((counts - 900) ** 2 / 900).sum() < 28  # chi-square of 9 degrees of freedom: 1 in 1000 is above


def test_fill_may_differ_by_channel():
    out = augment.random_crop(lucid.zeros(2, 3, 1, 1, dtype=lucid.uint8), 3, padding=1, fill=[1, 2, 3], key=KEY).numpy()
    assert out.sum(axis=(2, 3)).tolist() == [[8, 16, 24]] * 2


@pytest.mark.parametrize("p", [0.0, 0.25, 0.5, 1.0])
def test_flips_mirror_whole_images_with_probability_p(p):
    images = lucid.tensor(np.random.default_rng(0).integers(0, 256, (4000, 1, 3, 5)).astype(np.uint8))
    out = augment.random_horizontal_flip(images, p, key=KEY).numpy()
    before = images.numpy()
    flipped = (out == before[..., ::-1]).all((1, 2, 3))
    kept = (out == before).all((1, 2, 3))
    assert (flipped ^ kept).all()
    assert abs(flipped.mean() - p) <= 4 * np.sqrt(p * (1 - p) / 4000)


def test_batches_of_nothing_stay_so():
    empty = lucid.zeros(0, 3, 8, 8, dtype=lucid.uint8)
    assert augment.random_crop(empty, 6, 1, key=KEY).shape == (0, 3, 6, 6)
    assert augment.random_horizontal_flip(empty, key=KEY).shape == (0, 3, 8, 8)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: augment.random_crop(x, 9, key=KEY), ValueError, r"size \(9, 9\) does not fit .* images of 4 x 5"),
        (lambda x: augment.random_crop(x, 0, key=KEY), ValueError, "size must be at least 1, got 0"),
        (lambda x: augment.random_crop(x, 2, -1, key=KEY), ValueError, "padding must be at least 0, got -1"),
        (lambda x: augment.random_crop(x, 2, 1, 0, "wrap", key=KEY), ValueError, "padding_mode must be 'constant', "),
        (lambda x: augment.random_crop(x, 2, 1, [1, 2], key=KEY), ValueError, "fill must be a number or one for each"),
        (lambda x: augment.random_crop(x, 2, 1, None, key=KEY), ValueError, "fill must be a number .*, got None"),
        (
            lambda x: augment.random_crop(x.to(lucid.uint8), 2, 1, 300, key=KEY),
            ValueError,
            "fill must be from 0 to 255",
        ),
        (lambda x: augment.crop_at(x, 3, 0, 2, 0), ValueError, "crop_at: top must be at least 0 and at most 2, got 3"),
        (lambda x: augment.crop_at(x, 0, np.array([0, -1]), 2), ValueError, "left must be at least 0 .* got -1"),
        (lambda x: augment.crop_at(x, 0, 1.5, 2), TypeError, "crop_at: left must be integers, got float32"),
        (lambda x: augment.random_crop(x[0], 2, key=KEY), ValueError, r"must have 4 dimensions \(N, C, H, W\)"),
        (lambda x: augment.random_crop(x, 2, key=7), TypeError, "key must be a random key, .* got 7"),
        (lambda x: augment.random_horizontal_flip(x, 1.5, key=KEY), ValueError, "p must be .*, got 1.5"),
        (lambda x: augment.random_horizontal_flip(x, key=mx.zeros(3)), TypeError, r"key .* got shape \(3,\)"),
    ],
)
def test_wrong_arguments_are_refused(call, error, message):
    with pytest.raises(error, match=message):
        call(lucid.zeros(2, 3, 4, 5))


def test_normalize_is_that_of_the_numpy_transforms():
    images = np.random.default_rng(0).integers(0, 256, (4, 3, 5, 6)).astype(np.uint8)
    wanted = T.Compose([T.ToFloat(), T.Normalize(MEAN, STD)])(images)
    out = augment.normalize(lucid.tensor(images), MEAN, STD)
    assert out.dtype == lucid.float32
    np.testing.assert_allclose(out.numpy(), wanted, atol=2e-6)
    floats = lucid.tensor(T.ToFloat()(images))
    np.testing.assert_allclose(augment.normalize(floats, MEAN, STD).numpy(), wanted, atol=2e-6)
    sixteenth = augment.normalize(lucid.tensor(images // 16), MEAN, STD, 16).numpy()
    np.testing.assert_allclose(sixteenth, T.Compose([T.ToFloat(16), T.Normalize(MEAN, STD)])(images // 16), atol=2e-6)


@pytest.mark.parametrize(
    ("mean", "std", "message"),
    [
        ([0.5], [0.5], "images have 3 channels but mean has 1"),
        ([0.5] * 3, [0.5], "mean has 3 channels but std has 1"),
        ([0.5] * 3, [0.5, 0.5, 0.0], "std must be above 0, got 0"),
    ],
)
def test_wrong_statistics_are_refused(mean, std, message):
    with pytest.raises(ValueError, match=f"normalize: {message}"):
        augment.normalize(lucid.zeros(1, 3, 2, 2), mean, std)


def test_what_is_no_statistic_is_refused():
    with pytest.raises(TypeError, match="Normalize: mean must have a number for each channel, got 0.5"):
        augment.Normalize(0.5, 0.5)
    with pytest.raises(ValueError, match="Normalize: mean must be a number, got nan"):
        augment.Normalize([float("nan")], [1])
    with pytest.raises(ValueError, match="normalize: max_value must be above 0, got 0"):
        augment.normalize(lucid.zeros(1, 1, 2, 2), [0], [1], 0)
