"""Numbers with the symmetric Beta distribution, which MLX cannot draw, from a table of its quantiles.

The table is exact at its points and linear between them, so the distribution function of the numbers is never further
than 1 / CELLS from the true one. Drawing costs one uniform number and two reads, on the device, whatever alpha is.
"""

import functools
import math

import mlx.core as mx
import numpy as np

CELLS = 4096


def beta(alpha: float, shape: tuple[int, ...], key: mx.array) -> mx.array:
    """float32 numbers from 0 to 1 with the density ``x**(alpha - 1) * (1 - x)**(alpha - 1)``, normalized."""
    place = mx.random.uniform(0, CELLS, shape, key=key)
    cell = mx.minimum(place.astype(mx.int32), CELLS - 1)
    table = mx.array(quantiles(alpha))
    low = table[cell]
    return low + (table[cell + 1] - low) * (place - cell)


@functools.lru_cache(maxsize=32)
def quantiles(alpha: float) -> np.ndarray:
    """(CELLS + 1,) float32: where the distribution function of Beta(alpha, alpha) is 0, 1 / CELLS, ..., 1."""
    wanted = np.arange(CELLS // 2 + 1) / CELLS  # the lower half; the upper one mirrors it
    low, high = np.zeros(len(wanted)), np.full(len(wanted), 0.5)
    for _ in range(60):  # bisection, to the last bit of float64 near 0.5
        middle = (low + high) / 2
        below = _distribution(middle, alpha) < wanted
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    half = np.where(wanted == 0, 0.0, high)
    return np.concatenate([half, 1 - half[-2::-1]]).astype(np.float32)


def _distribution(x: np.ndarray, a: float) -> np.ndarray:
    """The distribution function of Beta(a, a) for x in (0, 0.5], by its continued fraction (Lentz's method).

    Source: Abramowitz and Stegun, 26.5.8; below the middle it converges in a few steps.
    """
    front = np.exp(a * np.log(x) + a * np.log1p(-x) + math.lgamma(2 * a) - 2 * math.lgamma(a)) / a
    c, d = np.ones_like(x), 1 / (1 - 2 * a * x / (a + 1))
    fraction = d.copy()
    for m in range(1, 1000):
        for numerator in (
            m * (a - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (2 * a + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d, c = 1 / (1 + numerator * d), 1 + numerator / c
            fraction = fraction * (c * d)
        if np.all(np.abs(c * d - 1) < 1e-14):
            break
    return front * fraction
