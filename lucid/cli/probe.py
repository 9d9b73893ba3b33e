"""Measure how well frozen features separate the classes of a folder of photos: k-NN and linear probe accuracy.

    photos/cats/1.jpg  photos/cats/2.png  photos/dogs/...      # one folder per class

    lucid probe photos convnext_tiny.fb_in22k                  # downloaded the first time
    lucid probe photos runs/pretrain-photos --seeds 10         # ten random splits
    lucid probe photos model.pth --image-size 288 --picture tsne
    lucid probe photos runs/photos --format npy                # embeddings for NumPy
    lucid probe photos convnext_tiny.fb_in22k --votes uniform --k 5     # a plain majority of five

The features are the input of the classifier (--layer), computed once for the center crop of each photo. Subfolders
named train and val are used as the split; otherwise a fifth of each class is held out (--val-part), as often as --seeds
says, and the mean accuracy and its standard deviation are reported. The k-NN classifier is that of DINO: 20 neighbors
by cosine similarity, weighted by exp(similarity / 0.07). The linear probe is scikit-learn's logistic regression on
standardized features. Copies of an image and photos of one burst stay in one part.

No file is moved or changed. The output folder, --out (default: runs/probe-FOLDER), contains

- report.html: accuracies, a picture of the features, nearest neighbors, near-duplicates, the confusion matrix;
- results.json: the accuracies with their seeds;
- features.safetensors, or features.npy and features.json: the features, classes and file names, for
  lucid.evaluation.Features.load;
- features.png and neighbors.png: the pictures of the report;
- duplicates.csv: groups of photos whose features are nearly the same (--duplicates);
- skipped.csv: which images cannot be read, and why.

The exit code is 0 on success, 1 if a download fails, 2 for a usage error, and 130 after Ctrl-C; a run that fails leaves
earlier results as they were. Requires pip install "lucid-mlx[train]".
"""

import argparse
import csv
import io
import json
import sys
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from lucid import data, evaluation, memory, models, nn
from lucid._files import write_atomically
from lucid.cli._common import Parser, add_device_option, check_folder, positive, run_job, use_device
from lucid.cli.probe_report import Probed, Result, write_page
from lucid.data import augment
from lucid.data.transforms import DecodeImages
from lucid.evaluation.features import LAYERS
from lucid.evaluation.projection import MAX_SEED
from lucid.training.optimizer import gigabytes
from lucid.training.photo_dataset import Photos, all_samples, find_photos, split_with_seed

MAX_QUERIES, NEIGHBORS_SHOWN = 12, 6
MAX_SHOWN_SKIPPED = 50


def make_parser() -> argparse.ArgumentParser:
    parser = Parser(prog="lucid probe", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="images in CLASS/, or in train/CLASS/ and val/CLASS/")
    parser.add_argument(
        "model",
        help="a published checkpoint (lucid.models.list_models(pretrained=True)), a weights file, or a run folder",
    )
    parser.add_argument("--out", type=Path, help="output folder (default: runs/probe-FOLDER)")
    group = parser.add_argument_group("features")
    group.add_argument("--image-size", type=positive, metavar="PX", help="image size, if other than the model's own")
    group.add_argument("--layer", choices=LAYERS, default="pre_logits", help="which features (default: %(default)s)")
    group.add_argument("--batch-size", type=positive, default=32, metavar="N", help="images per batch (default: 32)")
    group.add_argument(
        "--format", choices=["safetensors", "npy"], default="safetensors",
        help="of the file of features (default: %(default)s)",
    )  # fmt: skip
    group = parser.add_argument_group("classifiers")
    group.add_argument("--k", type=positive, default=20, metavar="N", help="neighbors that vote (default: 20)")
    group.add_argument(
        "--votes", choices=["temperature", "uniform"], default="temperature",
        help="weighted by similarity, or all the same (default: %(default)s)",
    )  # fmt: skip
    group.add_argument(
        "--temperature",
        type=float,
        default=0.07,
        metavar="X",
        help="of the votes; a lower one gives nearer neighbors more weight (default: 0.07)",
    )
    group.add_argument(
        "--C", type=float, default=1.0, metavar="X", help="inverse of the linear probe's weight decay (default: 1)"
    )
    group = parser.add_argument_group("splits")
    group.add_argument("--seeds", type=positive, default=5, metavar="N", help="random splits (default: 5)")
    group.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the first split (default: 0)")
    group.add_argument(
        "--val-part", type=float, default=0.2, metavar="X", help="fraction of each class held out (default: 0.2)"
    )
    group = parser.add_argument_group("report")
    group.add_argument(
        "--picture", choices=["pca", "tsne"], default="pca",
        help="projection of the features: principal components, or t-SNE, which takes longer (default: %(default)s)",
    )  # fmt: skip
    group.add_argument(
        "--duplicates", type=float, default=0.98, metavar="X", help="similarity of near-duplicates (default: 0.98)"
    )
    add_device_option(parser)
    return parser


