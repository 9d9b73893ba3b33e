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
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from timing import (
    ROUNDS,
    Parser,
    difference,
    duration,
    interleaved_medians,
    machine_of,
    positive_int,
    seconds_of,
    torch_for,
    use_device,
    write_json,
)

from lucid import _device
from lucid._machine import headline
from lucid.kernels.depthwise_conv2d import depthwise_conv2d, launch, tiling
from lucid.kernels.depthwise_conv2d.geometry import Geometry
from lucid.kernels.depthwise_conv2d.tiling import Tiling

import mlx.core as mx  # isort: skip  # After lucid, which loads a fast BLAS before MLX on Linux.

STAGES = {"1": (56, 56, 96), "2": (28, 28, 192), "3": (14, 14, 384), "4": (7, 7, 768)}  # of ConvNeXt-T
DTYPES = {"float32": mx.float32, "float16": mx.float16, "bfloat16": mx.bfloat16}
TOLERANCES = {"float32": 2e-5, "float16": 2e-3, "bfloat16": 1.6e-2}  # relative to the largest value
FORWARD, INPUT, WEIGHT = DIRECTIONS = ("forward", "input gradient", "weight gradient")
TITLES = {"ours": "ours", "mlx": "mx.conv2d", "torch": "PyTorch", "torch-contiguous": "PyTorch NCHW"}
SECONDS_PER_GRAPH = 0.01  # at least, because waiting for a GPU costs up to 0.3 ms
FINALISTS = 3  # tilings that --tune times once more, in turns with the default


