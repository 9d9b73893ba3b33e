"""Zero-shot classification equals OpenCLIP's formula in float64; text embeddings keep everything in files."""

import json

import numpy as np
import pytest

import lucid
from lucid import evaluation, models, nn
from lucid.evaluation import TextEmbeddings

NAMES = ["cat", "dog", "a red ant"]


def values(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def unit(x):
    x = x.astype(np.float64)
    return x / np.sqrt((x**2).sum(axis=-1, keepdims=True))


def expected(images, text, scale=100.0):
    """open_clip: ``build_zero_shot_classifier``, and ``run`` of its zero-shot evaluation."""
    if text.ndim == 3:
        text = unit(text).mean(axis=1)
    logits = scale * unit(images) @ unit(text).T
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("shape", [(3, 16), (3, 1, 16), (3, 7, 16)])
@pytest.mark.parametrize("scale", [100.0, 3.5])
def test_probabilities_are_those_of_open_clip(shape, scale):
    images, text = values(9, 16, seed=1), values(*shape) * np.float32(1e3)
    found = evaluation.zero_shot(images, TextEmbeddings(text, NAMES, scale))
    want = expected(images, text, scale)
    np.testing.assert_allclose(found.scores, want, rtol=1e-9, atol=1e-15)
    assert found.labels.tolist() == want.argmax(axis=1).tolist()
    for row, ranked in zip(want, found.top(2), strict=True):
        assert [name for name, _ in ranked] == [NAMES[i] for i in row.argsort()[::-1][:2]]
        np.testing.assert_allclose([score for _, score in ranked], np.sort(row)[::-1][:2], rtol=1e-9)
    assert len(found.top(9)[0]) == 3


def test_the_order_of_normalization_matters():
    """A template whose embedding is long counts no more than the others."""
    text = np.float32([[[10, 0], [0, 1]], [[0, -1], [0, -1]]])
    directions = TextEmbeddings(text, NAMES[:2]).directions()
    np.testing.assert_allclose(directions, [[0.5**0.5, 0.5**0.5], [0, -1]], rtol=1e-12)


def test_features_tensors_and_half_precision():
    images, text = values(4, 8, seed=2), values(3, 8)
    want = evaluation.zero_shot(images, TextEmbeddings(text, NAMES)).scores
    for one in (evaluation.Features(images), lucid.tensor(images), images.astype(np.float64)):
        np.testing.assert_allclose(
            evaluation.zero_shot(one, TextEmbeddings(lucid.tensor(text), NAMES)).scores, want, rtol=1e-5, atol=1e-12
        )
    half = evaluation.zero_shot(images, TextEmbeddings(text.astype(np.float16), NAMES)).scores
    np.testing.assert_allclose(half, want, atol=0.05)
    brain = TextEmbeddings(lucid.tensor(text).to(lucid.bfloat16), NAMES)
    np.testing.assert_allclose(brain.values, text, rtol=0.01)


def tower(width=16, **options):
    lucid.manual_seed(1)
    model = models.ConvNeXt(width, (1, 1), (8, 16), patch_size=2, **options).eval()
    if width:
        model.head.weight._rebind(model.head.weight._array * 30)
    return model


@pytest.mark.parametrize("width", [16, 0])
def test_a_classifier_of_texts_agrees_with_the_function(width):
    model, text = tower(width), TextEmbeddings(values(3, 5, 16), NAMES, 20)
    model.preprocessing, model.checkpoint_name = models.ImageTransform(32, 32), "tower"
    x = values(5, 3, 32, 24, seed=3)
    classifier = evaluation.ZeroShotClassifier(model, text)
    with lucid.no_grad():
        found = classifier(lucid.tensor(x)).softmax(dim=1).numpy()
        embeddings = model(lucid.tensor(x))
    np.testing.assert_allclose(found, evaluation.zero_shot(embeddings, text).scores, rtol=1e-4, atol=1e-5)
    assert classifier.class_names == NAMES and not classifier.training
    assert (classifier.preprocessing, classifier.checkpoint_name) == (model.preprocessing, "tower")
    assert np.ptp(found, axis=1).min() > 0.01


def test_gradients_reach_the_image_tower():
    from lucid import explain

    classifier = evaluation.ZeroShotClassifier(tower(), TextEmbeddings(values(3, 16), NAMES))
    heat = explain.grad_cam(classifier, lucid.tensor(values(2, 3, 32, 32)))
    assert heat.shape == (2, 32, 32) and heat.max().item() > 0


def test_any_module_may_be_the_tower():
    classifier = evaluation.ZeroShotClassifier(nn.Flatten(), TextEmbeddings(np.eye(2, 12), ["a", "b"], 1))
    found = classifier(lucid.ones(1, 3, 2, 2))
    np.testing.assert_allclose(found.numpy(), np.full((1, 2), 12**-0.5), rtol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((values(3, 4), NAMES[:2]), ValueError, "TextEmbeddings: got embeddings of 3 classes but 2 names"),
        ((values(3, 4), []), ValueError, "got embeddings of 3 classes but 0 names"),
        ((values(3, 4), "abc"), TypeError, "classes must be a list of names, got the string 'abc'"),
        ((values(3), NAMES), ValueError, r"must be \(C, D\) or \(C, T, D\), got shape \(3,\)"),
        ((values(3, 0), NAMES), ValueError, r"got shape \(3, 0\)"),
        (
            (np.ones((3, 77), np.int64), NAMES),
            TypeError,
            "must be floating-point, got int64; these look like the tokens",
        ),
        ((lucid.ones(3, 7, dtype=lucid.int32), NAMES), TypeError, "must be floating-point, got int32; these look"),
        ((np.ones((3, 4), np.complex64), NAMES), TypeError, "must be floating-point, got complex64$"),
        ((np.array([["a"]]), ["a"]), TypeError, "must be floating-point, got <U1"),
        (([[1.0, np.nan], [1, 1], [1, 1]], NAMES), ValueError, "must be finite, that of 'cat' is not"),
        (([[1.0, 1], [1, -np.inf], [1, 1]], NAMES), ValueError, "must be finite, that of 'dog' is not"),
        (([[1.0, 1], [0, 0], [1, 1]], NAMES), ValueError, "the embedding of 'dog' is zero"),
        (([[[1.0, 1], [0, 0]]], ["x"]), ValueError, "the embedding of 'x' is zero"),
        (([[[1.0, 1], [-2, -2]]], ["x"]), ValueError, "the embeddings of the templates of 'x' cancel out"),
        ((values(3, 4), NAMES, 0), ValueError, "logit_scale must be"),
        ((values(3, 4), NAMES, np.inf), ValueError, "logit_scale must be"),
        ((values(3, 4), NAMES, "100"), TypeError, "logit_scale must be a number"),
    ],
)
def test_wrong_texts_raise(arguments, error, message):
    with pytest.raises(error, match=message):
        TextEmbeddings(*arguments)


