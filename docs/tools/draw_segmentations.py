"""Draw validation images of a segmentation run, their masks and the predictions, docs/assets/segmentation.png.

    python docs/tools/draw_segmentations.py shapes runs/segment-shapes docs/assets/segmentation.png

The commands that draw the images and train are in docs/segmentation.md.
"""

import csv
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

import lucid
from lucid import data, models
from lucid.data import augment
from lucid.data.masks import mask_palette, open_pair

COUNT, SIDE, GAP = 8, 96, 4  # images, and in px


def draw(shapes: Path, run: Path) -> Image.Image:
    """Three rows: the images, their masks, the predictions."""
    model = models.load_segmenter(run).eval()
    normalize = augment.Normalize(model.preprocessing.mean, model.preprocessing.std)
    with open(run / "split.csv", newline="", encoding="utf-8") as file:
        names = [row["image"] for row in csv.DictReader(file) if row["part"] == "val"][:COUNT]
    sheet = Image.new("RGB", (COUNT * (SIDE + 2 * GAP), 3 * (SIDE + 2 * GAP)), "white")
    for column, name in enumerate(names):
        path = str(shapes / "masks" / name)
        image, mask = open_pair(str(shapes / "images" / name), path)
        with lucid.no_grad():
            pixels = normalize(lucid.tensor(np.asarray(image).transpose(2, 0, 1)[None]))
            found = models.segmentation_logits(model, pixels).argmax(1)[0].numpy()
        overlays = (data.overlay(image, one, mask_palette(path), 0.6) for one in (mask, found))
        for row, picture in enumerate((image, *overlays)):
            tile = ImageOps.expand(picture.resize((SIDE, SIDE), Image.Resampling.NEAREST), GAP, "white")
            sheet.paste(tile, (column * tile.width, row * tile.height))
    return sheet.quantize(64)


if __name__ == "__main__":
    draw(Path(sys.argv[1]), Path(sys.argv[2])).save(sys.argv[3], optimize=True)
