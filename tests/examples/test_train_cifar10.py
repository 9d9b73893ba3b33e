"""The example from end to end: what it writes, how it resumes, and what it says when something is wrong."""

import csv
import importlib.util
import io
import json
import os
import socket
import subprocess
import sys
import tarfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import lucid
from lucid import data, models
from lucid.serialization import load_with_metadata

image = pytest.importorskip("matplotlib.image", reason="the example draws with matplotlib")
pytest.importorskip("tqdm", reason="the example shows its progress with tqdm")

SCRIPT = Path(__file__).parents[2] / "examples" / "train_cifar10.py"
COLUMNS = [
    "epoch",
    "lr",
    "train_loss",
    "train_accuracy",
    "test_loss",
    "test_accuracy",
    "images_per_second",
    "seconds",
]
RESULTS = ["best.safetensors", "checkpoint.safetensors", "curves.png", "history.csv", "last.safetensors"]
# A model that learns a little within a second: 5 steps an epoch.
TINY = ["--depths", "1", "1", "--dims", "8", "16", "--patch-size", "2", "--drop-path", "0.2"]
TINY += ["--batch-size", "256", "--lr", "0.01", "--warmup-epochs", "1"]
DIGITS = ["--dataset", "digits", "--epochs", "3", *TINY]


def command(*arguments):
    return [sys.executable, "-W", "error", str(SCRIPT), *map(str, arguments)]


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("train_cifar10", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up there
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nothing interrupted: its folder, and what it printed."""
    out = tmp_path_factory.mktemp("whole")
    done = subprocess.run(command(*DIGITS, "--out", out), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return SimpleNamespace(out=out, stdout=done.stdout, stderr=done.stderr)


def history_of(out):
    with (out / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [{name: float(value) for name, value in row.items()} for row in rows]


def without_times(rows):
    return [{name: row[name] for name in COLUMNS[:-2]} for row in rows]


def files_in(folder):
    return sorted(path.name for path in folder.iterdir())


# What a run writes ----------------------------------------------------------------------------------------------------


def test_a_run_writes_its_results(whole):
    assert files_in(whole.out) == RESULTS
    rows = history_of(whole.out)
    assert (whole.out / "history.csv").read_text().splitlines()[0] == ",".join(COLUMNS)
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert rows[-1]["train_loss"] < rows[0]["train_loss"] and rows[-1]["test_accuracy"] > 0.2
    assert all(0 <= row["train_accuracy"] <= 1 and row["images_per_second"] > 0 for row in rows)
    # The warm-up lasts one epoch of 5 steps; then half a cosine over the other 10.
    cosine = [0.01 * 0.5 * (1 + np.cos(np.pi * step / 10)) for step in (0, 5)]
    np.testing.assert_allclose([row["lr"] for row in rows], [0.01 / 5, *cosine], rtol=1e-5)


def test_a_run_says_what_it_does(whole):
    lines = whole.stdout.splitlines()
    assert lines[0] == "Digits(train: 1442 images (1, 8, 8), 10 classes)"
    model = models.ConvNeXt(num_classes=10, depths=(1, 1), dims=(8, 16), in_chans=1, patch_size=2)
    assert f"{sum(p.numel() for p in model.parameters()):,} parameters" in lines[1]
    assert [line.split(":")[0] for line in lines[2:5]] == [f"epoch {epoch}/3" for epoch in range(1, 4)]
    assert f"{history_of(whole.out)[-1]['test_accuracy']:.2%} of the test images are right" in lines[5]
    assert len(lines) == 6 and whole.stderr == ""  # no progress bar where nobody watches


def test_the_curves_are_a_picture(whole):
    picture = image.imread(whole.out / "curves.png")
    assert picture.shape == (600, 1500, 4)
    for color in ((0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)):  # both lines are there
        assert (abs(picture[..., :3] - np.array(color) / 255).max(axis=-1) < 0.01).sum() > 500


@pytest.mark.parametrize("name", ["best", "last"])
def test_the_weights_classify_as_the_history_says(whole, name):
    rows = history_of(whole.out)
    row = rows[-1] if name == "last" else max(rows, key=lambda row: row["test_accuracy"])
    weights, metadata = load_with_metadata(whole.out / f"{name}.safetensors")
    settings = json.loads(metadata["settings"])
    model = models.ConvNeXt(
        num_classes=10,
        depths=settings["depths"],
        dims=settings["dims"],
        layer_scale_init=settings["layer_scale_init"],
        in_chans=1,
        patch_size=settings["patch_size"],
    )
    model.load_state_dict(weights)
    model.eval()
    test_set = data.Digits(train=False)
    logits = model(lucid.tensor((test_set.data / 16 - 0.3051) / 0.3762, dtype=lucid.float32)).detach().numpy()
    accuracy = (logits.argmax(axis=1) == test_set.targets).mean()
    logits = logits.astype(np.float64)
    log_sum = np.log(np.exp(logits).sum(axis=1))
    loss = (log_sum - logits[np.arange(len(logits)), test_set.targets]).mean()
    np.testing.assert_allclose([accuracy, loss], [row["test_accuracy"], row["test_loss"]], rtol=1e-4)


# Interrupted and resumed ----------------------------------------------------------------------------------------------


def assert_same_as(out, whole):
    assert without_times(history_of(out)) == without_times(history_of(whole.out))
    for name in ("best.safetensors", "last.safetensors"):
        assert (out / name).read_bytes() == (whole.out / name).read_bytes()
    assert files_in(out) == RESULTS


# The script, pressing Ctrl-C itself at the end of the second epoch, at a moment when Python surely sees it.
PRESSING = """
import os, runpy, signal, sys, time

def press(frame, event, argument):
    if event == "call" and frame.f_code.co_name == "write_results":
        press.calls += 1
        if press.calls == 2:
            sys.setprofile(None)
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(60)

press.calls = 0
sys.setprofile(press)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_ctrl_c_and_resume_end_as_the_whole_run_did(whole, tmp_path):
    out = tmp_path / "run"
    arguments = [sys.executable, "-c", PRESSING, *command(*DIGITS, "--out", out)[3:]]
    stopped = subprocess.run(arguments, capture_output=True, text=True, timeout=300)
    assert stopped.returncode == 130
    assert stopped.stderr == "\nInterrupted: --resume goes on after the last complete epoch, if there is one.\n"
    assert files_in(out) == RESULTS and without_times(history_of(out)) == without_times(history_of(whole.out)[:1])
    # The options come back from the checkpoint; given ones may repeat it.
    arguments = command("--resume", "--out", out, "--epochs", 3)
    resumed = subprocess.run(arguments, capture_output=True, text=True, timeout=300)
    assert resumed.returncode == 0, resumed.stderr
    assert_same_as(out, whole)


@pytest.mark.parametrize("place", ["evaluate", "save_checkpoint"])
def test_an_epoch_counts_only_when_its_checkpoint_is_there(example, monkeypatch, whole, tmp_path, place):
    calls = []
    function = getattr(example, place)

    def interrupted(*arguments):
        calls.append(place)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return function(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(example, place, interrupted)
        assert example.main([*DIGITS, "--out", str(tmp_path)]) == 130
    notes = load_with_metadata(tmp_path / "checkpoint.safetensors")[1]
    assert [row["epoch"] for row in json.loads(notes["history"])] == [1]
    assert example.main(["--resume", str(tmp_path / "checkpoint.safetensors"), "--out", str(tmp_path)]) == 0
    assert_same_as(tmp_path, whole)


def test_resuming_a_finished_run_changes_nothing(example, whole, capsys):
    before = {name: (whole.out / name).read_bytes() for name in RESULTS}
    assert example.main(["--resume", "--out", str(whole.out)]) == 0
    assert "of the test images are right" in capsys.readouterr().out
    assert {name: (whole.out / name).read_bytes() for name in RESULTS} == before


def test_an_interrupted_write_leaves_the_former_files(example, monkeypatch, tmp_path):
    def interrupted(source, target):
        if Path(target).name == "history.csv" and Path(target).exists():
            raise KeyboardInterrupt
        return replace(source, target)

    replace = os.replace
    monkeypatch.setattr(os, "replace", interrupted)
    assert example.main([*DIGITS, "--out", str(tmp_path)]) == 130
    assert files_in(tmp_path) == RESULTS and len(history_of(tmp_path)) == 1


# Mistakes -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dataset", "mnist"], "argument --dataset: invalid choice: 'mnist'"),
        (["--epochs", "many"], "argument --epochs: invalid int value: 'many'"),
        (["--epochs", "0"], "--epochs must be at least 1, got 0"),
        (["--lr", "-1"], "--lr must be at least 0, got -1.0"),
        (["--lr", "nan"], "--lr must be at least 0, got nan"),
        (["--drop-path", "1"], "--drop-path must be at least 0 and below 1, got 1.0"),
        (["--label-smoothing", "-0.1"], "--label-smoothing must be at least 0 and below 1, got -0.1"),
        (["--depths", "1", "1", "--dims", "8"], "--depths has 2 stages but --dims has 1"),
        (["--depths", "-1", "--dims", "8"], "depths must be at least 0, got -1"),
        (["--batch-size", "1443"], "--batch-size must be at most 1442, the number of images, got 1443"),
        (["--patch-size", "5"], "--patch-size 5 and 2 stages leave nothing of 8 px"),
        (["--workers", "-1"], "num_workers must be at least 0, got -1"),
        (["--resume", "nothing.safetensors"], "there is no file nothing.safetensors"),
        (["--resume"], "checkpoint.safetensors"),
    ],
)
def test_wrong_options_are_named(example, tmp_path, capsys, arguments, message):
    out = tmp_path / "out"
    with pytest.raises(SystemExit) as caught:
        example.main(["--dataset", "digits", "--out", str(out), *arguments])
    last_line = capsys.readouterr().err.splitlines()[-1]
    assert caught.value.code == 2 and "error: " in last_line and message in last_line
    assert not out.exists()


