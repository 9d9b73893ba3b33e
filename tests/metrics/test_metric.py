"""The shared parts of metrics: laziness, compiled steps, state, merging."""

import numpy as np
import pytest

import lucid
import lucid.nn.functional as F
from lucid import metrics, nn, optim
from lucid._deferred import collecting
from tests._compile.steps import batches, small_step

ALL = [metrics.Accuracy, lambda: metrics.Accuracy(top_k=2), lambda: metrics.ConfusionMatrix(3), metrics.MeanMetric]


def arguments(seed, size=6):
    rng = np.random.default_rng(seed)
    return lucid.tensor(rng.normal(size=(size, 3)).astype(np.float32)), lucid.tensor(rng.integers(0, 3, size))


def updated(metric, seed, size=6):
    preds, target = arguments(seed, size)
    return metric(preds.mean(), size) if isinstance(metric, metrics.MeanMetric) else metric(preds, target)


@pytest.mark.parametrize("make", ALL)
def test_a_call_returns_the_value_of_its_batch(make):
    metric, alone = make(), make()
    updated(metric, 0)
    batch = updated(metric, 1)
    updated(alone, 1)
    np.testing.assert_array_equal(batch.numpy(), alone.compute().numpy())


@pytest.mark.parametrize("make", ALL)
def test_merged_parts_equal_the_whole(make):
    whole, first, second = make(), make(), make()
    for seed, size in ((0, 1), (1, 6), (2, 3)):
        updated(whole, seed, size)
        updated(first if seed < 2 else second, seed, size)
    first.merge(second)
    np.testing.assert_allclose(first.compute().numpy(), whole.compute().numpy(), rtol=1e-6)


@pytest.mark.parametrize("make", ALL)
def test_state_continues_in_another_metric(make):
    metric, other = make(), make()
    updated(metric, 0)
    saved = metric.state_dict()
    updated(metric, 1)
    other.load_state_dict(saved)
    updated(other, 1)
    np.testing.assert_array_equal(metric.compute().numpy(), other.compute().numpy())
    tensors = [id(t) for t in metric.state_tensors()]
    metric.reset()
    assert [id(t) for t in metric.state_tensors()] == tensors
    assert not any(t.numpy().any() for t in metric.state_tensors())


def test_state_that_does_not_fit_changes_nothing():
    metric = metrics.Accuracy()
    updated(metric, 0)
    before = metric.compute().item()
    with pytest.raises(ValueError, match="the state must have correct, total; got right"):
        metric.load_state_dict({"right": 1})
    with pytest.raises(ValueError, match=r"total must have shape \(\), got \(2,\)"):
        metric.load_state_dict({"correct": 0, "total": [1, 2]})
    with pytest.raises(ValueError, match="got list"):
        metric.load_state_dict([1, 2])
    with pytest.raises(TypeError, match="expected a metric of the same class, got MeanMetric"):
        metric.merge(metrics.MeanMetric())
    with pytest.raises(ValueError, match=r"counts must have shape \(3, 3\), got \(2, 2\)"):
        metrics.ConfusionMatrix(3).merge(metrics.ConfusionMatrix(2))
    assert metric.compute().item() == before


def test_updates_never_evaluate():
    """Inside a trace reading a value would raise."""
    with collecting():
        for make in ALL:
            metric = make()
            updated(metric, 0)
            metric.compute()


def test_a_compiled_step_updates_metrics():
    found = []
    for compiled in (False, True):
        model, optimizer, train = small_step()
        accuracy, loss, matrix = metrics.Accuracy(), metrics.MeanMetric(), metrics.ConfusionMatrix(3)

        def step(x, y, model=model, train=train, accuracy=accuracy, loss=loss, matrix=matrix):
            logits = model(x)
            accuracy.update(logits, y)
            matrix.update(logits, y)
            loss.update(train(x, y), len(y))
            return accuracy(logits, y)

        call = lucid.compile(step, state=[model, optimizer, accuracy, loss, matrix]) if compiled else step
        last = [call(x, y).item() for x, y in batches(5)]
        if compiled:
            assert call.retraces.count == 0
        found.append([last, accuracy.compute().tolist(), matrix.compute().tolist(), loss.compute().item()])
    np.testing.assert_allclose(found[0][3], found[1][3], rtol=1e-6)
    assert found[0][:3] == found[1][:3]
    assert sum(map(sum, found[0][2])) == 20


def test_a_compiled_step_refuses_a_metric_that_is_not_state():
    model, optimizer, _ = small_step()
    accuracy = metrics.Accuracy()

    @lucid.compile(state=[model, optimizer])
    def step(x, y):
        accuracy.update(model(x), y)

    with pytest.raises(RuntimeError, match="not in state"):
        step(*batches(1)[0])


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("with_optimizer", [True, False])
def test_an_unread_loop_runs_in_constant_memory(with_optimizer):
    model = nn.Linear(64, 10)
    optimizer = optim.SGD(model.parameters(), lr=1e-3)
    accuracy, loss, matrix = metrics.Accuracy(top_k=3), metrics.MeanMetric(), metrics.ConfusionMatrix(10)
    rng, active = np.random.default_rng(0), []
    for step in range(150):
        x, y = lucid.tensor(rng.normal(size=(256, 64)).astype(np.float32)), lucid.tensor(rng.integers(0, 10, 256))
        logits = model(x)
        value = F.cross_entropy(logits, y)
        if with_optimizer:
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
        accuracy.update(logits, y)
        matrix.update(logits, y)
        loss.update(value, len(y))
        if step >= 50:
            active.append(lucid.memory.active())
    assert max(active) - min(active) < 20 * x.nbytes  # otherwise it would hold 100 batches
    assert matrix.compute().sum().item() == 150 * 256
