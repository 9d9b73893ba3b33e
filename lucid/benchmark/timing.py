"""Timing in turns, and PyTorch if it is installed: what all benchmarks share."""

import importlib
import math
import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from lucid import _device
from lucid._machine import describe_machine
from lucid.kernels import native

ROUNDS = 5  # at least
SECONDS_PER_GRAPH = 0.01  # at least, because waiting for a GPU costs up to 0.3 ms


def seconds_of(program: Callable[[], Any], calls: int = 1) -> float:
    """Run ``program`` once; return seconds per call if it makes ``calls`` calls."""
    start = time.perf_counter()
    program()
    return (time.perf_counter() - start) / calls


def interleaved_rounds(
    measures: dict[Any, Callable[[], float]], seconds: float = 0.0, rounds: int = ROUNDS
) -> dict[Any, list[float]]:
    """Take every measurement once per round, for ``seconds`` and at least ``rounds`` rounds.

    Whatever else the machine does then slows down all of them alike.
    """
    found: dict[Any, list[float]] = {name: [] for name in measures}
    end, count = time.perf_counter() + seconds, 0
    while count < rounds or time.perf_counter() < end:
        for name, measure in measures.items():
            found[name].append(measure())
        count += 1
    return found


def interleaved_medians(
    measures: dict[Any, Callable[[], float]], seconds: float = 0.0, rounds: int = ROUNDS
) -> dict[Any, float]:
    """The median of each measurement over the rounds of ``interleaved_rounds``."""
    return {name: statistics.median(found) for name, found in interleaved_rounds(measures, seconds, rounds).items()}


def difference(result: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference, relative to the largest expected value; NaN counts as infinite."""
    error = float(np.abs(result - expected).max() / np.abs(expected).max())
    return error if math.isfinite(error) else math.inf


def first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def machine_of(torch: tuple[Any, str] | None = None) -> dict[str, Any]:
    """``describe_machine``, and on the CPU whether Lucid's C++ kernels run. Compiles them if necessary."""
    machine = describe_machine(torch)
    return machine | ({"native": native.status()} if _device.backend() == "cpu" else {})


def torch_for(backend: str) -> tuple[Any, str] | None:
    """PyTorch and its device for MLX's ``backend``; None if PyTorch is not installed or has no such device.

    PyTorch's idle threads sleep unless OMP_WAIT_POLICY says otherwise: on a busy machine, spinning threads keep each
    other from the CPUs (2 shared cores: 0.24 s instead of 2.8 s for a training step of the small model).
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # read when PyTorch is loaded
    try:
        torch = importlib.import_module("torch")
    except ImportError:
        return None
    is_available = {"cpu": True, "cuda": torch.cuda.is_available(), "metal": torch.backends.mps.is_available()}
    return (torch, backend.replace("metal", "mps")) if is_available[backend] else None


def timers(prepares: dict[Any, Callable[[int], Callable[[], None]]], max_calls: int) -> dict[Any, Callable[[], float]]:
    """Functions that time one call of each, averaged over a graph of enough calls; building the graph is not timed."""

    def timer(prepare: Callable[[int], Callable[[], None]]) -> Callable[[], float]:
        def measure(calls: int) -> float:
            return seconds_of(prepare(calls), calls)

        calls = 1
        measure(1)
        while calls * 4 <= max_calls and measure(calls) * calls < SECONDS_PER_GRAPH:
            calls *= 4
        return partial(measure, calls)

    return {name: timer(prepare) for name, prepare in prepares.items()}
