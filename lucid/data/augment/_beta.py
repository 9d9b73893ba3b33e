"""The symmetric Beta distribution as a table of its quantiles: MLX cannot draw from it, and inside of a compiled step
nothing can be drawn until it fits."""

import math

import numpy as np

_CELLS = 4096


def beta_quantiles(alpha: float, count: int) -> np.ndarray:
    """(count,) float64, ascending: the quantiles (i + 0.5) / count of Beta(alpha, alpha).

    One of them at random has that distribution, its distribution function off by less than 1 / 4096: the quantiles
    are exact at so many points, and in the outermost cells everywhere, and linear between them.
    """
    places = (np.arange(count) + 0.5) / count
    outermost = places[places < 4 / _CELLS]
    wanted = np.union1d(outermost, np.arange(_CELLS // 2 + 1) / _CELLS)  # the lower half; the upper one mirrors it
    low, high = np.zeros(len(wanted)), np.full(len(wanted), 0.5)
    for _ in range(60):  # bisection, to the last bit of float64 near 0.5
        middle = (low + high) / 2
        below = _distribution(middle, alpha) < wanted
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    lower = np.interp(np.minimum(places, 1 - places), wanted, np.where(wanted == 0, 0.0, high))
    return np.where(places < 0.5, lower, 1 - lower)


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
