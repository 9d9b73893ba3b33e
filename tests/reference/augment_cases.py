"""Cases of augmentation that torchvision and timm, on Pillow's images, and Lucid all run; see ``record_augment``."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

FILE = Path(__file__).parent / "augment.npz"
FACTORS = (0.0, 0.1, 0.55, 1.0, 1.37, 1.9)
TURNS = (-0.5, -0.13, 0.0, 0.2, 0.5)  # of the hue
MAGNITUDES = (0.0, 5.0, 9.3, 10.0)
STRENGTHS = (0, 4, 15, 30)  # of TrivialAugmentWide's 31
FILL = 77
# timm's names, without those that only grow stronger in another way.
RAND_OPERATIONS = (
    "AutoContrast", "Equalize", "Invert", "Rotate", "Posterize", "Solarize", "SolarizeAdd", "Color", "Contrast",
    "Brightness", "Sharpness", "ShearX", "ShearY", "TranslateX", "TranslateY",
)  # fmt: skip
WIDE_OPERATIONS = (
    "Identity", "ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate", "Brightness", "Color", "Contrast",
    "Sharpness", "Posterize", "Solarize", "AutoContrast", "Equalize",
)  # fmt: skip
GEOMETRIC = ("ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate")


class Crop(NamedTuple):
    top: int
    left: int
    size: tuple[int, int]
    padding: tuple[int, int]  # left and right, top and bottom
    fill: int
    padding_mode: str


CROPS = (
    Crop(0, 0, (9, 13), (4, 4), 0, "constant"),
    Crop(7, 3, (9, 13), (4, 4), 200, "constant"),
    Crop(2, 5, (3, 4), (1, 2), 9, "constant"),
    Crop(1, 2, (8, 11), (0, 0), 0, "constant"),
    Crop(5, 6, (9, 13), (3, 4), 0, "reflect"),
    Crop(0, 0, (17, 19), (3, 4), 0, "edge"),
    Crop(1, 0, (9, 9), (3, 2), 0, "symmetric"),
)


def images(channels: int) -> np.ndarray:
    """(5, channels, 9, 13) uint8: noise, a ramp, little contrast, one color, few colors. Not square, odd sizes."""
    rng = np.random.default_rng(6)
    shape = (channels, 9, 13)
    ramp = 20 + np.arange(9)[:, None] * 7 + np.arange(13) * 9 + np.arange(channels)[:, None, None] * 23
    return np.stack([
        rng.integers(0, 256, shape),
        ramp,
        rng.integers(90, 131, shape),
        np.broadcast_to(np.array([31, 200, 77])[:channels, None, None], shape),
        rng.choice([0, 85, 170, 255], shape),
    ]).astype(np.uint8)  # fmt: skip


def mixed() -> tuple[np.ndarray, np.ndarray]:
    """Images (4, 3, 5, 6) of floats, and labels."""
    return np.random.default_rng(7).normal(size=(4, 3, 5, 6)).astype(np.float32), np.array([3, 0, 2, 2])


def load() -> dict[str, np.ndarray]:
    """The recorded arrays by name."""
    with np.load(FILE) as file:
        numbers = [key.removeprefix("names") for key in file.files if key.startswith("names")]
        return {
            str(name): values
            for number in numbers
            for name, values in zip(file[f"names{number}"], file[f"values{number}"], strict=True)
        }
