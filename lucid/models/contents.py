"""What a checkpoint holds: the ConvNeXts in a (nested) mapping of names to tensors, under official names.

A network is found by the depthwise weights of its blocks, whatever stands before their names (``module.``,
``backbone.``) and whatever mappings it lies in (``["model"]``, ``["state_dict_ema"]``).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from lucid.models.dialects import translate

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
