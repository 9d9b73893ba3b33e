"""Rounds, repeated calls and relative differences."""

import math

import numpy as np

from lucid.benchmark import timing


def test_measurements_take_turns_and_the_median_counts():
    turns = []
    clock = {"a": iter([1, 2, 3, 4, 100]), "b": iter([5, 5, 5, 5, 5])}
    measures = {name: lambda name=name: turns.append(name) or next(clock[name]) for name in clock}
    assert timing.interleaved_medians(measures) == {"a": 3, "b": 5}
    assert turns == ["a", "b"] * timing.ROUNDS


def test_rounds_continue_until_the_time_is_up(monkeypatch):
    now = iter(range(100))
    monkeypatch.setattr(timing.time, "perf_counter", lambda: next(now))
    assert timing.interleaved_rounds({"a": lambda: 1.0}, seconds=8, rounds=2) == {"a": [1.0] * 9}
    assert timing.interleaved_rounds({"a": lambda: 1.0}, seconds=0, rounds=2) == {"a": [1.0] * 2}


def test_seconds_are_per_call(monkeypatch):
    ran = []
    now = iter([10.0, 16.0])
    monkeypatch.setattr(timing.time, "perf_counter", lambda: next(now))
    assert timing.seconds_of(lambda: ran.append(1), calls=3) == 2.0
    assert ran == [1]


def test_the_difference_is_relative_to_the_largest_expected_value():
    expected = np.array([1.0, -4.0])
    assert timing.difference(np.array([1.5, -4.0]), expected) == 0.125
    assert timing.difference(expected, expected) == 0.0
    assert timing.difference(np.array([math.nan, -4.0]), expected) == math.inf


def test_calls_are_warmed_up_before_they_are_timed(monkeypatch):
    calls = []
    clock = {"a": iter([9, 9, 1]), "b": iter([9, 9, 5])}
    monkeypatch.setattr(timing, "seconds_of", lambda name, count: calls.append((name, count)) or next(clock[name]))
    timers = timing.timers({"a": lambda count: "a", "b": lambda count: "b"}, 256)
    assert calls == [("a", 1), ("a", 1), ("b", 1), ("b", 1)]
    assert {name: timer() for name, timer in timers.items()} == {"a": 1, "b": 5}


def test_short_calls_are_repeated(monkeypatch):
    counts = []
    monkeypatch.setattr(timing, "seconds_of", lambda program, calls: counts.append(calls) or 1e-3)
    [timer] = timing.timers({"a": lambda calls: None}, 256).values()
    assert [timer() for _ in range(3)] == [1e-3] * 3
    assert counts == [1, 1, 4, 16] + [16] * 3
    counts.clear()
    [timer] = timing.timers({"a": lambda calls: None}, 6).values()
    timer()
    assert counts == [1, 1, 4]
