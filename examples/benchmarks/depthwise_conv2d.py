"""Time the depthwise convolution on this machine, compared with MLX's own and PyTorch's.

    python examples/benchmarks/depthwise_conv2d.py                   # all stages of ConvNeXt-T: a minute on a GPU
    python examples/benchmarks/depthwise_conv2d.py --json mine.json  # also write the numbers, machine and versions
    python examples/benchmarks/depthwise_conv2d.py --tune            # find and store the fastest tiling for this GPU
    python examples/benchmarks/depthwise_conv2d.py --batch 64 --dtype bfloat16 --stages 1 14x14x100 --kernel 5

The output, the input gradient and the weight gradient are timed separately, without a bias:

- The time is that of evaluating a graph that is already built, by mx.compile as in a compiled training step, or by
  plain calls with --eager. A GPU runs the same kernels either way, but on the CPU MLX fuses operations only when it
  compiles. Short calls are repeated within one graph, each on the result of the previous one (weight gradients side by
  side).
- The implementations take turns, round after round, so that other load on the machine affects all of them alike; the
  table shows medians. "of a copy" compares with a pass that reads and writes every value once (the weight gradient
  reads two arrays instead): 100 % would be as fast as memory allows.
- Every result is compared with MLX's in float32. If one is wrong, the last line says so and the exit code is 1.

Start reading at compare() and tune(), near the end; the functions above are their parts.
"""

import argparse
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from timing import Parser, duration, positive_int, use_device, write_json

from lucid import _device
from lucid._machine import headline
from lucid.benchmark.depthwise import DTYPES, STAGES, Case, compare_case, peak_memory
from lucid.benchmark.timing import ROUNDS, interleaved_medians, machine_of, timers, torch_for
from lucid.kernels.depthwise_conv2d import launch, tiling
from lucid.kernels.depthwise_conv2d.geometry import Geometry
from lucid.kernels.depthwise_conv2d.tiling import Tiling

import mlx.core as mx  # isort: skip  # After lucid, which loads a fast BLAS before MLX on Linux.

TITLES = {"ours": "ours", "mlx": "mx.conv2d", "torch": "PyTorch", "torch-contiguous": "PyTorch NCHW"}
FINALISTS = 3  # tilings that --tune times once more, in turns with the default


def table_head(names: list[str]) -> str:
    others = "".join(f"{TITLES[name]:>20}" for name in names if name != "ours")
    return f"{'x (N, H, W, C)':<16} {'dtype':<9} {'what':<16} {'ours':>11} {'GB/s':>7} {'of a copy':>10}{others}"


def table_line(line: dict[str, Any], names: list[str]) -> str:
    ours = line["ours"]
    others = ""
    for name in (one for one in names if one != "ours"):
        seconds = line.get(name, {}).get("seconds")
        text = "-" if seconds is None else f"{seconds * 1e3:.3f} ms {seconds / ours['seconds']:6.2f}x"
        others += f"{text:>20}"
    wrong = "" if line["is_right"] else f"   WRONG: differs by {line['difference']:.1e}"
    return (
        f"{'x'.join(map(str, line['shape'])):<16} {line['dtype']:<9} {line['what']:<16} {ours['seconds'] * 1e3:8.3f} ms"
        f" {ours['gigabytes_per_second']:7.2f} {ours['of_a_copy']:9.1%} {others}{wrong}"
    )


def memory_line(memory: dict[str, Any], names: list[str]) -> str:
    of = [f"{TITLES[name]} {memory[name] / memory['input_bytes']:.1f}" for name in names if name in memory]
    shape = "x".join(map(str, memory["shape"]))
    return (
        f"Peak memory of the output and all gradients of {shape}, {memory['dtype']}, in multiples of the input "
        f"({memory['input_bytes'] / 2**20:.0f} MiB): {', '.join(of)}"
    )


