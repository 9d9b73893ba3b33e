"""Drawn photos with several labels, and numbers that can be read from the picture, and the CSV files that say so."""

import csv

import numpy as np
from PIL import Image

LABELS = ["bar", "red", "square"]


def write_labeled(root, count=60, seed=0):
    """Write ``count`` photos; returns their names, labels (N, 3) of 0 and 1, and numbers (N, 2) in units of their own.

    ``red``: the ground is red, not blue; ``bar``: a white bar at the top; ``square``: a black square below. The numbers
    are the brightness of the ground, from 1960 to 2060, and the height of the bar in hundredths of the image.
    """
    rng = np.random.default_rng(seed)
    labels = np.stack([rng.integers(0, 2, count) for _ in LABELS], axis=1)
    light, high = rng.uniform(0.3, 1, count), rng.uniform(0.1, 0.4, count)
    names = []
    for number, (bar, red, square) in enumerate(labels):
        width, height = rng.integers(40, 70, 2)
        pixels = rng.normal(0, 6, (height, width, 3)) + (40, 40, 40)
        pixels[..., 0 if red else 2] += 200 * light[number]
        if bar:
            pixels[: round(height * high[number])] = 255
        if square:
            pixels[height // 2 : height // 2 + height // 3, width // 3 : width // 3 + width // 3] = 0
        name = f"{'a' if number % 2 else 'b'}/{number:03}.png"
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(root / name)
        names.append(name)
    numbers = np.stack([1960 + 100 * light, np.where(labels[:, 0], 100 * high, 0)], axis=1)
    return names, labels, numbers


def write_csv(path, header, rows, **options):
    with path.open("w", encoding=options.pop("encoding", "utf-8"), newline="") as file:
        csv.writer(file, **options).writerows([header, *rows])
    return path


def write_lists(path, names, labels, separator=" "):
    """One column of lists of labels."""
    lists = [separator.join(name for name, has in zip(LABELS, row, strict=True) if has) for row in labels]
    return write_csv(path, ("file", "labels"), zip(names, lists, strict=True))


def write_columns(path, names, columns, values):
    return write_csv(path, ("file", *columns), [(name, *row) for name, row in zip(names, values.tolist(), strict=True)])
