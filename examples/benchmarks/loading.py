"""Time the reading of photos, beside the usual way with Pillow, and say whether training waits for it.

    python examples/benchmarks/loading.py                                   # drawn photos of two sizes
    python examples/benchmarks/loading.py --folder photos --json loading.json

Each way reads the same files and cuts a random part out of each, 224 x 224 px, in batches:

- pillow: what torchvision's ImageFolder with RandomResizedCrop, flip, ToTensor and Normalize does, one after the other;
- torchvision: these themselves, by a DataLoader with as many processes as there are cores (where it is installed);
- whole: lucid.data with DecodeImages, in threads, JPEGs decoded whole;
- smaller: the same with JPEGs decoded no smaller than twice the crop, as examples/finetune.py does;
- kept: the second time, with decoded images in memory.

The ways take turns round after round, so that whatever else the machine does meets all of them; medians over the
rounds. Lucid's batches are bytes: normalizing and flipping happen on the device, with the training step. Then a
ConvNeXt is trained on the photos, from memory and from the files, and the time that it waits for a batch is taken.
"""

import argparse
import contextlib
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter
from timing import Parser, interleaved_medians, positive_int, write_json

import lucid
import lucid.nn.functional as F
from lucid import data, models, optim
from lucid._machine import describe_machine, headline
from lucid.data import augment
from lucid.data.image_folder import num_cores
from lucid.data.transforms import DecodeImages, RandomResizedCrop
from lucid.models.weights.tags import IMAGENET_MEAN, IMAGENET_STD

import mlx.core as mx  # isort: skip  # Behind lucid: on Linux it loads a fast BLAS ahead of MLX.

SIZES = {"500x375": (500, 375, 256), "4032x3024": (4032, 3024, 16)}  # as in ImageNet, and as telephones have them
SIZE, BATCH = 224, 16
MEAN, STD = (np.array(one, np.float32)[:, None, None] for one in (IMAGENET_MEAN, IMAGENET_STD))


def draw_photos(folder: Path, width: int, height: int, count: int) -> None:
    """JPEGs about as large as photos of that size: soft shapes, sharp edges and the noise of a sensor."""
    rng = np.random.default_rng(0)
    for number in range(count):
        small = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)).resize((width, height), 2)
        edges = Image.fromarray(rng.integers(0, 256, (60, 80, 3), dtype=np.uint8)).resize((width, height), 0)
        edges = edges.filter(ImageFilter.GaussianBlur(1))
        noise = Image.fromarray(rng.normal(128, 6, (height, width, 3)).clip(0, 255).astype(np.uint8))
        image = Image.blend(Image.blend(small, edges, 0.3), noise, 0.3)
        (folder / str(number % 2)).mkdir(parents=True, exist_ok=True)
        image.save(folder / str(number % 2) / f"{number:04}.jpg", quality=90)


def find_samples(folder: Path) -> list[tuple[str, int]]:
    """(path, class) of the photos, repeated until they make a batch.

    Raises:
        ValueError: one cannot be read; some of the ways would stop there.
    """
    found = data.ImageFolder(folder)
    for (path, _), reason in zip(found.samples, found.check(), strict=True):
        if reason is not None:
            raise ValueError(f"{path} cannot be read: {reason}")
    return found.samples * -(-BATCH // len(found.samples))


def pillow_batches(samples: list[tuple[str, int]]) -> Iterator[np.ndarray]:
    """(N, 3, SIZE, SIZE) float32, as a DataLoader of torchvision's transforms without workers gives them."""
    crop, rng, images = RandomResizedCrop(SIZE, interpolation="bilinear"), np.random.default_rng(0), []
    for path, _ in samples:
        with Image.open(path) as file:
            image = crop(file.convert("RGB"), rng)
        if rng.random() < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        pixels = np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1)).astype(np.float32) / 255
        images.append((pixels - MEAN) / STD)
        if len(images) == BATCH:
            yield np.stack(images)
            images = []


def torchvision_batches(folder: Path) -> Any:
    """Its own loader. Raises ImportError where there is none."""
    import torch
    from torchvision import datasets, transforms

    steps = [transforms.RandomResizedCrop(SIZE), transforms.RandomHorizontalFlip(), transforms.ToTensor()]
    dataset = datasets.ImageFolder(
        str(folder), transforms.Compose([*steps, transforms.Normalize(IMAGENET_MEAN, IMAGENET_STD)])
    )
    return torch.utils.data.DataLoader(dataset, BATCH, shuffle=True, num_workers=num_cores(), persistent_workers=True)


def lucid_batches(samples: list[tuple[str, int]], short_side: int | None, cache_bytes: int = 0) -> data.DataLoader:
    decode = DecodeImages(RandomResizedCrop(SIZE, interpolation="bilinear"), short_side, cache_bytes=cache_bytes)
    return data.DataLoader(samples, BATCH, shuffle=True, seed=0, num_workers=2, drop_last=True, batch_transform=decode)


def rate(batches: Callable[[], Iterable[Any]]) -> float:
    """Images a second of one pass."""
    start, count = time.perf_counter(), 0
    for batch in batches():
        count += len(batch[0]) if isinstance(batch, (list, tuple)) else len(batch)
    return count / (time.perf_counter() - start)