@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        (
            values(2, 5),
            ValueError,
            "zero_shot: text embeddings have the width 4, but those of images have 5; both must",
        ),
        ([[1, 1, 1, 1], [0, 0, 0, 0]], ValueError, "zero_shot: images must not have embeddings of zeros, as row 1 has"),
        ([[1, 1, 1, np.nan]], ValueError, "zero_shot: images must be finite, row 0 is not"),
        (values(4), ValueError, "zero_shot: images must be a matrix"),
        ([["a", "b"]], TypeError, "zero_shot: images must be real numbers"),
    ],
)
def test_wrong_images_raise(images, error, message):
    with pytest.raises(error, match=message):
        evaluation.zero_shot(images, TextEmbeddings(values(3, 4), NAMES))


def test_other_wrong_arguments_raise():
    with pytest.raises(TypeError, match="zero_shot: text must be TextEmbeddings, got ndarray"):
        evaluation.zero_shot(values(2, 4), values(3, 4))
    for width, got in ((12, 12), (0, 16)):
        message = f"ZeroShotClassifier: text embeddings have the width 4, but those of images have {got}"
        with pytest.raises(ValueError, match=message):
            evaluation.ZeroShotClassifier(tower(width), TextEmbeddings(values(3, 4), NAMES))
    with pytest.raises(ValueError, match="k must be"):
        evaluation.Predictions(np.eye(2)).top(0)
    assert evaluation.Predictions(np.array([[0.2, 0.8]])).top() == [[("1", 0.8), ("0", 0.2)]]


@pytest.mark.parametrize("ending", ["npy", "safetensors"])
@pytest.mark.parametrize("shape", [(3, 6), (3, 2, 6)])
def test_files_keep_everything(tmp_path, ending, shape):
    names = ["cat", "кот, of sorts", 'a "red" ant']
    saved = TextEmbeddings(values(*shape), names, 50.0)
    path = tmp_path / f"text.{ending}"
    saved.save(path)
    found = TextEmbeddings.load(path)
    np.testing.assert_array_equal(found.values, saved.values)
    assert found.classes == names and found.logit_scale == (50 if ending == "safetensors" else 100)
    assert sorted(one.name for one in tmp_path.iterdir()) == sorted(
        {path.name, "text.txt"} if ending == "npy" else [path.name]
    )


