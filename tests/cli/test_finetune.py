"""``lucid finetune`` end to end: unreadable files, its output, freezing, resuming, and errors."""

import csv
import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import lucid
from lucid import models
from lucid.serialization import load_with_metadata

pytest.importorskip("PIL", reason="images are read with Pillow")
pytest.importorskip("matplotlib", reason="curves are drawn with matplotlib")
pytest.importorskip("tqdm", reason="progress is shown with tqdm")

from lucid.cli import classify, finetune
from lucid.training import trainer
from tests.distributed.launching import launch, needs_launcher
from tests.training.drawn_photos import CLASSES, copy_photos, write_photos, write_weights

RESULTS = [
    "best.json", "best.safetensors", "checkpoints", "curves.png", "history.csv", "last.safetensors", "report.html",
    "skipped.csv", "split.csv",
]  # fmt: skip
# Settings with which a small network learns quickly.
TINY = [
    "--augment", "none", "--erasing", "0", "--drop-path", "0", "--layer-decay", "1", "--label-smoothing", "0",
    "--head-init-scale", "1", "--lr", "4e-3", "--batch-size", "8", "--min-crop", "0.5", "--image-size", "32",
]  # fmt: skip


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_weights(tmp_path_factory.mktemp("weights") / "tiny.safetensors", 48)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """300 photos of three classes, 20 of them broken."""
    root = tmp_path_factory.mktemp("photos")
    write_photos(root)
    return root


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """30 photos of three classes, and the 20 broken ones."""
    root = tmp_path_factory.mktemp("few")
    write_photos(root, 30)
    return root


def command(*arguments):
    return [sys.executable, "-W", "error", "-m", "lucid", "finetune", *map(str, arguments)]


def files_in(folder):
    return sorted(path.name for path in folder.iterdir() if path.name != "events")


def rows_of(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def everything_in(root):
    return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in root.rglob("*") if path.name != ".lock"}


# A folder of 300 photos -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(photos, weights, tmp_path_factory):
    out, before = tmp_path_factory.mktemp("whole") / "run", everything_in(photos)
    arguments = command(photos, "--weights", weights, "--out", out, "--epochs", 8, "--seed", 1, *TINY)
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert everything_in(photos) == before  # nothing was moved or written
    return SimpleNamespace(out=out, stdout=done.stdout, stderr=done.stderr)


def test_photos_are_learned(whole):
    assert files_in(whole.out) == RESULTS
    history = rows_of(whole.out / "history.csv")
    best = max(float(row["val_accuracy"]) for row in history)
    assert len(history) == 8 and best > 0.95 and float(history[-1]["val_accuracy"]) > 0.95
    assert f"({best:.2%} in epoch " in whole.stdout
    assert f"lucid classify PHOTO --model {whole.out / 'best.safetensors'}" in whole.stdout.splitlines()[-1]


def test_unreadable_photos_are_reported_with_reasons(whole, photos):
    skipped = {row["path"]: row["reason"] for row in rows_of(whole.out / "skipped.csv")}
    broken = sorted(str(path.relative_to(photos)) for path in photos.rglob("broken *"))
    assert sorted(skipped) == broken and len(broken) == 20 and all(skipped.values())
    for path, reason in skipped.items():
        assert f"{photos / path}: skipped, cannot be read: {reason}" in whole.stderr
    assert len(set(skipped.values())) > 8  # they are broken in different ways
    assert f"20 images cannot be read; see {whole.out / 'skipped.csv'}" in whole.stderr
    assert "1 other file is not an image" in whole.stdout


def test_every_class_is_split(whole, photos):
    split = rows_of(whole.out / "split.csv")
    assert {row["path"] for row in split} == {str(path.relative_to(photos)) for path in photos.rglob("[0-9]*")}
    counts = {(name, part): 0 for name in CLASSES for part in ("train", "val")}
    for row in split:
        assert row["path"].split(os.sep)[0] == row["class"]
        counts[row["class"], row["part"]] += 1
    assert len(split) == 280 and [counts[name, "val"] for name in CLASSES] == [19, 19, 19]
    assert "223 training and 57 validation images, 3 classes: balls, fences, stairs" in whole.stdout


