"""Train a ConvNeXt on CIFAR-10, or on the handwritten digits that come with scikit-learn.

    python examples/train_cifar10.py --dataset digits   # no download; half a minute on two CPU cores
    python examples/train_cifar10.py                    # CIFAR-10, for a GPU; downloads 162 MB the first time
    python examples/train_cifar10.py --resume           # continue after the last complete epoch

Prints the loss of every epoch, and loss and accuracy on the test images with averaged weights. Writes best.safetensors,
curves.png, report.html and checkpoints to runs/DATASET. Needs pip install "lucid-mlx[train]".
``lucid train`` adds stronger augmentation, mixed precision, several processes, and resuming in the middle of an epoch.
"""

import argparse
import math
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import lucid
import lucid.nn.functional as F
from lucid import checkpoint, data, metrics, models, nn, optim
from lucid.data import augment
from lucid.training.report import Report, write_report
from lucid.training.run_folder import write_curves

DATASETS: dict[str, Any] = {"cifar10": lambda train: data.CIFAR10("data", train, download=True), "digits": data.Digits}
MODELS: dict[str, dict[str, Any]] = {  # the usual patch size, 4, loses too much detail in small images
    "cifar10": {"depths": (2, 2, 6, 2), "dims": (64, 128, 256, 512), "patch_size": 2, "drop_path": 0.1},
    "digits": {"depths": (2, 2), "dims": (32, 64), "patch_size": 1, "drop_path": 0.0, "layer_scale_init": 1.0},
}
CONFIGS = {
    "cifar10": {"epochs": 50, "warmup_epochs": 5, "batch_size": 128, "lr": 2e-3, "ema_decay": 0.999, "flip": 0.5,
                "crop_padding": 4},
    "digits": {"epochs": 20, "warmup_epochs": 2, "batch_size": 64, "lr": 4e-3, "ema_decay": 0.98, "flip": 0.0,
               "crop_padding": 1},
}  # fmt: skip


