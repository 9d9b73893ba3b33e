"""Measure what FCMAE learns: a linear probe of the encoder's features before and after pre-training.

    python examples/benchmarks/pretraining.py                                  # shapes that the program draws
    python examples/benchmarks/pretraining.py --source cifar10 --data-dir data --json cifar10.json --picture cifar10.png

For each seed an autoencoder is built and trained on images without their labels. Before and after, logistic regression
(scikit-learn, on standardized features) learns to classify the training images from the encoder's pooled features, and
is tested on others. Everything but the labels' use is the same, so the difference is what pre-training added.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from timing import Parser, positive_int, write_json

import lucid
from lucid import data
from lucid._machine import describe_machine
from lucid.data import augment
from lucid.training import pretraining

SHAPES = ("disc", "ring", "square", "frame", "cross", "triangle", "bars", "checks")
SIDE = 32  # of drawn images, in pixels
PART = SIDE / 2  # of the quarter that each shape lies in


class Images(data.ImageDataset):
    """Images in memory: drawn shapes, or a part of CIFAR-10."""

    classes, max_value = SHAPES, 255
    mean, std = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)

    def __init__(self, images: np.ndarray, targets: np.ndarray) -> None:
        super().__init__(images, targets, True, None, None)


def shape(kind: str, x: np.ndarray, y: np.ndarray, radius: float) -> np.ndarray:
    """Where the shape is, for coordinates relative to its center."""
    largest, distance = np.maximum(abs(x), abs(y)), np.hypot(x, y)
    found: dict[str, np.ndarray] = {
        "disc": distance < radius,
        "ring": (distance < radius) & (distance > 0.6 * radius),
        "square": largest < 0.85 * radius,
        "frame": (largest < 0.85 * radius) & (largest > 0.5 * radius),
        "cross": (np.minimum(abs(x), abs(y)) < 0.3 * radius) & (largest < radius),
        "triangle": (y > -0.8 * radius) & (y < 0.9 * radius) & (abs(x) < 0.6 * (0.9 * radius - y)),
        "bars": (largest < radius) & (np.floor(2.5 * x / radius) % 2 == 0),
        "checks": (largest < radius) & ((np.floor(2 * x / radius) + np.floor(2 * y / radius)) % 2 == 0),
    }
    return found[kind]


def drawn(count: int, seed: int) -> Images:
    """Four shapes of one kind, of random color, size, place and angle, on random backgrounds with noise."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(len(SHAPES), size=count)
    rows, columns = np.mgrid[:SIDE, :SIDE].astype(float)
    images = np.empty((count, 3, SIDE, SIDE), np.uint8)
    for number, target in enumerate(targets):
        slope = rng.normal(0, 64 / SIDE, 3) * ((rows if rng.integers(2) else columns) - SIDE / 2)[..., None]
        pixels = rng.uniform(30, 225, 3) + slope
        for top, left in ((0, 0), (0, PART), (PART, 0), (PART, PART)):
            radius, angle = PART * rng.uniform(0.28, 0.48), rng.uniform(0, 2 * np.pi)
            x, y = columns - left - rng.uniform(radius, PART - radius), rows - top - rng.uniform(radius, PART - radius)
            x, y = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
            pixels = np.where(shape(SHAPES[target], x, y, radius)[..., None], rng.uniform(30, 225, 3), pixels)
        images[number] = (pixels + rng.normal(0, 12, pixels.shape)).clip(0, 255).astype(np.uint8).transpose(2, 0, 1)
    return Images(images, targets)


def datasets(options: Any) -> tuple[Images, Images]:
    """Images for training and for testing."""
    if options.source == "drawn":
        return drawn(options.images, 1), drawn(options.test_images, 2)
    Images.classes, Images.mean, Images.std = data.CIFAR10.classes, data.CIFAR10.mean, data.CIFAR10.std
    parts = []
    for train, count in ((True, options.images), (False, options.test_images)):
        every = data.CIFAR10(options.data_dir, train, download=True)
        parts.append(Images(every.data[:count], every.targets[:count]))
    return parts[0], parts[1]


