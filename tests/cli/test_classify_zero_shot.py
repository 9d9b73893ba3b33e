"""``lucid classify --text-embeddings`` and ``--tta``: probabilities are those of the formulas, errors are one line."""

import json
from dataclasses import replace

import numpy as np
import pytest

import lucid
from lucid import evaluation, models

pytest.importorskip("PIL", reason="images are read with Pillow")

from PIL import Image

from lucid.cli import classify

NAMES = ["cat", "dog", "a red ant"]
PREPARED = models.ImageTransform(32, 36, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4))


def network(outputs):
    lucid.manual_seed(5)
    model = models.ConvNeXt(outputs, (1, 1), (8, 16), patch_size=2)
    model.head.weight._rebind(model.head.weight._array * 30)
    return model.eval()


@pytest.fixture
def work(tmp_path, monkeypatch):
    """A folder with two photos, an image tower, a classifier and text embeddings."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    rng = np.random.default_rng(0)
    for name in ("a.png", "b.png"):
        Image.fromarray(rng.integers(0, 256, (50, 40, 3), np.uint8)).save(tmp_path / "photos" / name)
    models.save_checkpoint(network(16), "tower.safetensors", class_names=[], preprocessing=PREPARED)
    models.save_checkpoint(network(3), "pets.safetensors", class_names=NAMES, preprocessing=PREPARED)
    values = np.random.default_rng(1).normal(size=(3, 2, 16)).astype(np.float32)
    evaluation.TextEmbeddings(values, NAMES).save("text.safetensors")
    return tmp_path


def classified(capsys, *options):
    code = classify.main(["photos", "--json", *options])
    output = capsys.readouterr()
    rows = [{p["class"]: p["probability"] for p in json.loads(line)["predictions"]} for line in output.out.splitlines()]
    return code, np.array([[row[name] for name in NAMES] for row in rows]), output.err


def pixels(transform):
    return transform([Image.open(f"photos/{name}.png") for name in "ab"])


def test_photos_are_compared_with_texts(work, capsys):
    code, found, err = classified(capsys, "--model", "tower.safetensors", "--text-embeddings", "text.safetensors")
    with lucid.no_grad():
        images = network(16)(pixels(PREPARED)).numpy().astype(np.float64)
    text = evaluation.TextEmbeddings.load("text.safetensors").values.astype(np.float64)
    text = (text / np.linalg.norm(text, axis=-1, keepdims=True)).mean(axis=1)
    cosines = images @ text.T / np.outer(np.linalg.norm(images, axis=1), np.linalg.norm(text, axis=1))
    powers = np.exp(100 * cosines)
    assert code == 0 and "tower: 3 classes" in err.replace("tower.safetensors", "tower")
    np.testing.assert_allclose(found, powers / powers.sum(axis=1, keepdims=True), atol=2e-5)


def test_everything_else_works_as_with_a_classifier(work, capsys):
    options = ["--model", "tower.safetensors", "--text-embeddings", "text.safetensors"]
    _, before, _ = classified(capsys, *options)
    np.save("text.npy", evaluation.TextEmbeddings.load("text.safetensors").values)
    (work / "text.txt").write_text("\n".join(NAMES))
    more = ["--tta", "flip", "--bits", "8", "--copy-to", "sorted", "--explain", "heat", "--sheet", "sheet.png"]
    code, _, _ = classified(capsys, *options[:-1], "text.npy", *more)
    assert code == 0 and len(list((work / "heat").iterdir())) == 2 == len(list((work / "sorted").rglob("*.png")))
    code, found, _ = classified(capsys, *options[:-1], "text.npy")
    np.testing.assert_array_equal(found, before)


@pytest.mark.parametrize("views", ["flip", "shift", "five_crop", "ten_crop"])
def test_views_are_averaged(work, capsys, views):
    code, found, err = classified(capsys, "--model", "pets.safetensors", "--tta", views)
    side = 37 if views.endswith("crop") else 32
    transform = replace(PREPARED, image_size=side, resize_size=max(side, 36))
    with lucid.no_grad():
        expected = evaluation.ViewAverage(network(3), views)(pixels(transform)).softmax(dim=1).numpy()
        plain = network(3)(pixels(PREPARED)).softmax(dim=1).numpy()
    assert code == 0 and f"{side}x{side} px" in err
    np.testing.assert_allclose(found, expected, atol=2e-6)
    assert np.abs(found - plain).max() > 1e-5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--model", "tower.safetensors"],
            "has no classifier; its outputs are features, which a CLIP model can compare",
        ),
        (["--text-embeddings", "none.safetensors"], "there is no file none.safetensors"),
        (["--text-embeddings", "none.npy"], "No such file or directory: none.npy"),
        (["--text-embeddings", "photos"], "a file of text embeddings ends with .safetensors or .npy, got photos"),
        (
            ["--text-embeddings", "pets.safetensors"],
            "pets.safetensors: not a file of text embeddings: it has no tensor",
        ),
        (["--text-embeddings", "alone.npy"], "there are no names of its classes; write them to alone.txt, one a line"),
        (["--text-embeddings", "nan.npy"], "nan.npy: not a file of text embeddings: embeddings must be finite"),
        (["--text-embeddings", "zero.npy"], "the embedding of 'cat' is zero"),
        (["--text-embeddings", "tokens.npy"], "must be floating-point, got int64; these look like the tokens of texts"),
        (
            ["--model", "pets.safetensors", "--text-embeddings", "text.safetensors"],
            "text.safetensors: text embeddings have the width 16, but those of images have 3; both must",
        ),
        (["--tta", "twice"], "argument --tta: invalid choice: 'twice'"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(work, capsys, options, message):
    np.save("alone.npy", np.ones((3, 16), np.float32))
    for name, values in (
        ("nan", np.full((1, 16), np.nan)),
        ("zero", np.zeros((1, 16))),
        ("tokens", np.ones((1, 77), np.int64)),
    ):
        np.save(f"{name}.npy", values)
        (work / f"{name}.txt").write_text("cat\n")
    with pytest.raises(SystemExit) as caught:
        classify.main(["photos", *(options if "--model" in options else ["--model", "tower.safetensors", *options])])
    err = capsys.readouterr().err
    assert caught.value.code == 2 and message in err and len(err.splitlines()) == 1
