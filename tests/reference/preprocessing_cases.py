"""Synthetic images, and the preprocessing that is recorded for them."""

from pathlib import Path

import numpy as np
from PIL import Image

FILE = Path(__file__).with_name("preprocessing.npz")
STEP = 13  # every 13th pixel of every 13th row is recorded, and the sum of all pixels


def pattern(height: int, width: int, channels: int = 3) -> np.ndarray:
    """Slow waves, fine stripes that alias, and hard edges: (height, width, channels), uint8."""
    y, x = np.mgrid[:height, :width]
    planes = [
        96 + 60 * np.sin(x / (9.0 + c)) * np.cos(y / (17.0 - c)) + 60 * ((x // 3 + y // 5 + c) % 2) + 7 * ((x * y) % 5)
        for c in range(channels)
    ]
    return np.stack(planes, -1).clip(0, 255).astype(np.uint8)


def image(name: str) -> Image.Image:
    mode, _, size = name.partition(" ")
    width, height = map(int, size.split("x"))
    if mode in ("L", "1", "I;16"):
        gray = Image.fromarray(pattern(height, width, 1)[..., 0])
        return gray if mode == "L" else gray.convert("1" if mode == "1" else "I").convert(mode)
    if mode in ("RGBA", "CMYK"):
        return Image.fromarray(pattern(height, width, 4), mode=None).convert(mode)
    if mode == "LA":
        return Image.fromarray(pattern(height, width, 4)).convert("LA")
    return Image.fromarray(pattern(height, width)).convert(mode)


# Landscape, portrait, odd sizes, the exact size, smaller than the crop, one pixel, long and thin.
SHAPES = [
    "RGB 500x333", "RGB 333x500", "RGB 301x299", "RGB 224x224", "RGB 97x61", "RGB 1x1", "RGB 400x7", "RGB 257x641"
]  # fmt: skip
MODES = ["L 250x260", "1 250x260", "RGBA 250x260", "CMYK 250x260", "LA 250x260", "P 250x260", "I;16 250x260"]
# Name of the tag, and another image size.
SETTINGS = [
    ("timm/convnext_tiny.fb_in1k", None),  # 256, then 224
    ("timm/convnext_tiny.in12k_ft_in1k", None),  # crop_pct 0.95
    ("timm/convnext_tiny.fb_in1k", "test"),  # 288, crop_pct 1
    ("timm/convnext_tiny.fb_in1k", 160),
    ("timm/convnext_tiny.fb_in22k_ft_in1k_384", None),  # squashed
    ("timm/convnext_base.clip_laiona_augreg_ft_in1k_384", None),  # 384, cropped; CLIP's mean and std
    ("torchvision/convnext_tiny.tv_in1k", None),  # bilinear, 236
    ("torchvision/convnext_small.tv_in1k", None),  # 230
    ("torchvision/convnext_base.tv_in1k", None),  # 232
    ("facebook/convnext-tiny-224", None),
    ("facebook/convnext-base-384", None),  # squashed
]


# (tag, size, image); other modes only where sources differ.
CASES = [(tag, size, name) for tag, size in SETTINGS for name in SHAPES]
CASES += [
    (tag, None, name) for tag in ("timm/convnext_tiny.fb_in1k", "torchvision/convnext_tiny.tv_in1k") for name in MODES
]


def key(tag: str, size: object, image_name: str) -> str:
    return f"{tag} {size} {image_name}"
