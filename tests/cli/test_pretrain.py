"""``lucid pretrain`` end to end, and what continues from its weights."""

import csv
import json
import shutil
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from lucid import checkpoint, models
from lucid.cli import finetune, pretrain, train
from tests.cli.test_train import SIGNALLING
from tests.distributed.launching import launch, needs_launcher
from tests.training.drawn_photos import draw

image = pytest.importorskip("matplotlib.image", reason="curves are drawn with matplotlib")
pytest.importorskip("tqdm", reason="progress is shown with tqdm")
pytest.importorskip("sklearn", reason="the digits come with scikit-learn")

COLUMNS = ["epoch", "lr", "train_loss", "test_loss", "images_per_second", "waiting", "seconds"]
RESULTS = [
    "best.json",
    "best.safetensors",
    "checkpoints",
    "curves.png",
    "history.csv",
    "last.safetensors",
    "reconstructions.png",
    "report.html",
]
# A model that learns a little within a second, with 5 steps per epoch and everything that has state.
TINY = ["--depths", "1", "1", "--dims", "8", "16", "--decoder-dim", "16", "--batch-size", "256", "--warmup-epochs", "1"]
DIGITS = ["digits", "--epochs", "3", *TINY, "--drop-path", "0.2", "--ema", "0.8"]


