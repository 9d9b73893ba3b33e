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
from lucid.models.weights.foreign import (
    UNUSED,
    converted,
    decoder_name,
    is_projection,
    name_beside,
    official_name,
    own_classifier,
    zeros_for,
)
from lucid.serialization import Placeholder

_MAX_DEPTH = 4  # of nested mappings
# Wrappers of FSDP, activation checkpointing and torch.compile, which may be anywhere in a name.
_WRAPPERS = re.compile(r"_fsdp_wrapped_module\.|_checkpoint_wrapped_module\.|(?<=\d\.)_orig_mod\.")
_BASE_MODEL = re.compile(r"convnext(v2)?\.$")  # Hugging Face's classifier is outside the network
_EMA = re.compile(r"(^|[._])ema($|[._])|average", re.IGNORECASE)
_OPTIMIZER = re.compile(r"(^|[._])(optim|exp_avg|momentum|moments?\b)", re.IGNORECASE)  # its state repeats every name


CLASSIFIER = ("head.weight", "head.bias")


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
        unsupported: Placeholders of tensors that Lucid cannot build, by official name.
        decoder: Names in the checkpoint and values of the decoder of FCMAE, by the names of ``models.FCMAE``. They are
            in ``outside``, too.
        is_projection: Whether OpenCLIP's projection to embeddings is in the place of the classifier.
    """

    dialect: str
    wrapper: tuple[str, ...]
    prefix: str
    tensors: dict[str, Any] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)
    unsupported: dict[str, Placeholder] = field(default_factory=dict)
    decoder: dict[str, "_Entry"] = field(default_factory=dict)
    is_projection: bool = False

    @property
    def is_clip(self) -> bool:
        """Whether it is the image tower of an OpenCLIP checkpoint."""
        return self.dialect == "timm" and self.prefix.endswith("visual.trunk.")

    @property
    def is_dinov3(self) -> bool:
        """Whether it is DINOv3's, in the names of transformers or of its authors, who also store norms of maps."""
        names = (*self.names.values(), *self.outside)
        return self.dialect == "dinov3" or any(name.endswith("norms.3.weight") for name in names)

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
    flat: dict[str, _Entry] = {}
    for name, value in tree.items():
        if isinstance(name, str) and (hasattr(value, "shape") or isinstance(value, Placeholder)):
            flat.setdefault(_WRAPPERS.sub("", name), (name, value))
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


_Entry = tuple[str, Any]  # the name in the checkpoint and the value


def _collect(flat: Mapping[str, _Entry], network: Network, prefixes: list[str]) -> Network:
    """Fill ``network`` from ``flat``, the entries by name without wrappers."""
    prefix, dialect = network.prefix, network.dialect
    others = tuple(one for one in prefixes if one != prefix and one.startswith(prefix))
    beside = _BASE_MODEL.sub("", prefix) + "classifier." if dialect == "huggingface" else None
    rest: dict[str, _Entry] = {}  # entries that are not used, by name without prefix
    parent = prefix[: prefix.rstrip(".").rfind(".") + 1]
    for name, (original, value) in flat.items():
        inside = name.startswith(prefix) and not (others and name.startswith(others))
        if inside:
            official = official_name(name.removeprefix(prefix), dialect)
        elif beside is not None and name.startswith(beside):
            official = translate("classifier." + name.removeprefix(beside), dialect, "official")
        else:
            official = name_beside(name, dialect, prefix)
        if official is not None and official != UNUSED and isinstance(value, Placeholder):
            network.unsupported.setdefault(official, value)
            network.names.setdefault(official, original)
        elif official is not None and official != UNUSED and official not in network.tensors:
            network.tensors[official] = converted(official, value, dialect)
            network.names[official] = original
        elif (own := decoder_name(name, dialect, prefix)) and not isinstance(value, Placeholder):
            network.decoder[own] = original, value
            network.outside.append(original)
        elif not isinstance(value, Placeholder):
            unused = network.unknown if inside and official is None else network.outside
            unused.append(original)
            rest[name.removeprefix(prefix if inside else parent)] = original, value
    _add_classifier(network, rest)
    return network


def _add_classifier(network: Network, rest: Mapping[str, _Entry]) -> None:
    """Add a classifier with a name of its own, and the bias of one without."""
    tensors = network.tensors
    if "head.weight" not in tensors and "head.weight" not in network.unsupported:
        width = _last_width({name: tuple(tensor.shape) for name, tensor in tensors.items()})
        found = own_classifier({name: value for name, (_, value) in rest.items()}, width)
        stem = found.removesuffix("weight") if found else ""
        for official, name in (("head.weight", f"{stem}weight"), ("head.bias", f"{stem}bias")) if found else ():
            if name in rest:
                network.names[official], tensors[official] = rest[name]
                for names in (network.unknown, network.outside):
                    if rest[name][0] in names:
                        names.remove(rest[name][0])
    if "head.weight" in tensors and len(tensors["head.weight"].shape) > 1:
        network.is_projection = is_projection(network.names["head.weight"])
        if "head.bias" not in tensors and "head.bias" not in network.unsupported:
            tensors["head.bias"] = zeros_for(tensors["head.weight"])
            network.names["head.bias"] = f"{network.names['head.weight']} (without bias)"


def _last_width(shapes: "_Shapes") -> int:
    """Channels of the last block."""
    depthwise = [name for name in shapes if name.endswith(".dwconv.weight")]
    last = max(depthwise, key=lambda name: [int(one) for one in name.split(".") if one.isdecimal()], default="")
    return next(iter(shapes.get(last, ())), 0)


def describe_contents(tree: Any) -> str:
    """What a checkpoint without a ConvNeXt holds, for an error message."""
    if not isinstance(tree, Mapping):
        return f"it holds a {type(tree).__name__}"
    for key, value in tree.items():
        if isinstance(value, Placeholder) and ("model" in str(key) or "module" in str(key) or "net" in str(key)):
            return f"its {key!r} is a pickled {value.name}; in PyTorch, save its state_dict()"
    names = [str(name) for name in tree]
    return f"its names are {', '.join(names[:5]) or 'none'}" + (", ..." if len(names) > 5 else "")


def select_network(caller: str, found: list[Network], use_ema: bool) -> Network:
    """Select the network to load: of several the moving average, or with ``use_ema=False`` the one that is not.

    Raises:
        MismatchError: More than one network remains, or a placeholder stands for one of its tensors.
    """
    wanted = [one for one in found if one.is_ema == use_ema] or found
    if len(wanted) > 1:
        raise MismatchError(
            f"{caller} holds {len(wanted)} networks: {'; '.join(str(one) for one in wanted)}. "
            "Pass the mapping that contains the right one"
        )
    [network] = wanted
    for name, placeholder in network.unsupported.items():
        if name not in CLASSIFIER:
            raise MismatchError(f"{caller}: {network.names[name]} is {placeholder.name}, which is not supported")
    return network


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
