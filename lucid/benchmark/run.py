"""``lucid bench``, in the order in which it happens: the kernels, the depthwise convolution, a whole ConvNeXt.

Results are a dictionary for a JSON file. Each section is a list of lines; a line has "skipped" with the reason where
this device cannot compute it, or where the time limit was reached, and "error" where something failed.
"""

import datetime
import math
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from lucid import _checks, _device, memory
from lucid.benchmark import accuracy, depthwise, frameworks
from lucid.benchmark.depthwise import DIRECTIONS, Case
from lucid.benchmark.frameworks import Framework, Setup
from lucid.benchmark.timing import (
    difference,
    first_line,
    interleaved_medians,
    machine_of,
    seconds_of,
    timers,
    torch_for,
)

import mlx.core as mx  # isort: skip  # After lucid, which loads a fast BLAS before MLX on Linux.

SECTIONS = ("kernels", "depthwise", "models")
LIMIT_S = 240.0  # nothing starts later than this
FRAMEWORKS = ("lucid", "mlx", "torch", "torch-contiguous")
TOLERANCES = {"float32": 1e-3, "float16": 5e-2, "bfloat16": 5e-2}  # of losses and logits
TINY_T = {"depths": (3, 3, 9, 3), "dims": (96, 192, 384, 768), "patch_size": 4, "classes": 1000}
SMALL = {"depths": (2, 2, 2, 2), "dims": (40, 80, 160, 320), "patch_size": 2, "classes": 10}
QUICK = {"depths": (1, 1), "dims": (4, 8), "patch_size": 2, "classes": 3}
_LARGE_MEMORY = 24 * 2**30  # ConvNeXt-T trains with 32 images from here on, with 8 below
_LATE = "the time limit was reached"


def run(quick: bool = False, only: Sequence[str] = SECTIONS, show: Callable[[str], object] = print) -> dict[str, Any]:
    """Run the sections on the current device and return the results; ``show`` gets a line of text for each.

    Args:
        quick: Tiny shapes, to see that everything runs; the times mean nothing.
        only: The sections to run.
        show: Called with each line as soon as it is known.

    Raises:
        ValueError: A section is unknown.
    """
    for name in only:
        _checks.one_of("bench", "only", name, SECTIONS)
    start = time.perf_counter()
    torch = torch_for(_device.backend())
    results: dict[str, Any] = {
        "format": 1,
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "quick": quick,
        "machine": describe(torch),
        "copy_gigabytes_per_second": copy_bandwidth(quick),
    }
    show(f"copy: {results['copy_gigabytes_per_second']:.1f} GB/s")
    sections = {
        "kernels": lambda: kernel_lines(quick, start + LIMIT_S),
        "depthwise": lambda: depthwise_lines(quick, torch, start + LIMIT_S),
        "models": lambda: model_lines(quick, torch, start + LIMIT_S, results["copy_gigabytes_per_second"]),
    }
    for name in SECTIONS:
        results[name] = []
        for line in sections[name]() if name in only else ():
            results[name].append(line)
            show(describe_line(name, line))
    results["seconds"] = time.perf_counter() - start
    results["failures"] = sum(
        not line.get("is_right", True) or ("error" in line and line.get("framework", "lucid") == "lucid")
        for name in SECTIONS
        for line in results[name]
    )
    return results


def describe(torch: tuple[Any, str] | None) -> dict[str, Any]:
    """Chip, system, memory and versions."""
    return machine_of(torch) | {"memory_bytes": memory.total(), "macos": platform.mac_ver()[0]}


def copy_bandwidth(quick: bool) -> float:
    """GB/s of reading and writing a large array once, on the current device."""
    side = 64 if quick else 1024 if _device.backend() != "cpu" else 512
    case = Case(1, side, side, 64, 1, "float32")
    copy = depthwise.Copy(case, case.arrays())
    times = interleaved_medians(timers({"copy": lambda calls: copy.prepare("", calls)}, case.max_calls))
    return case.min_bytes / times["copy"] / 1e9


def kernel_lines(quick: bool, end: float) -> Iterator[dict[str, Any]]:
    for check in accuracy.checks(quick):
        for dtype in accuracy.DTYPES:
            if time.perf_counter() > end:
                yield {"kernel": check.kernel, "case": check.case, "dtype": dtype, "skipped": _LATE}
            else:
                yield accuracy.record(check, dtype)


def depthwise_lines(quick: bool, torch: tuple[Any, str] | None, end: float) -> Iterator[dict[str, Any]]:
    """All stages of ConvNeXt-T, on a GPU also in half precision."""
    is_gpu = _device.backend() != "cpu"
    images = 32 if is_gpu else 2
    stages = [(6, 5, 3)] if quick else list(depthwise.STAGES.values())
    names = ["ours"] + (["torch"] if torch is not None else [])
    for dtype in ("float32", "float16", "bfloat16") if is_gpu else ("float32",):
        for size in stages:
            case = Case(1 if quick else images, *size, 3 if quick else 7, dtype)
            head = {"shape": list(case.shape), "dtype": dtype}
            if reason := accuracy.unsupported(dtype) or (_LATE if time.perf_counter() > end else ""):
                yield head | {"skipped": reason}
                continue
            try:
                lines = depthwise.compare_case(case, names, torch, 0.0 if quick else 0.5, eager=False, check=False)
            except RuntimeError as error:
                yield head | {"error": first_line(error)}
                continue
            counted = depthwise.counted_bytes(case)
            for line, what in zip(lines, DIRECTIONS, strict=True):
                yield head | line | {"shape": list(case.shape), "counted_bytes": counted[what]}


