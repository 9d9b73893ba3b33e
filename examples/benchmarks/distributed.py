"""Time training steps of one process and of several, and measure how well training scales.

    mlx.launch -n 2 -- python examples/benchmarks/distributed.py
    mpirun -np 2 python examples/benchmarks/distributed.py --batch-size 64
    mlx.launch --hostfile hosts.json -- python examples/benchmarks/distributed.py --dims 96 192 384 768

Every process uses batches of the same size (weak scaling), in three modes that take turns, round after round, so that
other load on the machine affects all of them alike:

- alone: rank 0 trains, the others wait;
- side by side: all train independently. The slowdown from "alone" is due to shared memory, caches and cooling;
- together: all train and average their gradients. The additional slowdown is due to communication and waiting.

The efficiency is the throughput of all processes together, divided by that of one alone times their number. On Linux
without a GPU each process, BLAS included, is pinned to its own core, unless the machine has fewer cores than
processes. The table shows medians over the rounds; the spread is half the interquartile range.
"""

import argparse
import json
import os
import statistics
import sys
import time

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before lucid loads it

import numpy as np
from timing import Parser, positive_int

import lucid
import lucid.nn.functional as F
from lucid import distributed as dist
from lucid import models, nn, optim
from lucid._machine import describe_machine, headline

import mlx.core as mx  # isort: skip  # After lucid, which loads a fast BLAS before MLX on Linux.

WAYS = ("alone", "side by side", "together")


def pin_to_core(rank: int, processes: int) -> bool:
    """Pin this process to a core of its own; return False if there may be more processes than cores."""
    if not hasattr(os, "sched_setaffinity") or mx.default_device().type != mx.DeviceType.cpu:
        return False
    if processes > (os.cpu_count() or 1):
        return False
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[rank % len(cores)]})
    return True


class Training:
    """A model, its optimizer, and one batch that is used for every step."""

    def __init__(self, args: argparse.Namespace) -> None:
        lucid.manual_seed(0)
        self.model = models.ConvNeXt(
            num_classes=10, depths=args.depths, dims=args.dims, patch_size=args.patch_size, drop_path=0.0
        )
        self.optimizer = optim.AdamW(self.model.parameters(), lr=1e-4)
        self.images = lucid.randn(args.batch_size, 3, args.image_size, args.image_size)
        self.labels = lucid.tensor(np.arange(args.batch_size) % 10)
        self.bucket_mb = args.bucket_mb

    def step(self, average: bool) -> None:
        self.optimizer.zero_grad()
        F.cross_entropy(self.model(self.images), self.labels).backward()
        if average:
            dist.average_gradients(self.model.parameters(), num_samples=len(self.labels), bucket_mb=self.bucket_mb)
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()

    def seconds(self, steps: int, average: bool) -> float:
        """Seconds per step, evaluation included."""
        start = time.perf_counter()
        for _ in range(steps):
            self.step(average)
        mx.eval([parameter.mlx for parameter in self.model.parameters()])
        return (time.perf_counter() - start) / steps


def measure(training: Training, rounds: int, steps: int) -> dict[str, list[float]]:
    """Seconds per step of the slowest rank, for each way and round."""
    times: dict[str, list[float]] = {way: [] for way in WAYS}
    for way in WAYS:  # warm up memory and connections
        training.step(average=way == "together")
    for _ in range(rounds):
        for way in WAYS:
            dist.barrier()
            idle = way == "alone" and not dist.is_main()
            spent = 0.0 if idle else training.seconds(steps, average=way == "together")
            times[way].append(dist.all_reduce(lucid.tensor(spent), "max").item())
    return times


def report(times: dict[str, list[float]], images: int, processes: int) -> dict[str, float]:
    """Print the table and return the efficiencies."""
    alone = statistics.median(times["alone"])
    efficiencies = {}
    print(f"{'':14}{'ms/step':>11}{'spread':>9}{'images/s':>11}{'efficiency':>12}")
    for way in WAYS:
        middle = statistics.median(times[way])
        low, _, high = statistics.quantiles(times[way], n=4) if len(times[way]) > 1 else [middle] * 3
        count = 1 if way == "alone" else processes
        efficiencies[way] = alone / middle
        print(
            f"{way:14}{middle * 1e3:11.1f}{(high - low) / 2 * 1e3:9.1f}{count * images / middle:11.1f}"
            f"{efficiencies[way]:12.1%}"
        )
    return efficiencies


def make_parser() -> argparse.ArgumentParser:
    parser = Parser(description="Time training steps of one process and of several.")
    parser.add_argument(
        "--batch-size", type=positive_int, default=32, metavar="N", help="images per process (default: 32)"
    )
    parser.add_argument(
        "--image-size", type=positive_int, default=32, metavar="N", help="image size in px (default: 32)"
    )
    parser.add_argument("--depths", type=positive_int, nargs="+", default=[2, 2, 2, 2], metavar="N")
    parser.add_argument("--dims", type=positive_int, nargs="+", default=[40, 80, 160, 320], metavar="N")
    parser.add_argument("--patch-size", type=positive_int, default=2, metavar="N")
    parser.add_argument("--bucket-mb", type=float, default=32.0, metavar="X", help="message size in MB (default: 32)")
    parser.add_argument("--rounds", type=positive_int, default=7, metavar="N", help="rounds of timing (default: 7)")
    parser.add_argument("--steps", type=positive_int, default=3, metavar="N", help="steps per round (default: 3)")
    parser.add_argument("--json", action="store_true", help="also print all times as JSON")
    return parser


def main(argv: list[str] | None = None) -> int:
    parser = make_parser()
    args = parser.parse_args(argv)
    if len(args.depths) != len(args.dims):
        parser.error(f"--depths has {len(args.depths)} stages but --dims has {len(args.dims)}")
    if args.image_size < (smallest := args.patch_size * 2 ** (len(args.dims) - 1)):
        parser.error(
            f"--image-size must be at least {smallest} with --patch-size {args.patch_size} and {len(args.dims)} stages"
            f", got {args.image_size}"
        )
    if not args.bucket_mb > 0:
        parser.error(f"--bucket-mb must be above 0, got {args.bucket_mb}")
    dist.init_process_group()
    machine = describe_machine()
    pinned = pin_to_core(dist.get_rank(), dist.get_world_size())
    training = Training(args)
    dist.broadcast_parameters(training.model)
    times = measure(training, args.rounds, args.steps)
    if dist.is_main():
        processes, parameters = dist.get_world_size(), sum(p.numel() for p in training.model.parameters())
        print(headline(machine))
        print(
            f"{'1 process' if processes == 1 else f'{processes} processes ({dist.get_backend()})'}"
            f"{', one core each' if pinned else ''}; ConvNeXt with "
            f"{parameters:,} parameters, {args.batch_size} images of {args.image_size} px per process"
        )
        efficiencies = report(times, args.batch_size, processes)
        if args.json:
            print(json.dumps({"processes": processes, "seconds": times, "efficiencies": efficiencies}))
    dist.destroy_process_group()
    return 0


if __name__ == "__main__":
    sys.exit(main())
