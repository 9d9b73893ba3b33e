"""RandAugment and TrivialAugment: which operations are drawn, and how strong. Their effect: test_operations."""

import math
from statistics import NormalDist

import mlx.core as mx
import numpy as np
import pytest

import lucid
from lucid.data import augment
from lucid.data.augment import policies

KEY = mx.random.key(11)
CONFIG = policies.RandConfig(9.0, 2, 0.5, 10.0, 0.5, True)


def drawn(config, n, key=KEY):
    """(operation, direction, level in steps) of n images; operation -1 where none is apply_rows."""
    levels, rows = policies._rand_rows(config, 8, 8)
    chosen = np.array(policies._draw_rand_rows(config, n, levels, key))
    assert chosen.min() >= 0 and chosen.max() < len(rows.lookups)
    variant, level = np.divmod(chosen, levels)
    identity = variant == 2 * len(policies._RAND_OPERATIONS)
    return np.where(identity, -1, variant // 2), variant % 2, level


def chi_square(counts, expected):
    return ((counts - expected) ** 2 / expected).sum()


def test_operations_and_directions_are_uniform():
    n = 30_000
    operation, direction, _ = drawn(CONFIG, n)
    assert abs((operation >= 0).mean() - 0.5) < 4 * 0.5 / math.sqrt(n)
    counts = np.bincount(operation[operation >= 0] * 2 + direction[operation >= 0], minlength=30)
    assert chi_square(counts, counts.sum() / 30) < 58.3  # 29 degrees of freedom, p = 0.001


@pytest.mark.parametrize(("std", "highest"), [(0.5, 10.0), (2.0, 12.0), (math.inf, 10.0)])
def test_magnitudes_have_their_distribution(std, highest):
    n = 20_000
    config = CONFIG._replace(magnitude_std=std, magnitude_max=highest, prob=1.0)
    magnitudes = drawn(config, n)[2] / policies._STEPS_PER_MAGNITUDE
    points = np.arange(0.25, highest, 0.25) + 0.01  # between two steps
    expected = points / 9 if std == math.inf else np.array([NormalDist(9, std).cdf(p) for p in points])
    found = np.array([(magnitudes < p).mean() for p in points])
    assert np.abs(found - np.clip(expected, 0, 1)).max() < 1.95 / math.sqrt(n) + 0.001
    assert magnitudes.max() <= highest and (std == math.inf or (magnitudes == highest).mean() > 0.01)


def test_without_a_deviation_the_magnitude_is_fixed():
    levels, rows = policies._rand_rows(CONFIG._replace(magnitude_std=0.0), 8, 8)
    at = list(policies._RAND_OPERATIONS).index("Rotate")
    assert levels == 1 and rows.matrices["bilinear"][2 * at, 0].item() == pytest.approx(math.cos(math.radians(27)))


def test_each_image_gets_num_ops_operations():
    images = np.full((2000, 1, 4, 4), 100, np.uint8)
    # Constant gray images: of 15 operations 5 move pixels and fill with the same value, and 5 need contrast.
    for count in (0, 1, 3):
        options = {"magnitude_std": 0.0, "magnitude": 10, "fill": 100, "prob": 1.0}
        out = augment.rand_augment(lucid.tensor(images), count, **options, key=KEY).numpy()
        expected = (10 / 15) ** count
        same = (out == 100).all((1, 2, 3)).mean()
        assert abs(same - expected) < 0.06 if count else same == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rand-m9-mstd0.5-inc1", CONFIG),
        ("rand-m9-n3-mstd0.5", policies.RandConfig(9, 3, 0.5, 10, 0.5, False)),
        ("rand-m15-mmax30-p1.0-mstd101", policies.RandConfig(15, 2, math.inf, 30, 1.0, False)),
        ("rand", policies.RandConfig()),
    ],
)
def test_timms_notation_is_parsed(text, expected):
    assert augment.parse_rand_config(text) == expected
    made = augment.RandAugment.from_config(text, fill=3)
    assert {name: getattr(made, name) for name in expected._fields} == expected._asdict() and made.fill == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("original-m9", "config must start with 'rand', got 'original-m9'"),
        (
            "rand-m9-tweights",
            "'tweights' in 'rand-m9-tweights' must be m, n, mstd, mmax, p or inc followed by a number",
        ),
        ("rand-minf", "'minf' in 'rand-minf' must be"),
        (None, "config must start with 'rand', got None"),
        ("rand-p2", "prob must be at least 0 and at most 1"),
        ("rand-mmax0", "magnitude_max must be above 0 and at most 100, got 0"),
        ("rand-n2.5", "num_ops must be an integer, got 2.5"),
    ],
)
def test_invalid_configs_raise(text, message):
    with pytest.raises((ValueError, TypeError), match=f"RandAugment: {message}"):
        augment.parse_rand_config(text)


def test_the_defaults_are_the_recipe_of_the_paper():
    assert repr(augment.RandAugment()) == repr(augment.RandAugment.from_config("rand-m9-mstd0.5-inc1"))


def test_trivial_augment_draws_uniformly():
    rows = policies._wide_rows(31, 8, 8)
    assert len(rows.lookups) == 14 * 2 * 31
    # Constant images of 100, so that the result tells the operation; rotations and shears fill with 7.
    out = augment.trivial_augment_wide(lucid.full((20_000, 1, 8, 8), 100, dtype=lucid.uint8), fill=7, key=KEY).numpy()
    constant = (out == out[:, :, :1, :1]).all((1, 2, 3))
    bright = constant & ~np.isin(out[:, 0, 0, 0], (7, 100)) & (out[:, 0, 0, 0] != 155)
    posterized = constant & np.isin(out[:, 0, 0, 0], (64, 96))
    solarized = constant & (out[:, 0, 0, 0] == 155)
    # Brightness changes the value at all but one of 31 strengths, Posterize below 6 bits, Solarize at thresholds of at
    # most 100, which are 12 of 31.
    brightness = 1 / 14 * 30 / 31
    found = (bright & ~posterized).mean()
    assert abs(found - brightness) < 0.012
    assert abs(solarized.mean() - 1 / 14 * 12 / 31) < 0.006
    still = (out == 100).all((1, 2, 3)).mean()
    assert 0.4 < still < 0.6


@pytest.mark.parametrize("shape", [(0, 3, 4, 4), (1, 1, 1, 1), (2, 3, 1, 5)])
def test_unusual_shapes_are_supported(shape):
    images = lucid.tensor(np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8))
    assert augment.rand_augment(images, key=KEY).shape == shape
    assert augment.trivial_augment_wide(images, key=KEY).shape == shape


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda x: augment.rand_augment(x, -1, key=KEY),
            ValueError,
            "rand_augment: num_ops must be at least 0, got -1",
        ),
        (lambda x: augment.rand_augment(x.float(), key=KEY), TypeError, "images must be uint8 .* got float32"),
        (lambda x: augment.trivial_augment_wide(x, 1, key=KEY), ValueError, "num_magnitude_bins must be at least 2"),
        (
            lambda x: augment.RandAugment(interpolation="cubic"),
            ValueError,
            "RandAugment: interpolation must be 'nearest",
        ),
    ],
)
def test_invalid_arguments_raise(call, error, message):
    with pytest.raises(error, match=message):
        call(lucid.zeros(1, 3, 4, 4, dtype=lucid.uint8))
