"""``lucid bench``: both files, exit codes and invalid options."""

import json
import math

import mlx.core as mx
import pytest

from lucid import cli
from lucid.benchmark import accuracy
from tests.html_page import Page

KERNEL = {"kernel": str, "case": str, "dtype": str, "version": str}
TIMED = {"seconds": float, "gigabytes_per_second": float, "of_a_copy": float, "peak_bytes": int}


@pytest.fixture(autouse=True)
def back_to_the_default_device():
    device = mx.default_device()
    yield
    mx.set_default_device(device)


def fields_of(line, **more):
    """Check the types of a line's fields and return the others."""
    for name, kind in more.items():
        assert type(line[name]) is kind, (name, line)
        assert kind is not float or (math.isfinite(line[name]) and line[name] >= 0)
    return set(line) - set(more)


def test_a_quick_run_writes_both_files(capsys, tmp_path):
    assert cli.main(["bench", "--device", "cpu", "--quick", "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert sorted(one.name for one in (tmp_path / "out").iterdir()) == ["bench.html", "bench.json"]
    found = json.loads((tmp_path / "out" / "bench.json").read_text())
    assert set(found) == {
        "format", "date", "quick", "machine", "copy_gigabytes_per_second", "kernels", "depthwise", "models", "seconds",
        "failures",
    }  # fmt: skip
    assert (found["format"], found["quick"], found["failures"]) == (1, True, 0) and found["date"].endswith("+00:00")
    assert found["copy_gigabytes_per_second"] > 0 and str(tmp_path) not in json.dumps(found)
    machine = found["machine"]
    assert machine["backend"] == "cpu" and machine["versions"]["mlx"] == mx.__version__
    assert machine["device"] and machine["system"] and machine["memory_bytes"] > 2**28 and "macos" in machine

    assert len(found["kernels"]) == 3 * len(list(accuracy.checks(quick=True)))
    for line in found["kernels"]:
        rest = fields_of(line, **KERNEL)
        assert rest == {"skipped"} or (rest == {"differences", "tolerance", "is_right"} and line["is_right"])
    assert {line["kernel"] for line in found["kernels"] if "is_right" in line} >= {"depthwise_conv2d", "gelu"}
    assert [line["what"] for line in found["depthwise"]] == ["forward", "input gradient", "weight gradient"]
    for line in found["depthwise"]:
        rest = fields_of(line, shape=list, dtype=str, what=str, copy_seconds=float, counted_bytes=int)
        assert fields_of(line["ours"], **TIMED) == set() and rest - {"torch"} == {"ours"}
    steps = [(line["mode"], line["framework"]) for line in found["models"] if "torch" not in line["framework"]]
    assert steps == [(mode, name) for mode in ("training", "inference") for name in ("lucid", "mlx")]
    for line in found["models"]:
        fields_of(line, title=str, dtype=str, images=int, image_size_px=int, seconds=float, images_per_second=float)
        assert ("counted_bytes" in line) == (line["framework"] == "lucid") and "of_a_copy" not in line  # no GPU

    text = " ".join(Page((tmp_path / "out" / "bench.html").read_text()).texts)
    for part in (
        machine["device"],
        mx.__version__,
        "Depthwise convolution",
        "mlx.nn, compiled",
        "the times mean nothing",
    ):
        assert part in text
    assert "depthwise_conv2d 2x20x19x5, 7x7, padding 3 float32" in printed and "attach it and bench.json" in printed


def test_only_one_section(capsys, tmp_path):
    assert cli.main(["bench", "--device", "cpu", "--quick", "--only", "depthwise", "--out", str(tmp_path)]) == 0
    found = json.loads((tmp_path / "bench.json").read_text())
    assert found["kernels"] == found["models"] == [] and len(found["depthwise"]) == 3


def test_a_wrong_kernel_is_exit_code_1(capsys, tmp_path, monkeypatch):
    monkeypatch.setitem(accuracy.TOLERANCES, "bfloat16", 0.0)
    assert cli.main(["bench", "--device", "cpu", "--quick", "--only", "kernels", "--out", str(tmp_path)]) == 1
    found = json.loads((tmp_path / "bench.json").read_text())
    wrong = sum(not line.get("is_right", True) for line in found["kernels"])
    out, err = capsys.readouterr()
    assert err == f"{wrong} results are WRONG or failed; please report this.\n" and out.count("WRONG") == wrong > 3
    assert (tmp_path / "bench.html").read_text().count('<td class="wrong">WRONG</td>') == wrong


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--only", "all"], "invalid choice: 'all'"),
        (["--device", "gpu"], "'gpu' is not available here"),
        (["--out", "{tmp}/file"], "File exists: {tmp}/file"),
    ],
)
def test_invalid_options_are_one_line(capsys, tmp_path, monkeypatch, options, message):
    monkeypatch.setattr("lucid._device.is_available", lambda kind: kind == "cpu")
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit) as caught:
        cli.main(["bench", *(one.format(tmp=tmp_path) for one in options)])
    error = capsys.readouterr().err
    assert caught.value.code == 2 and error.startswith("lucid bench: error: ") and error.count("\n") == 1
    assert message.format(tmp=tmp_path) in error
