"""``lucid info``: the installation, a model, a weights file, a run."""

import json
import warnings
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

import lucid
from lucid import cli, models, nn, training
from lucid._version import __version__
from lucid.models import ImageTransform
from lucid.models.weights.save import extra_options, weights_metadata
from lucid.serialization.safetensors_file import SafetensorsFile


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


def test_a_pretraining(capsys, tmp_path):
    encoder = models.ConvNeXtV2(0, (1, 2), (8, 16), patch_size=2)
    model = models.FCMAE(encoder, decoder_dim=12, decoder_depth=3)
    metadata = weights_metadata("mine", [], asdict(ImageTransform(32, 32)), options=extra_options(encoder))
    lucid.save(model.state_dict(), tmp_path / "best.safetensors", metadata)
    (tmp_path / "history.csv").write_text("epoch,train_loss,val_loss\n1,0.9,0.8\n2,0.5,0.6\n")
    whole, first = (sum(p.numel() for p in one.parameters()) for one in (model, encoder))
    with warnings.catch_warnings(record=True) as caught:
        found = lines_of(capsys, tmp_path)
    assert not caught and found["name"] == "mine" and found["classes"] == "none, it gives features"
    assert found["architecture"] == "FCMAE, a masked autoencoder; models.from_checkpoint loads its encoder"
    assert found["encoder"] == f"ConvNeXtV2, 1-2 blocks of 8-16 channels, {first:,} parameters"
    assert found["decoder"] == f"3 blocks of 12 channels, {whole - first:,} parameters"
    assert found["best"].endswith("2 of 2, val loss 0.6") and "note" not in found
    # Without metadata, as from elsewhere, the same.
    lucid.save({"model": model.state_dict()}, tmp_path / "other.pth")
    found = lines_of(capsys, tmp_path / "other.pth")
    assert found["decoder"].startswith("3 blocks of 12") and found["encoder"].endswith(f"{first:,} parameters")


@pytest.mark.parametrize("name", ["best.safetensors", "other.pth"])
@pytest.mark.parametrize("kind", ["classifier", "half precision", "autoencoder", "segmenter", "something else"])
def test_a_file_is_read_once(capsys, tmp_path, monkeypatch, kind, name):
    opened = []

    def counted(reader):
        return lambda path: (opened.append(Path(path).name), reader(path))[1]

    monkeypatch.setattr("lucid.serialization._load.SafetensorsFile", counted(SafetensorsFile))
    monkeypatch.setattr("lucid.serialization._load.read_pytorch", counted(lucid.serialization.read_pytorch))
    body = models.ConvNeXtV2(0, (1, 1), (8, 16), patch_size=2)
    model = {
        "autoencoder": lambda: models.FCMAE(body, decoder_dim=12),
        "segmenter": lambda: models.UPerNet(models.create_model("convnext_atto", features_only=True), 2, 8),
        "something else": lambda: nn.Linear(3, 2),
    }.get(kind, lambda: models.ConvNeXt(2, (1, 1), (4, 8)))()
    weights = {key: one.half() if kind == "half precision" else one for key, one in model.state_dict().items()}
    settings = {"settings": "{}"} if name.endswith(".safetensors") else None
    lucid.save(weights, tmp_path / name, *([settings] if settings else []))
    known = settings or kind != "something else"
    for path in (tmp_path / name, tmp_path):
        opened.clear()
        with pytest.raises(SystemExit) if not known else nullcontext():
            cli.main(["info", str(path)])
        assert opened == [name]
        shown = capsys.readouterr()
        assert ("2 with 8 numbers" in shown.out) == bool(settings and kind == "something else")


@pytest.mark.parametrize("auxiliary", [0, 6])
def test_a_segmenter(capsys, tmp_path, auxiliary):
    backbone = models.create_model("convnext_atto", features_only=True)
    model = models.UPerNet(backbone, 2, 8, auxiliary_channels=auxiliary)
    names, transform = ["sky", "sea"], ImageTransform(mean=[0.1, 0.2, 0.3])
    models.save_segmenter(model, tmp_path / "mine.safetensors", class_names=names, preprocessing=transform)
    found = lines_of(capsys, tmp_path / "mine.safetensors")
    counts = {name: sum(p.numel() for p in one.parameters()) for name, one in model.named_children()}
    assert found["architecture"] == "UPerNet, for segmentation; models.load_segmenter loads it"
    layout = "ConvNeXt, 2-2-6-2 blocks of 40-80-160-320 channels"
    assert found["backbone"] == f"{layout}, {counts['backbone']:,} parameters"
    assert found["head"] == f"8 channels, {counts['decode_head']:,} parameters"
    assert found["parameters"] == f"{sum(p.numel() for p in model.parameters()):,}"
    assert found["classes"] == "2: sky, sea" and "mean (0.1, 0.2, 0.3)" in found["preprocessing"]
    assert found["name"] == "mine" and found["channels"] == "3"
    assert cli.main(["info", str(tmp_path / "mine.safetensors")]) == 0
    shown = f"auxiliary head  6 channels, {counts.get('auxiliary_head', 0):,} parameters, for training"
    assert (shown in capsys.readouterr().out) == bool(auxiliary)


def test_a_warning_is_a_line(capsys, tmp_path):
    model = models.ConvNeXt(0, (1, 1), (4, 8))
    weights = {name: one for name, one in model.state_dict().items() if not name.startswith("norm.")}
    lucid.save(weights, tmp_path / "body.safetensors")
    found = lines_of(capsys, tmp_path / "body.safetensors")
    assert found["architecture"] == "ConvNeXt" and "the model keeps its own norm" in found["note"]


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
