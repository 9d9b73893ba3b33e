"""``lucid export``: functions that run without Lucid, from Python and C++, and weights in any dialect."""

import json
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import mlx
import mlx.core as mx
import numpy as np
import pytest

import lucid
from lucid import models, training
from lucid.cli import export
from lucid.models.preprocessing import ImageTransform
from lucid.serialization import load_with_metadata
from lucid.training import small_images

EXAMPLES = Path(__file__).parents[2] / "examples"
PREPARED = ImageTransform(37, 40, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4))
METADATA = {
    "classes": json.dumps(["cat", "dog", "ant"]),
    "preprocessing": json.dumps(asdict(PREPARED)),
    "model": "mine",
}
MLX_HOME = Path(next(iter(mlx.__path__)))
COMPILER = shutil.which("clang++") or shutil.which("g++")
# Runs in a process that cannot import Lucid.
ALONE = """
import sys
sys.modules["lucid"] = None
import mlx.core as mx
function, images = mx.import_function(sys.argv[1]), mx.load(sys.argv[2])
mx.save_safetensors(sys.argv[3], {name: mx.contiguous(function(one)[0]) for name, one in images.items()})
"""


def network(kind=models.ConvNeXt, classes=3):
    lucid.manual_seed(5)
    if kind is models.ConvNeXtIsotropic:
        return kind(classes, 2, 8, patch_size=8).eval()
    model = kind(classes, (1, 1, 2, 1), (4, 8, 12, 16)).eval()
    for name, parameter in model.named_parameters():
        if "gamma" in name or "beta" in name:  # which start near zero
            parameter._rebind(mx.random.normal(parameter.shape, key=mx.random.key(len(name))))
    return model


@pytest.fixture
def weights(tmp_path):
    models.save_checkpoint(network(), tmp_path / "mine.safetensors", metadata=METADATA)
    return tmp_path / "mine.safetensors"


def logits_of(model, images):
    with lucid.no_grad():
        return model(lucid.as_tensor(images)).numpy()


def run_alone(path, images, folder):
    """The outputs for named images in a process without Lucid."""
    mx.save_safetensors(str(folder / "images.safetensors"), images)
    places = [path, folder / "images.safetensors", folder / "logits.safetensors"]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", ALONE, *map(str, places)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return {name: np.array(one) for name, one in mx.load(str(places[2])).items()}


def close(found, expected):
    return np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize("kind", [models.ConvNeXt, models.ConvNeXtV2, models.ConvNeXtIsotropic])
def test_a_function_runs_without_lucid(capsys, tmp_path, kind):
    model = network(kind)
    models.save_checkpoint(model, tmp_path / "w.safetensors", metadata=METADATA)
    out = tmp_path / "m.mlxfn"
    assert export.main([str(tmp_path / "w.safetensors"), str(out), "--batch-sizes", "4", "1"]) == 0
    assert "float32 (1, 3, 37, 37) or (4, 3, 37, 37)" in capsys.readouterr().out
    images = {f"of {n}": mx.random.normal((n, 3, 37, 37)) for n in (1, 4)}
    for name, found in run_alone(out, images, tmp_path).items():
        assert close(found, logits_of(model, images[name]))
    notes = json.loads((tmp_path / "m.json").read_text())
    assert notes["classes"] == ["cat", "dog", "ant"] and notes["preprocessing"]["image_size"] == 37
    assert notes["shapes"] == [[1, 3, 37, 37], [4, 3, 37, 37]] and notes["dtype"] == "float32"
    assert {one.name for one in tmp_path.iterdir()} == {
        "w.safetensors", "m.mlxfn", "m.json", "images.safetensors", "logits.safetensors"
    }  # fmt: skip


def test_bytes_are_normalized_inside(weights, tmp_path):
    out = tmp_path / "m.mlxfn"
    assert export.main([str(weights), str(out), "--pixels", "--image-size", "64"]) == 0
    pixels = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3), np.uint8)
    found = run_alone(out, {"x": mx.array(pixels)}, tmp_path)["x"]
    transform = ImageTransform(64, 64, mean=PREPARED.mean, std=PREPARED.std)
    pytest.importorskip("PIL", reason="the model's own preprocessing is Pillow's")
    assert close(found, logits_of(network(), transform(pixels)))


