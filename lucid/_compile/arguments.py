"""Flatten nested arguments into tensors and arrays, with a key that tells which graph fits a call.

Tensors, ``mx.array``s and NumPy arrays (which the function receives as tensors) are inputs of the graph, and only their
shapes and dtypes are part of the key. All other values are compared at every call, see ``world.py``.
"""

from __future__ import annotations

import copy
import inspect
import operator
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import mlx.core as mx
import numpy as np

from lucid import tape
from lucid._checks import dtype_name
from lucid._tensor import Tensor
from lucid._tensor_convert import as_array
from lucid.nn.module import Module
from lucid.optim.optimizer import Optimizer


class Arguments:
    """The arguments of one call. Calls with equal ``key`` share a graph.

    Raises:
        TypeError: a value is a module or an optimizer that is not state, or a container of an unsupported class.
    """

    __slots__ = ("_caller", "_known", "_places", "arrays", "key", "leaves", "tensors", "values")

    def __init__(self, caller: str, args: tuple[Any, ...], kwargs: dict[str, Any], known: Mapping[int, int]) -> None:
        self._caller, self._known = caller, known  # indices of the state's tensors, by id
        self.tensors: list[Tensor] = []
        self.leaves: list[Tensor] = []  # tensors that accumulate gradients
        self.arrays: list[mx.array] = []
        self.values: list[Any] = []  # Python values
        self._places: dict[int, int] = {}
        self.key = tuple([self._flatten(value) for value in args])
        if kwargs:
            self.key += tuple([(name, self._flatten(kwargs[name])) for name in sorted(kwargs)])

    def _flatten(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            place = self._known.get(id(value))
            if place is not None:
                return "state", place
            place = self._places.get(id(value))
            if place is not None:
                return "again", place
            self._places[id(value)] = len(self.tensors)
            self.tensors.append(value)
            if value._requires_grad:
                self.leaves.append(value)
            return value._array.shape, value._array.dtype, value._requires_grad, value._node is None
        if isinstance(value, mx.array):
            self.arrays.append(value)
            return "array", value.shape, value.dtype
        if isinstance(value, np.ndarray):
            return self._flatten(tape.wrap(as_array(value)))
        if isinstance(value, list | tuple | dict):
            check_container(self._caller, value)
        if isinstance(value, list | tuple):
            return type(value), tuple([self._flatten(item) for item in value])
        if isinstance(value, dict):
            return type(value), tuple([(name, self._flatten(item)) for name, item in value.items()])
        if isinstance(value, Module | Optimizer) and id(value) not in self._known:
            raise TypeError(
                f"{self._caller}: an argument is a {type(value).__name__} that is not in state, so its tensors "
                "would be frozen; list it: lucid.compile(function, state=[...])"
            )
        self.values.append(value)
        return len(self.values)


def check_container(caller: str, value: Any) -> None:
    """Refuse containers of classes that cannot be built again.

    Raises:
        TypeError: the class is neither built in nor a named tuple, OrderedDict or defaultdict.
    """
    if type(value) not in _CONTAINERS and not (isinstance(value, tuple) and hasattr(value, "_fields")):
        base = next(kind.__name__ for kind in (list, tuple, dict) if isinstance(value, kind))
        raise TypeError(
            f"{caller}: a {type(value).__name__} cannot be passed into or out of a compiled function; "
            f"convert it to a {base}"
        )


_CONTAINERS = (list, tuple, dict, OrderedDict, defaultdict)


class Placeholder(NamedTuple):
    """Replaces a tensor or an array in the arguments or the result of a graph."""

    kind: str  # "state", "tensor" or "array"
    at: int
    number: int = -1  # of a tensor in the result, which may occur several times


class Structure(NamedTuple):
    """The nesting of arguments, with placeholders instead of arrays."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    made: list[tuple[Any, list[Any]]]  # the lists and dictionaries that ``fill`` has made, and their items

    @classmethod
    def of(cls, args: tuple[Any, ...], kwargs: dict[str, Any], known: Mapping[int, int]) -> Structure:
        """Walks the arguments in the same order as ``Arguments``."""
        places: dict[int, int] = {}
        counts = {"tensor": 0, "array": 0}

        def empty(value: Any) -> Any:
            kind = "array" if isinstance(value, mx.array) else "tensor"
            if isinstance(value, Tensor):
                if id(value) in known:
                    return Placeholder("state", known[id(value)])
                if id(value) in places:
                    return Placeholder("tensor", places[id(value)])
                places[id(value)] = counts["tensor"]
            elif not isinstance(value, mx.array | np.ndarray):
                return map_container(value, empty)
            counts[kind] += 1
            return Placeholder(kind, counts[kind] - 1)

        new_args = tuple([empty(value) for value in args])
        return cls(new_args, {name: empty(kwargs[name]) for name in sorted(kwargs)}, [])

    def fill(self, **values: list[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments with placeholders replaced by the tensors and arrays in ``values``."""

        def fill(value: Any) -> Any:
            if isinstance(value, Placeholder):
                return values[value.kind][value.at]
            new = map_container(value, fill)
            if isinstance(new, list | dict):
                self.made.append((new, _items(new)))
            return new

        self.made.clear()
        return tuple([fill(value) for value in self.args]), {name: fill(one) for name, one in self.kwargs.items()}

    def check_unchanged(self, caller: str) -> None:
        """Refuse changes of the lists and dictionaries among the arguments, which are copies.

        Raises:
            RuntimeError: the function changed one.
        """
        made = self.made.copy()
        self.made.clear()
        for container, items in made:
            now = _items(container)
            if len(now) != len(items) or any(map(operator.is_not, now, items)):
                raise RuntimeError(
                    f"{caller}: the function changes a {type(container).__name__} among its arguments, which would be "
                    "lost; return the new values"
                )


def _items(container: Any) -> list[Any]:
    return [one for pair in container.items() for one in pair] if isinstance(container, dict) else list(container)


def map_container(value: Any, change: Callable[[Any], Any]) -> Any:
    """Apply ``change`` to every item of a list, tuple or dictionary; return anything else unchanged."""
    if isinstance(value, list):
        return [change(item) for item in value]
    if isinstance(value, tuple):
        values = [change(item) for item in value]
        return type(value)(*values) if hasattr(value, "_fields") else tuple(values)
    if isinstance(value, dict):
        items = {name: change(item) for name, item in value.items()}
        if type(value) is dict:
            return items
        new = copy.copy(value)  # keeps the factory of a defaultdict
        new.update(items)
        return new
    return value


def names_of_values(args: tuple[Any, ...], kwargs: Mapping[str, Any], names: list[str]) -> list[str]:
    """Names for ``Arguments.values``, in the same order."""
    found: list[str] = []

    def walk(name: str, value: Any) -> None:
        if isinstance(value, list | tuple):
            for i, item in enumerate(value):
                walk(f"{name}[{i}]", item)
        elif isinstance(value, dict):
            for key, item in value.items():
                walk(f"{name}[{key!r}]", item)
        elif not isinstance(value, Tensor | mx.array | np.ndarray):
            found.append(name)

    for i, value in enumerate(args):
        walk(names[i] if i < len(names) else f"argument {i}", value)
    for name in sorted(kwargs):
        walk(name, kwargs[name])
    return found


def describe(args: tuple[Any, ...], kwargs: Mapping[str, Any], names: list[str]) -> dict[str, str]:
    """The part of the key that each argument contributes, in words and by name."""
    found: dict[str, str] = {}

    def walk(name: str, value: Any) -> None:
        if isinstance(value, list | tuple):
            found[f"the length of {name}"] = str(len(value))
            for i, item in enumerate(value):
                walk(f"{name}[{i}]", item)
        elif isinstance(value, dict):
            for key, item in value.items():
                walk(f"{name}[{key!r}]", item)
        elif isinstance(value, Tensor):
            gradient = ", requires grad" if value.requires_grad else ""
            gradient += ", has one" if value.grad is not None else ""
            found[name] = f"{dtype_name(value.dtype)} {value.shape}{gradient}"
        elif isinstance(value, mx.array):
            found[name] = f"{dtype_name(value.dtype)} {value.shape}"
        elif isinstance(value, np.ndarray):
            found[name] = f"{value.dtype} {value.shape}"
        else:
            found[name] = f"{value!r:.60}"

    for i, value in enumerate(args):
        walk(names[i] if i < len(names) else f"argument {i}", value)
    for name, value in kwargs.items():
        walk(name, value)
    return found


def parameter_names(function: Callable[..., Any]) -> list[str]:
    """The names of the positional parameters of a function or of a module's ``forward``."""
    target = function.forward if isinstance(function, Module) else function
    try:
        kinds = inspect.signature(target).parameters.values()
    except (TypeError, ValueError):
        return []
    return [one.name for one in kinds if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