def test_the_report_shows_photos_by_name(whole):
    text = (whole.out / "report.html").read_text(encoding="utf-8")
    right = max(round(float(row["val_accuracy"]) * 57) for row in rows_of(whole.out / "history.csv"))
    assert f"{right} of 57 val images are right." in text
    assert text.count("data:image/png;base64,") == 2 * (57 - right) + 8  # mistakes with heat maps, and training images
    assert text.count('alt="heat map for ') == 57 - right
    assert "20 unreadable" in text and text.count(".jpg</span>") + text.count(".png</span>") <= 57 - right


def test_the_result_classifies(whole, photos, capsys):
    val = [row for row in rows_of(whole.out / "split.csv") if row["part"] == "val"]
    paths = [str(photos / row["path"]) for row in val]
    assert classify.main([*paths, "--model", str(whole.out / "best.safetensors"), "--json"]) == 0
    output = capsys.readouterr()
    found = [json.loads(line)["predictions"][0]["class"] for line in output.out.splitlines()]
    right = np.mean([one == row["class"] for one, row in zip(found, val, strict=True)])
    best = max(float(row["val_accuracy"]) for row in rows_of(whole.out / "history.csv"))
    assert abs(right - best) < 2 / 57  # large JPEGs were decoded smaller in training
    assert "3 classes" in output.err and "32x32 px" in output.err


def test_the_weights_describe_themselves(whole, weights):
    tensors, metadata = load_with_metadata(whole.out / "best.safetensors")
    assert json.loads(metadata["classes"]) == CLASSES and metadata["model"] == "tiny"
    preprocessing = json.loads(metadata["preprocessing"])
    assert (preprocessing["image_size"], preprocessing["resize_size"]) == (32, 32)
    assert preprocessing["mean"] == [0.5] * 3 and preprocessing["crop_mode"] == "center"
    assert json.loads(metadata["settings"])["weights"] == str(weights)
    assert tensors["head.weight"].shape == (3, 64)


def test_eval_only_evaluates_the_best_weights(whole, photos, few, capsys):
    before = everything_in(whole.out)
    assert finetune.main([str(photos), "--out", str(whole.out), "--eval-only"]) == 0
    best = max(float(row["val_accuracy"]) for row in rows_of(whole.out / "history.csv"))
    lines = capsys.readouterr().out.splitlines()
    assert (
        f"{best:.2%} of the val images are right" in lines[-1] and [line.split()[0] for line in lines[-4:-1]] == CLASSES
    )
    # Other images of the same classes, too few for a batch.
    assert finetune.main([str(few), "--weights", str(whole.out / "best.safetensors"), "--eval-only"]) == 0
    plain = capsys.readouterr().out
    assert "24 training and 6 validation images" in plain
    views = ["--weights", str(whole.out / "best.safetensors"), "--eval-only", "--tta", "five_crop"]
    assert finetune.main([str(few), *views]) == 0
    assert capsys.readouterr().out.rpartition("loss")[2] != plain.rpartition("loss")[2]
    assert everything_in(whole.out) == before


# Where training starts ------------------------------------------------------------------------------------------------


def train(folder, out, *arguments):
    """Train one epoch; by default a batch holds all photos."""
    return finetune.main([str(folder), "--out", str(out), "--epochs", "1", *map(str, arguments)])


def test_the_next_epoch_is_loaded_during_evaluation(few, weights, tmp_path, monkeypatch):
    begun, evaluate = [], trainer.Trainer.evaluate
    monkeypatch.setattr(trainer.Trainer, "evaluate", lambda one: begun.append(one.batches) or evaluate(one))
    assert finetune.main([str(few), "--weights", str(weights), "--out", str(tmp_path), "--epochs", "3"]) == 0
    assert [one is not None for one in begun] == [True, True, False]
    assert begun[0] is not begun[1]


@pytest.mark.parametrize(
    ("freeze", "kept"),
    [
        ("backbone", lambda name: not name.startswith("head.")),
        ("1", lambda name: name.startswith(("downsample_layers.0.", "stages.0."))),
        ("3", lambda name: not name.startswith(("norm.", "head."))),
    ],
)
def test_frozen_parts_do_not_change(few, weights, tmp_path, freeze, kept):
    assert train(few, tmp_path, "--weights", weights, "--freeze", freeze) == 0
    before, after = lucid.load(weights), lucid.load(tmp_path / "last.safetensors")
    for name, tensor in after.items():
        same = tensor.shape == before[name].shape and np.array_equal(tensor.numpy(), before[name].numpy())
        assert same == kept(name), name


