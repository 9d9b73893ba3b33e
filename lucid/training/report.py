"""``report.html``: a training run on one self-contained page: no other files, scripts or network access.

It has curves of losses, metrics, learning rate and speed; for a classifier the confusion matrix, the accuracy of each
class and the most confident mistakes; then the configuration, the machine, and a table of all epochs. It follows the
browser's light or dark scheme.

    write_report(Path("report.html"), Report(title="ConvNeXt on digits", history=rows, classes=names, ...))

A row of the history is an epoch: "epoch", "lr", "seconds", "images_per_second", and for each split of the data its
results, such as "train_loss" and "test_accuracy". Missing columns are left out.
"""

import base64
import platform
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from lucid._files import write_atomically
from lucid._machine import describe_machine
from lucid.training.charts import confusion_chart, line_chart
from lucid.training.progress import duration

STYLE = Path(__file__).with_name("report.css")
# The browser enforces that the page loads and runs nothing.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
SMALL_PX = 64  # smaller images are enlarged without smoothing
MOST_CONFUSED = 8
MAX_BARS = 20  # the others are collapsed


@dataclass(frozen=True)
class Mistake:
    """A test image with a wrong prediction."""

    image: np.ndarray  # (H, W), (H, W, 1) or (H, W, 3), uint8
    truth: str
    predicted: str
    probability: float  # of the predicted class
    probability_of_truth: float
    name: str = ""  # of its file
    heat: np.ndarray | None = None  # the image under a heat map of the evidence for the predicted class


@dataclass(frozen=True)
class Sample:
    """A training image after augmentation."""

    image: np.ndarray  # as in Mistake
    label: str


@dataclass(frozen=True)
class Gallery:
    """A section of images with a heading. ``columns`` widens images that are several side by side."""

    title: str
    hint: str
    samples: Sequence[Sample]
    columns: int = 1
    colors: Sequence[tuple[str, tuple[int, int, int]]] = ()  # what colors in the images mean


@dataclass(frozen=True)
class Report:
    """The content of the page. ``confusion[i][j]`` counts samples of class i that were predicted as class j."""

    title: str
    history: Sequence[dict[str, Any]]
    classes: Sequence[str]
    confusion: np.ndarray | None = None
    mistakes: Sequence[Mistake] = ()
    configuration: dict[str, Any] = field(default_factory=dict)
    figures: Sequence[tuple[str, str, str]] = ()  # name, value, remark; shown after those from the history
    lead: str = ""  # text below the title
    command: str = ""
    split: str = "test"  # the data that confusion and mistakes are about
    unit: str = "images"  # what a sample is called
    counted: str = ""  # what confusion counts, if not samples
    samples: Sequence[Sample] = ()  # training images as the model sees them
    galleries: Sequence[Gallery] = ()  # more images, shown after the curves
    train_counts: Sequence[int] = ()  # training samples of each class
    curves_hint: str = ""  # what to know about the curves
    classes_hint: str = ""  # which epoch and weights confusion and mistakes are of
    monitor: tuple[str, str] | None = None  # the column that says which epoch is best, and "max" or "min" of it
    sections: Sequence[str] = ()  # more of the page, as HTML, before the configuration


def write_report(path: Path, report: Report) -> None:
    """Write the page atomically.

    Raises:
        OSError: The page cannot be written.
    """
    write_atomically(path, page(report).encode())


def page(report: Report) -> str:
    """The page as HTML."""
    sections = [
        f"<header><h1>{escape(report.title)}</h1>{_lead(report)}</header>",
        _cards(report),
        _curves(report),
        *map(_gallery, report.galleries),
        _classes(report),
        _mistakes(report),
        _samples(report),
        *report.sections,
        _facts(report),
    ]
    return document(report.title, sections)


