"""A contact sheet: images with their predicted classes below them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont, ImageOps


@dataclass
class Caption:
    """The text below an image: its name, and classes with their probabilities."""

    name: str
    predictions: Sequence[tuple[str, float]]


_CELL, _GAP, _LINE, _TITLE = 256, 20, 24, 56  # px
_INK, _GREY, _PAPER = "#1a1a1a", "#6b7280", "#ffffff"
_TRACK, _OTHER, _BEST = "#f3f4f6", "#d7dee8", "#9ecae9"  # bars: empty, and how probable


def shrunk(image: Image.Image) -> Image.Image:
    """``image`` in the size of a cell."""
    filter = Image.Resampling.LANCZOS if max(image.size) > _CELL else Image.Resampling.NEAREST
    return ImageOps.contain(image, (_CELL, _CELL), filter)


class ContactSheet:
    """A grid of images, each as ``shrunk`` gives it, so that thousands of them fit in memory."""

    def __init__(self, title: str) -> None:
        self.title = title
        self._cells: list[tuple[Image.Image, Caption]] = []

    def add(self, image: Image.Image, caption: Caption) -> None:
        self._cells.append((image, caption))

    def draw(self) -> Image.Image:
        """The sheet as an image. Names that are wider than a cell are shortened."""
        columns = max(1, min(8, len(self._cells), math.ceil(math.sqrt(1.5 * len(self._cells)))))
        rows = [self._cells[i : i + columns] for i in range(0, len(self._cells), columns)]
        heights = [max(image.height for image, _ in row) for row in rows]
        captions = [_LINE * (1 + max(len(caption.predictions) for _, caption in row)) for row in rows]
        height = _TITLE + sum(heights) + sum(captions) + 2 * _GAP * len(rows)
        sheet = Image.new("RGB", (columns * (_CELL + _GAP) + _GAP, height), _PAPER)
        pen = ImageDraw.Draw(sheet)
        pen.text((_GAP, _TITLE // 2), _shortened(self.title, _font(18), sheet.width - 2 * _GAP), _INK, _font(18), "lm")
        top = _TITLE
        for row, image_height, caption_height in zip(rows, heights, captions, strict=True):
            for column, (image, caption) in enumerate(row):
                left = _GAP + column * (_CELL + _GAP)
                sheet.paste(image, (left + (_CELL - image.width) // 2, top + (image_height - image.height) // 2))
                _write(pen, left, top + image_height + 6, caption)
            top += image_height + caption_height + 2 * _GAP
        return sheet


def _write(pen: ImageDraw.ImageDraw, left: int, top: int, caption: Caption) -> None:
    font, small = _font(14), _font(12)
    pen.text((left, top + _LINE // 2), _shortened(caption.name, small, _CELL), _GREY, small, "lm")
    for number, (name, probability) in enumerate(caption.predictions):
        top += _LINE
        pen.rectangle((left, top + 1, left + _CELL - 1, top + _LINE - 3), _TRACK)
        if probability * _CELL >= 1:
            color = _OTHER if number else _BEST
            pen.rectangle((left, top + 1, left + probability * _CELL - 1, top + _LINE - 3), color)
        pen.text((left + 6, top + _LINE // 2 - 1), _shortened(name, font, _CELL - 70), _INK, font, "lm")
        pen.text((left + _CELL - 6, top + _LINE // 2 - 1), f"{probability:.1%}", _INK, font, "rm")


def _shortened(text: str, font: Any, width: float) -> str:
    """``text``, shortened to ``width`` px."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"


def _font(size: int) -> Any:
    """DejaVu Sans, which comes with matplotlib, or else Pillow's own font, which has English letters only."""
    try:
        import matplotlib
    except ImportError:
        return ImageFont.load_default(size)
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf", size)
