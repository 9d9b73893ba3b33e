"""Accuracy counts samples; ties, NaN, ignored and invalid classes behave as documented."""

import numpy as np
import pytest

import lucid
from lucid import metrics


def by_sorting(logits, labels, k, ignore_index=None):
    """Top-k accuracy with NumPy: a stable sort, NaN first."""
    keys = np.where(np.isnan(logits), np.inf, logits)
    best = np.argsort(-keys, axis=1, kind="stable")[:, :k]
    counted = np.ones(len(labels), bool) if ignore_index is None else labels != ignore_index
    return (best == labels[:, None]).any(1)[counted].mean()


@pytest.mark.parametrize("classes", [1, 2, 7, 100])
@pytest.mark.parametrize("k", [1, 2, 5])
def test_accuracy_matches_a_sort(classes, k):
    rng = np.random.default_rng(classes)
    logits = rng.integers(0, 4, (61, classes)).astype(np.float32)  # many ties
    logits[rng.random(logits.shape) < 0.05] = np.nan
    logits[rng.random(logits.shape) < 0.05] = -np.inf
    labels = rng.integers(0, classes, 61)
    want = by_sorting(logits, labels, k)
    assert metrics.accuracy(lucid.tensor(logits), lucid.tensor(labels), k).item() == pytest.approx(want, abs=1e-7)
    metric = metrics.Accuracy(k)
    for at in (0, 5, 6, 40):  # unequal batch sizes: every sample has the same weight
        end = {0: 5, 5: 6, 6: 40, 40: 61}[at]
        metric.update(logits[at:end], labels[at:end])
    assert metric.compute().item() == pytest.approx(want, abs=1e-7)


def test_several_k_give_a_list():
    logits, labels = [[3.0, 2.0, 1.0], [3.0, 2.0, 1.0]], [1, 2]
    top1, top2, top5 = metrics.accuracy(lucid.tensor(logits), lucid.tensor(labels), topk=(1, 2, 5))
    assert (top1.item(), top2.item(), top5.item()) == (0.0, 0.5, 1.0)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_half_precision_logits(dtype):
    logits = lucid.tensor([[0.0, 1.0], [1.0, 0.0]], dtype=dtype)
    assert metrics.accuracy(logits, lucid.tensor([1, 1], dtype="uint8")).item() == 0.5


def test_images_soft_labels_class_indices_and_single_samples():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(2, 3, 4, 5)).astype(np.float32), rng.integers(0, 3, (2, 4, 5))
    want = (logits.argmax(1) == labels).mean()
    soft = np.moveaxis(np.eye(3, dtype=np.float32)[labels] * 0.4 + 0.2, -1, 1)
    for preds, target in ((logits, labels), (logits, soft), (logits.argmax(1), labels)):
        assert metrics.accuracy(preds, target).item() == pytest.approx(want)
    assert metrics.accuracy(logits, labels, 2).item() == pytest.approx(
        by_sorting(np.moveaxis(logits, 1, -1).reshape(-1, 3), labels.reshape(-1), 2)
    )
    assert metrics.accuracy([0.1, 0.9], 1).item() == 1.0


def test_ignored_targets_do_not_count_and_invalid_ones_are_wrong():
    logits = np.eye(4, dtype=np.float32)
    metric = metrics.Accuracy(ignore_index=-100)
    metric.update(logits, [0, -100, 2, 2])
    assert metric.compute().item() == pytest.approx(2 / 3)
    for k in (1, 2, 4):
        assert metrics.accuracy(logits, [0, -1, 4, 2**40], k).item() == 0.25


def test_no_samples_give_nan():
    metric = metrics.Accuracy(top_k=2)
    assert np.isnan(metric.compute().item())
    metric.update(lucid.zeros(0, 3), lucid.zeros(0, dtype="int64"))
    assert np.isnan(metric.compute().item())
    assert np.isnan(metrics.accuracy(np.zeros((2, 3), np.float32), [9, 9], ignore_index=9).item())


def test_counts_stay_exact_beyond_float32():
    metric = metrics.Accuracy()
    metric.load_state_dict({"correct": np.array(2**40), "total": np.array(2**40 + 1)})
    metric.update([[1.0, 0.0]], [0])
    assert [t.item() for t in metric.state_tensors()] == [2**40 + 1, 2**40 + 2]


@pytest.mark.parametrize(
    ("preds", "target", "k", "error", "message"),
    [
        (
            np.zeros((2, 3), np.float32),
            [0],
            1,
            ValueError,
            r"target must have shape \(2,\) for preds of shape \(2, 3\)",
        ),
        (
            [0.9, 0.2],
            [1, 0],
            1,
            ValueError,
            r"target must have shape \(\) .* got \(2,\); .* use \(N, C\) for several",
        ),
        (np.zeros((2, 3), np.float32), [0.0, 1.0], 1, ValueError, r"soft labels must have the shape \(2, 3\)"),
        (
            np.zeros((2, 3), np.float32),
            [True, False],
            1,
            TypeError,
            "target must hold class indices of an integer dtype",
        ),
        (np.zeros((2, 0), np.float32), [0, 0], 1, ValueError, "at least one class"),
        (np.float32(0), 0, 1, ValueError, r"must be \(N, C, ...\)"),
        ([0, 1], [0, 1, 2], 1, ValueError, r"preds are class indices of shape \(2,\), but target has shape \(3,\)"),
        ([0, 1], [0, 1], 2, ValueError, "top-2 accuracy needs logits"),
        ([[0.0, 1.0]], [0], 0, ValueError, "topk must be at least 1"),
    ],
)
def test_invalid_input_is_explained(preds, target, k, error, message):
    with pytest.raises(error, match=message):
        metrics.accuracy(preds, target, k)
