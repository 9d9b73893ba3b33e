"""Train the same ConvNeXt on CIFAR-10 with Lucid and with PyTorch, and compare loss, accuracy and time.

    python examples/benchmarks/cifar10_pytorch.py --data-dir data --out mine   # writes mine.json and mine.png

Needs PyTorch and matplotlib. Both start from the same weights, see the same images in the same order, without
augmentation, and use AdamW with the same schedule. They take turns of 10 steps, so that other load on the machine
affects both alike. The losses first differ by float32 rounding, which training amplifies; the accuracies after the last
epoch tell whether it matters.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from timing import Parser, positive_int, use_device, write_json

import lucid
from lucid import data, models, optim
from lucid._machine import headline
from lucid.benchmark.frameworks import Setup, torch_model
from lucid.benchmark.timing import machine_of, torch_for
from lucid.training import small_images
from lucid.training.optimizer import warmup_decay

RECIPE = small_images.preset("laptop")
DEPTHS, DIMS, PATCH_SIZE = RECIPE.depths, RECIPE.dims, RECIPE.patch_size
BATCH, PEAK_LR, BETAS, DECAY = 128, 2e-3, (0.9, 0.98), 0.05
TURN = 10  # steps


def lucid_program(weights: dict[str, np.ndarray]) -> tuple[Any, Any]:
    """Functions that take a step and return the loss, and that return logits."""
    model = models.ConvNeXt(10, DEPTHS, DIMS, layer_scale_init=1.0, patch_size=PATCH_SIZE)
    model.load_state_dict(weights)
    optimizer = optim.AdamW(model.parameters(), PEAK_LR, BETAS, weight_decay=DECAY)

    def step(images: np.ndarray, labels: np.ndarray, rate: float) -> Any:
        optimizer.param_groups[0]["lr"] = rate
        optimizer.zero_grad()
        loss = lucid.nn.functional.cross_entropy(model(lucid.tensor(images)), lucid.tensor(labels))
        loss.backward()
        optimizer.step()
        return loss.detach()

    @lucid.no_grad()
    def infer(images: np.ndarray) -> np.ndarray:
        return np.asarray(model(lucid.tensor(images)).numpy())

    return step, infer


def torch_program(torch: Any, weights: dict[str, np.ndarray]) -> tuple[Any, Any]:
    """The same with PyTorch."""
    setup = Setup(
        depths=DEPTHS, dims=DIMS, patch_size=PATCH_SIZE, classes=10, batch=BATCH, image_size_px=32, dtype="float32",
        mode="training", weights=weights, images=np.empty(0), labels=np.empty(0),
    )  # fmt: skip
    model = torch_model(torch, setup).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), PEAK_LR, BETAS, weight_decay=DECAY)

    def as_images(images: np.ndarray) -> Any:
        return torch.from_numpy(images).contiguous(memory_format=torch.channels_last)

    def step(images: np.ndarray, labels: np.ndarray, rate: float) -> Any:
        optimizer.param_groups[0]["lr"] = rate
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(as_images(images)), torch.from_numpy(labels))
        loss.backward()
        optimizer.step()
        return loss.detach()

    def infer(images: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return np.asarray(model(as_images(images)).numpy())

    return step, infer


def accuracy(infer: Any, images: np.ndarray, labels: np.ndarray) -> float:
    parts = [infer(images[start : start + 500]).argmax(1) for start in range(0, len(images), 500)]
    return float((np.concatenate(parts) == labels).mean())


def normalized(dataset: data.CIFAR10) -> np.ndarray:
    mean, std = (np.float32(one).reshape(1, 3, 1, 1) for one in (dataset.mean, dataset.std))
    return (dataset.data.astype(np.float32) / 255 - mean) / std


def compare(torch: Any, folder: Path, epochs: int, limit: int | None) -> dict[str, Any]:
    train, test = data.CIFAR10(folder), data.CIFAR10(folder, train=False)
    train_images, test_images = normalized(train)[:limit], normalized(test)[:limit]
    train_labels, test_labels = (np.asarray(one.targets, np.int64)[:limit] for one in (train, test))
    lucid.manual_seed(0)
    start = models.ConvNeXt(10, DEPTHS, DIMS, layer_scale_init=1.0, patch_size=PATCH_SIZE)
    weights = {name: value.numpy() for name, value in start.state_dict().items()}
    for step, _ in (lucid_program(weights), torch_program(torch, weights)):  # compiles Lucid's kernels, untimed
        step(train_images[:BATCH], train_labels[:BATCH], PEAK_LR).item()
    programs = {"lucid": lucid_program(weights), "torch": torch_program(torch, weights)}
    losses: dict[str, list[float]] = {name: [] for name in programs}
    seconds = dict.fromkeys(programs, 0.0)
    steps = len(train_images) // BATCH
    factor = warmup_decay(steps // 2, steps * epochs, 0.0, is_linear=True)
    for epoch in range(epochs):
        order = np.random.default_rng(epoch).permutation(len(train_images))[: steps * BATCH].reshape(steps, BATCH)
        for first in range(0, steps, TURN):
            for name, (step, _) in programs.items():
                begin, found = time.perf_counter(), []
                for number in range(first, min(first + TURN, steps)):
                    chosen = order[number]
                    rate = PEAK_LR * factor(epoch * steps + number)
                    found.append(step(train_images[chosen], train_labels[chosen], rate))
                losses[name] += [one.item() for one in found]
                seconds[name] += time.perf_counter() - begin
        done = ", ".join(
            f"{name} loss {np.mean(losses[name][-steps:]):.4f}, {seconds[name] / (epoch + 1):.0f} s an epoch"
            for name in programs
        )
        print(f"epoch {epoch + 1}: {done}", flush=True)
    accuracies = {name: accuracy(infer, test_images, test_labels) for name, (_, infer) in programs.items()}
    print("test accuracy: " + ", ".join(f"{name} {value:.2%}" for name, value in accuracies.items()))
    apart = np.abs(np.subtract(losses["lucid"], losses["torch"]))
    print(f"largest difference of the losses: {apart[:100].max():.1e} in 100 steps, {apart.max():.1e} in all")
    return {
        "data": "CIFAR-10, JPEG copy",
        "epochs": epochs,
        "images": len(train_images),
        "test_images": len(test_images),
        "model": {"depths": DEPTHS, "dims": DIMS, "patch_size": PATCH_SIZE, "batch": BATCH, "lr": PEAK_LR},
        "accuracies": accuracies,
        "training_seconds": seconds,
        "largest_difference_in_100_steps": float(apart[:100].max()),
        "largest_difference": float(apart.max()),
        "losses": losses,
    }


def draw(path: Path, results: dict[str, Any]) -> None:
    """The losses of both, averaged over 20 steps, and their difference."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    titles = {"lucid": "Lucid", "torch": "PyTorch"}
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    for name, style in (("lucid", "-"), ("torch", "--")):
        means = np.convolve(results["losses"][name], np.ones(20) / 20, "valid")
        rate = results["images"] * results["epochs"] / results["training_seconds"][name]
        label = f"{titles[name]}: {results['accuracies'][name]:.2%} test accuracy, {rate:.0f} images/s"
        left.plot(np.arange(len(means)) + 20, means, style, label=label, linewidth=1.5)
    left.set(xlabel="step", ylabel="training loss, mean of 20 steps")
    left.legend(frameon=False, fontsize=8)
    apart = np.abs(np.subtract(results["losses"]["lucid"], results["losses"]["torch"]))
    right.semilogy(np.maximum(apart, 1e-8), linewidth=0.8)
    right.set(xlabel="step", ylabel="difference of the losses")
    for axis in (left, right):
        axis.spines[["top", "right"]].set_visible(False)
    figure.suptitle(results["data"], fontsize=9, x=0.01, ha="left")
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def main(argv: list[str] | None = None) -> int:
    parser = Parser(description="Train on CIFAR-10 with Lucid and with PyTorch, and compare loss, accuracy and time.")
    parser.add_argument("--data-dir", type=Path, default=Path("data"), help="folder with CIFAR-10 (default: data)")
    parser.add_argument("--epochs", type=positive_int, default=3, metavar="N", help="default: 3")
    parser.add_argument("--limit", type=positive_int, metavar="N", help="use the first N images only")
    parser.add_argument("--out", type=Path, metavar="STEM", help="write STEM.json and STEM.png")
    args: argparse.Namespace = parser.parse_args(argv)
    use_device(parser, "cpu")
    torch = torch_for("cpu")
    if torch is None:
        parser.error("PyTorch is not installed")
    machine = machine_of(torch)
    print(headline(machine))
    results = {"machine": machine, **compare(torch[0], args.data_dir, args.epochs, args.limit)}
    if args.out:
        write_json(args.out.with_suffix(".json"), results, __file__, sys.argv[1:] if argv is None else argv)
        draw(args.out.with_suffix(".png"), results)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
