"""``--find-lr`` of the training commands: its suggestion and picture, and that it leaves everything else alone."""

import functools
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("PIL", reason="photos are read with Pillow")
pytest.importorskip("matplotlib", reason="the curve is drawn with matplotlib")
pytest.importorskip("tqdm", reason="progress is shown with tqdm")
pytest.importorskip("sklearn", reason="the digits come with scikit-learn")

from PIL import Image

import lucid
from lucid import checkpoint, models, training
from lucid.cli import _common, finetune, pretrain, segment, train
from lucid.training import small_images
from tests.cli.test_train import SIGNALLING, command
from tests.distributed.launching import launch, needs_launcher
from tests.training.drawn_photos import draw
from tests.training.test_segmentation import write

TINY = ["--depths", "1", "--dims", "4", "--patch-size", "4", "--batch-size", "64", "--epochs", "2"]
DIGITS = ["--dataset", "digits", *TINY, "--drop-path", "0.2", "--ema", "0.8"]
FEW = ["--no-pretrained", "--model", "convnext_atto", "--batch-size", "4", "--epochs", "2"]


@pytest.fixture
def few_steps(monkeypatch):
    monkeypatch.setattr(_common, "find_lr", functools.partial(training.find_lr, steps=12))


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def suggestion_in(output):
    """The option to type, as the command prints it."""
    [found] = re.findall(r"The loss falls fastest around a learning rate of [\d.e-]+: --lr (\de-?\d) \(now", output)
    return found


def test_the_suggestion_is_that_of_the_run(tmp_path, capsys):
    """The command sets up the model, the data and the seed as training does."""
    assert train.main([*DIGITS, "--find-lr", "--seed", "3", "--out", str(tmp_path)]) == 0
    output = capsys.readouterr().out
    settings = train.choose_settings(train.make_parser().parse_args([*DIGITS, "--seed", "3"]), None)
    trainer = small_images.make_trainer(settings, *small_images.load_datasets("digits", tmp_path, None))
    curve = training.find_lr(trainer)
    assert f"around a learning rate of {curve.suggestion:.2g}: --lr " in output
    assert float(suggestion_in(output)) == float(f"{curve.suggestion:.1g}")
    assert output.endswith(f"(now {settings.lr:g})\nCurve: {tmp_path / 'find-lr.png'}\n")
    assert list(contents(tmp_path)) == ["find-lr.png"]
    with Image.open(tmp_path / "find-lr.png") as picture:
        assert picture.format == "PNG" and picture.size == (910, 520)


def test_an_unfinished_run_in_the_folder_is_left_alone(few_steps, tmp_path, capsys):
    assert train.main([*DIGITS, "--out", str(tmp_path)]) == 0
    shutil.rmtree(checkpoint.Manager(tmp_path / "checkpoints").latest().path)
    with pytest.raises(SystemExit):
        train.main([*DIGITS, "--out", str(tmp_path)])
    assert "contains an unfinished run" in capsys.readouterr().err
    before = contents(tmp_path)
    assert train.main([*DIGITS, "--seed", "1", "--find-lr", "--out", str(tmp_path)]) in (0, 1)
    after = contents(tmp_path)
    assert after.pop("find-lr.png") and after == before
    assert train.main(["--resume", "--out", str(tmp_path)]) == 0


@pytest.mark.parametrize(
    "options",
    [
        ["--amp", "float16", "--accumulate", "4"],
        ["--amp", "--optimizer", "muon", "--layer-decay", "0.7"],
        ["--image-sizes", "4", "8", "--mixup", "0.2", "--balance", "sampling", "--batch-size", "1000"],
    ],
)
def test_settings_of_the_step(few_steps, tmp_path, options):
    assert train.main([*DIGITS, *options, "--find-lr", "--out", str(tmp_path)]) in (0, 1)
    assert list(contents(tmp_path)) == ["find-lr.png"]


@pytest.mark.parametrize("name", ["finetune", "pretrain", "segment train"])
def test_other_commands(few_steps, tmp_path, capsys, name):
    """On fewer images than steps."""
    folder, out, rng = tmp_path / "photos", tmp_path / "out", np.random.default_rng(0)
    if name == "segment train":
        write(folder, [f"{i}" for i in range(8)])
        code = segment.main(
            ["train", str(folder), *FEW, "--find-lr", "--crop-size", "32", "--channels", "8", "--out", str(out)]
        )
    else:
        for number in range(12):
            label = ["balls", "fences"][number % 2]
            (folder / label).mkdir(parents=True, exist_ok=True)
            draw(rng, label, (40, 40)).save(folder / label / f"{number}.png")
        main, options = (finetune.main, FEW) if name == "finetune" else (pretrain.main, ["--patch-size", "2", *FEW[3:]])
        code = main([str(folder), *options, "--find-lr", "--image-size", "32", "--out", str(out)])
    assert code in (0, 1)
    assert list(contents(out)) == ["find-lr.png"]
    assert capsys.readouterr().out.endswith(f"Curve: {out / 'find-lr.png'}\n")  # and no command to continue with


