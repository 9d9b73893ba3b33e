"""Many images on one sheet, with what they were taken for."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
from PIL import Image, ImageDraw, ImageFont, ImageOps


@dataclass
class Caption:
    """What stands under a picture: a name, and classes with their probabilities."""

    name: str
    guesses: Sequence[tuple[str, float]]


_CELL, _GAP, _LINE, _TITLE = 256, 20, 24, 56  # px
_INK, _GREY, _PAPER = "#1a1a1a", "#6b7280", "#ffffff"
_TRACK, _OTHER, _BEST = "#f3f4f6", "#d7dee8", "#9ecae9"  # bars: empty, and how probable


class ContactSheet:
    """Pictures side by side. They are kept small from the start, so a sheet of thousands fits in memory."""

    def __init__(self, title: str) -> None:
        self.title = title
        self._cells: list[tuple[Image.Image, Caption]] = []

    def add(self, image: Image.Image, caption: Caption) -> None:
        filter = Image.Resampling.LANCZOS if max(image.size) > _CELL else Image.Resampling.NEAREST
        self._cells.append((ImageOps.contain(image, (_CELL, _CELL), filter), caption))

    def draw(self) -> Image.Image:
        """The sheet. Captions are as wide as pictures; longer names end in dots."""
        columns = max(1, min(8, len(self._cells), math.ceil(math.sqrt(1.5 * len(self._cells)))))
        rows = [self._cells[i : i + columns] for i in range(0, len(self._cells), columns)]
        pictures = [max(image.height for image, _ in row) for row in rows]
        captions = [_LINE * (1 + max(len(caption.guesses) for _, caption in row)) for row in rows]
        height = _TITLE + sum(pictures) + sum(captions) + 2 * _GAP * len(rows)
        sheet = Image.new("RGB", (columns * (_CELL + _GAP) + _GAP, height), _PAPER)
        pen = ImageDraw.Draw(sheet)
        pen.text((_GAP, _TITLE // 2), _fitting(self.title, _font(18), sheet.width - 2 * _GAP), _INK, _font(18), "lm")
        top = _TITLE
        for row, picture, caption_height in zip(rows, pictures, captions, strict=True):
            for column, (image, caption) in enumerate(row):
                left = _GAP + column * (_CELL + _GAP)
                sheet.paste(image, (left + (_CELL - image.width) // 2, top + (picture - image.height) // 2))
                _write(pen, left, top + picture + 6, caption)
            top += picture + caption_height + 2 * _GAP
        return sheet


def _write(pen: ImageDraw.ImageDraw, left: int, top: int, caption: Caption) -> None:
    font, small = _font(14), _font(12)
    pen.text((left, top + _LINE // 2), _fitting(caption.name, small, _CELL), _GREY, small, "lm")
    for number, (name, probability) in enumerate(caption.guesses):
        top += _LINE
        pen.rectangle((left, top + 1, left + _CELL - 1, top + _LINE - 3), _TRACK)
        if probability * _CELL >= 1:
            color = _OTHER if number else _BEST
            pen.rectangle((left, top + 1, left + probability * _CELL - 1, top + _LINE - 3), color)
        pen.text((left + 6, top + _LINE // 2 - 1), _fitting(name, font, _CELL - 70), _INK, font, "lm")
        pen.text((left + _CELL - 6, top + _LINE // 2 - 1), f"{probability:.1%}", _INK, font, "rm")


def _fitting(text: str, font: ImageFont.FreeTypeFont, width: float) -> str:
    """``text``, or as much of it as fits into ``width`` px."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"


def _font(size: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which matplotlib brings: Pillow's own has no letters but those of English."""
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf", size)
