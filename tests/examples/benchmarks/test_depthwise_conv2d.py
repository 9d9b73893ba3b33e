"""The benchmark end to end on small shapes: table, JSON, tuning on a simulated GPU, invalid options."""

import importlib
import json
import math
import subprocess
import sys
from pathlib import Path

import mlx.core as mx
import pytest

from lucid import _device
from lucid.benchmark import depthwise, timing
from lucid.kernels import library
from lucid.kernels.depthwise_conv2d import tiling
from lucid.kernels.depthwise_conv2d.tiling import Tiling, default_forward_tiling
from tests.kernels.recorded_launches import recording_kernel

SCRIPT = Path(__file__).parents[3] / "examples" / "benchmarks" / "depthwise_conv2d.py"
DIRECTIONS = ["forward", "input gradient", "weight gradient"]
TINY = ["--device", "cpu", "--stages", "6x5x3", "1x1x1", "--kernel", "3", "--seconds", "0", "--compare", "mlx"]


def run(*arguments):
    command = [sys.executable, "-W", "error", str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.fixture
def example():
    return importlib.import_module("depthwise_conv2d")


@pytest.mark.parametrize("mode", ["compiled", "eager"])
def test_table_and_json_agree(tmp_path, mode):
    options = [*TINY, "--batch", "1", "3", "--dtype", "float32", "bfloat16", "--memory", "2x6x6x4"]
    options += ["--eager"] if mode == "eager" else []
    done = run(*options, "--json", tmp_path / "out.json")
    assert done.returncode == 0 and done.stderr == ""
    assert [one.name for one in tmp_path.iterdir()] == ["out.json"]
    found = json.loads((tmp_path / "out.json").read_text())
    assert found["format"] == 1 and found["mode"] == mode and found["machine"]["backend"] == "cpu"
    assert found["command"].startswith("python examples/benchmarks/depthwise_conv2d.py --device cpu")
    assert found["machine"]["versions"]["mlx"] == mx.__version__
    assert str(SCRIPT.parents[2]) not in json.dumps({**found, "command": ""})

    shapes = [[n, *size] for size in ([6, 5, 3], [1, 1, 1]) for n in (1, 3)]
    wanted = [(shape, dtype, what) for shape in shapes for dtype in ("float32", "bfloat16") for what in DIRECTIONS]
    assert [(line["shape"], line["dtype"], line["what"]) for line in found["lines"]] == wanted
    for line in found["lines"]:
        moved = 2 * math.prod(line["shape"]) * (4 if line["dtype"] == "float32" else 2)
        for name in ("ours", "mlx"):
            one = line[name]
            assert one["gigabytes_per_second"] == pytest.approx(moved / one["seconds"] / 1e9)
            assert one["of_a_copy"] == pytest.approx(line["copy_seconds"] / one["seconds"])
            assert one["peak_bytes"] >= moved
        assert line["is_right"] and 0 <= line["difference"] <= 1.6e-2
        [printed] = [
            row for row in done.stdout.splitlines()
            if row.split()[:2] == ["x".join(map(str, line["shape"])), line["dtype"]] and line["what"] in row
        ]  # fmt: skip
        assert (
            f"{line['ours']['seconds'] * 1e3:.3f} ms" in printed and f"{line['mlx']['seconds'] * 1e3:.3f} ms" in printed
        )
    memory = found["peak_memory"]
    assert memory["input_bytes"] == 2 * 6 * 6 * 4 * 4
    assert all(memory[name] >= 4 * memory["input_bytes"] for name in ("ours", "mlx"))  # x, y and their gradients
    assert f"ours {memory['ours'] / memory['input_bytes']:.1f}" in done.stdout


def test_without_comparison(tmp_path):
    done = run("--device", "cpu", "--stages", "4x4x2", "--seconds", "0", "--compare", "--memory", "off", "--batch", "1")
    assert done.returncode == 0 and "mx.conv2d" not in done.stdout and "Peak memory" not in done.stdout
    assert sum("float32" in row for row in done.stdout.splitlines()) == 3


def test_a_wrong_result_is_reported(example, monkeypatch, capsys):
    monkeypatch.setitem(
        depthwise.CONVOLUTIONS, "ours", lambda x, weight, case: depthwise.mlx_convolution(x, weight * 1.01, case)
    )
    assert example.main([*TINY, "--batch", "1", "--memory", "off"]) == 1
    out, err = capsys.readouterr()
    assert out.count("WRONG: differs by 1.0e-02") == 6
    assert "6 of 6 results are WRONG" in err


def test_tuning_needs_a_gpu():
    done = run("--device", "cpu", "--tune")
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.strip() == "--tune needs a GPU: on the CPU there are no tilings to choose from."


@pytest.fixture
def fake_gpu(tmp_path, monkeypatch):
    """A Metal device whose kernels return zeros; yields the list of launches."""
    launched = []
    monkeypatch.setattr(library, "kernel", recording_kernel(launched))
    monkeypatch.setattr(_device, "backend", lambda: "metal")
    monkeypatch.setenv("LUCID_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("LUCID_TUNING", raising=False)
    tiling.clear_cache()
    yield launched
    tiling.clear_cache()


def tiling_of(launch):
    strip = dict(launch["template"])["S"]
    chunks = launch["grid"][1] // -(-launch["output_shapes"][0][2] // strip)
    return Tiling(strip, chunks, 32 * launch["threadgroup"][1])


def test_tuning_times_every_tiling_and_stores_the_fastest(example, monkeypatch, capsys, tmp_path, fake_gpu):
    shape = (2, 96, 28, 28)
    fastest = list(tiling.candidates("metal", (7, 7), shape))[5]

    def seconds_of(program, calls):
        program()
        return 1.0 if tiling_of(fake_gpu[-1]) == fastest else 2.0

    monkeypatch.setattr(timing, "seconds_of", seconds_of)
    options = ["--tune", "--stages", "28x28x96", "--batch", "2", "--dtype", "float16", "--seconds", "0"]
    assert example.main([*options, "--json", str(tmp_path / "out.json")]) == 0
    tiling.clear_cache()  # as in a new process
    assert (
        tiling.forward_tiling("metal", mx.float16, (7, 7), shape)
        == fastest
        != default_forward_tiling("metal", (7, 7), shape)
    )
    assert tiling.forward_tiling("metal", mx.float32, (7, 7), shape) == default_forward_tiling("metal", (7, 7), shape)
    [line] = json.loads((tmp_path / "out.json").read_text())["tuning"]
    usual = default_forward_tiling("metal", (7, 7), shape)
    assert line["before"] == {"seconds": 2.0, "cut": [usual.strip, usual.chunks, usual.threads]}
    assert line["after"] == {"seconds": 1.0, "cut": [fastest.strip, fastest.chunks, fastest.threads]}
    assert line["cuts"] == len(list(tiling.candidates("metal", (7, 7), shape)))
    out = capsys.readouterr().out
    assert f"{line['before']['cut']} -> {line['after']['cut']}" in out and str(tiling.path()) in out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--stages", "5"], "must be 3 positive integers like 5x6x7, got '5'"),
        (["--stages", "0x4x4"], "must be 3 positive integers like 5x6x7, got '0x4x4'"),
        (["--memory", "4x4x4"], "must be 4 positive integers like 5x6x7x8, got '4x4x4'"),
        (["--batch", "0"], "must be a positive integer, got '0'"),
        (["--kernel", "4"], "must be an odd number up to 31, got '4'"),
        (["--kernel", "33"], "must be an odd number up to 31, got '33'"),
        (["--dtype", "float64"], "invalid choice: 'float64'"),
        (["--seconds", "nan"], "must be a number of seconds, 0 or more, got 'nan'"),
        (["--seconds", "long"], "must be a number of seconds, 0 or more, got 'long'"),
        (["--json", "no/such/folder/x.json"], "--json: no such folder: no/such/folder"),
        (["--tune", "--kernel", "9"], "only kernels up to 7x7 have tilings to choose from, got --kernel 9"),
        (["--compare", "jax"], "invalid choice: 'jax'"),
    ],
)
def test_invalid_options(example, capsys, options, message):
    with pytest.raises(SystemExit) as end:
        example.main(options)
    assert end.value.code == 2 and message in capsys.readouterr().err


def test_missing_pytorch_and_disabled_tuning_are_invalid_options(example, monkeypatch, capsys):
    monkeypatch.setattr(example, "torch_for", lambda backend: None)
    monkeypatch.setenv("LUCID_TUNING", "off")
    for options, message in (
        (["--compare", "torch"], "PyTorch is not installed"),
        (["--tune"], "LUCID_TUNING=off is set"),
    ):
        with pytest.raises(SystemExit) as end:
            example.main(options)
        assert end.value.code == 2 and message in capsys.readouterr().err