def compare(
    cases: list[Case], memory_case: Case | None, names: list[str], seconds: float, eager: bool
) -> tuple[dict[str, Any], int]:
    """Print the table; return the content of the JSON file and the exit code, 1 if a result is wrong."""
    torch = torch_for(_device.backend()) if any(name.startswith("torch") for name in names) else None
    names = [name for name in names if not name.startswith("torch") or torch is not None]
    machine = machine_of(torch)
    print(headline(machine))
    if torch is None:
        print("PyTorch is left out: it was not requested, is not installed, or has no such device.")
    print(table_head(names), flush=True)
    lines = []
    for case in cases:
        for line in compare_case(case, names, torch, seconds, eager):
            lines.append(line)
            print(table_line(line, names), flush=True)
    results: dict[str, Any] = {"machine": machine, "mode": "eager" if eager else "compiled", "lines": lines}
    if memory_case is not None:
        results["peak_memory"] = peak_memory(memory_case, names, eager)
        print(memory_line(results["peak_memory"], names))
    wrong = sum(not line["is_right"] for line in lines)
    if wrong:
        print(f"{wrong} of {len(lines)} results are WRONG; please report this with the table.", file=sys.stderr)
    return results, int(wrong > 0)


def tune_case(case: Case, backend: str, seconds: float) -> dict[str, Any]:
    """Time all tilings, then the fastest once more in turns with the default; the winner is used from now on."""
    x, weight, _ = case.arrays()
    taps = weight.squeeze(1).transpose(1, 2, 0)  # (KH, KW, C)
    size, pad = (case.height, case.width), case.kernel // 2
    geometry = Geometry(size, (case.kernel, case.kernel), (1, 1), ((pad, pad), (pad, pad)), (1, 1))
    launcher = launch.Launcher(backend)

    def prepare(cut: Tiling) -> Callable[[int], Callable[[], None]]:
        def graph(calls: int) -> Callable[[], None]:
            value = x
            for _ in range(calls):
                value = launcher.forward(value, taps, None, geometry, cut)
            return lambda: mx.eval(value)

        return graph

    shape = (case.images, case.channels, case.height, case.width)
    usual, *others = tiling.candidates(backend, geometry.kernel, shape)
    first = interleaved_medians(timers({cut: prepare(cut) for cut in (usual, *others)}, case.max_calls))
    finalists = dict.fromkeys([usual, *sorted(first, key=first.__getitem__)[:FINALISTS]])
    final = interleaved_medians(timers({cut: prepare(cut) for cut in finalists}, case.max_calls), seconds)
    best, after = tiling.tune(backend, x.dtype, geometry.kernel, shape, lambda cut: final.get(cut, math.inf))
    return {
        "shape": case.shape,
        "dtype": case.dtype,
        "cuts": len(first),
        "before": {"seconds": final[usual], "cut": [usual.strip, usual.chunks, usual.threads]},
        "after": {"seconds": after, "cut": [best.strip, best.chunks, best.threads]},
    }


def tune(cases: list[Case], seconds: float) -> tuple[dict[str, Any], int]:
    """Print the times before and after for every case, and store the winners where launches look for them."""
    backend = _device.backend()
    if backend == "cpu":
        print("--tune needs a GPU: on the CPU there are no tilings to choose from.", file=sys.stderr)
        return {}, 1
    machine = machine_of()
    print(headline(machine))
    print(
        f"{'x (N, H, W, C)':<16} {'dtype':<9} {'tilings':>7} {'before':>12} {'after':>12}   strip, chunks, threads",
        flush=True,
    )
    lines = []
    for case in cases:
        line = tune_case(case, backend, seconds)
        lines.append(line)
        before, after = line["before"], line["after"]
        change = "unchanged" if before["cut"] == after["cut"] else f"{before['cut']} -> {after['cut']}"
        print(
            f"{'x'.join(map(str, case.shape)):<16} {case.dtype:<9} {line['cuts']:7} {before['seconds'] * 1e3:9.3f} ms "
            f"{after['seconds'] * 1e3:9.3f} ms   {change}",
            flush=True,
        )
    print(f"Stored in {tiling.save()}. Results stay bit-identical; LUCID_TUNING=off ignores the file.")
    return {"machine": machine, "tuning": lines}, 0


def sizes(text: str, count: int) -> tuple[int, ...]:
    values = text.split("x")
    if len(values) != count or not all(one.isdecimal() and int(one) > 0 for one in values):
        raise argparse.ArgumentTypeError(
            f"must be {count} positive integers like {'x'.join('5678'[:count])}, got {text!r}"
        )
    return tuple(map(int, values))


def stage(text: str) -> tuple[int, ...]:
    return STAGES[text] if text in STAGES else sizes(text, 3)


