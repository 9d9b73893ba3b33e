"""Which names a function's code reads: variables, and attributes of what.

Cells and globals do not report reads, so the names come from the bytecode. What is not certain counts as read: at
worst a function is then traced once too often.
"""

from __future__ import annotations

import dis
import functools
from types import CodeType
from typing import Any, NamedTuple

# Attributes read on a value, each with those read on it: {"cfg": {"lr": {}}} for ``x.cfg.lr``.
Attributes = dict[str, "Attributes"]

_VARIABLES = frozenset(
    ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_GLOBALS",
     "LOAD_FROM_DICT_OR_DEREF", "STORE_GLOBAL", "STORE_DEREF")
)  # fmt: skip
_ATTRIBUTES = frozenset(("LOAD_ATTR", "LOAD_METHOD", "STORE_ATTR", "LOAD_SUPER_ATTR", "DELETE_ATTR"))
_BY_STRING = frozenset(("getattr", "hasattr", "setattr"))
_OPEN = frozenset(
    ("vars", "dir", "locals", "globals", "eval", "exec", "asdict", "astuple", "attrgetter", "copy", "deepcopy",
     "replace", "fields", "__dict__", "__getattribute__", "getmembers")
)  # fmt: skip
_SIMPLE = ("LOAD_", "PUSH_", "PRECALL", "KW_NAMES", "COPY_FREE", "RESUME", "CACHE", "NOP", "EXTENDED")


class Names(NamedTuple):
    """What a code object and those inside it read."""

    variables: dict[str, Attributes]  # by name: globals and cells
    attributes: Attributes  # of anything else: locals, results of calls, items
    open: bool  # whether attributes may be read that are not named: vars(x), getattr(x, name), copies
    imports: frozenset[str]


@functools.lru_cache(maxsize=4096)
def names_in(code: CodeType) -> Names:
    variables: dict[str, Attributes] = {}
    attributes: Attributes = {}
    imports: set[str] = set()
    is_open = False
    here: Attributes = attributes  # the attributes of the value that the last instruction has pushed
    instructions = list(dis.get_instructions(code))
    for at, one in enumerate(instructions):
        name = one.argval
        if one.opname in _VARIABLES:
            here = variables.setdefault(name, {})
            if name in _OPEN:
                is_open = True
            elif name in _BY_STRING:
                named = _string_argument(instructions, at)
                is_open |= named is None
                if named is not None:
                    attributes.setdefault(named, {})
        elif one.opname in _ATTRIBUTES:
            if one.is_jump_target or one.opname == "LOAD_SUPER_ATTR":  # the value came another way, as in (a or b).c
                here = attributes
            here = here.setdefault(name, {})
            is_open |= name in _OPEN
            if one.opname != "LOAD_ATTR" and one.opname != "LOAD_METHOD":
                here = attributes
        elif one.opname == "IMPORT_NAME":
            imports.add(name)
            here = attributes
        else:
            here = attributes
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            inner = names_in(constant)
            merge(attributes, inner.attributes)
            for name, tree in inner.variables.items():
                merge(variables.setdefault(name, {}), tree)
            imports |= inner.imports
            is_open |= inner.open
    return Names(variables, attributes, is_open, frozenset(imports))


def merge(tree: Attributes, other: Attributes) -> bool:
    """Add ``other`` to ``tree``; returns whether something was new."""
    grown = False
    for name, inner in other.items():
        if name not in tree:
            tree[name] = {}
            grown = True
        grown |= merge(tree[name], inner)
    return grown


def line_of(code: CodeType, name: str) -> int:
    """The first line that names ``name``, or the first line of the function."""
    line = code.co_firstlineno
    for one in dis.get_instructions(code):
        positions: Any = getattr(one, "positions", None)  # from Python 3.11 on
        line = (positions.lineno if positions else one.starts_line) or line
        if one.argval == name and one.opname in (*_VARIABLES, *_ATTRIBUTES):
            return line
    return next(
        (found for c in code.co_consts if isinstance(c, CodeType) and (found := line_of(c, name)) != c.co_firstlineno),
        code.co_firstlineno,
    )


def _string_argument(instructions: list[Any], at: int) -> str | None:
    """The constant name in ``getattr(x, "name")``; None if it is computed."""
    found = None
    for one in instructions[at + 1 :]:
        if one.opname == "LOAD_CONST" and isinstance(one.argval, str) and found is None:
            found = one.argval
        elif not one.opname.startswith((*_SIMPLE, *_ATTRIBUTES)):
            return found if one.opname.startswith("CALL") else None
    return None
