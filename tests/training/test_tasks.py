"""Several labels for a sample, and numbers: losses, metrics, which epoch is best, the report, wrong targets."""

import json
import sys

import numpy as np
import pytest

import lucid
import lucid.nn.functional as F
from lucid import nn, training
from lucid.training import tasks
from tests.distributed.launching import launch, needs_launcher

RECIPE = training.Recipe(epochs=4, batch_size=20, lr=2e-2, weight_decay=0.0, warmup_epochs=1)
LABELS = ["first", "sec & ond", "third", "never"]


def network(outputs):
    lucid.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 32), nn.GELU(), nn.Linear(32, outputs))


def labelled(count, seed=0):
    x = np.random.default_rng(seed).normal(size=(count, 5)).astype(np.float32)
    return x, np.column_stack([x[:, :3] > 0.5, np.zeros(count)])


def outputs_of(trainer, x):
    with lucid.no_grad():
        return trainer.model(lucid.tensor(x)).numpy()


def needs_extras():
    pytest.importorskip("matplotlib", reason="curves are drawn with matplotlib")


# Several labels -------------------------------------------------------------------------------------------------------


def test_several_labels_are_learned_and_reported(tmp_path):
    needs_extras()
    sklearn = pytest.importorskip("sklearn.metrics", reason="compared with scikit-learn")
    test = labelled(90, 1)
    one = training.Trainer(
        network(4), RECIPE, train=labelled(200), test=test, task=training.MultiLabel(LABELS), folder=tmp_path
    )
    one.fit(progress=False)
    evaluation, outputs = one.evaluate(), outputs_of(one, test[0])
    known = slice(0, 3)  # no sample has the last label
    want = sklearn.average_precision_score(test[1][:, known], outputs[:, known])
    assert evaluation.metrics["mean_average_precision"] == pytest.approx(want, abs=1e-9) and want > 0.9
    area = sklearn.roc_auc_score(test[1][:, known], outputs[:, known])
    assert evaluation.metrics["auroc"] == pytest.approx(area, abs=1e-9)
    f1 = sklearn.f1_score(test[1], outputs > 0, average="macro", zero_division=0)
    assert evaluation.metrics["f1"] == pytest.approx(f1, abs=1e-6)
    loss = F.binary_cross_entropy_with_logits(lucid.tensor(outputs), lucid.tensor(test[1].astype(np.float32)))
    assert evaluation.loss == pytest.approx(loss.item(), rel=1e-5) and evaluation.confusion is None
    columns = ["test_loss", "test_mean_average_precision", "test_auroc", "test_f1"]
    assert [name for name in one.history[-1] if name.startswith("test_")] == columns and "train_f1" in one.history[-1]
    # The best epoch is the one with the highest mAP, and the report is about it.
    assert one.monitor == ("test_mean_average_precision", "max") and one.classes == LABELS
    best = max(one.history, key=lambda row: row["test_mean_average_precision"])
    assert one.checkpoints.manager.best().metrics == {"mean_average_precision": best["test_mean_average_precision"]}
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<h2>Labels</h2>" in text and "sec &amp; ond" in text and "No test sample has never." in text
    saved = json.loads((tmp_path / "best.json").read_text())
    assert saved["epoch"] == best["epoch"] and saved["confusion"] is None and "first" in saved["sections"][0]
    assert text.count("<h2>Labels</h2>") == 1 and "confusion matrix" not in text


def test_positive_targets_can_weigh_more():
    task = training.MultiLabel(["a", "b"], pos_weight=[1, 5])
    outputs, targets = np.float32([[0.3, -1], [2, 0.5]]), np.float32([[1, 1], [0, 0]])
    p = 1 / (1 + np.exp(-outputs.astype(np.float64)))
    want = -(np.array([1, 5]) * targets * np.log(p) + (1 - targets) * np.log(1 - p)).mean()
    assert task.loss(lucid.tensor(outputs), lucid.tensor(targets)).item() == pytest.approx(want, rel=1e-6)


def test_labels_that_cannot_be_ranked_are_zero():
    task = training.MultiLabel(["a", "b"])
    assert task.results(np.ones((3, 2)), np.zeros((3, 2))) == {"mean_average_precision": 0.0, "auroc": 0.0}


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (np.zeros((40, 3)), r"train targets must be \(N, 4\), got \(40, 3\)"),
        (np.zeros(40, np.int64), r"train targets must be \(N, 4\), got \(40,\)"),
        (np.full((40, 4), 2), "train targets must be 0 or 1, or between them"),
        (np.full((40, 4), np.nan), "train targets must be 0 or 1, or between them"),
    ],
)
def test_wrong_labels_are_refused(targets, message):
    with pytest.raises(ValueError, match=message):
        training.Trainer(network(4), RECIPE, train=(labelled(40)[0], targets), task=training.MultiLabel(LABELS))


