"""What a checkpoint holds: the ConvNeXts in a (nested) mapping of names to tensors, under official names.

A network is found by the depthwise weights of its blocks, whatever stands before their names (``module.``,
``backbone.``) and whatever mappings it lies in (``["model"]``, ``["state_dict_ema"]``).
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any

from lucid.models.convnext import ConvNeXtIsotropic, ConvNeXtV2
from lucid.models.variants import VARIANTS
from lucid.models.weights.dialects import translate

_DEEPEST = 4  # mappings inside mappings that are looked through
_DEPTHWISE = {
    dialect: re.compile(rf"(?P<prefix>(?:.+\.)?)(?:{name})\.weight")
    for dialect, name in {
        "official": r"stages\.\d{1,3}\.\d{1,3}\.dwconv|blocks\.\d{1,3}\.dwconv",
        "torchvision": r"features\.\d{1,3}\.\d{1,3}\.block\.0",
        "timm": r"stages\.\d{1,3}\.blocks\.\d{1,3}\.conv_dw",
        "huggingface": r"encoder\.stages\.\d{1,3}\.layers\.\d{1,3}\.dwconv",
    }.items()
}
_BASE_MODEL = re.compile(r"convnext(v2)?\.$")  # Hugging Face's classifier stands beside the network
_EMA = re.compile(r"(^|[._])ema($|[._])|average", re.IGNORECASE)
_OF_OPTIMIZER = re.compile(r"(^|[._])(optim|exp_avg|momentum|moments?\b)", re.IGNORECASE)  # may repeat all names


class MismatchError(ValueError, RuntimeError):
    """A checkpoint does not fit the model: a ValueError as elsewhere here, a RuntimeError as in PyTorch."""


@dataclass
class Network:
    """One network of a checkpoint.

    ``wrapper``: the keys of the mappings it lies in; ``prefix``: what stands before its names. ``tensors`` and
    ``names``: the values, and the names in the checkpoint, of the parameters by official name. ``unknown``: names
    behind the prefix that the dialect does not have; ``outside``: names not behind the prefix.
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
        """Whether the way to it says that it is an exponential moving average."""
        return any(_EMA.search(one) for one in (*self.wrapper, self.prefix))

    def __str__(self) -> str:
        return place_in_words(self.dialect, self.wrapper, self.prefix)


def place_in_words(dialect: str, wrapper: tuple[str, ...], prefix: str) -> str:
    """``timm names in ['state_dict'] behind 'module.'``"""
    at = "".join(f"[{key!r}]" for key in wrapper)
    return f"{dialect} names" + (f" in {at}" if wrapper else "") + (f" behind {prefix!r}" if prefix else "")


def networks(tree: Mapping[Any, Any], wrapper: tuple[str, ...] = ()) -> Iterator[Network]:
    """Every ConvNeXt in ``tree`` and the mappings in it, the outermost first."""
    flat = {name: value for name, value in tree.items() if isinstance(name, str) and hasattr(value, "shape")}
    found = {
        (dialect, match["prefix"]): None
        for name in flat
        for dialect, pattern in _DEPTHWISE.items()
        if (match := pattern.fullmatch(name)) and not _OF_OPTIMIZER.search(match["prefix"])
    }
    prefixes = [prefix for _, prefix in found]
    for dialect, prefix in found:
        yield _network(flat, Network(dialect, wrapper, prefix), prefixes)
    if len(wrapper) < _DEEPEST:
        for key, value in tree.items():
            if isinstance(value, Mapping) and not _OF_OPTIMIZER.search(str(key)):
                yield from networks(value, (*wrapper, str(key)))


def _network(flat: Mapping[str, Any], network: Network, prefixes: list[str]) -> Network:
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


def choose(where: str, found: list[Network], use_ema: bool) -> Network:
    """The network to load: of several the average, or with ``use_ema`` off the plain one.

    Raises:
        MismatchError: more than one remains.
    """
    wanted = [one for one in found if one.is_ema == use_ema] or found
    if len(wanted) > 1:
        raise MismatchError(
            f"{where} holds {len(wanted)} networks: {'; '.join(str(one) for one in wanted)}. "
            "Pass the mapping of the wanted one alone"
        )
    return wanted[0]


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
