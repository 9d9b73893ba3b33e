"""Several labels for a sample, and numbers: losses, metrics, which epoch is best, the report, wrong targets."""

import json
import sys

import numpy as np
import pytest

import lucid
import lucid.nn.functional as F
from lucid import data, nn, training
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
        (np.full((40, 4), 2), "train targets must be 0 or 1, or between them, got 2"),
        (np.full((40, 4), np.nan), "train targets must be 0 or 1, or between them, got nan"),
        (np.full((40, 4), None), "train targets must be 0 or 1, or between them, got nan"),
        (np.full((40, 4), "yes"), "train targets must be numbers, got strings such as 'yes'"),
        (np.full((40, 4), 1j), "train targets must be numbers, got the dtype complex128"),
    ],
)
def test_wrong_labels_are_refused(targets, message):
    with pytest.raises((ValueError, TypeError), match=f"MultiLabel: {message}"):
        training.Trainer(network(4), RECIPE, train=(labelled(40)[0], targets), task=training.MultiLabel(LABELS))


class Samples(data.Dataset):
    """A dataset that does not tell its targets."""

    def __init__(self, x, y):
        self.x, self.y = x, y

    def __len__(self):
        return len(self.x)

    def __getitem__(self, number):
        return self.x[number], self.y[number]


@pytest.mark.parametrize("kind", ["dataset", "tensors", "subset"])
@pytest.mark.parametrize("part", ["train", "test"])
@pytest.mark.parametrize("value", [np.nan, 2.0])
def test_a_wrong_target_of_a_dataset_is_named(kind, part, value):
    """It used to be trained on, or reported as a loss that a lower learning rate makes finite."""
    x, right = labelled(40)
    wrong = right.astype(np.float32)
    wrong[33, 2] = value

    def source(y):
        dataset = Samples(x, y) if kind == "dataset" else data.TensorDataset(x, y.astype(np.float32))
        return data.Subset(dataset, range(40)) if kind == "subset" else dataset

    sources = {"train": source(right), "test": source(right), part: source(wrong)}
    with pytest.raises(ValueError, match=f"MultiLabel: {part} targets must be 0 or 1, or between them, got {value:g}"):
        training.Trainer(network(4), RECIPE, **sources, task=training.MultiLabel(LABELS)).fit(progress=False)
    numbers = Samples(x, np.where(np.arange(40) == 7, np.inf, x[:, 0]).astype(np.float32))
    with pytest.raises(ValueError, match="Regression: train targets must be finite, got inf"):
        training.Trainer(network(1), RECIPE, train=numbers, task=training.Regression()).fit(progress=False)


def test_an_evaluation_needs_samples():
    x, y = numbers(40)
    one = training.Trainer(network(1), RECIPE, train=(x, y), test=(x[:0], y[:0]), task=training.Regression())
    with pytest.raises(ValueError, match="Regression: expected at least one test sample, got none"):
        one.evaluate()


def test_targets_that_a_transform_makes_are_not_checked():
    x, y = labelled(40)
    task = training.MultiLabel(LABELS)
    one = training.Trainer(
        network(4), RECIPE, train=(x, 10 * y), test=(x, y), task=task, transform=lambda x, y: (x, y / 10)
    )
    other = training.Trainer(network(4), RECIPE, train=(x, y), test=(x, y), task=task)
    for trainer in (one, other):
        trainer.fit(progress=False)
    assert one.history[-1]["train_loss"] == pytest.approx(other.history[-1]["train_loss"], rel=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: training.MultiLabel("abc"), "MultiLabel: classes must be a list of names, got 'abc'"),
        (lambda: training.MultiLabel(3), "MultiLabel: classes must be a list of names, got 3"),
        (lambda: training.MultiLabel(["a", "b", "a"]), "MultiLabel: classes must differ, got 'a' twice"),
        (lambda: training.MultiLabel(["a"], pos_weight=2.0), "got 1 labels but pos_weight 2.0"),
        (lambda: training.MultiLabel(["a"], pos_weight=["2"]), r"got 1 labels but pos_weight \['2'\]"),
        (lambda: training.MultiLabel(["a"], pos_weight=[0]), r"pos_weight must be above 0 and finite, got \[0\]"),
        (lambda: training.MultiLabel(["a"], pos_weight=[np.nan]), r"must be above 0 and finite, got \[nan\]"),
        (lambda: training.Regression(names="age"), "Regression: names must be a list of names, got 'age'"),
        (
            lambda: training.Trainer(network(1), RECIPE, train=numbers(40), task=training.Regression(names=["a", "b"])),
            "Regression: got 2 names for 1 train targets of each sample",
        ),
        (
            lambda: training.Trainer(network(1), RECIPE, train=numbers(40), task="regression"),
            "task must be a Task such",
        ),
        (
            lambda: training.Trainer(network(2), RECIPE, train=(numbers(40)[0], np.array(["cat", "dog"] * 20))),
            r"must be numbers, got strings such as 'cat'; np.unique\(labels, return_inverse=True\) numbers them",
        ),
    ],
)
def test_wrong_tasks_are_explained(make, message):
    with pytest.raises((ValueError, TypeError), match=message):
        make()


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