def test_presets_depend_on_freeze_and_pretrained(capsys):
    for arguments, lr, decay in (
        ([], 5e-4, 0.8),
        (["--freeze", "backbone"], 2e-3, 1.0),
        (["--no-pretrained"], 1e-3, 1),
    ):
        assert finetune.main(["photos", "--print-config", *arguments]) == 0
        found = json.loads(capsys.readouterr().out)
        assert (found["lr"], found["layer_decay"]) == (lr, decay)


def test_a_variant_is_trained_from_scratch(few, tmp_path, capsys):
    options = ["--no-pretrained", "--model", "convnextv2_atto", "--image-size", "32", "--batch-size", "24"]
    assert train(few, tmp_path, *options) == 0
    assert "convnextv2_atto with 3," in capsys.readouterr().out
    tensors, metadata = load_with_metadata(tmp_path / "best.safetensors")
    assert tensors["head.weight"].shape == (3, 320) and metadata["model"] == "convnextv2_atto"
    assert "stages.0.0.grn.gamma" in tensors


def test_fine_tuned_weights_can_be_fine_tuned(few, whole, tmp_path):
    """The same classes: the classifier is kept. Others: a new one."""
    weights = whole.out / "best.safetensors"
    options = ["--weights", weights, "--batch-size", "8", "--lr", "0", "--min-lr", "0"]
    assert train(few, tmp_path / "same", *options) == 0
    assert float(rows_of(tmp_path / "same" / "history.csv")[0]["val_accuracy"]) > 0.8
    for name in CLASSES:
        shutil.copytree(few / name, tmp_path / "photos" / f"my {name}")
    assert train(tmp_path / "photos", tmp_path / "other", *options) == 0
    before, after = (lucid.load(path)["head.weight"].numpy() for path in (weights, tmp_path / "other/last.safetensors"))
    assert abs(after).max() < 2e-4 < 0.02 < abs(before).max()  # new, times head_init_scale


def test_distillation_and_balanced_classes(few, weights, tmp_path, capsys):
    """A model learns from another one, and is evaluated without it."""
    teacher = tmp_path / "teacher.safetensors"
    wider = models.ConvNeXt(3, (1, 1), (8, 24), patch_size=2)
    models.save_checkpoint(wider, teacher, class_names=CLASSES, preprocessing=models.ImageTransform(24, 24))
    options = ["--weights", weights, "--teacher", teacher, "--distill-weight", "0.8", "--distill-features", "1"]
    assert train(few, tmp_path / "a", *options, "--balance", "weights", *TINY) == 0
    metadata = load_with_metadata(tmp_path / "a" / "best.safetensors")[1]
    settings = json.loads(metadata["settings"])
    assert (settings["teacher"], settings["distill_weight"], settings["balance"]) == (str(teacher), 0.8, "weights")
    assert "the part of the teacher" in (tmp_path / "a" / "report.html").read_text(encoding="utf-8")
    assert finetune.main([str(few), "--out", str(tmp_path / "a"), "--eval-only"]) == 0
    assert train(few, tmp_path / "b", "--weights", weights, "--balance", "sampling", *TINY) == 0
    capsys.readouterr()
    shutil.copytree(few / "balls", tmp_path / "photos" / "balls")
    shutil.copytree(few / "fences", tmp_path / "photos" / "planes")
    fault = answer(capsys, tmp_path / "photos", "--out", tmp_path / "c", *options)
    assert f"--teacher {teacher} has no class planes; --distill-weight 0" in fault
    fault = answer(capsys, few, "--out", tmp_path / "c", "--weights", weights, "--distill-temperature", "3")
    assert "--distill-temperature needs --teacher" in fault
    fault = answer(capsys, few, "--out", tmp_path / "c", "--teacher", teacher, "--distill-weight", "0")
    assert "--teacher has no effect with --distill-weight 0 and --distill-features 0" in fault


