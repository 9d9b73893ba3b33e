"""Pictures of features: a scatter plot of their projection, and a sheet of images with their nearest neighbors."""

import io
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lucid.evaluation._arrays import as_labels, require

MAX_NAMED = 20  # classes in the legend
_NAME = 32  # characters of a class in the legend
_CELL, _GAP, _TEXT = 128, 10, 36  # px
_INK, _GREY, _PAPER, _SAME, _OTHER = "#1a1a1a", "#6b7280", "#ffffff", "#2f8f5b", "#d9541e"


def scatter_plot(points: Any, labels: Any = None, classes: Sequence[str] = (), title: str = "") -> bytes:
    """A picture of points (N, 2), colored by class, as a PNG file.

    Raises:
        ValueError: Shapes do not match.
        ImportError: matplotlib is not installed.
    """
    places = np.asarray(points)
    if places.ndim != 2 or places.shape[1] != 2:
        raise ValueError(f"scatter_plot: points must be (N, 2), got {places.shape}")
    numbers = (
        np.zeros(len(places), np.int64) if labels is None else as_labels("scatter_plot", "labels", labels, len(places))
    )
    figure = require("scatter_plot", "matplotlib.figure").Figure(figsize=(8, 6), layout="constrained")
    colormap = require("scatter_plot", "matplotlib").colormaps
    axes = figure.subplots()
    count = int(numbers.max(initial=0)) + 1
    shades = colormap["tab10" if count <= 10 else "tab20" if count <= 20 else "hsv"]
    size = float(np.clip(4000 / max(1, len(places)), 3, 30))
    shown: list[tuple[Any, str]] = []
    for number in np.unique(numbers).tolist():
        own = places[numbers == number]
        name = classes[number] if number < len(classes) else f"class {number}"
        color = shades(number / count if count > MAX_NAMED else number)
        dots = axes.scatter(own[:, 0], own[:, 1], s=size, color=color, linewidths=0, alpha=0.75)
        shown.append((dots, _one_line(name)))
    axes.set(xticks=[], yticks=[])
    axes.set_title(title, parse_math=False)
    axes.spines[:].set_visible(False)
    if labels is not None and count <= MAX_NAMED:
        handles = [handle for handle, _ in shown]
        # Names are set afterwards: matplotlib leaves out those with a leading underscore, and reads $...$ as a formula.
        legend = axes.legend(
            handles, ["-"] * len(shown), frameon=False, loc="center left", bbox_to_anchor=(1, 0.5), markerscale=1.5
        )
        for text, (_, name) in zip(legend.get_texts(), shown, strict=True):
            text.set_parse_math(False)
            text.set_text(name)
    content = io.BytesIO()
    with warnings.catch_warnings():
        # matplotlib's font lacks some letters of class names; it draws boxes for them.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(content, format="png", dpi=110)
    return content.getvalue()


def _one_line(name: str) -> str:
    """``name`` for the legend, without its end if it is long."""
    name = " ".join(name.split())
    return name if len(name) <= _NAME else name[: _NAME - 1] + "…"


def neighbor_sheet(
    image: Callable[[int], Any],
    queries: Sequence[int],
    indices: Any,
    similarities: Any,
    *,
    names: Sequence[str] = (),
    labels: Any = None,
) -> Any:
    """A sheet with a row for each query: its image, and those of its nearest neighbors with their similarities.

    With ``labels``, neighbors of the query's class are framed in green and others in orange.

    Args:
        image: ``image(number)`` gives a sample as a Pillow image or a uint8 array (H, W) or (H, W, 3).
        queries: The numbers of M samples.
        indices: The numbers of their neighbors, (M, k), as from ``nearest_neighbors``.
        similarities: (M, k).
        names: The name of each sample.
        labels: The class of each sample.

    Returns:
        A Pillow image.

    Raises:
        ValueError: Shapes do not match.
        ImportError: Pillow or matplotlib, whose font is used, is not installed.
    """
    where = "neighbor_sheet"
    found, values = np.asarray(indices), np.asarray(similarities)
    if found.ndim != 2 or found.shape != values.shape or len(found) != len(queries) or not found.size:
        raise ValueError(
            f"{where}: indices and similarities must be ({len(queries)}, k), got {found.shape} and {values.shape}"
        )
    pillow, pens, fonts = (require(where, f"PIL.{one}") for one in ("Image", "ImageDraw", "ImageFont"))
    font_folder = Path(require(where, "matplotlib").get_data_path()) / "fonts/ttf"
    font = fonts.truetype(font_folder / "DejaVuSans.ttf", 11)
    width, height = _CELL + _GAP, _CELL + _TEXT + _GAP
    sheet = pillow.new("RGB", (_GAP + width * (found.shape[1] + 1) + _GAP, _GAP + height * len(found)), _PAPER)
    pen = pens.Draw(sheet)

    def show(number: int, column: int, row: int, text: str, frame: str | None) -> None:
        left, top = _GAP + column * width + (_GAP if column else 0), _GAP + row * height
        picture = image(number)
        picture = picture if hasattr(picture, "convert") else pillow.fromarray(np.asarray(picture))
        picture = picture.convert("RGB")
        scale = _CELL / max(picture.size)
        size = tuple(max(1, round(side * scale)) for side in picture.size)
        picture = picture.resize(size, pillow.Resampling.LANCZOS if scale < 1 else pillow.Resampling.NEAREST)
        sheet.paste(picture, (left + (_CELL - size[0]) // 2, top + (_CELL - size[1]) // 2))
        if frame:
            pen.rectangle((left - 2, top - 2, left + _CELL + 1, top + _CELL + 1), outline=frame, width=3)
        name = names[number] if len(names) else f"{number}"
        pen.text((left, top + _CELL + 4), _shortened(name, font), _INK, font)
        pen.text((left, top + _CELL + 19), text, _GREY, font)

    classes = None if labels is None else np.asarray(labels)
    for row, query in enumerate(queries):
        show(int(query), 0, row, "", None)
        for column, (number, value) in enumerate(zip(found[row].tolist(), values[row].tolist(), strict=True), 1):
            frame = None if classes is None else _SAME if classes[number] == classes[query] else _OTHER
            show(number, column, row, f"{value:.3f}", frame)
    return sheet


def _shortened(text: str, font: Any) -> str:
    """``text``, without its beginning if it is wider than a cell: the ends of paths differ."""
    if font.getlength(text) <= _CELL:
        return text
    while text and font.getlength("…" + text) > _CELL:
        text = text[1:]
    return "…" + text
