"""The training example on the digits, and on a generated CIFAR-10 archive."""

import importlib
import re

import numpy as np
import pytest

from lucid import checkpoint, data, models
from lucid.data.download import md5_of
from tests.training.drawn_cifar import write_archive

pytest.importorskip("sklearn", reason="the digits come with scikit-learn")
pytest.importorskip("matplotlib", reason="the curves are drawn with matplotlib")


@pytest.fixture
def example():
    return importlib.import_module("train_cifar10")


def losses(out):
    """The losses in the printed lines, one tuple per epoch."""
    return re.findall(r"epoch \d+: loss ([\d.]+); test loss ([\d.]+), accuracy ([\d.]+)%", out)


def test_the_digits_are_learned_and_the_results_written(example, tmp_path, capsys):
    pytest.importorskip("PIL", reason="preprocessing resizes with Pillow")
    out = tmp_path / "digits"
    example.main(["--dataset", "digits", "--out", str(out)])
    printed = losses(capsys.readouterr().out)
    assert len(printed) == 20 and float(printed[-1][2]) >= 98
    assert {"best.safetensors", "checkpoints", "curves.png", "report.html"} == {one.name for one in out.iterdir()}
    assert (out / "curves.png").read_bytes().startswith(b"\x89PNG")
    report = (out / "report.html").read_text(encoding="utf-8")
    assert "ConvNeXt on digits" in report and "confusion matrix" in report and "best test accuracy" in report

    model, test_set = models.from_checkpoint(out), data.Digits(train=False)
    assert model.class_names == list("0123456789") and model.preprocessing.image_size == 8
    images = np.rint(test_set.data[:100] * (255 / 16)).astype(np.uint8).transpose(0, 2, 3, 1)
    answers = model(model.preprocessing(list(images))[:, :1]).argmax(dim=1).numpy()
    assert (answers == test_set.targets[:100]).mean() >= 0.95


def test_resuming_repeats_the_interrupted_epoch_exactly(example, tmp_path, capsys):
    out = tmp_path / "digits"
    arguments = ["--dataset", "digits", "--epochs", "3", "--out", str(out)]
    example.main(arguments)
    whole = losses(capsys.readouterr().out)
    manager = checkpoint.Manager(out / "checkpoints")
    newest = manager.latest().path
    for file in newest.iterdir():
        file.unlink()
    newest.rmdir()
    example.main([*arguments, "--resume"])
    assert losses(capsys.readouterr().out) == whole[2:]
    example.main([*arguments, "--resume"])  # nothing left to do
    assert capsys.readouterr().out == ""


def test_a_run_is_replaced_only_if_told_to(example, tmp_path, capsys):
    arguments = ["--dataset", "digits", "--epochs", "1", "--out", str(tmp_path)]
    example.main(arguments)
    with pytest.raises(SystemExit) as end:
        example.main(arguments)
    assert end.value.code == 2
    assert f"{tmp_path} already contains a run; pass --resume or --overwrite" in capsys.readouterr().err
    example.main([*arguments, "--overwrite"])
    assert len(losses(capsys.readouterr().out)) == 1


def test_cifar10_is_read_augmented_and_trained(example, tmp_path, monkeypatch, capsys):
    sizes = {f"data_batch_{number}.bin": 32 for number in range(1, 6)}
    archive = tmp_path / "data" / data.CIFAR10.filename
    archive.parent.mkdir()
    write_archive(archive, sizes | {"test_batch.bin": 20})
    monkeypatch.setattr(data.CIFAR10, "md5", md5_of(archive))
    monkeypatch.setattr(data.CIFAR10, "train_files", sizes)
    monkeypatch.setattr(data.CIFAR10, "test_files", {"test_batch.bin": 20})
    monkeypatch.setitem(example.MODELS, "cifar10", {"depths": (1, 1), "dims": (8, 16), "patch_size": 4})
    monkeypatch.chdir(tmp_path)
    example.main(["--epochs", "2"])
    assert len(losses(capsys.readouterr().out)) == 2
    assert models.from_checkpoint("runs/cifar10").class_names == list(data.CIFAR10.classes)


def test_a_loss_that_is_not_finite_ends_the_run(example, tmp_path, monkeypatch):
    monkeypatch.setitem(example.CONFIGS["digits"], "lr", 1e30)
    with pytest.raises(SystemExit, match="Loss became NaN or infinite in epoch 1"):
        example.main(["--dataset", "digits", "--out", str(tmp_path / "run")])
    assert not (tmp_path / "run" / "best.safetensors").exists()
