"""The benchmark of quantization: size, logits, accuracy and time of a model, and size and time of a variant."""

import importlib
import json
import re

import pytest

from lucid import models
from lucid.models import ImageTransform


def test_a_model_and_a_variant(tmp_path, capsys, monkeypatch):
    pytest.importorskip("sklearn", reason="the digits come with scikit-learn")
    module = importlib.import_module("quantization")
    run = tmp_path / "digits"
    run.mkdir()
    model = models.ConvNeXt(10, [1], [64], in_chans=1, patch_size=4)
    preprocessing = ImageTransform(8, 8, mean=(0.3,), std=(0.4,))
    models.save_checkpoint(model, run / "best.safetensors", preprocessing=preprocessing)
    monkeypatch.setattr(module, "_PIXELS", 32)
    monkeypatch.setattr(module.models, "create_model", lambda name: models.ConvNeXt(3, [1], [64], patch_size=16))
    options = [
        "--schemes",
        "8/64",
        "2/32",
        "--rounds",
        "1",
        "--batch-sizes",
        "2",
        "--json",
        str(tmp_path / "found.json"),
    ]
    assert module.main([str(run), "convnext_tiny", *options]) == 0
    text = capsys.readouterr().out
    numbers = r" +[\d.]+% +[\d.]+ MB"
    assert len(re.findall(rf"^(32|8/64|2/32){numbers}( +[\d.]+%){{3}} +\d+\.\d\d$", text, re.MULTILINE)) == 3
    assert len(re.findall(rf"^(32|8/64|2/32){numbers} +\d+\.\d\d$", text, re.MULTILINE)) == 3
    found = json.loads((tmp_path / "found.json").read_text())
    assert str(tmp_path) not in found["command"] and " digits convnext_tiny --schemes 8/64" in found["command"]
    rows = found["models"]["digits"]["schemes"]
    assert rows["32"]["logits_difference"] == 0 and rows["32"]["same_class"] == 1
    assert 0 < rows["8/64"]["logits_difference"] < rows["2/32"]["logits_difference"]
    assert rows["32"]["file_bytes"] > rows["8/64"]["file_bytes"] > rows["2/32"]["file_bytes"]
    assert found["models"]["convnext_tiny"]["schemes"]["8/64"].keys() == {"file_bytes", "quantized_share", "time"}


def test_wrong_arguments(capsys, tmp_path):
    module = importlib.import_module("quantization")
    for arguments, message in (
        (["runs/x", "--schemes", "8"], "must be BITS/GROUP_SIZE"),
        ([str(tmp_path / "none.safetensors")], "there is no file"),
    ):
        with pytest.raises(SystemExit):
            module.main(arguments)
        assert message in capsys.readouterr().err
