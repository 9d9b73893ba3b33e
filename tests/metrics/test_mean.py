"""Weighted means stay exact where plain float32 sums would not."""

import numpy as np
import pytest

import lucid
from lucid import metrics


def test_batches_are_weighted_by_their_size():
    rng = np.random.default_rng(0)
    values = rng.normal(size=37)
    metric = metrics.MeanMetric()
    for at in (0, 10, 20, 30):
        part = values[at : at + 10]
        metric.update(lucid.tensor(part.mean()), len(part))
    assert metric.compute().item() == pytest.approx(values.mean(), rel=1e-6)


def test_weights_broadcast_to_the_values():
    metric = metrics.MeanMetric()
    metric.update([[1.0, 2.0], [3.0, 4.0]], [1.0, 3.0])
    assert metric.compute().item() == pytest.approx((1 + 6 + 3 + 12) / 8)
    assert metric(lucid.tensor(5, dtype="float16"), weight=lucid.tensor(2)).item() == 5.0
    assert metric.compute().item() == pytest.approx(32 / 10)


def test_small_terms_are_not_lost_in_a_large_sum():
    metric = metrics.MeanMetric()
    metric.update(2.0**24, 1)
    metric.update(0.0, 2**24 - 1)  # in float32, 2**24 + 1 == 2**24
    for _ in range(100):
        metric.update(1.0)
    state = {name: tensor.numpy().astype(np.float64) for name, tensor in metric.state_dict().items()}
    assert state["value_sum"] + state["value_rest"] == 2**24 + 100
    assert state["weight_sum"] + state["weight_rest"] == 2**24 + 100
    assert metric.compute().item() == 1.0


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_non_finite_losses_propagate(value):
    metric = metrics.MeanMetric()
    for one in (1.0, value, 2.0):
        metric.update(one)
    np.testing.assert_equal(metric.compute().item(), value)
    assert np.isnan(metrics.MeanMetric().compute().item())
    metric.reset()
    metric.update(3.0)
    assert metric.compute().item() == 3.0


def test_invalid_weights_are_explained():
    with pytest.raises(ValueError, match=r"weight of shape \(2, 2\) does not broadcast to value of shape \(2,\)"):
        metrics.MeanMetric().update([1.0, 2.0], [[1.0, 1.0], [1.0, 1.0]])
    with pytest.raises(TypeError, match="value must be a tensor"):
        metrics.MeanMetric().update("much")