@pytest.mark.parametrize(("signal", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_an_interrupted_search_leaves_nothing(tmp_path, monkeypatch, signal, code):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    arguments = command(*DIGITS, "--find-lr", "--out", tmp_path / "out")[5:]
    stopped = subprocess.run(
        [sys.executable, "-W", "error", "-c", SIGNALLING, signal, *arguments],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert stopped.returncode == code
    assert stopped.stderr == ("\nInterrupted.\n" if signal == "SIGINT" else "")
    assert [path.name for path in tmp_path.rglob("*")] == ["temporary"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--resume"], "leave out --resume"),
        (["--overwrite"], "leave out --overwrite"),
        (["--eval-only"], "--find-lr neither continues, replaces nor evaluates a run; leave out --eval-only"),
        (["--eval-only", "--print-config"], "leave out --eval-only"),
        (["--lr", "0"], "--lr must be above 0 for --find-lr: "),
    ],
)
def test_options_that_make_no_sense_with_it(tmp_path, capsys, options, message):
    with pytest.raises(SystemExit) as caught:
        train.main([*DIGITS, "--find-lr", *options, "--out", str(tmp_path / "out")])
    error = capsys.readouterr().err
    assert caught.value.code == 2 and message in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_the_settings_are_those_of_training(capsys):
    shown = []
    for more in ([], ["--find-lr"]):
        assert train.main([*DIGITS, *more, "--print-config"]) == 0
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1]


def test_a_loss_that_is_nan_from_the_start(few_steps, tmp_path, capsys):
    model = models.ConvNeXt(10, (1,), (4,), in_chans=1, patch_size=4)
    state = {name: lucid.full_like(tensor, float("nan")) for name, tensor in model.state_dict().items()}
    lucid.save(state, tmp_path / "nan.safetensors")
    arguments = ["--weights", str(tmp_path / "nan.safetensors"), "--find-lr", "--out", str(tmp_path / "out")]
    assert train.main([*DIGITS, *arguments]) == 1
    assert capsys.readouterr().err == "Loss is NaN or infinite at the lowest learning rate, 1e-06\n"
    assert not (tmp_path / "out").exists()


def test_a_loss_that_never_falls(monkeypatch, tmp_path, capsys):
    losses = np.linspace(1, 2, 10)
    curve = training.LRCurve(np.geomspace(1e-6, 1, 10), losses, losses)
    monkeypatch.setattr(_common, "find_lr", lambda trainer, progress: curve)
    assert train.main([*DIGITS, "--find-lr", "--out", str(tmp_path)]) == 1
    assert capsys.readouterr().err == "The loss falls at no learning rate from 1e-06 to 1\n"
    assert list(contents(tmp_path)) == ["find-lr.png"]


def test_a_picture_that_cannot_be_written(few_steps, tmp_path, capsys):
    Path(tmp_path / "file").write_text("")
    with pytest.raises(SystemExit) as caught:
        train.main([*DIGITS, "--find-lr", "--out", str(tmp_path / "file")])
    assert caught.value.code == 2 and f"{tmp_path / 'file'} is not a folder" in capsys.readouterr().err
    assert list(contents(tmp_path)) == ["file"]


# The command with fewer steps, printing the curve of each process.
SHOWING = """
import sys
from lucid import cli, training
from lucid.cli import _common

def find_lr(trainer, progress):
    curve = training.find_lr(trainer, steps=30, progress=progress)
    print("losses", *curve.losses.tolist(), flush=True)
    return curve

_common.find_lr = find_lr
sys.exit(cli.main(sys.argv[1:]))
"""


@needs_launcher
def test_two_processes_find_what_one_does(tmp_path):
    plain = ["--dataset", "digits", *TINY, "--drop-path", "0", "--crop-padding", "0", "--optimizer", "sgd", "--find-lr"]
    program = [sys.executable, "-W", "error", "-c", SHOWING, "train", *plain, "--out"]
    one = subprocess.run([*program, tmp_path / "one"], capture_output=True, text=True, timeout=300)
    assert one.returncode == 0, one.stderr
    [(code, output, errors)] = launch(2, [*program, tmp_path / "two", "--distributed"])
    assert code == 0, errors
    expected, *curves = (
        [float(word) for word in line.split()[1:]]
        for line in f"{one.stdout}{output}".splitlines()
        if line.startswith("losses")
    )
    assert len(curves) == 2 and curves[0] == curves[1] and len(expected) > 20
    np.testing.assert_allclose(curves[0], expected, rtol=1e-4)
    assert suggestion_in(output) == suggestion_in(one.stdout) and output.count("Curve: ") == 1
    assert list(contents(tmp_path / "two")) == ["find-lr.png"]
