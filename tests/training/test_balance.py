"""Class weights are scikit-learn's, balanced batches have all classes equally often."""

import numpy as np
import pytest

import lucid
import lucid.nn.functional as F
from lucid import data, nn, training
from lucid.data import augment
from lucid.training import balance, batches

LABELS = np.repeat([0, 1, 2], [70, 25, 5])


def sources():
    x = np.zeros((100, 1, 2, 2), np.uint8)
    tensors = data.TensorDataset(x, LABELS)
    return {
        "pairs": [(str(i), int(label)) for i, label in enumerate(LABELS)],
        "arrays": batches.ArrayDataset(x, LABELS),
        "subset": data.Subset(batches.ArrayDataset(np.zeros((200, 1)), np.concatenate([LABELS, LABELS])), range(100)),
        "tensors": tensors,
        "unknown": data.TensorDataset(x, LABELS, LABELS),
    }


@pytest.mark.parametrize("kind", ["pairs", "arrays", "subset", "tensors"])
def test_weights_are_those_of_scikit_learn(kind):
    found = balance.class_weights(sources()[kind]).numpy()
    np.testing.assert_allclose(found, 100 / (3 * np.array([70, 25, 5])), rtol=1e-6)
    weighing = pytest.importorskip("sklearn.utils.class_weight", reason="compared with scikit-learn")
    np.testing.assert_allclose(
        found, weighing.compute_class_weight("balanced", classes=np.arange(3), y=LABELS), rtol=1e-6
    )


@pytest.mark.parametrize("source", [[], [1.0, 2.0], list(range(5)), "unknown"])
def test_unknown_classes_are_refused(source):
    with pytest.raises(training.SettingError, match="balance needs training data whose classes are known"):
        balance.class_weights(sources()["unknown"] if source == "unknown" else source)


def test_a_class_without_samples_is_refused():
    with pytest.raises(training.SettingError, match="no training sample of class 3"):
        balance.class_weights(sources()["pairs"], 4)


@pytest.mark.parametrize("how", ["weights", "sampling"])
def test_tasks_have_no_classes_to_balance(how):
    x = np.zeros((40, 2), np.float32)
    recipe = training.Recipe(batch_size=20, balance=how)
    with pytest.raises(training.SettingError, match="balance is for classes, not for Regression$"):
        training.Trainer(nn.Linear(2, 1), recipe, train=(x, np.arange(40)), task=training.Regression())
    task = training.MultiLabel(["a", "b"])
    with pytest.raises(training.SettingError, match="its pos_weight is for rare labels|a number for each sample"):
        training.Trainer(nn.Linear(2, 2), recipe, train=(x, x), task=task)


def test_an_output_without_samples_is_explained():
    recipe = training.Recipe(batch_size=30, balance="weights")
    one = training.Trainer(nn.Linear(2, 3), recipe, train=unbalanced())
    with pytest.raises(training.SettingError, match="no training sample of class 2, but the model has 3 outputs"):
        one.fit(progress=False)


def test_balanced_batches_depend_on_the_seed_and_the_epoch():
    one = balance.BalancedBatches(sources()["pairs"], 10, seed=3)
    assert len(one) == 10
    drawn = {}
    for epoch in (0, 1, 0, 60):
        one.set_epoch(epoch)
        found = list(one)
        assert [len(batch) for batch in found] == [10] * 10
        assert drawn.setdefault(epoch, found) == found
    assert drawn[0] != drawn[1]
    counts = np.bincount(LABELS[[i for epoch in range(60) for batch in _epoch(one, epoch) for i in batch]])
    np.testing.assert_allclose(counts / counts.sum(), 1 / 3, atol=0.03)  # 6000 draws: 5 standard deviations


def _epoch(sampler, epoch):
    sampler.set_epoch(epoch)
    return list(sampler)


def test_processes_share_each_batch(monkeypatch):
    whole = list(balance.BalancedBatches(sources()["pairs"], 10, seed=0))
    monkeypatch.setattr(balance.dist, "get_world_size", lambda: 2)
    parts = []
    for rank in (0, 1):
        monkeypatch.setattr(balance.dist, "get_rank", lambda rank=rank: rank)
        parts.append(list(balance.BalancedBatches(sources()["pairs"], 10, seed=0)))
    assert [a + b for a, b in zip(*parts, strict=True)] == whole


def unbalanced(seed=0):
    """Two classes that overlap, nine to one."""
    rng = np.random.default_rng(seed)
    y = (rng.random(300) < 0.1).astype(np.int64)
    return (rng.normal(size=(300, 2)) + y[:, None]).astype(np.float32), y


@pytest.mark.parametrize("kind", ["weights", "sampling"])
def test_rare_classes_are_found_more_often(kind):
    recalls = {}
    for how in ("none", kind):
        lucid.manual_seed(0)
        recipe = training.Recipe(epochs=6, batch_size=30, lr=0.05, balance=how, label_smoothing=0.0, warmup_epochs=1)
        one = training.Trainer(nn.Linear(2, 2), recipe, train=unbalanced(), test=unbalanced(1), classes=["no", "yes"])
        one.fit(progress=False)
        confusion = one.evaluate().confusion
        recalls[how] = confusion[1, 1] / confusion[1].sum()
        # The loss of the test data is not weighted.
        x, y = unbalanced(1)
        with lucid.no_grad():
            loss = F.cross_entropy(one.model(lucid.tensor(x)), lucid.tensor(y)).item()
        assert one.evaluate().loss == pytest.approx(loss, rel=1e-5)
    assert recalls["none"] < 0.4 and recalls[kind] > 0.6


def test_the_weighted_loss_is_that_of_cross_entropy():
    x, y = unbalanced()
    recipe = training.Recipe(epochs=1, batch_size=300, lr=0.0, balance="weights", label_smoothing=0.1, warmup_epochs=0)
    lucid.manual_seed(0)
    model = nn.Linear(2, 2)
    one = training.Trainer(model, recipe, train=(x, y))
    one.fit(progress=False)
    weight = lucid.tensor((300 / (2 * np.bincount(y))).astype(np.float32))
    with lucid.no_grad():
        want = F.cross_entropy(model(lucid.tensor(x)), lucid.tensor(y), weight=weight, label_smoothing=0.1).item()
    assert one.history[0]["train_loss"] == pytest.approx(want, rel=1e-5)


def test_images_on_the_device_and_a_loss_of_ones_own():
    pytest.importorskip("sklearn", reason="the digits come with scikit-learn")
    digits = augment.DeviceDataset(data.Digits())
    recipe = training.Recipe(batch_size=64, balance="sampling")
    loader = augment.DeviceLoader(digits, **batches.share_of_batches(recipe, digits))
    images, labels = next(iter(loader))
    assert images.shape == (64, 1, 8, 8) and labels.shape == (64,)
    assert balance.class_weights(digits).shape == (10,)
    with pytest.raises(training.SettingError, match="balance weights is for the default loss"):
        training.Trainer(
            nn.Linear(2, 2), training.Recipe(batch_size=30, balance="weights"), train=unbalanced(), loss=F.cross_entropy
        )
