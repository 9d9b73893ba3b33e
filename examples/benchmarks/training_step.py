"""Time training and inference of ConvNeXt on this machine, compared with plain mlx.nn and PyTorch.

    python examples/benchmarks/training_step.py             # a small model on a CPU, ConvNeXt-T on a GPU
    python examples/benchmarks/training_step.py --out mine  # also write mine.json and mine.png
    python examples/benchmarks/training_step.py --model tiny --batch 1 --image-size 224 --mode inference
    python examples/benchmarks/training_step.py --facade    # compared with a step written by hand on mx.arrays
    python examples/benchmarks/training_step.py --profile   # the most expensive operations of a training step

- All frameworks start from the same weights and see the same images (the models are in ``frameworks.py``). Logits, and
  the losses of the first three steps, are compared with those of Lucid, eager, in float32. If a result is wrong, the
  last line says so and the exit code is 1.
- The frameworks take turns, round after round, so that other load on the machine affects all of them alike; the table
  shows medians. A round also times the loss alone, and loss and gradients: "backward" is the difference between the
  two, "optimizer" that between the whole step and the latter.
- "first call" is how much longer the first step takes than the median: tracing, compiling, touching memory. Kernels
  that the process has compiled before are not counted.
- "peak" is the memory that MLX counts for one step, weights, moments and images included; for PyTorch it is known on
  CUDA only.
- On the CPU all MLX frameworks use the same BLAS, and cache freed buffers as ``import lucid`` sets it up.
  ``LUCID_OPENBLAS=off`` in the environment turns that BLAS off.

Start reading at compare() and profile(); main() parses the options.
"""

import argparse
import gc
import math
import statistics
import sys
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from frameworks import (
    DTYPES,
    FRAMEWORKS,
    Framework,
    Setup,
    count_parameters,
    lucid_inputs,
    lucid_loss,
    make_setup,
)
from timing import Parser, duration, positive_int, use_device, write_json

import lucid
from lucid import _device, tape
from lucid._machine import headline
from lucid.benchmark.timing import (
    ROUNDS,
    difference,
    interleaved_medians,
    interleaved_rounds,
    machine_of,
    seconds_of,
    torch_for,
)  # fmt: skip

import mlx.core as mx  # isort: skip  # After lucid, which loads a fast BLAS before MLX on Linux.

MODELS = {  # depths, dims, patch size of the stem, usual image size in px
    "mini": ((2, 2, 2, 2), (40, 80, 160, 320), 2, 32),
    "atto": ((2, 2, 6, 2), (40, 80, 160, 320), 4, 224),
    "tiny": ((3, 3, 9, 3), (96, 192, 384, 768), 4, 224),
    "small": ((3, 3, 27, 3), (96, 192, 384, 768), 4, 224),
    "base": ((3, 3, 27, 3), (128, 256, 512, 1024), 4, 224),
    "large": ((3, 3, 27, 3), (192, 384, 768, 1536), 4, 224),
    "xlarge": ((3, 3, 27, 3), (256, 512, 1024, 2048), 4, 224),
}
CLASSES = {"mini": 10}  # otherwise 1000
TOLERANCES = {"float32": 1e-3, "float16": 2e-2, "bfloat16": 6e-2}  # relative to the largest value
CHECKED_STEPS = 3
PARTS = ("forward", "backward", "optimizer")


def values_of(framework: Framework, mode: str) -> np.ndarray:
    """The losses of the first training steps, or the logits."""
    steps = CHECKED_STEPS if mode == "training" else 1
    results = [framework.programs["step"]() for _ in range(steps)]
    return np.stack([np.array(r.astype(mx.float32) if isinstance(r, mx.array) else r.numpy()) for r in results])


def expected_values(setup: Setup) -> np.ndarray:
    exact = Setup(**{**vars(setup), "dtype": "float32"})
    return values_of(Framework("lucid-eager", exact, None), setup.mode)


def timers(programs: dict[Any, Callable[[], Any]]) -> dict[Any, Callable[[], float]]:
    """Functions that time the programs, each of which has run once to warm up."""
    for program in programs.values():
        program()
    return {name: partial(seconds_of, program) for name, program in programs.items()}


