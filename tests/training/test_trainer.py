"""``Trainer`` with any model, loss and data: what it learns, what it reports, how it ends."""

import csv
import json
import signal
import sys
import threading
from types import SimpleNamespace

import numpy as np
import pytest

import lucid
from lucid import data, evaluation, metrics, models, nn, training
from lucid.data import augment
from lucid.serialization import load_with_metadata
from lucid.training import mistakes
from lucid.training.batches import to_size
from lucid.training.metric_values import preserved
from tests.distributed.launching import launch, needs_launcher

RECIPE = training.Recipe(epochs=3, batch_size=25, lr=1e-2, weight_decay=0.0, label_smoothing=0.0, warmup_epochs=1)


def points(count=100, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    weight = np.random.default_rng(9).normal(size=(5, classes))
    x = rng.normal(size=(count, 5))
    return x, (x @ weight).argmax(axis=1)


def network(outputs=3):
    lucid.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 32), nn.GELU(), nn.Linear(32, outputs))


def needs_extras():
    pytest.importorskip("matplotlib", reason="curves are drawn with matplotlib")


def rows_of(folder):
    with (folder / "history.csv").open(newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


# Any model, loss and data ---------------------------------------------------------------------------------------------


def test_a_plain_model_learns_arrays():
    recipe = training.Recipe(epochs=20, batch_size=25, lr=2e-2, ema=0.9)
    one = training.Trainer(network(), recipe, train=points(200), test=points(100, seed=1))
    one.fit(progress=False)
    evaluation = one.evaluate()
    assert evaluation.accuracy > 0.9 and len(one.history) == 20
    assert evaluation.accuracy == pytest.approx(one.history[-1]["test_accuracy"], abs=1e-6)
    assert evaluation.confusion.sum() == 100 and one.classes == ["0", "1", "2"]
    columns = ["epoch", "lr", "train_loss", "train_accuracy", "test_loss", "test_accuracy"]
    assert list(one.history[-1]) == [*columns, "samples_per_second", "waiting", "seconds"]


def test_a_regression_reports_custom_losses_and_metrics(tmp_path):
    needs_extras()

    class MeanError(metrics.MeanMetric):
        def update(self, outputs, targets):
            super().update((outputs - targets).abs().mean(), len(targets))

    x = np.random.default_rng(0).normal(size=(120, 5)).astype(np.float32)
    y = x @ np.float32([[1], [-2], [3], [0], [1]])
    one = training.Trainer(
        network(1), training.Recipe(epochs=8, batch_size=20, lr=2e-2), train=(x, y), test=(x[:50], y[:50]),
        loss=nn.MSELoss(), metrics={"mean_error": MeanError()}, folder=tmp_path, split="val",
    )  # fmt: skip
    one.fit(progress=False)
    rows = rows_of(tmp_path)
    assert [name for name in rows[0] if "_" in name][:4] == [
        "train_loss", "train_mean_error", "val_loss", "val_mean_error",
    ]  # fmt: skip
    assert rows[-1]["val_loss"] < 0.1 * rows[0]["val_loss"]
    with lucid.no_grad():
        difference = one.model(lucid.tensor(x[:50])).numpy() - y[:50]
    evaluation = one.evaluate()
    assert evaluation.loss == pytest.approx((difference**2).mean(), rel=1e-4)
    assert evaluation.metrics == {"mean_error": pytest.approx(abs(difference).mean(), rel=1e-4)}
    assert evaluation.confusion is None and evaluation.mistakes == []
    with pytest.raises(AttributeError, match="Evaluation: accuracy is only available for classifiers"):
        _ = evaluation.accuracy
    # The lowest loss is best, and the report has neither a confusion matrix nor images.
    best = min(rows, key=lambda row: row["val_loss"])
    assert one.checkpoints.manager.best().metrics == {"loss": best["val_loss"]}
    text = (tmp_path / "report.html").read_text()
    assert f"<dt>best val loss</dt><dd>{best['val_loss']:.4g}" in text and ">mean error " in text
    assert "confusion" not in text.partition("</style>")[2] and "data:image" not in text


# Labels out of range --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compile", [False, True])
@pytest.mark.parametrize("kind", [np.asarray, lucid.tensor])
def test_labels_out_of_range_are_rejected_before_the_first_step(kind, compile, on_cpu):
    x, y = points(50)
    model = network()
    before = [p.detach().numpy().copy() for p in model.parameters()]
    one = training.Trainer(model, RECIPE, train=(kind(x.astype(np.float32)), kind(y + 1)), compile=compile)
    with pytest.raises(IndexError, match="Trainer: train label 3 is out of range for 3 classes, .*at 1, subtract 1"):
        one.fit(progress=False)
    for parameter, value in zip(model.parameters(), before, strict=True):
        np.testing.assert_array_equal(parameter.detach().numpy(), value)
    # The names of the classes tell their number right away. All labels are looked at, not those of the first batch.
    for name in ("train", "test"):
        sources = {"train": (x, y), "test": (x, y), name: (x, np.where(np.arange(50) == 49, -1, y))}
        with pytest.raises(IndexError, match=f"Trainer: {name} label -1 is out of range for 3 classes"):
            training.Trainer(network(), RECIPE, classes=["a", "b", "c"], **sources)


def test_ignored_labels_and_custom_losses_are_left_alone():
    x, y = points(50)
    y[::5] = -100
    training.Trainer(network(), RECIPE, train=(x, y), classes=["a", "b", "c"]).fit(progress=False)

    def loss(outputs, targets):
        return nn.functional.cross_entropy(outputs, targets % 3)

    training.Trainer(network(), RECIPE, train=(x, y + 300), loss=loss).fit(progress=False)


def test_labels_that_a_transform_changes_are_checked_by_the_loss(on_cpu):
    x, y = points(50)
    options = {"train": (x, y + 1), "compile": False}
    training.Trainer(network(), RECIPE, transform=lambda x, y: (x, y - 1), **options).fit(progress=False)
    with pytest.raises(IndexError, match="cross_entropy: target 3 is out of range for 3 classes"):
        training.Trainer(network(), RECIPE, transform=lambda x, y: (x, y), **options).fit(progress=False)


def test_a_custom_loader(tmp_path):
    x, y = points(60)

    class Loader:
        def __init__(self):
            self.epochs = []

        def __len__(self):
            return 3

        def set_epoch(self, epoch):
            self.epochs.append(epoch)

        def __iter__(self):
            order = np.random.default_rng(self.epochs[-1]).permutation(60)
            yield from ((x[part], y[part]) for part in np.split(order, [30, 50]))  # of 30, 20 and 10

    loader = Loader()
    one = training.Trainer(network(), RECIPE, train=loader, test=[(x, y)])
    one.fit(progress=False)
    assert loader.epochs == [0, 1, 2] and one.history[-1]["train_loss"] < one.history[0]["train_loss"]
    assert not one.can_save_within_epochs and one.evaluate().confusion.sum() == 60


def test_a_convnext_on_a_dataset(tmp_path):
    needs_extras()

    class Squares(data.Dataset):
        """Bright squares at the top or at the bottom."""

        classes = ("top", "bottom")

        def __len__(self):
            return 40

        def __getitem__(self, index):
            image = np.random.default_rng(index).integers(0, 100, (3, 16, 16)).astype(np.uint8)
            image[:, 8 * (index % 2) :][:, :8, 4:12] += 120
            return image, index % 2

    lucid.manual_seed(0)
    model = models.ConvNeXt(2, (1, 1), (8, 16), patch_size=2, layer_scale_init=1.0)
    recipe = training.Recipe(epochs=4, batch_size=8, lr=4e-3, erasing=0.1, ema=0.8)
    one = training.Trainer(
        model, recipe, train=Squares(), test=Squares(), folder=tmp_path / "run",
        transform=training.augmentation(recipe, [0.5] * 3, [0.25] * 3, 2),
        test_transform=augment.Normalize([0.5] * 3, [0.25] * 3), unit="images",
    )  # fmt: skip
    one.fit(progress=False)
    assert one.classes == ["top", "bottom"] and one.evaluate().accuracy > 0.9
    metadata = load_with_metadata(tmp_path / "run" / "best.safetensors")[1]
    assert json.loads(metadata["classes"]) == ["top", "bottom"] and metadata["model"] == "ConvNeXt"
    assert json.loads(metadata["settings"])["epochs"] == 4
    found = models.from_checkpoint(tmp_path / "run")
    assert found.class_names == ["top", "bottom"] and found.patch_size == 2


def image_trainer(folder=None, **settings):
    lucid.manual_seed(0)
    model = models.ConvNeXt(3, (1, 1), (8, 16), in_chans=1, patch_size=2)
    recipe = training.Recipe(epochs=4, batch_size=20, warmup_epochs=0, **settings)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 1, 12, 12)).astype(np.float32), rng.integers(0, 3, 60)
    return training.Trainer(model, recipe, train=(x, y), test=(x[:30], y[:30]), folder=folder, compile=False)


