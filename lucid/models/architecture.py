"""Which ConvNeXt a set of parameters makes, read off their names and shapes."""

import math
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any

from lucid.models.convnext import ConvNeXtIsotropic, ConvNeXtV2
from lucid.models.variants import VARIANTS

_Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Architecture:
    """What has to agree for parameters to fit: the class, blocks and width of each stage, layer scale or none, and
    timm's forms of stem and head.

    As a string, the call that builds it.
    """

    family: str
    depths: tuple[int, ...]
    dims: tuple[int, ...]
    layer_scale: bool
    stem_type: str = "patch"
    head_norm_first: bool = False
    head_hidden_size: int | None = None

    def options(self) -> dict[str, Any]:
        """The options of the class that build it, where they are not its defaults."""
        if self.family == "ConvNeXtIsotropic":
            found: dict[str, Any] = {"depth": self.depths[0], "dim": self.dims[0]}
        else:
            found = {"depths": list(self.depths), "dims": list(self.dims)}
        if self.family != "ConvNeXtV2" and self.layer_scale != (self.family == "ConvNeXt"):
            found["layer_scale_init"] = 1e-6 if self.layer_scale else 0
        return found | self.forms()

    def forms(self) -> dict[str, Any]:
        """Those of the options that only timm's models have."""
        return {name: getattr(self, name) for name, usual in _FORMS.items() if getattr(self, name) != usual}

    def __str__(self) -> str:
        return f"{self.family}({', '.join(f'{name}={value!r}' for name, value in self.options().items())})"


_FORMS = {one.name: one.default for one in fields(Architecture) if one.default is not MISSING}


def architecture_of(shapes: _Shapes) -> Architecture:
    """The architecture whose parameters have these official names and shapes. Some may be missing."""
    parts = [name.split(".") for name in shapes]
    if any(part[0] in ("stem", "blocks") for part in parts):
        family = "ConvNeXtIsotropic"
        depths: tuple[int, ...] = (1 + max((int(part[1]) for part in parts if part[0] == "blocks"), default=-1),)
        dims: tuple[int, ...] = (_width(shapes, "stem.weight", "blocks."),)
    else:
        family = "ConvNeXtV2" if any(".grn." in name for name in shapes) else "ConvNeXt"
        blocks = {int(part[1]): 0 for part in parts if part[0] in ("downsample_layers", "stages")}
        for part in parts:
            if part[0] == "stages":
                blocks[int(part[1])] = max(blocks[int(part[1])], int(part[2]) + 1)
        stages = range(1 + max(blocks))
        depths = tuple(blocks.get(s, 0) for s in stages)
        last = max((int(part[2]) for part in parts if part[:2] == ["downsample_layers", "0"]), default=1) - 1
        places = (f"downsample_layers.{s}.{1 if s else last}.weight" for s in stages)
        dims = tuple(_width(shapes, place, f"stages.{s}.") for s, place in enumerate(places))
    layer_scale = any(name.endswith(".gamma") and ".grn." not in name for name in shapes)
    if family == "ConvNeXtIsotropic":
        return Architecture(family, depths, dims, layer_scale)
    hidden = shapes.get("pre_logits.weight") or shapes.get("pre_logits.bias")
    return Architecture(
        family, depths, dims, layer_scale, _stem_type(shapes, dims[0]),
        any(name.startswith("norm_pre.") for name in shapes), hidden[0] if hidden else None,
    )  # fmt: skip


def _stem_type(shapes: _Shapes, width: int) -> str:
    """As far as names and shapes tell: a narrow network's "overlap_tiered" is an "overlap"."""
    layers = {name.split(".")[2] for name in shapes if name.startswith("downsample_layers.0.")}
    if "3" in layers:
        return "overlap_act"
    if "2" not in layers:
        return "patch"
    first = shapes.get("downsample_layers.0.0.weight") or shapes.get("downsample_layers.0.0.bias") or (width,)
    return "overlap" if first[0] == width else "overlap_tiered"


def _width(shapes: _Shapes, convolution: str, block: str) -> int:
    """The channels that ``convolution`` gives; where it is missing, those of any depthwise weight behind ``block``."""
    depthwise = (shape for name, shape in shapes.items() if name.startswith(block) and name.endswith("dwconv.weight"))
    return next(iter(shapes.get(convolution) or next(depthwise, ())), 0)


def variant_of(wanted: Architecture) -> str | None:
    """The name of the variant that has exactly this architecture."""
    return next((name for name, one in _variants().items() if one == wanted), None)


def nearest_variant(wanted: Architecture) -> str:
    """The name of the variant that is most like it: in family, then stem and head, then width and number of blocks."""

    def distance(one: Architecture) -> tuple[bool, bool, float]:
        sizes = zip(_padded(one), _padded(wanted), strict=True)
        apart = sum(abs(math.log(max(a, 0.5) / max(b, 0.5))) for a, b in sizes)
        return one.family != wanted.family, one.forms() != wanted.forms(), apart

    variants = _variants()
    return min(variants, key=lambda name: distance(variants[name]))


def _padded(one: Architecture) -> list[int]:
    length = 8  # stages that are compared
    return [*one.depths, *[0] * length][:length] + [*one.dims, *[0] * length][:length]


def _variants() -> dict[str, Architecture]:
    found = {}
    for name, (kind, options) in VARIANTS.items():
        if issubclass(kind, ConvNeXtIsotropic):
            found[name] = Architecture(kind.__name__, (options["depth"],), (options["dim"],), False)
        else:
            scaled = not issubclass(kind, ConvNeXtV2)
            forms = {word: options[word] for word in _FORMS if word in options}
            found[name] = Architecture(kind.__name__, options["depths"], options["dims"], scaled, **forms)
    return found
