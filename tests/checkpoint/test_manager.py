"""Manager: retention, damage, full disks, concurrent writers, and invalid arguments."""

import errno
import os
import shutil
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import pytest

import lucid
from lucid import nn
from lucid.checkpoint import CheckpointError, DamagedError, Manager
from lucid.checkpoint import manager as manager_module

ROOT = Path(__file__).parents[2]


def names(folder):
    return sorted(path.name for path in folder.iterdir() if path.name != ".lock")


def save(manager, *steps, **metrics):
    for step in steps:
        manager.save({"n": step}, step=step, metrics=metrics)


def restored(manager):
    return manager.restore({"n": None}).values["n"]


def test_an_empty_or_missing_folder_restores_nothing(tmp_path):
    manager = Manager(tmp_path / "a" / "b")
    model = nn.Linear(2, 2)
    before = model.weight.tolist()
    assert manager.restore({"model": model}) is None and model.weight.tolist() == before
    assert manager.latest() is None and manager.checkpoints() == []
    assert not manager.folder.exists()
    manager.folder.mkdir(parents=True)
    assert manager.restore({"model": model}) is None


def test_round_trip(tmp_path):
    manager = Manager(tmp_path / "runs" / "first")
    model = nn.Linear(2, 2)
    path = manager.save({"model": model, "n": [1, (2,)]}, step=12, epoch=3, metrics={"loss": lucid.tensor(0.5)})
    assert path == tmp_path / "runs" / "first" / "step-00000012"
    other = nn.Linear(2, 2)
    found = manager.restore({"model": other, "n": None})
    assert other.weight.tolist() == model.weight.tolist()
    assert (found.path, found.step, found.epoch, found.metrics) == (path, 12, 3, {"loss": 0.5})
    assert found.values == {"n": [1, (2,)]}
    assert lucid.load(path / "model.safetensors").keys() == {"weight", "bias"}


def test_the_newest_and_the_best_are_kept(tmp_path):
    manager = Manager(tmp_path, keep=2, best="accuracy")
    for step, accuracy in enumerate([0.1, 0.7, 0.3, 0.7, float("nan"), 0.2], start=1):
        save(manager, step, accuracy=accuracy)
    assert names(tmp_path) == ["step-00000002", "step-00000005", "step-00000006"]
    assert manager.best().step == 2 and manager.latest().step == 6
    assert manager.restore({"n": None}, manager.best()).values == {"n": 2}
    manager.save({"n": 7}, step=7)  # in the middle of an epoch: no metrics
    assert names(tmp_path) == ["step-00000002", "step-00000006", "step-00000007"]
    save(Manager(tmp_path, keep=1, best="loss", mode="min"), 8, loss=3.0)
    assert names(tmp_path) == ["step-00000008"]
    assert Manager(tmp_path, best="other").best() is None
    assert Manager(tmp_path, best="loss", mode="min").best().step == 8


def test_keep_none_keeps_all(tmp_path):
    save(Manager(tmp_path, keep=None), *range(5))
    assert [one.step for one in Manager(tmp_path).checkpoints()] == [0, 1, 2, 3, 4]


def test_a_step_can_be_saved_again(tmp_path):
    manager = Manager(tmp_path, keep=2)
    save(manager, 1, 2)
    for value in ("a", "b", "c"):
        manager.save({"n": value}, step=2)
        assert restored(manager) == value
    assert names(tmp_path) == ["step-00000001", "step-00000002.4"]
    manager.save({"n": "large"}, step=123456789012)
    assert restored(manager) == "large"


def damage(path, how):
    file = path / "state.json"
    if how == "cut off":
        file.write_bytes(file.read_bytes()[:-1])
    elif how == "changed":
        file.write_bytes(file.read_bytes().replace(b"n", b"m"))
    elif how == "file missing":
        file.unlink()
    elif how == "manifest missing":
        (path / "manifest.json").unlink()
    elif how == "empty":
        shutil.rmtree(path)
        path.mkdir()


@pytest.mark.parametrize("how", ["cut off", "changed", "file missing", "manifest missing", "empty"])
def test_the_previous_checkpoint_replaces_a_damaged_one(tmp_path, how):
    manager = Manager(tmp_path, keep=3)
    save(manager, 1, 2, 3)
    damage(tmp_path / "step-00000003", how)
    with pytest.warns(
        UserWarning, match=r"step-00000003 is damaged \(.*\) and was renamed to damaged-.*; using step-00000002"
    ):
        assert restored(manager) == 2
    assert names(tmp_path) == ["damaged-step-00000003", "step-00000001", "step-00000002"]
    assert restored(manager) == 2  # and no second warning
    save(manager, 3, 4, 5)  # the run continues
    assert restored(manager) == 5
    damage(tmp_path / "step-00000005", how)
    damage(tmp_path / "step-00000004", how)
    with pytest.warns(UserWarning, match="damaged") as caught:
        assert restored(manager) == 3
    assert len(caught) == 2