def test_wrong_checkpoints_are_named(example, whole, tmp_path, capsys):
    (tmp_path / "broken.safetensors").write_bytes((whole.out / "checkpoint.safetensors").read_bytes()[:5000])
    checkpoint = whole.out / "checkpoint.safetensors"
    for arguments, message in (
        ([whole.out / "last.safetensors"], "last.safetensors is not a checkpoint of this program"),
        ([tmp_path / "broken.safetensors"], "is not a complete safetensors file"),
        ([checkpoint, "--epochs", "5"], "--epochs 5 contradicts the checkpoint, which has 3"),
        ([checkpoint, "--dims", "8", "8"], "--dims [8, 8] contradicts the checkpoint, which has [8, 16]"),
        ([checkpoint, "--dataset", "cifar10"], "--dataset cifar10 contradicts the checkpoint, which has digits"),
    ):
        with pytest.raises(SystemExit) as caught:
            example.main(["--out", str(tmp_path / "out"), "--resume", *map(str, arguments)])
        assert caught.value.code == 2 and message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_loss_that_is_no_number_ends_the_run(example, tmp_path, capsys):
    assert example.main(["--dataset", "digits", *TINY, "--lr", "1e30", "--out", str(tmp_path)]) == 1
    assert "in epoch 1: a smaller --lr may help" in capsys.readouterr().err
    assert files_in(tmp_path) == []


