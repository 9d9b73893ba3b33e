"""The names of arguments: those that PyTorch's argument parser takes for another, and ``out``, which is refused."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

from lucid import _checks

# Names that PyTorch's argument parser takes for another: NumPy's, and that of a method for that of its function.
OTHER_NAMES = {
    "x": "input", "a": "input", "x1": "input", "A": "input", "self": "input", "x2": "other", "axis": "dim",
    "keepdims": "keepdim", "split_size": "split_size_or_sections",
}  # fmt: skip
TRANSLATED = frozenset((*OTHER_NAMES, "out"))


def parameters_of(body: Callable[..., Any]) -> tuple[str, ...]:
    """The names of the parameters of ``body``, without those for any number of arguments.

    Operations are defined with it at import, for which ``inspect.signature`` takes too long.
    """
    code = inspect.unwrap(body).__code__
    return code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]


def translated(body: Callable[..., Any], name: str, count: int, kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments by the names that ``body`` has for them, after ``count`` positional ones.

    Raises:
        TypeError: an argument is given by two names, or ``out`` is a tensor.
    """
    _checks.no_out(name, kwargs.get("out"))
    parameters = parameters_of(body.args[0] if isinstance(body, functools.partial) else body)
    found: dict[str, Any] = {}
    for key, value in kwargs.items():
        known = key if key in parameters else OTHER_NAMES.get(key, key)
        if known != key and (known in kwargs or known in parameters[:count]):
            raise TypeError(f"{name}: {known} and {key} are mutually exclusive")
        found[known if known in parameters else key] = value
    return found
