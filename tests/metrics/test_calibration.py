"""The expected calibration error, against a loop over the bins in float64."""

import numpy as np
import pytest

import lucid
from lucid import metrics


def by_bins(probabilities, labels, bins):
    confidence, right = probabilities.max(1).astype(np.float64), probabilities.argmax(1) == labels
    error = 0.0
    for b in range(bins):
        inside = (confidence > b / bins) & (confidence <= (b + 1) / bins)
        if inside.any():
            error += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    return error


def softmax(x):
    powers = np.exp(x - x.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


@pytest.mark.parametrize("bins", [1, 10, 15])
@pytest.mark.parametrize("classes", [2, 9])
def test_the_error_is_that_of_the_definition(bins, classes):
    rng = np.random.default_rng(bins + classes)
    logits = rng.normal(scale=3, size=(211, classes)).astype(np.float32)
    labels = rng.integers(0, classes, 211)
    want = by_bins(softmax(logits), labels, bins)
    metric = metrics.CalibrationError(bins)
    for start, end in ((0, 7), (7, 8), (8, 211)):
        metric.update(lucid.tensor(logits[start:end]), labels[start:end])
    assert metric.compute().item() == pytest.approx(want, abs=1e-6)
    metric = metrics.CalibrationError(bins, from_logits=False)
    metric.update(softmax(logits), labels)
    assert metric.compute().item() == pytest.approx(want, abs=1e-6)


def test_bins_are_those_of_scikit_learn():
    calibration = pytest.importorskip("sklearn.calibration", reason="compared with scikit-learn")
    rng = np.random.default_rng(0)
    p = rng.uniform(0.5, 1, 300).astype(np.float32)
    labels = (rng.random(300) < 0.8).astype(int)
    metric = metrics.CalibrationError(10, from_logits=False)
    metric.update(np.stack([1 - p, p], axis=1), labels)
    confidence, accuracy, count = (one.numpy() for one in metric.bins())
    true, predicted = calibration.calibration_curve(labels, p, n_bins=10)
    np.testing.assert_allclose(accuracy[count > 0], true, atol=1e-6)
    np.testing.assert_allclose(confidence[count > 0], predicted, atol=1e-6)
    assert count.sum() == 300 and count[:5].sum() == 0


@pytest.mark.parametrize("kind", [np.float32, bool, np.int32])
def test_labels_are_compared_one_by_one(kind):
    """Bins by the probability of the label, as scikit-learn's, over all labels of all samples."""
    calibration = pytest.importorskip("sklearn.calibration", reason="compared with scikit-learn")
    rng = np.random.default_rng(1)
    logits = rng.normal(scale=2, size=(150, 4)).astype(np.float32)
    p = 1 / (1 + np.exp(-logits.astype(np.float64)))
    target = rng.random((150, 4)) < p**2
    metric = metrics.CalibrationError(10, multilabel=True)
    for start, end in ((0, 1), (1, 90), (90, 90), (90, 150)):
        metric.update(lucid.tensor(logits[start:end]), lucid.tensor(target[start:end].astype(kind)))
    true, predicted = calibration.calibration_curve(target.ravel(), p.ravel(), n_bins=10)
    confidence, share, count = (one.numpy() for one in metric.bins())
    np.testing.assert_allclose(share, true, atol=1e-6)
    np.testing.assert_allclose(confidence, predicted, atol=1e-6)
    assert metric.compute().item() == pytest.approx((count * abs(true - predicted)).sum() / 600, abs=1e-6)
    other = metrics.CalibrationError(10, multilabel=True, from_logits=False)
    other.update(p.astype(np.float32), target)
    assert other.compute().item() == pytest.approx(metric.compute().item(), abs=1e-6)


def test_wrong_labels_are_explained():
    metric = metrics.CalibrationError(multilabel=True)
    with pytest.raises(ValueError, match=r"preds and target must be \(N, C\), got \(2, 3\) and \(2,\)"):
        metric.update(np.zeros((2, 3), np.float32), [0, 1])
    with pytest.raises(TypeError, match="preds must be logits or probabilities, got int"):
        metric.update(np.zeros((2, 3), np.int32), np.zeros((2, 3), np.int32))
    with pytest.raises(ValueError, match="ignore_index is for classes"):
        metrics.CalibrationError(multilabel=True, ignore_index=0)


def test_edges_belong_to_the_lower_bin():
    metric = metrics.CalibrationError(4, from_logits=False)
    metric.update([[0.5, 0.5], [0.25, 0.75], [0.0, 1.0]], [0, 1, 1])
    assert metric.bins()[2].tolist() == [0, 1, 1, 1]


def test_invalid_confidences_give_nan_and_ignored_targets_do_not_count():
    for bad in ([0.0, np.nan], [0.0, 1.5], [-1.0, -0.5]):
        metric = metrics.CalibrationError(from_logits=False, ignore_index=7)
        metric.update([[0.5, 0.5], bad], [0, 7])
        assert metric.compute().item() == 0.5
        metric.update([bad], [1])
        assert np.isnan(metric.compute().item())
    assert np.isnan(metrics.CalibrationError().compute().item())
    with pytest.raises(ValueError, match="needs logits or probabilities"):
        metrics.CalibrationError().update([1, 0], [1, 0])
    with pytest.raises(ValueError, match="num_bins must be at least 1"):
        metrics.CalibrationError(0)
