"""Small ConvNeXts whose logits and gradients are recorded: configurations, weights and images."""

import zlib
from pathlib import Path

import numpy as np

FILE = Path(__file__).with_name("convnext.npz")

# name: (depths, dims, in_chans, patch_size, layer scale, classes, image shape)
CASES = {
    "four stages, 33 px, batch 3": ((1, 1, 2, 1), (6, 10, 14, 20), 3, 4, True, 10, (3, 3, 33, 33)),
    "four stages, 50x64 px": ((2, 1, 1, 2), (5, 8, 12, 16), 3, 4, True, 7, (1, 3, 50, 64)),
    "three stages, 64x33 px, batch 3": ((1, 2, 1), (7, 9, 11), 3, 4, True, 5, (3, 3, 64, 33)),
    "two stages, grey, patch 2": ((2, 1), (8, 12), 1, 2, True, 10, (2, 1, 50, 50)),
    "one stage, patch 1": ((2,), (5,), 4, 1, True, 3, (3, 4, 7, 9)),
    "five stages": ((1, 0, 1, 1, 1), (4, 5, 6, 7, 8), 3, 2, True, 4, (2, 3, 32, 33)),
    "no layer scale": ((1, 1), (6, 9), 3, 4, False, 6, (1, 3, 33, 50)),
    "one value a channel": ((1, 1), (6, 9), 3, 4, True, 6, (3, 3, 8, 8)),
    "features": ((1, 1, 1), (6, 8, 10), 3, 4, True, 0, (3, 3, 33, 50)),
}


def numbers(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Float32 values in [-1, 1) that depend only on the name."""
    return np.random.default_rng(zlib.crc32(name.encode())).uniform(-1, 1, shape).astype(np.float32)


def weight(case: str, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The value of the parameter ``name``, chosen so that every part of the network affects the logits."""
    values = numbers(f"{case}/{name}", shape)
    if name.endswith("gamma") or (name.endswith("weight") and len(shape) == 1):
        return 1 + 0.5 * values
    fan_in = int(np.prod(shape[1:])) if len(shape) > 1 else 4
    return values * np.float32(1.5 / np.sqrt(fan_in))
