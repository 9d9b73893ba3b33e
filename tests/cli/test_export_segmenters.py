"""``lucid export`` of segmenters, to every format, and what it says of the others."""

import json

import mlx.core as mx
import numpy as np
import pytest

import lucid
from lucid import models
from lucid.cli import export
from tests.models.test_upernet import logits_of, mmsegmentation_names, small, with_drawn

NAMES = ["sky", "sea", "sand", "rock", "boat"]
SIZE = 64


def network():
    model = with_drawn(small(), "model")
    model.preprocessing = models.ImageTransform(SIZE, SIZE, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4))
    return model


@pytest.fixture
def weights(tmp_path):
    model, path = network(), tmp_path / "streets.safetensors"
    models.save_segmenter(model, path, class_names=NAMES, preprocessing=model.preprocessing)
    return path


def pixels(count=1, size=SIZE):
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 3), np.uint8)


def normalized(images):
    """Images (N, H, W, 3) of uint8 as the network takes them."""
    return ((images / 255 - (0.4, 0.5, 0.6)) / (0.2, 0.3, 0.4)).transpose(0, 3, 1, 2).astype(np.float32)


def probabilities_of(logits):
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def assert_close(found, expected, limit=1e-4):
    assert found.shape == expected.shape
    assert abs(found - expected).max() < limit * abs(expected).max()


def test_a_function_for_mlx(weights, tmp_path, capsys):
    out = tmp_path / "streets.mlxfn"
    assert export.main([str(weights), str(out), "--batch-sizes", "2"]) == 0
    assert "streets as a function of float32 (2, 3, 64, 64)" in capsys.readouterr().out
    images = normalized(pixels(2))
    [found] = mx.import_function(str(out))(mx.array(images))
    assert_close(np.array(found), logits_of(network(), lucid.tensor(images)))
    assert json.loads(out.with_suffix(".json").read_text())["classes"] == NAMES


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_onnx_from_pixels_to_probabilities(dtype, weights, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    pytest.importorskip("onnx", reason="the extra onnx is not installed")
    out = tmp_path / "streets.onnx"
    options = ["--pixels", "--softmax", "--verify", "--dtype", dtype, "--image-size", "65"]
    assert export.main([str(weights), str(out), *options]) == 0
    images = pixels(3, 65)
    session = onnxruntime.InferenceSession(str(out))
    [found] = session.run(None, {session.get_inputs()[0].name: images})
    expected = probabilities_of(logits_of(network(), lucid.tensor(normalized(images))))
    assert_close(found, expected, 1e-4 if dtype == "float32" else 3e-2)


@pytest.mark.parametrize("logits", [False, True])
def test_a_package_for_core_ml(logits, weights, tmp_path):
    pytest.importorskip("coremltools", reason="packages are written with coremltools")
    out = tmp_path / "Streets.mlpackage"
    assert export.main([str(weights), str(out), "--dtype", "float32", "--verify", *["--logits"] * logits]) == 0
    [image] = pixels()
    [found] = lucid.export.MLProgram(out).run({"image": image}).values()
    expected = logits_of(network(), lucid.tensor(normalized(image[None])))
    assert_close(found, expected if logits else probabilities_of(expected))


def test_checkpoints_of_mmsegmentation_are_segmenters(tmp_path):
    source, out = tmp_path / "upernet.safetensors", tmp_path / "upernet.mlxfn"
    lucid.save({"meta": {"epoch": 1}, "state_dict": mmsegmentation_names(network().state_dict())}, source)
    assert export.main([str(source), str(out), "--image-size", "64"]) == 0
    images = normalized(pixels())
    [found] = mx.import_function(str(out))(mx.array(images))
    assert_close(np.array(found), logits_of(network(), lucid.tensor(images)))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("a.safetensors", [], r"must end with .mlpackage, .mlxfn or .onnx for a segmenter, got"),
        ("folder", ["--dialect", "timm"], r"must end with .mlpackage, .mlxfn or .onnx for a segmenter, got"),
        ("a.mlxfn", ["--image-size", "16"], "the images must be at least 32x32 px"),
    ],
)
def test_what_segmenters_are_not_exported_to(name, options, message, weights, tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        export.main([str(weights), str(tmp_path / name), *options])
    error = capsys.readouterr().err
    assert stopped.value.code == 2 and message in error and error.count("\n") == 1
    assert not (tmp_path / name).exists()