def memory_shape(text: str) -> tuple[int, ...] | None:
    return None if text == "off" else sizes(text, 4)


def odd(text: str) -> int:
    if not text.isdecimal() or int(text) % 2 == 0 or int(text) > 31:
        raise argparse.ArgumentTypeError(f"must be an odd number up to 31, got {text!r}")
    return int(text)


def make_parser() -> argparse.ArgumentParser:
    parser = Parser(
        description="Time the depthwise convolution (output, input gradient, weight gradient), compared with MLX's own "
        "and PyTorch's, and check the results.",
        epilog="On a new machine, run it without options, then with --tune, then without options again. Options with "
        "several values take them separated by spaces: --batch 1 8 32.",
    )
    parser.add_argument(
        "--stages",
        type=stage,
        nargs="+",
        metavar="S",
        default=list(STAGES.values()),
        help="1 to 4 for the stages of ConvNeXt-T, or HxWxC (default: 1 2 3 4, that is "
        + " ".join("x".join(map(str, one)) for one in STAGES.values())
        + ")",
    )
    parser.add_argument("--batch", type=positive_int, nargs="+", metavar="N", help="default: 1 32; on the CPU 2")
    parser.add_argument("--dtype", choices=list(DTYPES), nargs="+", help="default: float32 float16; on the CPU float32")
    parser.add_argument("--kernel", type=odd, default=7, metavar="K", help="kernel size, odd (default: 7)")
    parser.add_argument(
        "--compare",
        choices=["mlx", "torch", "torch-contiguous"],
        nargs="*",
        help="implementations to compare with, or none (default: mlx, and torch if it is installed, on the CPU in both "
        "layouts)",
    )
    parser.add_argument("--device", choices=["cpu", "gpu"], help="default: the GPU if there is one")
    parser.add_argument(
        "--eager", action="store_true", help="do not compile the graphs of our kernels and of mx.conv2d"
    )
    parser.add_argument(
        "--seconds",
        type=duration,
        default=0.5,
        metavar="T",
        help=f"seconds of timing per row of the table, at least {ROUNDS} rounds (default: 0.5)",
    )
    parser.add_argument(
        "--memory",
        type=memory_shape,
        default=(32, 56, 56, 96),
        metavar="NxHxWxC",
        help="shape for measuring peak memory, or off (default: 32x56x56x96)",
    )
    parser.add_argument(
        "--tune",
        action="store_true",
        help="time all tilings on this GPU and store the fastest for each shape, instead of comparing",
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write the numbers to this file, with machine and versions"
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    argv = sys.argv[1:] if argv is None else argv
    parser = make_parser()
    args = parser.parse_args(argv)
    use_device(parser, args.device)
    if args.json and not args.json.absolute().parent.is_dir():
        parser.error(f"--json: no such folder: {args.json.parent}")
    if args.tune and args.kernel > 7:
        parser.error(f"--tune: only kernels up to 7x7 have tilings to choose from, got --kernel {args.kernel}")
    if args.tune and os.environ.get("LUCID_TUNING") == "off":
        parser.error("--tune: LUCID_TUNING=off is set, so the result would be ignored")
    wants_torch = any(name.startswith("torch") for name in args.compare or ())
    if wants_torch and torch_for(_device.backend()) is None:
        parser.error("--compare torch: PyTorch is not installed or has no such device")
    on_cpu = _device.backend() == "cpu"
    batches = args.batch or ([2] if on_cpu else [1, 32])
    dtypes = args.dtype or (["float32"] if on_cpu else ["float32", "float16"])
    cases = [Case(n, *size, args.kernel, dtype) for size in args.stages for n in batches for dtype in dtypes]
    if args.tune:
        results, code = tune(cases, args.seconds)
    else:
        usual = ["mlx", "torch", *(["torch-contiguous"] if on_cpu else [])]
        names = ["ours", *(usual if args.compare is None else args.compare)]
        memory_case = None if args.memory is None else Case(*args.memory, args.kernel, dtypes[0])
        results, code = compare(cases, memory_case, names, args.seconds, args.eager)
    if args.json and results:
        write_json(args.json, results, __file__, argv)
    return code


if __name__ == "__main__":
    sys.exit(main())