def build(name: str, setup: Setup, torch: tuple[Any, str] | None, expected: np.ndarray) -> tuple[Any, dict[str, Any]]:
    """The framework after its first steps, None if it cannot run, and the first values of its record."""
    # "contestant" is the key in all records of format 1.
    line: dict[str, Any] = {"contestant": name, "title": FRAMEWORKS[name][0], "mode": setup.mode}
    try:
        # Timed on an instance of its own: neither this step nor its memory may count below.
        line["first_seconds"] = seconds_of(Framework(name, setup, torch).programs["step"])
        framework = Framework(name, setup, torch)
        line["difference"] = difference(values_of(framework, setup.mode), expected)
        line["peak_bytes"] = framework.peak_bytes()
    except RuntimeError as error:  # a dtype that PyTorch lacks on this device, or memory
        if name.startswith("lucid"):
            raise
        return None, {**line, "error": str(error).splitlines()[0]}
    line["is_right"] = line["difference"] <= TOLERANCES[setup.dtype]
    return framework, line


def compare_mode(setup: Setup, names: list[str], torch: tuple[Any, str] | None, seconds: float) -> list[dict[str, Any]]:
    """A record for each framework."""
    expected = expected_values(setup)
    frameworks, lines = {}, {}
    for name in names if setup.trains else [one for one in names if one != "lucid-checkpointing"]:
        framework, lines[name] = build(name, setup, torch, expected)
        if framework is not None:
            frameworks[name] = framework
    programs = {(name, what): program for name, one in frameworks.items() for what, program in one.programs.items()}
    rounds = interleaved_rounds(timers(programs), seconds)
    medians = {key: statistics.median(times) for key, times in rounds.items()}
    for name in frameworks:
        line, step = lines[name], medians[name, "step"]
        line["seconds"], line["least_seconds"], line["rounds"] = (
            step,
            min(rounds[name, "step"]),
            len(rounds[name, "step"]),
        )
        line["images_per_second"] = setup.batch / step
        line["first_seconds"] = max(line["first_seconds"] - step, 0.0)
        if setup.trains:
            forward, backward = medians[name, "forward"], medians[name, "backward"]
            parts = (forward, max(backward - forward, 0.0), max(step - backward, 0.0))
            line.update(zip((f"{part}_seconds" for part in PARTS), parts, strict=True))
    frameworks.clear()
    programs.clear()
    gc.collect()
    mx.clear_cache()
    return list(lines.values())


def title_of(setup: Setup) -> str:
    depths, dims = "-".join(map(str, setup.depths)), "-".join(map(str, setup.dims))
    size, patch = setup.image_size_px, setup.patch_size
    return (
        f"ConvNeXt {depths}, {dims}, {patch}x{patch} stem ({count_parameters(setup) / 1e6:.1f} M parameters), "
        f"{size}x{size} px, batch {setup.batch}, {setup.dtype}"
    )


def table(lines: list[dict[str, Any]], mode: str) -> str:
    """A padded Markdown table."""
    parts = list(PARTS) if mode == "training" else []
    head = [mode, "ms", *parts, "img/s", "vs. first", "peak MiB", "first call s"]
    first = next((line["seconds"] for line in lines if "seconds" in line), math.nan)
    rows = [head, ["---"] * len(head)]
    for line in lines:
        if "error" in line:
            rows.append([line["title"], line["error"], *[""] * (len(head) - 2)])
            continue
        peak = "-" if line["peak_bytes"] is None else f"{line['peak_bytes'] / 2**20:.0f}"
        wrong = "" if line["is_right"] else f" WRONG: differs by {line['difference']:.1e}"
        rows.append([
            line["title"] + wrong,
            f"{line['seconds'] * 1e3:.1f}",
            *(f"{line[f'{part}_seconds'] * 1e3:.1f}" for part in parts),
            f"{line['images_per_second']:.1f}",
            f"{line['seconds'] / first:.2f}x",
            peak,
            f"{line['first_seconds']:.1f}",
        ])  # fmt: skip
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    text = []
    for number, row in enumerate(rows):
        if number == 1:
            cells = ["-" * width if i == 0 else "-" * (width - 1) + ":" for i, width in enumerate(widths)]
        else:
            cells = [one.ljust(width) if i == 0 else one.rjust(width) for i, (one, width) in
                     enumerate(zip(row, widths, strict=True))]  # fmt: skip
        text.append(f"| {' | '.join(cells)} |")
    return "\n".join(text)


