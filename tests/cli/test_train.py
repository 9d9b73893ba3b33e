"""``lucid train`` end to end: its files and output, resuming, and errors."""

import csv
import errno
import functools
import http.server
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import lucid
from lucid import checkpoint, data, models
from lucid.cli import train
from lucid.data.download import md5_of
from lucid.serialization import load_with_metadata
from lucid.training import resume, trainer
from tests.distributed.launching import launch, needs_launcher
from tests.training.drawn_cifar import SHAPES, write_archive

image = pytest.importorskip("matplotlib.image", reason="curves are drawn with matplotlib")
pytest.importorskip("tqdm", reason="progress is shown with tqdm")
pytest.importorskip("sklearn", reason="the digits come with scikit-learn")

COLUMNS = [
    "epoch",
    "lr",
    "train_loss",
    "train_accuracy",
    "test_loss",
    "test_accuracy",
    "images_per_second",
    "waiting",
    "seconds",
]
TIMES = COLUMNS[-3:]
RESULTS = [
    "best.json",
    "best.safetensors",
    "checkpoints",
    "curves.png",
    "history.csv",
    "last.safetensors",
    "report.html",
]
# A model that learns a little within a second, with 5 steps per epoch.
TINY = ["--depths", "1", "1", "--dims", "8", "16", "--patch-size", "2", "--batch-size", "256", "--warmup-epochs", "1"]
# Everything that has state: drop path, augmentation, mixed targets, averaged weights.
RANDOM = ["--drop-path", "0.2", "--lr", "0.01", "--mixup", "0.2", "--ema", "0.8"]
DIGITS = ["--dataset", "digits", "--epochs", "3", *TINY, *RANDOM]
PLAIN = ["--dataset", "digits", *TINY, "--drop-path", "0", "--crop-padding", "0", "--epochs", "1"]  # nothing random


def command(*arguments):
    return [sys.executable, "-W", "error", "-m", "lucid", "train", *map(str, arguments)]


