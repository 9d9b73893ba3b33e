"""Find the ConvNeXts in a checkpoint, and read their architecture from names and shapes.

A network is recognized by the depthwise weights of its blocks, under any prefix (``module.``, ``backbone.``) and in
nested mappings (``["model"]``, ``["state_dict_ema"]``).
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any

from lucid.models.convnext import ConvNeXtIsotropic, ConvNeXtV2
from lucid.models.variants import VARIANTS
from lucid.models.weights.dialects import DEPTHWISE, translate

_MAX_DEPTH = 4  # of nested mappings
_BASE_MODEL = re.compile(r"convnext(v2)?\.$")  # Hugging Face's classifier is outside the network
_EMA = re.compile(r"(^|[._])ema($|[._])|average", re.IGNORECASE)
_OPTIMIZER = re.compile(r"(^|[._])(optim|exp_avg|momentum|moments?\b)", re.IGNORECASE)  # its state repeats every name


class MismatchError(ValueError, RuntimeError):
    """A checkpoint does not fit the model. It is a ValueError, and also a RuntimeError as in PyTorch.

    Example:
        >>> tiny = models.ConvNeXt(2, [1], [16])
        >>> models.save_checkpoint(tiny, "tiny.safetensors")
        >>> try:
        ...     models.load_checkpoint(models.ConvNeXt(2, [1], [24]), "tiny.safetensors")
        ... except models.MismatchError:
        ...     print("another architecture")
        ...
        another architecture
    """


@dataclass
class Network:
    """One network in a checkpoint.

    Attributes:
        dialect: The library whose names it has.
        wrapper: Keys of the nested mappings that contain it.
        prefix: Prefix of its names.
        tensors: Values by official name.
        names: Names in the checkpoint by official name.
        unknown: Names with the prefix that the dialect does not have.
        outside: Names without the prefix.
    """

    dialect: str
    wrapper: tuple[str, ...]
    prefix: str
    tensors: dict[str, Any] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)

    @property
    def is_ema(self) -> bool:
        """Whether wrapper or prefix mark it as an exponential moving average."""
        return any(_EMA.search(one) for one in (*self.wrapper, self.prefix))

    def __str__(self) -> str:
        return describe_location(self.dialect, self.wrapper, self.prefix)


def describe_location(dialect: str, wrapper: tuple[str, ...], prefix: str) -> str:
    """Such as ``timm names in ['state_dict'] with prefix 'module.'``."""
    at = "".join(f"[{key!r}]" for key in wrapper)
    return f"{dialect} names" + (f" in {at}" if wrapper else "") + (f" with prefix {prefix!r}" if prefix else "")


def find_networks(tree: Mapping[Any, Any], wrapper: tuple[str, ...] = ()) -> Iterator[Network]:
    """Find every ConvNeXt in ``tree`` and its nested mappings, outermost first."""
    flat = {name: value for name, value in tree.items() if isinstance(name, str) and hasattr(value, "shape")}
    found = {
        (dialect, match["prefix"]): None
        for name in flat
        for dialect, pattern in DEPTHWISE.items()
        if (match := pattern.fullmatch(name)) and not _OPTIMIZER.search(match["prefix"])
    }
    prefixes = [prefix for _, prefix in found]
    for dialect, prefix in found:
        yield _collect(flat, Network(dialect, wrapper, prefix), prefixes)
    if len(wrapper) < _MAX_DEPTH:
        for key, value in tree.items():
            if isinstance(value, Mapping) and not _OPTIMIZER.search(str(key)):
                yield from find_networks(value, (*wrapper, str(key)))


def _collect(flat: Mapping[str, Any], network: Network, prefixes: list[str]) -> Network:
    prefix = network.prefix
    others = tuple(one for one in prefixes if one != prefix and one.startswith(prefix))
    beside = _BASE_MODEL.sub("", prefix) + "classifier." if network.dialect == "huggingface" else None
    for name, value in flat.items():
        if name.startswith(prefix) and not (others and name.startswith(others)):
            inner = name.removeprefix(prefix)
        elif beside is not None and name.startswith(beside):
            inner = "classifier." + name.removeprefix(beside)
        else:
            network.outside.append(name)
            continue
        official = translate(inner, network.dialect, "official")
        if official is None:
            network.unknown.append(name)
        else:
            network.tensors[official], network.names[official] = value, name
    return network


def select_network(caller: str, found: list[Network], use_ema: bool) -> Network:
    """Select the network to load: of several the moving average, or with ``use_ema=False`` the one that is not.

    Raises:
        MismatchError: More than one network remains.
    """
    wanted = [one for one in found if one.is_ema == use_ema] or found
    if len(wanted) > 1:
        raise MismatchError(
            f"{caller} holds {len(wanted)} networks: {'; '.join(str(one) for one in wanted)}. "
            "Pass the mapping that contains the right one"
        )
    return wanted[0]


_Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Architecture:
    """The properties of a network that decide whether parameters fit.

    ``family`` is the name of the class. ``str`` gives the call that builds the network.
    """

    family: str
    depths: tuple[int, ...]
    dims: tuple[int, ...]
    layer_scale: bool
    stem_type: str = "patch"
    head_norm_first: bool = False
    head_hidden_size: int | None = None

    def options(self) -> dict[str, Any]:
        """Arguments of the class, without those at their defaults."""
        if self.family == "ConvNeXtIsotropic":
            found: dict[str, Any] = {"depth": self.depths[0], "dim": self.dims[0]}
        else:
            found = {"depths": list(self.depths), "dims": list(self.dims)}
        if self.family != "ConvNeXtV2" and self.layer_scale != (self.family == "ConvNeXt"):
            found["layer_scale_init"] = 1e-6 if self.layer_scale else 0
        return found | self.timm_options()

    def timm_options(self) -> dict[str, Any]:
        """The options among them that only timm's models have."""
        return {name: getattr(self, name) for name, default in _TIMM_DEFAULTS.items() if getattr(self, name) != default}

    def __str__(self) -> str:
        return f"{self.family}({', '.join(f'{name}={value!r}' for name, value in self.options().items())})"


