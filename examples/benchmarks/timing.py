"""Helpers shared by the benchmarks: timing in turns, PyTorch if it is installed, options, and JSON records."""

import argparse
import datetime
import importlib
import json
import math
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

import lucid
from lucid import _device
from lucid._files import write_atomically
from lucid._machine import describe_machine
from lucid.kernels import native

ROUNDS = 5  # at least


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


def write_json(path: Path, results: dict[str, Any], script: str, argv: list[str]) -> None:
    """Write ``results`` with the date and the command that produced them."""
    head = {
        "format": 1,
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "command": " ".join(["python", f"examples/benchmarks/{Path(script).name}", *argv]),
    }
    write_atomically(path, (json.dumps(head | results, indent=1) + "\n").encode())


# Options -------------------------------------------------------------------------------------------------------------


class Parser(argparse.ArgumentParser):
    """Reports an error in one line, without the usage, and exits with code 2."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message}\n")


def use_device(parser: argparse.ArgumentParser, name: str | None) -> None:
    """Compute on the device that ``--device`` names, if any. Exit with code 2 if there is no such device."""
    try:
        if name:
            lucid.set_default_device(name)
    except RuntimeError as error:
        parser.error(str(error))


def positive_int(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a positive integer, got {text!r}")
    return int(text)


def duration(text: str) -> float:
    """Seconds, 0 or more."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number of seconds, 0 or more, got {text!r}")
    return seconds