def test_image_sizes_share_the_epochs():
    one, seen = image_trainer(image_sizes=(4, 8, 12)), []
    forward = type(one.model).forward

    class Watching(type(one.model)):
        def forward(self, x):
            seen.append((self.training, x.shape[2:]))
            return forward(self, x)

    one.model.__class__ = Watching
    one.fit(progress=False)
    assert [size for training, size in seen if training] == [(4, 4)] * 6 + [(8, 8)] * 3 + [(12, 12)] * 3
    assert {size for training, size in seen if not training} == {(12, 12)}


def test_smaller_images_are_parts_of_the_images_if_asked_for():
    numbers = np.arange(60 * 12 * 12, dtype=np.float32).reshape(60, 1, 12, 12)  # no two pixels are equal
    model, seen = nn.Sequential(nn.Flatten(), nn.Linear(64, 3)), []
    recipe = training.Recipe(epochs=1, batch_size=20, warmup_epochs=0, image_sizes=(8,), shrink="crop", flip=False)
    one = training.Trainer(model, recipe, train=(numbers, np.zeros(60, int)), compile=False)
    model.register_forward_pre_hook(lambda _, inputs: seen.extend(inputs[0].numpy()))
    one.fit(progress=False)
    tops, lefts = set(), set()
    for (part,) in seen:
        number, pixel = divmod(int(part[0, 0]), 144)
        top, left = divmod(pixel, 12)
        np.testing.assert_array_equal(part, numbers[number, 0, top : top + 8, left : left + 8])
        tops.add(top)
        lefts.add(left)
    assert len(seen) == 60 and tops == lefts == set(range(5))


