"""``lucid export MODEL OUT.mlpackage``."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from lucid import models
from lucid.cli import export
from lucid.export import MLProgram
from tests.export.coreml_networks import NAMES, PREPARED, convnext, difference, logits_of, normalized, probabilities_of

pytest.importorskip("coremltools", reason="packages are written with coremltools")


@pytest.fixture
def weights(tmp_path):
    metadata = {"classes": json.dumps(NAMES), "preprocessing": json.dumps(asdict(PREPARED)), "model": "mine"}
    models.save_checkpoint(convnext(), tmp_path / "mine.safetensors", metadata=metadata)
    return tmp_path / "mine.safetensors"


def test_a_checkpoint_becomes_a_package(capsys, weights, tmp_path):
    out = tmp_path / "Pets.mlpackage"
    options = ["--verify", "--author", "Ada", "--sizes", "64", "--dtype", "float32"]
    assert export.main([str(weights), str(out), *options]) == 0
    said = capsys.readouterr()
    assert "mine as float32 of RGB image, 37 x 37 or 64 x 64 px, with the names of 3 classes; differs by" in said.out
    assert said.err == ""
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    program = MLProgram(out)
    found = program.run({"image": pixels})["classLabel_probs"]
    expected = probabilities_of(logits_of(convnext(), normalized(pixels)))
    assert difference(list(found.values()), expected) < 1e-4
    assert program.spec.description.metadata.author == "Ada"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--size-range", "32", "64", "--sizes", "64"], "pass either sizes or size_range"),
        (
            ["--batch-sizes", "1", "2", "3"],
            "--batch-sizes of a .mlpackage are one number, or the smallest and the largest",
        ),
        (["--batch-sizes", "4"], "class names need batch_size 1"),
        (["--dialect", "timm"], "--dialect requires a .safetensors output"),
        (["--bits", "8"], "--bits requires a .mlxfn or .safetensors output"),
        (["--pixels"], "--pixels requires a .mlxfn or .onnx output"),
    ],
)
def test_mistakes(capsys, weights, tmp_path, options, words):
    with pytest.raises(SystemExit) as stopped:
        export.main([str(weights), str(tmp_path / "m.mlpackage"), *options])
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1
    assert not (tmp_path / "m.mlpackage").exists()


def test_options_of_packages_need_one(capsys, weights, tmp_path):
    with pytest.raises(SystemExit):
        export.main([str(weights), str(tmp_path / "m.mlxfn"), "--compress", "int8"])
    assert "--compress requires a .mlpackage output" in capsys.readouterr().err
