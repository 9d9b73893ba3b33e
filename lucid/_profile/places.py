"""Where an operation was called: the innermost module, and the innermost line of the user's code."""

import functools
import sys
from collections.abc import Mapping
from pathlib import Path
from types import CodeType
from typing import Any

from lucid.nn.module import Module

_PACKAGE = str(Path(__file__).parents[1])
# The user's line is the innermost one outside of these: models are looked at, layers and operations are not.
_INSIDE = (
    "tape.py", "_backward.py", "_views.py", "_aliases.py", "_profile", "_compile", "_tensor", "ops", "nn", "kernels",
    "optim", "autograd.py", "export", "_late.py", "linalg", "utils", "special", "masked.py",
)  # fmt: skip


def place_of_call(names: Mapping[int, str], until: CodeType | None = None) -> tuple[str, str]:
    """The path of the innermost module, whose names are given by id, and the innermost line of the user's code.

    Either is "" if it is not found, or only outside of the function with the code ``until``.
    """
    frame: Any = sys._getframe(2)
    module, line = "", ""
    while frame is not None and not (module and line):
        code = frame.f_code
        if code is until:
            break
        if not line and not _is_inside(code.co_filename):
            line = f"{Path(code.co_filename).name}:{frame.f_lineno}"
        if not module and "self" in code.co_varnames:
            owner = frame.f_locals.get("self")
            if isinstance(owner, Module):
                module = names.get(id(owner), "")
        frame = frame.f_back
    return module, line


@functools.cache
def _is_inside(path: str) -> bool:
    if path.startswith("<"):
        return True
    if not path.startswith(_PACKAGE):
        return "/functools.py" in path or "/contextlib.py" in path
    return path[len(_PACKAGE) + 1 :].startswith(_INSIDE)