@dataclass(frozen=True)
class _Split:
    seed: int | None  # None: the folder's own
    train: np.ndarray
    val: np.ndarray


def probe(args: argparse.Namespace, command: list[str]) -> Probed:
    """Extract the features, evaluate both classifiers, and write everything to the output folder."""
    _check(args)
    out = args.out or Path("runs") / f"probe-{args.folder.resolve().name}"
    if args.folder.resolve() in (out.resolve(), *out.resolve().parents):
        raise ValueError(f"--out must not be inside {args.folder}, where its images would be found, got {out}")
    check_folder(out)
    photos = find_photos(args.folder, args.val_part, args.seed)
    _print_skipped(photos)
    model = models.from_checkpoint(args.model, image_size=args.image_size)
    _check_model(model, args)
    samples = all_samples(photos)
    splits = _splits(args, photos, samples)
    fewest = min(len(one.train) for one in splits)
    if args.k > fewest:
        print(f"--k {args.k} is more than the {fewest} training images; all of them vote", file=sys.stderr)
    print(
        f"{model.checkpoint_name} at {model.preprocessing.image_size} px: {len(samples)} images, "
        f"{len(photos.classes)} classes",
        flush=True,
    )
    start = time.perf_counter()
    features = _extract(model, photos, samples, args)
    seconds = time.perf_counter() - start
    results = [_evaluate(features, one, min(args.k, fewest), args) for one in splits]
    probed = Probed(photos, model, features, results, min(args.k, fewest), seconds, vars(args))
    _write(probed, splits[0], out, args, command)
    for line in probed.lines():
        print(line)
    print(f"see {out / 'report.html'}")
    return probed


def _check(args: argparse.Namespace) -> None:
    """Refuse values out of range before anything is read."""
    for name, low, high in (
        ("val_part", 0, 1),
        ("temperature", 0, np.inf),
        ("C", 0, np.inf),
        ("duplicates", 0, 1.0000001),
    ):
        value = getattr(args, name)
        if not low < value < high:
            top = {1: " and below 1", np.inf: " and finite"}.get(high, " and at most 1")
            raise ValueError(f"--{name.replace('_', '-')} must be above 0{top}, got {value:g}")
    if not 0 <= args.seed <= MAX_SEED:
        raise ValueError(f"--seed must be at least 0 and at most {MAX_SEED}, got {args.seed}")


def _check_model(model: nn.Module, args: argparse.Namespace) -> None:
    size, smallest = model.preprocessing.image_size, model.feature_info[-1]["reduction"]
    if model.in_chans not in (1, 3):
        raise ValueError(f"{args.model} expects {model.in_chans}-channel images; only 1 and 3 channels are supported")
    if size < smallest:
        raise ValueError(f"--image-size must be at least {smallest} for {args.model}, got {size}")
    batch_bytes = args.batch_size * 12 * size**2
    if batch_bytes > memory.total():
        raise ValueError(
            f"--batch-size {args.batch_size} makes batches of {gigabytes(batch_bytes)} at {size} px, "
            f"this device has {gigabytes(memory.total())}"
        )


def _print_skipped(photos: Photos) -> None:
    for path, reason in photos.skipped[:MAX_SHOWN_SKIPPED]:
        print(f"{photos.name(path)}: skipped, cannot be read: {reason}", file=sys.stderr)
    if count := len(photos.skipped):
        print(f"{count} image{'' if count == 1 else 's'} cannot be read", file=sys.stderr)


def _splits(args: argparse.Namespace, photos: Photos, samples: list[tuple[str, int]]) -> list[_Split]:
    if photos.has_own_split:
        inside = {path for path, _ in photos.val}
        is_val = np.array([path in inside for path, _ in samples])
        return [_Split(None, np.flatnonzero(~is_val), np.flatnonzero(is_val))]
    seeds = range(args.seed, args.seed + args.seeds)
    return [_Split(seed, *map(np.array, split_with_seed(photos, args.val_part, seed))) for seed in seeds]


