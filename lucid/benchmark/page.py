"""The results of ``lucid bench`` as one self-contained HTML page, in the style of the training report."""

from collections.abc import Iterable, Sequence
from html import escape
from statistics import median
from typing import Any

from lucid.benchmark.run import worst_of
from lucid.training.report import cards, document, facts_table

_HINTS = {
    "kernels": "Every kernel of Lucid that runs on this device, compared with MLX's own operations in float32 on the "
    "CPU: the result and all gradients, relative to the largest value of each.",
    "depthwise": "The depthwise convolution at the four stages of ConvNeXt-T. A copy reads and writes every value "
    "once: 100 % of it is as fast as memory allows. MB are what must move at least, one array in and one out; "
    "counted are the bytes of lucid.profile, which include weights and partial sums.",
    "models": "The same ConvNeXt, weights and images in each library, timed in turns. Counted are the bytes that "
    "Lucid's kernels read and write in a step on an Apple GPU, by lucid.profile. Where Lucid ran on a GPU, GB/s is "
    "this count divided by the measured time.",
}


def page(results: dict[str, Any]) -> str:
    """The page as HTML."""
    machine = results["machine"]
    quick = " With --quick: the shapes are tiny, and the times mean nothing." if results["quick"] else ""
    lead = f"{machine['device']}, {_system(machine)}, MLX {machine['versions']['mlx']}, {results['date'][:10]}.{quick}"
    sections = [f'<header><h1>lucid bench</h1><p class="lead">{escape(lead)}</p></header>', cards(_figures(results))]
    sections += [_models(results["models"]), _depthwise(results["depthwise"]), _kernels(results["kernels"])]
    facts = {
        "device": machine["device"],
        "backend": machine["backend"],
        "memory": f"{machine['memory_bytes'] / 2**30:.0f} GiB",
        "CPUs": machine["cpus"],
        "system": _system(machine),
        "platform": machine["system"],
        "native kernels": machine.get("native"),
        "BLAS": machine["blas"],
        **machine["environment"],
        **machine["versions"],
        "date": results["date"],
        "duration": f"{results['seconds']:.0f} s",
    }
    sections.append(f'<h2>Machine</h2><div class="grid2">{facts_table("machine and versions", facts)}</div>')
    return document("lucid bench", sections)


def _system(machine: dict[str, Any]) -> str:
    return f"macOS {machine['macos']}" if machine["macos"] else machine["system"].partition("-")[0]