# CIFAR ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_without_a_network_one_sentence_says_what_to_do(tmp_path, name):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        mirror = f"http://127.0.0.1:{listener.getsockname()[1]}"
    folder = tmp_path / "archives"
    arguments = ["--dataset", name, "--mirror", mirror, "--data-dir", folder, "--out", tmp_path / "out"]
    done = subprocess.run(command(*arguments), capture_output=True, text=True, timeout=300)
    archive = "cifar-10-binary.tar.gz" if name == "cifar10" else "cifar-100-binary.tar.gz"
    assert done.returncode == 1 and done.stdout == ""
    [line] = done.stderr.splitlines()
    assert (
        f"cannot download {mirror}/{archive}" in line and f"copy {archive} from another machine into {folder}" in line
    )
    assert line.endswith("--dataset digits")
    assert not (tmp_path / "out").exists() and files_in(folder) == []


@pytest.mark.parametrize(("name", "kind"), [("cifar10", data.CIFAR10), ("cifar100", data.CIFAR100)])
def test_an_archive_in_place_is_trained_on(example, monkeypatch, tmp_path, capsys, name, kind):
    # The official format, with few records: so many bytes of labels, then 32 x 32 pixels in three planes.
    sizes = {f"data_batch_{i}.bin": 8 for i in range(1, 6)} if name == "cifar10" else {"train.bin": 40}
    test = {"test_batch.bin" if name == "cifar10" else "test.bin": 13}
    monkeypatch.setattr(kind, "train_files", sizes)
    monkeypatch.setattr(kind, "test_files", test)
    monkeypatch.setattr(kind, "md5", None)
    rng = np.random.default_rng(0)
    with tarfile.open(tmp_path / kind.filename, "w:gz") as archive:
        for file, count in {**sizes, **test}.items():
            records = rng.integers(0, 256, (count, len(kind.label_sizes) + 3072), dtype=np.uint8)
            records[:, : len(kind.label_sizes)] %= np.array(kind.label_sizes, np.uint8)
            info = tarfile.TarInfo(f"{kind.base_folder}/{file}")
            info.size = records.nbytes
            archive.addfile(info, io.BytesIO(records.tobytes()))
    arguments = ["--dataset", name, "--data-dir", str(tmp_path), "--out", str(tmp_path / "out"), "--epochs", "1"]
    assert example.main([*arguments, "--depths", "1", "--dims", "8", "--patch-size", "4", "--batch-size", "16"]) == 0
    shown = capsys.readouterr().out
    assert f"{kind.__name__}(train: 40 images (3, 32, 32), {len(kind.classes)} classes)" in shown
    assert files_in(tmp_path / "out") == RESULTS
    assert lucid.load(tmp_path / "out" / "last.safetensors")["head.weight"].shape == (len(kind.classes), 8)