def test_if_all_are_damaged_training_does_not_silently_start_over(tmp_path):
    manager = Manager(tmp_path)
    save(manager, 1, 2)
    for path in tmp_path.glob("step-*"):
        damage(path, "changed" if path.name.endswith("1") else "cut off")
        damage(path, "empty")
    with pytest.raises(
        CheckpointError, match="(?s)all checkpoints in .* are damaged.*00002: manifest.*00001: manifest"
    ):
        restored(manager)
    assert names(tmp_path) == ["step-00000001", "step-00000002"]


def test_a_requested_checkpoint_that_is_damaged_is_refused(tmp_path):
    manager = Manager(tmp_path, best="a")
    save(manager, 1, a=2)
    save(manager, 2, a=1)
    damage(tmp_path / "step-00000001", "cut off")
    with pytest.raises(DamagedError, match=r"step-00000001 is damaged: state.json has \d+ bytes"):
        manager.restore({"n": None}, manager.best())
    assert manager.restore({"n": None}, tmp_path / "step-00000002").values == {"n": 2}


def test_a_missing_checkpoint_is_not_reported_as_damaged(tmp_path):
    save(Manager(tmp_path), 1, 2)
    for path in ("step-00000001", tmp_path / "step-00000009", tmp_path / "step-00000001" / "state.json"):
        with pytest.raises(
            CheckpointError, match="(does not exist|is not a folder); .* holds step-00000001, step-00000002"
        ) as error:
            Manager(tmp_path).restore({"n": None}, path)
        assert not isinstance(error.value, DamagedError)
    with pytest.raises(CheckpointError, match="holds no checkpoints"):
        Manager(tmp_path / "other").restore({"n": None}, tmp_path / "step-00000009")


def test_a_checkpoint_removed_during_a_read_is_not_damage(tmp_path, monkeypatch):
    manager = Manager(tmp_path, keep=1)
    save(manager, 1)
    read, later = manager_module.read_folder, iter([2, 3])

    def slow(path):
        for step in later:
            save(manager, step)  # as a training process would that this one only observes
            break
        return read(path)

    monkeypatch.setattr(manager_module, "read_folder", slow)
    assert restored(Manager(tmp_path)) == 3
    assert names(tmp_path) == ["step-00000003"]


def test_a_read_only_folder_restores(tmp_path, monkeypatch):
    save(Manager(tmp_path), 1, 2)
    damage(tmp_path / "step-00000002", "cut off")

    def refuse(*args, **kwargs):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("lucid.checkpoint.manager.open", refuse, raising=False)  # the lock
    monkeypatch.setattr("os.rename", refuse)
    with pytest.warns(UserWarning, match="and could not be renamed: Permission denied; using step-00000001"):
        assert restored(Manager(tmp_path)) == 1


@pytest.mark.parametrize("call", range(1, 6))
def test_a_full_disk_changes_nothing(tmp_path, monkeypatch, call):
    manager = Manager(tmp_path, keep=1)
    state = {"a": lucid.zeros(5), "b": lucid.zeros(7), "n": 1}
    manager.save(state, step=1)
    before = {path: path.read_bytes() for path in (tmp_path / "step-00000001").iterdir()}
    count, fsync = 0, os.fsync

    def full(descriptor):
        nonlocal count
        count += 1
        if count == call:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    monkeypatch.setattr("os.fsync", full)
    message = "step 2 could not be saved in .*No space left on device.*; the newest checkpoint is step-00000001"
    with pytest.raises(OSError, match=message) as error:
        manager.save(state, step=2)
    assert error.value.errno == errno.ENOSPC
    monkeypatch.undo()
    assert names(tmp_path) == ["step-00000001"]
    assert {path: path.read_bytes() for path in (tmp_path / "step-00000001").iterdir()} == before
    manager.save(state, step=2)
    assert names(tmp_path) == ["step-00000002"]


def test_an_old_checkpoint_that_cannot_be_removed_only_warns(tmp_path, monkeypatch):
    manager = Manager(tmp_path, keep=1)
    save(manager, 1)

    def refuse(path):
        raise PermissionError(errno.EACCES, "Permission denied")

    remove = shutil.rmtree
    monkeypatch.setattr("shutil.rmtree", lambda path, ignore_errors=False: ignore_errors or refuse(path))
    with pytest.warns(UserWarning, match="step-00000001 could not be removed: Permission denied"):
        save(manager, 2)
    assert restored(manager) == 2
    monkeypatch.setattr("shutil.rmtree", remove)
    save(manager, 3)
    assert names(tmp_path) == ["step-00000003"]


def test_leftovers_of_a_killed_process_are_removed(tmp_path):
    manager = Manager(tmp_path)
    for leave in ("saving", "restoring"):
        (tmp_path / ".temporary-step-00000009").mkdir(parents=True)
        (tmp_path / ".temporary-step-00000009" / "model.safetensors").write_bytes(b"half")
        (tmp_path / "notes.txt").write_text("the user's")
        save(manager, 1) if leave == "saving" else restored(manager)
        assert not list(tmp_path.glob(".temporary*")) and (tmp_path / "notes.txt").exists()