def run(*arguments, **options):
    return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=300, **options)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run without interruption: its folder and output."""
    out = tmp_path_factory.mktemp("whole")
    done = run(*DIGITS, "--out", out)
    assert done.returncode == 0, done.stderr
    return SimpleNamespace(out=out, stdout=done.stdout, stderr=done.stderr)


def history_of(out):
    with (out / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [{name: float(value) for name, value in row.items()} for row in rows]


def without_times(rows):
    return [{name: value for name, value in row.items() if name not in TIMES} for row in rows]


def files_in(folder):
    return sorted(path.name for path in folder.iterdir() if path.name != "events")


def assert_same_as(out, whole):
    assert without_times(history_of(out)) == without_times(history_of(whole.out))
    for name in ("best.safetensors", "last.safetensors"):
        assert (out / name).read_bytes() == (whole.out / name).read_bytes()
    assert files_in(out) == RESULTS


# What a run writes ----------------------------------------------------------------------------------------------------


def test_a_run_writes_its_results(whole):
    assert files_in(whole.out) == RESULTS
    rows = history_of(whole.out)
    assert (whole.out / "history.csv").read_text().splitlines()[0] == ",".join(COLUMNS)
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert rows[-1]["train_loss"] < rows[0]["train_loss"] and rows[-1]["test_accuracy"] > 0.2
    assert all(0 <= row["train_accuracy"] <= 1 and row["images_per_second"] > 0 for row in rows)
    assert all(0 < row["waiting"] < 1 for row in rows)
    # The warm-up lasts one epoch of 5 steps; then half a cosine over the other 10.
    cosine = [0.01 * 0.5 * (1 + np.cos(np.pi * step / 10)) for step in (0, 5)]
    np.testing.assert_allclose([row["lr"] for row in rows], [0.01 / 5, *cosine], rtol=1e-5)


def test_a_run_prints_its_progress(whole):
    lines = whole.stdout.splitlines()
    assert lines[0] == "Digits(train: 1442 images (1, 8, 8), 10 classes)"
    model = models.ConvNeXt(num_classes=10, depths=(1, 1), dims=(8, 16), in_chans=1, patch_size=2)
    assert f"{sum(p.numel() for p in model.parameters()):,} parameters" in lines[1]
    assert [line.split(":")[0] for line in lines[2:5]] == [f"epoch {epoch}/3" for epoch in range(1, 4)]
    assert all("; test " in line and len(line) <= 80 for line in lines[2:5])
    assert all(line.endswith(" left") for line in lines[2:4]) and lines[4].endswith("images/s")
    rows = history_of(whole.out)
    bests = [row["test_accuracy"] > max([0, *(one["test_accuracy"] for one in rows[:i])]) for i, row in enumerate(rows)]
    assert [" best" in line for line in lines[2:5]] == bests
    assert f"{history_of(whole.out)[-1]['test_accuracy']:.2%} of the test images are right" in lines[5]
    assert len(lines) == 6 and whole.stderr == ""  # no progress bar without a terminal


def test_the_curves_are_drawn(whole):
    pixels = image.imread(whole.out / "curves.png")
    assert pixels.shape == (600, 1500, 4)
    for color in ((0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)):  # both lines are there
        assert (abs(pixels[..., :3] - np.array(color) / 255).max(axis=-1) < 0.01).sum() > 500


def test_the_report_describes_the_run(whole):
    text, last = (whole.out / "report.html").read_text(), history_of(whole.out)[-1]
    right = round(max(row["test_accuracy"] for row in history_of(whole.out)) * 355)
    assert f"{right} of 355 test images are right." in text and "ConvNeXt on handwritten digits" in text
    assert f"<dd>{last['test_accuracy']:.2%}" in text and f"<td>{last['train_loss']:.6g}</td>" in text
    assert text.count("data:image/png;base64,") == min(24, 355 - right) + 8  # mistakes, and training images
    assert "<th>mixup</th><td>0.2</td>" in text and "lucid train --dataset digits" in text


def test_tensorboard_events_hold_the_history(whole):
    pytest.importorskip("tensorboardX", reason="events are written where tensorboardX is installed")
    [path] = (whole.out / "events").iterdir()
    content = path.read_bytes()
    for tag in (b"train/loss", b"test/accuracy", b"lr", b"images_per_second"):
        assert content.count(b"\n" + bytes([len(tag)]) + tag + b"\x15") == 3  # as its field is written, with a value
    for row in history_of(whole.out):
        assert np.float32(row["test_loss"]).tobytes() in content


@pytest.mark.parametrize("name", ["best", "last"])
def test_saved_weights_have_the_accuracy_in_the_history(whole, name):
    rows = history_of(whole.out)
    row = rows[-1] if name == "last" else max(rows, key=lambda row: row["test_accuracy"])
    weights, metadata = load_with_metadata(whole.out / f"{name}.safetensors")
    recipe, preprocessing = json.loads(metadata["recipe"]), json.loads(metadata["preprocessing"])
    assert json.loads(metadata["classes"]) == list("0123456789") and metadata["format"] == "pt"
    model = models.ConvNeXt(
        num_classes=10,
        depths=recipe["depths"],
        dims=recipe["dims"],
        layer_scale_init=recipe["layer_scale_init"],
        in_chans=1,
        patch_size=recipe["patch_size"],
    )
    model.load_state_dict(weights)
    model.eval()
    test_set = data.Digits(train=False)
    images = np.rint(test_set.data * (255 / 16)) / 255
    images = (images - preprocessing["mean"][0]) / preprocessing["std"][0]
    logits = model(lucid.tensor(images, dtype=lucid.float32)).detach().numpy()
    accuracy = (logits.argmax(axis=1) == test_set.targets).mean()
    logits = logits.astype(np.float64)
    log_sum = np.log(np.exp(logits).sum(axis=1))
    loss = (log_sum - logits[np.arange(len(logits)), test_set.targets]).mean()
    np.testing.assert_allclose([accuracy, loss], [row["test_accuracy"], row["test_loss"]], rtol=1e-4)


def test_eval_only_evaluates_without_training(whole, capsys):
    before = {name: (whole.out / name).read_bytes() for name in RESULTS if name != "checkpoints"}
    assert train.main(["--dataset", "digits", "--out", str(whole.out), "--eval-only"]) == 0
    lines = capsys.readouterr().out.splitlines()
    best = max(history_of(whole.out), key=lambda row: row["test_accuracy"])
    assert lines[-1].startswith(
        f"{best['test_accuracy']:.2%} of the test images are right, loss {best['test_loss']:.4f}"
    )
    right = [int(line.split()[1]) for line in lines[:-1]]
    assert len(right) == 10 and sum(right) == round(best["test_accuracy"] * 355)
    assert train.main(["--out", str(whole.out), "--eval-only", "--weights", str(whole.out / "last.safetensors")]) == 0
    assert f"{history_of(whole.out)[-1]['test_accuracy']:.2%} of the test" in capsys.readouterr().out
    assert train.main(["--out", str(whole.out), "--eval-only", "--test-flip"]) == 0
    flipped = capsys.readouterr().out.splitlines()
    assert len(flipped) == 11 and flipped[-1] != lines[-1]  # a flipped digit is not a digit
    assert train.main(["--out", str(whole.out), "--eval-only", "--tta", "flip"]) == 0
    assert capsys.readouterr().out.splitlines() == flipped
    assert train.main(["--out", str(whole.out), "--eval-only", "--tta", "shift"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] != flipped[-1]
    assert {name: (whole.out / name).read_bytes() for name in before} == before


# Recipes --------------------------------------------------------------------------------------------------------------


def last_weights(out):
    return {name: tensor.numpy() for name, tensor in lucid.load(out / "last.safetensors").items()}


@pytest.mark.parametrize(
    "options",
    [
        ["--augment", "rand-m9-mstd0.5-inc1", "--mixup", "0.8", "--cutmix", "1", "--erasing", "0.5", "--flip"],
        ["--augment", "trivial", "--color-jitter", "0.4", "--accumulate", "4", "--layer-decay", "0.7", "--amp"],
        ["--optimizer", "sgd", "--amp", "float16", "--clip-norm", "0", "--ema", "0.5", "--stem", "overlap"],
    ],
)
def test_every_setting_trains(tmp_path, options):
    assert train.main([*PLAIN, "--lr", "0.02", "--out", str(tmp_path), *options]) == 0
    [row] = history_of(tmp_path)
    assert np.isfinite(row["train_loss"]) and row["train_loss"] < 2.6
    weights, metadata = load_with_metadata(tmp_path / "last.safetensors")
    assert all(np.isfinite(tensor.numpy()).all() and tensor.dtype == lucid.float32 for tensor in weights.values())
    assert json.loads(metadata["recipe"])["dataset"] == "digits"


def test_gradient_accumulation_equals_the_whole_batch(tmp_path):
    for parts in (1, 4):
        arguments = [*PLAIN, "--optimizer", "sgd", "--lr", "0.1", "--accumulate", str(parts), "--out"]
        assert train.main([*arguments, str(tmp_path / str(parts))]) == 0
    one, four = (last_weights(tmp_path / name) for name in ("1", "4"))
    for name, array in one.items():
        np.testing.assert_allclose(four[name], array, atol=2e-5, err_msg=name)


def test_a_compiled_step_trains_the_same(tmp_path):
    smaller = ["--depths", "1", "--dims", "4", "--patch-size", "4"]  # quicker to compile
    for name in ("--compile", "--no-compile"):
        assert train.main([*DIGITS, *smaller, "--epochs", "1", "--out", str(tmp_path / name), name]) == 0
    compiled, eager = (last_weights(tmp_path / name) for name in ("--compile", "--no-compile"))
    for name, array in eager.items():
        np.testing.assert_allclose(compiled[name], array, rtol=1e-4, atol=1e-6, err_msg=name)


def test_patience_ends_a_run(tmp_path, capsys):
    still = [*PLAIN, "--epochs", "9", "--lr", "0", "--patience", "2", "--out", str(tmp_path)]
    assert train.main(still) == 0
    assert len(history_of(tmp_path)) == 3
    assert train.main([*still, "--resume", "auto"]) == 0  # nothing left to do
    assert len(history_of(tmp_path)) == 3 and "the best)" in capsys.readouterr().out
    # Killed before the last epoch, it is unfinished; once finished, another may replace it.
    manager = checkpoint.Manager(tmp_path / "checkpoints")
    shutil.rmtree(manager.latest().path)
    with pytest.raises(SystemExit):
        train.main(still)
    assert (
        "already contains an unfinished run, stopped after 2 of 9 epochs" in capsys.readouterr().err
        and manager.latest().epoch == 2
    )
    assert train.main([*still, "--resume"]) == 0 and len(history_of(tmp_path)) == 3
    assert train.main([*still, "--epochs", "1"]) == 0 and len(history_of(tmp_path)) == 1


def test_settings_are_read_from_a_file(tmp_path, capsys):
    assert train.main(["--dataset", "digits", "--recipe", "strong", "--lr", "0.5", "--print-config"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["lr"], shown["dataset"], shown["recipe"], shown["ema"]) == (0.5, "digits", "strong", 0.995)
    (tmp_path / "mine.json").write_text(json.dumps({"dataset": "digits", "epochs": 77, "lr": 0.25}))
    arguments = ["--config", str(tmp_path / "mine.json"), "--lr", "0.125", "--print-config"]
    assert train.find_out(train.make_parser().parse_args(arguments)) == Path("runs/digits")
    assert train.main(arguments) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["lr"], shown["epochs"], shown["dims"]) == (
        0.125,
        77,
        [32, 64],
    )  # from an option, the file, the preset


# Interrupted and resumed ----------------------------------------------------------------------------------------------

# The command, sending itself a signal at the beginning of step 8, in the middle of the second epoch.
SIGNALLING = """
import os, runpy, signal, sys