def model_lines(
    quick: bool, torch: tuple[Any, str] | None, end: float, copy_gigabytes: float
) -> Iterator[dict[str, Any]]:
    """ConvNeXt-T with 224 px on a GPU, a small ConvNeXt with 32 px on the CPU: training, then inference."""
    is_gpu = _device.backend() != "cpu"
    model, images, size = (TINY_T, 32 if memory.total() >= _LARGE_MEMORY else 8, 224) if is_gpu else (SMALL, 32, 32)
    if quick:
        model, images, size = QUICK, 2, 8
    half = "float16" if accuracy.unsupported("bfloat16") else "bfloat16"
    for mode in ("training", "inference"):
        for dtype in ("float32", half) if is_gpu else ("float32",):
            head = {"mode": mode, "dtype": dtype, "images": images, "image_size_px": size}
            if time.perf_counter() > end:
                yield head | {"skipped": _LATE}
                continue
            setup = frameworks.make_setup(model, images, size, dtype, mode)
            for line in compare_frameworks(setup, torch, 0.0 if quick else 8.0):
                if line["framework"] == "lucid" and "seconds" in line:
                    line["counted_bytes"] = frameworks.counted_bytes(setup)
                    if is_gpu:  # the counts are those of a GPU
                        rate = line["counted_bytes"] / line["seconds"] / 1e9
                        line |= {"gigabytes_per_second": rate, "of_a_copy": rate / copy_gigabytes}
                yield head | line


def compare_frameworks(setup: Setup, torch: tuple[Any, str] | None, seconds: float) -> list[dict[str, Any]]:
    """A line for each framework that is installed, timed in turns after two steps that are not timed."""
    lines: dict[str, dict[str, Any]] = {}
    ready: dict[str, Framework] = {}
    values = {}
    for name in FRAMEWORKS:
        if name.startswith("torch") and torch is None:
            continue
        lines[name] = {"framework": name, "title": Framework.known[name][0]}
        try:
            one = Framework(name, setup, torch)
            values[name] = _numpy(one.programs["step"]())
            lines[name]["peak_bytes"] = one.peak_bytes()
            ready[name] = one
        except (RuntimeError, NotImplementedError, TypeError) as error:  # a dtype that PyTorch lacks, or memory
            lines[name]["error"] = first_line(error)
    steps: dict[Any, Callable[[], float]] = {
        name: partial(seconds_of, one.programs["step"]) for name, one in ready.items()
    }
    slow = sum(step() for step in steps.values()) > seconds / 4
    for name, median in interleaved_medians(steps, seconds, rounds=2 if slow else 5).items():
        lines[name] |= {"seconds": median, "images_per_second": setup.batch / median}
    if {"lucid", "mlx"} <= set(values):
        found = difference(values["lucid"], values["mlx"])
        right = found <= TOLERANCES[setup.dtype]
        lines["lucid"] |= {"difference": found if math.isfinite(found) else None, "is_right": right}
    return list(lines.values())


def _numpy(value: Any) -> np.ndarray:
    """An array of MLX or PyTorch, in float32."""
    return np.array(value.astype(mx.float32)) if isinstance(value, mx.array) else value.numpy()


def describe_line(section: str, line: dict[str, Any]) -> str:
    """A line of results as text."""
    names = {
        "kernels": ("kernel", "case", "dtype", "version"),
        "depthwise": ("shape", "dtype", "what"),
        "models": ("mode", "dtype", "title"),
    }
    parts = ("x".join(map(str, one)) if isinstance(one, list) else one for one in map(line.get, names[section]) if one)
    head = " ".join(map(str, parts))
    for key in ("skipped", "error"):
        if key in line:
            return f"{head}: {key}: {line[key]}"
    if section == "kernels":
        worst = worst_of(line)
        return (
            f"{head}: {'right' if line['is_right'] else 'WRONG'}, {'not finite' if worst is None else f'{worst:.1e}'}"
        )
    if section == "depthwise":
        ours = line["ours"]
        return f"{head}: {ours['seconds'] * 1e3:.3f} ms, {ours['of_a_copy']:.0%} of a copy"
    wrong = "" if line.get("is_right", True) else "; WRONG: differs from mlx.nn"
    return f"{head}: {line['seconds'] * 1e3:.1f} ms, {line['images_per_second']:.1f} images/s{wrong}"


def worst_of(line: dict[str, Any]) -> float | None:
    """The largest difference of a line about a kernel; ``None`` if a result is not finite."""
    values = list(line["differences"].values())
    return None if None in values else max(values)