def command(*arguments):
    return [sys.executable, "-W", "error", "-m", "lucid", "pretrain", *map(str, arguments)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run without interruption: its folder and output."""
    out = tmp_path_factory.mktemp("whole")
    done = subprocess.run(command(*DIGITS, "--out", out), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return SimpleNamespace(out=out, stdout=done.stdout, stderr=done.stderr)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Photos of two classes, ten each, in folders for finetune."""
    root, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(3)
    for number in range(20):
        label = ["balls", "fences"][number % 2]
        (root / label).mkdir(exist_ok=True)
        draw(rng, label, (48, 40)).save(root / label / f"{number:02}.png")
    return root


def history_of(out):
    with (out / "history.csv").open(newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def without_times(rows):
    return [{name: row[name] for name in COLUMNS[:-3]} for row in rows]


def files_in(folder):
    return sorted(path.name for path in folder.iterdir() if path.name != "events")


def test_a_run_writes_and_prints_its_results(whole):
    assert files_in(whole.out) == RESULTS
    rows, lines = history_of(whole.out), whole.stdout.splitlines()
    assert list(rows[0]) == COLUMNS and rows[-1]["test_loss"] < rows[0]["test_loss"]
    assert lines[0] == "Digits(train: 1442 images (1, 8, 8), 10 classes)"
    assert lines[1].startswith("ConvNeXtV2 with ") and " and a decoder with " in lines[1]
    assert f"test loss: {rows[-1]['test_loss']:.4f} ({min(row['test_loss'] for row in rows):.4f} in epoch " in lines[5]
    assert lines[6:] == [f"lucid train --dataset digits --weights {whole.out}"] and whole.stderr == ""


def test_the_report_shows_reconstructions(whole):
    text = (whole.out / "report.html").read_text()
    assert text.count("data:image/png;base64,") == 16  # eight reconstructions, and training images
    for part in ("<h2>Reconstructions</h2>", "what the encoder sees", "FCMAE on handwritten digits", "<dd>60%"):
        assert part in text
    pixels = image.imread(whole.out / "reconstructions.png")
    assert pixels.shape == (8 * 96 + 7 * 8, 26 * 12)  # 8x8 px, enlarged 12 times, with gaps of a pixel


def test_eval_only_evaluates_the_best_weights(whole, capsys):
    assert pretrain.main(["digits", "--out", str(whole.out), "--eval-only"]) == 0
    best = min(row["test_loss"] for row in history_of(whole.out))
    assert capsys.readouterr().out.splitlines()[-1] == f"test loss {best:.4f}"
    assert pretrain.main(["digits", "--eval-only", "--weights", str(whole.out / "last.safetensors")]) == 0


def test_an_interrupted_and_resumed_run_ends_the_same(whole, tmp_path):
    out = tmp_path / "run"
    arguments = [sys.executable, "-W", "error", "-c", SIGNALLING, "SIGINT", *command(*DIGITS, "--out", out)[5:]]
    stopped = subprocess.run(arguments, capture_output=True, text=True, timeout=300)
    assert stopped.returncode == 130 and "Stopped in epoch 2; --resume continues from here." in stopped.stderr
    newest = checkpoint.Manager(out / "checkpoints").latest()
    assert (newest.step, newest.epoch) == (8, 1)
    assert pretrain.main(["digits", "--resume", "auto", "--out", str(out), "--epochs", "3"]) == 0
    assert without_times(history_of(out)) == without_times(history_of(whole.out))
    for name in ("best.safetensors", "last.safetensors", "reconstructions.png"):
        assert (out / name).read_bytes() == (whole.out / name).read_bytes()
    assert files_in(out) == RESULTS


@needs_launcher
def test_two_processes_train_together(whole, tmp_path):
    [(code, output, errors)] = launch(2, command(*DIGITS, "--out", tmp_path / "two", "--distributed"))
    assert code == 0 and "Traceback" not in errors, errors
    assert output.count("test loss: ") == 1 and files_in(tmp_path / "two") == RESULTS  # only one of them prints
    # Each has masks of its own, so the losses are near each other, not the same.
    one, two = (history_of(out)[-1]["test_loss"] for out in (whole.out, tmp_path / "two"))
    assert two == pytest.approx(one, rel=0.1)


def test_training_goes_on_from_the_weights(whole, tmp_path, capsys):
    out, start = tmp_path / "run", ["--dataset", "digits", "--out", str(tmp_path / "run")]
    quick = ["--weights", str(whole.out), "--epochs", "2", "--warmup-epochs", "1", "--batch-size", "256"]
    assert train.main([*start, *quick, "--lr", "0", "--drop-path", "0"]) == 0
    model = models.from_checkpoint(out)
    assert type(model) is models.ConvNeXtV2 and (model.depths, model.dims) == ((1, 1), (8, 16))
    with pytest.warns(UserWarning, match="no final norm and classifier"):
        encoder = models.from_checkpoint(whole.out)
    assert encoder.class_names == [] and encoder.preprocessing.image_size == 8
    for name, tensor in encoder.state_dict().items():  # with a learning rate of 0
        np.testing.assert_array_equal(model.state_dict()[name].numpy(), tensor.numpy(), err_msg=name)
    capsys.readouterr()
    assert train.main([*start, "--eval-only"]) == 0
    best = max(row["test_accuracy"] for row in history_of(out))
    assert f"{best:.2%} of the test images are right" in capsys.readouterr().out
    # Resuming does not read the weights again.
    shutil.rmtree(sorted((out / "checkpoints").glob("step-*"))[-1])
    assert train.main([*start, "--resume", "auto"]) == 0 and len(history_of(out)) == 2


def test_photos_are_learned_and_finetuned(photos, tmp_path, capsys):
    out = tmp_path / "pretrain"
    sizes = ["--image-size", "32", "--patch-size", "2", "--batch-size", "8", "--epochs", "2"]
    assert pretrain.main([str(photos), "--out", str(out), *TINY[:8], *sizes, "--warmup-epochs", "1"]) == 0
    output = capsys.readouterr().out
    assert f"{photos}: 18 training and 2 validation images" in output
    assert output.splitlines()[-1] == f"lucid finetune LABELED_PHOTOS --weights {out}"
    assert {"split.csv", "skipped.csv", "reconstructions.png"} <= set(files_in(out))
    assert image.imread(out / "reconstructions.png").shape == (2 * 96 + 8, 98 * 3, 3)
    assert pretrain.main([str(photos), "--out", str(out), "--eval-only"]) == 0
    best = min(row["val_loss"] for row in history_of(out))
    assert capsys.readouterr().out.splitlines()[-1] == f"val loss {best:.4f}"
    tuned = [str(photos), "--weights", str(out), "--out", str(tmp_path / "tuned"), "--epochs", "1"]
    assert finetune.main([*tuned, "--augment", "none", "--batch-size", "8"]) == 0
    model = models.from_checkpoint(tmp_path / "tuned")
    assert model.class_names == ["balls", "fences"] and model.patch_size == 2
    # Another image changes the split.
    draw(np.random.default_rng(0), "balls", (40, 40)).save(photos / "balls" / "new.png")
    with pytest.raises(SystemExit):
        pretrain.main([str(photos), "--out", str(out), "--eval-only"])
    assert "have changed since the run" in capsys.readouterr().err
    (photos / "balls" / "new.png").unlink()


def test_settings_depend_on_the_source(capsys):
    shown = {}
    for arguments in (["digits"], ["cifar10"], ["photos"], ["photos", "--recipe", "paper", "--mask-ratio", "0.7"]):
        assert pretrain.main([*arguments, "--print-config"]) == 0
        shown[" ".join(arguments)] = json.loads(capsys.readouterr().out)
    assert [one["patch_size"] for one in shown.values()] == [1, 2, 4, 4]
    assert shown["photos --recipe paper --mask-ratio 0.7"]["mask_ratio"] == 0.7
    assert pretrain.find_out(pretrain.make_parser().parse_args(["some/photos"])).as_posix() == "runs/pretrain-photos"


def test_options_for_classes_are_not_listed(tmp_path, capsys):
    with pytest.raises(SystemExit):
        pretrain.main(["--help"])
    text = capsys.readouterr().out
    for name in ("balance", "cutmix", "label-smoothing", "mix-switch", "mixup", "test-flip"):
        assert f"--{name} " not in text
    assert "--image-sizes " in text and "--patience " in text and "--mask-ratio " in text
    # Files of earlier versions name all settings, with their defaults.
    assert pretrain.main(["digits", "--print-config"]) == 0
    own = json.loads(capsys.readouterr().out)
    old = {**own, "mixup": 0.0, "mix_switch": 0.5, "balance": "none", "label_smoothing": 0.0, "test_flip": False}
    (tmp_path / "old.json").write_text(json.dumps({**old, "epochs": 7}))
    assert pretrain.main(["digits", "--print-config", "--config", str(tmp_path / "old.json")]) == 0
    assert json.loads(capsys.readouterr().out) == {**own, "epochs": 7}
    resumed = pretrain.choose_settings(pretrain.make_parser().parse_args(["digits"]), old)
    assert json.loads(resumed.to_json()) == own
    (tmp_path / "old.json").write_text(json.dumps({**old, "mixup": 0.5}))
    with pytest.raises(SystemExit):
        pretrain.main(["digits", "--print-config", "--config", str(tmp_path / "old.json")])
    assert "mixup has no effect here and must be 0.0, got 0.5" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "there is no folder nothing"),
        (["digits", "--mask-size", "3"], "--mask-size must be a multiple of the total stride of the encoder, 2 px"),
        (["digits", "--mask-ratio", "0"], "--mask-ratio 0 leaves 16 of 16 squares"),
        (["digits", "--mask-size", "8"], "leaves 0 of 1 squares of 8 px visible"),
        (["digits", "--mixup", "0.5"], "unrecognized arguments: --mixup 0.5"),
        (["digits", "--weights", "nothing.safetensors"], "there is no file nothing.safetensors"),
        (["digits", "--model", "vit"], "there is no model 'vit'"),
        (["digits", "--cache-gb", "-1"], "--cache-gb must be at least 0"),
        (["digits", "--eval-only", "--out", "nothing"], "there is no file nothing/best.safetensors"),
        (["digits", "--image-size", "0"], "--image-size must be at least 1"),
        (["digits", "--out", "taken"], "--out taken: {here}/taken is not a folder"),
        (["digits", "--out", "taken", "--resume"], "--out taken: {here}/taken is not a folder"),
    ],
)
def test_wrong_options_are_reported(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").write_text("")
    with pytest.raises(SystemExit) as stopped:
        pretrain.main(arguments)
    error, message = capsys.readouterr().err, message.format(here=tmp_path)
    assert stopped.value.code == 2 and error.startswith("lucid pretrain: error: ") and message in error


def test_weights_of_another_command_are_refused(whole, tmp_path, capsys):
    arguments = ["--weights", str(whole.out), "--out", str(tmp_path / "run"), "--dataset", "digits"]
    with pytest.raises(SystemExit):
        train.main([*arguments, "--depths", "2", "2", "--epochs", "1"])
    assert "Nothing was loaded" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
