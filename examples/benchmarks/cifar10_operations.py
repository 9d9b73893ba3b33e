"""Where the time of ``lucid train --recipe laptop`` goes: each operation of a training step, beside PyTorch's.

    python examples/benchmarks/cifar10_operations.py             # a table
    python examples/benchmarks/cifar10_operations.py --out mine  # also writes mine.json

Needs PyTorch. Every operation runs alone, forward and backward, on random inputs of the shapes of a step; the two
frameworks take turns. Times are medians of CPU time (all threads of the process), which other load on the machine
changes less than the time that passes. For a fair comparison on one thread, set ``OPENBLAS_NUM_THREADS``,
``OMP_NUM_THREADS`` and ``LUCID_NUM_THREADS`` to 1.
"""

import statistics
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from timing import Parser, positive_int, use_device, write_json

import lucid
from lucid import nn, optim
from lucid._machine import headline
from lucid.benchmark.timing import machine_of, torch_for
from lucid.training import small_images

import mlx.core as mx  # isort: skip  # After lucid, which loads a fast BLAS before MLX on Linux.

RECIPE = small_images.preset("laptop")
DEPTHS, DIMS, PATCH_SIZE, SIZE = RECIPE.depths, RECIPE.dims, RECIPE.patch_size, 32
Call = Callable[[], None]


def lucid_calls(layer: Any, shape: tuple[int, ...]) -> tuple[Call, Call]:
    """Forward; forward and backward."""
    x = lucid.randn(*shape, requires_grad=True)
    parameters = list(layer.parameters()) if hasattr(layer, "parameters") else []

    def forward() -> None:
        mx.eval(layer(x).mlx)

    def both() -> None:
        y = layer(x)
        leaves = [x, *parameters]
        mx.eval([one.mlx for one in lucid.autograd.grad(y, leaves, lucid.ones_like(y))])

    return forward, both


def torch_calls(torch: Any, layer: Any, shape: tuple[int, ...]) -> tuple[Call, Call]:
    x = torch.randn(*shape, requires_grad=True)
    parameters = list(layer.parameters()) if hasattr(layer, "parameters") else []

    def forward() -> None:
        layer(x)

    def both() -> None:
        y = layer(x)
        torch.autograd.grad(y, [x, *parameters], torch.ones_like(y))

    return forward, both


def rows(torch: Any, batch: int) -> list[tuple[str, tuple[int, ...], int, tuple[Call, Call], tuple[Call, Call]]]:
    """Name, shape of the input (N, H, W, C), calls per step, and how Lucid and PyTorch compute it."""
    tnn = torch.nn

    def on_channels_last(layer: Any) -> Any:
        """A convolution of a channels-last view, as ``channels_last`` models have them."""
        layer = layer.to(memory_format=torch.channels_last)
        call = lambda x: layer(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)  # noqa: E731
        call.parameters = layer.parameters  # type: ignore[attr-defined]
        return call

    found: list[Any] = []

    def add(name: str, shape: tuple[int, ...], count: int, own: Any, other: Any) -> None:
        found.append((name, shape, count, lucid_calls(own, shape), torch_calls(torch, other, shape)))

    def conv(cin: int, cout: int, size: int, stride: int = 1, padding: int = 0, groups: int = 1) -> tuple[Any, Any]:
        own = nn.Conv2d(cin, cout, size, stride, padding, groups=groups, data_format="channels_last")
        return own, on_channels_last(tnn.Conv2d(cin, cout, size, stride, padding, groups=groups))

    side = SIZE // PATCH_SIZE
    add("patch convolution", (batch, SIZE, SIZE, 3), 1, *conv(3, DIMS[0], PATCH_SIZE, PATCH_SIZE))
    for stage, (depth, dim) in enumerate(zip(DEPTHS, DIMS, strict=True)):
        shape, wide = (batch, side, side, dim), (batch, side, side, 4 * dim)
        if stage:
            before = (batch, 2 * side, 2 * side, DIMS[stage - 1])
            add("patch convolution", before, 1, *conv(DIMS[stage - 1], dim, 2, 2))
        add("depthwise 7x7", shape, depth, *conv(dim, dim, 7, padding=3, groups=dim))
        add("layer norm", shape, depth + 1, nn.LayerNorm(dim), tnn.LayerNorm(dim))
        add("linear, to 4 times the width", shape, depth, nn.Linear(dim, 4 * dim), tnn.Linear(dim, 4 * dim))
        add("GELU", wide, depth, nn.GELU(), tnn.GELU())
        add("linear, back", wide, depth, nn.Linear(4 * dim, dim), tnn.Linear(4 * dim, dim))
        add("residual sum", shape, depth, lambda x: x + x, lambda x: x + x)
        side //= 2
    found.append(("optimizer", (), 1, *optimizers(torch)))
    return found