def watch(frame, event, argument):
    if event == "call" and frame.f_code.co_name == "step" and frame.f_code.co_filename.endswith("trainer.py"):
        watch.calls += 1
        if watch.calls == 8:
            sys.setprofile(None)
            os.kill(os.getpid(), getattr(signal, name))

watch.calls = 0
name, *sys.argv[1:] = sys.argv[1:]
sys.setprofile(watch)
runpy.run_module("lucid", run_name="__main__")
"""


@pytest.mark.parametrize(("signal", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGKILL", -9)])
def test_an_interrupted_and_resumed_run_ends_the_same(whole, tmp_path, signal, code):
    out = tmp_path / "run"
    arguments = [sys.executable, "-W", "error", "-c", SIGNALLING, signal, *command(*DIGITS, "--out", out)[5:]]
    stopped = subprocess.run(arguments, capture_output=True, text=True, timeout=300)
    assert stopped.returncode == code
    message = (
        "\nStopping after this step; repeat to stop immediately.\nStopped in epoch 2; --resume continues from here.\n"
    )
    assert stopped.stderr == ("" if signal == "SIGKILL" else message)
    left = [".lock"] if signal == "SIGKILL" else []
    assert files_in(out) == left + RESULTS and without_times(history_of(out)) == without_times(
        history_of(whole.out)[:1]
    )
    newest = checkpoint.Manager(out / "checkpoints").latest()
    assert (newest.step, newest.epoch) == (5 if signal == "SIGKILL" else 8, 1)
    # The checkpoint has the settings; options may repeat them.
    assert train.main(["--resume", "auto", "--out", str(out), "--epochs", "3"]) == 0
    assert_same_as(out, whole)


@pytest.mark.parametrize("place", ["evaluate", "save"])
def test_an_epoch_counts_once_its_checkpoint_is_saved(monkeypatch, whole, tmp_path, place):
    calls = []
    owner = trainer.Trainer if place == "evaluate" else resume.Checkpoints
    function = getattr(owner, place)

    def interrupted(*arguments):
        calls.append(place)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return function(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(owner, place, interrupted)
        assert train.main([*DIGITS, "--out", str(tmp_path)]) == 130
    newest = checkpoint.Manager(tmp_path / "checkpoints").latest()
    assert newest.epoch == 1
    assert train.main(["--resume", str(newest.path), "--out", str(tmp_path)]) == 0
    assert_same_as(tmp_path, whole)


def test_checkpoints_within_an_epoch_change_nothing(monkeypatch, whole, tmp_path):
    saved = []
    save = checkpoint.Manager.save
    monkeypatch.setattr(checkpoint.Manager, "save", lambda *a, **k: saved.append(k["step"]) or save(*a, **k))
    assert train.main([*DIGITS, "--out", str(tmp_path), "--save-minutes", "0"]) == 0
    assert saved == list(range(1, 16)) and len(list((tmp_path / "checkpoints").glob("step-*"))) <= 4
    assert_same_as(tmp_path, whole)


def test_a_damaged_checkpoint_is_replaced_by_the_one_before(whole, tmp_path):
    shutil.copytree(whole.out, tmp_path / "run")
    newest = checkpoint.Manager(tmp_path / "run" / "checkpoints").latest().path
    (newest / "model.safetensors").write_bytes((newest / "model.safetensors").read_bytes()[:-1])
    with pytest.warns(UserWarning, match=f"{newest.name} is damaged"):
        assert train.main(["--resume", "auto", "--out", str(tmp_path / "run")]) == 0
    assert_same_as(tmp_path / "run", whole)


def test_resuming_a_finished_run_changes_nothing(whole, capsys):
    before = {path: path.read_bytes() for path in whole.out.rglob("*") if path.is_file()}
    assert train.main(["--resume", "--out", str(whole.out), "--print-config"]) == 0
    assert json.loads(capsys.readouterr().out)["dims"] == [8, 16]  # those of the checkpoint
    assert train.main(["--resume", "--out", str(whole.out)]) == 0
    assert "of the test images are right" in capsys.readouterr().out
    assert {path: path.read_bytes() for path in whole.out.rglob("*") if path.is_file()} == before


def test_an_unfinished_run_is_not_overwritten_by_mistake(monkeypatch, whole, tmp_path, capsys):
    shutil.copytree(whole.out, tmp_path / "run")
    manager = checkpoint.Manager(tmp_path / "run" / "checkpoints")
    shutil.rmtree(manager.latest().path)
    again = [*DIGITS, "--out", str(tmp_path / "run")]
    with pytest.raises(SystemExit) as caught:
        train.main(again)
    assert caught.value.code == 2
    assert (
        "already contains an unfinished run, stopped after 2 of 3 epochs; pass --resume or --overwrite"
        in capsys.readouterr().err
    )
    assert manager.latest().epoch == 2
    for one in manager.checkpoints():  # damaged ones do not matter
        (one.path / "state.json").write_text("")
    assert train.main([*again, "--overwrite"]) == 0
    assert_same_as(tmp_path / "run", whole)
    assert train.main([*again, "--seed", "1", "--epochs", "1"]) == 0  # a finished one is
    assert last_weights(tmp_path / "run")["head.weight"].tolist() != last_weights(whole.out)["head.weight"].tolist()


@pytest.mark.parametrize("name", ["history.csv", "step-00000010"])
def test_a_full_disk_is_reported_and_leaves_complete_files(monkeypatch, whole, tmp_path, capsys, name):
    """The disk is full when the second epoch writes the file or the checkpoint."""
    written = []

    def on_a_full_disk(function):
        def moved(source, target):
            written.extend([target] if Path(target).name == name else [])
            if len(written) == (1 if name.startswith("step") else 2):
                raise OSError(errno.ENOSPC, "No space left on device", str(target))
            return function(source, target)

        return moved

    with monkeypatch.context() as patch:
        for function in ("replace", "rename"):
            patch.setattr(os, function, on_a_full_disk(getattr(os, function)))
        with pytest.raises(SystemExit) as caught:
            train.main([*DIGITS, "--out", str(tmp_path)])
    error = capsys.readouterr().err
    assert caught.value.code == 2 and "No space left on device" in error and error.count("\n") == 1
    assert files_in(tmp_path) == RESULTS
    newest = checkpoint.Manager(tmp_path / "checkpoints").latest()
    assert newest.epoch == 1
    assert train.main(["--resume", "auto", "--out", str(tmp_path)]) == 0
    assert_same_as(tmp_path, whole)


# Mistakes -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dataset", "mnist"], "argument --dataset: invalid choice: 'mnist'"),
        (["--recipe", "best"], "argument --recipe: invalid choice: 'best'"),
        (["--epochs", "many"], "argument --epochs: invalid int value: 'many'"),
        (["--epochs", "0"], "--epochs must be at least 1, got 0"),
        (["--lr", "-1"], "--lr must be at least 0, got -1.0"),
        (["--lr", "nan"], "--lr must be finite, got nan"),
        (["--clip-norm", "inf"], "--clip-norm must be finite, got inf"),
        (["--drop-path", "1"], "--drop-path must be at least 0 and below 1, got 1.0"),
        (["--label-smoothing", "-0.1"], "--label-smoothing must be at least 0 and below 1, got -0.1"),
        (["--depths", "1", "1", "--dims", "8"], "--depths has 2 stages but --dims has 1"),
        (["--depths", "-1", "--dims", "8"], "depths must be at least 0, got -1"),
        (["--batch-size", "1443"], "--batch-size must be at most 1442, the number of images, got 1443"),
        (["--accumulate", "5"], "--batch-size must be a multiple of --accumulate, 5, got 64"),
        (["--patch-size", "5"], "--patch-size 5 and 2 stages leave nothing of 8 px"),
        (["--stem", "overlap", "--patch-size", "3"], "--stem overlap needs --patch-size 1, 2 or 4, got 3"),
        (["--augment", "random"], "--augment must be none, trivial or a RandAugment config; "),
        (["--augment", "rand-m9-x3"], "'x3' in 'rand-m9-x3'"),
        (["--save-minutes", "-1"], "--save-minutes must be at least 0, got -1"),
        (["--config", "nothing.json"], "error: No such file or directory: nothing.json"),
        (["--resume", "nothing"], "nothing"),
        (["--weights", "nothing.safetensors"], "there is no file nothing.safetensors"),
        (["--eval-only"], "best.safetensors"),
        (
            ["--eval-only", "--resume", "auto"],
            "--resume is for training; with --eval-only, pass a weights file with --weights",
        ),
        (["--eval-only", "--weights", "nothing.safetensors"], "there is no file nothing.safetensors"),
        (["--distributed", "--resume", "auto", "--epochs", "0"], "--epochs must be at least 1, got 0"),
    ],
)
def test_wrong_options_are_reported(tmp_path, capsys, arguments, message):
    out = tmp_path / "out"
    with pytest.raises(SystemExit) as caught:
        train.main(["--dataset", "digits", "--out", str(out), *arguments])
    error = capsys.readouterr().err
    assert caught.value.code == 2 and "error: " in error and message in error and error.count("\n") == 1
    assert not out.exists()


def test_an_unwritable_folder_is_reported_before_training(monkeypatch, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    for out in ("file", "file/run"):
        with pytest.raises(SystemExit) as caught:
            train.main([*PLAIN, "--out", str(tmp_path / out)])
        error = capsys.readouterr().err
        message = f"error: --out {tmp_path / out}: {tmp_path / 'file'} is not a folder\n"
        assert caught.value.code == 2 and error.endswith(message) and error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_wrong_checkpoints_are_reported(whole, tmp_path, capsys):
    newest = checkpoint.Manager(whole.out / "checkpoints").latest().path
    (tmp_path / "broken.safetensors").write_bytes((whole.out / "best.safetensors").read_bytes()[:5000])
    lucid.save({"x": lucid.ones(1)}, tmp_path / "other.safetensors")
    checkpoint.Manager(tmp_path / "other").save({"x": 1}, step=1)
    checkpoint.Manager(tmp_path / "other run" / "checkpoints").save({"x": 1}, step=1)
    (tmp_path / "other.json").write_text('{"epochs": 5}')
    weights = ["--eval-only", "--weights"]
    for arguments, message in (
        (["--resume", whole.out / "last.safetensors"], "last.safetensors"),
        (["--resume", tmp_path / "other" / "step-00000001"], "is not a checkpoint of a training run"),
        (["--resume", whole.out], "is not a checkpoint; a checkpoint is a folder such as"),
        (["--resume", newest, "--epochs", "5"], "--epochs 5 contradicts the checkpoint, which has 3"),
        (["--resume", newest, "--config", tmp_path / "other.json"], "--epochs 5 contradicts the checkpoint"),
        (["--resume", newest, "--out", tmp_path / "other run"], "is not a checkpoint of the run in"),
        (["--resume", newest, "--dims", "8", "8"], "--dims 8 8 contradicts the checkpoint, which has 8 16"),
        (
            ["--resume", newest, "--dataset", "cifar10"],
            "--dataset cifar10 contradicts the checkpoint, which has digits",
        ),
        ([*weights, tmp_path / "broken.safetensors"], "is not a complete safetensors file"),
        ([*weights, tmp_path / "other.safetensors"], "was not written by this command"),
        ([*weights, whole.out / "best.safetensors", "--dataset", "cifar10"], "--dataset cifar10 contradicts"),
    ):
        with pytest.raises(SystemExit) as caught:
            train.main(["--out", str(tmp_path / "out"), *map(str, arguments)])
        error = capsys.readouterr().err
        assert caught.value.code == 2 and message in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists() and files_in(tmp_path / "other run") == ["checkpoints"]


def test_a_diverging_loss_ends_the_run(tmp_path, capsys):
    assert train.main([*PLAIN, "--lr", "1e30", "--out", str(tmp_path)]) == 1
    assert "Loss became NaN or infinite in epoch 1; try a lower --lr" in capsys.readouterr().err
    assert files_in(tmp_path) == []


# CIFAR ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_a_failed_download_says_what_to_do(tmp_path, capsys, name):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        mirror = f"http://127.0.0.1:{listener.getsockname()[1]}"
    folder = tmp_path / "archives"
    places = ["--mirror", mirror, "--data-dir", str(folder), "--out", str(tmp_path / "out")]
    assert train.main(["--dataset", name, *places]) == 1
    archive = "cifar-10-binary.tar.gz" if name == "cifar10" else "cifar-100-binary.tar.gz"
    output, errors = capsys.readouterr()
    assert output == ""
    [line] = errors.splitlines()
    assert f"cannot download {mirror}/{archive}" in line and f"copy {archive} to {folder} from another machine" in line
    assert line.endswith("; --dataset digits needs no download")
    assert not (tmp_path / "out").exists() and files_in(folder) == []
    (folder / archive).write_text("half")  # an incomplete copy
    assert train.main(["--dataset", name, *places]) == 1
    assert f"{folder / archive} is damaged or incomplete: md5 " in capsys.readouterr().err


def draw_archive(monkeypatch, folder, kind, train_count, test_count):
    """Write an archive in the official format, with few records."""
    names = [f"data_batch_{i}.bin" for i in range(1, 6)] if kind is data.CIFAR10 else ["train.bin"]
    sizes = {name: train_count // len(names) for name in names}
    tests = {"test_batch.bin" if kind is data.CIFAR10 else "test.bin": test_count}
    monkeypatch.setattr(kind, "train_files", sizes)
    monkeypatch.setattr(kind, "test_files", tests)
    folder.mkdir(exist_ok=True)
    path = folder / kind.filename
    write_archive(path, {**sizes, **tests}, kind.base_folder, fine=kind is data.CIFAR100)
    monkeypatch.setattr(kind, "md5", md5_of(path))


@pytest.mark.parametrize(("name", "kind"), [("cifar10", data.CIFAR10), ("cifar100", data.CIFAR100)])
def test_an_archive_in_the_data_folder_is_used(monkeypatch, tmp_path, capsys, name, kind):
    draw_archive(monkeypatch, tmp_path, kind, 40, 13)
    arguments = ["--dataset", name, "--data-dir", str(tmp_path), "--out", str(tmp_path / "out"), "--epochs", "1"]
    assert train.main([*arguments, "--depths", "1", "--dims", "8", "--patch-size", "4", "--batch-size", "16"]) == 0
    shown = capsys.readouterr().out
    assert f"{kind.__name__}(train: 40 images (3, 32, 32), {len(kind.classes)} classes)" in shown
    assert files_in(tmp_path / "out") == RESULTS
    assert lucid.load(tmp_path / "out" / "last.safetensors")["head.weight"].shape == (len(kind.classes), 8)


def test_drawn_shapes_are_downloaded_and_learned(monkeypatch, tmp_path):
    """Everything on synthetic data: download, checksum, a small strong recipe, report."""
    draw_archive(monkeypatch, tmp_path / "server", data.CIFAR10, 3000, 500)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=tmp_path / "server")
    monkeypatch.setattr(handler.func, "log_message", lambda *_: None)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        mirror = f"http://127.0.0.1:{server.server_port}"
        smaller = "--stem patch --patch-size 4 --depths 2 --dims 24 --batch-size 30 --epochs 4 --warmup-epochs 1"
        milder = "--augment none --color-jitter 0.3 --mixup 0 --cutmix 0 --erasing 0 --crop-padding 2 --drop-path 0"
        quicker = "--lr 8e-3 --layer-scale-init 1 --ema 0.95"
        arguments = ["--recipe", "strong", *f"{smaller} {milder} {quicker}".split(), "--mirror", mirror]
        out = tmp_path / "out"
        assert train.main([*arguments, "--data-dir", str(tmp_path / "data"), "--out", str(out)]) == 0
        server.shutdown()
    assert (tmp_path / "data" / "cifar-10-binary.tar.gz").exists() and len(SHAPES) == 10
    assert history_of(out)[-1]["test_accuracy"] > 0.95
    assert "test images are right." in (out / "report.html").read_text()


# Several processes ----------------------------------------------------------------------------------------------------


@needs_launcher
def test_two_processes_train_like_one(tmp_path):
    arguments = [*PLAIN, "--optimizer", "sgd", "--lr", "0.1", "--epochs", "2", "--out"]
    assert train.main([*arguments, str(tmp_path / "one")]) == 0
    [(code, output, errors)] = launch(2, command(*arguments, tmp_path / "two", "--distributed"))
    assert code == 0, errors
    assert output.count("of the test images are right") == 1  # only one of them prints
    one, two = (last_weights(tmp_path / name) for name in ("one", "two"))
    for name, array in one.items():
        np.testing.assert_allclose(two[name], array, atol=2e-5, err_msg=name)
    rows = [history_of(tmp_path / name)[-1] for name in ("one", "two")]
    for column in ("train_loss", "train_accuracy", "test_loss", "test_accuracy"):
        assert rows[0][column] == pytest.approx(rows[1][column], abs=1e-4)
    # Each has evaluated half of the images; the report covers all of them.
    reports = [(tmp_path / name / "report.html").read_text() for name in ("one", "two")]
    for part in (r"<title>[^<]* predicted as [^<]*</title>", r'src="data:image/png;base64,[^"]*"'):
        one, two = (re.findall(part, report) for report in reports)
        assert one == two and len(one) > 10
    # A checkpoint of two processes cannot be resumed by one.
    with warnings.catch_warnings(), pytest.raises(SystemExit):
        train.main(["--resume", "auto", "--out", str(tmp_path / "two")])


# Version 0.1.0 --------------------------------------------------------------------------------------------------------

# The folder of a run that examples/train_cifar10.py of version 0.1.0 was stopped in, at step 8 of 15, and the history
# that it would have had:
#   --dataset digits --depths 1 --dims 4 --patch-size 4 --batch-size 256 --warmup-epochs 1 --epochs 3 --drop-path 0
#   --lr 0.01 --mixup 0.2 --ema 0.8 --amp float16
RECORDED = Path(__file__).parent / "recorded_run"


def test_a_run_of_the_first_version_resumes(tmp_path, capsys):
    shutil.copytree(RECORDED / "checkpoints", tmp_path / "checkpoints")
    with pytest.raises(SystemExit):
        train.main([*DIGITS, "--out", str(tmp_path)])
    assert "contains an unfinished run, stopped after 1 of 3 epochs" in capsys.readouterr().err
    assert train.main(["--resume", "--out", str(tmp_path)]) == 0
    with (RECORDED / "whole_history.csv").open(newline="") as file:
        expected = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    found = history_of(tmp_path)
    assert list(found[0]) == COLUMNS == list(expected[0])
    for row, other in zip(without_times(found), without_times(expected), strict=True):
        assert row == pytest.approx(other, rel=1e-3, abs=0.01)  # CPUs round differently


def test_weights_of_the_first_version_are_evaluated(capsys):
    assert train.main(["--eval-only", "--weights", str(RECORDED / "last.safetensors")]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert float(last.partition("%")[0]) == pytest.approx(33.52, abs=1)  # those of the first epoch
    model = models.from_checkpoint(RECORDED / "last.safetensors")
    assert model.class_names == list("0123456789") and model.preprocessing.image_size == 8
