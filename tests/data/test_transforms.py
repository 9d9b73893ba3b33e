from collections import namedtuple

import numpy as np
import pytest

from lucid.data import transforms as T


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (7, 3, 6, 5)).astype(np.uint8)


def test_to_float_scales_to_one(images):
    out = T.ToFloat()(images)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, images / 255, rtol=1e-6)
    np.testing.assert_allclose(T.ToFloat(16)(np.full((1, 1, 1), 16, np.uint8)), 1)


def test_normalize_is_per_channel(images):
    mean, std = (0.1, 0.5, 0.9), (0.5, 1.0, 2.0)
    x = T.ToFloat()(images)
    before = x.copy()
    out = T.Normalize(mean, std)(x)
    wanted = (x - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1))
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, wanted, atol=1e-6)
    np.testing.assert_array_equal(x, before)


def test_random_crop_takes_a_window_of_each_padded_image(images):
    out = T.RandomCrop((6, 5), padding=(1, 2), fill=9)(images, np.random.default_rng(1))
    assert out.shape == images.shape and out.dtype == np.uint8
    padded = np.pad(images, ((0, 0), (0, 0), (2, 2), (1, 1)), constant_values=9)
    places = []
    for one, source in zip(out, padded, strict=True):
        found = [(t, f) for t in range(5) for f in range(3) if (source[:, t : t + 6, f : f + 5] == one).all()]
        assert len(found) == 1
        places += found
    assert len(set(places)) > 3


def test_random_crop_reaches_every_place_equally_often():
    image = np.arange(25, dtype=np.float32).reshape(1, 1, 5, 5)
    out = T.RandomCrop(3)(np.repeat(image, 9000, axis=0), np.random.default_rng(0))
    corners, counts = np.unique(out[:, 0, 0, 0], return_counts=True)
    assert corners.tolist() == [0, 1, 2, 5, 6, 7, 10, 11, 12]
    assert abs(counts - 1000).max() < 150


@pytest.mark.parametrize("mode", ["edge", "reflect", "symmetric"])
def test_random_crop_padding_modes_show_no_foreign_pixels(images, mode):
    out = T.RandomCrop(6, padding=2, padding_mode=mode)(images, np.random.default_rng(2))
    for one, source in zip(out, images, strict=True):
        assert set(one.ravel()) <= set(source.ravel())


def test_center_crop_takes_the_middle(images):
    np.testing.assert_array_equal(T.CenterCrop((2, 3))(images), images[:, :, 2:4, 1:4])


def test_flip_mirrors_whole_images_with_probability_p(images):
    np.testing.assert_array_equal(T.RandomHorizontalFlip(1)(images), images[..., ::-1])
    np.testing.assert_array_equal(T.RandomHorizontalFlip(0)(images), images)
    many = np.repeat(images[:1], 4000, axis=0)
    flipped = (T.RandomHorizontalFlip(0.25)(many, np.random.default_rng(0)) == images[0, :, :, ::-1]).all((1, 2, 3))
    assert abs(flipped.mean() - 0.25) < 0.03


def test_inputs_are_left_alone_and_the_generator_decides(images):
    before = images.copy()
    both = T.Compose([T.RandomCrop(4, padding=2), T.RandomHorizontalFlip(), T.ToFloat(), T.Normalize([0] * 3, [1] * 3)])
    first, again, other = (both(images, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    np.testing.assert_array_equal(images, before)


def test_only_the_first_field_of_a_batch_changes(images):
    Batch = namedtuple("Batch", "image label")
    labels = np.arange(7)
    flip = T.RandomHorizontalFlip(1)
    for batch in ([images, labels], (images, labels), Batch(images, labels)):
        out = flip(batch)
        assert type(out) is type(batch) and out[1] is labels
        np.testing.assert_array_equal(out[0], images[..., ::-1])
    np.testing.assert_array_equal(flip(images[0]), images[0][..., ::-1])


def test_reprs_show_the_options():
    crop = "RandomCrop(size=(32, 32), padding=(4, 4), fill=0, padding_mode='constant')"
    assert repr(T.Compose([T.RandomCrop(32, padding=4), T.ToFloat()])) == f"Compose([{crop}, ToFloat(max_value=255.0)])"


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: T.Normalize([0], [1, 1]), ValueError, "mean has 1 channels but std has 2"),
        (lambda: T.Normalize([0], [0]), ValueError, "std must be positive"),
        (lambda: T.Normalize([0], [1])(np.zeros((1, 1, 2, 2), np.uint8)), TypeError, "put ToFloat before it"),
        (lambda: T.Normalize([0], [1])(np.zeros((1, 3, 2, 2))), ValueError, "3 channels but mean has 1"),
        (lambda: T.RandomCrop(9)(np.zeros((1, 1, 8, 9))), ValueError, r"\(9, 9\) does not fit into images of 8 x 9"),
        (lambda: T.RandomCrop(0), ValueError, "size must be at least 1, got 0"),
        (lambda: T.RandomCrop(2, padding=-1), ValueError, "padding must be at least 0, got -1"),
        (lambda: T.RandomCrop(2, padding_mode="wrap"), ValueError, "padding_mode must be 'constant', .* got 'wrap'"),
        (lambda: T.RandomHorizontalFlip(1.5), ValueError, "p must be .*, got 1.5"),
        (lambda: T.ToFloat(0), ValueError, "max_value must be above 0, got 0"),
        (lambda: T.ToFloat()(np.zeros((2, 2))), ValueError, r"got shape \(2, 2\)"),
        (lambda: T.ToFloat()({"image": 1}), TypeError, "got dict"),
        (lambda: T.Transform()(np.zeros((1, 1, 1))), NotImplementedError, "define apply"),
    ],
)
def test_transforms_refuse(make, error, message):
    with pytest.raises(error, match=message):
        make()
