"""Samples whose features are nearly the same."""

from typing import Any

import numpy as np

from lucid import _checks
from lucid.evaluation._arrays import as_features, unit_rows

_SIDE = 2048  # of the blocks in which pairs are compared


def near_duplicates(features: Any, threshold: float = 0.95) -> list[list[int]]:
    """Groups of rows that are nearly the same: linked by pairs whose cosine similarity is at least ``threshold``.

    Two members of a group may be less similar to each other than to those between them. Memory is bounded: pairs are
    compared in blocks of 2048 by 2048 rows. The time grows with the square of the number of rows.

    Args:
        features: (N, D).
        threshold: In (0, 1]. What a copy reaches depends on the model; look at some groups.

    Returns:
        Groups of two or more row numbers, each sorted, ordered by their first. Rows of zeros are in none.

    Raises:
        ValueError: ``threshold`` is out of range, or features are not finite.
    """
    where = "near_duplicates"
    if not 0 < _checks.number(where, "threshold", threshold) <= 1:
        raise ValueError(f"{where}: threshold must be above 0 and at most 1, got {threshold:g}")
    rows = unit_rows(as_features(where, "features", features))
    limit = threshold - 1e-6  # the similarity of equal rows is 1 up to rounding
    parent = np.arange(len(rows))
    for top in range(0, len(rows), _SIDE):
        for left in range(top, len(rows), _SIDE):
            pairs = np.argwhere(rows[top : top + _SIDE] @ rows[left : left + _SIDE].T >= limit)
            _join(parent, pairs[:, 0] + top, pairs[:, 1] + left)
    roots = _roots(parent, np.arange(len(rows)))
    order = np.argsort(roots, kind="stable")
    starts = np.flatnonzero(np.diff(roots[order], prepend=-1))
    return [group.tolist() for group in np.split(order, starts[1:]) if len(group) > 1]


def _roots(parent: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The root of each place; the smallest place of a group is its root."""
    while True:
        above = parent[places]
        if np.array_equal(above, places):
            return places
        places = above


def _join(parent: np.ndarray, first: np.ndarray, second: np.ndarray) -> None:
    """Put the places of each pair into one group. All pairs at once: each round joins every group to a smaller one."""
    while True:
        a, b = _roots(parent, first), _roots(parent, second)
        low, high = np.minimum(a, b), np.maximum(a, b)
        apart = low < high
        if not apart.any():
            break
        first, second = low[apart], high[apart]
        np.minimum.at(parent, second, first)
    parent[:] = _roots(parent, np.arange(len(parent)))