def test_images_are_resized_to_a_size_above_their_own():
    found = to_size(lucid.ones(2, 1, 6, 6), 9, crop=True)
    assert lucid.equal(found, lucid.ones(2, 1, 9, 9))


def test_a_run_with_muon_and_image_sizes_resumes_bit_for_bit(tmp_path):
    needs_extras()
    settings = {"optimizer": "muon", "image_sizes": (8, 12), "shrink": "crop", "test_flip": True, "ema": 0.9}
    whole = image_trainer(tmp_path / "whole", **settings)
    whole.fit(progress=False)
    for epochs_before in (1, 2):
        folder = tmp_path / str(epochs_before)
        stopped = image_trainer(folder, **settings)
        stopped.is_finished = lambda one=stopped, n=epochs_before: len(one.history) == n
        stopped.fit(progress=False)
        resumed = image_trainer(folder, **settings)
        resumed.fit(resume="auto", progress=False)
        for name, value in whole.model.state_dict().items():
            assert lucid.equal(value, resumed.model.state_dict()[name])
        results = [name for name in whole.history[0] if name.partition("_")[0] in ("train", "test")]
        for row, other in zip(whole.history, resumed.history, strict=True):
            assert [row[name] for name in results] == [other[name] for name in results]


def test_an_evaluation_may_average_over_mirror_images():
    one = image_trainer(test_flip=True)
    x, y = (tensor[:30] for tensor in (one.train_loader.dataset.inputs, one.train_loader.dataset.targets))
    with lucid.no_grad():
        logits = (one.model.eval()(x) + one.model(x.flip(-1))) / 2
    found = one.evaluate()
    assert found.loss == pytest.approx(nn.functional.cross_entropy(logits, y).item(), rel=1e-5)
    assert found.accuracy == pytest.approx((logits.argmax(1) == y).float().mean().item())


