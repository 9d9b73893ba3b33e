"""The benchmark end to end with two processes on a tiny model, and invalid options."""

import importlib
import json

import pytest

from tests.distributed.launching import ROOT, run_ring

SCRIPT = ROOT / "examples" / "benchmarks" / "distributed.py"
TINY = ["--depths", "1", "--dims", "4", "--image-size", "4", "--batch-size", "2", "--rounds", "2", "--steps", "1"]


@pytest.fixture
def example(monkeypatch):
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")  # the script would set it for the whole test run
    return importlib.import_module("distributed")


def test_two_processes_are_timed_in_three_modes(tmp_path):
    results = run_ring(2, tmp_path, SCRIPT, *TINY, "--json")
    assert [code for code, _, _ in results] == [0, 0], results
    output = results[0][1]
    assert results[1][1] == ""  # rank 0 alone prints
    assert "2 processes (ring)" in output and "2 images of 4 px per process" in output
    found = json.loads(output.splitlines()[-1])
    assert found["processes"] == 2
    assert {way: len(times) for way, times in found["seconds"].items()} == dict.fromkeys(found["seconds"], 2)
    assert all(seconds > 0 for times in found["seconds"].values() for seconds in times)
    assert set(found["efficiencies"]) == {"alone", "side by side", "together"}
    assert found["efficiencies"]["alone"] == pytest.approx(1)


def test_processes_are_pinned_only_if_there_are_enough_cores(monkeypatch, example):
    pinned = []
    monkeypatch.setattr(example.os, "sched_getaffinity", lambda _: {4, 5}, raising=False)
    monkeypatch.setattr(example.os, "sched_setaffinity", lambda _, cores: pinned.append(cores), raising=False)
    monkeypatch.setattr(example.os, "cpu_count", lambda: 2)
    monkeypatch.setattr(example.mx, "default_device", lambda: example.mx.Device(example.mx.cpu))
    assert example.pin_to_core(1, 2)
    assert not example.pin_to_core(1, 3)
    assert pinned == [{5}]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--depths", "1", "2"], "--depths has 2 stages but --dims has 4"),
        (["--image-size", "8"], "--image-size must be at least 16 with --patch-size 2 and 4 stages, got 8"),
        (["--bucket-mb", "0"], "--bucket-mb must be above 0, got 0.0"),
        (["--rounds", "0"], "must be a positive integer, got '0'"),
    ],
)
def test_invalid_options(example, capsys, options, message):
    with pytest.raises(SystemExit, match="2"):
        example.main(options)
    assert message in capsys.readouterr().err