def _extract(
    model: nn.Module, photos: Photos, samples: list[tuple[str, int]], args: argparse.Namespace
) -> evaluation.Features:
    transform, is_gray = model.preprocessing, model.in_chans == 1

    def crop(image: Image.Image, rng: np.random.Generator) -> Image.Image:
        return transform.crop(image.convert("L") if is_gray else image)

    normalize = augment.Normalize(transform.mean[: model.in_chans], transform.std[: model.in_chans])
    decode = DecodeImages(crop, 2 * transform.resize_size)
    loader = data.DataLoader(samples, args.batch_size, num_workers=2, batch_transform=decode)
    hidden = True if len(loader) < 4 else None  # None: hidden where the output is not a terminal
    return evaluation.extract_features(
        model, tqdm(loader, "features", leave=False, unit=" batches", disable=hidden), layer=args.layer,
        transform=lambda images: normalize(images[:, : model.in_chans]),  # all three channels of a gray image are equal
        names=[photos.name(path) for path, _ in samples], classes=photos.classes,
    )  # fmt: skip


def _evaluate(features: evaluation.Features, split: _Split, k: int, args: argparse.Namespace) -> Result:
    values, labels = features.values, features.labels
    assert labels is not None
    voted = evaluation.knn(
        values[split.train], labels[split.train], values[split.val], k, weights=args.votes,
        temperature=args.temperature, num_classes=len(features.classes),
    )  # fmt: skip
    trained = evaluation.linear_probe(values[split.train], labels[split.train], C=args.C)
    predicted = trained.predict(values[split.val])
    truth = labels[split.val]
    count = len(features.classes)
    confusion = np.bincount(truth * count + predicted.labels, minlength=count**2).reshape(count, count)
    wrong = split.val[voted.labels != truth]
    return Result(
        split.seed, len(split.train), len(split.val), voted.accuracy(truth), predicted.accuracy(truth),
        trained.converged, confusion, wrong.tolist(),
    )  # fmt: skip


def _write(probed: Probed, split: _Split, out: Path, args: argparse.Namespace, command: list[str]) -> None:
    """Everything is made before the first file is written."""
    features, photos = probed.features, probed.photos
    if args.picture == "tsne":
        points, about = evaluation.tsne(features.values, seed=args.seed), "t-SNE"
    else:
        points, share = evaluation.pca(features.values, min(2, *features.values.shape))
        points = np.pad(points, ((0, 0), (0, 2 - points.shape[1])))
        about = f"principal components with {share.sum():.0%} of the variance"
    plot = evaluation.scatter_plot(points, features.labels, features.classes)
    sheet = io.BytesIO()
    _sheet(probed, split).save(sheet, "PNG")
    groups = evaluation.near_duplicates(features.values, args.duplicates)
    out.mkdir(parents=True, exist_ok=True)
    features.save(out / f"features.{args.format}")
    write_atomically(out / "features.png", plot)
    write_atomically(out / "neighbors.png", sheet.getvalue())
    write_atomically(out / "duplicates.csv", _duplicates_table(groups, features).encode())
    write_atomically(out / "skipped.csv", photos.skipped_table().encode())
    write_atomically(out / "results.json", json.dumps(probed.summary(), indent=2).encode())
    write_page(out / "report.html", probed, plot, about, sheet.getvalue(), groups, command)


def _sheet(probed: Probed, split: _Split) -> Any:
    """Neighbors of validation images among the training images: of some that k-NN gets wrong, then of each class."""
    features, photos = probed.features, probed.photos
    labels = features.labels
    assert labels is not None
    _, firsts = np.unique(labels[split.val], return_index=True)
    chosen = [*probed.results[0].wrong[: MAX_QUERIES // 2], *split.val[firsts].tolist()]
    chosen = list(dict.fromkeys(chosen))[:MAX_QUERIES]
    count = min(NEIGHBORS_SHOWN, len(split.train))
    found, similarities = evaluation.nearest_neighbors(features.values[split.train], features.values[chosen], count)
    paths = [path for path, _ in all_samples(photos)]

    def read(number: int) -> Image.Image:
        return data.open_image(paths[number], short_side=256)

    names = list(features.names)
    return evaluation.neighbor_sheet(read, chosen, split.train[found], similarities, names=names, labels=labels)


def _duplicates_table(groups: list[list[int]], features: evaluation.Features) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("group", "path"))
    writer.writerows((number, features.names[one]) for number, group in enumerate(groups, 1) for one in group)
    return text.getvalue()


def main(argv: list[str] | None = None) -> int:
    # Pillow warns about large files and about some that it can read. Those that it cannot read are reported.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    words = sys.argv[1:] if argv is None else argv
    parser = make_parser()
    args = parser.parse_args(words)
    use_device(parser, args.device)

    def job() -> int:
        probe(args, ["lucid", "probe", *words])
        return 0

    return run_job(parser, job)