@pytest.mark.parametrize("views", ["flip", "shift", "five_crop"])
def test_an_evaluation_may_average_over_views(views):
    one = image_trainer(tta=views)
    x, y = (tensor[:30] for tensor in (one.train_loader.dataset.inputs, one.train_loader.dataset.targets))
    with lucid.no_grad():
        logits = evaluation.ViewAverage(one.model.eval(), views)(x)
    assert one.evaluate().loss == pytest.approx(nn.functional.cross_entropy(logits, y).item(), rel=1e-5)
    if views == "flip":
        assert image_trainer(test_flip=True).evaluate().loss == one.evaluate().loss


def test_the_views_are_set_up_once(monkeypatch):
    one, made = image_trainer(tta="flip"), []
    before = evaluation.ViewAverage.__init__
    monkeypatch.setattr(evaluation.ViewAverage, "__init__", lambda *args: (made.append(1), before(*args))[1])
    results = [one.evaluate().loss for _ in range(2)]
    assert len(one.test_loader) > 1 and not made and results[0] == results[1]


def test_a_run_from_before_the_views_resumes(tmp_path, monkeypatch):
    """Its recipe has ``test_flip`` but no ``tta``."""
    needs_extras()
    stopped = image_trainer(tmp_path, test_flip=True)
    asdict = training.resume.dataclasses.asdict
    with monkeypatch.context() as patched:
        patched.setattr(
            training.resume.dataclasses, "asdict", lambda one: {k: v for k, v in asdict(one).items() if k != "tta"}
        )
        stopped.is_finished = lambda: len(stopped.history) == 2
        stopped.fit(progress=False)
    assert "tta" not in training.resume.Checkpoints(tmp_path / "checkpoints", 10, best="accuracy", mode="max").recipe()
    resumed = image_trainer(tmp_path, test_flip=True)
    resumed.fit(resume="auto", progress=False)
    assert len(resumed.history) == 4


def test_mistakes_are_shown_where_inputs_are_images(tmp_path):
    needs_extras()
    rng = np.random.default_rng(0)
    images = rng.normal(size=(30, 1, 6, 6))
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, 2))
    one = training.Trainer(model, RECIPE, train=(images, np.arange(30) % 2), test=(images, np.arange(30) % 2),
                           folder=tmp_path)  # fmt: skip
    one.fit(progress=False)
    count = len(json.loads((tmp_path / "best.json").read_text())["mistakes"])
    shown = (tmp_path / "report.html").read_text().count("data:image/png")
    assert count > 0 and shown == count + min(8, RECIPE.batch_size)  # and training images


def test_no_test_data_and_no_folder():
    one = training.Trainer(network(), RECIPE, train=points())
    one.fit(progress=False)
    assert one.monitor == ("train_accuracy", "max") and one.evaluation is None
    with pytest.raises(ValueError, match=r"Trainer\.evaluate: the trainer has no test data; pass test="):
        one.evaluate()


def test_named_classes_make_a_classifier_of_any_loss():
    one = training.Trainer(
        network(), RECIPE, train=points(), test=points(30), loss=nn.CrossEntropyLoss(label_smoothing=0.3),
        classes=["a", "b", "c"],
    )  # fmt: skip
    one.fit(progress=False)
    assert one.monitor == ("test_accuracy", "max") and one.evaluate().confusion.shape == (3, 3)


def test_each_pixel_may_have_a_class():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 1, 4, 4))
    model = nn.Conv2d(1, 2, 3, padding=1)
    one = training.Trainer(model, RECIPE, train=(x, (x[:, 0] > 0).astype(int)), test=(x, (x[:, 0] > 0).astype(int)))
    one.fit(progress=False)
    assert one.evaluate().confusion.sum() == 50 * 16 and one.evaluate().mistakes == []


def test_a_compiled_step_trains_the_same():
    ends = []
    for compile in (False, True):
        one = training.Trainer(network(), training.Recipe(epochs=2, batch_size=20, ema=0.9), train=points(),
                               compile=compile)  # fmt: skip
        one.fit(progress=False)
        ends.append(one.model.state_dict())
    for name, tensor in ends[0].items():
        np.testing.assert_allclose(ends[1][name].numpy(), tensor.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("backend", "compiled"), [("cpu", False), ("metal", True), ("cuda", True)])
