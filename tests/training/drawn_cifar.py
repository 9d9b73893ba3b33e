"""Synthetic data in the format of CIFAR-10: ten shapes in random colors, places and sizes."""

import io
import tarfile

import numpy as np

SHAPES = ["disc", "ring", "square", "frame", "triangle", "wedge", "plus", "cross", "rows", "columns"]


def draw(rng, label):
    """(3, 32, 32) uint8: a bright shape on a dark background, with noise."""
    radius = rng.uniform(7, 11)
    middle = rng.uniform(radius, 31 - radius, 2)
    y, x = (np.mgrid[:32, :32] - middle[:, None, None]) / radius  # -1 to 1 inside of the shape's square
    inside = (abs(x) < 1) & (abs(y) < 1)
    distance = np.hypot(x, y)
    mask = {
        "disc": distance < 1,
        "ring": (distance < 1) & (distance > 0.6),
        "square": (abs(x) < 0.85) & (abs(y) < 0.85),
        "frame": inside & ((abs(x) > 0.6) | (abs(y) > 0.6)),
        "triangle": inside & (abs(x) < (y + 1) / 2),
        "wedge": inside & (abs(x) < (1 - y) / 2),
        "plus": inside & ((abs(x) < 0.25) | (abs(y) < 0.25)),
        "cross": inside & ((abs(x - y) < 0.35) | (abs(x + y) < 0.35)),
        "rows": inside & (y * 2.5 % 2 < 1),
        "columns": inside & (x * 2.5 % 2 < 1),
    }[SHAPES[label]]
    ground, color = rng.uniform(0, 90, 3), rng.uniform(130, 255, 3)
    image = np.where(mask, color[:, None, None], ground[:, None, None]) + rng.normal(0, 8, (3, 32, 32))
    return image.clip(0, 255).astype(np.uint8)


def records(rng, count, fine):
    """``count`` rows of the label (two with ``fine``, as in CIFAR-100) and the three planes of an image."""
    shapes = rng.permutation(np.arange(count) % 10)
    labels = np.stack([shapes, 10 * shapes], axis=1) if fine else shapes[:, None]
    planes = np.stack([draw(rng, shape).ravel() for shape in shapes])
    return np.concatenate([labels.astype(np.uint8), planes], axis=1)


def write_archive(path, sizes, folder="cifar-10-batches-bin", fine=False, seed=0):
    """Write a .tar.gz with a file for each entry of ``sizes``, its number of records."""
    rng = np.random.default_rng(seed)
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for name, count in sizes.items():
            content = records(rng, count, fine).tobytes()
            info = tarfile.TarInfo(f"{folder}/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
