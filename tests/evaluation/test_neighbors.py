"""Neighbors and votes equal those of NumPy in float64 and of scikit-learn; ties go to the first."""

import numpy as np
import pytest

import lucid
from lucid import evaluation
from lucid.evaluation import neighbors


def clusters(count, classes=5, width=12, seed=0):
    rng = np.random.default_rng(seed)
    centers = np.random.default_rng(99).normal(size=(classes, width))
    labels = rng.integers(0, classes, count)
    return (centers[labels] + rng.normal(scale=1.2, size=(count, width))).astype(np.float32), labels


def cosines(a, b):
    a, b = (x.astype(np.float64) / np.linalg.norm(x.astype(np.float64), axis=1, keepdims=True) for x in (a, b))
    return a @ b.T


@pytest.mark.parametrize("k", [1, 3, 20, 61])
def test_neighbors_are_the_most_similar_rows(k, monkeypatch):
    (rows, _), (queries, _) = clusters(61), clusters(37, seed=1)
    exact = cosines(queries, rows)
    indices, similarities = evaluation.nearest_neighbors(lucid.tensor(rows), queries, k)
    np.testing.assert_array_equal(indices, np.argsort(-exact, axis=1, kind="stable")[:, :k])
    np.testing.assert_allclose(similarities, np.take_along_axis(exact, indices, 1), atol=2e-6)
    monkeypatch.setattr(neighbors, "_ELEMENTS_AT_ONCE", 300)  # 4 queries at a time
    np.testing.assert_array_equal(evaluation.nearest_neighbors(rows, queries, k)[0], indices)


def test_a_row_is_not_its_own_neighbor():
    rows, _ = clusters(30)
    rows[7] = rows[3]
    indices, similarities = evaluation.nearest_neighbors(rows, k=29)
    assert indices[3, 0] == 7 and indices[7, 0] == 3 and similarities[3, 0] == pytest.approx(1, abs=1e-6)
    assert all(set(row) == set(range(30)) - {i} for i, row in enumerate(indices.tolist()))


def test_of_equal_rows_the_first_are_neighbors():
    rows = np.tile(np.float32([[1, 0]]), (50, 1))
    rows[::7] = [0, 1]
    indices, _ = evaluation.nearest_neighbors(rows, np.float32([[2, 0], [0, 1e-20]]), 10)
    assert indices[0].tolist() == [i for i in range(50) if i % 7][:10]
    assert indices[1].tolist() == [0, 7, 14, 21, 28, 35, 42, 49, 1, 2]


def test_extreme_values_and_zero_rows():
    rows = np.float32([[1e30, 1e30], [0, 0], [1e-30, -1e-30]])
    indices, similarities = evaluation.nearest_neighbors(rows, np.float32([[3e38, 3e38], [0, 0]]), 3)
    assert indices.tolist() == [[0, 1, 2], [0, 1, 2]]
    np.testing.assert_allclose(similarities, [[1, 0, 0], [0, 0, 0]], atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("k", [1, 5, 20])
def test_uniform_votes_are_those_of_scikit_learn(dtype, k):
    sklearn = pytest.importorskip("sklearn.neighbors", reason="compared with scikit-learn")
    (rows, labels), (queries, truth) = clusters(300), clusters(200, seed=1)
    rows, queries = rows.astype(dtype), queries.astype(dtype)
    reference = sklearn.KNeighborsClassifier(k, metric="cosine", algorithm="brute").fit(rows, labels)
    found = evaluation.knn(rows, labels, queries, k, weights="uniform")
    np.testing.assert_allclose(found.scores, reference.predict_proba(queries), atol=1e-12)
    np.testing.assert_array_equal(found.labels, reference.predict(queries))
    assert found.accuracy(truth) == reference.score(queries, truth)


@pytest.mark.parametrize("temperature", [0.07, 1e-4])
def test_weighted_votes_follow_the_protocol(temperature):
    (rows, labels), (queries, _) = clusters(120), clusters(50, seed=1)
    exact, want = cosines(queries, rows), np.zeros((50, 6))
    for i, row in enumerate(exact):
        for j in np.argsort(-row)[:20]:
            want[i, labels[j]] += np.exp((row[j] - row.max()) / temperature)
    found = evaluation.knn(rows, labels, queries, temperature=temperature, num_classes=6)
    tolerance = 1e-4 if temperature == 0.07 else 0.05
    np.testing.assert_allclose(found.scores, want / want.sum(1, keepdims=True), atol=tolerance)
    assert found.scores.shape == (50, 6)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"k": 0}, ValueError, "k must be at least 1"),
        ({"k": 7}, ValueError, "k must be at most 6, the number of features to choose from, got 7"),
        ({"features": np.ones((2, 3))}, ValueError, "train_features have 2 columns but features have 3"),
        ({"train_labels": [0, 1]}, ValueError, r"train_labels must have the shape \(6,\)"),
        ({"train_labels": np.ones(6)}, TypeError, "train_labels must be integers"),
        ({"num_classes": 1}, ValueError, "train label 1 is out of range for 1 classes"),
        ({"weights": "distance"}, ValueError, "weights must be"),
        ({"temperature": 0.0}, ValueError, "temperature must be above 0"),
        ({"features": [[np.nan, 1]]}, ValueError, "features must be finite, row 0 is not"),
    ],
)
def test_wrong_calls_are_explained(change, error, message):
    arguments = {
        "train_features": np.ones((6, 2)), "train_labels": [0, 1] * 3, "features": np.ones((2, 2)), "k": 3, **change
    }  # fmt: skip
    with pytest.raises(error, match=message):
        evaluation.knn(**arguments)
