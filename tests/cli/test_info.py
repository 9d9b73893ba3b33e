"""``lucid info``: the installation, a model, a weights file, a run."""

import json
from dataclasses import asdict

import numpy as np
import pytest

import lucid
from lucid import cli, models, nn, training
from lucid._version import __version__
from lucid.models import ImageTransform


def lines_of(capsys, *arguments):
    assert cli.main(["info", *map(str, arguments)]) == 0
    return dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())


def test_the_installation(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("LUCID_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    found = lines_of(capsys)
    assert f"lucid {__version__}" in found["versions"] and "numpy" in found["versions"]
    assert "cpu" in found["devices"] and "CPUs" in found["system"]
    assert found["weights"] == str(tmp_path / "hub") and found["tiling"] == str(tmp_path / "tuning.json")
    assert all(f"{name} (" in found["extras"] for name in ("hub", "vision", "train"))


def test_a_user_without_a_home_folder(capsys, monkeypatch):
    for name in ("HOME", "XDG_CACHE_HOME", "LUCID_CACHE", "HF_HOME", "HF_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)

    def getpwuid(uid):
        raise KeyError(uid)

    monkeypatch.setattr("pwd.getpwuid", getpwuid)
    found = lines_of(capsys)
    assert found["weights"] == "none: this user has no home folder; HF_HOME names a folder"
    assert found["tiling"] == "none: this user has no home folder; LUCID_CACHE names a folder for caches"


def test_missing_extras_are_listed(capsys, monkeypatch):
    find = cli.importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "tqdm" else find(name))
    assert "train (missing tqdm)" in lines_of(capsys)["extras"]


def test_a_published_model(capsys):
    assert cli.main(["info", "convnext_tiny.fb_in1k"]) == 0
    output = capsys.readouterr().out
    assert output == f"{models.model_info('convnext_tiny.fb_in1k')}\n" and "28,589,128 parameters" in output


def test_a_file_of_weights(capsys, tmp_path):
    path = tmp_path / "pets.safetensors"
    model = models.ConvNeXt(2, (1, 1), (4, 8))
    transform = ImageTransform(64, 72)
    metadata = {"settings": json.dumps({"lr": 0.5, "dims": [4, 8]})}
    models.save_checkpoint(
        model, path, class_names=["cat", "dog"], preprocessing=transform, name="pets", metadata=metadata
    )
    found = lines_of(capsys, path)
    assert found["name"] == "pets" and found["architecture"] == "ConvNeXt" and found["classes"] == "2: cat, dog"
    assert found["parameters"] == f"{sum(p.numel() for p in model.parameters()):,}"
    assert found["preprocessing"] == str(transform) and asdict(transform)["image_size"] == 64
    assert found["settings"] == "lr=0.5, dims=4x8"


@pytest.mark.parametrize(("loss", "shown"), [(None, "accuracy"), (nn.MSELoss(), "loss")])
def test_a_run_of_any_model(capsys, tmp_path, loss, shown):
    pytest.importorskip("matplotlib", reason="curves are drawn with matplotlib")
    x = np.random.default_rng(0).normal(size=(20, 3))
    y = np.arange(20) % 2 if loss is None else x[:, :2]
    trainer = training.Trainer(
        nn.Linear(3, 2), training.Recipe(epochs=2, batch_size=10), train=(x, y), test=(x, y), loss=loss, folder=tmp_path
    )
    trainer.fit(progress=False)
    cli.main(["info", str(tmp_path)])
    output = capsys.readouterr().out
    assert "name        Linear" in output and "2 with 8 numbers" in output and "epochs=2" in output
    row = (min if loss else max)(trainer.history, key=lambda row: row[f"test_{shown}"])
    value = f"{row['test_loss']:.4g}" if loss else f"{row['test_accuracy']:.2%}"
    assert f"best epoch  {row['epoch']} of 2, test {shown} {value}" in output
    assert ("classes     2: 0, 1" in output) == (loss is None)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("convnext_tinny", "there is no model 'convnext_tinny'"),
        ("gone.safetensors", "there is no file gone.safetensors"),
        ("{tmp}", "has no weights file"),
        ("{tmp}/other.safetensors", "no ConvNeXt in any dialect"),
    ],
)
def test_errors_are_one_line(capsys, tmp_path, name, message):
    if "other" in name:
        lucid.save({"x": lucid.ones(1)}, tmp_path / "other.safetensors")
    with pytest.raises(SystemExit) as caught:
        cli.main(["info", name.format(tmp=tmp_path)])
    error = capsys.readouterr().err
    assert caught.value.code == 2 and error.startswith("lucid info: error: ") and message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "content", ["", "epoch,test_loss\n1\n", "epoch,test_loss\n1,low\n", "test_loss\n1\n", "\0", None]
)
def test_a_history_made_by_hand_is_refused(capsys, tmp_path, content):
    models.save_checkpoint(models.ConvNeXt(2, (1, 1), (4, 8)), tmp_path / "best.safetensors")
    history = tmp_path / "history.csv"
    history.symlink_to("/dev/zero") if content is None else history.write_text(content)
    with pytest.raises(SystemExit) as caught:
        cli.main(["info", str(tmp_path)])
    error = capsys.readouterr().err
    assert caught.value.code == 2 and error.startswith(f"lucid info: error: {history} is not ")
    assert error.count("\n") == 1


@pytest.mark.parametrize("settings", ["3", "[]", "{"])
def test_settings_made_by_hand_are_refused(capsys, tmp_path, settings):
    path = tmp_path / "w.safetensors"
    models.save_checkpoint(models.ConvNeXt(2, (1, 1), (4, 8)), path, metadata={"settings": settings})
    with pytest.raises(SystemExit) as caught:
        cli.main(["info", str(path)])
    assert caught.value.code == 2 and capsys.readouterr().err.count("\n") == 1
