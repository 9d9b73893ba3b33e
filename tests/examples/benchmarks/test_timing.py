"""Rounds, relative differences, records and options that the benchmarks share."""

import argparse
import importlib
import json
import math

import numpy as np
import pytest


@pytest.fixture
def timing():
    return importlib.import_module("timing")


def test_measurements_take_turns_and_the_median_counts(timing):
    turns = []
    clock = {"a": iter([1, 2, 3, 4, 100]), "b": iter([5, 5, 5, 5, 5])}
    measures = {name: lambda name=name: turns.append(name) or next(clock[name]) for name in clock}
    assert timing.interleaved_medians(measures) == {"a": 3, "b": 5}
    assert turns == ["a", "b"] * timing.ROUNDS


def test_rounds_continue_until_the_time_is_up(timing, monkeypatch):
    now = iter(range(100))
    monkeypatch.setattr(timing.time, "perf_counter", lambda: next(now))
    assert timing.interleaved_rounds({"a": lambda: 1.0}, seconds=8, rounds=2) == {"a": [1.0] * 9}
    assert timing.interleaved_rounds({"a": lambda: 1.0}, seconds=0, rounds=2) == {"a": [1.0] * 2}


def test_seconds_are_per_call(timing, monkeypatch):
    ran = []
    now = iter([10.0, 16.0])
    monkeypatch.setattr(timing.time, "perf_counter", lambda: next(now))
    assert timing.seconds_of(lambda: ran.append(1), calls=3) == 2.0
    assert ran == [1]


def test_the_difference_is_relative_to_the_largest_expected_value(timing):
    expected = np.array([1.0, -4.0])
    assert timing.difference(np.array([1.5, -4.0]), expected) == 0.125
    assert timing.difference(expected, expected) == 0.0
    assert timing.difference(np.array([math.nan, -4.0]), expected) == math.inf


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
