"""What a function reaches without taking it as an argument, and how the user calls it."""

from __future__ import annotations

import dis
import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FunctionType, MethodType
from typing import Any

from lucid.nn.module import Module

_PACKAGE = str(Path(__file__).parents[1])
_DEPTH = 4  # functions that call functions


def variables(function: Callable[..., Any], depth: int = _DEPTH) -> Iterator[tuple[str, Any]]:
    """The variables from outside that ``function`` uses by name, and those of the functions among them."""
    seen: set[int] = set()
    stack: list[tuple[Any, int]] = [(function, depth)]
    while stack:
        one, left = stack.pop()
        if isinstance(one, MethodType):
            yield "self", one.__self__
            one = one.__func__
        one = getattr(one, "__wrapped__", one)
        if not isinstance(one, FunctionType) or id(one) in seen or one.__code__.co_filename.startswith(_PACKAGE):
            continue
        seen.add(id(one))
        for name, value in _used(one):
            yield name, value
            if left and isinstance(value, FunctionType | MethodType):
                stack.append((value, left - 1))


def _used(function: FunctionType) -> Iterator[tuple[str, Any]]:
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # not assigned yet
            continue
    codes = [function.__code__]
    while codes:
        code = codes.pop()
        codes += [one for one in code.co_consts if hasattr(one, "co_code")]
        for name in {i.argval for i in dis.get_instructions(code) if i.opname == "LOAD_GLOBAL"}:
            if name in function.__globals__:
                yield name, function.__globals__[name]


def name_of(thing: Any, function: Callable[..., Any]) -> str:
    """How the user calls ``thing``: its variable, or where it stands in what holds it; "" where nothing is found."""
    for name, value in variables(function):
        if value is thing:
            return f"{name!r}"
        if isinstance(value, list | tuple) and any(one is thing for one in value):
            return f"an item of {name!r}"
        if isinstance(value, dict) and any(one is thing for one in value.values()):
            return f"an item of {name!r}"
    for holder in gc.get_referrers(thing):
        if isinstance(holder, dict):
            keys = [key for key, value in holder.items() if value is thing]
            for owner in gc.get_referrers(holder) if keys else ():
                if isinstance(owner, Module) or getattr(owner, "__dict__", None) is holder:
                    return f"{keys[0]!r} of a {type(owner).__name__}"
        elif hasattr(holder, "__dict__") and not isinstance(holder, type | FunctionType):
            keys = [key for key, value in vars(holder).items() if value is thing]
            if keys:
                return f"{keys[0]!r} of a {type(holder).__name__}"
    return ""