# Folders --------------------------------------------------------------------------------------------------------------


def test_class_names_may_be_anything(few, weights, tmp_path, capsys):
    copy_photos(few, tmp_path, {'кот, или "кошка"': ("balls", 10), "狗": ("fences", 10)})
    try:
        os.rename(tmp_path / "狗", os.fsencode(tmp_path) + b"/dog\xff")  # not UTF-8
    except OSError:
        pytest.skip("this file system takes names in UTF-8 only")
    out = tmp_path.with_name(f"{tmp_path.name} out")
    assert train(tmp_path, out, "--weights", weights) == 0
    assert json.loads(load_with_metadata(out / "best.safetensors")[1]["classes"]) == ["dog\\xff", 'кот, или "кошка"']
    assert {row["class"] for row in rows_of(out / "split.csv")} == {"dog\\xff", 'кот, или "кошка"'}
    assert "dog\\xff" in capsys.readouterr().out


# Interrupted and resumed ----------------------------------------------------------------------------------------------

# The command, sending itself a signal at the beginning of step 5, in the middle of the second epoch.
SIGNALLING = """
import os, runpy, signal, sys

def watch(frame, event, argument):
    if event == "call" and frame.f_code.co_name == "step" and frame.f_code.co_filename.endswith("trainer.py"):
        watch.calls += 1
        if watch.calls == 5:
            sys.setprofile(None)
            os.kill(os.getpid(), getattr(signal, name))

watch.calls = 0
name, *sys.argv[1:] = sys.argv[1:]
sys.setprofile(watch)
runpy.run_module("lucid", run_name="__main__")
"""
RANDOM = ["--epochs", "3", "--batch-size", "8", "--lr", "1e-3", "--image-size", "32", "--drop-path", "0.2"]


