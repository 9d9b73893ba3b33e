"""The benchmark end to end on a tiny model: table, JSON, chart, profile, wrong results, invalid options."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest

import lucid

EXAMPLES = Path(__file__).parents[3] / "examples" / "benchmarks"
SCRIPT = EXAMPLES / "training_step.py"
TINY = ["--depths", "1", "1", "--dims", "4", "8", "--patch-size", "2", "--classes", "3", "--batch", "4"]
TINY += ["--image-size", "9", "--device", "cpu", "--seconds", "0"]
MODEL = {"depths": (1, 2), "dims": (4, 8), "patch_size": 2, "classes": 3}


def run(*arguments):
    command = [sys.executable, "-W", "error", str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


@pytest.fixture
def example():
    return importlib.import_module("training_step")


@pytest.fixture
def frameworks(example):
    return sys.modules["frameworks"]


def test_table_json_and_chart_agree(tmp_path):
    names = ["lucid", "lucid-eager", "mlx", "mlx-eager", "hand", "lucid-checkpointing"]
    done = run(*TINY, "--frameworks", *names, "--out", tmp_path / "out")
    assert done.returncode == 0 and done.stderr == ""
    assert sorted(one.name for one in tmp_path.iterdir()) == ["out.json", "out.png"]
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")
    found = json.loads((tmp_path / "out.json").read_text())
    assert found["command"].startswith("python examples/benchmarks/training_step.py --depths 1 1")
    assert found["machine"]["versions"]["mlx"] == mx.__version__ and found["machine"]["backend"] == "cpu"
    assert found["model"] == {
        "depths": [1, 1], "dims": [4, 8], "patch_size": 2, "classes": 3, "batch": 4, "image_size_px": 9,
        "dtype": "float32",
    }  # fmt: skip
    wanted = [("training", name) for name in names] + [("inference", name) for name in names[:-1]]
    assert [(line["mode"], line["contestant"]) for line in found["lines"]] == wanted
    for line in found["lines"]:
        assert line["is_right"] and 0 <= line["difference"] <= 1e-3
        assert line["images_per_second"] == pytest.approx(4 / line["seconds"])
        assert line["peak_bytes"] > 4 * 4 * 9 * 9 * 3  # more than the images
        if line["mode"] == "training":
            parts = [line[f"{part}_seconds"] for part in ("forward", "backward", "optimizer")]
            assert min(parts) >= 0 and sum(parts) >= line["seconds"] * 0.999
        [*_, row] = [
            row for row in done.stdout.split("| inference")[line["mode"] == "inference"].splitlines()
            if row.startswith(f"| {line['title']} ")
        ]  # fmt: skip
        assert f" {line['seconds'] * 1e3:.1f} |" in row and f" {line['images_per_second']:.1f} |" in row


def test_the_profile_lists_the_operations_of_the_step(tmp_path):
    done = run(*TINY, "--profile", 3, "--out", tmp_path / "out")
    assert done.returncode == 0 and done.stderr == ""
    assert [one.name for one in tmp_path.iterdir()] == ["out.json"]
    lines = json.loads((tmp_path / "out.json").read_text())["profile"]
    calls = {}
    for line in lines:
        calls[line["operation"]] = calls.get(line["operation"], 0) + line["calls"]
    expected = {
        "conv2d": 2, "conv2d_and_input": 2,  # stem and downsampling, and the depthwise convolutions of two blocks
        "linear": 5, "gelu": 2, "layer_norm": 5, "cross_entropy": 1, "AdamW": 1,
    }  # fmt: skip
    assert {name: calls[name] for name in expected} == expected
    costs = [line["forward_seconds"] + line["backward_seconds"] for line in lines]
    assert costs == sorted(costs, reverse=True)
    shown = [row for row in done.stdout.splitlines() if row.endswith("%")]
    assert [row.split()[0] for row in shown] == [line["operation"] for line in lines[:3]]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("mode", ["training", "inference"])
def test_all_frameworks_compute_the_same(example, frameworks, mode, dtype):
    setup = frameworks.make_setup(MODEL, 3, 8, dtype, mode)
    expected = example.expected_values(setup)
    for name in ("lucid", "lucid-eager", "hand", "hand-eager", "mlx", "mlx-eager"):
        found = example.values_of(frameworks.Framework(name, setup, None), mode)
        assert found.shape == expected.shape == ((3,) if mode == "training" else (1, 3, 3))
        assert example.difference(found, expected) < example.TOLERANCES[dtype]


def test_handwritten_gradients_agree_with_lucid(frameworks):
    setup = frameworks.make_setup(MODEL, 3, 8, "float32", "training")
    weights = {name: mx.array(value) for name, value in setup.weights.items()}
    images, labels = mx.array(setup.images), mx.array(setup.labels)
    by_hand = mx.grad(frameworks.loss_by_hand)(weights, images, labels, setup)
    model = lucid.models.ConvNeXt(3, (1, 2), (4, 8), patch_size=2)
    model.load_state_dict(setup.weights)
    nchw = lucid.tensor(images).permute(0, 3, 1, 2)
    lucid.nn.functional.cross_entropy(model(nchw), lucid.tensor(labels)).backward()
    for name, parameter in model.named_parameters():
        largest = np.abs(np.array(by_hand[name])).max()
        np.testing.assert_allclose(parameter.grad.numpy(), np.array(by_hand[name]), rtol=1e-3, atol=1e-4 * largest)


def test_a_wrong_result_is_reported(example, frameworks, monkeypatch, capsys):
    right = frameworks.logits_by_hand
    monkeypatch.setattr(frameworks, "logits_by_hand", lambda *args: right(*args) * 1.01)
    assert example.main([*TINY, "--mode", "inference", "--frameworks", "lucid-eager", "hand-eager"]) == 1
    out, err = capsys.readouterr()
    assert "by hand, eager WRONG: differs by 1.0e-02" in out and "1 of 2 results are WRONG" in err


def test_a_framework_that_cannot_run_is_reported_and_skipped(example, monkeypatch, capsys):
    def no_memory(setup, **options):
        raise RuntimeError("out of memory\nand more")

    monkeypatch.setitem(example.FRAMEWORKS, "mlx-eager", ("mlx.nn, eager", no_memory))
    assert example.main([*TINY, "--mode", "inference", "--frameworks", "lucid-eager", "mlx-eager"]) == 0
    assert "| out of memory |" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("mode", ["training", "inference"])
def test_the_peak_counts_weights_moments_and_images(example, frameworks, mode):
    model = {"depths": (1,), "dims": (160,), "patch_size": 4, "classes": 3}
    setup = frameworks.make_setup(model, 2, 4, "float32", mode)
    weights = 4 * frameworks.count_parameters(setup)  # bytes
    expected = example.expected_values(setup)
    for name in ("lucid", "lucid-eager", "hand-eager", "mlx-eager"):
        peak = example.build(name, setup, None, expected)[1]["peak_bytes"]
        least = (4 if mode == "training" else 1) * weights  # activations are negligible
        assert 0.95 * least <= peak <= 3 * least


def test_a_model_can_be_chosen_by_name(example):
    args = example.make_parser().parse_args(["--model", "atto"])
    model, size = example.model_of(args, on_cpu=True)
    assert (model["depths"], model["dims"], model["patch_size"]) == ((2, 2, 6, 2), (40, 80, 160, 320), 4)
    assert (model["classes"], size) == (1000, 224)
    usual = [example.model_of(example.make_parser().parse_args([]), on_cpu)[0]["dims"] for on_cpu in (True, False)]
    assert usual == [(40, 80, 160, 320), (96, 192, 384, 768)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model", "huge"], "invalid choice: 'huge'"),
        (["--batch", "0"], "must be a positive integer, got '0'"),
        (["--depths", "1"], "depths and dims must have one number for each stage, got [1] and [40, 80, 160, 320]"),
        (["--image-size", "15"], "--image-size must be at least 16 for this model, got 15"),
        (["--dtype", "float64"], "invalid choice: 'float64'"),
        (["--frameworks", "jax"], "invalid choice: 'jax'"),
        (["--seconds", "-1"], "must be a number of seconds, 0 or more, got '-1'"),
        (["--out", "no/such/folder/x"], "--out: no such folder: no/such/folder"),
    ],
)
def test_invalid_options(example, capsys, options, message):
    with pytest.raises(SystemExit) as end:
        example.main(["--device", "cpu", *options])
    assert end.value.code == 2 and message in capsys.readouterr().err


def test_missing_pytorch_is_an_invalid_option(example, monkeypatch, capsys):
    monkeypatch.setattr(example, "torch_for", lambda backend: None)
    with pytest.raises(SystemExit) as end:
        example.main([*TINY, "--frameworks", "torch"])
    assert end.value.code == 2 and "PyTorch is not installed" in capsys.readouterr().err
