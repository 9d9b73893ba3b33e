"""Nested tuples, lists and dictionaries of tensors, as functions take and return them."""

from collections.abc import Callable
from typing import Any

Rebuild = Callable[[list[Any]], Any]


def flatten(value: Any) -> tuple[list[Any], Rebuild]:
    """The leaves of nested containers in order, and a function that puts others in their place."""
    leaves: list[Any] = []

    def describe(one: Any) -> Any:
        if isinstance(one, dict):
            return {key: describe(each) for key, each in one.items()}
        if isinstance(one, list | tuple):
            parts = [describe(each) for each in one]
            return _Sequence(type(one), parts)
        leaves.append(one)
        return len(leaves) - 1

    structure = describe(value)

    def rebuild(values: list[Any]) -> Any:
        def make(one: Any) -> Any:
            if isinstance(one, dict):
                return {key: make(each) for key, each in one.items()}
            if isinstance(one, _Sequence):
                parts = [make(each) for each in one.parts]
                return one.kind(*parts) if hasattr(one.kind, "_fields") else one.kind(parts)
            return values[one]

        return make(structure)

    return leaves, rebuild


class _Sequence:
    def __init__(self, kind: Any, parts: list[Any]) -> None:
        self.kind, self.parts = kind, parts


def spread(dims: Any, value: Any, caller: str, name: str) -> list[Any]:
    """One entry of ``dims`` for each leaf of ``value``: an entry of a container holds for all leaves inside.

    Raises:
        ValueError: the structures differ.
    """
    if dims is None or isinstance(dims, int):
        return [dims] * len(flatten(value)[0])
    if isinstance(value, dict) and isinstance(dims, dict) and dims.keys() == value.keys():
        return [one for key in value for one in spread(dims[key], value[key], caller, name)]
    if isinstance(value, list | tuple) and isinstance(dims, list | tuple) and len(dims) == len(value):
        return [one for d, each in zip(dims, value, strict=True) for one in spread(d, each, caller, name)]
    raise ValueError(f"{caller}: {name} {dims!r} does not have the structure of the {type(value).__name__} it is for")
