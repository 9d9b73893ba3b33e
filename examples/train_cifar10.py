"""Train a ConvNeXt on CIFAR-10, CIFAR-100, or the handwritten digits that scikit-learn ships.

    python examples/train_cifar10.py                    # CIFAR-10; downloads 162 MB the first time
    python examples/train_cifar10.py --dataset digits   # needs no download, takes a minute or two on two CPU cores
    python examples/train_cifar10.py --resume           # goes on after the last complete epoch under --out

CIFAR wants a GPU: with the default model two CPU cores need the better part of an hour for an epoch.
Needs pip install "lucid-mlx[examples]". After every epoch there lie under --out:

- history.csv and curves.png: loss (in training, that of the smoothed labels) and accuracy, epoch by epoch;
- best.safetensors and last.safetensors: weights, for model.load_state_dict(lucid.load(path));
- checkpoint.safetensors: all that --resume needs to go on as if nothing had happened.

The story is in train(), near the end; the functions above it are its parts.
"""

import argparse
import csv
import dataclasses
import io
import json
import math
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from tqdm import tqdm

import lucid
import lucid.nn.functional as F
from lucid import data, models, nn, optim
from lucid.data import transforms
from lucid.serialization import load_with_metadata

MAX_GRADIENT_NORM = 1.0
STEPS_BETWEEN_READINGS = 10


@dataclass(frozen=True)
class Settings:
    """What decides the outcome of a run; a checkpoint carries it along. Every field is also an option."""

    dataset: str
    depths: tuple[int, ...]
    dims: tuple[int, ...]
    patch_size: int
    drop_path: float
    layer_scale_init: float
    epochs: int
    warmup_epochs: int
    batch_size: int
    lr: float
    weight_decay: float = 0.05
    label_smoothing: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        for names, low, high in (
            ("epochs batch_size patch_size", 1, math.inf),
            ("warmup_epochs lr weight_decay layer_scale_init seed", 0, math.inf),
            ("drop_path label_smoothing", 0, 1),
        ):
            for name in names.split():
                if not low <= getattr(self, name) < high:
                    bounds = f"at least {low}" + (f" and below {high}" if high < math.inf else "")
                    raise ValueError(f"{option(name)} must be {bounds}, got {getattr(self, name)}")
        if len(self.depths) != len(self.dims):
            raise ValueError(f"--depths has {len(self.depths)} stages but --dims has {len(self.dims)}")


# With the usual stem of 4 x 4 pixels, images of 32 x 32 leave too little to see. A stem of 1 x 1 sees still more than
# this one of 2 x 2, at four times the work: --patch-size 1.
PHOTOS = {
    "depths": (2, 2, 6, 2),
    "dims": (64, 128, 256, 512),
    "patch_size": 2,
    "drop_path": 0.1,
    "layer_scale_init": 1e-6,
    "epochs": 50,
    "warmup_epochs": 5,
    "batch_size": 128,
    "lr": 2e-3,
}
DIGITS = {
    "depths": (2, 2),
    "dims": (32, 64),
    "patch_size": 1,
    "drop_path": 0.0,
    "layer_scale_init": 1.0,
    "epochs": 20,
    "warmup_epochs": 2,
    "batch_size": 64,
    "lr": 4e-3,
}
DEFAULTS = {"cifar10": PHOTOS, "cifar100": PHOTOS, "digits": DIGITS}


@dataclass
class Run:
    """What changes while training goes on."""

    settings: Settings
    model: nn.Module
    optimizer: optim.Optimizer
    scheduler: optim.lr_scheduler.LRScheduler
    train_loader: data.DataLoader
    test_loader: data.DataLoader
    history: list[dict[str, Any]]  # one row an epoch


def load_datasets(name: str, folder: Path, mirror: str | None) -> tuple[Any, Any]:
    """The images to train with and the images to test with."""
    if name == "digits":
        return data.Digits(train=True), data.Digits(train=False)
    kind = data.CIFAR10 if name == "cifar10" else data.CIFAR100
    return kind(folder, True, download=True, base_url=mirror), kind(folder, False, download=True, base_url=mirror)


