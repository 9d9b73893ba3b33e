"""What a function reaches without taking it as an argument, and how the user calls it."""

from __future__ import annotations

import dis
import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FunctionType, MethodType, ModuleType
from typing import Any

from lucid.nn.module import Module

_PACKAGE = str(Path(__file__).parents[1]) + os.sep
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