def test_the_step_is_compiled_by_default_on_a_gpu(monkeypatch, backend, compiled):
    monkeypatch.setattr(lucid.device, "type", property(lambda device: backend))
    trainer = training.Trainer(network(), training.Recipe(epochs=1, warmup_epochs=0, batch_size=50), train=points())
    assert trainer.is_compiled == compiled


def test_a_run_that_ends_early_stops_the_threads_of_its_loader(tmp_path):
    x, y = points()
    loader = data.DataLoader(list(zip(x, y, strict=True)), batch_size=50, num_workers=2)
    recipe = training.Recipe(epochs=9, warmup_epochs=0, batch_size=50, lr=0.0, patience=1)
    trainer = training.Trainer(network(), recipe, train=loader, test=(x, y))
    trainer.fit(progress=False)
    assert len(trainer.history) < 9 and trainer.batches is None
    assert [one.name for one in threading.enumerate() if "loader" in one.name] == []


def test_a_failed_evaluation_leaves_the_metrics_of_training():
    mean = metrics.MeanMetric()
    mean.update(lucid.tensor(3.0), 1)

    def evaluation():
        with preserved({"mean": mean}):
            mean.update(lucid.tensor(5.0), 1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        evaluation()
    assert mean.compute().item() == 3.0


def test_metrics_of_training_survive_an_evaluation():
    correct = metrics.Accuracy()
    one = training.Trainer(network(), RECIPE, train=points(), test=points(30), metrics={"correct": correct})
    inputs, targets = next(iter(one.train_loader))
    one.step(inputs, targets)
    before = correct.state_dict()["total"].item()
    one.evaluate()
    assert correct.state_dict()["total"].item() == before == 25


def test_training_may_run_in_a_thread(tmp_path):
    needs_extras()
    ends = []

    def fit():  # where no signal handlers can be installed
        one = training.Trainer(network(), RECIPE, train=points(), folder=tmp_path)
        one.fit(progress=False)
        ends.append(len(one.history))

    thread = threading.Thread(target=fit)
    thread.start()
    thread.join()
    assert ends == [3]


# What each of several processes runs.
PROGRAM = """
import sys
import numpy as np
import lucid
from lucid import distributed as dist, nn, training

dist.init_process_group()
lucid.manual_seed(0)
rng = np.random.default_rng(0)
x = rng.normal(size=(60, 5))
y = (x @ rng.normal(size=(5, 3))).argmax(axis=1)
model = nn.Sequential(nn.Linear(5, 16), nn.GELU(), nn.Linear(16, 3))
recipe = training.Recipe(epochs=3, batch_size=20, optimizer="sgd", lr=0.1)
trainer = training.Trainer(model, recipe, train=(x, y), test=(x[:31], y[:31]), folder=sys.argv[1])
trainer.fit(progress=False)
assert trainer.evaluate().confusion.sum() == 31
"""


@needs_launcher
def test_two_processes_train_a_plain_model_like_one(tmp_path):
    needs_extras()
    rows = []
    for count in (1, 2):
        folder = tmp_path / str(count)
        [(code, _, errors)] = launch(count, [sys.executable, "-W", "error", "-c", PROGRAM, str(folder)])
        assert code == 0, errors
        rows.append(rows_of(folder)[-1])
    for name in ("train_loss", "train_accuracy", "test_loss", "test_accuracy"):
        assert rows[0][name] == pytest.approx(rows[1][name], abs=1e-4)


# Mistakes -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"recipe": training.Recipe(mixup=0.2)}, ValueError, r"mixup needs transform=training.augmentation\(recipe"),
        ({"recipe": training.Recipe(augment="trivial")}, ValueError, "augment needs transform="),
        ({"recipe": training.Recipe(batch_size=101)}, ValueError, "batch_size must be at most 100"),
        ({"train": []}, ValueError, "the train loader has no batches"),
        ({"save_minutes": -1, "folder": "runs"}, ValueError, "save_minutes must be at least 0, got -1"),
        ({"test": 3}, TypeError, "test must be a tuple of arrays, a dataset with a length, or a loader"),
    ],
)
def test_unusable_arguments_are_explained(options, error, message):
    with pytest.raises(error, match=message):
        training.Trainer(network(), **{"recipe": RECIPE, "train": points(), **options})