def train(dataset: str, config: dict[str, Any], out: Path, resume: bool) -> None:
    """Train, and write the results to ``out`` after every epoch."""
    lucid.manual_seed(0)

    # Data: all images are on the device, as uint8.
    train_set, test_set = DATASETS[dataset](train=True), DATASETS[dataset](train=False)
    options = {"batch_size": config["batch_size"], "shuffle": True, "drop_last": True, "seed": 0}
    train_loader = augment.DeviceLoader(augment.DeviceDataset(train_set), **options)
    test_loader = augment.DeviceLoader(augment.DeviceDataset(test_set), batch_size=256)
    _, channels, height, width = test_set.data.shape
    normalize = augment.Normalize(test_set.mean, test_set.std)
    crop = augment.RandomCrop((height, width), config["crop_padding"])
    prepare = augment.Compose([crop, augment.RandomHorizontalFlip(config["flip"]), normalize])

    # Model, optimizer without weight decay for biases and norms, and a schedule: linear warm-up, then half a cosine.
    model = models.ConvNeXt(len(test_set.classes), in_chans=channels, **MODELS[dataset])
    decay, no_decay = ([p for p in model.parameters() if (p.ndim > 1) == is_weight] for is_weight in (True, False))
    groups = [{"params": decay, "weight_decay": 0.05}, {"params": no_decay, "weight_decay": 0.0}]
    optimizer = optim.AdamW(groups, lr=config["lr"])
    warmup, total = config["warmup_epochs"] * len(train_loader), config["epochs"] * len(train_loader)
    rise = optim.lr_scheduler.LinearLR(optimizer, 0.01, total_iters=warmup)
    fall = optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, total - warmup))
    scheduler = optim.lr_scheduler.SequentialLR(optimizer, [rise, fall], milestones=[warmup])
    ema = optim.EMA(model, config["ema_decay"], warmup=True)
    train_loss, train_accuracy = metrics.MeanMetric(), metrics.Accuracy()

    def train_step(images: lucid.Tensor, labels: lucid.Tensor) -> None:
        images, labels = prepare(images, labels)
        optimizer.zero_grad()
        logits = model(images)
        loss = F.cross_entropy(logits, labels, label_smoothing=0.1)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        ema.update()
        train_loss.update(loss.detach(), len(labels))
        train_accuracy.update(logits.detach(), labels)

    if lucid.get_default_device().type != "cpu":  # run the whole step as one graph
        train_step = lucid.compile(train_step, state=[model, optimizer, ema, train_loss, train_accuracy])

    history: list[dict[str, Any]] = []
    manager = checkpoint.Manager(out / "checkpoints", keep=2, best="accuracy")
    state = {"model": model, "optimizer": optimizer, "scheduler": scheduler, "ema": ema, "loader": train_loader,
             "random": lucid.random, "history": history}  # fmt: skip
    if resume and (found := manager.restore(state)):
        history += found.values["history"]
    for epoch in range(len(history) + 1, config["epochs"] + 1):
        start = time.perf_counter()
        model.train()
        train_loss.reset()
        train_accuracy.reset()
        for images, labels in train_loader:
            train_step(images, labels)
            scheduler.step()
        row = {"epoch": epoch, "lr": scheduler.get_last_lr()[0], "train_loss": train_loss.compute().item(),
               "train_accuracy": train_accuracy.compute().item()}  # fmt: skip
        if not math.isfinite(row["train_loss"]):
            sys.exit(f"Loss became NaN or infinite in epoch {epoch}")
        with ema.applied():  # test and save the averaged weights
            loss, confusion = evaluate(model, test_loader, normalize)
            accuracy = float(confusion.trace() / confusion.sum())
            if accuracy > max((past["test_accuracy"] for past in history), default=-1.0):
                transform = models.ImageTransform(height, height, mean=test_set.mean, std=test_set.std)
                path = out / "best.safetensors"
                models.save_checkpoint(model, path, class_names=test_set.classes, preprocessing=transform)
        row |= {"test_loss": loss, "test_accuracy": accuracy, "seconds": time.perf_counter() - start}
        history.append(row)
        write_curves(out / "curves.png", history, f"{accuracy:.2%} test accuracy", "test")
        report = Report(f"ConvNeXt on {dataset}", history, test_set.classes, confusion, configuration=config)
        write_report(out / "report.html", report)
        manager.save(state, step=epoch * len(train_loader), epoch=epoch, metrics={"accuracy": accuracy})
        print(f"epoch {epoch}: loss {row['train_loss']:.3f}; test loss {loss:.3f}, accuracy {accuracy:.2%}", flush=True)


@lucid.no_grad()
def evaluate(model: nn.Module, loader: augment.DeviceLoader, normalize: augment.Normalize) -> tuple[float, np.ndarray]:
    """The mean loss, and how often each class (rows) was predicted as each class (columns)."""
    model.eval()
    mean_loss, confusion = metrics.MeanMetric(), metrics.ConfusionMatrix(model.num_classes)
    for images, labels in loader:
        logits = model(normalize(images))
        mean_loss.update(F.cross_entropy(logits, labels), len(labels))
        confusion.update(logits, labels)
    return mean_loss.compute().item(), confusion.compute().numpy()


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Train a ConvNeXt on CIFAR-10 or on handwritten digits.")
    parser.add_argument("--dataset", choices=list(DATASETS), default="cifar10")
    parser.add_argument("--epochs", type=int, help="default: 50 for cifar10, 20 for digits")
    parser.add_argument("--out", type=Path, help="folder for the results (default: runs/DATASET)")
    parser.add_argument("--resume", action="store_true", help="continue after the last complete epoch")
    parser.add_argument("--overwrite", action="store_true", help="replace the run in the folder")
    args = parser.parse_args(argv)
    out = args.out or Path("runs") / args.dataset
    if args.overwrite:
        shutil.rmtree(out / "checkpoints", ignore_errors=True)
    elif (out / "checkpoints").exists() and not args.resume:
        parser.error(f"{out} already contains a run; pass --resume or --overwrite")
    out.mkdir(parents=True, exist_ok=True)
    config = CONFIGS[args.dataset]
    train(args.dataset, {**config, "epochs": args.epochs or config["epochs"]}, out, args.resume)


if __name__ == "__main__":
    main()
