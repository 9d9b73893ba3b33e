"""Time training steps with and without the checks of indices and labels on the CPU (see ``lucid.debug``).

    python examples/benchmarks/index_checks.py
    python examples/benchmarks/index_checks.py --seconds 60

- "loaded" indices and labels are data, as a loader yields them: checking reads them once.
- "computed" ones are the result of an operation in each step. Reading them waits for the step before, which MLX has
  queued on the same stream, so Python no longer builds the next graph in the meantime.

Steps with and without checks take turns, round after round. The table shows the median time of a step without checks,
and the median over the rounds of what the checks add. On a GPU, where nothing is read, both columns clamp.
"""

import statistics
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from timing import Parser, duration, positive_int, use_device

import lucid
import lucid.nn.functional as F
from lucid import models, nn, optim
from lucid._machine import describe_machine, headline
from lucid.benchmark.timing import interleaved_rounds, seconds_of

import mlx.core as mx  # isort: skip  # After lucid, which loads a fast BLAS before MLX on Linux.


class WordModel(nn.Module):
    """The mean of embeddings, and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(10_000, 128)
        self.classifier = nn.Sequential(nn.Linear(128, 256), nn.GELU(), nn.Linear(256, 10))

    def forward(self, words: lucid.Tensor) -> lucid.Tensor:
        return self.classifier(self.embedding(words).mean(1))


def training_step(model: nn.Module, batch: Callable[[], tuple[Any, Any]]) -> Callable[[], None]:
    optimizer = optim.AdamW(model.parameters(), lr=1e-4)

    def step() -> None:
        inputs, labels = batch()
        optimizer.zero_grad()
        F.cross_entropy(model(inputs), labels).backward()
        optimizer.step()

    return step


def make_steps() -> dict[str, Callable[[], None]]:
    rng = np.random.default_rng(0)
    images, labels = lucid.randn(16, 3, 32, 32), lucid.tensor(rng.integers(0, 10, 16))
    words, topics = lucid.tensor(rng.integers(0, 9_999, (64, 128))), lucid.tensor(rng.integers(0, 10, 64))
    mx.eval(images.mlx)

    def convnext() -> models.ConvNeXt:
        return models.ConvNeXt(num_classes=10, depths=(2, 2, 2, 2), dims=(40, 80, 160, 320), patch_size=2)

    return {
        "ConvNeXt, loaded labels": training_step(convnext(), lambda: (images, labels)),
        "ConvNeXt, computed labels": training_step(convnext(), lambda: (images, 9 - labels)),
        "embedding, loaded words": training_step(WordModel(), lambda: (words, topics)),
        "embedding, computed words": training_step(WordModel(), lambda: (words + 1, topics)),
    }


def measure(step: Callable[[], None], checks: bool | None, steps: int) -> float:
    """Seconds per step."""

    def train() -> None:
        for _ in range(steps):
            step()
        mx.synchronize()

    if checks is None:  # the default of the device
        return seconds_of(train, steps)
    with lucid.debug(checks):
        return seconds_of(train, steps)


def main(argv: list[str] | None = None) -> int:
    parser = Parser(description="Time training steps with and without the checks of indices and labels.")
    parser.add_argument("--device", help="cpu, gpu, metal or cuda")
    parser.add_argument("--rounds", type=positive_int, default=11, metavar="N", help="at least (11)")
    parser.add_argument(
        "--seconds", type=duration, default=0.0, metavar="S", help="measure each step for this long (0)"
    )
    parser.add_argument("--steps", type=positive_int, default=5, metavar="N", help="steps per round (5)")
    args = parser.parse_args(argv)
    use_device(parser, args.device)
    lucid.manual_seed(0)
    print(headline(describe_machine()))
    print(f"{'':28}{'ms/step':>10}{'checks':>10}")
    for name, step in make_steps().items():
        step()
        times = interleaved_rounds(
            {"off": lambda step=step: measure(step, False, args.steps),
             "on": lambda step=step: measure(step, None, args.steps)},
            args.seconds, args.rounds,
        )  # fmt: skip
        added = statistics.median(on / off - 1 for on, off in zip(times["on"], times["off"], strict=True))
        print(f"{name:28}{statistics.median(times['off']) * 1e3:10.2f}{added:+10.1%}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
