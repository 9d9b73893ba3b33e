"""The linear probe is scikit-learn's logistic regression, and its gradient vanishes."""

import numpy as np
import pytest

import lucid
from lucid import evaluation
from tests.evaluation.test_neighbors import clusters

linear_model = pytest.importorskip("sklearn.linear_model", reason="the probe is scikit-learn's")


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("standardize", [False, True])
def test_the_probe_equals_scikit_learn(classes, standardize):
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    (rows, labels), (queries, truth) = clusters(200, classes), clusters(150, classes, seed=1)
    rows, queries = rows.astype(np.float64) * 3 + 1, queries.astype(np.float64) * 3 + 1
    steps = [StandardScaler()] if standardize else []
    reference = make_pipeline(*steps, linear_model.LogisticRegression(C=0.5, max_iter=1000)).fit(rows, labels)
    probe = evaluation.linear_probe(rows, labels, C=0.5, standardize=standardize)
    found = probe.predict(queries)
    np.testing.assert_allclose(found.scores, reference.predict_proba(queries), atol=1e-6)
    np.testing.assert_array_equal(found.labels, reference.predict(queries))
    assert found.accuracy(truth) == reference.score(queries, truth) > 0.75 and probe.converged
    with lucid.no_grad():
        logits = probe.linear()(lucid.tensor(queries.astype(np.float32)))
    np.testing.assert_allclose(logits.softmax(dim=1).numpy(), found.scores, atol=1e-4)


def test_the_gradient_vanishes_at_the_solution():
    """Independent of scikit-learn: C times the cross entropy plus half the squared weights is stationary."""
    rows, labels = clusters(150, 4)
    rows = rows.astype(np.float64)
    probe = evaluation.linear_probe(rows, labels, C=2.0, standardize=False, tol=1e-8)
    surplus = probe.predict(rows).scores - np.eye(4)[labels]
    np.testing.assert_allclose(2.0 * surplus.T @ rows + probe.weight, 0, atol=2e-3)
    np.testing.assert_allclose(surplus.sum(0), 0, atol=2e-3)


def test_constant_columns_and_too_few_iterations():
    rows, labels = clusters(60, 3)
    rows[:, 2], rows[:, 3] = 7.7, 0
    probe = evaluation.linear_probe(rows, labels)
    assert np.isfinite(probe.weight).all() and np.abs(probe.weight[:, 2:4]).max() < 1e-6
    assert not evaluation.linear_probe(rows, labels, max_iter=1).converged


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"train_labels": [0, 0, 2, 2]}, ValueError, "there is no training sample of class 1"),
        ({"train_labels": [0, 0, 0, 0]}, ValueError, "two classes or more, got one"),
        ({"train_labels": [0, 1]}, ValueError, r"train_labels must have the shape \(4,\)"),
        ({"C": 0.0}, ValueError, "C must be above 0"),
        ({"max_iter": 0}, ValueError, "max_iter must be at least 1"),
    ],
)
def test_wrong_calls_are_explained(change, error, message):
    with pytest.raises(error, match=message):
        evaluation.linear_probe(**{"train_features": np.eye(4), "train_labels": [0, 1, 2, 2], **change})
    with pytest.raises(ValueError, match="features must have 4 columns, got 2"):
        evaluation.linear_probe(np.eye(4), [0, 1, 0, 1]).predict(np.ones((1, 2)))


def test_without_scikit_learn_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "sklearn.linear_model", None)
    with pytest.raises(ImportError, match=r'linear_probe needs scikit-learn, .* pip install "lucid-mlx\[train\]"'):
        evaluation.linear_probe(np.eye(2), [0, 1])
