"""``lucid serve --text-embeddings``: the page compares photos with texts, and mistakes are those of lucid classify."""

from unittest.mock import MagicMock

import numpy as np
import pytest

import lucid
from lucid import evaluation, explain, models

pytest.importorskip("PIL", reason="images are read with Pillow")

from PIL import Image

from lucid.cli import classify, serve

NAMES = ["cat", "dog", "a red ant", "a red ant"]  # two texts may be the same
SHOWN = ["cat", "dog", "a red ant (2)", "a red ant (3)"]
PREPARED = models.ImageTransform(32, 36, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4))


@pytest.fixture
def work(tmp_path, monkeypatch):
    """A folder with a photo, an image tower and text embeddings, two templates for each class."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (50, 40, 3), np.uint8)).save("photo.png")
    lucid.manual_seed(5)
    tower = models.ConvNeXt(16, (1, 1), (8, 16), patch_size=2)
    models.save_checkpoint(tower, "tower.safetensors", class_names=[], preprocessing=PREPARED)
    models.save_checkpoint(models.ConvNeXt(3, (1, 1), (8, 16)), "pets.safetensors", class_names=NAMES[:3])
    evaluation.TextEmbeddings(rng.normal(size=(4, 2, 16)).astype(np.float32), NAMES).save("text.safetensors")
    return tmp_path


def served(monkeypatch, *words):
    """The text on the page, and what it calls for a photo. Gradio and the server are stand-ins."""
    gradio = MagicMock()
    monkeypatch.setattr(serve, "load_gradio", lambda: (gradio, MagicMock(), MagicMock()))
    monkeypatch.setattr(serve, "run", lambda *_: None)
    assert serve.main([*words, "--port", "0"]) == 0
    return gradio.Markdown.call_args.args[0], gradio.File.return_value.change.call_args.args[0]


def test_the_page_compares_a_photo_with_texts(work, monkeypatch):
    introduction, answer = served(monkeypatch, "tower.safetensors", "--text-embeddings", "text.safetensors")
    assert (
        "4 classes. The classes are texts, and the probabilities compare a photo with these texts only." in introduction
    )
    classes, picture = answer("photo.png")

    image = Image.open("photo.png")
    tower = models.from_checkpoint("tower.safetensors")
    with lucid.no_grad():
        [embedding] = tower(PREPARED([image])).numpy().astype(np.float64)
    text = evaluation.TextEmbeddings.load("text.safetensors")
    directions = (text.values / np.linalg.norm(text.values, axis=-1, keepdims=True)).mean(axis=1)
    cosines = directions @ embedding / np.linalg.norm(directions, axis=1) / np.linalg.norm(embedding)
    powers = np.exp(100 * cosines)
    assert [classes[name] for name in SHOWN] == pytest.approx(powers / powers.sum(), abs=2e-5)
    assert list(classes) == [SHOWN[i] for i in (-cosines).argsort()]

    [heat] = explain.grad_cam(evaluation.ZeroShotClassifier(tower, text), PREPARED([image]), int(cosines.argmax()))
    assert heat.max() > 0
    np.testing.assert_array_equal(picture, explain.overlay(PREPARED.crop(image), heat))


def test_the_page_of_a_classifier_does_not_speak_of_texts(work, monkeypatch):
    introduction, answer = served(monkeypatch, "pets.safetensors", "--top", "2")
    assert "3 classes. Drop a photo." in introduction and len(answer("photo.png")[0]) == 2


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        ("tower.safetensors", [], "tower.safetensors has no classifier; its outputs are features"),
        ("tower.safetensors", ["none.safetensors"], "there is no file none.safetensors"),
        ("tower.safetensors", ["photo.png"], "a file of text embeddings ends with .safetensors or .npy, got photo.png"),
        ("tower.safetensors", ["pets.safetensors"], "pets.safetensors: not a file of text embeddings: it has no"),
        ("tower.safetensors", ["alone.npy"], "there are no names of its classes; write them to alone.txt, one a line"),
        ("pets.safetensors", ["text.safetensors"], "text.safetensors: text embeddings have the width 16, but those of"),
        ("none.safetensors", ["alone.npy"], "there are no names of its classes"),  # texts are read before the model
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_as_by_lucid_classify(work, capsys, monkeypatch, model, options, message):
    monkeypatch.setattr(serve, "load_gradio", lambda: (None, None, None))
    np.save("alone.npy", np.ones((3, 16), np.float32))
    texts = ["--text-embeddings", *options] if options else []
    lines = []
    for command, words in ((serve, [model, "--port", "0"]), (classify, ["photo.png", "--model", model])):
        with pytest.raises(SystemExit) as caught:
            command.main([*words, *texts])
        [line] = capsys.readouterr().err.splitlines()
        assert caught.value.code == 2
        lines.append(line.partition(": error: ")[2])
    assert lines[0] == lines[1] and message in lines[0]
