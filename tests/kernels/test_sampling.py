"""Samples follow their distributions: the values of the distribution function at them are uniform."""

import math

import mlx.core as mx
import numpy as np
import pytest

from lucid.kernels import sampling

COUNT = 20_000


@pytest.mark.parametrize(
    ("draw", "distribution"),
    [
        (lambda key: sampling.exponential((COUNT,), 2.5, key), lambda x: 1 - np.exp(-2.5 * x)),
        (lambda key: sampling.cauchy((COUNT,), 1.0, 3.0, key), lambda x: np.arctan((x - 1) / 3) / math.pi + 0.5),
        (lambda key: sampling.uniform((COUNT,), mx.float64, key, -1, 3), lambda x: (x + 1) / 4),
        (lambda key: sampling.below(2**40, (COUNT,), key), lambda x: x / 2**40),
    ],
)  # fmt: skip
def test_samples_follow_their_distribution(draw, distribution):
    with mx.stream(mx.cpu):
        values = np.sort(distribution(np.array(draw(mx.random.key(1)))))
    steps = np.arange(COUNT) / COUNT
    assert np.abs(values - steps).max() < 2 / math.sqrt(COUNT)  # Kolmogorov and Smirnov: exceeded once in 1,500


def test_trials_until_success():
    drawn = np.array(sampling.geometric((COUNT,), 0.3, mx.random.key(2)))
    for count in range(1, 6):
        assert abs((drawn == count).mean() - 0.3 * 0.7 ** (count - 1)) < 0.02
    assert drawn.min() == 1 and np.array(sampling.geometric((3,), 1, mx.random.key(2))).tolist() == [1, 1, 1]


def test_normal_samples_of_complex_numbers_have_variance_1():
    drawn = np.array(sampling.normal((COUNT,), mx.complex64, mx.random.key(3)))
    assert abs((np.abs(drawn) ** 2).mean() - 1) < 0.05 and abs(drawn.real.std() - drawn.imag.std()) < 0.02
