"""Crops and flips: recorded results of torchvision at given offsets, and uniformly random offsets."""

import mlx.core as mx
import numpy as np
import pytest

import lucid
from lucid.data import augment
from tests.reference import augment_cases as cases

RECORDED = cases.load()
KEY = mx.random.key(5)


@pytest.mark.parametrize("channels", [3, 1])
@pytest.mark.parametrize("number", range(len(cases.CROPS)))
def test_crops_match_torchvision(number, channels):
    images = cases.images(channels)
    top, left, *options = cases.CROPS[number]
    tops, lefts = (lucid.tensor(np.full(len(images), one)) for one in (top, left))
    for dtype in (lucid.uint8, lucid.float32, lucid.float16):
        out = augment.crop_at(lucid.tensor(images).to(dtype), tops, lefts, *options)
        assert out.dtype == dtype
        np.testing.assert_array_equal(out.numpy(), RECORDED[f"crop|{number}|{channels}"])


def test_every_image_has_its_own_offset():
    images = lucid.tensor(cases.images(3))
    tops, lefts = np.array([0, 3, 1, 2, 4]), np.array([5, 0, 2, 1, 4])
    out = augment.crop_at(images, lucid.tensor(tops), lucid.tensor(lefts), (5, 8))
    for i, (top, left) in enumerate(zip(tops, lefts, strict=True)):
        np.testing.assert_array_equal(out[i].numpy(), images.numpy()[i, :, top : top + 5, left : left + 8])


def test_offsets_of_random_crops_are_uniform():
    image = np.arange(25, dtype=np.float32).reshape(1, 1, 5, 5)
    many = lucid.tensor(np.repeat(image, 9000, axis=0))
    out = augment.random_crop(many, (3, 4), padding=(0, 1), fill=-1, key=KEY).numpy()
    padded = np.pad(image[0, 0], ((1, 1), (0, 0)), constant_values=-1)
    positions = [padded[t : t + 3, f : f + 4].tobytes() for t in range(5) for f in range(2)]
    counts = np.array([sum(one.tobytes() == position for one in out[:, 0]) for position in positions])
    assert counts.sum() == 9000
    assert ((counts - 900) ** 2 / 900).sum() < 28  # chi-square, 9 degrees of freedom, p = 0.001


def test_random_crop_takes_a_window_of_each_padded_image():
    images = np.random.default_rng(0).integers(0, 256, (7, 3, 6, 5)).astype(np.uint8)
    out = augment.RandomCrop((6, 5), padding=(1, 2), fill=9)(lucid.tensor(images), key=KEY)
    assert out.shape == images.shape and out.dtype == lucid.uint8
    padded = np.pad(images, ((0, 0), (0, 0), (2, 2), (1, 1)), constant_values=9)
    offsets = []
    for one, source in zip(out.numpy(), padded, strict=True):
        found = [(t, f) for t in range(5) for f in range(3) if (source[:, t : t + 6, f : f + 5] == one).all()]
        assert len(found) == 1
        offsets += found
    assert len(set(offsets)) > 3


def test_offsets_without_padding_are_uniform():
    image = np.arange(25, dtype=np.float32).reshape(1, 1, 5, 5)
    out = augment.RandomCrop(3)(lucid.tensor(np.repeat(image, 9000, axis=0)), key=KEY).numpy()
    corners, counts = np.unique(out[:, 0, 0, 0], return_counts=True)
    assert corners.tolist() == [0, 1, 2, 5, 6, 7, 10, 11, 12]
    assert abs(counts - 1000).max() < 150


@pytest.mark.parametrize("mode", ["edge", "reflect", "symmetric"])
def test_padding_modes_add_only_pixels_of_the_image(mode):
    images = np.random.default_rng(0).integers(0, 256, (7, 3, 6, 5)).astype(np.uint8)
    out = augment.RandomCrop(6, padding=2, padding_mode=mode)(lucid.tensor(images), key=KEY).numpy()
    assert out.shape == (7, 3, 6, 6)
    for one, source in zip(out, images, strict=True):
        assert set(one.ravel()) <= set(source.ravel())


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


