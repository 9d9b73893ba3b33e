"""Draw a small data set for semantic segmentation: shapes on textures, with a mask for each image.

    python examples/draw_shapes.py shapes --count 4000         # writes shapes/images, shapes/masks, shapes/classes.txt
    lucid segment train shapes --no-pretrained --depths 2 2 2 --dims 32 64 128 --patch-size 2 --channels 32 \\
        --crop-size 64 --min-scale 1 --max-scale 1 --color-jitter 0 --batch-size 8 --epochs 9 --val-part 0.1

Prints the number of images. Needs pip install "lucid-mlx[vision]".
"""

import argparse
from pathlib import Path

import numpy as np

from lucid import data

CLASSES = ("background", "disk", "square", "triangle", "ring")


def texture(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Waves in two colors with noise, (H, W, 3)."""
    rows, columns = np.mgrid[:height, :width]
    angle, frequency = rng.uniform(0, np.pi), rng.uniform(0.2, 1.2)
    wave = np.sin(frequency * (np.cos(angle) * columns + np.sin(angle) * rows) + rng.uniform(0, 2 * np.pi))
    amplitude = rng.uniform(10, 40) * rng.uniform(-1, 1, 3)
    return rng.uniform(40, 215, 3) + wave[..., None] * amplitude + rng.normal(0, 8, (height, width, 3))


def shape(number: int, rng: np.random.Generator, height: int, width: int, radius: float) -> np.ndarray:
    """Whether a pixel is inside a shape of class ``number``, turned and placed at random, (H, W)."""
    y, x = np.mgrid[:height, :width] + 0.5
    y, x = y - rng.uniform(radius, height - radius), x - rng.uniform(radius, width - radius)
    angle = rng.uniform(0, 2 * np.pi)
    u, v, distance = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x, np.hypot(x, y)
    return {
        1: distance < radius,
        2: np.maximum(abs(u), abs(v)) < 0.8 * radius,
        3: (v < 0.6 * radius) & (v > 1.7 * abs(u) - radius),
        4: (distance < radius) & (distance > 0.5 * radius),
    }[number]


def draw(rng: np.random.Generator, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """An image (H, W, 3) of uint8 with one to three shapes, and its mask (H, W)."""
    image, mask = texture(rng, height, width), np.zeros((height, width), np.uint8)
    for _ in range(rng.integers(1, 4)):
        number = int(rng.integers(1, len(CLASSES)))
        inside = shape(number, rng, height, width, rng.uniform(0.22, 0.4) * min(height, width))
        image = np.where(inside[..., None], texture(rng, height, width), image)
        mask[inside] = number
    return np.rint(image.clip(0, 255)).astype(np.uint8), mask


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Draw images of shapes and their masks.")
    parser.add_argument("folder", type=Path, help="where to write them")
    parser.add_argument("--count", type=int, default=500, help="number of images (default: 500)")
    parser.add_argument(
        "--size", type=int, nargs=2, default=(64, 64), metavar=("H", "W"), help="in px (default: 64 64)"
    )
    parser.add_argument("--seed", type=int, default=0, help="default: 0")
    args = parser.parse_args(argv)
    from PIL import Image

    for name in ("images", "masks"):
        (args.folder / name).mkdir(parents=True, exist_ok=True)
    (args.folder / "classes.txt").write_text("\n".join(CLASSES) + "\n", encoding="utf-8")
    for number in range(args.count):
        image, mask = draw(np.random.default_rng([args.seed, number]), *args.size)
        Image.fromarray(image).save(args.folder / "images" / f"{number:05}.png")
        data.save_mask(args.folder / "masks" / f"{number:05}.png", mask)
    print(f"{args.count} images in {args.folder}")


if __name__ == "__main__":
    main()
