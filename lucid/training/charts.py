"""Charts as inline SVG. The style sheet of the page, ``report.css``, has their colors, and shows values on hover."""

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import TypeGuard

WIDTH, HEIGHT = 460, 268  # in SVG units; the page scales it
LEFT, RIGHT, TOP, BOTTOM = 78, WIDTH - 14, 12, HEIGHT - 44  # the plot area
MAX_NUMBERED_CLASSES, MAX_NAMED_CLASSES = 20, 40
MAX_POINTS = 2000
MAX_NAME = 40  # letters; the rest of longer names is only shown on hover
LETTER = 0.66  # average width of a letter relative to its height

Values = Sequence[float | None]
Series = Mapping[str, Values]


def element(kind: str, content: str = "", **attributes: object) -> str:
    """An SVG element around ``content``, which is not escaped. "_" in the names of attributes becomes "-"."""
    written = "".join(f' {name.strip("_").replace("_", "-")}="{_value(value)}"' for name, value in attributes.items())
    return f"<{kind}{written}>{content}</{kind}>"


def _value(value: object) -> str:
    return f"{value:.1f}" if isinstance(value, float) else escape(str(value))


def label(content: str, x: float, y: float, kind: str, **attributes: object) -> str:
    return element("text", escape(content), class_=kind, x=float(x), y=float(y), **attributes)


def line_chart(
    name: str,
    xs: Sequence[float],
    series: Series,
    show: Callable[[float], str] = "{:.3g}".format,
    *,
    bounds: tuple[float, float] = (-math.inf, math.inf),
    from_zero: bool = False,
) -> str:
    """A line for each of the ``series`` over the epochs ``xs``; values that are None or not finite leave a gap.

    ``show`` formats a value; the axis does not go beyond ``bounds``.
    """
    low, high, ticks = _axis([v for values in series.values() for v in values if _is_finite(v)], bounds, from_zero)
    first, last = min(xs, default=0), max(xs, default=0)
    if first == last:
        first, last = first - 1, last + 1

    def x_at(x: float) -> float:
        return LEFT + (x - first) / (last - first) * (RIGHT - LEFT)

    def y_at(y: float) -> float:
        return BOTTOM - (y - low) / (high - low) * (BOTTOM - TOP)

    parts = []
    for tick in ticks:
        parts.append(element("line", class_="grid", x1=LEFT, x2=RIGHT, y1=y_at(tick), y2=y_at(tick)))
        parts.append(label(show(tick), LEFT - 7, y_at(tick) + 4, "tick end"))
    parts += [label(f"{tick}", x_at(tick), BOTTOM + 18, "tick mid") for tick in _epoch_ticks(xs)]
    parts.append(label("epoch", (LEFT + RIGHT) / 2, HEIGHT - 6, "axis mid"))
    turned = f"translate(10 {(TOP + BOTTOM) / 2:.1f}) rotate(-90)"
    parts.append(element("g", label(name, 0, 0, "axis mid"), transform=turned))
    for number, values in enumerate(series.values()):
        for run in _runs(xs, values):
            points = " ".join(f"{x_at(x):.1f},{y_at(y):.1f}" for x, y in run)
            parts.append(element("polyline", class_=f"line s{number}", points=points))
            if len(run) == 1:
                parts.append(element("circle", class_=f"dot s{number}", cx=x_at(run[0][0]), cy=y_at(run[0][1]), r=3))
    half = (RIGHT - LEFT) / max(1, len(xs) - 1) / 2
    for place, x in enumerate(xs):
        found = [(number, key, values[place]) for number, (key, values) in enumerate(series.items())]
        known = [(number, f"{key} {show(v)}".strip(), y_at(v)) for number, key, v in found if _is_finite(v)]
        parts.append(_pointed_at(f"epoch {x:g}", x_at(x), half, known))
    content = "".join(parts)
    return element("svg", content, class_="chart", viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=name)


def _pointed_at(title: str, x: float, half: float, values: Sequence[tuple[int, str, float]]) -> str:
    """The tooltip for a pointer within ``half`` of ``x``: a rule, dots, and a box with the values."""
    lines = [title, *(text for _, text, _ in values)]
    width = 14 + 6.6 * max(map(len, lines))
    left, start, end = x + 8 if x + 8 + width < WIDTH else x - 8 - width, max(LEFT, x - half), min(RIGHT, x + half)
    parts = [
        element("rect", class_="hit", x=float(start), y=TOP, width=float(end - start), height=BOTTOM - TOP),
        element("line", class_="rule", x1=x, x2=x, y1=TOP, y2=BOTTOM),
        *(element("circle", class_=f"dot s{number}", cx=x, cy=y, r=3.5) for number, _, y in values),
        element("rect", class_="box", x=left, y=TOP, width=width, height=8 + 15 * len(lines), rx=4),
        *(label(line, left + 7, TOP + 16 + 15 * number, "note") for number, line in enumerate(lines)),
    ]
    return element("g", "".join(parts), class_="at")


