"""A run with a plain model that is killed and resumed: it ends bit for bit as one that was not interrupted."""

import csv
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import lucid
from lucid import checkpoint, nn, training

pytest.importorskip("matplotlib", reason="curves are drawn with matplotlib")
pytest.importorskip("tqdm", reason="progress is shown with tqdm")

ROOT = Path(__file__).parents[2]
# What a user writes, with a signal to itself in the middle of step KILL_AT.
PROGRAM = """
import os, signal, sys
import numpy as np
import lucid
import lucid.nn.functional as F
from lucid import nn, training

folder, number, kill_at, kind = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
steps = 0

def loss(outputs, targets):
    global steps
    steps += lucid.is_grad_enabled()
    if steps == kill_at:
        os.kill(os.getpid(), number)
    return F.mse_loss(outputs, targets) if kind == "regression" else F.cross_entropy(outputs, targets)

rng = np.random.default_rng(0)
x = rng.normal(size=(100, 5))
y = x @ rng.normal(size=(5, 3))
if kind != "regression":
    y = y.argmax(axis=1)
lucid.manual_seed(0)
model = nn.Sequential(nn.Linear(5, 16), nn.BatchNorm1d(16), nn.GELU(), nn.Dropout(0.2), nn.Linear(16, 3))
recipe = training.Recipe(epochs=4, batch_size=20, lr=1e-2, ema=0.9, warmup_epochs=1, min_lr=1e-4, seed=5)

class Loader:
    "Batches in an order that depends on the epoch only; it cannot tell its position."
    def __len__(self):
        return 5
    def set_epoch(self, epoch):
        self.epoch = epoch
    def __iter__(self):
        order = np.random.default_rng(self.epoch).permutation(100)
        return iter([(x[part], y[part]) for part in np.split(order, 5)])

trainer = training.Trainer(
    model, recipe, train=Loader() if kind == "loader" else (x, y), test=(x[:40], y[:40]), folder=folder, loss=loss,
    classes=["a", "b", "c"] if kind != "regression" else (), save_minutes=0.0 if kind == "classifier" else 10.0,
)
trainer.fit(resume="auto", progress=False)
"""


