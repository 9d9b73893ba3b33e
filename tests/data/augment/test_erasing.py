"""Random erasing, in distribution, against a plain NumPy implementation."""

import math

import mlx.core as mx
import numpy as np
import pytest

import lucid
from lucid.data import augment

KEY = mx.random.key(3)


def boxes(images):
    """Top, left, height, width of what is not 1 in (N, H, W): a rectangle; zeros where nothing is erased."""
    found = np.zeros((len(images), 4), int)
    for i, one in enumerate(images != 1):
        if one.any():
            rows, columns = np.flatnonzero(one.any(1)), np.flatnonzero(one.any(0))
            found[i] = rows[0], columns[0], len(rows), len(columns)
            assert one[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
    return found


def definition(n, height, width, low, high, aspect, rng):
    """Sizes of n rectangles as Zhong et al. and timm draw them; at most ten tries each."""
    sizes = np.zeros((n, 2), int)
    for i in range(n):
        for _ in range(10):
            area = rng.uniform(low, high) * height * width
            ratio = math.exp(rng.uniform(math.log(aspect), -math.log(aspect)))
            h, w = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if h < height and w < width:
                sizes[i] = h, w
                break
    return sizes


def furthest(a, b):
    """The Kolmogorov-Smirnov distance of two samples."""
    points = np.union1d(a, b)
    return np.abs([(a <= p).mean() - (b <= p).mean() for p in points]).max()


@pytest.mark.parametrize("options", [(0.02, 1 / 3, 0.3), (0.4, 0.9, 0.2)])  # rectangles of the second often do not fit
def test_sizes_match_the_distribution_of_timm(options):
    n, height, width = 6000, 16, 11
    out = augment.random_erasing(lucid.ones(n, 1, height, width), 1.0, *options, key=KEY).numpy()[:, 0]
    found = boxes(out)
    expected = definition(n, height, width, *options, np.random.default_rng(0))
    limit = 1.95 * math.sqrt(2 / n) + 0.01  # p = 0.001, plus the resolution of the table
    for measure in (lambda h, w: h, lambda h, w: w, lambda h, w: h * w, lambda h, w: h / np.maximum(w, 1)):
        assert furthest(measure(*found[:, 2:].T), measure(*expected.T)) < limit


def test_positions_are_uniform():
    n, size = 8000, 8
    out = augment.random_erasing(lucid.ones(n, 1, size, size), 1.0, 0.2, 0.2, 1.0, 1.0, key=KEY).numpy()[:, 0]
    found = boxes(out)
    assert (found[:, 2:] == 4).all()  # sqrt(0.2 * 64) = 3.6
    for side in (0, 1):
        counts = np.bincount(found[:, side], minlength=5)
        assert ((counts - n / 5) ** 2 / (n / 5)).sum() < 18.5  # chi-square, 4 degrees of freedom, p = 0.001


@pytest.mark.parametrize("probability", [0.0, 0.25, 1.0])
def test_images_are_erased_with_the_given_probability(probability):
    out = augment.random_erasing(lucid.ones(4000, 1, 12, 12), probability, key=KEY).numpy()
    erased = (out != 1).any((1, 2, 3))
    assert abs(erased.mean() - probability) <= 4 * math.sqrt(probability * (1 - probability) / 4000)
    assert set(np.unique(out)) <= {0.0, 1.0}


def test_several_rectangles_share_the_area():
    n = 3000
    out = augment.random_erasing(lucid.ones(n, 1, 32, 32), 1.0, 0.3, 0.3, min_count=1, max_count=3, key=KEY).numpy()
    areas = (out == 0).mean((1, 2, 3))
    # One, two or three rectangles of 0.3 of the image in total: less if they overlap, never much more.
    assert areas.max() < 0.34 and (areas < 0.25).mean() > 0.1
    single = augment.random_erasing(lucid.ones(n, 1, 32, 32), 1.0, 0.3, 0.3, min_count=3, key=KEY).numpy()
    assert (single == 0).mean() < areas.mean() < 0.31


def test_noise_is_normal_per_channel_or_per_pixel():
    base = lucid.full((2000, 3, 16, 16), 9.0)
    for mode in ("rand", "pixel"):
        out = augment.random_erasing(base, 1.0, 0.2, 0.3, mode=mode, key=KEY).numpy()
        erased = out != 9
        assert (erased == erased[:, :1]).all()  # the same pixels in all channels
        values = out[erased]
        assert abs(values.mean()) < 0.06 and abs(values.std() - 1) < 0.05
        distinct = len(np.unique(out[0][erased[0]]))  # of 65536 quantiles few are drawn twice
        assert distinct == 3 if mode == "rand" else distinct > 0.95 * erased[0].sum()


def test_noise_needs_floating_point_images():
    images = lucid.full((8, 1, 9, 9), 200, dtype=lucid.uint8)
    out = augment.random_erasing(images, 1.0, key=KEY)
    assert out.dtype == lucid.uint8 and set(np.unique(out.numpy())) == {0, 200}
    with pytest.raises(
        TypeError, match="random_erasing: images must be floating point, got uint8; apply Normalize first"
    ):
        augment.random_erasing(images, mode="rand", key=KEY)


def test_erase_overwrites_a_rectangle():
    corner, size = lucid.tensor([1, 0]), lucid.tensor([2, 0])
    out = augment.erase(lucid.ones(2, 1, 4, 5), corner, corner, size, size + 1, 7.0).numpy()
    assert out[0, 0].tolist() == [[1] * 5, [1, 7, 7, 7, 1], [1, 7, 7, 7, 1], [1] * 5]
    assert (out[1] == 1).all()


@pytest.mark.parametrize("shape", [(0, 3, 4, 4), (3, 1, 1, 1), (2, 1, 1, 9)])
def test_nothing_is_erased_if_no_rectangle_fits(shape):
    out = augment.random_erasing(lucid.ones(shape), 1.0, key=KEY)
    assert out.shape == shape and (out.numpy() == 1).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"probability": 2}, "probability must be"),
        ({"min_area": 0.5, "max_area": 0.4}, "max_area must be at least 0.5"),
        ({"min_aspect": 0}, "min_aspect must be above 0"),
        ({"mode": "noise"}, "mode must be 'const', 'rand' or 'pixel', got 'noise'"),
        ({"min_count": 2, "max_count": 1}, "max_count must be at least 2, got 1"),
    ],
)
def test_invalid_options_raise(options, message):
    with pytest.raises(ValueError, match=f"random_erasing: {message}"):
        augment.random_erasing(lucid.ones(1, 1, 4, 4), **options, key=KEY)
    with pytest.raises(ValueError, match=f"RandomErasing: {message}"):
        augment.RandomErasing(**options)