def compare(
    setups: list[Setup], names: list[str], torch: tuple[Any, str] | None, seconds: float
) -> tuple[dict[str, Any], int]:
    """Print the tables; return the content of the JSON file and the exit code, 1 if a result is wrong."""
    machine = machine_of(torch)
    print(headline(machine))
    lines = []
    for setup in setups:
        print(title_of(setup) + "\n", flush=True)
        found = compare_mode(setup, names, torch, seconds)
        print(table(found, setup.mode) + "\n", flush=True)
        lines += found
    wrong = sum(not line.get("is_right", True) for line in lines)
    if wrong:
        print(f"{wrong} of {len(lines)} results are WRONG; please report this with the table.", file=sys.stderr)
    first = setups[0]
    model = {name: getattr(first, name) for name in ("depths", "dims", "patch_size", "classes", "batch",
                                                     "image_size_px", "dtype")}  # fmt: skip
    return {"machine": machine, "title": title_of(first), "model": model, "lines": lines}, int(wrong > 0)


# Profile -------------------------------------------------------------------------------------------------------------


def profile(setup: Setup, seconds: float, count: int) -> tuple[dict[str, Any], int]:
    """Print the most expensive operations of a training step of Lucid.

    The step is recorded once. Then every operation is evaluated separately: forward on its recorded inputs, backward
    on a random gradient. Nothing is fused or runs in parallel, as it would in a compiled step, so the sum is not the
    time of a step, but it shows where the time goes.
    """
    machine = machine_of()
    print(headline(machine))
    print(title_of(setup) + "\n")
    framework = Framework("lucid-eager", setup, None)
    framework.programs["step"]()
    loss = lucid_loss(*lucid_inputs(setup), setup.mlx_dtype)
    groups: dict[Any, list[float]] = defaultdict(lambda: [0, 0.0, 0.0])
    for node in recorded_nodes(loss):
        forward, backward = isolated(node)
        medians = interleaved_medians(timers({"forward": forward, "backward": backward}))
        group = groups[node.name, node.outputs[0][0]]
        group[0] += 1
        group[1] += medians["forward"]
        group[2] += medians["backward"]
    medians = interleaved_medians(timers({name: framework.programs[name] for name in ("backward", "step")}), seconds)
    update = max(medians["step"] - medians["backward"], 0.0)
    lines = [
        {"operation": name, "shape": shape, "calls": int(calls), "forward_seconds": forward,
         "backward_seconds": backward}
        for (name, shape), (calls, forward, backward) in groups.items()
    ]  # fmt: skip
    lines.append({"operation": "AdamW", "shape": (), "calls": 1, "forward_seconds": update, "backward_seconds": 0.0})
    lines.sort(key=lambda line: -line["forward_seconds"] - line["backward_seconds"])
    total = sum(line["forward_seconds"] + line["backward_seconds"] for line in lines)
    print(f"{'operation':<20} {'output':<20} {'calls':>5} {'forward ms':>11} {'backward ms':>12} {'share':>7}")
    for line in lines[:count]:
        both = line["forward_seconds"] + line["backward_seconds"]
        print(
            f"{line['operation']:<20} {'x'.join(map(str, line['shape'])):<20} {line['calls']:5} "
            f"{line['forward_seconds'] * 1e3:11.2f} {line['backward_seconds'] * 1e3:12.2f} {both / total:7.1%}"
        )
    print(f"\nall {len(lines)} rows: {total * 1e3:.1f} ms, operations run separately; the eager step: "
          f"{medians['step'] * 1e3:.1f} ms")  # fmt: skip
    return {"machine": machine, "title": title_of(setup), "profile": lines, "step_seconds": medians["step"]}, 0


