"""One row per sample for every form of predictions and targets."""

import mlx.core as mx
import numpy as np

from lucid.metrics.samples import parse_samples


def test_rows_and_targets_stay_aligned():
    rng = np.random.default_rng(0)
    logits, target = rng.normal(size=(2, 4, 3)).astype(np.float32), rng.integers(0, 4, (2, 3))
    samples = parse_samples("here", mx.array(logits), mx.array(target), None)
    np.testing.assert_array_equal(samples.logits, logits.transpose(0, 2, 1).reshape(6, 4))
    np.testing.assert_array_equal(samples.target, target.reshape(-1))
    np.testing.assert_array_equal(samples.classes, logits.argmax(1).reshape(-1))
    assert all(np.array(samples.counted))


def test_ties_go_to_the_first_class_and_nan_is_the_largest():
    rows = mx.array([[1.0, 1.0, 0.0], [0.0, mx.nan, 9.0], [mx.nan, mx.nan, mx.nan], [-mx.inf, -mx.inf, -mx.inf]])
    assert parse_samples("here", rows, mx.zeros(4, mx.int32), None).classes.tolist() == [0, 1, 0, 0]