@pytest.fixture(scope="module")
def short(few, weights, tmp_path_factory):
    """A run of 3 epochs of 3 steps with everything random, without interruption."""
    out = tmp_path_factory.mktemp("short")
    done = subprocess.run(command(few, "--weights", weights, "--out", out, *RANDOM), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out


@pytest.mark.parametrize(("signal", "code"), [("SIGTERM", 143), ("SIGKILL", -9)])
def test_an_interrupted_and_resumed_run_ends_the_same(short, few, weights, tmp_path, signal, code):
    out = tmp_path / "run"
    arguments = command(few, "--weights", weights, "--out", out, *RANDOM)
    stopped = subprocess.run(
        [sys.executable, "-W", "error", "-c", SIGNALLING, signal, *arguments[5:]], capture_output=True, text=True
    )
    assert stopped.returncode == code, stopped.stderr
    assert finetune.main([str(few), "--out", str(out), "--resume", "auto"]) == 0
    for name in ("best.safetensors", "last.safetensors", "split.csv", "skipped.csv"):
        assert (out / name).read_bytes() == (short / name).read_bytes()
    columns = ("epoch", "lr", "train_loss", "train_accuracy", "val_loss", "val_accuracy")
    rows = [[[row[name] for name in columns] for row in rows_of(one / "history.csv")] for one in (out, short)]
    assert rows[0] == rows[1] and files_in(out) == RESULTS


def answer(capsys, *arguments):
    """The error line of a command that fails with exit code 2."""
    with pytest.raises(SystemExit) as caught:
        finetune.main(list(map(str, arguments)))
    *remarks, last = capsys.readouterr().err.splitlines()
    assert caught.value.code == 2 and ": error: " in last and not remarks
    return last


def test_changed_photos_are_refused(short, few, tmp_path, capsys):
    shutil.copytree(few, tmp_path / "photos")
    shutil.copytree(short, tmp_path / "run")
    arguments = [tmp_path / "photos", "--out", tmp_path / "run", "--resume", "auto"]
    assert finetune.main(list(map(str, arguments))) == 0  # moved photos are the same
    gone = sorted((tmp_path / "photos" / "balls").glob("[0-9]*"))[0]
    capsys.readouterr()
    gone.unlink()
    assert "have changed since the run in" in answer(capsys, *arguments)
    # A new split would evaluate the model on images that it was trained on.
    testing = [tmp_path / "photos", "--out", tmp_path / "run", "--eval-only"]
    assert "pass --weights to evaluate on these" in answer(capsys, *testing)
    shutil.move(tmp_path / "photos" / "fences", tmp_path / "photos" / "walls")
    assert "have changed since the run in" in answer(capsys, *arguments)


def test_an_unfinished_run_is_not_overwritten_by_mistake(short, few, weights, tmp_path, capsys):
    shutil.copytree(short, tmp_path / "run")
    for path in (tmp_path / "run" / "checkpoints").iterdir():
        if path.is_dir() and "step-00000003" not in path.name:  # the first of three epochs
            shutil.rmtree(path)
    arguments = [few, "--weights", weights, "--out", tmp_path / "run", "--epochs", 1]
    assert "already contains an unfinished run, stopped after 1 of 3 epochs; pass --resume or --overwrite" in answer(
        capsys, *arguments
    )
    assert finetune.main([*map(str, arguments), "--overwrite"]) == 0
    assert len(rows_of(tmp_path / "run" / "history.csv")) == 1


@needs_launcher
def test_two_processes_train_together(few, weights, tmp_path, capsys):
    arguments = command(few, "--weights", weights, "--out", tmp_path / "run", *RANDOM, "--distributed")
    [(code, output, errors)] = launch(2, arguments)
    assert code == 0 and "Traceback" not in errors, errors
    for words in ("24 training and 6 validation images", "of the val images are right", "lucid classify PHOTO"):
        assert output.count(words) == 1  # only one of them prints
    history = rows_of(tmp_path / "run" / "history.csv")
    assert len(history) == 3 and files_in(tmp_path / "run") == RESULTS
    # Every validation image is counted once, whichever process evaluates it.
    assert finetune.main([str(few), "--out", str(tmp_path / "run"), "--eval-only"]) == 0
    best = max(float(row["val_accuracy"]) for row in history)
    assert f"{best:.2%} of the val images are right" in capsys.readouterr().out


# Mistakes -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("parts", "message"), [
    ({}, "has no subfolders; expected one folder of images per class"),
    ({"balls": ("balls", 5)}, "has only one class, balls"),
    ({"balls": ("balls", 5), "none": ("balls", 0)}, "has no images of class none"),
    ({"balls": ("balls", 1), "fences": ("fences", 1)}, "there are no images for validation: "),
    ({"balls": ("balls", 9), "fences": ("fences", 9)}, "--batch-size must be at most 14, the number of training"),
    ({"train/balls": ("balls", 3), "train/fences": ("fences", 3), "val/walls": ("fences", 3)}, "train lacks: walls"),
    ({"train/balls": ("balls", 3), "train/fences": ("fences", 3), "val/balls": ("fences", 0)},
     "there are no images for validation: "),
])  # fmt: skip
def test_unusable_folders_are_reported(few, weights, tmp_path, capsys, parts, message):
    (tmp_path / "photos").mkdir()
    copy_photos(few, tmp_path / "photos", parts)
    arguments = [tmp_path / "photos", "--weights", weights, "--out", tmp_path / "out", "--batch-size", 15]
    assert message in answer(capsys, *arguments)
    assert not (tmp_path / "out").exists()


def test_a_class_without_readable_images_is_reported(few, tmp_path, capsys):
    copy_photos(few, tmp_path, {"balls": ("balls", 5), "fences": ("fences", 0)})
    (tmp_path / "fences" / "1.jpg").write_bytes(b"nothing")
    assert "has no readable image of class fences" in answer(capsys, tmp_path)


