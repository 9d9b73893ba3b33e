"""``lucid segment`` end to end: training, resuming, evaluating, predicting, and errors."""

import csv
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("PIL", reason="images are read with Pillow")
pytest.importorskip("matplotlib", reason="curves are drawn with matplotlib")
pytest.importorskip("tqdm", reason="progress is shown with tqdm")

from PIL import Image

import lucid
from lucid import data, models
from lucid.cli import segment
from tests.distributed.launching import launch, needs_launcher
from tests.training.test_segmentation import write

TINY = [
    "--no-pretrained", "--model", "convnext_atto", "--crop-size", "32", "--channels", "8", "--batch-size", "4",
    "--epochs", "2", "--warmup-epochs", "0",
]  # fmt: skip


PALETTE = [(10, 20, 30), (250, 200, 0), (0, 90, 250)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "tiles"
    write(root, [f"{i}" for i in range(8)], palette=PALETTE)
    (root / "classes.txt").write_text("ground\nwater\nsky\n", encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def run(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "tiles"
    assert segment.main(["train", str(folder), *TINY, "--out", str(out)]) == 0
    return out


@pytest.fixture(autouse=True)
def same_device():
    device = lucid.get_default_device()
    yield
    lucid.set_default_device(device)


def rows_of(run):
    return list(csv.DictReader((run / "history.csv").read_text(encoding="utf-8").splitlines()))


def test_a_run_has_all_results(run):
    expected = {"best.safetensors", "last.safetensors", "history.csv", "curves.png", "report.html", "split.csv"}
    assert expected <= {one.name for one in run.iterdir()}
    rows = rows_of(run)
    assert len(rows) == 2 and {"train_loss", "val_loss", "val_mean_iou", "val_accuracy"} <= set(rows[0])


def test_a_killed_run_ends_as_if_it_had_not_been(folder, run, tmp_path):
    """After one epoch and a resume the weights are bit for bit those of the whole run."""
    words = ["train", str(folder), *TINY, "--out", str(tmp_path)]
    program = f"""
import os
from lucid.cli import segment
from lucid.training.trainer import Trainer
save = Trainer._row
def row(self, *args):
    if len(self.history) == 1:
        os._exit(9)
    return save(self, *args)
Trainer._row = row
segment.main({words!r})
"""
    assert subprocess.run([sys.executable, "-c", program], timeout=300).returncode == 9
    assert segment.main(["train", str(folder), "--resume", "--out", str(tmp_path)]) == 0
    one, other = (lucid.load(at / "last.safetensors") for at in (run, tmp_path))
    for name in one:
        np.testing.assert_array_equal(one[name].numpy(), other[name].numpy(), err_msg=name)


def test_evaluation_of_a_run(folder, run, capsys):
    rows = rows_of(run)
    best = max(float(row["val_mean_iou"]) for row in rows)
    assert segment.main(["train", str(folder), "--eval-only", "--out", str(run)]) == 0
    text = capsys.readouterr().out
    assert f"mean iou {best:.4f}" in text
    lines = [line for line in text.splitlines() if ", IoU " in line]
    assert [line.split()[0] for line in lines] == ["ground", "water", "sky"]
    values = [float(line.rpartition(" ")[2].rstrip("%")) / 100 for line in lines]
    assert np.mean(values) == pytest.approx(best, abs=1e-4)
    page = (run / "report.html").read_text(encoding="utf-8")
    for line, value in zip(lines, values, strict=True):  # the confusion and the IoU of the best epoch
        assert f'<span title="{line.split()[0]}">' in page and f"<span>{value:.1%}</span>" in page


def test_a_changed_folder_is_noticed(folder, run, tmp_path, capsys):
    copy = tmp_path / "tiles"
    shutil.copytree(folder, copy)
    (copy / "images/3.png").unlink()
    (copy / "masks/3.png").unlink()
    with pytest.raises(SystemExit) as stopped:
        segment.main(["train", str(copy), "--eval-only", "--out", str(run)])
    assert stopped.value.code == 2
    assert "have changed since the run" in capsys.readouterr().err


def test_options_that_masks_do_not_follow_are_not_listed(folder, run, capsys):
    with pytest.raises(SystemExit):
        segment.main(["train", "--help"])
    text = capsys.readouterr().out
    absent = {
        "label_smoothing": 0.0, "balance": "none", "augment": "none", "erasing": 0.0, "mixup": 0.0, "cutmix": 0.0,
        "mix_switch": 0.5, "image_sizes": [], "shrink": "resize", "test_flip": False, "tta": "none",
    }  # fmt: skip
    assert not [name for name in absent if f"--{name.replace('_', '-')} " in text]
    assert "--color-jitter " in text and "--window " in text
    # Runs of earlier versions have all settings, with their defaults.
    args = segment.make_parser()[0].parse_args(["train", str(folder)])
    saved = json.loads(lucid.serialization.load_with_metadata(run / "best.safetensors")[1]["settings"])
    assert not absent.keys() & saved.keys()
    settings = segment.choose_settings(args, {**saved, **absent})
    assert settings.settings() == segment.choose_settings(args, saved).settings()
    for words in (["--test-flip"], ["--image-sizes", "32"], ["--mixup", "0.2"]):
        with pytest.raises(SystemExit):
            segment.main(["train", str(folder), *words])
        assert f"unrecognized arguments: {' '.join(words)}" in capsys.readouterr().err


def test_prediction_writes_masks_and_overlays(folder, run, tmp_path, capsys):
    photos = tmp_path / "photos"
    photos.mkdir()
    for name, size in (("a.jpg", (50, 37)), ("b.png", (8, 9)), ("ü x.png", (64, 64))):
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (*size, 3)).astype(np.uint8)).save(photos / name)
    (photos / "broken.jpg").write_bytes(b"no photo")
    (photos / "sub").mkdir()
    Image.new("RGB", (33, 40)).save(photos / "sub/A.png")
    out = tmp_path / "out"
    assert segment.main(["predict", str(photos), "--model", str(run), "--out", str(out), "--json"]) == 0
    printed = capsys.readouterr()
    assert "broken.jpg" in printed.err
    rows = [json.loads(line) for line in printed.out.splitlines()]
    assert len(rows) == 4
    assert all(abs(sum(one["share"] for one in row["classes"]) - 1) < 1e-5 for row in rows)
    names = sorted(one.name for one in out.iterdir())
    stems = ["A_2", "a", "b", "ü x"] if "A_2.png" in names else ["A", "a_2", "b", "ü x"]
    assert names == sorted(f"{stem}{end}" for stem in stems for end in (".png", ".overlay.jpg"))
    with pytest.raises(SystemExit):
        segment.main(["predict", str(photos), "--model", str(run), "--out", str(out)])
    assert "exists, and nothing is overwritten" in capsys.readouterr().err
    with Image.open(out / "b.png") as file:
        assert file.mode == "P" and file.getpalette()[:9] == [value for color in PALETTE for value in color]
    assert segment.main(["predict", str(photos), "--model", str(run), "--out", str(photos / "out")]) == 0
    capsys.readouterr()
    assert segment.main(["predict", str(tmp_path), "--model", str(run), "--out", str(photos / "out/2"), "--json"]) == 0
    inside = [json.loads(line)["path"] for line in capsys.readouterr().out.splitlines()]
    assert inside and not [path for path in inside if path.startswith(str(photos / "out/2"))]
    mask = data.open_mask(out / "b.png")
    assert mask.shape == (8, 9) and mask.max() < 3
    model = models.load_segmenter(run)
    pixels = np.asarray(Image.open(photos / "b.png")).transpose(2, 0, 1)[None]
    normalize = data.augment.Normalize(model.preprocessing.mean, model.preprocessing.std)
    with lucid.no_grad():
        logits = models.segmentation_logits(model, normalize(lucid.tensor(pixels)))
    np.testing.assert_array_equal(mask, logits.argmax(1)[0].numpy())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "none"], "there is no folder none"),
        (["train", "FOLDER", "--crop-size", "16"], "--crop-size must be at least 32, got 16"),
        (["train", "FOLDER", "--min-scale", "3"], "--min-scale must be at most --max-scale"),
        (["train", "FOLDER", "--model", "resnet50", "--no-pretrained"], "resnet50"),
        (["train", "FOLDER", "--channels", "0"], "--channels must be at least 1, got 0"),
        (
            ["train", "FOLDER", *TINY, "--patch-size", "64"],
            "--crop-size must be at least 512, the stride of the backbone, got 32",
        ),
        (
            ["train", "FOLDER", *TINY, "--patch-size", "8", "--crop-size", "64", "--window", "32"],
            "--window must be at least 64, the stride of the backbone, got 32",
        ),
        (["train", "FOLDER", "--no-pretrained", "--model", "convnext_atto", "--batch-size", "100"], "at most 6"),
        (
            ["train", "FOLDER", "--no-pretrained", "--model", "convnext_atto", "--batch-size", "1"],
            "at least 2, 2 images",
        ),
        (["predict", "FOLDER", "--model", "none"], "none"),
        (["predict", "nothing.jpg", "--model", "RUN"], "there is no file or folder nothing.jpg"),
        (["predict", "FOLDER/images", "--model", "RUN", "--window", "8"], "--window must be at least 32, the stride"),
        (["predict", "FOLDER/images"], "--model"),
        (["paint"], "invalid choice"),
    ],
)
def test_mistakes_are_one_sentence(words, message, folder, run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = [word.replace("FOLDER", str(folder)).replace("RUN", str(run)) for word in words]
    with pytest.raises(SystemExit) as stopped:
        segment.main(words)
    error = capsys.readouterr().err
    assert stopped.value.code == 2 and message in error and error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_no_readable_image(run, tmp_path, capsys):
    (tmp_path / "broken.jpg").write_bytes(b"no photo")
    code = segment.main(["predict", str(tmp_path / "broken.jpg"), "--model", str(run), "--out", str(tmp_path / "out")])
    assert code == 1 and "no image could be read" in capsys.readouterr().err


@needs_launcher
def test_two_processes_share_the_batches(folder, tmp_path):
    command = [
        sys.executable,
        "-W",
        "error",
        "-m",
        "lucid",
        "segment",
        "train",
        str(folder),
        *TINY,
        "--epochs",
        "1",
        "--distributed",
    ]
    [(code, _, errors)] = launch(2, [*command, "--out", str(tmp_path / "run")])
    assert code == 0, errors
    assert (tmp_path / "run/report.html").exists()
    # Both processes evaluated with the statistics of the batch norms that were saved.
    args = segment.make_parser()[0].parse_args(["train", str(folder), "--eval-only", "--out", str(tmp_path / "run")])
    found = segment.start_evaluation(args).evaluate()
    [row] = rows_of(tmp_path / "run")
    assert found.loss == pytest.approx(float(row["val_loss"]), rel=1e-5)
    assert found.metrics["mean_iou"] == pytest.approx(float(row["val_mean_iou"]), rel=1e-5)
