"""What a function reaches without taking it as an argument, and how the user calls it."""

from __future__ import annotations

import dis
import functools
import gc
import itertools
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple

from lucid._tensor import Tensor
from lucid.nn.module import Module

_PACKAGE = str(Path(__file__).parents[1]) + os.sep
PLAIN = (bool, int, float, str, type(None))  # Python values that are built into a graph
_DEPTH = 4  # functions that call functions


class _Variable(NamedTuple):
    name: str
    home: Any  # a cell of a closure, the globals of a module, or the attributes of the object of a method

    def value(self) -> Any:
        """What it holds now, or ``_Variable`` where it has not been assigned."""
        if isinstance(self.home, dict):
            return self.home.get(self.name, _Variable)
        try:
            return self.home.cell_contents
        except ValueError:
            return _Variable


class Outside:
    """The Python values and tensors that a function takes from variables, watched: they are built into its graphs."""

    def __init__(self, function: Callable[..., Any], state: Mapping[int, int]) -> None:
        used = {(one.name, id(one.home)): one for one in _walk(function) if isinstance(one, _Variable)}
        self._variables = [one for one in used.values() if _is_built_in(one.value(), state)]
        self._arrays: dict[int, tuple[Any, int]] = {}  # of a tensor, by its id: the array, and how often it was another

    def key(self, state: Mapping[int, int]) -> tuple[Any, ...]:
        """Equal as long as the values are, and the tensors that are not state hold the same arrays."""
        return tuple([self._key_of(one.value(), state) for one in self._variables])

    def _key_of(self, value: Any, state: Mapping[int, int]) -> Any:
        if isinstance(value, PLAIN):
            return type(value), value
        if not isinstance(value, Tensor) or id(value) in state:
            return None
        array, count = self._arrays.get(id(value), (None, 0))
        if array is not value._array:
            count += 1
            self._arrays[id(value)] = value._array, count
        return "tensor", count

    def described(self, state: Mapping[int, int]) -> dict[str, str]:
        """The keys of all variables in words."""
        found = {}
        for one in self._variables:
            kind, value = self._key_of(one.value(), state) or ("", "")
            words = f"a tensor that is not state, its value number {value}" if kind == "tensor" else repr(value)
            found[f"the variable {one.name!r}"] = words
        return found

    def ignore(self, name: str) -> None:
        """Watch this variable no longer: the function changes it itself."""
        self._variables = [one for one in self._variables if f"the variable {one.name!r}" != name]


def _is_built_in(value: Any, state: Mapping[int, int]) -> bool:
    return isinstance(value, PLAIN) or (isinstance(value, Tensor) and id(value) not in state)


def variables(function: Callable[..., Any]) -> Iterator[tuple[str, Any]]:
    """The variables from outside that ``function`` uses by name, and those of the functions among them."""
    for one in _walk(function):
        if isinstance(one, _Variable):
            if (value := one.value()) is not _Variable:
                yield one.name, value
        else:
            yield "self", one


def _walk(function: Callable[..., Any]) -> Iterator[Any]:
    """Variables, and the objects that methods and partial functions are bound to."""
    seen: set[int] = set()
    stack: list[tuple[Any, int]] = [(function, _DEPTH)]
    while stack:
        one, left = stack.pop()
        if isinstance(one, functools.partial):
            yield from (*one.args, *one.keywords.values())
            stack.append((one.func, left))
            continue
        if not isinstance(one, FunctionType | MethodType | Module):
            one = one.__call__  # an object that is called, for its method
        if isinstance(one, MethodType):
            yield one.__self__
            attributes = getattr(one.__self__, "__dict__", {})
            one = one.__func__
            names = _attributes_used(one.__code__) if isinstance(one, FunctionType) else ()
            yield from (_Variable(name, attributes) for name in names if name in attributes)
        if isinstance(one, Module):
            stack += [(kind.forward, left) for kind in {type(module) for module in one.modules()}]
            continue
        one = getattr(one, "__wrapped__", one)
        if not isinstance(one, FunctionType) or id(one) in seen or one.__code__.co_filename.startswith(_PACKAGE):
            continue
        seen.add(id(one))
        for variable in _used(one):
            yield variable
            value = variable.value()
            if left and isinstance(value, FunctionType | MethodType | Module):
                stack.append((value, left - 1))


def _attributes_used(code: CodeType) -> list[str]:
    """Names after a dot, but for those of ``x.y.name`` and of globals: they are another object's, not those of self."""
    pairs = itertools.pairwise(dis.get_instructions(code))
    taken = ("LOAD_ATTR", "LOAD_METHOD", "STORE_ATTR")
    return sorted(
        {i.argval for before, i in pairs if i.opname in taken and before.opname not in (*taken, "LOAD_GLOBAL")}
    )


def _used(function: FunctionType) -> Iterator[_Variable]:
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        yield _Variable(name, cell)
    codes = [function.__code__]
    while codes:
        code = codes.pop()
        codes += [one for one in code.co_consts if isinstance(one, CodeType)]
        for name in sorted({i.argval for i in dis.get_instructions(code) if i.opname == "LOAD_GLOBAL"}):
            if name in function.__globals__:
                yield _Variable(name, function.__globals__)


def name_of(thing: Any, function: Callable[..., Any]) -> str:
    """How the user calls ``thing``: its variable, or where it stands in what holds it; "" where nothing is found."""
    for name, value in variables(function):
        if value is thing:
            return f"{name!r}"
        if isinstance(value, list | tuple) and any(one is thing for one in value):
            return f"an item of {name!r}"
        if isinstance(value, dict) and any(one is thing for one in value.values()):
            return f"an item of {name!r}"
    for holder in gc.get_objects():
        if issubclass(type(holder), Module):
            for key, value in (*holder._parameters.items(), *holder._buffers.items()):
                if value is thing:
                    return f"{key!r} of a {type(holder).__name__}"
    for holder in gc.get_referrers(thing):
        owners = gc.get_referrers(holder) if isinstance(holder, dict) else [holder]
        for owner in owners:
            held = getattr(owner, "__dict__", None)
            if isinstance(held, dict) and not isinstance(owner, type | ModuleType | FunctionType):
                key = next((key for key, value in held.items() if value is thing), None)
                if key is not None:
                    return f"{key!r} of a {type(owner).__name__}"
    return ""