def confusion_chart(counts: Sequence[Sequence[int]], classes: Sequence[str]) -> str:
    """A confusion matrix, with a row for each true class and a column for each predicted one.

    The diagonal is shaded by its share of the row; mistakes have a different color, shaded relative to the largest,
    so that a few remain visible. Empty cells are not drawn.
    """
    count = len(classes)
    named, numbered = count <= MAX_NAMED_CLASSES, count <= MAX_NUMBERED_CLASSES
    names = [name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 1]}…" for name in classes]
    cell = min(64.0, max(30.0, 400 / count)) if numbered else max(4.0, 620 / count)
    font = 11.0 if numbered else min(11.0, 0.75 * cell)
    longest = font * LETTER * max(map(len, names))
    margin = 22 + (longest if named else 0)
    side, size = margin + cell * count + 2, cell * count
    true = label("true", 0, 0, "axis mid", font_size=12.0)  # also where class names are smaller
    parts = [
        label("predicted", margin + size / 2, 11, "axis mid", font_size=12.0),
        element("g", true, transform=f"translate(11 {margin + size / 2:.1f}) rotate(-90)"),
        element("rect", class_="frame", x=margin, y=margin, width=size, height=size),
    ]
    for i, name in enumerate(names if named else []):
        middle = margin + cell * (i + 0.5)
        parts.append(label(name, margin - 5, middle + 0.35 * font, "tick end"))
        if longest < cell:
            parts.append(label(name, middle, margin - 5, "tick mid"))
        else:
            turned = f"translate({middle + 0.35 * font:.1f} {margin - 5:.1f}) rotate(-90)"
            parts.append(element("g", label(name, 0, 0, "tick"), transform=turned))
    worst = max((counts[i][j] for i in range(count) for j in range(count) if i != j), default=0)
    for i, row in enumerate(counts):
        for j, value in enumerate(row):
            if value:
                kind, part = ("right", value / sum(row)) if i == j else ("wrong", value / worst)
                x, y, shade = margin + cell * j, margin + cell * i, f"{0.12 + 0.48 * part:.2f}"
                title = f"{classes[i]} predicted as {classes[j]}: {value} of {sum(row)}"
                parts.append(
                    element("rect", element("title", escape(title)), class_=kind, x=x, y=y, width=cell, height=cell,
                            fill_opacity=shade)
                )  # fmt: skip
                if numbered:
                    parts.append(label(f"{value}", x + cell / 2, y + cell / 2 + 4, "count mid"))
    narrow = 0.78 * side if named else 420  # on a phone; the page scrolls where names would be too small
    style = f"font-size:{font:.1f}px;min-width:{narrow:.0f}px;max-width:{1.3 * side:.0f}px"
    content, box = "".join(parts), f"0 0 {side:.0f} {side:.0f}"
    return element(
        "svg", content, class_="confusion", viewBox=box, style=style, role="img", aria_label="confusion matrix"
    )


def scatter_chart(name: str, xs: Sequence[float], ys: Sequence[float]) -> str:
    """Points over one scale for both axes, "target" and "prediction", with the line on which both are equal.

    At most 2,000 points are drawn, evenly chosen.
    """
    pairs = [(float(x), float(y)) for x, y in zip(xs, ys, strict=True) if math.isfinite(x) and math.isfinite(y)]
    pairs = pairs[:: -(-len(pairs) // MAX_POINTS) or 1]
    low, high, ticks = _axis([value for pair in pairs for value in pair], (-math.inf, math.inf), False)

    def x_at(x: float) -> float:
        return LEFT + (x - low) / (high - low) * (RIGHT - LEFT)

    def y_at(y: float) -> float:
        return BOTTOM - (y - low) / (high - low) * (BOTTOM - TOP)

    parts = []
    for tick in ticks:
        parts.append(element("line", class_="grid", x1=LEFT, x2=RIGHT, y1=y_at(tick), y2=y_at(tick)))
        parts.append(label(f"{tick:.3g}", LEFT - 7, y_at(tick) + 4, "tick end"))
        parts.append(label(f"{tick:.3g}", x_at(tick), BOTTOM + 18, "tick mid"))
    parts.append(element("line", class_="rule", x1=x_at(low), x2=x_at(high), y1=y_at(low), y2=y_at(high)))
    parts += [element("circle", class_="dot s0", cx=x_at(x), cy=y_at(y), r=2.2) for x, y in pairs]
    parts.append(label("target", (LEFT + RIGHT) / 2, HEIGHT - 6, "axis mid"))
    turned = f"translate(10 {(TOP + BOTTOM) / 2:.1f}) rotate(-90)"
    parts.append(element("g", label("prediction", 0, 0, "axis mid"), transform=turned))
    content = "".join(parts)
    return element("svg", content, class_="chart", viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=name)


def _is_finite(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)


def _axis(values: Sequence[float], bounds: tuple[float, float], from_zero: bool) -> tuple[float, float, list[float]]:
    """The ends of the axis, and round numbers in between."""
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    low = min(low, 0.0) if from_zero else low
    margin = 0.04 * (high - low) or 0.1 * abs(high) or 0.5
    low, high = max(bounds[0], low - (0 if from_zero else margin)), min(bounds[1], high + margin)
    rough = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= 0.999 * rough)
    start = math.ceil(low / step - 1e-9)
    return low, high, [n * step for n in range(start, start + 12) if n * step <= high + 1e-9 * step]


def _epoch_ticks(xs: Sequence[float]) -> list[int]:
    """Round epochs, with the first and the last."""
    if not xs:
        return []
    low, high = int(min(xs)), int(max(xs))
    step = next(n * 10**p for p in range(9) for n in (1, 2, 5) if n * 10**p >= (high - low) / 6)
    inner = [n for n in range(0, high, step) if n - low > step / 2 and high - n > step / 2]
    return sorted({low, *inner, high})


def _runs(xs: Sequence[float], values: Values) -> list[list[tuple[float, float]]]:
    """The points in runs without a gap."""
    runs: list[list[tuple[float, float]]] = [[]]
    for x, y in zip(xs, values, strict=True):
        if y is not None and math.isfinite(y):
            runs[-1].append((x, y))
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]
