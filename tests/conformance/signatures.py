"""Compare Lucid's signatures with PyTorch's, recorded in ``signatures.json``. Needs no PyTorch.

``python -m tests.conformance.signatures [PATTERN]`` lists what differs, by the file that defines it.
"""

from __future__ import annotations

import ast
import functools
import inspect
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lucid
from lucid._argument_names import OTHER_NAMES
from tests.conformance.deliberate import explained_parameter

FILE = Path(__file__).with_name("signatures.json")
POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
Parameter = tuple[str, str, str]  # name, kind ("positional", "keyword", "varargs", "varkw"), default or "required"
# Parameters of overloads for what PyTorch itself has given up: named tensors, and a scalar before its tensor, as in
# add(input, alpha, other).
NAMED_TENSORS = "names"
SCALARS = {"alpha", "beta", "value"}


@functools.cache
def recorded() -> dict[str, list[list[Parameter]]]:
    """PyTorch's overloads by name."""
    found = json.loads(FILE.read_text())
    return {name: [[tuple(one) for one in row] for row in rows] for name, rows in found.items()}


def overloads(name: str) -> list[list[Parameter]]:
    """The overloads that Lucid has to accept."""
    rows = recorded()[name]
    keyword_only = {p[0] for row in rows for p in row if p[1] == "keyword"}

    def is_current(row: list[Parameter]) -> bool:
        positional = [p[0] for p in row if p[1] == "positional"]
        is_old = "self" in positional or any(p in SCALARS & keyword_only for p in positional)
        return not is_old and all(p[0] != NAMED_TENSORS for p in row)

    return [row for row in rows if is_current(row)]


def existing() -> Iterator[tuple[str, Any]]:
    """The recorded names that Lucid has, with what they name."""
    for name in recorded():
        one: Any = lucid
        for part in name.split("."):
            one = getattr(one, part, None)
        if callable(one) and not (inspect.isclass(one) and name == "Tensor"):
            yield name, one


def parameters_of(name: str, one: Any) -> list[inspect.Parameter]:
    found = list(inspect.signature(one).parameters.values())
    is_method = not inspect.isclass(one) and (name.startswith("Tensor.") or inspect.isclass(_owner(name)))
    return found[1:] if is_method and found and found[0].kind in POSITIONAL else found


def _owner(name: str) -> Any:
    return functools.reduce(lambda owner, part: getattr(owner, part, None), name.split(".")[:-1], lucid)


def mismatches(name: str, one: Any) -> list[str]:
    """What of PyTorch's signatures is not accepted."""
    try:
        ours = parameters_of(name, one)
    except (TypeError, ValueError):
        return ["has no signature"]
    named = {p.name: p for p in ours}
    slots = [p for p in ours if p.kind in POSITIONAL]
    has_varargs = any(p.kind is inspect.Parameter.VAR_POSITIONAL for p in ours)
    spreads = getattr(one, "takes_varargs", False)
    has_varkw = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in ours)
    rows = overloads(name)
    defaults: dict[str, set[str]] = {}
    for row in rows:
        for parameter, _, default in row:
            defaults.setdefault(parameter, set()).add(default)
    found: dict[str, None] = {}
    for row in rows:
        for position, (parameter, kind, _) in enumerate(row):
            if kind == "varkw" or parameter == "out":
                continue
            mine = named.get(parameter) or named.get(OTHER_NAMES.get(parameter, ""))
            if kind == "varargs":
                if not (has_varargs or spreads):
                    found[f"*{parameter} is missing"] = None
                continue
            if mine is None and not has_varkw:
                found[f"{parameter} is missing"] = None
                continue
            if mine is not None and mine.kind is inspect.Parameter.POSITIONAL_ONLY:
                found[f"{parameter} is no keyword"] = None
            if mine is not None and not any(_same_default(mine.default, one) for one in defaults[parameter]):
                wanted = " or ".join(sorted(defaults[parameter] - {"required"}))
                found[f"{parameter} is {_shown(mine.default)} by default, PyTorch {wanted}"] = None
            if kind == "positional" and not has_varargs:
                here = slots[position].name if position < len(slots) else None
                others = {other[position][0] for other in rows if position < len(other)}
                if here not in (parameter, OTHER_NAMES.get(parameter)) and here not in others:
                    found[f"{parameter} is not at position {position}"] = None
    return list(found)


def _same_default(mine: Any, wanted: str) -> bool:
    if wanted in ("required", "..."):  # none, or not said: then any accepts what PyTorch does
        return True
    if mine is inspect.Parameter.empty:
        return False
    try:
        value = ast.literal_eval(wanted)
    except (ValueError, SyntaxError):
        return str(mine).rpartition(".")[2] == wanted.rpartition(".")[2] or mine is None
    if value is None or isinstance(value, bool):
        return mine is value
    plain = isinstance(mine, int | float | str | tuple | list) and not isinstance(mine, bool)
    return plain and mine == value


def _shown(default: Any) -> str:
    return "required" if default is inspect.Parameter.empty else repr(default)


def home(name: str, one: Any) -> str:
    """The file that defines a name."""
    module = getattr(inspect.unwrap(one) if not inspect.isclass(one) else one, "__module__", None) or "lucid"
    if name.startswith("Tensor.") and not module.startswith("lucid.ops"):
        return module.replace(".", "/") + ".py"
    return module.replace(".", "/") + ".py"


def main(arguments: list[str]) -> int:
    pattern = re.compile(arguments[0] if arguments else "")
    files: dict[str, list[str]] = {}
    count = 0
    for name, one in existing():
        count += 1
        found = [what for what in mismatches(name, one) if not explained_parameter(name, what)]
        if found and (pattern.search(name) or pattern.search(home(name, one))):
            files.setdefault(home(name, one), []).append(f"  {name}: {'; '.join(found)}")
    for file, lines in sorted(files.items()):
        print(f"{file}: {len(lines)}", *lines, sep="\n")
    print(f"{count} names, {sum(map(len, files.values()))} of them differ")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
