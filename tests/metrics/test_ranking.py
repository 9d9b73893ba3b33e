"""Average precision and AUC equal scikit-learn's and their definitions, with ties."""

import warnings

import numpy as np
import pytest

import lucid
from lucid import metrics

FUNCTIONS = {"average_precision": metrics.average_precision, "auroc": metrics.auroc}


def area_by_pairs(scores, labels):
    pairs = scores[labels][:, None] - scores[~labels][None]
    return (pairs > 0).mean() + (pairs == 0).mean() / 2


def precision_by_thresholds(scores, labels):
    value, recall = 0.0, 0.0
    for threshold in np.unique(scores)[::-1]:
        chosen = scores >= threshold
        value += labels[chosen].mean() * (labels[chosen].sum() / labels.sum() - recall)
        recall = labels[chosen].sum() / labels.sum()
    return value


def scores_of(kind, rng, shape):
    if kind == "ties":
        return rng.integers(0, 4, shape).astype(np.float32)
    return np.zeros(shape, np.float32) if kind == "equal" else rng.normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("kind", ["distinct", "ties", "equal"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_binary(name, kind):
    sklearn = pytest.importorskip("sklearn.metrics", reason="compared with scikit-learn")
    rng = np.random.default_rng(0)
    for count in (2, 3, 50, 257):
        scores, labels = scores_of(kind, rng, count), rng.random(count) < 0.4
        labels[:2] = True, False
        definition = {"average_precision": precision_by_thresholds, "auroc": area_by_pairs}[name](scores, labels)
        reference = {"average_precision": sklearn.average_precision_score, "auroc": sklearn.roc_auc_score}[name]
        for preds, target in ((scores, labels), (lucid.tensor(scores), lucid.tensor(labels.astype(np.int32)))):
            found = FUNCTIONS[name](preds, target)
            assert found == pytest.approx(definition, abs=1e-12) and isinstance(found, float)
            assert found == pytest.approx(reference(labels, scores), abs=1e-12)


@pytest.mark.parametrize("kind", ["distinct", "ties"])
@pytest.mark.parametrize("average", ["macro", "micro", "weighted", None])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_several_labels(name, average, kind):
    sklearn = pytest.importorskip("sklearn.metrics", reason="compared with scikit-learn")
    rng = np.random.default_rng(1)
    scores, target = scores_of(kind, rng, (60, 5)), rng.random((60, 5)) < [0.1, 0.5, 0.9, 0.3, 0.5]
    reference = {"average_precision": sklearn.average_precision_score, "auroc": sklearn.roc_auc_score}[name]
    np.testing.assert_allclose(
        FUNCTIONS[name](scores, target, average), reference(target, scores, average=average), atol=1e-12
    )


def test_classes_against_all_others():
    sklearn = pytest.importorskip("sklearn.metrics", reason="compared with scikit-learn")
    rng = np.random.default_rng(2)
    scores, target = rng.random((80, 4)), rng.integers(0, 4, 80)
    scores /= scores.sum(1, keepdims=True)
    reference = sklearn.roc_auc_score(target, scores, multi_class="ovr")
    assert metrics.auroc(scores, target) == pytest.approx(reference, abs=1e-12)
    assert metrics.auroc(lucid.tensor(scores.astype(np.float32)), lucid.tensor(target)) == pytest.approx(
        reference, abs=1e-6
    )


@pytest.mark.parametrize("name", FUNCTIONS)
def test_infinite_scores_are_equal_to_each_other(name):
    scores = np.random.default_rng(4).integers(-2, 3, 60).astype(np.float64)
    labels = np.random.default_rng(5).random(60) < 0.4
    infinite = np.select([scores == 2, scores == -2], [np.inf, -np.inf], scores)
    assert FUNCTIONS[name](infinite, labels) == FUNCTIONS[name](scores, labels)


def test_undefined_labels_are_left_out():
    sklearn = pytest.importorskip("sklearn.metrics", reason="compared with scikit-learn")
    rng = np.random.default_rng(3)
    scores, target = rng.normal(size=(30, 4)), rng.random((30, 4)) < 0.5
    target[:, 1], target[:, 2] = False, True
    for name, defined in (("average_precision", [0, 2, 3]), ("auroc", [0, 3])):
        each = FUNCTIONS[name](scores, target, None)
        assert np.isfinite(each).tolist() == [k in defined for k in range(4)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            reference = {"average_precision": sklearn.average_precision_score, "auroc": sklearn.roc_auc_score}[name]
            want = reference(target[:, defined], scores[:, defined])
        assert FUNCTIONS[name](scores, target) == pytest.approx(want, abs=1e-12)
        assert np.isnan(FUNCTIONS[name](scores[:, 1], target[:, 1]))
        assert np.isnan(FUNCTIONS[name]([], []))


@pytest.mark.parametrize(
    ("preds", "target", "average", "error", "message"),
    [
        ([0.1, np.nan], [0, 1], "macro", ValueError, "preds must not be NaN"),
        ([0.1, 0.2], [0, 2], "macro", ValueError, "target must be 0 or 1, got 2"),
        ([0.1, 0.2], [0, 1, 1], "macro", ValueError, r"target must have the shape \(2,\) of preds, got \(3,\)"),
        ([[0.1, 0.2]], [[0, 0.5]], "macro", ValueError, "target must be 0 or 1, got 0.5"),
        ([[0.1, 0.2]], [2], "macro", ValueError, r"target must be in \[0, 1\] for 2 classes, got 2"),
        ([[0.1, 0.2]], [1.0], "macro", TypeError, "target must hold class indices of an integer dtype, got float64"),
        (np.zeros((2, 3, 4)), [0, 1], "macro", ValueError, r"preds must be \(N,\) or \(N, C\), got \(2, 3, 4\)"),
        (["a"], [0], "macro", TypeError, "preds must be real numbers"),
        ([0.1], [0], "mean", ValueError, "average must be"),
    ],
)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_invalid_input_is_explained(name, preds, target, average, error, message):
    with pytest.raises(error, match=f"{name}: {message}"):
        FUNCTIONS[name](preds, target, average)