def test_wrong_outputs_are_refused():
    one = training.Trainer(network(3), RECIPE, train=labelled(40), task=training.MultiLabel(LABELS))
    with pytest.raises(ValueError, match=r"outputs and targets must be \(20, 4\), got \(20, 3\) and \(20, 4\)"):
        one.fit(progress=False)
    with pytest.raises(ValueError, match="got 2 labels but 1 pos_weight"):
        training.MultiLabel(["a", "b"], pos_weight=[1])
    with pytest.raises(ValueError, match="expected at least one label"):
        training.MultiLabel([])
    with pytest.raises(ValueError, match="pass either the task or these"):
        training.Trainer(network(3), RECIPE, train=labelled(40), task=training.MultiLabel(LABELS), loss=F.mse_loss)


# Numbers --------------------------------------------------------------------------------------------------------------


def numbers(count, width=0, seed=0):
    x = np.random.default_rng(seed).normal(size=(count, 5)).astype(np.float32)
    y = x @ np.float32([1, -2, 3, 0, 1]) / 4
    return x, np.column_stack([y * (k + 1) for k in range(width)]) if width else y


@pytest.mark.parametrize(("width", "loss"), [(0, "mse"), (1, "huber"), (2, "mse")])
def test_numbers_are_learned_and_reported(tmp_path, width, loss):
    needs_extras()
    sklearn = pytest.importorskip("sklearn.metrics", reason="compared with scikit-learn")
    test = numbers(60, width, 1)
    task = training.Regression(loss, names=["<one>", "two"][: max(1, width)])
    one = training.Trainer(
        network(max(1, width)), RECIPE, train=numbers(200, width), test=test, task=task, folder=tmp_path
    )
    one.fit(progress=False)
    evaluation, outputs = one.evaluate(), outputs_of(one, test[0]).reshape(test[1].shape)
    assert evaluation.metrics == {
        "r_squared": pytest.approx(sklearn.r2_score(test[1], outputs), abs=1e-6),
        "absolute_error": pytest.approx(np.abs(outputs - test[1]).mean(), rel=1e-5),
    }
    assert evaluation.metrics["r_squared"] > 0.8
    distance = np.abs(outputs - test[1])
    each = distance**2 if loss == "mse" else np.where(distance < 1, distance**2 / 2, distance - 0.5)
    assert evaluation.loss == pytest.approx(each.mean(), rel=1e-4) and one.monitor == ("test_loss", "min")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<h2>Predictions</h2>" in text and text.count('class="dot s0"') >= 60 * max(1, width)
    assert "&lt;one&gt;" in text and "<one>" not in text and "confusion matrix" not in text


def test_constant_targets_and_outliers():
    task = training.Regression("huber", delta=0.5)
    ones = np.ones((4, 1))
    assert task.results(ones, ones) == {"r_squared": 1.0} and task.results(0 * ones, ones) == {"r_squared": 0.0}
    loss = task.loss(lucid.tensor([[0.1], [10.0]]), lucid.tensor([0.0, 0.0])).item()
    assert loss == pytest.approx((0.005 + 0.5 * (10 - 0.25)) / 2, rel=1e-5)


def test_shapes_that_would_broadcast_are_refused():
    with pytest.raises(ValueError, match=r"outputs must have the shape \(3,\) of the targets, got \(3, 2\)"):
        training.Regression().loss(lucid.zeros(3, 2), lucid.zeros(3))
    x, y = numbers(40)
    with pytest.raises(ValueError, match="test targets must be finite"):
        training.Trainer(network(1), RECIPE, train=(x, y), test=(x, y * np.nan), task=training.Regression())


# Processes ------------------------------------------------------------------------------------------------------------

PROGRAM = """
import json
import numpy as np
from lucid import distributed as dist, nn, training
import lucid

dist.init_process_group()
lucid.manual_seed(0)
x = np.random.default_rng(0).normal(size=(61, 5)).astype(np.float32)
recipe = training.Recipe(epochs=2, batch_size=20, lr=1e-2, warmup_epochs=0)
one = training.Trainer(
    nn.Linear(5, 2), recipe, train=(x, x[:, :2] > 0), test=(x, x[:, :2] > 0), task=training.MultiLabel(["a", "b"])
)
one.fit(progress=False)
if dist.is_main():
    print("RESULTS", json.dumps(one.evaluation.metrics))
"""


@needs_launcher
def test_processes_evaluate_together():
    found = []
    for count in (1, 2):
        [(code, output, errors)] = launch(count, [sys.executable, "-W", "error", "-c", PROGRAM])
        assert code == 0, errors
        found.append(json.loads(output.partition("RESULTS")[2].splitlines()[0]))
    assert found[0].keys() == found[1].keys()
    np.testing.assert_allclose(list(found[0].values()), list(found[1].values()), atol=1e-4)


def test_rows_of_all_processes_are_gathered(monkeypatch):
    monkeypatch.setattr(tasks.dist, "get_world_size", lambda: 2)
    monkeypatch.setattr(tasks.dist, "all_gather", lambda one: [one, one - 1] if one.ndim == 1 else [one, one])
    rows = np.arange(6, dtype=np.float32).reshape(3, 2)
    np.testing.assert_array_equal(tasks._gathered(rows), np.concatenate([rows, rows[:2]]))
