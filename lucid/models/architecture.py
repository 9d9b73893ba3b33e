"""Which ConvNeXt a set of parameters makes, read off their names and shapes."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from lucid.models.convnext import ConvNeXtIsotropic, ConvNeXtV2
from lucid.models.variants import VARIANTS

_Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Architecture:
    """What has to agree for parameters to fit: the class, blocks and width of each stage, layer scale or none.

    As a string, the call that builds it.
    """

    family: str
    depths: tuple[int, ...]
    dims: tuple[int, ...]
    layer_scale: bool

    def __str__(self) -> str:
        if self.family == "ConvNeXtIsotropic":
            sizes = f"depth={self.depths[0]}, dim={self.dims[0]}"
        else:
            sizes = f"depths={list(self.depths)}, dims={list(self.dims)}"
        if self.family != "ConvNeXtV2" and self.layer_scale != (self.family == "ConvNeXt"):
            sizes += f", layer_scale_init={1e-6 if self.layer_scale else 0}"
        return f"{self.family}({sizes})"


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
        dims = tuple(_width(shapes, f"downsample_layers.{s}.{int(s > 0)}.weight", f"stages.{s}.") for s in stages)
    layer_scale = any(name.endswith(".gamma") and ".grn." not in name for name in shapes)
    return Architecture(family, depths, dims, layer_scale)


def _width(shapes: _Shapes, convolution: str, block: str) -> int:
    """The channels that ``convolution`` gives; where it is missing, those of any depthwise weight behind ``block``."""
    depthwise = (shape for name, shape in shapes.items() if name.startswith(block) and name.endswith("dwconv.weight"))
    return next(iter(shapes.get(convolution) or next(depthwise, ())), 0)


def variant_of(wanted: Architecture) -> str | None:
    """The name of the variant that has exactly this architecture."""
    return next((name for name, one in _variants().items() if one == wanted), None)


def nearest_variant(wanted: Architecture) -> str:
    """The name of the variant that is most like it: of its family, then in width and number of blocks."""

    def distance(one: Architecture) -> tuple[bool, float]:
        sizes = zip(_padded(one), _padded(wanted), strict=True)
        return one.family != wanted.family, sum(abs(math.log(max(a, 0.5) / max(b, 0.5))) for a, b in sizes)

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
            found[name] = Architecture(kind.__name__, tuple(options["depths"]), tuple(options["dims"]), scaled)
    return found