def test_batches_that_accumulate_does_not_divide_are_rejected():
    recipe = training.Recipe(batch_size=21, accumulate=3)
    with pytest.raises(ValueError, match="Trainer: the batch size must be a multiple of accumulate, 3, got 20"):
        training.Trainer(network(), recipe, train=[points(20)]).fit(progress=False)


def test_resuming_needs_a_folder():
    with pytest.raises(ValueError, match="resume and overwrite need a folder"):
        training.Trainer(network(), RECIPE, train=points()).fit(resume="auto")


def test_a_diverging_loss_ends_training():
    recipe = training.Recipe(epochs=3, batch_size=25, lr=1e30, warmup_epochs=0, clip_norm=0.0)
    with pytest.raises(training.DivergedError, match="Loss became NaN or infinite in epoch 1; try a lower lr"):
        training.Trainer(network(), recipe, train=points()).fit(progress=False)


# Parts ----------------------------------------------------------------------------------------------------------------


def test_patience_ends_a_run_without_improvement():
    def finished(patience, *accuracies):
        recipe = training.Recipe(epochs=5, batch_size=25, patience=patience)
        one = training.Trainer(network(), recipe, train=points(), test=points(10))
        one.history = [{"epoch": n, "test_accuracy": value} for n, value in enumerate(accuracies, start=1)]
        return one.is_finished()

    assert [finished(0, *[0.5] * n) for n in (0, 4, 5)] == [False, False, True]
    assert not finished(2) and not finished(2, 0.5, 0.4) and finished(2, 0.5, 0.4, 0.5)
    assert not finished(2, 0.5, 0.4, 0.6, 0.5)


def test_an_evaluation_has_counts_and_the_most_confident_mistakes():
    class Fixed(nn.Module):
        """Logits that grow with the first pixel, for class 1."""

        def __init__(self):
            super().__init__()
            self.unused = nn.Linear(1, 1)

        def forward(self, x):
            first = x[:, 0, 0, 0]
            return lucid.stack([first * 0, first * 0.1, first * 0 - 1], dim=1)

    rng = np.random.default_rng(0)
    values = rng.integers(0, 256, (23, 1, 4, 4), dtype=np.uint8)
    images = augment.DeviceDataset(SimpleNamespace(data=values, targets=np.arange(23) % 3, max_value=255))
    loader = augment.DeviceLoader(images, batch_size=5)
    one = training.Trainer(
        Fixed(), RECIPE, train=loader, test=loader, classes=["a", "b", "c"], test_transform=lambda x: x.float() / 16
    )
    found = one.evaluate()
    first = images.images.numpy()[:, 0, 0, 0] / 16
    logits = np.stack([first * 0, first * 0.1, first * 0 - 1], axis=1)
    sure = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    truth, taken = images.labels.numpy(), logits.argmax(axis=1)
    assert found.loss == pytest.approx(-np.log(sure[np.arange(23), truth]).mean(), rel=1e-5)
    assert found.accuracy == pytest.approx((truth == taken).mean())
    assert all(found.confusion[i, j] == ((truth == i) & (taken == j)).sum() for i in range(3) for j in range(3))
    wrong = sorted(np.flatnonzero(truth != taken), key=lambda i: -sure[i].max())
    assert [row[0] for row in found.mistakes] == wrong
    for number, label, predicted, of_predicted, of_truth in found.mistakes:
        assert (label, predicted) == (truth[number], taken[number])
        assert (of_predicted, of_truth) == pytest.approx((sure[number].max(), sure[number, label]), rel=1e-5)


def test_the_number_of_mistakes_is_limited():
    rows = np.column_stack([np.arange(50), np.zeros((50, 2)), np.linspace(0.5, 1, 50), np.zeros(50)])
    found = mistakes.most_confident(rows)
    assert found[:, 0].tolist() == list(range(49, 49 - mistakes.MAX_MISTAKES, -1))


def test_data_of_lucid_are_what_the_loader_takes():
    pytest.importorskip("sklearn", reason="the digits come with scikit-learn")
    loader = augment.DeviceLoader(augment.DeviceDataset(data.Digits(train=False)), batch_size=100)
    assert [len(labels) for _, labels in loader] == [100, 100, 100, 55]


def test_a_signal_is_an_exit_code():
    assert training.Stopped(128 + signal.SIGTERM).code == 143 and issubclass(training.Stopped, SystemExit)
