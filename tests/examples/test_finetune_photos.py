"""Fine-tuning on generated photos, and classifying photos with the file that it writes."""

import importlib
import re

import numpy as np
import pytest

import lucid
from lucid import models
from lucid.data import Digits

pytest.importorskip("PIL", reason="photos are read by Pillow")
from PIL import Image

from tests.training.drawn_photos import CLASSES, draw

SCRATCH = ["--model", "convnext_atto", "--random", "--image-size", "32"]


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """120 photos of three classes."""
    root, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for number in range(120):
        label = CLASSES[number % 3]
        (root / label).mkdir(exist_ok=True)
        draw(rng, label, tuple(rng.integers(40, 160, 2).tolist())).save(root / label / f"{number:03}.jpg")
    return root


@pytest.fixture(scope="module")
def finetune():
    return importlib.import_module("finetune_photos")


@pytest.fixture(scope="module")
def classify():
    return importlib.import_module("classify_photo")


@pytest.fixture(scope="module")
def trained(photos, finetune, tmp_path_factory):
    """The file of a training run, and what was printed."""
    path = tmp_path_factory.mktemp("runs") / "photos.safetensors"
    with pytest.MonkeyPatch.context() as patch:
        lines = []
        patch.setattr("builtins.print", lambda *words, **_: lines.append(" ".join(map(str, words))))
        options = ["--epochs", "12", "--batch-size", "16", "--lr", "1e-3", "--out", str(path)]
        finetune.main([str(photos), *SCRATCH, *options])
    return path, lines


def test_photos_are_learned(trained):
    path, lines = trained
    accuracies = [float(re.fullmatch(r"epoch \d+: loss [\d.]+, accuracy ([\d.]+)%", line)[1]) for line in lines[:-1]]
    assert len(accuracies) == 12 and max(accuracies) >= 70  # guessing: 33 %
    assert lines[-1] == f"{path}: {max(accuracies):.2f}% of the held-out photos are classified correctly"


def test_the_file_has_class_names_and_preprocessing(trained):
    model = models.from_checkpoint(trained[0])
    assert model.class_names == CLASSES
    assert model.preprocessing.image_size == model.preprocessing.resize_size == 32


def test_photos_are_classified_with_the_file(trained, photos, classify, capsys):
    paths = [photos / label / f"{number:03}.jpg" for number, label in enumerate(CLASSES)]
    classify.main([*map(str, paths), "--model", str(trained[0])])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 * (1 + len(CLASSES))
    model = models.from_checkpoint(trained[0])
    for path, first, *rest in zip(paths, *(lines[i::4] for i in range(4)), strict=True):
        assert first == str(path)
        found = {line[8:].strip(): float(line[:7]) for line in rest}
        with lucid.no_grad():
            [row] = model(model.preprocessing([Image.open(path)])).softmax(dim=1).tolist()
        assert found == pytest.approx({name: 100 * p for name, p in zip(CLASSES, row, strict=True)}, abs=0.01)
        assert list(found.values()) == sorted(found.values(), reverse=True)


def test_grayscale_models_take_any_image(classify, tmp_path):
    model = models.ConvNeXt(10, (1, 1), (8, 16), in_chans=1, patch_size=1)
    transform = models.ImageTransform(8, 8, mean=Digits.mean, std=Digits.std)
    models.save_checkpoint(model, tmp_path / "digits.safetensors", class_names=Digits.classes, preprocessing=transform)
    model = models.from_checkpoint(tmp_path / "digits.safetensors")
    Image.new("RGB", (20, 20), "red").save(tmp_path / "red.png")
    Image.new("L", (20, 20), Image.new("RGB", (1, 1), "red").convert("L").getpixel((0, 0))).save(tmp_path / "gray.png")
    red, gray = (classify.classify(model, str(tmp_path / f"{name}.png")) for name in ("red", "gray"))
    assert red == gray and len(red) == 5


def test_pretrained_weights_get_a_new_classifier(finetune, photos, tmp_path, monkeypatch):
    """A published checkpoint is requested; random weights stand in for the download."""
    created = []

    def create_model(name, pretrained, num_classes):
        created.append((name, pretrained, num_classes))
        return models.convnext_atto(num_classes=num_classes)

    monkeypatch.setattr(finetune.models, "create_model", create_model)
    path = tmp_path / "new folder" / "photos.safetensors"
    options = ["--model", "convnext_atto.d2_in1k", "--image-size", "32", "--epochs", "1", "--out", str(path)]
    finetune.main([str(photos), *options])
    assert created == [("convnext_atto.d2_in1k", True, 3)]
    assert models.from_checkpoint(path).preprocessing == models.transforms_for("convnext_atto.d2_in1k", image_size=32)


def test_a_loss_that_is_not_finite_ends_the_run(finetune, photos, tmp_path):
    path = tmp_path / "photos.safetensors"
    with pytest.raises(SystemExit, match="Loss became NaN or infinite in epoch 1; try a lower --lr"):
        finetune.main([str(photos), *SCRATCH, "--lr", "1e30", "--out", str(path)])
    assert not path.exists()