def test_flips_of_color_images_mirror_each_row():
    images = np.random.default_rng(0).integers(0, 256, (7, 3, 6, 5)).astype(np.uint8)
    flipped, kept = (augment.RandomHorizontalFlip(p)(lucid.tensor(images), key=KEY).numpy() for p in (1, 0))
    np.testing.assert_array_equal(flipped, images[..., ::-1])
    np.testing.assert_array_equal(kept, images)


def test_empty_batches_are_supported():
    empty = lucid.zeros(0, 3, 8, 8, dtype=lucid.uint8)
    assert augment.random_crop(empty, 6, 1, key=KEY).shape == (0, 3, 6, 6)
    assert augment.random_horizontal_flip(empty, key=KEY).shape == (0, 3, 8, 8)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: augment.random_crop(x, 9, key=KEY), ValueError, r"size \(9, 9\) is larger than .* images of 4 x 5"),
        (lambda x: augment.random_crop(x, 0, key=KEY), ValueError, "size must be at least 1, got 0"),
        (lambda x: augment.random_crop(x, 2, -1, key=KEY), ValueError, "padding must be at least 0, got -1"),
        (lambda x: augment.random_crop(x, 2, 1, 0, "wrap", key=KEY), ValueError, "padding_mode must be 'constant', "),
        (
            lambda x: augment.random_crop(x, 2, 1, [1, 2], key=KEY),
            ValueError,
            "fill must be a number or one per channel",
        ),
        (lambda x: augment.random_crop(x, 2, 1, None, key=KEY), ValueError, "fill must be a number .*, got None"),
        (
            lambda x: augment.random_crop(x.to(lucid.uint8), 2, 1, 300, key=KEY),
            ValueError,
            "fill must be from 0 to 255",
        ),
        (lambda x: augment.crop_at(x, 3, 0, 2, 0), ValueError, "crop_at: top must be at least 0 and at most 2, got 3"),
        (lambda x: augment.crop_at(x, 0, np.array([0, -1]), 2), ValueError, "left must be at least 0 .* got -1"),
        (lambda x: augment.crop_at(x, [0, 7], 0, 2), ValueError, "crop_at: top must be at least 0 .* got 7"),
        (lambda x: augment.crop_at(x, 0, 1.5, 2), TypeError, "crop_at: left must be integers, got float32"),
        (lambda x: augment.random_crop(x[0], 2, key=KEY), ValueError, r"must have 4 dimensions \(N, C, H, W\)"),
        (
            lambda x: augment.random_crop(x, 2, key=7),
            TypeError,
            r"key must be a random key as from lucid.random.key\(\), got 7",
        ),
        (lambda x: augment.random_horizontal_flip(x, 1.5, key=KEY), ValueError, "p must be .*, got 1.5"),
        (lambda x: augment.random_horizontal_flip(x, key=mx.zeros(3)), TypeError, r"key .* got shape \(3,\)"),
    ],
)
def test_invalid_arguments_raise(call, error, message):
    with pytest.raises(error, match=message):
        call(lucid.zeros(2, 3, 4, 5))


def test_offsets_outside_of_the_image_are_rejected_or_clamped(on_cpu):
    images = lucid.tensor(np.arange(2 * 36, dtype=np.uint8).reshape(2, 1, 6, 6))
    for wrong in (5, -1, 10**9):
        with pytest.raises(ValueError, match=f"crop_at: left must be at least 0 and at most 4, got {wrong}"):
            augment.crop_at(images, 0, lucid.tensor([4, wrong]), 2)
        with lucid.debug(False):
            found = augment.crop_at(images, 0, lucid.tensor([4, wrong]), 2)
        np.testing.assert_array_equal(found.numpy()[1, 0], images.numpy()[1, 0, :2, max(0, min(wrong, 4)) :][:, :2])


def test_offsets_may_have_a_small_dtype():
    images = lucid.tensor(np.arange(400, dtype=np.int32).reshape(1, 1, 20, 20))
    found = augment.crop_at(images, lucid.tensor([18], dtype="uint8"), lucid.tensor([3], dtype="int8"), 1)
    assert found.item() == 363
