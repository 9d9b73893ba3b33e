"""``lucid classify --bits`` and ``lucid export --bits``."""

import json

import numpy as np
import pytest

import lucid
from lucid import models, nn
from lucid.models.preprocessing import ImageTransform

pytest.importorskip("matplotlib", reason="names are drawn with matplotlib's font")
pytest.importorskip("tqdm", reason="progress is shown with tqdm")
pytest.importorskip("PIL", reason="images are read with Pillow")

from PIL import Image

from lucid.cli import classify, export, info


@pytest.fixture
def weights(tmp_path):
    lucid.manual_seed(5)
    model = models.ConvNeXt(3, [1, 1], [64, 128], patch_size=2).eval()
    model.head.weight._rebind(model.head.weight._array * 20)
    path = tmp_path / "full.safetensors"
    models.save_checkpoint(model, path, class_names=["cat", "dog", "ant"], preprocessing=ImageTransform(32, 32))
    return path


def run(capsys, command, *arguments):
    code = command.main([str(one) for one in arguments])
    output = capsys.readouterr()
    return code, output.out, output.err


def test_classify_quantizes(tmp_path, weights, capsys):
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    found = {}
    for bits in ((), ("--bits", "8"), ("--bits", "2")):
        code, out, _ = run(capsys, classify, tmp_path / "a.png", "--model", weights, "--json", *bits)
        assert code == 0
        found[bits[-1:]] = {one["class"]: one["probability"] for one in json.loads(out)["predictions"]}
    differences = [max(abs(found[bits][name] - found[()][name]) for name in found[()]) for bits in (("8",), ("2",))]
    assert 0 < differences[0] < 0.02 and differences[0] < differences[1]


def test_export_writes_quantized_weights(tmp_path, weights, capsys):
    small = tmp_path / "small.safetensors"
    code, out, _ = run(capsys, export, weights, small, "--bits", "8")
    assert code == 0 and "small.safetensors: weights of convnext" in out.replace("full", "convnext")
    assert small.stat().st_size < 0.5 * weights.stat().st_size
    model = models.from_checkpoint(small)
    assert type(model.head) is nn.QuantizedLinear and model.class_names == ["cat", "dog", "ant"]
    code, out, _ = run(capsys, info, small)
    count = models.from_checkpoint(weights).num_parameters()
    assert f"{count:,}" in out and "5 layers to 8 bits in groups of 64 (affine)" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--bits", "7"), "argument --bits: invalid choice: 7"),
        (("--bits", "8", "--dialect", "timm"), "timm has no quantized layers"),
        (("--bits", "8", "--dialect", "timm"), "--bits requires a .mlxfn or .safetensors output"),
    ],
)
def test_export_errors_write_nothing(tmp_path, weights, capsys, arguments, message):
    out = tmp_path / ("folder" if "a .mlxfn" in message else "out.safetensors")
    with pytest.raises(SystemExit) as stop:
        run(capsys, export, weights, out, *arguments)
    assert stop.value.code == 2 and message in capsys.readouterr().err
    assert not out.exists()


def test_a_quantized_file_is_not_quantized_again(tmp_path, weights, capsys):
    run(capsys, export, weights, tmp_path / "small.safetensors", "--bits", "8")
    Image.new("RGB", (32, 32)).save(tmp_path / "a.png")
    assert run(capsys, classify, tmp_path / "a.png", "--model", tmp_path / "small.safetensors")[0] == 0
    with pytest.raises(SystemExit):
        run(capsys, classify, tmp_path / "a.png", "--model", tmp_path / "small.safetensors", "--bits", "4")
    error = capsys.readouterr().err
    assert error == "lucid classify: error: quantize: ConvNeXt is quantized already, 5 layers\n"
