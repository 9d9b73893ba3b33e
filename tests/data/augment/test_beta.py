"""The table of quantiles against closed forms and NumPy's own Beta numbers."""

import math

import numpy as np
import pytest

from lucid.data.augment._beta import beta_quantiles

COUNT = 1 << 16


@pytest.mark.parametrize("alpha", [0.05, 0.2, 0.8, 1.0, 2.0, 7.5, 100.0])
def test_moments_are_those_of_the_distribution(alpha):
    x = beta_quantiles(alpha, COUNT)
    assert (np.diff(x) >= 0).all() and x[0] >= 0 and x[-1] <= 1
    np.testing.assert_allclose(x, 1 - x[::-1], atol=1e-12)
    assert x.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=1e-3)
    # The fourth central moment of Beta(a, a): 3 / (16 (2a + 1) (2a + 3)).
    assert ((x - 0.5) ** 4).mean() == pytest.approx(3 / (16 * (2 * alpha + 1) * (2 * alpha + 3)), rel=2e-3)


@pytest.mark.parametrize(
    ("alpha", "distribution"),
    [
        (0.5, lambda x: 2 / math.pi * np.arcsin(np.sqrt(x))),
        (1.0, lambda x: x),
        (2.0, lambda x: x * x * (3 - 2 * x)),
        (3.0, lambda x: x**3 * (10 - 15 * x + 6 * x * x)),
    ],
)
def test_quantiles_are_those_of_known_distributions(alpha, distribution):
    wanted = (np.arange(COUNT) + 0.5) / COUNT
    assert np.abs(distribution(beta_quantiles(alpha, COUNT)) - wanted).max() < 1 / 4096


def test_other_numbers_agree_with_numpys():
    drawn = np.sort(np.random.default_rng(0).beta(0.8, 0.8, 200_000))
    steps = np.searchsorted(drawn, beta_quantiles(0.8, 1000)) / len(drawn)
    assert np.abs(steps - (np.arange(1000) + 0.5) / 1000).max() < 0.004