@pytest.mark.skipif(COMPILER is None, reason="needs a compiler for C++")
@pytest.mark.skipif(not (MLX_HOME / "include/mlx/mlx.h").is_file(), reason="this MLX comes without its headers")
def test_a_function_runs_from_cpp(weights, tmp_path):
    program = tmp_path / "run_exported"
    source = EXAMPLES / "run_exported.cpp"
    library = MLX_HOME / "lib"
    flags = ["-std=c++20", f"-I{MLX_HOME / 'include'}", f"-L{library}", "-lmlx", f"-Wl,-rpath,{library}"]
    built = subprocess.run([COMPILER, source, *flags, "-o", program], capture_output=True, text=True, timeout=300)
    assert built.returncode == 0, built.stderr[-2000:]
    assert export.main([str(weights), str(tmp_path / "m.mlxfn"), "--batch-sizes", "2"]) == 0
    images = mx.random.normal((2, 3, 37, 37))
    mx.save_safetensors(str(tmp_path / "images.safetensors"), {"images": images})
    files = [str(tmp_path / name) for name in ("m.mlxfn", "images.safetensors", "logits.safetensors")]
    done = subprocess.run([str(program), *files], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    expected = logits_of(network(), images)
    assert close(np.array(mx.load(files[2])["logits"]), expected)
    assert f"2 images, best classes array([{', '.join(map(str, expected.argmax(1)))}]" in done.stdout
    wrong = subprocess.run([str(program), str(weights), *files[1:]], capture_output=True, text=True, timeout=120)
    assert wrong.returncode == 1 and wrong.stderr.startswith("run_exported: ")


@pytest.mark.parametrize("dialect", ["official", "timm", "torchvision", "huggingface"])
def test_weights_go_into_any_dialect(weights, tmp_path, dialect):
    out = tmp_path / "out.safetensors"
    assert export.main([str(weights), str(out), "--dialect", dialect, "--image-size", "64"]) == 0
    model, original = network(), network().state_dict()
    for parameter in model.parameters():
        parameter._rebind(mx.zeros(parameter.shape))
    assert models.load_checkpoint(model, out).dialect == dialect
    for name, one in model.state_dict().items():
        assert (one.numpy() == original[name].numpy()).all(), name
    metadata = load_with_metadata(out)[1]
    assert metadata["format"] == "pt" and metadata["model"] == "mine"
    assert json.loads(metadata["classes"]) == ["cat", "dog", "ant"]
    assert json.loads(metadata["preprocessing"])["image_size"] == 64


def test_a_model_without_classifier_gives_features(tmp_path):
    model = network(classes=0)
    models.save_checkpoint(model, tmp_path / "w.safetensors", "timm")
    source, renamed, function = (str(tmp_path / name) for name in ("w.safetensors", "hf.safetensors", "m.mlxfn"))
    assert export.main([source, renamed, "--dialect", "huggingface"]) == 0
    assert models.load_checkpoint(network(classes=0), renamed).dialect == "huggingface"
    assert export.main([source, function, "--image-size", "32"]) == 0
    images = mx.random.normal((1, 3, 32, 32))
    [found] = mx.import_function(function)(images)
    assert found.shape == (1, 16) and close(np.array(found), logits_of(model, images))


def test_a_model_without_class_names_stays_so(tmp_path):
    """Whatever the width of its last layer."""
    models.save_checkpoint(network(), tmp_path / "w.safetensors", metadata={"classes": "[]"})
    assert export.main([str(tmp_path / "w.safetensors"), str(tmp_path / "timm.safetensors"), "--dialect", "timm"]) == 0
    found = models.from_checkpoint(tmp_path / "timm.safetensors")
    assert found.class_names == [] and found.num_classes == 3


def trained_on_digits(path, patch_size):
    """Write a file as ``lucid train`` does, of a model with an overlapping stem. Gives the model."""
    settings = small_images.Settings(
        dataset="digits", depths=(1, 1), dims=(8, 16), patch_size=patch_size, stem="overlap"
    )
    model = small_images.make_model(settings, 1, 10).eval()
    preprocessing = {"image_size": 8, "mean": (0.3,), "std": (0.4,)}
    metadata = training.weights_metadata("digits", lucid.data.Digits.classes, preprocessing, recipe=asdict(settings))
    lucid.save(model.state_dict(), path, metadata)
    return model


@pytest.mark.parametrize("dialect", ["official", "timm"])
def test_an_overlapping_stem_that_names_describe_is_exported(tmp_path, dialect):
    model = trained_on_digits(tmp_path / "w.safetensors", patch_size=4)
    out = tmp_path / "out.safetensors"
    assert export.main([str(tmp_path / "w.safetensors"), str(out), "--dialect", dialect]) == 0
    images = mx.random.normal((2, 1, 8, 8))
    assert close(logits_of(models.from_checkpoint(out), images), logits_of(model, images))


def test_a_stem_that_no_dialect_describes_needs_a_function(capsys, tmp_path):
    model = trained_on_digits(tmp_path / "w.safetensors", patch_size=1)
    with pytest.raises(SystemExit):
        export.main([str(tmp_path / "w.safetensors"), str(tmp_path / "out.safetensors")])
    assert "export a .mlxfn file instead" in capsys.readouterr().err and not (tmp_path / "out.safetensors").exists()
    assert export.main([str(tmp_path / "w.safetensors"), str(tmp_path / "m.mlxfn"), "--pixels"]) == 0
    pixels = mx.random.randint(0, 256, (1, 8, 8, 1)).astype(mx.uint8)
    [found] = mx.import_function(str(tmp_path / "m.mlxfn"))(pixels)
    expected = logits_of(model, ((pixels.astype(mx.float32) / 255 - 0.3) / 0.4).transpose(0, 3, 1, 2))
    assert close(np.array(found), expected)


def test_a_wrong_function_is_not_kept(capsys, weights, tmp_path, monkeypatch):
    monkeypatch.setattr("lucid.export._mlx._MAX_DIFFERENCE", -1.0)
    before = sorted(tmp_path.iterdir())
    assert export.main([str(weights), str(tmp_path / "m.mlxfn")]) == 1
    assert "outputs differ from the model's" in capsys.readouterr().err and sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["{weights}", "out.pt"], "output must end with .mlpackage, .mlxfn, .onnx or .safetensors, got out.pt"),
        (["{weights}", "nowhere/out.mlxfn"], "there is no folder"),
        (["{weights}", "out.mlxfn", "--dialect", "timm"], "--dialect requires a .safetensors output"),
        (
            ["{weights}", "out.safetensors", "--pixels"],
            "--pixels requires a .mlxfn or .onnx output, got out.safetensors",
        ),
        (["{weights}", "out.mlxfn", "--softmax"], "--softmax requires a .onnx output"),
        (["{weights}", "out.onnx", "--dialect", "timm"], "--dialect requires a .safetensors output"),
        (["{weights}", "{folder}/out.onnx", "--batch-sizes", "1", "2"], "takes one number"),
        (["{weights}", "{folder}/out.onnx", "--dtype", "int8"], "invalid choice: 'int8'"),
        (["{weights}", "out.safetensors", "--dialect", "keras"], "invalid choice: 'keras'"),
        (["{weights}", "out.mlxfn", "--batch-sizes", "0"], "must be a positive integer, got '0'"),
        (["{weights}", "out.mlxfn", "--device", "gpu"], "'gpu' is not available here"),
        (["{weights}", "{folder}/out.mlxfn", "--image-size", "8"], "at least 32x32"),
        (["nothing.pth", "{folder}/out.mlxfn"], "there is no file nothing.pth"),
        (["convnext_huge", "{folder}/out.mlxfn"], "there is no model 'convnext_huge'"),
    ],
)
def test_errors_are_reported_in_one_line(capsys, weights, tmp_path, arguments, fault, monkeypatch):
    monkeypatch.setattr("lucid._device.is_available", lambda kind: kind == "cpu")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(SystemExit) as caught:
        export.main([one.format(weights=weights, folder=tmp_path) for one in arguments])
    last = capsys.readouterr().err.splitlines()[-1]
    assert caught.value.code == 2 and "error: " in last and fault in last
    assert sorted(tmp_path.iterdir()) == before


