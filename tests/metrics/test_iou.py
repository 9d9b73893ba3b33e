"""Mean intersection over union of maps."""

import numpy as np
import pytest

import lucid
from lucid import metrics


def by_counting(predicted, target, classes, ignored):
    values = []
    for k in range(classes):
        counted = target != ignored
        p, t = (predicted == k) & counted, (target == k) & counted
        values.append((p & t).sum() / (p | t).sum() if (p | t).any() else np.nan)
    return np.array(values)


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 5, 7), (2, 16, 16)])
def test_maps_in_batches(shape):
    rng = np.random.default_rng(0)
    target = rng.integers(0, 3, shape)
    target[rng.random(shape) < 0.2] = 255
    logits = rng.normal(size=(shape[0], 5, *shape[1:])).astype(np.float32)
    logits[:, 4] = -9  # neither in the target nor predicted; class 3 is predicted only
    metric = metrics.MeanIoU(5, ignore_index=255)
    for n in range(shape[0]):
        metric.update(lucid.tensor(logits[n : n + 1]), lucid.tensor(target[n : n + 1].astype(np.uint8)))
    want = by_counting(logits.argmax(1), target, 5, 255)
    np.testing.assert_allclose(metric.per_class().numpy(), want, atol=1e-6)
    kept = target != 255
    counts = np.zeros((5, 5), np.int64)
    np.add.at(counts, (target[kept], logits.argmax(1)[kept]), 1)
    np.testing.assert_array_equal(metric.counts().numpy(), counts)
    mean = want[~np.isnan(want)].mean() if not np.isnan(want).all() else np.nan
    np.testing.assert_allclose(metric.compute().item(), mean, atol=1e-6)
    if mean == mean:
        sklearn = pytest.importorskip("sklearn.metrics", reason="compared with scikit-learn")
        reference = sklearn.jaccard_score(target[kept], logits.argmax(1)[kept], average="macro", zero_division=0)
        np.testing.assert_allclose(mean, reference, atol=1e-12)


def test_merged_metrics_and_no_samples():
    one, other = metrics.MeanIoU(2), metrics.MeanIoU(2)
    assert np.isnan(one.compute().item())
    one.update([0, 1], [0, 0])
    other.update([1, 1], [1, 1])
    one.merge(other)
    np.testing.assert_allclose(one.per_class().numpy(), [1 / 2, 2 / 3])
    assert one(np.array([0]), np.array([0])).item() == 1.0  # the value of the batch


def test_wrong_shapes_are_explained():
    with pytest.raises(ValueError, match="preds have 4 classes, expected num_classes 3"):
        metrics.MeanIoU(3).update(np.zeros((1, 4, 2, 2), np.float32), np.zeros((1, 2, 2), np.int64))
    with pytest.raises(ValueError, match=r"target must have shape \(1, 2, 2\)"):
        metrics.MeanIoU(3).update(np.zeros((1, 3, 2, 2), np.float32), np.zeros((1, 2, 3), np.int64))