def test_errors_are_reported_in_one_line(few, weights, short, tmp_path, capsys):
    lucid.save({"x": lucid.ones(1)}, tmp_path / "other.safetensors")
    gray = models.ConvNeXt(10, (1, 1), (4, 8), in_chans=1)
    lucid.save(gray.state_dict(), tmp_path / "gray.safetensors")
    shutil.copytree(short, tmp_path / "run")
    other = tmp_path / "other"
    copy_photos(few, other, {"balls": ("balls", 5), "walls": ("fences", 5)})
    before = everything_in(tmp_path)
    new = ["--out", tmp_path / "new"]
    for arguments, message in (
        ([tmp_path / "nowhere", *new], "there is no folder"),
        ([weights, *new], "there is no folder"),
        ([few, "--model", "convnext_tinny", "--no-pretrained", *new], "convnext_tinny"),
        ([few, "--model", "convnext_tiny.nobody", *new], "convnext_tiny.nobody"),
        ([few, "--weights", tmp_path / "gone.safetensors", *new], "gone.safetensors"),
        ([few, "--weights", tmp_path / "other.safetensors", *new], "it holds no ConvNeXt in any dialect"),
        (
            [few, "--weights", tmp_path / "gray.safetensors", *new],
            "expects 1-channel images, but photos have 3 channels",
        ),
        ([few, "--weights", weights, "--no-pretrained", *new], "--weights and --no-pretrained are mutually exclusive"),
        ([few, "--weights", weights, "--freeze", "4", *new], "--freeze must be at most 3, the number of stages, got 4"),
        ([few, "--freeze", "head", *new], "--freeze must be none, backbone or a number of stages, got head"),
        ([few, "--val-part", "1", *new], "--val-part must be at least 0 and below 1, got 1"),
        ([few, "--val-part", "0", *new], "--val-part must be above 0"),
        ([few, "--epochs", "many", *new], "--epochs"),
        ([few, "--lr", "-1", *new], "--lr must be at least 0"),
        ([few, "--save-minutes", "nan", *new], "--save-minutes must be at least 0, got nan"),
        (
            [few, "--out", tmp_path / "run", "--resume", "auto", "--epochs", "9"],
            "--epochs 9 contradicts the checkpoint",
        ),
        ([few, "--resume", tmp_path / "nowhere", *new], "nowhere"),
        ([few, "--config", tmp_path / "other.safetensors", *new], "not valid JSON"),
        ([few, "--weights", weights, "--image-size", "8", *new], "--image-size must be at least 16 for tiny, got 8"),
        ([tmp_path, "--out", tmp_path / "run"], "--out must not be inside "),
        ([few, "--eval-only", *new], "best.safetensors"),
        (
            [few, "--eval-only", "--resume", "auto", *new],
            "--resume is for training; with --eval-only, pass a weights file",
        ),
        ([few, "--eval-only", "--weights", weights, *new], "was not written by this command"),
        ([few, "--eval-only", "--out", short, "--val-part", "0.5"], "--val-part 0.5 contradicts"),
        ([other, "--eval-only", "--out", short], "was trained on the classes balls, fences, stairs, but"),
        ([few, "--batch-size", "25", *new], "--batch-size must be at most 24, the number of training images"),
        ([few, "--unknown", *new], "unrecognized arguments: --unknown"),
        ([], "the following arguments are required: folder"),
    ):
        assert message in answer(capsys, *arguments)
    assert everything_in(tmp_path) == before


def test_a_failed_download_says_what_to_do(few, tmp_path, capsys, monkeypatch):
    pytest.importorskip("huggingface_hub", reason="weights are downloaded by huggingface_hub")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    assert finetune.main([str(few), "--out", str(tmp_path / "out")]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert "HF_HUB_OFFLINE forbids" in line and line.endswith("--no-pretrained trains from scratch")
    assert not (tmp_path / "out").exists()


def test_a_full_disk_leaves_complete_files(few, weights, tmp_path, capsys, monkeypatch):
    replace = os.replace

    def full(source, target):
        if Path(target).name == "history.csv":
            raise OSError(errno.ENOSPC, "No space left on device", str(target))
        return replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(SystemExit) as caught:
            train(few, tmp_path, "--weights", weights)
    assert caught.value.code == 2 and "No space left on device" in capsys.readouterr().err.splitlines()[-1]
    assert not any(path.name.startswith(".") for path in tmp_path.iterdir())
    assert train(few, tmp_path, "--weights", weights, "--resume", "auto") == 0
    assert files_in(tmp_path) == RESULTS


def test_help_explains_the_command(capsys):
    with pytest.raises(SystemExit) as caught:
        finetune.main(["--help"])
    text = capsys.readouterr().out
    assert caught.value.code == 0
    for word in (
        "lucid classify PHOTO --model runs/photos/best.safetensors",
        "--freeze",
        "--resume auto",
        "skipped.csv",
    ):
        assert word in text
