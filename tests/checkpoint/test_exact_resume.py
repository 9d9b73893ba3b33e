"""Training that is killed and resumed ends bit for bit like uninterrupted training."""

import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import lucid
from lucid import checkpoint, optim
from lucid.checkpoint.folder import read_folder
from tests.checkpoint.training import Run

ROOT = Path(__file__).parents[2]
STEPS = 60


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """The checksum of STEPS uninterrupted steps."""
    return Run(tmp_path_factory.mktemp("uninterrupted")).run_until(STEPS).checksum()


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_run_resumes_from_every_position_in_an_epoch(tmp_path, num_workers):
    want = Run(tmp_path / "whole", num_workers).run_until(18).checksum()
    for stop in (1, 4, 6, 7, 8, 14, 17):  # 7 batches per epoch: the middle, the last, the first of the next
        folder = tmp_path / str(stop)
        Run(folder, num_workers).run_until(stop, every=stop)
        resumed = Run(folder, num_workers)
        assert resumed.steps_done == stop
        assert resumed.run_until(18, every=100).checksum() == want


OPTIMIZERS = {
    "SGD": {"lr": 0.1, "momentum": 0.9, "nesterov": True},
    "Adam": {"lr": 0.1, "amsgrad": True},
    "Adagrad": {"lr": 0.1, "lr_decay": 0.1},
    "Adafactor": {"lr": 0.1},
    "RMSprop": {"lr": 0.1, "momentum": 0.5, "centered": True},
    "Lion": {"lr": 0.1},
    "Muon": {"lr": 0.1},
}
SCHEDULERS = {
    "OneCycleLR": {"max_lr": 0.1, "total_steps": 8},  # moves the momentum too
    "StepLR": {"step_size": 2},
    "CosineAnnealingWarmRestarts": {"T_0": 3},
}


@pytest.mark.parametrize(
    ("optimizer", "scheduler"),
    [*((name, "StepLR") for name in OPTIMIZERS), ("SGD", "OneCycleLR"), ("Adam", "OneCycleLR")]
    + [("SGD", "CosineAnnealingWarmRestarts")],
)
def test_every_optimizer_and_schedule_resumes_exactly(tmp_path, optimizer, scheduler):
    def start():
        lucid.manual_seed(0)
        p = lucid.randn(3, 4, requires_grad=True)
        chosen = getattr(optim, optimizer)([p], **OPTIMIZERS[optimizer])
        return p, {
            "optimizer": chosen,
            "scheduler": getattr(optim.lr_scheduler, scheduler)(chosen, **SCHEDULERS[scheduler]),
            "random": lucid.random,
        }

    def run_until(p, parts, steps):
        for _ in range(steps):
            p.grad = lucid.randn(3, 4) + p.detach()
            parts["optimizer"].step()
            parts["scheduler"].step()
        return p.tolist()

    want = run_until(*start(), 7)
    p, parts = start()
    run_until(p, parts, 4)
    manager = checkpoint.Manager(tmp_path)
    manager.save({**parts, "p": p.detach()}, step=4)
    p, parts = start()
    p.data = manager.restore({**parts, "p": None}).values["p"]
    assert run_until(p, parts, 3) == want


def test_compiled_steps_resume_exactly(tmp_path):
    want = Run(tmp_path / "whole", compiled=True).run_until(9).checksum()
    Run(tmp_path / "parts", compiled=True).run_until(5, every=4)
    resumed = Run(tmp_path / "parts", compiled=True)
    assert resumed.steps_done == 4
    assert resumed.run_until(9).checksum() == want


def killed_and_resumed(folder, kills, seed):
    """Run to the end with ``kills`` SIGKILLs at random moments; returns the checksum and all error output."""
    rng, faults = random.Random(seed), []
    command = [sys.executable, "-m", "tests.checkpoint.training", str(folder), str(STEPS)]
    for _ in range(kills):
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            for _ in range(rng.randrange(1, 9)):  # "ready" and some steps
                process.stdout.readline()
            time.sleep(rng.random() * 0.02)  # a step with its checkpoint takes about as long
            process.send_signal(signal.SIGKILL)
            faults.append(process.stderr.read())
        newest = max(folder.glob("step-*"), default=None)
        if newest is not None:
            read_folder(newest)
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.split()[-1], [*filter(None, faults), *filter(None, [done.stderr])]


def test_20_kills_at_random_moments_change_nothing(tmp_path, uninterrupted):
    with ThreadPoolExecutor(2) as pool:
        runs = list(pool.map(lambda seed: killed_and_resumed(tmp_path / str(seed), 10, seed), range(2)))
    for seed, (checksum, faults) in enumerate(runs):
        assert faults == []
        assert checksum == uninterrupted
        names = sorted(path.name for path in (tmp_path / str(seed)).iterdir())
        assert len(names) <= 4 and not any("damaged" in name or "temporary" in name for name in names)


KILLED_AT_EVERY_LINE = """
import os, shutil, sys, traceback
from pathlib import Path
import lucid
from lucid import checkpoint

package = os.path.dirname(checkpoint.__file__)
watched = {os.path.join(package, name) for name in ("folder.py", "manager.py")}
writing = {"save", "write_folder", "write", "_write", "_sync", "sync_folder", "_remove_old", "_write_lock"}

def save(folder, step, lines):
    "Save in a forked process that exits after ``lines`` lines of the writing code; returns its exit code."
    def trace(frame, event, argument):
        nonlocal lines
        if frame.f_code.co_filename not in watched or frame.f_code.co_name not in writing:
            return None
        lines -= event == "line"
        if lines == 0:
            os._exit(9)
        return trace

    pid = os.fork()
    if pid == 0:
        try:
            manager = checkpoint.Manager(folder, keep=1)
            sys.settrace(trace)
            manager.save({"x": lucid.full((5,), float(step)), "n": step}, step=step)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

root, lines, code = Path(sys.argv[1]), 0, save(Path(sys.argv[1], "first"), 1, -1)
assert code == 0
while lines == 0 or code == 9:
    lines += 1
    shutil.copytree(root / "first", root / str(lines))
    code = save(root / str(lines), 2, lines)
shutil.rmtree(root / "first")
sys.exit(code)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="forks a process that has loaded MLX, which Metal does not allow")
def test_a_save_killed_at_any_line_leaves_the_old_or_the_new_checkpoint(tmp_path):
    subprocess.run([sys.executable, "-c", KILLED_AT_EVERY_LINE, str(tmp_path)], cwd=ROOT, check=True, timeout=300)
    folders = sorted(tmp_path.iterdir(), key=lambda path: int(path.name))
    assert len(folders) > 100
    steps = []
    for folder in folders:
        values = {"x": None, "n": None}
        found = checkpoint.Manager(folder).restore(values)  # a warning would fail the test
        assert found.values["x"].tolist() == [float(found.step)] * 5 and found.values["n"] == found.step
        assert {path.name for path in folder.iterdir()} <= {".lock", "step-00000001", "step-00000002"}
        steps.append(found.step)
    assert steps == sorted(steps) and set(steps) == {1, 2}
    assert os.listdir(folders[-1]).count("step-00000001") == 0
