"""Time reading photos, compared with Pillow and torchvision, and how long training waits for data.

    python examples/benchmarks/loading.py                                   # generated photos of two sizes
    python examples/benchmarks/loading.py --folder photos --json loading.json

Each method reads the same files and takes a random 224 x 224 px crop of each, in batches:

- pillow: what torchvision's ImageFolder with RandomResizedCrop, flip, ToTensor and Normalize does, in one thread;
- torchvision: torchvision's own transforms, in a DataLoader with one process per core (if torchvision is installed);
- full_size: lucid.data with DecodeImages, in threads, with JPEGs decoded at full size;
- reduced: the same with JPEGs decoded at a reduced size, at least twice the crop, as ``lucid finetune`` does;
- cached: the second pass of "reduced", with decoded images in memory.

The methods take turns, round after round, so that other load on the machine affects all of them alike; the numbers are
medians over the rounds. Lucid's batches are uint8: normalizing and flipping happen on the device, in the training step.
Then a ConvNeXt is trained on the photos, from memory and from the files, and the time spent waiting for a batch is
measured.
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
from timing import Parser, positive_int, write_json

import lucid
import lucid.nn.functional as F
from lucid import data, models, optim
from lucid._machine import describe_machine, headline
from lucid.benchmark.timing import interleaved_medians
from lucid.data import augment
from lucid.data.image_folder import num_cores
from lucid.data.transforms import DecodeImages, RandomResizedCrop
from lucid.models.weights.tags import IMAGENET_MEAN, IMAGENET_STD

import mlx.core as mx  # isort: skip  # After lucid, which loads a fast BLAS before MLX on Linux.

SIZES = {"500x375": (500, 375, 256), "4032x3024": (4032, 3024, 16)}  # as in ImageNet, and from phones
SIZE, BATCH = 224, 16
MEAN, STD = (np.array(one, np.float32)[:, None, None] for one in (IMAGENET_MEAN, IMAGENET_STD))


def draw_photos(folder: Path, width: int, height: int, count: int) -> None:
    """Write JPEGs about as large as real photos: soft shapes, sharp edges and sensor noise."""
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
    """(path, class) of the photos, repeated until there are enough for a batch.

    Raises:
        ValueError: A photo cannot be read; some of the ways would fail on it.
    """
    found = data.ImageFolder(folder)
    for (path, _), reason in zip(found.samples, found.check(), strict=True):
        if reason is not None:
            raise ValueError(f"{path} cannot be read: {reason}")
    return found.samples * -(-BATCH // len(found.samples))


def pillow_batches(samples: list[tuple[str, int]]) -> Iterator[np.ndarray]:
    """(N, 3, SIZE, SIZE) float32, like a DataLoader with torchvision's transforms and no workers."""
    crop, rng, images = RandomResizedCrop(SIZE, interpolation="bilinear"), np.random.default_rng(0), []
    for path, _ in samples:
        image = crop(data.open_image(path), rng)
        if rng.random() < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        pixels = np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1)).astype(np.float32) / 255
        images.append((pixels - MEAN) / STD)
        if len(images) == BATCH:
            yield np.stack(images)
            images = []


def torchvision_batches(folder: Path) -> Any:
    """torchvision's own loader. Raises ImportError if it is not installed."""
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
    """Images per second of one pass."""
    start, count = time.perf_counter(), 0
    for batch in batches():
        count += len(batch[0]) if isinstance(batch, (list, tuple)) else len(batch)
    return count / (time.perf_counter() - start)


def time_reading(folder: Path, rounds: int) -> dict[str, float]:
    """Images per second of each method, the median over the rounds."""
    samples = find_samples(folder)
    cached = lucid_batches(samples, 2 * SIZE, cache_bytes=1 << 34)
    methods: dict[str, Callable[[], Iterable[Any]]] = {
        "pillow": partial(pillow_batches, samples),
        "full_size": partial(lucid_batches, samples, None),
        "reduced": partial(lucid_batches, samples, 2 * SIZE),
        "cached": lambda: cached,
    }
    try:
        theirs = torchvision_batches(folder)
        methods["torchvision"] = lambda: theirs
    except ImportError:
        pass
    for batches in methods.values():  # start processes, fill Lucid's and the system's caches
        rate(batches)
    medians = interleaved_medians({name: partial(rate, batches) for name, batches in methods.items()}, rounds=rounds)
    return {name: round(median, 1) for name, median in medians.items()}


def time_training(folder: Path, variant: str, seconds: float, rounds: int, compiled: bool) -> dict[str, Any]:
    """Images per second of training from memory and from files, and the share of time spent waiting for batches."""
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
    run(*batch)  # compile
    mx.eval([p.mlx for p in model.parameters()])
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
                mx.eval([p.mlx for p in model.parameters()])
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
    parser.add_argument("--folder", type=Path, help="your own photos, one subfolder per class")
    parser.add_argument("--rounds", type=positive_int, default=5, metavar="N", help="rounds of timing (default: 5)")
    parser.add_argument("--model", default="convnext_atto", help="model to train (default: convnext_atto)")
    parser.add_argument(
        "--seconds", type=float, default=20.0, metavar="X", help="seconds of training from each source (default: 20)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers to this file")
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
            compiled = lucid.get_default_device().type != "cpu"
            training = time_training(next(iter(folders.values())), args.model, args.seconds, args.rounds, compiled)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    for name, rates in reading.items():
        print(f"{name}: images per second, and relative to pillow")
        for method, value in rates.items():
            print(f"    {method:<12} {value:8.1f} {value / rates['pillow']:6.2f}x")
    from_memory, from_files = (training[f"images_per_second_from_{source}"] for source in ("memory", "files"))
    print(
        f"training {training['variant']}: {from_memory:.1f} images per second from memory, {from_files:.1f} from files"
        f", {training['waiting']:.2%} of the time waiting for data"
    )
    if args.json:
        write_json(args.json, {"machine": machine, "reading": reading, "training": training}, __file__, argv)
    return 0


if __name__ == "__main__":
    sys.exit(main())
