"""Parameter names and shapes of ConvNeXt in the four public implementations, the dialects.

Lucid's names are the authors', with names in the same style for parameters that only timm has. A name is parsed with
the template of one dialect and formatted with that of another.

Sources: github.com/facebookresearch/ConvNeXt and ConvNeXt-V2 (official), torchvision.models.convnext,
timm.models.convnext, transformers.models.convnext and convnextv2 (Hugging Face).
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

DIALECTS = ("official", "torchvision", "timm", "huggingface")

# By the depthwise weights of its blocks a network is recognized.
DEPTHWISE = {
    dialect: re.compile(rf"(?P<prefix>(?:.+\.)?)(?:{name})\.{'kernel' if dialect == 'fcmae' else 'weight'}")
    for dialect, name in {
        "official": r"stages\.\d{1,3}\.\d{1,3}\.dwconv|blocks\.\d{1,3}\.dwconv",
        "torchvision": r"features\.\d{1,3}\.\d{1,3}\.block\.0",
        "timm": r"stages\.\d{1,3}\.blocks\.\d{1,3}\.conv_dw",
        "huggingface": r"encoder\.stages\.\d{1,3}\.layers\.\d{1,3}\.dwconv",
        "dinov3": r"stages\.\d{1,3}\.layers\.\d{1,3}\.depthwise_conv",
        "openmmlab": r"stages\.\d{1,3}\.\d{1,3}\.depthwise_conv",
        "fcmae": r"stages\.\d{1,3}\.\d{1,3}\.dwconv",
    }.items()
}

# {s}: stage, {d}: downsampling before stage 1, 2, ..., {b}: block, {p}: weight or bias. torchvision counts stages and
# downsamplings together: {odd} is 2s + 1, {even} is 2d. None: the dialect has no such parameter.
_Row = tuple[str | None, str | None, str | None, str | None]
_NETWORK: list[_Row] = [
    ("downsample_layers.0.0.{p}", "features.0.0.{p}", "stem.0.{p}", "embeddings.patch_embeddings.{p}"),
    ("downsample_layers.0.1.{p}", "features.0.1.{p}", "stem.1.{p}", "embeddings.layernorm.{p}"),
    ("downsample_layers.0.2.{p}", None, "stem.2.{p}", None),
    ("downsample_layers.0.3.{p}", None, "stem.3.{p}", None),
    ("downsample_layers.{d}.0.{p}", "features.{even}.0.{p}", "stages.{d}.downsample.0.{p}",
     "encoder.stages.{d}.downsampling_layer.0.{p}"),
    ("downsample_layers.{d}.1.{p}", "features.{even}.1.{p}", "stages.{d}.downsample.1.{p}",
     "encoder.stages.{d}.downsampling_layer.1.{p}"),
    ("norm_pre.{p}", None, "norm_pre.{p}", None),
    ("norm.{p}", "classifier.0.{p}", "head.norm.{p}", "layernorm.{p}"),
    ("pre_logits.{p}", None, "head.pre_logits.fc.{p}", None),
    ("head.{p}", "classifier.2.{p}", "head.fc.{p}", "classifier.{p}"),
    ("stem.{p}", None, None, None),
]  # fmt: skip
_BLOCK: list[_Row] = [
    ("dwconv.{p}", "block.0.{p}", "conv_dw.{p}", "dwconv.{p}"),
    ("norm.{p}", "block.2.{p}", "norm.{p}", "layernorm.{p}"),
    ("pwconv1.{p}", "block.3.{p}", "mlp.fc1.{p}", "pwconv1.{p}"),
    ("pwconv2.{p}", "block.5.{p}", "mlp.fc2.{p}", "pwconv2.{p}"),
    ("gamma", "layer_scale", "gamma", "layer_scale_parameter"),
    ("grn.gamma", None, "mlp.grn.weight", "grn.weight"),
    ("grn.beta", None, "mlp.grn.bias", "grn.bias"),
]
_BLOCK_AT: _Row = ("stages.{s}.{b}.", "features.{odd}.{b}.", "stages.{s}.blocks.{b}.", "encoder.stages.{s}.layers.{b}.")
_ISOTROPIC_BLOCK_AT: _Row = ("blocks.{b}.", None, None, None)
_FIELDS = {
    "s": r"0|[1-9]\d{0,2}",
    "b": r"0|[1-9]\d{0,2}",
    "d": r"[1-9]\d{0,2}",
    "odd": r"(?:[1-9]\d?)?[13579]",
    "even": r"[1-9]\d?[02468]|[2468]",
    "p": "weight|bias",
}


def _templates() -> Iterator[dict[str, str]]:
    """For each parameter, its template in each dialect that has it."""
    nowhere: _Row = ("", "", "", "")
    for at, rows in ((nowhere, _NETWORK), (_BLOCK_AT, _BLOCK), (_ISOTROPIC_BLOCK_AT, _BLOCK)):
        for row in rows:
            both = zip(DIALECTS, at, row, strict=True)
            yield {dialect: before + name for dialect, before, name in both if before is not None and name is not None}


def _pattern(template: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\{(\w+)\\}", lambda m: f"(?P<{m[1]}>{_FIELDS[m[1]]})", re.escape(template)))


_TEMPLATES = list(_templates())
_PATTERNS = [{dialect: _pattern(template) for dialect, template in one.items()} for one in _TEMPLATES]


def translate(name: str, source: str, target: str) -> str | None:
    """Translate a parameter name from one dialect to another.

    None if ``source`` has no such name or ``target`` no such parameter.
    """
    for patterns, templates in zip(_PATTERNS, _TEMPLATES, strict=True):
        match = patterns[source].fullmatch(name) if source in patterns else None
        if match is None:
            continue
        fields = match.groupdict()
        stage = next((int(fields[one]) for one in ("s", "d") if one in fields), None)
        if stage is None:  # torchvision: (2s + 1) // 2 is s, 2d // 2 is d
            stage = next((int(fields[one]) // 2 for one in ("odd", "even") if one in fields), 0)
        fields |= {"s": str(stage), "d": str(stage), "odd": str(2 * stage + 1), "even": str(2 * stage)}
        return templates[target].format(**fields) if target in templates else None
    return None


def foreign_names(tree: Mapping[str, Any]) -> str | None:
    """What a mapping holds that ``load_checkpoint`` reads and ``load_state_dict`` does not, in a few words."""
    for name, value in tree.items():
        if isinstance(value, Mapping):
            return f"weights inside of {name!r}"
        for dialect, pattern in DEPTHWISE.items():
            match = pattern.fullmatch(str(name))
            if match and (dialect != "official" or match["prefix"]):
                prefix = f" with the prefix {match['prefix']!r}" if match["prefix"] else ""
                return f"{dialect} names{prefix}"
    return None


def shape_in(
    dialect: str, name: str, shape: tuple[int, ...], pointwise_convolutions: bool = False, pooled: bool = True
) -> tuple[int, ...]:
    """The shape in ``dialect`` of the parameter with the official ``name`` and ``shape``.

    timm has 1x1 convolutions instead of Linear layers in the blocks with ``conv_mlp=True``
    (``pointwise_convolutions``), and in the head without pooling (``pooled=False``).
    """
    if dialect == "torchvision" and name.endswith(".gamma"):
        return (*shape, 1, 1)
    if dialect == "timm" and ".grn." in name:
        return shape[-1:]
    if dialect == "timm" and pointwise_convolutions and ".pwconv" in name and name.endswith(".weight"):
        return (*shape, 1, 1)
    if dialect == "timm" and not pooled and name in ("head.weight", "pre_logits.weight"):
        return (*shape, 1, 1)
    return shape
