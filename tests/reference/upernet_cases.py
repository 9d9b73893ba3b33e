"""A small pyramid of maps, and weights for the heads of a UPerNet, drawn from the names of the parameters."""

import zlib
from pathlib import Path

import numpy as np

FILE = Path(__file__).with_name("upernet.npz")
WIDTHS, CHANNELS, AUXILIARY_CHANNELS, CLASSES = (8, 12, 16, 20), 8, 6, 5
SIZES = ((17, 23), (9, 12), (5, 6), (3, 3))  # odd on purpose, and smaller than the pool of 6
IMAGE = (67, 91)


def drawn(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Values for a parameter or a map; variances and scales of norms are positive."""
    values = np.random.default_rng(zlib.crc32(name.encode())).normal(0, 0.3, shape)
    if name.endswith(("running_var", ".bn.weight")):
        values = 1 + abs(values)
    return values.astype(np.float32)


def maps() -> list[np.ndarray]:
    return [drawn(f"map{i}", (2, c, *size)) for i, (c, size) in enumerate(zip(WIDTHS, SIZES, strict=True))]