def document(title: str, sections: Sequence[str]) -> str:
    """A self-contained page in the style of the reports; empty sections are left out."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<title>{escape(title)}</title>\n<link rel="icon" href="data:,">\n'
        f"<style>\n{STYLE.read_text(encoding='utf-8')}</style>\n</head>\n<body>\n"
        + "\n".join(filter(None, sections))
        + "\n</body>\n</html>\n"
    )


def png(image: np.ndarray) -> bytes:
    """A uint8 image (H, W), (H, W, 1) or (H, W, 3) as a PNG file. Source: W3C, PNG (third edition), 2025."""
    image = image.reshape(*image.shape[:2], -1)
    height, width, channels = image.shape
    if image.dtype != np.uint8 or channels not in (1, 3):
        raise ValueError(f"png: image must be uint8 of 1 or 3 channels (H, W, C), got {image.dtype} {image.shape}")

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    rows = np.concatenate([np.zeros((height, 1), np.uint8), image.reshape(height, -1)], axis=1)  # with filter type 0
    header = struct.pack(">IIBBBBB", width, height, 8, 0 if channels == 1 else 2, 0, 0, 0)
    compressed = zlib.compress(rows.tobytes(), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", compressed) + chunk(b"IEND", b"")


# Parts of the page ----------------------------------------------------------------------------------------------------


def _lead(report: Report) -> str:
    lead = f'<p class="lead">{escape(report.lead)}</p>' if report.lead else ""
    return lead + (f'<p class="lead"><code>{escape(report.command)}</code></p>' if report.command else "")


def _cards(report: Report) -> str:
    """The most important numbers."""
    rows, figures = report.history, []
    column, mode = report.monitor or (f"{report.split}_accuracy", "max")
    if rows and column in rows[-1]:
        best = (max if mode == "max" else min)(rows, key=lambda row: row[column])
        show = "{:.2%}".format if column.endswith("_accuracy") else "{:.4g}".format
        name = column.replace("_", " ")
        figures.append((f"best {name}", show(best[column]), f"epoch {best['epoch']} of {len(rows)}"))
        figures.append((f"last {name}", show(rows[-1][column]), f"epoch {rows[-1]['epoch']}"))
    if rows and "seconds" in rows[-1]:
        seconds = [row["seconds"] for row in rows]
        figures.append(("time", duration(sum(seconds)), f"{np.median(seconds):.3g} s an epoch (median)"))
    if rows and f"{report.unit}_per_second" in rows[-1]:
        rates = [row[f"{report.unit}_per_second"] for row in rows]
        waiting = [row["waiting"] for row in rows if "waiting" in row]
        remark = f"{np.mean(waiting):.1%} of the time waiting for data" if waiting else "median of the epochs"
        figures.append((f"training {report.unit}/s", f"{np.median(rates):,.0f}", remark))
    return cards([*figures, *report.figures])


def cards(figures: Sequence[tuple[str, str, str]]) -> str:
    """Numbers in large type: name, value, remark."""
    shown = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}<small>{escape(remark)}</small></dd></div>"
        for name, value, remark in figures
    )
    return f'<dl class="cards">{shown}</dl>' if shown else ""


def _result_names(row: dict[str, Any], split: str) -> list[str]:
    """The names of the results in a row of the history, without the split that they are of."""
    parts = [column.partition("_") for column in row]
    return list(dict.fromkeys(name for first, _, name in parts if first in ("train", split)))


def _curves(report: Report) -> str:
    history = report.history
    if not history:
        return ""
    xs = [row["epoch"] for row in history]

    charts = []
    for name in _result_names(history[-1], report.split):
        series = {
            split: [row.get(f"{split}_{name}") for row in history]
            for split in ("train", report.split)
            if f"{split}_{name}" in history[-1]
        }
        title = name.replace("_", " ")
        if name == "accuracy":
            drawing = line_chart(title, xs, series, percent, bounds=(0, 1))
        else:
            drawing = line_chart(title, xs, series)
        charts.append(_chart(title, series, drawing))
    for title, column in (
        ("learning rate", "lr"),
        (f"{report.unit} per second in training", f"{report.unit}_per_second"),
    ):
        if column in history[-1]:
            values = {"": [row.get(column) for row in history]}
            show = "{:.3g}".format if column == "lr" else "{:,.0f}".format
            charts.append(_chart(title, values, line_chart(title, xs, values, show, from_zero=True)))
    return f'<h2>Curves</h2>\n{hint(report.curves_hint)}<div class="grid2">{"".join(charts)}</div>'


def picture(title: str, content: bytes) -> str:
    """A PNG file in a panel."""
    source = f"data:image/png;base64,{base64.b64encode(content).decode()}"
    return (
        f'<figure><figcaption>{escape(title)}</figcaption><div class="scroll"><img class="picture" '
        f'alt="{escape(title)}" src="{source}"></div></figure>'
    )


def hint(*sentences: str) -> str:
    """A paragraph of small text."""
    text = escape(" ".join(filter(None, sentences)))
    return f'<p class="hint">{text}</p>' if text else ""


def _chart(title: str, series: dict[str, Any], drawing: str) -> str:
    keys = "".join(f'<span class="key s{number}">{escape(name)}</span>' for number, name in enumerate(series) if name)
    return f"<figure><figcaption>{escape(title)} {keys}</figcaption>{drawing}</figure>"


def _classes(report: Report) -> str:
    """The confusion matrix, and the accuracy of each class."""
    if report.confusion is None:
        return ""
    counts = np.asarray(report.confusion, dtype=np.int64)
    totals = counts.sum(axis=1)
    parts = {k: counts[k, k] / totals[k] for k in np.flatnonzero(totals).tolist()}
    worst = sorted(parts, key=parts.__getitem__)
    shown = bars([(report.classes[k], parts[k], f"{parts[k]:.1%} of {totals[k]:,}") for k in worst])
    matrix = f'<div class="scroll">{confusion_chart(counts.tolist(), report.classes)}</div>'
    right = f"{counts.trace():,} of {counts.sum():,} {report.split} {report.counted or report.unit} are right."
    return (
        f'<h2>Classes</h2>\n{hint(report.classes_hint, right)}\n<div class="grid2">'
        f"<div><figure><figcaption>confusion matrix</figcaption>{matrix}</figure>{_counts(report, totals)}</div>"
        f"<div><figure><figcaption>accuracy by class, worst first</figcaption>{shown}</figure>"
        f"{_pairs(report, counts)}</div></div>"
    )


def _counts(report: Report, totals: np.ndarray) -> str:
    """How many samples of each class there are."""
    if len(report.train_counts) != len(report.classes):
        return ""
    rows = [
        f"<tr><td>{escape(name)}</td><td>{count:,}</td><td>{total:,}</td></tr>"
        for name, count, total in zip(report.classes, report.train_counts, totals.tolist(), strict=True)
    ]
    rows.append(f"<tr><td>all</td><td>{sum(report.train_counts):,}</td><td>{sum(totals.tolist()):,}</td></tr>")
    head = f"<tr><th>class</th><th>train</th><th>{escape(report.split)}</th></tr>"
    table = f"<table>{head}{''.join(rows)}</table>"
    if len(rows) > MAX_BARS:
        table = f"<details><summary>all {len(rows) - 1} classes</summary>{table}</details>"
    return f'<figure class="pairs counts"><figcaption>{escape(report.unit)} of each class</figcaption>{table}</figure>'


def bars(rows: Sequence[tuple[str, float, str]]) -> str:
    """A bar for each row: its name, a length from 0 to 1, and a text. After the first 20 they are collapsed."""
    lines = []
    for name, part, text in rows:
        name = escape(name)
        bar = f'<i style="--part:{part:.2%}"></i><span>{escape(text)}</span>'
        lines.append(f'<span title="{name}">{name}</span>{bar}')
    shown = f'<div class="bars">{"".join(lines[:MAX_BARS])}</div>'
    if len(lines) > MAX_BARS:
        others = f'<div class="bars">{"".join(lines[MAX_BARS:])}</div>'
        shown += f"<details><summary>the other {len(lines) - MAX_BARS}</summary>{others}</details>"
    return shown


def _pairs(report: Report, counts: np.ndarray) -> str:
    classes = report.classes
    wrong = counts - np.diag(np.diag(counts))
    places = np.argsort(-wrong, axis=None, kind="stable")[:MOST_CONFUSED]
    pairs = [(i, j) for i, j in zip(*np.unravel_index(places, wrong.shape), strict=True) if wrong[i, j]]
    rows = "".join(
        f"<tr><td>{escape(classes[i])}</td><td>{escape(classes[j])}</td><td>{wrong[i, j]:,}</td></tr>" for i, j in pairs
    )
    head = f"<tr><th>true</th><th>predicted</th><th>{escape(report.counted or report.unit)}</th></tr>"
    table = f'<figure class="pairs"><figcaption>most confused</figcaption><table>{head}{rows}</table></figure>'
    return table if rows else ""


def _mistakes(report: Report) -> str:
    figures = []
    for one in report.mistakes:
        images = [_image(one.image, one.truth)]
        if one.heat is not None:
            images.append(_image(one.heat, f"heat map for {one.predicted}"))
        name = f"<span>{escape(one.name)}</span>" if one.name else ""
        figures.append(
            f"<figure>{''.join(images)}"
            f"<b>{escape(one.predicted)}, {one.probability:.0%}</b>"
            f"<span>is {escape(one.truth)}, {one.probability_of_truth:.0%}</span>{name}</figure>"
        )
    if not figures:
        return ""
    explained = any(one.heat is not None for one in report.mistakes)
    about = " The heat maps (Grad-CAM) show what the predicted class is based on." if explained else ""
    return (
        "<h2>Worst mistakes</h2>\n"
        '<p class="hint">The most confident wrong predictions: the predicted class, then the true one, each with its'
        f' probability.{about}</p><div class="mistakes">{"".join(figures)}</div>'
    )


def _image(image: np.ndarray, description: str, columns: int = 1) -> str:
    """An image, of which ``columns`` are side by side."""
    height, width = image.shape[:2]
    small = ' class="small"' if max(height, width // columns) < SMALL_PX else ""
    data = base64.b64encode(png(image)).decode()
    return f'<img{small} alt="{escape(description)}" src="data:image/png;base64,{data}">'


def _samples(report: Report) -> str:
    return _gallery(Gallery(f"Training {report.unit}", "As the model sees them, after augmentation.", report.samples))


def _gallery(gallery: Gallery) -> str:
    figures = []
    for one in gallery.samples:
        label = f"<span>{escape(one.label)}</span>" if one.label else ""
        figures.append(f"<figure>{_image(one.image, one.label, gallery.columns)}{label}</figure>")
    if not figures:
        return ""
    kind = "mistakes wide" if gallery.columns > 1 else "mistakes"
    keys = "".join(
        f'<span><i style="background: rgb{tuple(color)}"></i>{escape(name)}</span>' for name, color in gallery.colors
    )
    legend = f'<p class="colors">{keys}</p>' if keys else ""
    return f'<h2>{escape(gallery.title)}</h2>\n{hint(gallery.hint)}{legend}<div class="{kind}">{"".join(figures)}</div>'


def _facts(report: Report) -> str:
    machine = describe_machine()
    versions = machine.pop("versions")
    facts = {name: value for name, value in machine.items() if value} | {"processor": platform.processor()} | versions
    tables = [("configuration", report.configuration), ("machine and versions", facts)]
    panels = "".join(facts_table(title, pairs) for title, pairs in tables if pairs)
    columns = list(report.history[-1]) if report.history else []
    head = "".join(f"<th>{escape(name.replace('_', ' '))}</th>" for name in columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(_cell(row.get(name)))}</td>" for name in columns) + "</tr>"
        for row in report.history
    )
    table = f'<div class="panel scroll"><table class="epochs"><tr>{head}</tr>{body}</table></div>'
    epochs = f"<details><summary>every epoch as a table</summary>{table}</details>" if columns else ""
    return f'<h2>Configuration</h2>\n<div class="grid2">{panels}</div>{epochs}'


def facts_table(title: str, pairs: dict[str, Any]) -> str:
    """Names and values in a panel; empty values are left out."""
    return f'<figure><figcaption>{escape(title)}</figcaption><table class="facts">{_rows(pairs)}</table></figure>'


def _rows(pairs: dict[str, Any]) -> str:
    return "".join(
        f"<tr><th>{escape(str(name).replace('_', ' '))}</th><td>{escape(_cell(value))}</td></tr>"
        for name, value in pairs.items()
        if value not in ("", None)
    )


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_cell, value))
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={_cell(one)}" for name, one in value.items())
    if isinstance(value, float):
        return f"{value:.6g}"
    return "" if value is None else str(value)


def percent(part: float) -> str:
    """0.97 as "97%", 0.9861 as "98.6%"."""
    return f"{part:.1%}".replace(".0%", "%")