def test_ctrl_c_is_one_line(capsys, tmp_path, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(models, "from_checkpoint", interrupt)
    assert export.main(["w.safetensors", str(tmp_path / "x.safetensors")]) == 130
    output = capsys.readouterr()
    assert output.out == "" and output.err.endswith(": interrupted\n") and output.err.count("\n") == 2


def test_an_onnx_file_of_any_batch(capsys, weights, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    out = tmp_path / "m.onnx"
    assert export.main([str(weights), str(out), "--pixels", "--softmax", "--dtype", "float16", "--verify"]) == 0
    said = capsys.readouterr().out
    assert "mine as ONNX in float16, images (batch, 37, 37, 3), at most" in said and "of the largest output" in said
    session = onnxruntime.InferenceSession(str(out))
    [found] = session.run(None, {"images": np.zeros((5, 37, 37, 3), np.uint8)})
    assert found.shape == (5, 3) and np.allclose(found.sum(1), 1)
    words = session.get_modelmeta().custom_metadata_map
    assert json.loads(words["classes"]) == ["cat", "dog", "ant"] and words["model"] == "mine"


def test_an_onnx_file_of_any_size(capsys, weights, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    images = mx.random.normal((2, 3, 50, 39), key=mx.random.key(3))
    assert export.main([str(weights), str(tmp_path / "m.onnx"), "--dynamic", "size", "--batch-sizes", "2"]) == 0
    assert "images (2, 3, height, width)" in capsys.readouterr().out
    [found] = onnxruntime.InferenceSession(str(tmp_path / "m.onnx")).run(None, {"images": np.array(images)})
    assert close(found, logits_of(models.from_checkpoint(weights), images))
