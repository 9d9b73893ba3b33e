"""Near-duplicates are the connected components of similar pairs."""

import numpy as np
import pytest

from lucid import evaluation
from lucid.evaluation import duplicates


def components(features, threshold):
    """By a search from each row, over all pairs in float64."""
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    linked = unit @ unit.T >= threshold
    groups, seen = [], set()
    for start in range(len(features)):
        group, waiting = set(), [start]
        while waiting:
            one = waiting.pop()
            if one not in group | seen:
                group.add(one)
                waiting += np.flatnonzero(linked[one]).tolist()
        seen |= group
        if len(group) > 1:
            groups.append(sorted(group))
    return groups


@pytest.mark.parametrize("threshold", [0.5, 0.9, 0.97])
@pytest.mark.parametrize("side", [1, 7, 2048])
def test_groups_are_connected_components(threshold, side, monkeypatch):
    monkeypatch.setattr(duplicates, "_SIDE", side)
    rng = np.random.default_rng(int(100 * threshold))
    features = rng.normal(size=(60, 4))
    assert evaluation.near_duplicates(features, threshold) == components(features, threshold)


def test_chains_copies_and_zeros():
    angles = np.linspace(0, 2, 21)  # each 0.1 rad from the next: cosine 0.995
    chain = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    order = np.random.default_rng(0).permutation(21)
    assert evaluation.near_duplicates(chain[order], 0.99) == [list(range(21))]
    assert evaluation.near_duplicates(chain, 0.999) == []
    rows = np.float32([[0, 0], [1, 2], [3, 1], [0.1, 0.2], [0, 0], [-1, -2]])
    assert evaluation.near_duplicates(rows, 1.0) == [[1, 3]]


def test_many_copies_take_little_time():
    assert evaluation.near_duplicates(np.ones((5000, 3), np.float32)) == [list(range(5000))]


@pytest.mark.parametrize("threshold", [0, -1, 1.01, float("nan")])
def test_a_threshold_out_of_range_is_refused(threshold):
    with pytest.raises(ValueError, match="threshold must be"):
        evaluation.near_duplicates(np.eye(3), threshold)
