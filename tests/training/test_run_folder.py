"""The files of a run folder."""

import errno
import fcntl
import os
import subprocess
import sys

import numpy as np
import pytest

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