def test_without_locks_leftovers_stay(tmp_path, monkeypatch):
    def refuse(*args):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    (tmp_path / ".temporary-step-00000001-1").mkdir()
    save(Manager(tmp_path), 1)
    assert restored(Manager(tmp_path)) == 1
    assert names(tmp_path) == [".temporary-step-00000001-1", "step-00000001"]


def test_several_writers_take_turns(tmp_path):
    program = (
        "import sys; from lucid.checkpoint import Manager\n"
        "for _ in range(3):\n"
        "    Manager(sys.argv[1], keep=None).save({'n': sys.argv[2]}, step=7)"
    )
    writers = [subprocess.Popen([sys.executable, "-c", program, tmp_path, name], cwd=ROOT) for name in "ab"]
    assert [writer.wait() for writer in writers] == [0, 0]
    manager = Manager(tmp_path)
    found = [manager.restore({"n": None}, one).values["n"] for one in manager.checkpoints()]
    assert sorted(found) == ["a"] * 3 + ["b"] * 3


def test_threads_of_one_process_take_turns(tmp_path):
    threads = [threading.Thread(target=lambda: save(Manager(tmp_path, keep=None), 3)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(Manager(tmp_path).checkpoints()) == 4


def test_another_run_does_not_overwrite_this_one(tmp_path):
    save(Manager(tmp_path), 10)
    with pytest.raises(ValueError, match=r"already holds step 10, which is after step 5; call restore\(\)"):
        save(Manager(tmp_path), 5)
    assert names(tmp_path) == ["step-00000010"]


def test_continuing_from_an_older_checkpoint_abandons_later_ones(tmp_path):
    manager = Manager(tmp_path, keep=None)
    save(manager, 10, 20, 30)
    manager.restore({"n": None}, tmp_path / "step-00000010")
    save(manager, 15, 20)
    assert names(tmp_path) == [
        "abandoned-step-00000020",
        "abandoned-step-00000030",
        "step-00000010",
        "step-00000015",
        "step-00000020",
    ]
    assert restored(manager) == 20
    manager.restore({"n": None}, tmp_path / "step-00000010")
    save(manager, 25)  # no conflict
    assert restored(manager) == 25 and len(names(tmp_path)) == 6


def test_continuing_from_another_run_abandons_nothing(tmp_path):
    save(Manager(tmp_path / "first"), 10)
    manager = Manager(tmp_path / "second")
    save(manager, 50)
    assert manager.restore({"n": None}, tmp_path / "first" / "step-00000010").step == 10
    with pytest.raises(ValueError, match="second already holds step 50, which is after step 11"):
        save(manager, 11)
    assert names(tmp_path / "second") == ["step-00000050"]


def test_invalid_arguments_are_explained_before_anything_is_written(tmp_path):
    manager = Manager(tmp_path / "runs", best="accuracy")
    with pytest.raises(ValueError, match="metrics must have 'accuracy', got loss"):
        manager.save({"n": 1}, step=1, metrics={"loss": 1.0})
    with pytest.raises(TypeError, match="Manager.save: 'n': cannot save it of type set"):
        manager.save({"n": {1}}, step=1)
    with pytest.raises(TypeError, match="the metric 'accuracy' must be a number, got 'high'"):
        manager.save({"n": 1}, step=1, metrics={"accuracy": "high"})
    with pytest.raises(TypeError, match="metrics must be a dictionary such as .*, got 0.5"):
        manager.save({"n": 1}, step=1, metrics=0.5)
    with pytest.raises(TypeError, match="step must be an integer"):
        manager.save({"n": 1}, step=1.5)
    with pytest.raises(ValueError, match="part names may only contain letters"):
        manager.save({"../n": 1}, step=1)
    assert not manager.folder.exists()
    with pytest.raises(ValueError, match="keep must be at least 1"):
        Manager(tmp_path, keep=0)
    with pytest.raises(ValueError, match="mode must be 'max' or 'min'"):
        Manager(tmp_path, mode="largest")
    with pytest.raises(ValueError, match="Manager.best: no metric given"):
        Manager(tmp_path).best()
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="file is not a folder"):
        Manager(tmp_path / "file")


def test_a_checkpoint_of_another_model_changes_nothing(tmp_path):
    manager = Manager(tmp_path)
    manager.save({"model": nn.Linear(2, 2), "n": 1}, step=1)
    model = nn.Linear(3, 2)
    before = model.weight.tolist()
    with warnings.catch_warnings():
        with pytest.raises(
            CheckpointError, match="(?s)step-00000001: 'model' does not fit, nothing was loaded.*weight"
        ):
            manager.restore({"model": model, "n": None})
        with pytest.raises(CheckpointError, match="missing in the checkpoint: ema"):
            manager.restore({"model": model, "n": None, "ema": 1})
    assert model.weight.tolist() == before
    assert names(tmp_path) == ["step-00000001"]  # it is intact: nothing is renamed


def test_a_lock_that_is_a_link_is_refused(tmp_path):
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".lock").symlink_to(tmp_path / "precious")
    with pytest.raises(OSError, match=r"could not be saved in .*lock is a link\); there is no checkpoint yet"):
        save(Manager(tmp_path / "run"), 1)
    assert (tmp_path / "precious").read_text() == "precious"
