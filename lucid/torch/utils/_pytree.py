"""``torch.utils._pytree``: nested containers as flat lists, which torchvision's transforms use."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class TreeSpec:
    """A container's type, what it needs to be made again (keys), and the specifications of its items."""

    type: Any
    context: Any
    children_specs: tuple[TreeSpec, ...]

    @property
    def num_leaves(self) -> int:
        return 1 if self.type is None else sum(one.num_leaves for one in self.children_specs)


def _is_namedtuple(value: Any) -> bool:
    return isinstance(value, tuple) and hasattr(value, "_fields")


def _parts(tree: Any) -> tuple[Any, Any, list[Any]] | None:
    """The type, context and items of a container, None for a leaf."""
    if type(tree) in (dict, OrderedDict):
        return type(tree), list(tree), list(tree.values())
    if type(tree) is defaultdict:
        return defaultdict, (tree.default_factory, list(tree)), list(tree.values())
    if type(tree) in (list, tuple) or _is_namedtuple(tree):
        return type(tree), None, list(tree)
    return None


def tree_flatten(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> tuple[list[Any], TreeSpec]:
    """The leaves of nested lists, tuples and dictionaries, and how to put them together again."""
    parts = None if is_leaf is not None and is_leaf(tree) else _parts(tree)
    if parts is None:
        return [tree], TreeSpec(None, None, ())
    kind, context, items = parts
    leaves, specs = [], []
    for item in items:
        found, spec = tree_flatten(item, is_leaf)
        leaves += found
        specs.append(spec)
    return leaves, TreeSpec(kind, context, tuple(specs))


def tree_unflatten(leaves: Any, treespec: TreeSpec) -> Any:
    """The inverse of ``tree_flatten``."""
    return _built(iter(leaves), treespec)


def _built(leaves: Any, spec: TreeSpec) -> Any:
    if spec.type is None:
        return next(leaves)
    items = [_built(leaves, one) for one in spec.children_specs]
    if spec.type in (dict, OrderedDict):
        return spec.type(zip(spec.context, items, strict=True))
    if spec.type is defaultdict:
        factory, keys = spec.context
        return defaultdict(factory, zip(keys, items, strict=True))
    return spec.type(items) if spec.type in (list, tuple) else spec.type(*items)


def tree_map(func: Callable[..., Any], tree: Any, *rests: Any, is_leaf: Callable[[Any], bool] | None = None) -> Any:
    """``func`` of each leaf, in containers like those of ``tree``."""
    leaves, spec = tree_flatten(tree, is_leaf)
    others = [tree_flatten(rest, is_leaf)[0] for rest in rests]
    return tree_unflatten([func(*values) for values in zip(leaves, *others, strict=True)], spec)


def tree_leaves(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> list[Any]:
    """The leaves of ``tree``."""
    return tree_flatten(tree, is_leaf)[0]
