"""Count the kernels and bytes of a ConvNeXt training step on a GPU, compared with plain mlx.nn. Needs no GPU.

    python examples/benchmarks/traffic.py                        # ConvNeXt-T, ConvNeXt V2-T and the small CIFAR model
    python examples/benchmarks/traffic.py --models tiny --kernels lucid  # every kernel of a block of the first stage
    python examples/benchmarks/traffic.py --dtype bfloat16 --batch 32
    python examples/benchmarks/traffic.py --markdown             # the tables of docs/traffic.md

The first table of each model shows what one more block adds to the loss and its gradients, for each stage: the bytes,
in units of one pass over the block's map, N * H * W * C values, and the launches. The second one shows the whole step
with AdamW: launches, bytes, memory that the backward pass reads from the forward pass, and an estimate of the time on
some chips, from the bandwidth and arithmetic that their makers state. Nothing is run: lucid.profile counts.

"by hand" is a step of plain functions on mx.arrays with Lucid's kernels and mx.value_and_grad (see frameworks.py).
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import frameworks
from frameworks import DTYPES

import lucid
from lucid import models, nn
from lucid._profile import Profile
from lucid._profile.chips import CHIPS

import mlx.core as mx  # isort: skip  # After lucid, which loads a fast BLAS before MLX on Linux.
import mlx.nn as mnn  # isort: skip
import mlx.optimizers as mopt  # isort: skip

_CHIPS = ["M1", "M1 Max", "M2 Max", "M3 Max", "M4 Max", "H200"]


@dataclass(frozen=True)
class Model:
    """A network and the images that it is trained on."""

    title: str
    depths: tuple[int, ...]
    dims: tuple[int, ...]
    patch_size: int
    image_size_px: int
    batch: int
    classes: int
    grn: bool = False

    def make(self) -> models.ConvNeXt:
        options: dict[str, Any] = {"patch_size": self.patch_size}
        if self.grn:
            return models.ConvNeXtV2(self.classes, self.depths, self.dims, **options)
        return models.ConvNeXt(self.classes, self.depths, self.dims, **options)

    def stage(self, number: int, depth: int) -> "Model":
        """A network that has only one stage of this one, with ``depth`` blocks."""
        side = self.image_size_px // self.patch_size >> number
        return replace(self, depths=(depth,), dims=(self.dims[number],), patch_size=1, image_size_px=side)

    def map_bytes(self, number: int, dtype: mx.Dtype) -> int:
        side = self.image_size_px // self.patch_size >> number
        return self.batch * side * side * self.dims[number] * dtype.size


MODELS = {
    "tiny": Model("ConvNeXt-T", (3, 3, 9, 3), (96, 192, 384, 768), 4, 224, 64, 1000),
    "v2-tiny": Model("ConvNeXt V2-T", (3, 3, 9, 3), (96, 192, 384, 768), 4, 224, 64, 1000, grn=True),
    "mini": Model("the small CIFAR model", (2, 2, 2, 2), (40, 80, 160, 320), 2, 32, 128, 10),
}


def profile_lucid(model: Model, dtype: mx.Dtype, compiled: bool, with_update: bool) -> Profile:
    network = model.make().to(dtype)
    optimizer = lucid.optim.AdamW(network.parameters(), lr=1e-3)

    def step(images: lucid.Tensor, labels: lucid.Tensor) -> lucid.Tensor:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(network(images), labels)
        loss.backward()
        if with_update:
            optimizer.step()
        return loss

    size = model.image_size_px
    images = lucid.zeros(model.batch, 3, size, size, dtype=dtype)
    labels = lucid.zeros(model.batch, dtype=lucid.int64)
    return lucid.profile(step, images, labels, state=[network, optimizer], compiled=compiled)


def setup_of(model: Model, dtype: mx.Dtype) -> Any:
    """What frameworks.py needs to know; weights and images are zeros that are never computed."""
    weights = {name: mx.zeros(value.shape, dtype) for name, value in model.make().state_dict().items()}
    return SimpleNamespace(
        depths=model.depths, dims=model.dims, patch_size=model.patch_size, classes=model.classes, weights=weights,
        mlx_dtype=mx.float32,
    )  # fmt: skip


def arrays_of(model: Model, dtype: mx.Dtype) -> tuple[mx.array, mx.array]:
    size = model.image_size_px
    return mx.zeros((model.batch, size, size, 3), dtype), mx.zeros((model.batch,), mx.int32)


def profile_plain(model: Model, dtype: mx.Dtype, compiled: bool, with_update: bool) -> Profile:
    network = frameworks.PlainConvNeXt(setup_of(model, dtype))
    network.set_dtype(dtype)
    optimizer = mopt.AdamW(1e-3, bias_correction=True)
    optimizer.init(network.parameters())

    def loss_of(parameters: Any, images: mx.array, labels: mx.array) -> mx.array:
        network.update(parameters)
        return mnn.losses.cross_entropy(network(images), labels, reduction="mean")

    def step(parameters: Any, state: Any, images: mx.array, labels: mx.array) -> Any:
        loss, gradients = mx.value_and_grad(loss_of)(parameters, images, labels)
        if not with_update:
            return loss, gradients
        optimizer.state = state
        return loss, optimizer.apply_gradients(gradients, parameters), optimizer.state

    return lucid.profile(step, network.parameters(), optimizer.state, *arrays_of(model, dtype), compiled=compiled)


def profile_by_hand(model: Model, dtype: mx.Dtype, compiled: bool, with_update: bool) -> Profile:
    setup = setup_of(model, dtype)
    moments = {name: (mx.zeros_like(one), mx.zeros_like(one)) for name, one in setup.weights.items()}

    def loss_of(weights: dict[str, mx.array], images: mx.array, labels: mx.array) -> mx.array:
        return frameworks.loss_by_hand(weights, images, labels, setup)

    def step(weights: Any, moments: Any, images: mx.array, labels: mx.array, rate: mx.array, eps: mx.array) -> Any:
        loss, gradients = mx.value_and_grad(loss_of)(weights, images, labels)
        if not with_update:
            return loss, gradients
        return loss, {
            name: frameworks.adamw_by_hand(one, gradients[name], *moments[name], rate, eps)
            for name, one in weights.items()
        }

    scalars = mx.zeros((), dtype), mx.zeros((), dtype)
    return lucid.profile(step, setup.weights, moments, *arrays_of(model, dtype), *scalars, compiled=compiled)


Counter = Callable[[Model, mx.Dtype, bool, bool], Profile]
FRAMEWORKS: dict[str, tuple[str, Counter, bool]] = {
    "lucid": ("Lucid, compiled", profile_lucid, True),
    "lucid-eager": ("Lucid, eager", profile_lucid, False),
    "hand": ("by hand, compiled", profile_by_hand, True),
    "hand-eager": ("by hand, eager", profile_by_hand, False),
    "mlx": ("mlx.nn, compiled", profile_plain, True),
    "mlx-eager": ("mlx.nn, eager", profile_plain, False),
}


def block_costs(name: str, model: Model, dtype: mx.Dtype) -> list[tuple[float, int]]:
    """For each stage what one more block adds: passes over its map, and launches."""
    _, count, compiled = FRAMEWORKS[name]
    found = []
    for number in range(len(model.dims)):
        one, two = (count(model.stage(number, depth), dtype, compiled, False) for depth in (1, 2))
        found.append(((two.bytes - one.bytes) / model.map_bytes(number, dtype), two.launches - one.launches))
    return found


def block_passes(costs: list[tuple[float, int]], model: Model, dtype: mx.Dtype) -> float:
    """The passes of all blocks together, in units of all their maps."""
    maps = [depth * model.map_bytes(i, dtype) for i, depth in enumerate(model.depths)]
    return sum(cost * size for (cost, _), size in zip(costs, maps, strict=True)) / sum(maps)


def table(rows: list[list[str]], markdown: bool) -> str:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    if markdown:
        rule = "|--|" + "--:|" * (len(widths) - 1)
        lines = ["| " + " | ".join(row) + " |" for row in rows]
        return "\n".join([lines[0], rule, *lines[1:]])
    lines = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def report(model: Model, names: list[str], dtype: mx.Dtype, chips: list[str], markdown: bool) -> str:
    """Both tables of a model."""
    sides = [model.image_size_px // model.patch_size >> i for i in range(len(model.dims))]
    head = [f"{side}x{side}x{dim}" for side, dim in zip(sides, model.dims, strict=True)]
    blocks = [["passes over the map (launches) of a block", *head, "all blocks"]]
    steps = [["the whole step", "launches", "GB", "MB per image", "held, MB", *(f"{chip}, ms *" for chip in chips)]]
    for name in names:
        title, count, compiled = FRAMEWORKS[name]
        costs = block_costs(name, model, dtype)
        cells = [f"{passes:.1f} ({launches})" for passes, launches in costs]
        blocks.append([title, *cells, f"{block_passes(costs, model, dtype):.1f}"])
        found = count(model, dtype, compiled, True)
        steps.append(
            [
                title, str(found.launches), f"{found.bytes / 1e9:.1f}", f"{found.bytes / model.batch / 1e6:.0f}",
                f"{found.held_bytes / 1e6:,.0f}", *(f"{found.seconds(chip) * 1e3:.0f}" for chip in chips),
            ]
        )  # fmt: skip
    sort = str(dtype).removeprefix("mlx.core.")
    title = f"{model.title}, {model.image_size_px} px, batch {model.batch}, {sort}"
    title = f"### {title}" if markdown else title
    return "\n".join([title, "", table(blocks, markdown), "", table(steps, markdown), ""])


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--frameworks", nargs="+", choices=FRAMEWORKS, default=list(FRAMEWORKS))
    parser.add_argument("--dtype", choices=DTYPES, default="float32")
    parser.add_argument("--batch", type=int, help="images, instead of 64 (128 for the small model)")
    parser.add_argument("--chips", nargs="*", choices=CHIPS, default=_CHIPS)
    parser.add_argument("--kernels", choices=FRAMEWORKS, help="list every kernel that a block adds, in this framework")
    parser.add_argument("--stage", type=int, default=1, help="the stage whose block --kernels lists")
    parser.add_argument("--markdown", action="store_true", help="write tables for documentation")
    options = parser.parse_args(arguments)
    dtype = DTYPES[options.dtype]
    for name in options.models:
        model = MODELS[name]
        if options.batch is not None:
            model = replace(model, batch=options.batch)
        if options.kernels is not None:
            _, count, compiled = FRAMEWORKS[options.kernels]
            found = count(model.stage(options.stage - 1, 2), dtype, compiled, False)
            if found.within("stages.0.1").launches:
                found = found.within("stages.0.1")
            print(found.listing(model.map_bytes(options.stage - 1, dtype)))
        else:
            print(report(model, options.frameworks, dtype, options.chips, options.markdown))
    print("* an estimate: every kernel at the full stated bandwidth or arithmetic. All other numbers are exact counts.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
