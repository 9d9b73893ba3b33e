"""What the pages of models add: stages with their shapes, a diagram, variants and checkpoints, all from the code."""

from html import escape
from typing import Any

import lucid
from lucid import models

SIZE = 224
_FAMILIES = {
    models.ConvNeXt: "convnext_",
    models.ConvNeXtV2: "convnextv2_",
    models.ConvNeXtIsotropic: "convnext_isotropic_",
}
_SOURCES = {
    models.ConvNeXt: "Liu, Mao, Wu, Feichtenhofer, Darrell and Xie: *A ConvNet for the 2020s*, CVPR 2022, "
    "[arXiv:2201.03545](https://arxiv.org/abs/2201.03545). The variants smaller than tiny, the overlapping stems and "
    "the other heads come from timm.",
    models.ConvNeXtV2: "Woo, Debnath, Hu, Chen, Liu, Kweon and Xie: *ConvNeXt V2*, CVPR 2023, "
    "[arXiv:2301.00808](https://arxiv.org/abs/2301.00808).",
    models.ConvNeXtIsotropic: "Liu, Mao, Wu, Feichtenhofer, Darrell and Xie: *A ConvNet for the 2020s*, section 3.3, "
    "[arXiv:2201.03545](https://arxiv.org/abs/2201.03545).",
}


def section(thing: Any) -> str:
    """The sections for a model class, or nothing."""
    if thing not in _FAMILIES:
        return ""
    parts = ["\n## Architecture\n", _diagram(thing), stage_table(thing), "\n## Variants\n", variant_table(thing)]
    checkpoints = checkpoint_table(thing)
    if checkpoints:
        parts += ["\n## Checkpoints\n", checkpoints]
    parts += ["\n## Sources\n", _SOURCES[thing], ""]
    return "\n".join(parts)


def variants(cls: type) -> list[str]:
    """The names of a family, by size."""
    others = [prefix for other, prefix in _FAMILIES.items() if other is not cls]
    names = models.list_models(f"{_FAMILIES[cls]}*")
    if cls is models.ConvNeXt:
        names = [name for name in names if not name.startswith(tuple(others))]
    return sorted(names, key=lambda name: models.model_info(name).parameters)


def million(count: int) -> str:
    return f"{count / 1e6:,.1f} M"


def giga(count: int) -> str:
    return f"{count / 1e9:,.2f} G" if count >= 1e7 else f"{count / 1e6:,.2f} M"


def stage_table(cls: type) -> str:
    """Shapes, parameters and multiply-adds of each stage of the default network for images of 224 px."""
    model: Any = cls()
    result = lucid.summary(model, (1, 3, SIZE, SIZE), depth=None)
    layers = {layer.name: layer for layer in result.layers}

    def row(title: str, contents: str, *names: str, output: str | None = None) -> str:
        shape = layers[output or names[-1]].output_shapes[0]
        shown = f"{shape[3]} x {shape[1]} x {shape[2]}" if len(shape) == 4 else str(shape[-1])
        parameters = sum(layers[name].parameters for name in names)
        macs = sum(layers[name].mult_adds for name in names)
        return f"| {title} | {contents} | {shown} | {parameters:,} | {giga(macs) if macs else ''} |"

    lines = [f"With the defaults of the class and images of {SIZE} px:\n"]
    lines.append("| stage | layers | output (C x H x W) | parameters | multiply-adds |\n|--|--|--|--:|--:|")
    lines.append(f"| input | | {3} x {SIZE} x {SIZE} | | |")
    if cls is models.ConvNeXtIsotropic:
        lines.append(row("stem", f"{model.patch_size}x{model.patch_size} convolution", "stem"))
        lines.append(row("blocks", f"{model.depth} blocks of width {model.dim}", "blocks", output="blocks.0"))
    else:
        for i, (depth, dim) in enumerate(zip(model.depths, model.dims, strict=True)):
            first = f"{model.patch_size}x{model.patch_size} convolution, stride {model.patch_size}, LayerNorm"
            name = "stem" if i == 0 else f"downsampling {i}"
            contents = first if i == 0 else "LayerNorm, 2x2 convolution, stride 2"
            lines.append(row(name, contents, f"downsample_layers.{i}"))
            lines.append(row(f"stage {i + 1}", f"{depth} blocks of width {dim}", f"stages.{i}"))
    lines.append(row("head", "global average pooling, LayerNorm, Linear", "norm", "head"))
    lines.append(f"| total | | | **{result.total_params:,}** | **{giga(result.total_mult_adds)}** |")
    return "\n".join(lines) + "\n"


def variant_table(cls: type) -> str:
    lines = ["| variant | depths | widths | parameters | multiply-adds at 224 px |\n|--|--|--|--:|--:|"]
    for name in variants(cls):
        model: Any = models.create_model(name)
        result = lucid.summary(model, (1, 3, SIZE, SIZE), depth=1)
        depths, dims = (model.depths, model.dims) if hasattr(model, "depths") else ([model.depth], [model.dim])
        lines.append(
            f"| [`{name}`]({name}.md) | {', '.join(map(str, depths))} | {', '.join(map(str, dims))} "
            f"| {million(result.total_params)} | {giga(result.total_mult_adds)} |"
        )
    return "\n".join(lines) + "\n"