def time_reading(folder: Path, rounds: int) -> dict[str, float]:
    """Images a second of each way: the median over the rounds."""
    samples = find_samples(folder)
    kept = lucid_batches(samples, 2 * SIZE, cache_bytes=1 << 34)
    ways: dict[str, Callable[[], Iterable[Any]]] = {
        "pillow": partial(pillow_batches, samples),
        "whole": partial(lucid_batches, samples, None),
        "smaller": partial(lucid_batches, samples, 2 * SIZE),
        "kept": lambda: kept,
    }
    try:
        beside = torchvision_batches(folder)
        ways["torchvision"] = lambda: beside
    except ImportError:
        pass
    for batches in ways.values():  # starts processes, fills the memory and the system's cache of files
        rate(batches)
    medians = interleaved_medians({name: partial(rate, batches) for name, batches in ways.items()}, rounds=rounds)
    return {name: round(median, 1) for name, median in medians.items()}


def time_training(folder: Path, variant: str, seconds: float, rounds: int, compiled: bool) -> dict[str, Any]:
    """Images a second of training from memory and from files, and the share of the time spent waiting for a batch."""
    samples = find_samples(folder)
    model = models.create_model(variant, num_classes=1 + max(number for _, number in samples))
    optimizer = optim.AdamW(model.parameters(), lr=1e-4)
    prepare = augment.Compose([augment.RandomHorizontalFlip(), augment.Normalize(IMAGENET_MEAN, IMAGENET_STD)])

    def step(images: lucid.Tensor, labels: lucid.Tensor) -> None:
        optimizer.zero_grad()
        F.cross_entropy(model(prepare(images)), labels).backward()
        optimizer.step()

    run = lucid.compile(step, state=[model, optimizer]) if compiled else step
    loader = lucid_batches(samples, 2 * SIZE)
    batch = next(iter(loader))
    sources = {"memory": itertools.repeat(batch), "files": endless(loader)}
    run(*batch)  # builds what is compiled
    mx.eval([p._array for p in model.parameters()])
    rates: dict[str, list[float]] = {name: [] for name in sources}
    waits: dict[str, list[float]] = {name: [] for name in sources}
    for _ in range(rounds):
        for name, batches in sources.items():
            count, waiting, start = 0, 0.0, time.perf_counter()
            while (elapsed := time.perf_counter() - start) < seconds / rounds:
                asked = time.perf_counter()
                images, labels = next(batches)
                waiting += time.perf_counter() - asked
                run(images, labels)
                mx.eval([p._array for p in model.parameters()])
                count += len(labels)
            rates[name].append(count / elapsed)
            waits[name].append(waiting / elapsed)
    return {
        "variant": variant,
        "batch_size": BATCH,
        "images_per_second_from_memory": round(statistics.median(rates["memory"]), 2),
        "images_per_second_from_files": round(statistics.median(rates["files"]), 2),
        "waiting": round(statistics.median(waits["files"]), 4),
    }


def endless(loader: Any) -> Iterator[Any]:
    while True:
        yield from loader


def make_parser() -> argparse.ArgumentParser:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="photos of your own, in a folder for each class")
    parser.add_argument("--rounds", type=positive_int, default=5, metavar="N", help="how often each way is timed (5)")
    parser.add_argument("--model", default="convnext_atto", help="what is trained (convnext_atto)")
    parser.add_argument("--seconds", type=float, default=20.0, metavar="X", help="of training, each way (20)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers there, too")
    return parser


def main(argv: list[str] | None = None) -> int:
    argv = sys.argv[1:] if argv is None else argv
    parser = make_parser()
    args = parser.parse_args(argv)
    if not args.seconds > 0:
        parser.error(f"--seconds must be above 0, got {args.seconds}")
    machine = describe_machine()
    machine["versions"]["pillow"] = Image.__version__
    with contextlib.suppress(ImportError):
        import torchvision

        machine["versions"]["torchvision"] = torchvision.__version__
    print(headline(machine))
    try:
        with tempfile.TemporaryDirectory() as temporary:
            folders = {} if args.folder is None else {args.folder.name: args.folder}
            for name, (width, height, count) in {} if folders else SIZES.items():
                draw_photos(Path(temporary) / name, width, height, count)
                folders[name] = Path(temporary) / name
            reading = {name: time_reading(folder, args.rounds) for name, folder in folders.items()}
            training = time_training(
                next(iter(folders.values())), args.model, args.seconds, args.rounds, lucid.device().type == "gpu"
            )
    except (ValueError, OSError) as error:
        parser.error(str(error))
    for name, rates in reading.items():
        print(f"{name}: images a second, and how many times those of pillow")
        for way, value in rates.items():
            print(f"    {way:<12} {value:8.1f} {value / rates['pillow']:6.2f}x")
    print(
        f"training {training['variant']}: {training['images_per_second_from_memory']:.1f} images a second from memory, "
        f"{training['images_per_second_from_files']:.1f} from files, {training['waiting']:.2%} of the time waiting"
    )
    if args.json:
        write_json(args.json, {"machine": machine, "reading": reading, "training": training}, __file__, argv)
    return 0


if __name__ == "__main__":
    sys.exit(main())