_TIMM_DEFAULTS = {field.name: field.default for field in fields(Architecture) if field.default is not MISSING}


def architecture_of(shapes: _Shapes) -> Architecture:
    """The architecture of parameters with these official names and shapes. Some may be missing."""
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
    """The type of the stem. In narrow networks "overlap_tiered" has the shapes of "overlap"."""
    layers = {name.split(".")[2] for name in shapes if name.startswith("downsample_layers.0.")}
    if "3" in layers:
        return "overlap_act"
    if "2" not in layers:
        return "patch"
    first = shapes.get("downsample_layers.0.0.weight") or shapes.get("downsample_layers.0.0.bias") or (width,)
    return "overlap" if first[0] == width else "overlap_tiered"


def _width(shapes: _Shapes, convolution: str, block: str) -> int:
    """Output channels of ``convolution``; if it is missing, those of any depthwise weight with the prefix ``block``."""
    depthwise = (shape for name, shape in shapes.items() if name.startswith(block) and name.endswith("dwconv.weight"))
    return next(iter(shapes.get(convolution) or next(depthwise, ())), 0)


def variant_of(wanted: Architecture) -> str | None:
    """Name of the variant with exactly this architecture."""
    return next((name for name, one in _variant_architectures().items() if one == wanted), None)


def nearest_variant(wanted: Architecture) -> str:
    """Name of the most similar variant: by family, then stem and head, then widths and depths."""

    def distance(one: Architecture) -> tuple[bool, bool, float]:
        sizes = zip(_sizes(one), _sizes(wanted), strict=True)
        apart = sum(abs(math.log(max(a, 0.5) / max(b, 0.5))) for a, b in sizes)
        return one.family != wanted.family, one.timm_options() != wanted.timm_options(), apart

    variants = _variant_architectures()
    return min(variants, key=lambda name: distance(variants[name]))


def _sizes(one: Architecture) -> list[int]:
    length = 8  # number of stages to compare
    return [*one.depths, *[0] * length][:length] + [*one.dims, *[0] * length][:length]


def _variant_architectures() -> dict[str, Architecture]:
    found = {}
    for variant, (kind, options) in VARIANTS.items():
        if issubclass(kind, ConvNeXtIsotropic):
            found[variant] = Architecture(kind.__name__, (options["depth"],), (options["dim"],), False)
        else:
            scaled = not issubclass(kind, ConvNeXtV2)
            timm_options = {name: options[name] for name in _TIMM_DEFAULTS if name in options}
            found[variant] = Architecture(kind.__name__, options["depths"], options["dims"], scaled, **timm_options)
    return found
