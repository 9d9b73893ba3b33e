"""Counts what the depthwise kernels request from memory, in the simulator, for every stage of ConvNeXt-T.

    python -m tests.kernels.depthwise_traffic                        # the tables of docs/kernels.md
    python -m tests.kernels.depthwise_traffic --record COMMIT FILE   # the kernels of a commit, as JSON

Bytes are those that threads load and store, lines the cache lines of 128 bytes that simdgroups access: both before any
cache. Shaders and launches are the package's own, with the tilings of a GPU of 8 cores.

Each launch is counted for one image and 64 channels (96 of 96), with the tiling of the whole batch, and scaled. That is
exact: images and simdgroups of 32 channels are alike, and 64 channels of any dtype are whole lines. In the weight
gradient the loads belong to strips of an image, whichever thread adds them up, and the stores to partial sums; both
scale by their numbers.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import mlx.core as mx

from lucid.kernels import library
from lucid.kernels.depthwise_conv2d import tiling
from lucid.kernels.depthwise_conv2d.geometry import Geometry
from lucid.kernels.depthwise_conv2d.launch import Launcher
from tests.kernels.recorded_launches import recording_kernel
from tests.metal_simulator import Kernel, Report, simulation

ROOT = Path(__file__).parents[2]
BEFORE = ROOT / "examples" / "results" / "depthwise-traffic-8361251.json"
STAGES = ((56, 96), (28, 192), (14, 384), (7, 768))
DIRECTIONS = ("output", "input gradient", "weight gradient")
DTYPES = {"float32": mx.float32, "float16": mx.float16}
BATCHES = (1, 32)
_KERNEL = (7, 7)
_TAPS = 49


def launched(direction: str, dtype: mx.Dtype, shape: tuple[int, int, int, int]) -> dict[str, Any]:
    """The launch of a direction for x of this shape, (N, H, W, C); nothing is computed."""
    found: list[dict[str, Any]] = []

    geometry = Geometry(shape[1:3], _KERNEL, (1, 1), ((3, 3), (3, 3)), (1, 1))
    x, bias = mx.broadcast_to(mx.ones(1, dtype), shape), mx.ones(shape[3], dtype)
    weight = mx.ones((shape[3], 1, *_KERNEL), dtype).squeeze(1).transpose(1, 2, 0)  # (KH, KW, C), a view
    launcher = Launcher("metal")
    with (
        mock.patch.object(library, "kernel", recording_kernel(found)),
        mock.patch.dict(os.environ, {"LUCID_TUNING": "off"}),
    ):
        if direction == "output":
            launcher.forward(x, weight, bias, geometry)
        elif direction == "input gradient":
            launcher.input_gradient(x, weight, geometry)
        else:
            launcher.weight_gradient(x, x, geometry)
    [launch] = found
    return launch


def run(launch: dict[str, Any]) -> Report:
    """The counters of a launch."""
    header = library.source("depthwise_conv2d.metal")
    kernel = Kernel(launch["name"], launch["input_names"], launch["output_names"], launch["call"], header)
    keys = ("inputs", "output_shapes", "output_dtypes", "grid", "threadgroup", "template")
    with simulation(lines=True):
        kernel(**{key: launch[key] for key in keys})
    assert kernel.report is not None
    return kernel.report


def count(direction: str, dtype_name: str, images: int, size: int, channels: int) -> dict[str, float]:
    """Bytes and lines per output; for the weight gradient also the bytes of its partial sums by those of x and dy."""
    dtype, cropped = DTYPES[dtype_name], channels if channels % 64 else 64
    whole = launched(direction, dtype, (images, size, size, channels))
    one = (1, size, size, cropped)
    outputs = images * size * size * channels
    if direction != "weight gradient":
        with mock.patch.object(tiling, "forward_tiling", return_value=_tiling(whole, size)):
            report = run(launched(direction, dtype, one))
        scale = images * (channels / cropped) / outputs
        moved = report.loaded_bytes + report.stored_bytes
        return {"bytes": moved * scale, "lines": report.lines * scale}
    with _one_image(whole, size):
        part = launched(direction, dtype, one)
        report = run(part)
    loads = images * (channels / cropped) / outputs
    sums = whole["output_shapes"][0][0]
    stores = sums / part["output_shapes"][0][0] * (channels / cropped) / outputs
    written = sums * (_TAPS + 1) * channels * 4
    stored_lines = sum(buffer.store_lines for buffer in report.buffers.values())
    return {
        "bytes": report.loaded_bytes * loads + report.stored_bytes * stores,
        "lines": (report.lines - stored_lines) * loads + stored_lines * stores,
        # Written by the kernel and, if there are several, read by the sum over them.
        "partial sums": (written + written * (sums > 1)) / (2 * outputs * dtype.size),
    }


def _tiling(whole: dict[str, Any], size: int) -> tiling.Tiling:
    """The tiling of a launch of ``rolling_forward``."""
    strip, (_, y, _), (x_threads, y_threads, _) = dict(whole["template"])["S"], whole["grid"], whole["threadgroup"]
    chunks = y if y_threads == 1 and x_threads > 32 else y // -(-size // strip)  # until commit 8361251, strips are in x
    return tiling.Tiling(strip, chunks, x_threads * y_threads)


def _one_image(whole: dict[str, Any], size: int):
    """The tiling of the weight gradient of ``whole``, for one image."""
    strip = dict(whole["template"])["S"]
    if hasattr(tiling, "rolling_weight_gradient_chunks"):  # until commit 8361251
        chunks = whole["grid"][1], 1
        return mock.patch.object(tiling, "rolling_weight_gradient_chunks", return_value=chunks)
    rows = whole["inputs"][3].tolist()[0]
    units = -(-size // rows) * -(-size // strip)
    tiles = tiling.WeightGradientTiling(strip, rows, 1, -(-units // tiling.GROUPS))
    return mock.patch.object(tiling, "weight_gradient_tiling", return_value=tiles)


def count_all(stages=STAGES) -> Iterator[tuple[str, dict[str, float]]]:
    for images in BATCHES:
        for size, channels in stages:
            for direction in DIRECTIONS:
                for dtype in DTYPES:
                    yield (
                        f"{images}x{size}x{size}x{channels} {direction} {dtype}",
                        {
                            key: round(value, 3)
                            for key, value in count(direction, dtype, images, size, channels).items()
                        },
                    )


def tables(before: dict[str, dict[str, float]], after: dict[str, dict[str, float]]) -> Iterator[str]:
    """Lines of Markdown: a table for each batch size."""
    for images in BATCHES:
        yield f"Batch {images}:"
        yield ""
        yield "| x (H x W x C) | | bytes, float32 | bytes, float16 | lines, float32 | lines, float16 | partial sums |"
        yield "|--|--|--:|--:|--:|--:|--:|"
        for size, channels in STAGES:
            for direction in DIRECTIONS:
                place = f"{images}x{size}x{size}x{channels} {direction}"
                if f"{place} float32" in after:
                    first = f"{size}x{size}x{channels}" if direction == DIRECTIONS[0] else ""
                    yield f"| {first} | {direction} | {' | '.join(_cells(place, before, after))} |"
        yield ""


def _cells(place: str, before: dict[str, dict[str, float]], after: dict[str, dict[str, float]]) -> Iterator[str]:
    for what, digits in (("bytes", 1), ("lines", 3)):
        for dtype in DTYPES:
            old, new = (one[f"{place} {dtype}"][what] for one in (before, after))
            yield f"{old:.{digits}f} → {new:.{digits}f}"
    if "partial sums" in after[f"{place} float32"]:
        pairs = ([one[f"{place} {dtype}"]["partial sums"] for one in (before, after)] for dtype in DTYPES)
        yield ", ".join(f"{old:.0%} → {new:.1%}" for old, new in pairs)
    else:
        yield ""


def record(commit: str, path: Path) -> None:
    """Count the shaders and launches of a commit, with the package as it was."""
    archive = subprocess.run(
        ["git", "archive", commit, "lucid", "metal"], cwd=ROOT, capture_output=True, check=True
    ).stdout
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["tar", "-x"], cwd=folder, input=archive, check=True)
        environment = {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}
        command = [sys.executable, "-m", "tests.kernels.depthwise_traffic", "--json"]
        counted = subprocess.run(
            command, cwd=folder, env=environment, stdout=subprocess.PIPE, check=True, text=True
        ).stdout
    lines = ",\n".join(f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in json.loads(counted).items())
    path.write_text(f'{{\n "commit": "{commit}",\n "counts": {{\n{lines}\n }}\n}}\n', encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.kernels.depthwise_traffic")
    parser.add_argument("--record", nargs=2, metavar=("COMMIT", "FILE"), help="count the kernels of a commit")
    parser.add_argument("--json", action="store_true", help="print the counts instead of the tables")
    args = parser.parse_args()
    if args.record:
        record(args.record[0], Path(args.record[1]))
        return
    counts = dict(count_all())
    if args.json:
        print(json.dumps(counts))
        return
    print("\n".join(tables(json.loads(BEFORE.read_text(encoding="utf-8"))["counts"], counts)))


if __name__ == "__main__":
    main()