def recorded_nodes(loss: lucid.Tensor) -> list[tape.Node]:
    """Every operation in the graph of ``loss``."""
    found: dict[int, tape.Node] = {}
    stack = [loss.grad_fn]
    while stack:
        node = stack.pop()
        if node is not None and id(node) not in found:
            found[id(node)] = node
            stack += [edge[0] for edge in node.edges or () if isinstance(edge, tuple)]
    return list(found.values())


def isolated(node: tape.Node) -> tuple[Callable[[], None], Callable[[], None]]:
    """Two functions that evaluate the operation and its gradient."""
    assert node.body is not None and node.args is not None and node.kwargs is not None
    body, args, kwargs = node.body, node.args, node.kwargs
    cotangents = [tape.wrap(mx.random.normal(shape).astype(dtype)) for shape, dtype in node.outputs]
    mx.eval([one for one in args if isinstance(one, mx.array)], [one.mlx for one in cotangents])

    def forward() -> None:
        mx.eval(body(*args, **kwargs))

    def backward() -> None:
        with lucid.no_grad():
            mx.eval([one.mlx for one in node.pullback(cotangents) if one is not None])

    return forward, backward


# Chart -------------------------------------------------------------------------------------------------------------


def draw(path: Path, results: dict[str, Any]) -> None:
    """A bar per framework and mode, divided into forward, backward and optimizer for training."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    modes = list(dict.fromkeys(line["mode"] for line in results["lines"] if "seconds" in line))
    lines = {mode: [one for one in results["lines"] if one["mode"] == mode and "seconds" in one] for mode in modes}
    rows = max(len(one) for one in lines.values())
    figure, axes = pyplot.subplots(
        1, len(modes), figsize=(6.2 * len(modes), 1.5 + 0.46 * rows), squeeze=False, layout="constrained"
    )
    shades = {"forward": "#9ecae9", "backward": "#4c78a8", "optimizer": "#f58518", "seconds": "#4c78a8"}
    for axis, mode in zip(axes[0], modes, strict=True):
        longest = max(line["seconds"] for line in lines[mode])
        for row, line in enumerate(lines[mode]):
            start = 0.0
            parts = [f"{part}_seconds" for part in PARTS] if mode == "training" else ["seconds"]
            for part in parts:
                width = line[part] * 1e3
                shade = shades[part.removesuffix("_seconds")]
                label = part.removesuffix("_seconds") if row == 0 and mode == "training" else None
                axis.barh(row, width, left=start, height=0.66, color=shade, label=label)
                start += width
            text = f" {line['seconds'] * 1e3:,.0f} ms, {line['images_per_second']:,.0f} img/s"
            axis.text(start, row, text if line["seconds"] >= 0.01 else text.replace(" 0 ms", " <1 ms"), va="center",
                      fontsize=9)  # fmt: skip
        axis.set_yticks(range(len(lines[mode])), [line["title"] for line in lines[mode]])
        axis.invert_yaxis()
        axis.set_xlim(0, longest * 1e3 * 1.42)
        axis.set_xlabel("ms per batch, lower is better")
        axis.set_title(mode, loc="left", fontweight="bold")
        axis.spines[["top", "right"]].set_visible(False)
        if mode == "training":
            axis.legend(frameon=False, fontsize=9, ncols=3, loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0)
    machine = results["machine"]
    where = f"{machine['device'] or 'CPU'} ({machine['backend']}), {machine['cpus']} CPUs"
    figure.suptitle(f"{results['title']}\n{where}", fontsize=10, x=0.01, ha="left")
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


# Options -------------------------------------------------------------------------------------------------------------


def make_parser() -> argparse.ArgumentParser:
    parser = Parser(
        description="Time training and inference of ConvNeXt, compared with mlx.nn and PyTorch, and check the results."
    )
    parser.add_argument("--model", choices=list(MODELS), help="default: mini on a CPU, tiny on a GPU")
    parser.add_argument("--depths", type=positive_int, nargs="+", metavar="N", help="override --model's")
    parser.add_argument("--dims", type=positive_int, nargs="+", metavar="C", help="override --model's")
    parser.add_argument("--patch-size", type=positive_int, metavar="P", help="of the stem, in px; overrides --model's")
    parser.add_argument("--classes", type=positive_int, metavar="K", help="default: 10 for mini, otherwise 1000")
    parser.add_argument("--batch", type=positive_int, default=32, metavar="N", help="images per batch (default: 32)")
    parser.add_argument("--image-size", type=positive_int, metavar="PX", help="default: 32 for mini, otherwise 224")
    parser.add_argument("--dtype", choices=list(DTYPES), default="float32", help="default: float32")
    parser.add_argument("--mode", choices=["training", "inference"], nargs="+", default=["training", "inference"])
    parser.add_argument(
        "--frameworks",
        choices=list(FRAMEWORKS),
        nargs="+",
        metavar="NAME",
        help=f"one or more of {', '.join(FRAMEWORKS)}; the table compares with the first (default: lucid, lucid-eager, "
        "mlx, mlx-eager, and torch if it is installed, on the CPU also torch-contiguous)",
    )
    parser.add_argument(
        "--facade", action="store_true", help="shorthand for --frameworks hand lucid hand-eager lucid-eager"
    )
    parser.add_argument(
        "--profile",
        type=positive_int,
        nargs="?",
        const=20,
        metavar="N",
        help="list the N most expensive operations of a training step instead of comparing (default: 20)",
    )
    parser.add_argument("--device", choices=["cpu", "gpu"], help="default: the GPU if there is one")
    parser.add_argument(
        "--seconds",
        type=duration,
        default=20.0,
        metavar="T",
        help=f"seconds of timing per mode, at least {ROUNDS} rounds (default: 20)",
    )
    parser.add_argument("--out", type=Path, metavar="STEM", help="write STEM.json, and STEM.png when comparing")
    return parser


def model_of(args: argparse.Namespace, on_cpu: bool) -> tuple[dict[str, Any], int]:
    """Depths, dims, patch_size and classes, and the image size in px."""
    name = args.model or ("mini" if on_cpu else "tiny")
    depths, dims, patch_size, size = MODELS[name]
    model = {
        "depths": tuple(args.depths or depths),
        "dims": tuple(args.dims or dims),
        "patch_size": args.patch_size or patch_size,
        "classes": args.classes or CLASSES.get(name, 1000),
    }
    return model, args.image_size or size


def main(argv: list[str] | None = None) -> int:
    argv = sys.argv[1:] if argv is None else argv
    parser = make_parser()
    args = parser.parse_args(argv)
    use_device(parser, args.device)
    if args.out and not args.out.absolute().parent.is_dir():
        parser.error(f"--out: no such folder: {args.out.parent}")
    torch = torch_for(_device.backend())
    names = args.frameworks
    if args.facade:
        names = ["hand", "lucid", "hand-eager", "lucid-eager"]
    if names is None:
        names = ["lucid", "lucid-eager", "mlx", "mlx-eager", *(["torch"] if torch else [])]
        if torch and _device.backend() == "cpu":
            names.append("torch-contiguous")
    if torch is None and any(name.startswith("torch") for name in names):
        parser.error("--frameworks: PyTorch is not installed or has no such device")
    model, size = model_of(args, _device.backend() == "cpu")
    try:
        modes = ["training"] if args.profile else args.mode
        setups = [make_setup(model, args.batch, size, args.dtype, mode) for mode in modes]
        smallest = model["patch_size"] * 2 ** (len(model["dims"]) - 1)
        if size < smallest:
            raise ValueError(f"--image-size must be at least {smallest} for this model, got {size}")
    except ValueError as error:  # also depths and dims that do not match
        parser.error(str(error))
    if args.profile:
        results, code = profile(setups[0], args.seconds, args.profile)
    else:
        results, code = compare(setups, names, torch if any(n.startswith("torch") for n in names) else None,
                                args.seconds)  # fmt: skip
    if args.out:
        write_json(args.out.with_suffix(".json"), results, __file__, argv)
        if not args.profile:
            draw(args.out.with_suffix(".png"), results)
    return code


if __name__ == "__main__":
    sys.exit(main())