def start_run(settings: Settings, train_set: Any, test_set: Any, workers: int) -> Run:
    """A model with random weights, and all that it takes to train it."""
    _, channels, height, width = train_set.data.shape
    batch_size = settings.batch_size
    if batch_size > len(train_set):
        raise ValueError(f"--batch-size must be at most {len(train_set)}, the number of images, got {batch_size}")
    if height < settings.patch_size * 2 ** (len(settings.dims) - 1):
        stages = len(settings.dims)
        raise ValueError(f"--patch-size {settings.patch_size} and {stages} stages leave nothing of {height} px")

    to_input = [transforms.ToFloat(train_set.max_value), transforms.Normalize(train_set.mean, train_set.std)]
    augment: list[transforms.Transform] = [transforms.RandomCrop((height, width), padding=height // 8)]
    if settings.dataset != "digits":  # a mirrored digit is no digit
        augment.append(transforms.RandomHorizontalFlip())
    train_loader = data.DataLoader(
        train_set,
        batch_size,
        shuffle=True,
        seed=settings.seed,
        drop_last=True,
        num_workers=workers,
        batch_transform=transforms.Compose(augment + to_input),
    )
    test_loader = data.DataLoader(
        test_set, batch_size, num_workers=workers, batch_transform=transforms.Compose(to_input)
    )

    lucid.manual_seed(settings.seed)
    model = models.ConvNeXt(
        num_classes=len(train_set.classes),
        depths=settings.depths,
        dims=settings.dims,
        drop_path=settings.drop_path,
        layer_scale_init=settings.layer_scale_init,
        in_chans=channels,
        patch_size=settings.patch_size,
    )
    decayed = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]  # biases, norms, layer scales
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
    optimizer = optim.AdamW(groups, lr=settings.lr)

    warmup_steps = settings.warmup_epochs * len(train_loader)
    steps = settings.epochs * len(train_loader)

    def lr_factor(step: int) -> float:
        """Rises during the warm-up, then falls along half a cosine."""
        if step < warmup_steps:
            return (step + 1) / warmup_steps
        return 0.5 + 0.5 * math.cos(math.pi * (step - warmup_steps) / max(1, steps - warmup_steps))

    scheduler = optim.lr_scheduler.LambdaLR(optimizer, lr_factor)
    return Run(settings, model, optimizer, scheduler, train_loader, test_loader, history=[])


def train_epoch(run: Run, bar: tqdm) -> tuple[float, float, float]:
    """Go through the training images once. Gives the mean loss, the accuracy, and images per second."""
    run.model.train()
    start = time.perf_counter()
    loss_sum, correct, seen = lucid.tensor(0.0), lucid.tensor(0), 0
    for step, (images, labels) in enumerate(run.train_loader, start=1):
        run.optimizer.zero_grad()
        logits = run.model(images)
        loss = F.cross_entropy(logits, labels, label_smoothing=run.settings.label_smoothing)
        loss.backward()
        nn.utils.clip_grad_norm_(run.model.parameters(), MAX_GRADIENT_NORM)
        run.optimizer.step()
        run.scheduler.step()

        # The sums are tensors. Reading a number waits for all work so far, so it is done once in a while.
        loss_sum = loss_sum + loss.detach() * len(labels)
        correct = correct + (logits.argmax(dim=1) == labels).sum()
        seen += len(labels)
        if step % STEPS_BETWEEN_READINGS == 0 or step == len(run.train_loader):
            mean_loss, accuracy = loss_sum.item() / seen, correct.item() / seen
            images_per_second = seen / (time.perf_counter() - start)
            bar.set_postfix_str(f"loss {mean_loss:.3f}, accuracy {accuracy:.1%}, {images_per_second:,.0f} images/s")
            bar.update(step - bar.n)
    return mean_loss, accuracy, images_per_second


@lucid.no_grad()
def evaluate(run: Run) -> tuple[float, float]:
    """The mean loss and the accuracy on the test images."""
    run.model.eval()
    loss_sum, correct, seen = 0.0, 0, 0
    for images, labels in run.test_loader:
        logits = run.model(images)
        loss_sum += F.cross_entropy(logits, labels, reduction="sum").item()
        correct += (logits.argmax(dim=1) == labels).sum().item()
        seen += len(labels)
    return loss_sum / seen, correct / seen


def save_checkpoint(path: Path, run: Run) -> None:
    """All that decides how the run goes on: tensors under their names, and the rest as JSON beside them."""
    state, metadata = optim.flatten_state(run.optimizer.state_dict())
    tensors = {f"model.{name}": tensor for name, tensor in run.model.state_dict().items()}
    tensors |= {f"optimizer.{name}": tensor for name, tensor in state.items()}
    tensors["random_state"] = lucid.random.get_state()
    metadata["settings"] = json.dumps(dataclasses.asdict(run.settings))
    metadata["scheduler"] = json.dumps(run.scheduler.state_dict())
    metadata["loader"] = json.dumps(run.train_loader.state_dict())
    metadata["history"] = json.dumps(run.history)
    lucid.save(tensors, path, metadata)


def restore(run: Run, tensors: dict[str, lucid.Tensor], metadata: dict[str, str]) -> None:
    """Bring ``run`` to where the checkpoint was saved."""

    def below(prefix: str) -> dict[str, lucid.Tensor]:
        return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}

    run.model.load_state_dict(below("model."))
    run.optimizer.load_state_dict(optim.unflatten_state(below("optimizer."), metadata))
    lucid.random.set_state(tensors["random_state"])
    run.scheduler.load_state_dict(json.loads(metadata["scheduler"]))
    run.train_loader.load_state_dict(json.loads(metadata["loader"]))
    run.history = json.loads(metadata["history"])


