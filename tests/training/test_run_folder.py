"""The files of a run folder."""

import errno
import fcntl
import json
import os
import subprocess
import sys

import numpy as np
import pytest

import lucid
from lucid import nn, training
from lucid.training import run_folder
from lucid.training.recipe import SettingError
from lucid.training.run_folder import RunFolder
from tests.distributed.launching import launch

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
        nn.Linear(4, 2), training.Recipe(epochs=1, warmup_epochs=0, batch_size=20, label_smoothing=0.1),
        train=(np.zeros((20, 4), np.float32), np.zeros(20, np.int32)),
        test=(np.zeros((20, 4), np.float32), np.zeros(20, np.int32)),
    )  # fmt: skip
    assert run_folder._why_training_looks_worse(made).startswith(
        "The training loss and metrics are measured during the epoch, with label smoothing; those of the test set"
    )
    made.loss_function = nn.CrossEntropyLoss()
    made.ema = None
    assert run_folder._why_training_looks_worse(made) == ""  # the recipe's drop path is for models that have it
    made.model = nn.Sequential(nn.Linear(4, 2), nn.DropPath(0.1), nn.Dropout2d(0.5))
    assert "epoch, with drop path and with dropout; those" in run_folder._why_training_looks_worse(made)
    made.model = nn.Sequential(nn.Linear(4, 2), nn.DropPath(0.0), nn.Dropout(0.0))
    assert run_folder._why_training_looks_worse(made) == ""


CLAIM = """
import sys
from pathlib import Path
from lucid.training.run_folder import RunFolder
folder = RunFolder(Path(sys.argv[1]))
folder.claim()
print("claimed", flush=True)
sys.stdin.read()
"""


def test_one_run_at_a_time_uses_a_folder(tmp_path):
    """Also after the other one was killed."""
    command = [sys.executable, "-W", "error", "-c", CLAIM, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "claimed\n"
        for _ in range(2):
            with pytest.raises(
                SettingError, match=rf"{tmp_path} is in use by another run, process {other.pid} on .+; w"
            ):
                RunFolder(tmp_path).claim()
        other.kill()
    assert (tmp_path / ".lock").exists()  # nobody could remove it
    folder = RunFolder(tmp_path)
    folder.claim()
    folder.claim()  # has it already
    folder.close()
    assert not (tmp_path / ".lock").exists()


def trainer(folder, **options):
    x = np.arange(8, dtype=np.float32)[:, None]
    recipe = training.Recipe(epochs=1, batch_size=4, ema=0.0)
    return training.Trainer(nn.Linear(1, 2), recipe, train=(x, np.arange(8) % 2), folder=folder, **options)


def test_a_run_keeps_its_folder_until_it_ends(tmp_path):
    first = trainer(tmp_path)
    first.prepare()
    with pytest.raises(SettingError, match=f"is in use by another run, process {os.getpid()} on"):
        trainer(tmp_path).fit(progress=False, overwrite=True)
    first.fit(progress=False)
    trainer(tmp_path).fit(progress=False, overwrite=True)
    second = trainer(tmp_path)
    with pytest.raises(ValueError, match="nowhere"):
        second.prepare(resume="nowhere")
    trainer(tmp_path).fit(progress=False, resume="auto")  # the failed one let it go, and this one is finished
    trainer(tmp_path).prepare()


PROGRAM = """
import sys
import numpy as np
from lucid import distributed as dist, nn, training
dist.init_process_group()
x = np.arange(8, dtype=np.float32)[:, None]
recipe = training.Recipe(epochs=1, batch_size=4)
try:
    training.Trainer(nn.Linear(1, 2), recipe, train=(x, np.arange(8) % 2), folder=sys.argv[1]).fit(progress=False)
except ValueError as error:
    print(error)
"""


def test_all_processes_of_a_run_stop_if_its_folder_is_in_use(tmp_path):
    folder = RunFolder(tmp_path)
    folder.claim()
    done = launch(2, [sys.executable, "-W", "error", "-c", PROGRAM, str(tmp_path)])
    folder.close()
    output = "".join(out for _, out, _ in done)
    assert f"{tmp_path} is in use by another run, process {os.getpid()}" in output, done
    assert f"the first process cannot use {tmp_path}" in output
    assert sorted(tmp_path.iterdir()) == []


def test_a_lock_that_is_a_link_is_refused(tmp_path):
    (tmp_path / "precious").write_text("precious")
    (tmp_path / ".lock").symlink_to(tmp_path / "precious")
    with pytest.raises(OSError, match=r"\.lock is a link"):
        RunFolder(tmp_path).claim()
    assert (tmp_path / "precious").read_text() == "precious"


def test_a_file_system_without_locks_keeps_nobody_out(tmp_path, monkeypatch):
    def no_locks(*arguments):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    for folder in (RunFolder(tmp_path), RunFolder(tmp_path)):
        folder.claim()
        folder.close()


def test_the_report_shows_no_password_of_the_command(tmp_path):
    command = ["lucid", "train", "--mirror", "https://me:geheim@host/x?token=geheim"]
    trainer(RunFolder(tmp_path, command=command)).fit(progress=False)
    text = (tmp_path / "report.html").read_text("utf-8")
    assert "--mirror" in text and "https://host/x" in text and "geheim" not in text
