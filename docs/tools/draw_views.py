"""Draw the views that ``evaluation.ViewAverage`` takes of an image, docs/assets/views.png.

    python docs/tools/draw_views.py docs/assets/views.png

A model records the views; two more channels of the image hold the coordinates of its pixels, from which the captions
are derived, and the weights are those of the mean that ``ViewAverage`` returns.
"""

import sys
from fractions import Fraction
from pathlib import Path

import draw_sea
import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

import lucid
from lucid import models, nn
from lucid.evaluation import ViewAverage

SIDE, ZOOM = 32, 4  # px of the model's images, and of the picture for each of them
CELL, GAP, LEFT, TEXT, TOP = SIDE * ZOOM, 14, 118, 48, 40  # px
INK, GREY, PAPER, FRAME = "#1a1a1a", "#6b7280", "#ffffff", "#d9541e"
ROWS = (("flip", 1), ("shift", 1), ("five_crop", 1), ("ten_crop", 2))  # and in how many lines
FONTS = Path(matplotlib.get_data_path()) / "fonts/ttf"


class Recorder(nn.Module):
    """Keeps the views, and answers to view i with unit vector i, so that the mean has the weights of the views."""

    def __init__(self) -> None:
        super().__init__()
        self.preprocessing = models.ImageTransform(SIDE, SIDE, mean=(0, 0, 0), std=(1, 1, 1))
        self.seen: list[np.ndarray] = []

    def forward(self, x: lucid.Tensor) -> lucid.Tensor:
        self.seen.append(x[0].numpy())
        return lucid.eye(10)[len(self.seen) - 1 : len(self.seen)]


def scene() -> Image.Image:
    """A boat on the sea, and the sun."""
    image = draw_sea.sea(512)
    draw_sea.put(image, "sailboats")
    return image


def views_of(name: str) -> tuple[np.ndarray, list[tuple[Fraction, np.ndarray]]]:
    """The prepared image (5, H, W), coordinates in the last two channels, and its views with their weights."""
    recorder = Recorder()
    averaged = ViewAverage(recorder, name)
    pixels = averaged.preprocessing(scene()).numpy()
    image = np.concatenate([pixels, np.mgrid[: pixels.shape[1], : pixels.shape[2]]]).astype(np.float32)
    weights = averaged(lucid.tensor(image[None])).numpy()[0]
    fractions = [Fraction(float(one)).limit_denominator(99) for one in weights[: len(recorder.seen)]]
    return image, list(zip(fractions, recorder.seen, strict=True))


def describe(image: np.ndarray, view: np.ndarray) -> tuple[str, bool]:
    """Which part of the image a view is or how it is shifted, and whether it is mirrored."""
    y, x = view[3], view[4]
    middle = SIDE // 2
    is_mirrored = bool(x[0, middle] > x[0, middle + 1])
    x = x[:, ::-1] if is_mirrored else x
    down, right = int(middle - y[middle, 0]), int(middle - x[0, middle])
    end = SIDE - image.shape[1]
    if not end:
        return {(0, 0): "", (1, 1): "↘ 1 px", (-1, -1): "↖ 1 px"}[down, right], is_mirrored
    return {0: "top ", end: "bottom "}.get(down, "") + {0: "left", end: "right"}.get(right, "center"), is_mirrored


def enlarged(image: np.ndarray) -> Image.Image:
    pixels = np.rint(image[:3].transpose(1, 2, 0) * 255).clip(0, 255).astype(np.uint8)
    return Image.fromarray(pixels).resize((ZOOM * pixels.shape[1], ZOOM * pixels.shape[0]), Image.Resampling.NEAREST)


def draw() -> Image.Image:
    """A row for each name: the image with the frame of its first crop, and the views with their weights."""
    title, font, small = (
        ImageFont.truetype(FONTS / name, size)
        for name, size in (("DejaVuSansMono-Bold.ttf", 16), ("DejaVuSans.ttf", 15), ("DejaVuSans.ttf", 14))
    )
    rows = [(name, lines, *views_of(name)) for name, lines in ROWS]
    first = LEFT + max(image.shape[2] for _, _, image, _ in rows) * ZOOM + 3 * GAP  # where the views begin
    columns = max(len(views) // lines for _, lines, _, views in rows)
    heights = [lines * (CELL + TEXT) + 3 * GAP for _, lines, _, _ in rows]
    sheet = Image.new("RGB", (first + columns * (CELL + GAP), TOP + sum(heights)), PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((LEFT, GAP), "the image", GREY, font)
    pen.text((first, GAP), "what the model sees, and the weight of its output in the mean", GREY, font)
    top = TOP
    for (name, lines, image, views), height in zip(rows, heights, strict=True):
        pen.text((GAP, top), name, INK, title)
        pen.text((GAP, top + 24), f"{len(views)} views", GREY, small)
        sheet.paste(enlarged(image), (LEFT, top))
        side = image.shape[1] * ZOOM
        pen.text((LEFT, top + side + 5), f"{image.shape[2]} x {image.shape[1]} px", GREY, small)
        for number, (weight, view) in enumerate(views):
            line, column = (number % lines, number // lines)
            x, y = first + column * (CELL + GAP), top + line * (CELL + TEXT)
            sheet.paste(enlarged(view), (x, y))
            place, is_mirrored = describe(image, view)
            words = [place] * bool(place) + ["mirrored"] * is_mirrored or ["as it is"]
            pen.text((x, y + CELL + 5), words[0], INK, small)
            pen.text((x, y + CELL + 23), ", ".join([*words[1:], str(weight)]), GREY, small)
            if image.shape[1] > SIDE and not number:
                (up, down), (left, right) = ((ZOOM * one.min(), ZOOM * (one.max() + 1) - 1) for one in view[3:])
                pen.rectangle((LEFT + left, top + up, LEFT + right, top + down), outline=FRAME, width=3)
                pen.text((LEFT, top + side + 23), f"frame: {place}", FRAME, small)
        top += height
    return sheet.quantize(128)


if __name__ == "__main__":
    draw().save(sys.argv[1], optimize=True)