def write_results(out: Path, run: Run) -> None:
    """Every file is written under another name and renamed: it is complete or not there."""
    best = max(run.history, key=lambda row: row["test_accuracy"])
    weights, metadata = run.model.state_dict(), {"settings": json.dumps(dataclasses.asdict(run.settings))}
    if best is run.history[-1]:
        lucid.save(weights, out / "best.safetensors", metadata)
    lucid.save(weights, out / "last.safetensors", metadata)

    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, fieldnames=list(best), lineterminator="\n")
    writer.writeheader()
    writer.writerows(run.history)
    write_file(out / "history.csv", table.getvalue().encode())

    title = f"ConvNeXt on {run.settings.dataset}: {best['test_accuracy']:.2%} test accuracy in epoch {best['epoch']}"
    write_file(out / "curves.png", draw_curves(run.history, title))
    save_checkpoint(out / "checkpoint.safetensors", run)  # last: without it the epoch counts as not done


def write_file(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def draw_curves(history: list[dict[str, Any]], title: str) -> bytes:
    """A PNG with loss and accuracy by epoch, side by side."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    figure.suptitle(title)
    for axes, what in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for part, color in (("train", "#0072b2"), ("test", "#d55e00")):
            values = [row[f"{part}_{what}"] for row in history]
            axes.plot([row["epoch"] for row in history], values, color=color, label=part, marker=".")
        axes.set(xlabel="epoch", ylabel=what)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
        if what == "accuracy":
            axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=150)
    return image.getvalue()


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Train a ConvNeXt on small images.")
    parser.add_argument("--dataset", choices=list(DEFAULTS), help="default: cifar10")
    parser.add_argument("--data-dir", type=Path, default=Path("data"), help="where the archives of CIFAR are, or go to")
    parser.add_argument("--mirror", metavar="URL", help="download the archives from here, not from their home page")
    parser.add_argument("--out", type=Path, help="folder for the results (default: runs/DATASET)")
    parser.add_argument("--resume", nargs="?", const="", metavar="FILE", help="default: OUT/checkpoint.safetensors")
    parser.add_argument("--device", choices=["cpu", "gpu"], help="default: the GPU where there is one")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="threads that load images (default: 2)")
    group = parser.add_argument_group(
        "what decides the outcome", "The defaults suit the data set; --resume takes them from the checkpoint."
    )
    group.add_argument("--depths", type=int, nargs="+", metavar="N", help="blocks in each stage")
    group.add_argument("--dims", type=int, nargs="+", metavar="N", help="channels of each stage")
    group.add_argument("--patch-size", type=int, metavar="N", help="the stem takes N x N pixels as one")
    group.add_argument("--drop-path", type=float, metavar="P", help="probability that the last block is passed over")
    group.add_argument("--layer-scale-init", type=float, metavar="X", help="strength of a block at first; 0: no scale")
    group.add_argument("--epochs", type=int, metavar="N")
    group.add_argument("--warmup-epochs", type=int, metavar="N", help="epochs in which the learning rate rises")
    group.add_argument("--batch-size", type=int, metavar="N")
    group.add_argument("--lr", type=float, metavar="X", help="highest learning rate")
    group.add_argument("--weight-decay", type=float, metavar="X")
    group.add_argument("--label-smoothing", type=float, metavar="P")
    group.add_argument("--seed", type=int, metavar="N")
    return parser


def option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def choose_settings(args: argparse.Namespace, saved: dict[str, Any] | None) -> Settings:
    """The options that were given, completed by the checkpoint's or else by the defaults of the data set."""
    given = {name: getattr(args, name) for name in Settings.__annotations__ if getattr(args, name) is not None}
    dataset = args.dataset or "cifar10"
    base = {"dataset": dataset, **DEFAULTS[dataset]} if saved is None else saved
    for name, value in given.items():
        if saved is not None and value != saved[name]:
            raise ValueError(f"{option(name)} {value} contradicts the checkpoint, which has {saved[name]}")
    return Settings(**{name: tuple(v) if isinstance(v, list) else v for name, v in (base | given).items()})


def train(args: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    out = args.out or Path("runs") / (args.dataset or "cifar10")
    tensors, metadata = {}, {}
    try:
        if args.device:
            lucid.device(args.device)
    except RuntimeError as error:  # there is no such device
        parser.error(str(error))
    try:
        if args.resume is not None:
            path = Path(args.resume or out / "checkpoint.safetensors")
            tensors, metadata = load_with_metadata(path)
            if "history" not in metadata:
                raise ValueError(f"{path} is not a checkpoint of this program")
        settings = choose_settings(args, json.loads(metadata["settings"]) if metadata else None)
        train_set, test_set = load_datasets(settings.dataset, args.data_dir, args.mirror)
        run = start_run(settings, train_set, test_set, args.workers)
        if metadata:
            restore(run, tensors, metadata)
    except (ValueError, FileNotFoundError) as error:
        parser.error(str(error))  # ends the program with code 2

    parameters = sum(p.numel() for p in run.model.parameters())
    print(f"{train_set}\nConvNeXt with {parameters:,} parameters on {lucid.device()}; results go to {out}", flush=True)
    out.mkdir(parents=True, exist_ok=True)
    for epoch in range(len(run.history) + 1, settings.epochs + 1):
        start, lr = time.perf_counter(), run.scheduler.get_last_lr()[0]
        title = f"epoch {epoch:{len(str(settings.epochs))}}/{settings.epochs}"
        with tqdm(total=len(run.train_loader), desc=title, leave=False, disable=None) as bar:
            train_loss, train_accuracy, images_per_second = train_epoch(run, bar)
            test_loss, test_accuracy = evaluate(run)
        if not math.isfinite(train_loss):
            print(f"The loss is {train_loss} in epoch {epoch}: a smaller --lr may help.", file=sys.stderr)
            return 1
        row = {
            "epoch": epoch,
            "lr": lr,
            "train_loss": train_loss,
            "train_accuracy": train_accuracy,
            "test_loss": test_loss,
            "test_accuracy": test_accuracy,
            "images_per_second": images_per_second,
            "seconds": time.perf_counter() - start,
        }
        run.history.append({name: float(f"{value:.6g}") if name != "epoch" else value for name, value in row.items()})
        write_results(out, run)
        print(
            f"{title}: loss {train_loss:.3f}, accuracy {train_accuracy:.2%}; "
            f"test loss {test_loss:.3f}, accuracy {test_accuracy:.2%}; {images_per_second:,.0f} images/s",
            flush=True,
        )
    last, best = run.history[-1], max(run.history, key=lambda row: row["test_accuracy"])
    print(
        f"{last['test_accuracy']:.2%} of the test images are right "
        f"({best['test_accuracy']:.2%} in epoch {best['epoch']}, the best); "
        f"{sum(row['seconds'] for row in run.history):.0f} s; see {out}"
    )
    return 0


def main(argv: list[str] | None = None) -> int:
    parser = make_parser()
    args = parser.parse_args(argv)
    try:
        return train(args, parser)
    except data.ArchiveError as error:
        advice = (
            "" if args.dataset == "digits" else ", or train on the digits, which need no download: --dataset digits"
        )
        print(f"{error}{advice}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted: --resume goes on after the last complete epoch, if there is one.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