@dataclass(frozen=True)
class Case:
    """One shape in one dtype, with stride 1 and the padding that keeps height and width."""

    images: int
    height: int
    width: int
    channels: int
    kernel: int
    dtype: str

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return self.images, self.height, self.width, self.channels

    @property
    def min_bytes(self) -> int:
        """The least that must move: one array in and one out, or two in."""
        return 2 * math.prod(self.shape) * DTYPES[self.dtype].size

    @property
    def max_calls(self) -> int:
        """As many calls as fit into half a gigabyte side by side."""
        return min(max(2**30 // self.min_bytes, 1), 256)

    def arrays(self) -> tuple[mx.array, mx.array, mx.array]:
        """x, weight and an output gradient; taps add up to 1 per channel, so chained calls neither grow nor fade."""
        x, dy = mx.random.normal(self.shape), mx.random.normal(self.shape)
        weight = mx.random.uniform(shape=(self.channels, 1, self.kernel, self.kernel)) * 2 / self.kernel**2
        arrays = tuple(array.astype(DTYPES[self.dtype]) for array in (x, weight, dy))
        mx.eval(arrays)
        return arrays


class OnMlx:
    """Something that MLX evaluates: our convolution, MLX's own, or a copy."""

    def __init__(self, name: str, convolution: Callable[..., mx.array], case: Case, arrays: Any, eager: bool) -> None:
        self.name, self.case = name, case
        self.x, self.weight, self.dy = arrays

        def forward(x: mx.array, weight: mx.array, dy: mx.array) -> mx.array:
            return convolution(x, weight, case)

        def input_gradient(x: mx.array, weight: mx.array, dy: mx.array) -> mx.array:
            return mx.vjp(lambda x: convolution(x, weight, case), [x], [dy])[1][0]

        def weight_gradient(x: mx.array, weight: mx.array, dy: mx.array) -> mx.array:
            return mx.vjp(lambda weight: convolution(x, weight, case), [weight], [dy])[1][0]

        functions = dict(zip(DIRECTIONS, (forward, input_gradient, weight_gradient), strict=True))
        self.functions = functions if eager else {what: mx.compile(function) for what, function in functions.items()}

    def call(self, what: str, value: mx.array) -> mx.array:
        """One call on ``value``, which replaces x, or for the input gradient the output gradient."""
        return self.functions[what](*((self.x, self.weight, value) if what == INPUT else (value, self.weight, self.dy)))

    def start(self, what: str) -> mx.array:
        return self.dy if what == INPUT else self.x

    def prepare(self, what: str, calls: int) -> Callable[[], None]:
        """Build the graph of ``calls`` calls; calling the result evaluates it."""
        value = self.start(what)
        if what == WEIGHT:
            graph = [self.call(what, value) for _ in range(calls)]
        else:
            for _ in range(calls):
                value = self.call(what, value)
            graph = [value]
        return lambda: mx.eval(graph)

    def peak_bytes(self, what: str) -> int:
        """Of one call, x, weight, the output gradient and the result included."""
        run = self.prepare(what, 1)
        mx.clear_cache()
        mx.reset_peak_memory()
        run()
        return mx.get_peak_memory()


class Copy(OnMlx):
    """Reads every value once and writes it once: as fast as memory allows."""

    def __init__(self, case: Case, arrays: Any) -> None:
        super().__init__("copy", lambda x, *_: x, case, arrays, eager=True)

    def prepare(self, what: str, calls: int) -> Callable[[], None]:
        graph = [-self.x for _ in range(calls)]  # not chained: MLX would reuse the input buffer
        return lambda: mx.eval(graph)


class OnTorch:
    """PyTorch on the same kind of device as MLX: "torch" in channels-last layout, or "torch-contiguous"."""

    def __init__(self, name: str, torch: Any, device: str, case: Case, arrays: Any) -> None:
        self.name, self.torch, self.case = name, torch, case
        layout = torch.channels_last if name == "torch" else torch.contiguous_format
        nhwc, weight, dy = (torch.from_numpy(np.array(array.astype(mx.float32))) for array in arrays)
        images = (nhwc.permute(0, 3, 1, 2), weight, dy.permute(0, 3, 1, 2))
        self.x, self.weight, self.dy = (
            one.to(device, getattr(torch, case.dtype), memory_format=layout) for one in images
        )
        self.synchronize = {"mps": torch.mps.synchronize, "cuda": torch.cuda.synchronize, "cpu": lambda: None}[device]

    def call(self, what: str, value: Any) -> Any:
        padding, groups = [self.case.kernel // 2] * 2, self.case.channels
        if what == FORWARD:
            return self.torch.nn.functional.conv2d(value, self.weight, None, 1, padding, 1, groups)
        dy, output_mask = (value, [True, False, False]) if what == INPUT else (self.dy, [False, True, False])
        options = (None, [1, 1], padding, [1, 1], False, [0, 0], groups, output_mask)
        gradients = self.torch.ops.aten.convolution_backward(dy, self.x, self.weight, *options)
        return gradients[0 if what == INPUT else 1]

    def prepare(self, what: str, calls: int) -> Callable[[], None]:
        def run() -> None:
            with self.torch.inference_mode():
                value = self.dy if what == INPUT else self.x
                for _ in range(calls):
                    result = self.call(what, value)
                    value = value if what == WEIGHT else result
                self.synchronize()

        return run


def our_convolution(x: mx.array, weight: mx.array, case: Case) -> mx.array:
    return depthwise_conv2d(x, weight, None, padding=case.kernel // 2)


def mlx_convolution(x: mx.array, weight: mx.array, case: Case) -> mx.array:
    return mx.conv2d(x, weight.transpose(0, 2, 3, 1), padding=case.kernel // 2, groups=case.channels)


CONVOLUTIONS = {"ours": our_convolution, "mlx": mlx_convolution}


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


def difference_from_mlx(ours: OnMlx, what: str) -> float:
    """The largest difference from MLX's result in float32, relative to its largest value."""
    arrays = [one.astype(mx.float32) for one in (ours.x, ours.weight, ours.dy)]
    exact = OnMlx("exact", mlx_convolution, ours.case, arrays, eager=True)
    result = ours.call(what, ours.start(what)).astype(mx.float32)
    return difference(np.array(result), np.array(exact.call(what, exact.start(what))))


def compare_case(
    case: Case, names: list[str], torch: tuple[Any, str] | None, seconds: float, eager: bool
) -> list[dict[str, Any]]:
    """A record for each direction."""
    arrays = case.arrays()
    on_mlx = {name: OnMlx(name, CONVOLUTIONS[name], case, arrays, eager) for name in names if name in CONVOLUTIONS}
    implementations: list[Any] = [*on_mlx.values(), Copy(case, arrays)]
    if torch is not None:
        implementations += [OnTorch(name, *torch, case, arrays) for name in names if name.startswith("torch")]
    lines = []
    for what in DIRECTIONS:
        line: dict[str, Any] = {"shape": case.shape, "dtype": case.dtype, "what": what}
        prepares = {}
        for one in implementations:
            try:
                one.prepare(what, 1)()
            except RuntimeError as error:  # a dtype that PyTorch lacks on this device, or memory
                if one.name == "ours":
                    raise
                line[one.name] = {"error": str(error).splitlines()[0]}
            else:
                prepares[one.name] = lambda calls, one=one, what=what: one.prepare(what, calls)
        medians = interleaved_medians(timers(prepares, case.max_calls), seconds)
        line["copy_seconds"] = medians.pop("copy")
        for name, median in medians.items():
            line[name] = {
                "seconds": median,
                "gigabytes_per_second": case.min_bytes / median / 1e9,
                "of_a_copy": line["copy_seconds"] / median,
            }
            if name in on_mlx:
                line[name]["peak_bytes"] = on_mlx[name].peak_bytes(what)
        line["difference"] = difference_from_mlx(on_mlx["ours"], what)
        line["is_right"] = line["difference"] <= TOLERANCES[case.dtype]
        lines.append(line)
    return lines


def peak_memory(case: Case, names: list[str], eager: bool) -> dict[str, Any]:
    """Peak memory of computing the output and all gradients, x and the output gradient included, in bytes."""
    found: dict[str, Any] = {"shape": case.shape, "dtype": case.dtype}
    for name in (one for one in names if one in CONVOLUTIONS):

        def everything(x: mx.array, weight: mx.array, dy: mx.array, name: str = name) -> Any:
            return mx.vjp(lambda *values: CONVOLUTIONS[name](*values, case), [x, weight], [dy])

        others = mx.get_active_memory()
        x, weight, dy = case.arrays()
        mx.clear_cache()
        mx.reset_peak_memory()
        mx.eval((everything if eager else mx.compile(everything))(x, weight, dy))
        found[name] = mx.get_peak_memory() - others
        found["input_bytes"] = x.nbytes
        del x, weight, dy
    return found


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
    usual, *others = tiling.candidates(shape)
    first = interleaved_medians(timers({cut: prepare(cut) for cut in (usual, *others)}, case.max_calls))
    finalists = dict.fromkeys([usual, *sorted(first, key=first.__getitem__)[:FINALISTS]])
    final = interleaved_medians(timers({cut: prepare(cut) for cut in finalists}, case.max_calls), seconds)
    best, after = tiling.tune(backend, x.dtype, (case.kernel, case.kernel), shape, lambda cut: final.get(cut, math.inf))
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
