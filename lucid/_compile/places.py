"""Where a Python value was found, as a path that errors and retraces can show."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from lucid._compile.bytecode import line_of


class Root(NamedTuple):
    """Where a path starts: a variable of ``function``, an argument, or an object with the name ``text``."""

    text: str
    function: Any = None
    is_owner: bool = False  # whether ``text`` is the type of the object whose attributes follow


def path_of(place: Any) -> tuple[Root, str]:
    """The root of a place, and the Python expression of the way from there.

    A place is the place that holds it, "." or "[", and the attribute or item.
    """
    steps = []
    while not isinstance(place, Root):
        place, kind, name = place
        steps.append(f".{name}" if kind == "." else f"[{name!r}]")
    return place, "".join(reversed(steps))


def words(place: Any) -> str:
    """A place in words: "the variable 'x'", "'net' of a Trainer"."""
    root, steps = path_of(place)
    if root.is_owner:
        return f"{steps.lstrip('.')!r} of a {root.text}" if steps else f"the {root.text}"
    return f"the variable {root.text + steps!r}" if root.function is not None else root.text + steps


def expression(place: Any) -> str:
    """A place as Python code: "'x[0]'", "'net' of a Trainer"."""
    root, steps = path_of(place)
    return words(place) if root.is_owner else repr(root.text + steps)


def line(place: Any) -> str:
    """Where a variable is named: "file, line 3: "; "" if it is not a variable."""
    root, steps = path_of(place)
    code = getattr(root.function, "__code__", None)
    if code is None:
        return ""
    name = re.split(r"[.\[]", steps.lstrip("."))[0] if root.is_owner else root.text
    return f"{code.co_filename}, line {line_of(code, name)}: "


class Refusal(Exception):
    """A value that can be read but not compared."""

    def __init__(self, place: Any, problem: str, fix: str) -> None:
        super().__init__(problem)
        self.place, self.problem, self.fix = place, problem, fix
