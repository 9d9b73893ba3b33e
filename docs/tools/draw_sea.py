"""Draw sailboats, steamers and lighthouses to fine-tune on.

    python docs/tools/draw_sea.py sea

writes sea/photos, with a folder for each class; sea/new, eight other pictures; and sea/small.safetensors, a ConvNeXt
with random weights, small enough for a CPU. In every third picture, something of another class is far away.
sea/labels.csv names all that is in each picture.
"""

import argparse
import csv
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

import lucid
from lucid import models

SIDE = 128  # of the pictures, in px
CENTER, HORIZON = 50, 68  # in percent of the side
# Parts from back to front: color, and the corners x, y, x, y, ... in percent of the side, floating on the horizon.
THINGS: dict[str, tuple[tuple[str, tuple[int, ...]], ...]] = {
    "sailboats": (
        ("#8a4b2a", (24, 68, 76, 68, 66, 81, 32, 81)),
        ("#4a3527", (48, 14, 51, 14, 51, 68, 48, 68)),
        ("#d64541", (51, 14, 51, 23, 63, 18)),
        ("#fbf7ee", (46, 24, 46, 62, 24, 62)),
        ("#f0dfb8", (53, 30, 53, 62, 76, 62)),
    ),
    "steamers": (
        ("#c3c9d1", (54, 32, 60, 22, 76, 16, 90, 20, 84, 28, 68, 30, 58, 36)),
        ("#d64541", (48, 38, 57, 38, 57, 54, 48, 54)),
        ("#2b2b2b", (48, 34, 57, 34, 57, 39, 48, 39)),
        ("#fbf7ee", (30, 53, 70, 53, 70, 67, 30, 67)),
        ("#3f6e8c", (34, 57, 66, 57, 66, 61, 34, 61)),
        ("#26323f", (14, 62, 24, 66, 86, 66, 79, 81, 25, 81)),
    ),
    "lighthouses": (
        ("#fbf7ee", (43, 26, 57, 26, 61, 75, 39, 75)),
        ("#d64541", (42, 36, 58, 36, 59, 46, 41, 46)),
        ("#d64541", (40, 56, 60, 56, 61, 66, 39, 66)),
        ("#f7c948", (45, 17, 55, 17, 55, 26, 45, 26)),
        ("#4a3527", (43, 17, 50, 9, 57, 17)),
        ("#6f6a62", (20, 81, 27, 74, 38, 69, 60, 70, 70, 74, 80, 81)),
    ),
}


def sea(side: int, sun: float = 4, hill: float = 62) -> Image.Image:
    """The sea, the sky, the sun and a hill that begin at ``sun`` and ``hill`` percent of the side."""
    ramp = np.linspace(0, 1, side)[:, None, None]
    sky = (1 - ramp) * np.array([118, 178, 226]) + ramp * np.array([236, 240, 232])
    image = Image.fromarray(np.rint(np.broadcast_to(sky, (side, side, 3))).astype(np.uint8))
    pen = ImageDraw.Draw(image)
    pen.ellipse([side * value / 100 for value in (sun, 5, sun + 18, 23)], fill="#f7c948")
    for color, corners in (
        ("#7fa36b", (hill, 68, hill + 14, 55, hill + 26, 60, hill + 38, 50, hill + 38, 68)),
        ("#2f6f9f", (0, 68, 100, 68, 100, 100, 0, 100)),
        ("#5b93bd", (6, 90, 34, 90, 34, 93, 6, 93)),
        ("#5b93bd", (66, 84, 94, 84, 94, 87, 66, 87)),
    ):
        pen.polygon([side * value / 100 for value in corners], fill=color)
    return image


def put(
    image: Image.Image, name: str, x: float = CENTER, y: float = HORIZON, size: float = 1, is_mirrored: bool = False
) -> None:
    """Draw a thing of class ``name`` with its waterline at (x, y), in percent of the side."""
    pen = ImageDraw.Draw(image)
    for color, corners in THINGS[name]:
        points = np.reshape(corners, (-1, 2)) - (CENTER, HORIZON)
        points = points * (-size if is_mirrored else size, size) + (x, y)
        pen.polygon((points * image.width / 100).ravel().tolist(), fill=color)


def draw(rng: np.random.Generator, name: str) -> tuple[Image.Image, list[str]]:
    """A picture with a large thing of class ``name``, and the classes of all that is in it."""
    names = [name]
    image = sea(4 * SIDE, sun=rng.uniform(0, 82), hill=rng.uniform(-20, 80))
    if rng.random() < 1 / 3:
        other = str(rng.choice([one for one in THINGS if one != name]))
        names.append(other)
        put(image, other, rng.uniform(15, 85), HORIZON, rng.uniform(0.2, 0.3), rng.random() < 0.5)
    put(image, name, rng.uniform(25, 75), rng.uniform(70, 80), rng.uniform(0.7, 1.1), rng.random() < 0.5)
    return image.resize((SIDE, SIDE), Image.Resampling.BOX), names  # smooth edges


def small_model() -> models.ConvNeXt:
    """A ConvNeXt of three small stages with a feature map of 8 x 8, and random weights."""
    lucid.manual_seed(0)
    return models.ConvNeXt(len(THINGS), (1, 1, 2), (24, 48, 96), layer_scale_init=0, patch_size=2)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Draw sailboats, steamers and lighthouses.")
    parser.add_argument("folder", type=Path, help="folder to write")
    parser.add_argument("--count", type=int, default=300, help="pictures of each class (default: 300)")
    args = parser.parse_args(argv)
    rng = np.random.default_rng(0)
    rows = []
    for name in THINGS:
        (args.folder / "photos" / name).mkdir(parents=True, exist_ok=True)
        for number in range(1, args.count + 1):
            image, names = draw(rng, name)
            image.save(args.folder / "photos" / name / f"{number}.png")
            rows.append((f"{name}/{number}.png", " ".join(names)))
    with (args.folder / "labels.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("file", "labels"), *rows])
    (args.folder / "new").mkdir(exist_ok=True)
    for number in range(1, 9):
        draw(rng, str(rng.choice(list(THINGS))))[0].save(args.folder / "new" / f"{number}.png")
    transform = models.ImageTransform(64, 64, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
    models.save_checkpoint(small_model(), args.folder / "small.safetensors", class_names=[], preprocessing=transform)


if __name__ == "__main__":
    main()