def _figures(results: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Name, value and remark of the most important numbers."""
    found = [("copy bandwidth", f"{results['copy_gigabytes_per_second']:.3g} GB/s", "read and write")]
    checked = [line for line in results["kernels"] if "is_right" in line]
    if checked:
        right = sum(line["is_right"] for line in checked)
        skipped = len(results["kernels"]) - len(checked)
        found.append(("kernels are right", f"{right} of {len(checked)}", f"{skipped} skipped" if skipped else ""))
    shares = [line["ours"]["of_a_copy"] for line in results["depthwise"] if "ours" in line]
    if shares:
        found.append(("depthwise convolution", f"{median(shares):.0%}", f"of a copy (median of {len(shares)})"))
    for mode in ("training", "inference"):
        lines = {one["framework"]: one for one in results["models"] if one["mode"] == mode and "seconds" in one}
        if "lucid" in lines:
            ours = lines["lucid"]
            ratio = lines["mlx"]["seconds"] / ours["seconds"] if "mlx" in lines else None
            remark = f"{ours['dtype']}; {ratio:.1f} times mlx.nn" if ratio else ours["dtype"]
            found.append((f"{mode} images/s", f"{ours['images_per_second']:,.0f}", remark))
    return found


def _table(title: str, hint: str, head: Sequence[tuple[str, bool]], rows: Iterable[Sequence[str]]) -> str:
    """``head`` has each column's name and whether it holds numbers. A row that is too short ends with a remark."""
    names = "".join(f'<th class="number">{escape(name)}</th>' if n else f"<th>{escape(name)}</th>" for name, n in head)
    body = ""
    for row in rows:
        is_short = len(row) < len(head)
        cells = [_cell(text, head[i][1] and not (is_short and i == len(row) - 1)) for i, text in enumerate(row)]
        if is_short:
            cells[-1] = cells[-1].replace("<td", f'<td colspan="{len(head) - len(row) + 1}"', 1)
        body += f"<tr>{''.join(cells)}</tr>"
    if not body:
        return ""
    table = f'<div class="panel scroll"><table class="measures"><tr>{names}</tr>{body}</table></div>'
    return f'<h2>{escape(title)}</h2>\n<p class="hint">{escape(hint)}</p>{table}'


def _cell(text: str, is_number: bool) -> str:
    kind = "number" if is_number else "wrong" if text.startswith(("WRONG", "error: ")) else ""
    return f'<td class="{kind}">{escape(text)}</td>' if kind else f"<td>{escape(text)}</td>"


def _remark(line: dict[str, Any]) -> str | None:
    """Why a line has no numbers."""
    return next((f"{word}: {line[word]}" for word in ("skipped", "error") if word in line), None)


def _kernels(lines: list[dict[str, Any]]) -> str:
    head = [("kernel", False), ("arrays", False), ("dtype", False), ("version", False)]
    head += [("largest difference", True), ("allowed", True), ("", False)]

    def row(line: dict[str, Any]) -> list[str]:
        start = [line["kernel"], line["case"], line["dtype"], line.get("version", "")]
        if (remark := _remark(line)) is not None:
            return [*start, remark]
        worst = worst_of(line)
        shown = "not finite" if worst is None else f"{worst:.1e}"
        return [*start, shown, f"{line['tolerance']:.1e}", "right" if line["is_right"] else "WRONG"]

    return _table("Kernels", _HINTS["kernels"], head, map(row, lines))


def _depthwise(lines: list[dict[str, Any]]) -> str:
    head = [("x (N, H, W, C)", False), ("dtype", False), ("direction", False), ("ms", True), ("of a copy", True)]
    head += [("GB/s", True), ("MB", True), ("MB counted", True)]
    has_torch = any("torch" in line for line in lines)
    head += [("PyTorch, ms", True)] if has_torch else []

    def row(line: dict[str, Any]) -> list[str]:
        start = ["x".join(map(str, line["shape"])), line["dtype"], line.get("what", "")]
        if (remark := _remark(line)) is not None:
            return [*start, remark]
        ours, seconds = line["ours"], line.get("torch", {}).get("seconds")
        cells = [f"{ours['seconds'] * 1e3:.3f}", f"{ours['of_a_copy']:.0%}", f"{ours['gigabytes_per_second']:.1f}"]
        cells += [f"{ours['gigabytes_per_second'] * ours['seconds'] * 1e3:.2f}", f"{line['counted_bytes'] / 1e6:.2f}"]
        return [*start, *cells, *([f"{seconds * 1e3:.3f}" if seconds else "-"] if has_torch else [])]

    return _table("Depthwise convolution", _HINTS["depthwise"], head, map(row, lines))


def _models(lines: list[dict[str, Any]]) -> str:
    head = [("step", False), ("dtype", False), ("images", False), ("library", False), ("ms", True), ("images/s", True)]
    head += [("peak MiB", True), ("MB counted", True)]
    has_rates = any("of_a_copy" in line for line in lines)
    head += [("GB/s", True), ("of a copy", True)] if has_rates else []

    def row(line: dict[str, Any]) -> list[str]:
        size = line["image_size_px"]
        start = [line["mode"], line["dtype"], f"{line['images']} of {size}x{size}", line.get("title", "")]
        if (remark := _remark(line)) is not None:
            return [*start, remark]
        if not line.get("is_right", True):
            return [*start, f"WRONG: differs from mlx.nn by {line['difference']}"]
        peak, counted = line.get("peak_bytes"), line.get("counted_bytes")
        cells = [f"{line['seconds'] * 1e3:.1f}", f"{line['images_per_second']:.1f}"]
        cells += [f"{peak / 2**20:.0f}" if peak else "", f"{counted / 1e6:,.0f}" if counted else ""]
        if has_rates:
            has_rate = "of_a_copy" in line
            cells += [f"{line['gigabytes_per_second']:.1f}", f"{line['of_a_copy']:.0%}"] if has_rate else ["", ""]
        return [*start, *cells]

    return _table("ConvNeXt", _HINTS["models"], head, map(row, lines))