def optimizers(torch: Any) -> tuple[tuple[Call, Call], tuple[Call, Call]]:
    """A step of Muon for linear layers and kernels, as matrices; the rest of the parameters are few."""
    shapes = [(dim, 4 * before) for before, dim in pairwise(DIMS)]
    for depth, dim in zip(DEPTHS, DIMS, strict=True):
        shapes += [(4 * dim, dim), (dim, 4 * dim), (dim, 49)] * depth
    own = [nn.Parameter(lucid.randn(*shape)) for shape in shapes]
    muon = optim.Muon(own, adjust_lr_fn="match_rms_adamw")
    other = [torch.nn.Parameter(torch.randn(*shape)) for shape in shapes]
    torch_muon = torch.optim.Muon(other, adjust_lr_fn="match_rms_adamw")
    for mine, theirs in zip(own, other, strict=True):
        mine.grad, theirs.grad = lucid.randn(*mine.shape), torch.randn(*theirs.shape)

    def step() -> None:
        muon.step()
        mx.eval([one.mlx for one in own])

    return (step, step), (torch_muon.step, torch_muon.step)


def cpu_seconds(call: Call) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def compare(torch: Any, batch: int, rounds: int) -> list[dict[str, Any]]:
    lines = []
    for name, shape, count, own, other in rows(torch, batch):
        calls = {"lucid_forward": own[0], "torch_forward": other[0], "lucid": own[1], "torch": other[1]}
        for call in calls.values():
            call()
        times: dict[str, list[float]] = {key: [] for key in calls}
        for _ in range(rounds):
            for key, call in calls.items():
                times[key].append(cpu_seconds(call))
        medians = {f"{key}_seconds": count * statistics.median(values) for key, values in times.items()}
        lines.append({"operation": name, "shape": shape, "calls": count, **medians})
    return lines


def show(lines: list[dict[str, Any]]) -> None:
    total = sum(line["lucid_seconds"] for line in lines)
    print("| operation | input | calls | Lucid ms | PyTorch ms | ratio | share |\n|--|--|--:|--:|--:|--:|--:|")
    for line in sorted(lines, key=lambda one: -one["lucid_seconds"]):
        own, other = line["lucid_seconds"] * 1e3, line["torch_seconds"] * 1e3
        shape = "x".join(map(str, line["shape"]))
        print(
            f"| {line['operation']} | {shape} | {line['calls']} | {own:.1f} | {other:.1f} | {own / other:.2f} "
            f"| {own / total / 1e3:.1%} |"
        )
    other = sum(line["torch_seconds"] for line in lines)
    print(f"| all | | | {total * 1e3:.1f} | {other * 1e3:.1f} | {total / other:.2f} | |")


def main(argv: list[str] | None = None) -> int:
    parser = Parser(description="Time each operation of a training step on CIFAR-10, beside PyTorch's.")
    parser.add_argument("--batch", type=positive_int, default=128, metavar="N", help="images (default: 128)")
    parser.add_argument("--rounds", type=positive_int, default=9, metavar="N", help="default: 9")
    parser.add_argument("--out", type=Path, metavar="STEM", help="write STEM.json")
    args = parser.parse_args(argv)
    use_device(parser, "cpu")
    torch = torch_for("cpu")
    if torch is None:
        parser.error("PyTorch is not installed")
    machine = machine_of(torch)
    print(headline(machine))
    lines = compare(torch[0], args.batch, args.rounds)
    show(lines)
    if args.out:
        write_json(
            args.out.with_suffix(".json"),
            {"machine": machine, "lines": lines},
            __file__,
            sys.argv[1:] if argv is None else argv,
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