def checkpoint_table(cls: type) -> str:
    """The published checkpoints with the accuracy that their publishers report."""
    family = set(variants(cls))
    rows = []
    for name in models.list_models(pretrained=True):
        tag = models.find_tag(name)
        if tag.variant not in family:
            continue
        best = max(tag.reported, key=lambda one: one.top1, default=None)
        accuracy = f"{best.top1:.1f} % at {best.image_size} px ({best.source})" if best else ""
        rows.append(f"| `{name}` | {tag.image_size} px | {tag.num_classes or ''} | {accuracy} | {tag.license} |")
    if not rows:
        return ""
    head = (
        f'??? note "{len(rows)} checkpoints"\n\n    Top-1 accuracy on ImageNet-1k is what the publishers report.\n\n'
        "    | checkpoint | images | classes | top-1 | license |\n    |--|--|--:|--|--|\n"
    )
    load = f'```python\nmodel = models.from_checkpoint("{rows[0].split("`")[1]}")\n```\n'
    return f"{load}\n{head}" + "\n".join(f"    {row}" for row in rows) + "\n"


def _box(x: float, y: float, width: float, height: float, text: str, kind: str = "") -> str:
    lines = text.split("\n")
    out = [f'<rect class="{kind or "box"}" x="{x}" y="{y}" width="{width}" height="{height}" rx="5"/>']
    for i, line in enumerate(lines):
        at = y + height / 2 + (i - (len(lines) - 1) / 2) * 15 + 4.5
        small = ' class="small"' if i else ""
        out.append(f'<text{small} x="{x + width / 2}" y="{at}">{escape(line)}</text>')
    return "\n".join(out)


def _diagram(cls: type) -> str:
    """Drawings of the network and of a block, in the colors of the page."""
    model: Any = cls()
    isotropic = cls is models.ConvNeXtIsotropic
    if isotropic:
        side = SIZE // model.patch_size
        boxes = [
            (f"images\n3 x {SIZE} x {SIZE}", "end"),
            (f"stem: {model.patch_size}x{model.patch_size} convolution\n{model.dim} x {side} x {side}", "step"),
            (f"{model.depth} blocks\n{model.dim} x {side} x {side}", "stage"),
        ]
    else:
        boxes = [(f"images\n3 x {SIZE} x {SIZE}", "end")]
        side = SIZE
        for i, (depth, dim) in enumerate(zip(model.depths, model.dims, strict=True)):
            side //= model.patch_size if i == 0 else 2
            what = (
                f"stem: {model.patch_size}x{model.patch_size} convolution, norm" if i == 0 else "norm, 2x2 convolution"
            )
            boxes += [(what, "step"), (f"stage {i + 1}: {depth} blocks\n{dim} x {side} x {side}", "stage")]
    boxes.append((f"average pooling, norm, Linear\n{model.num_classes} logits", "end"))
    dim = model.dim if isotropic else model.dims[0]
    block = ["x", f"depthwise convolution 7x7\n{dim} channels", "LayerNorm", f"Linear {dim} to {4 * dim}", "GELU"]
    block += ["global response norm"] if cls is models.ConvNeXtV2 else []
    block += [f"Linear {4 * dim} to {dim}"]
    if not isotropic and cls is not models.ConvNeXtV2:
        block.append("layer scale")
    block += ["drop path"]

    network, bottom = _column(14, 236, boxes)
    parts, y = _column(14, 190, [(text, "box" if i else "end") for i, text in enumerate(block)])
    center, right, start = 14 + 190 / 2, 14 + 190, 34 + 28 / 2
    parts += [
        f'<path class="arrow" d="M{center} {y - 14}v12"/>',
        f'<circle class="box" cx="{center}" cy="{y + 10}" r="11"/><text x="{center}" y="{y + 15}">+</text>',
        f'<path class="arrow" d="M{right} {start}h24V{y + 10}H{center + 13}"/>',
        f'<path class="arrow" d="M{center} {y + 22}v14"/>',
    ]
    what = "block" if isotropic else "block of stage 1"
    left = _svg(cls.__name__, "network", 264, bottom, network)
    return f'<div class="diagram">\n{left}\n{_svg(cls.__name__, what, 244, y + 46, parts)}\n</div>\n'


def _column(x: float, width: float, boxes: list[tuple[str, str]]) -> tuple[list[str], float]:
    """Boxes below each other with arrows between them, and where the next would start."""
    parts, y = [], 34.0
    for i, (text, kind) in enumerate(boxes):
        height = 42 if "\n" in text else 28
        if i:
            parts.append(f'<path class="arrow" d="M{x + width / 2} {y - 14}v12"/>')
        parts.append(_box(x, y, width, height, text, kind))
        y += height + 16
    return parts, y


def _svg(name: str, title: str, width: float, height: float, parts: list[str]) -> str:
    return (
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" role="img" aria-label="{name}: {title}">\n'
        '<defs><marker id="head" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path class="head" d="M0 0 8 4 0 8z"/></marker></defs>\n'
        f'<text class="title" x="{(264 if title == "network" else 218) / 2}" y="20">{title}</text>\n'
        + "\n".join(parts)
        + "\n</svg>"
    )
