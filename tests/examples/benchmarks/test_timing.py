"""Records and options that the benchmarks share."""

import argparse
import importlib
import json

import pytest


@pytest.fixture
def timing():
    return importlib.import_module("timing")


def test_a_record_names_its_command(timing, tmp_path):
    timing.write_json(tmp_path / "a.json", {"lines": [1]}, "/somewhere/loading.py", ["--rounds", "1"])
    found = json.loads((tmp_path / "a.json").read_text())
    assert found.pop("date").endswith("+00:00")
    assert found == {"format": 1, "command": "python examples/benchmarks/loading.py --rounds 1", "lines": [1]}


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "many"])
def test_positive_integers(timing, text):
    assert timing.positive_int("12") == 12
    with pytest.raises(argparse.ArgumentTypeError, match=f"must be a positive integer, got '{text}'"):
        timing.positive_int(text)


@pytest.mark.parametrize("text", ["-1", "nan", "inf", "long"])
def test_durations(timing, text):
    assert timing.duration("0") == 0.0 and timing.duration("1.5") == 1.5
    with pytest.raises(argparse.ArgumentTypeError, match=f"must be a number of seconds, 0 or more, got '{text}'"):
        timing.duration(text)


def test_a_missing_device_is_an_error_of_one_line(timing, monkeypatch, capsys):
    def no_gpu(name):
        raise RuntimeError(f"no {name} here")

    parser = timing.Parser(prog="benchmark")
    monkeypatch.setattr(timing.lucid, "set_default_device", no_gpu)
    timing.use_device(parser, None)
    with pytest.raises(SystemExit) as end:
        timing.use_device(parser, "gpu")
    assert end.value.code == 2 and capsys.readouterr().err == "benchmark: error: no gpu here\n"
