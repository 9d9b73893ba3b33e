"""``lucid export MODEL FOLDER --dialect timm|huggingface``: folders for other libraries."""

import json

import numpy as np
import pytest

import lucid
from lucid import models
from lucid.cli import export
from lucid.models.weights.save import weights_metadata


@pytest.fixture
def run(tmp_path):
    """A run folder of ``lucid finetune``."""
    folder = tmp_path / "run"
    folder.mkdir()
    model = models.ConvNeXt(2, (1, 1, 1, 1), (4, 8, 8, 8))
    transform = models.ImageTransform(64, 72)
    metadata = weights_metadata("mine", ["cat", "dog"], transform, settings={"lr": 5e-4, "epochs": 3})
    lucid.save(model.state_dict(), folder / "best.safetensors", metadata)
    (folder / "history.csv").write_text("epoch,train_accuracy,val_accuracy\n1,0.5,0.61\n2,0.7,0.84\n3,0.9,0.8\n")
    return folder


@pytest.mark.parametrize(("dialect", "library"), [("timm", "timm"), ("huggingface", "transformers")])
def test_a_run_becomes_a_folder(run, tmp_path, capsys, dialect, library):
    out = tmp_path / "pets"
    assert export.main([str(run), f"{out}/", "--dialect", dialect, "--license", "mit"]) == 0
    assert f"pets: mine as a folder for {library}, 0.0 MB" in capsys.readouterr().out
    card = (out / "README.md").read_text()
    assert "| val accuracy, epoch 2 | 84.00% |" in card and "| lr | 0.0005 |" in card and "license: mit" in card
    assert json.loads((out / "config.json").read_text())
    found, first = models.from_checkpoint(out), models.from_checkpoint(run)
    images = lucid.rand(1, 3, 64, 64)
    assert np.array_equal(found(images).detach().numpy(), first(images).detach().numpy())
    assert found.class_names == ["cat", "dog"] and found.preprocessing == first.preprocessing
    assert export.main([str(out), str(out), "--dialect", dialect]) == 0  # onto itself


def test_other_files_stay_and_are_not_counted(run, tmp_path, capsys):
    out = tmp_path / "project"
    out.mkdir()
    (out / "README.md").write_text("# My app")
    (out / "photo.raw").write_bytes(bytes(3_000_000))
    assert export.main([str(run), str(out), "--dialect", "timm"]) == 0
    assert "mine as a folder for timm; its README.md stays as it was, 0.0 MB" in capsys.readouterr().out
    assert (out / "README.md").read_text() == "# My app"
    (out / "config.json").write_text('{"port": 8080}')
    with pytest.raises(SystemExit) as stopped:
        export.main([str(run), str(out), "--dialect", "timm"])
    assert stopped.value.code == 2 and "a file config.json that does not describe a model" in capsys.readouterr().err
    assert (out / "config.json").read_text() == '{"port": 8080}'


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{run}", "{out}"], "a folder requires --dialect timm or --dialect huggingface"),
        (["{run}", "{out}", "--dialect", "torchvision"], "a folder requires --dialect timm or --dialect huggingface"),
        (["{run}", "{out}.mlxfn", "--license", "mit"], "--license requires a folder as output"),
        (["{run}", "{out}", "--dialect", "timm", "--pixels"], "--pixels requires a .mlxfn or .onnx output"),
        (["{run}", "{run}", "--dialect", "timm"], "has best.safetensors, so it is the folder of a training run"),
        (["{out}", "{out}", "--dialect", "timm"], "there is no model"),
    ],
)
def test_usage_errors(run, tmp_path, capsys, arguments, message):
    out = tmp_path / "out"
    with pytest.raises(SystemExit) as stopped:
        export.main([word.format(run=run, out=out) for word in arguments])
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not out.exists()