def run(folder, kind, number=signal.SIGKILL, kill_at=0):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, str(folder), str(int(number)), str(kill_at), kind],
        capture_output=True, text=True, timeout=300, cwd=ROOT,
    )  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Folders of runs that were not interrupted."""
    folders = {}
    for kind in ("classifier", "regression", "loader"):
        folders[kind] = tmp_path_factory.mktemp(kind)
        done = run(folders[kind], kind)
        assert done.returncode == 0, done.stderr
    return folders


def history_of(folder):
    with (folder / "history.csv").open(newline="") as file:
        times = ("samples_per_second", "waiting", "seconds")
        return [{name: one for name, one in row.items() if name not in times} for row in csv.DictReader(file)]


def assert_same(folder, other):
    assert history_of(folder) == history_of(other)
    for name in ("best.safetensors", "last.safetensors"):
        assert (folder / name).read_bytes() == (other / name).read_bytes()


@pytest.mark.parametrize("kind", ["classifier", "regression", "loader"])
def test_killed_runs_end_as_if_they_had_not_been(whole, tmp_path, kind):
    """Steps are counted from the last start; without saving within epochs a kill in the first epoch starts again."""
    for kill_at in (8, 7, 1, 6):
        assert run(tmp_path, kind, kill_at=kill_at).returncode == -9
    newest = checkpoint.Manager(tmp_path / "checkpoints").latest()
    assert newest.step > 5 and (newest.step % 5 != 0) == (kind == "classifier")
    done = run(tmp_path, kind)
    assert done.returncode == 0, done.stderr
    assert_same(tmp_path, whole[kind])


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize(("kind", "step"), [("regression", 8), ("loader", 5)])
def test_a_signal_saves_and_ends_the_program(whole, tmp_path, number, code, kind, step):
    """A loader that cannot tell its position resumes from the end of the epoch before."""
    done = run(tmp_path, kind, number, kill_at=8)
    assert (done.returncode, done.stdout) == (code, "") and "Traceback" not in done.stderr
    assert checkpoint.Manager(tmp_path / "checkpoints").latest().step == step
    assert run(tmp_path, kind).returncode == 0
    assert_same(tmp_path, whole[kind])


def points():
    rng = np.random.default_rng(0)
    return rng.normal(size=(40, 5)), np.arange(40) % 2


def trainer(folder, **settings):
    recipe = training.Recipe(**{"epochs": 2, "batch_size": 20, **settings})
    return training.Trainer(nn.Linear(5, 2), recipe, train=points(), test=points(), folder=folder)


def test_an_unfinished_run_is_not_overwritten_by_mistake(tmp_path):
    trainer(tmp_path).fit(progress=False)
    shutil.rmtree(checkpoint.Manager(tmp_path / "checkpoints").latest().path)
    with pytest.raises(training.SettingError) as caught:
        trainer(tmp_path).fit()
    message = "already contains an unfinished run, stopped after 1 of 2 epochs; pass resume or overwrite"
    assert message in str(caught.value) and caught.value.names == ("resume", "overwrite")
    one = trainer(tmp_path, epochs=1)
    one.fit(overwrite=True, progress=False)
    assert len(one.history) == 1
    trainer(tmp_path).fit(progress=False)  # a finished one is
    assert len(history_of(tmp_path)) == 2


def test_another_recipe_is_refused(tmp_path):
    trainer(tmp_path).fit(progress=False)
    with pytest.raises(training.SettingError, match="epochs is 3, but the checkpoint was saved with 2"):
        trainer(tmp_path, epochs=3).fit(resume="auto")
    other = training.Trainer(nn.Linear(5, 3), trainer(tmp_path).recipe, train=points(), test=points(), folder=tmp_path)
    with pytest.raises(checkpoint.CheckpointError, match="does not fit"):
        other.fit(resume="auto")


@pytest.mark.parametrize("error", [KeyboardInterrupt, training.Stopped])
def test_an_interrupted_trainer_resumes_in_the_same_process(tmp_path, error):
    steps = []

    def loss(outputs, targets):
        steps.extend([1] * lucid.is_grad_enabled())  # 4 of an epoch
        if len(steps) == 6 and error is KeyboardInterrupt:
            raise error
        if len(steps) == 6:
            signal.raise_signal(signal.SIGTERM)
        return nn.functional.cross_entropy(outputs, targets)

    ends = []
    for name in ("whole", "interrupted"):
        lucid.manual_seed(0)
        steps[:] = [0] * 100 if name == "whole" else []
        recipe = training.Recipe(epochs=3, batch_size=10, warmup_epochs=0)
        one = training.Trainer(
            nn.Sequential(nn.Linear(5, 8), nn.Dropout(0.5), nn.Linear(8, 2)), recipe, train=points(), test=points(),
            loss=loss, classes=["a", "b"], folder=tmp_path / name,
        )  # fmt: skip
        if name == "interrupted":
            with pytest.raises(error):
                one.fit(progress=False)
            with pytest.raises(training.SettingError, match="unfinished run, stopped after 1 of 3 epochs"):
                one.fit(progress=False)
        one.fit(resume="auto", progress=False)
        ends.append((one.history[-1]["test_loss"], one.model[0].weight.tolist()))
    assert ends[0] == ends[1]


def test_resuming_from_a_named_checkpoint(tmp_path):
    trainer(tmp_path).fit(progress=False)
    first = checkpoint.Manager(tmp_path / "checkpoints").checkpoints()[0]
    one = trainer(tmp_path)
    one.prepare(resume=first.path)
    assert len(one.history) == 1 and not one.is_finished()
    one.fit(progress=False)
    assert len(one.history) == 2
    for path, message in ((tmp_path, "is not a checkpoint; a checkpoint is a folder such as"), ("gone", "gone")):
        with pytest.raises(ValueError, match=message):
            trainer(tmp_path).fit(resume=path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("recipe", []), ("recipe", {}), ("recipe", {"epochs": "many", "patience": 0}), ("history", {"a": 1}),
        ("history", [1]), ("history", [{"epoch": "1"}]), ("history", [{"epoch": 1}]), ("random", [[1, 2, 3]]),
        ("random", [[-1, 2]]), ("clock", {"steps": "1"}), ("clock", {"hands": 2}), ("clock", 3),
    ],
)  # fmt: skip
def test_a_checkpoint_made_by_hand_is_refused_before_anything_changes(tmp_path, name, value):
    one = trainer(tmp_path)
    one.clock.steps = 1
    one.checkpoints.save(one)
    notes = one.checkpoints.manager.restore(
        dict.fromkeys(("recipe", "history", "random", "clock")), strict=False
    ).values
    one.checkpoints.manager.save({**one.state(), **notes, name: value}, step=1)
    other = trainer(tmp_path)
    before = other.model.weight.tolist()
    with pytest.raises(checkpoint.CheckpointError, match="is not a checkpoint of a training run|has no test_accuracy"):
        other.prepare(resume="auto")
    assert other.model.weight.tolist() == before and other.history == []


def test_a_device_is_no_checkpoint(tmp_path):
    with pytest.raises(checkpoint.CheckpointError, match="/dev/zero is not a folder"):
        trainer(tmp_path).prepare(resume="/dev/zero")
