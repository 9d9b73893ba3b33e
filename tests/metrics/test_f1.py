"""F1 equals scikit-learn's, for classes and for labels, whatever the batches."""

import numpy as np
import pytest

import lucid
from lucid import metrics


def by_counting(predicted, actual, average, absent_count):
    """From two 0/1 matrices (N, C), with NumPy in float64."""
    hits, p, a = ((predicted & actual).sum(0), predicted.sum(0), actual.sum(0))
    if average == "micro":
        return 2 * hits.sum() / max(1, (p + a).sum())
    f1 = np.where(p + a > 0, 2 * hits / np.maximum(p + a, 1), 0.0)
    if average == "none":
        return f1
    if average == "weighted":
        return (f1 * a).sum() / a.sum()
    return f1.mean() if absent_count else f1[p + a > 0].mean()


def reference(target, predicted, average, **options):
    sklearn = pytest.importorskip("sklearn.metrics", reason="compared with scikit-learn")
    return sklearn.f1_score(
        target, predicted, average=None if average == "none" else average, zero_division=0, **options
    )


@pytest.mark.parametrize("average", ["macro", "micro", "weighted", "none"])
@pytest.mark.parametrize("classes", [1, 2, 7])
def test_classes(average, classes):
    rng = np.random.default_rng(classes)
    logits = rng.integers(0, 3, (53, classes)).astype(np.float32)  # many ties
    labels = rng.integers(0, max(1, classes - 2), 53)  # the last classes are predicted only, or not at all
    metric = metrics.F1Score(classes, average=average)
    for start, end in ((0, 1), (1, 30), (30, 53)):
        metric.update(logits[start:end], labels[start:end])
    eye, predicted = np.eye(classes, dtype=bool), logits.argmax(1)
    found = metric.compute().numpy()
    np.testing.assert_allclose(found, by_counting(eye[predicted], eye[labels], average, False), atol=1e-6)
    labelled = {"labels": range(classes)} if average == "none" else {}
    np.testing.assert_allclose(found, reference(labels, predicted, average, **labelled), atol=1e-6)


@pytest.mark.parametrize("average", ["macro", "micro", "weighted", "none"])
@pytest.mark.parametrize("kind", ["logits", "probabilities", "labels"])
def test_several_labels(average, kind):
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(41, 5)).astype(np.float32)
    logits[:, 4] = -1  # never predicted
    target = rng.random((41, 5)) < [0.5, 0.2, 0.0, 0.9, 0.3]
    logits[:, 2] = -1  # neither
    preds = {"logits": logits, "probabilities": 1 / (1 + np.exp(-logits)), "labels": logits > 0}[kind]
    metric = metrics.F1Score(5, average=average, multilabel=True, threshold=0.5 if kind == "probabilities" else 0.0)
    metric.update(preds[:20], target[:20])
    metric.update(preds[20:], target[20:].astype(np.float32))
    found = metric.compute().numpy()
    np.testing.assert_allclose(found, by_counting(logits > 0, target, average, True), atol=1e-6)
    np.testing.assert_allclose(found, reference(target, logits > 0, average), atol=1e-6)


def test_ignored_and_invalid_classes_are_not_counted():
    metric = metrics.F1Score(3, average="micro", ignore_index=255)
    metric.update(lucid.tensor([0, 1, 2, 0, 9]), lucid.tensor([0, 1, 255, -1, 2]))
    assert metric.compute().item() == 1.0
    assert metric.state_dict()["total"].item() == 2


def test_no_samples_give_nan():
    for options in ({}, {"multilabel": True}, {"average": "weighted"}, {"average": "micro"}):
        assert np.isnan(metrics.F1Score(3, **options).compute().item())
    metric = metrics.F1Score(2, multilabel=True, average="weighted")
    metric.update(np.zeros((3, 2), np.float32), np.zeros((3, 2)))
    assert metric.compute().item() == 0.0  # samples, but no label


@pytest.mark.parametrize(
    ("options", "preds", "target", "message"),
    [
        ({"num_classes": 0}, None, None, "num_classes must be at least 1"),
        ({"average": "mean"}, None, None, "average must be"),
        ({"multilabel": True, "ignore_index": 1}, None, None, "ignore_index is for classes"),
        ({"multilabel": True}, np.zeros((2, 4)), np.zeros((2, 4)), r"must be \(N, 3\), got \(2, 4\) and \(2, 4\)"),
        ({"multilabel": True}, np.zeros((2, 3)), np.zeros(2), r"must be \(N, 3\), got \(2, 3\) and \(2,\)"),
        ({}, np.zeros((2, 4), np.float32), [0, 1], "preds have 4 classes, expected num_classes 3"),
        ({}, [0, 1], [0, 1, 2], "preds are class indices of shape"),
    ],
)
def test_invalid_input_is_explained(options, preds, target, message):
    with pytest.raises(ValueError, match=message):
        metrics.F1Score(**{"num_classes": 3, **options}).update(preds, target)