@lucid.no_grad()
def features(encoder: Any, images: Images) -> np.ndarray:
    """Pooled features (N, C) of images that are not masked."""
    encoder.eval()
    normalize = augment.Normalize(images.mean, images.std)
    parts = [encoder(normalize(lucid.tensor(images.data[i : i + 250]))).numpy() for i in range(0, len(images), 250)]
    return np.concatenate(parts)


def probe(encoder: Any, train: Images, test: Images) -> float:
    """The accuracy of logistic regression on the features."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))
    classifier.fit(features(encoder, train), train.targets)
    return float(classifier.score(features(encoder, test), test.targets))


def main(words: list[str] | None = None) -> int:
    parser = Parser(description=__doc__)
    parser.add_argument("--source", choices=["drawn", "cifar10"], default="drawn")
    parser.add_argument("--data-dir", type=Path, default=Path("data"), help="folder with CIFAR-10 (default: data)")
    parser.add_argument("--images", type=positive_int, default=2000, help="training images (default: 2000)")
    parser.add_argument("--test-images", type=positive_int, default=2000, help="test images (default: 2000)")
    parser.add_argument("--epochs", type=positive_int, default=20, help="epochs of pre-training (default: 20)")
    parser.add_argument("--seeds", type=positive_int, default=3, help="number of seeds (default: 3)")
    parser.add_argument("--depths", type=positive_int, nargs="+", default=[2, 2], help="blocks per stage")
    parser.add_argument("--dims", type=positive_int, nargs="+", default=[32, 64], help="channels per stage")
    parser.add_argument("--patch-size", type=positive_int, default=2, help="stride of the stem (default: 2)")
    parser.add_argument("--decoder-dim", type=positive_int, default=64, help="channels of the decoder (default: 64)")
    parser.add_argument("--batch-size", type=positive_int, default=64, help="images per step (default: 64)")
    parser.add_argument("--optimizer", choices=["adamw", "muon"], default="muon", help="default: muon")
    parser.add_argument("--lr", type=float, default=5e-3, help="learning rate (default: 5e-3)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results to this file")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="write reconstructions to this PNG file")
    options = parser.parse_args(words)
    train, test = datasets(options)
    rows = []
    for seed in range(options.seeds):
        settings = pretraining.preset(
            "quick", "cifar10", epochs=options.epochs, warmup_epochs=min(2, options.epochs), seed=seed, lr=options.lr,
            depths=tuple(options.depths), dims=tuple(options.dims), patch_size=options.patch_size,
            decoder_dim=options.decoder_dim, batch_size=options.batch_size, optimizer=options.optimizer,
        )  # fmt: skip
        with tempfile.TemporaryDirectory() as folder:
            images = pretraining.SmallImages(options.source, train, test)
            trainer = pretraining.make_trainer(settings, images, folder=Path(folder))
            before = probe(trainer.model.encoder, train, test)
            trainer.fit()
            after = probe(trainer.model.encoder, train, test)
            if options.picture and seed == 0:
                options.picture.write_bytes((Path(folder) / "reconstructions.png").read_bytes())
        losses = [{name: row[name] for name in ("train_loss", "test_loss")} for row in trainer.history]
        seconds = sum(row["seconds"] for row in trainer.history)
        rows.append(
            {"seed": seed, "random": before, "pretrained": after, "losses": losses, "seconds": round(seconds, 1)}
        )
        print(
            f"seed {seed}: loss {losses[0]['test_loss']:.3f} to {losses[-1]['test_loss']:.3f} in {seconds:.0f} s; "
            f"probe {before:.2%} with random weights, {after:.2%} after pre-training",
            flush=True,
        )
    gains = [row["pretrained"] - row["random"] for row in rows]
    print(f"gain {np.mean(gains):.2%} on average, {min(gains):.2%} to {max(gains):.2%}")
    if options.json:
        own = {name: value for name, value in vars(options).items() if not isinstance(value, Path)}
        results = {"machine": describe_machine(), "options": own, "seeds": rows}
        write_json(options.json, results, __file__, sys.argv[1:] if words is None else words)
    return 0


if __name__ == "__main__":
    sys.exit(main())
