"""The files of a run folder."""

import json

import numpy as np
import pytest

import lucid
from lucid import nn, training
from lucid.training import run_folder

pytest.importorskip("matplotlib", reason="curves are drawn with matplotlib")


@pytest.mark.filterwarnings("error")
def test_a_title_in_letters_that_the_font_lacks_causes_no_warning(tmp_path):
    row = {"epoch": 1, "train_loss": 1.0, "train_accuracy": 0.5, "val_loss": 1.0, "val_accuracy": 0.5}
    run_folder.write_curves(tmp_path / "curves.png", [row], "日本", "val")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_the_best_row_is_the_first_of_the_best():
    history = [{"epoch": n, "test_loss": loss} for n, loss in enumerate([3, 1, 2, 1], start=1)]
    assert run_folder.best_row(history, "test_loss", "min")["epoch"] == 2
    assert run_folder.best_row(history, "test_loss", "max")["epoch"] == 1


def fitted(folder, epochs=4, resume=None):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 4)).astype(np.float32)
    y = (x[:, 0] > 0).astype(np.int32)
    lucid.manual_seed(0)
    recipe = training.Recipe(epochs=epochs, warmup_epochs=0, batch_size=20, lr=0.5, ema=0.0)
    made = training.Trainer(
        nn.Linear(4, 2), recipe, train=(x[:40], y[:40]), test=(x[40:], y[40:]), folder=folder, classes=["no", "yes"]
    )
    made.fit(progress=False, resume=resume)
    return made


def test_the_report_shows_the_classes_of_the_best_epoch(tmp_path):
    made = fitted(tmp_path)
    column, mode = made.monitor
    best = run_folder.best_row(made.history, column, mode)
    saved = json.loads((tmp_path / "best.json").read_text())
    confusion = np.array(saved["confusion"])
    assert saved["epoch"] == best["epoch"] and confusion.sum() == 20
    assert confusion.trace() / 20 == pytest.approx(best[column])
    text = (tmp_path / "report.html").read_text()
    assert f"those of epoch {best['epoch']}, the best one, whose weights are in best.safetensors" in text
    assert f"{confusion.trace()} of 20 test samples are right." in text
    assert "samples of each class" in text and "label smoothing" in text


def test_a_resumed_run_still_shows_the_best_epoch(tmp_path, monkeypatch):
    """The evaluation of the best epoch is in best.json; where an older run has none, the last one is shown."""
    made = fitted(tmp_path)
    best = run_folder.best_row(made.history, *made.monitor)["epoch"]
    folder = run_folder.RunFolder(tmp_path)
    folder._write_report(made, "again", best)
    text = (tmp_path / "report.html").read_text()
    assert f"those of epoch {best}, the best one" in text
    for content in ('{"epoch": 99}', "no JSON", None):
        (tmp_path / "best.json").unlink(missing_ok=True)
        if content is not None:
            (tmp_path / "best.json").write_text(content)
        run_folder.RunFolder(tmp_path)._write_report(made, "again", best)
        assert "those of epoch 4, the last one" in (tmp_path / "report.html").read_text()


def test_the_report_says_why_training_looks_worse():
    made = training.Trainer(
        nn.Linear(4, 2), training.Recipe(epochs=1, warmup_epochs=0, batch_size=20, label_smoothing=0.1, drop_path=0.0),
        train=(np.zeros((20, 4), np.float32), np.zeros(20, np.int32)),
        test=(np.zeros((20, 4), np.float32), np.zeros(20, np.int32)),
    )  # fmt: skip
    assert run_folder._why_training_looks_worse(made).startswith(
        "The training loss and metrics are measured during the epoch, with label smoothing; those of the test set"
    )
    made.loss_function = nn.CrossEntropyLoss()
    made.ema = None
    assert run_folder._why_training_looks_worse(made) == ""