def test_files_of_other_programs(tmp_path):
    """PyTorch users write float16 or bfloat16, Windows' editors a byte order mark, and names may be beside either."""
    text = lucid.tensor(values(3, 6))
    lucid.save({"text_embeddings": text.to(lucid.bfloat16)}, tmp_path / "a.safetensors", {"classes": json.dumps(NAMES)})
    assert TextEmbeddings.load(tmp_path / "a.safetensors").classes == NAMES
    lucid.save({"text_embeddings": text}, tmp_path / "b.safetensors")
    (tmp_path / "b.txt").write_bytes(b"\xef\xbb\xbfcat\r\ndog\r\na red ant")
    assert TextEmbeddings.load(tmp_path / "b.safetensors").classes == NAMES
    np.save(tmp_path / "c.npy", values(3, 6).astype(np.float16))
    (tmp_path / "c.txt").write_text("cat\ndog\na red ant\n")
    assert TextEmbeddings.load(str(tmp_path / "c.npy")).width == 6


def written(tmp_path, kind):
    path = tmp_path / ("t.npy" if kind != "tensor" and not kind.startswith("metadata") else "t.safetensors")
    metadata = {"classes": json.dumps(NAMES)}
    if kind.startswith("metadata"):
        other = {
            "metadata": {"classes": "cat, dog"},
            "metadata list": {"classes": '{"cat": 0}'},
            "metadata numbers": {"classes": "[1, 2, 3]"},
            "metadata scale": {"logit_scale": '"a"'},
        }
        metadata |= other[kind]
    if path.suffix == ".safetensors":
        lucid.save({"other" if kind == "tensor" else "text_embeddings": lucid.ones(3, 4)}, path, metadata)
        return path
    np.save(path, np.array([{}], dtype=object) if kind == "pickle" else values(3, 4), allow_pickle=True)
    if kind == "no numpy":
        path.write_bytes(b"PK\x03\x04 an archive")
    if kind == "cut off":
        path.write_bytes(path.read_bytes()[:-5])
    if kind != "no names":
        path.with_suffix(".txt").write_text(
            {"empty line": "cat\n\nant\n", "too few": "cat\n"}.get(kind, "cat\ndog\nant\n")
        )
    return path


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("tensor", "it has no tensor 'text_embeddings', its tensors are other"),
        ("metadata", "Expecting value"),
        ("metadata list", "'classes' in the metadata must be a JSON list of strings"),
        ("metadata numbers", r"must be a JSON list of strings, got \[1, 2, 3\]"),
        ("metadata scale", "logit_scale must be a number"),
        ("no names", r"there are no names of its classes; write them to .*t\.txt, one a line"),
        ("empty line", r"line 2 of .*t\.txt is empty"),
        ("too few", "got embeddings of 3 classes but 1 names"),
        ("pickle", "allow_pickle|Object arrays"),
        ("no numpy", "magic string"),
        ("cut off", "3|array"),
    ],
)
def test_wrong_files_raise(tmp_path, kind, message):
    path = written(tmp_path, kind)
    with pytest.raises(ValueError, match=rf"{path.name}: not a file of text embeddings: .*({message})"):
        TextEmbeddings.load(path)


def test_files_that_are_not_there_and_names_that_do_not_fit(tmp_path):
    with pytest.raises(FileNotFoundError):
        TextEmbeddings.load(tmp_path / "t.npy")
    with pytest.raises(FileNotFoundError):
        TextEmbeddings.load(tmp_path / "t.safetensors")
    text = TextEmbeddings(values(1, 4), ["two\nlines"])
    for act in (TextEmbeddings.load, text.save):
        with pytest.raises(ValueError, match=r"ends with \.safetensors or \.npy, got t\.pt"):
            act(tmp_path / "t.pt")
    for name in ("two\nlines", "", " "):
        with pytest.raises(ValueError, match=r"is no line of a text file; use \.safetensors"):
            TextEmbeddings(values(1, 4), [name]).save(tmp_path / "t.npy")
    assert not list(tmp_path.iterdir())
    text.save(tmp_path / "t.safetensors")
    assert TextEmbeddings.load(tmp_path / "t.safetensors").classes == ["two\nlines"]
