"""The confusion matrix: counts against a loop, normalization, classes without samples."""

import numpy as np
import pytest

import lucid
from lucid import metrics


def test_counts_match_a_loop():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(200, 5)).astype(np.float32), rng.integers(0, 5, 200)
    want = np.zeros((5, 5), int)
    for row, label in zip(logits, labels, strict=True):
        want[label, row.argmax()] += 1
    metric = metrics.ConfusionMatrix(5)
    for at in range(0, 200, 64):
        metric.update(lucid.tensor(logits[at : at + 64]), lucid.tensor(labels[at : at + 64]))
    found = metric.compute()
    assert found.dtype == lucid.int64
    np.testing.assert_array_equal(found.numpy(), want)
    assert metric.accuracy().item() == pytest.approx(np.trace(want) / 200)
    np.testing.assert_allclose(metric.per_class_accuracy().numpy(), np.diag(want) / want.sum(1), rtol=1e-6)


@pytest.mark.parametrize(("normalize", "axis"), [("true", 1), ("pred", 0), ("all", None)])
def test_normalization(normalize, axis):
    metric = metrics.ConfusionMatrix(3, normalize=normalize)
    metric.update([0, 1, 1, 2, 0], [0, 1, 2, 2, 1])
    counts = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 1]])
    np.testing.assert_allclose(metric.compute().numpy(), counts / counts.sum(axis, keepdims=True), rtol=1e-6)


def test_a_class_without_samples_has_nan_accuracy():
    metric = metrics.ConfusionMatrix(3)
    metric.update([0, 2], [0, 0])
    np.testing.assert_array_equal(metric.per_class_accuracy().numpy(), [0.5, np.nan, np.nan])
    assert np.isnan(metrics.ConfusionMatrix(2).accuracy().item())


def test_ignored_and_invalid_classes_are_not_counted():
    metric = metrics.ConfusionMatrix(2, ignore_index=7)
    metric.update([0, 1, 0, 5, -1, 1], [0, 7, -1, 1, 1, 1])
    assert metric.compute().tolist() == [[1, 0], [0, 1]]
    metric.update(lucid.zeros(0, 2), lucid.zeros(0, dtype="int64"))
    assert metric.compute().tolist() == [[1, 0], [0, 1]]


def test_invalid_input_is_explained():
    with pytest.raises(ValueError, match="preds have 3 classes, expected num_classes 2"):
        metrics.ConfusionMatrix(2).update([[0.0, 1.0, 2.0]], [1])
    with pytest.raises(ValueError, match="num_classes must be at least 1"):
        metrics.ConfusionMatrix(0)
    with pytest.raises(ValueError, match="normalize must be 'true', 'pred' or 'all'"):
        metrics.ConfusionMatrix(2, normalize="rows")


@pytest.mark.parametrize("normalize", [None, "true", "pred", "all"])
def test_counts_are_not_normalized(normalize):
    metric = metrics.ConfusionMatrix(2, normalize=normalize)
    metric.update([0, 1, 1], [0, 1, 0])
    assert metric.counts().tolist() == [[1, 1], [0, 1]] and metric.counts().dtype == lucid.int64
