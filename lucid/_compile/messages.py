"""Error messages for values read inside a compiled function: the line, the cause and the fix."""

from __future__ import annotations

import linecache
import os
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import NamedTuple

import mlx.core as mx

_NOT_THE_USERS = tuple(str(path) + os.sep for path in (Path(__file__).parents[1], Path(mx.__file__).parent))
_FORBIDDEN = ("during function transformations", "inside a graph transformation", "without a primitive")
_READS = {
    "item": "item()",
    "tolist": "tolist()",
    "numpy": "numpy()",
    "__array__": "conversion to NumPy",
    "__dlpack__": "DLPack export",
    "__repr__": "print or repr()",
    "__format__": "formatting",
    "__float__": "float()",
    "__int__": "int()",
    "__index__": "indexing with it",
    "__contains__": "in",
}
_MAX_LINE_LENGTH = 100
_RETURN_IT = "return the tensor and read it outside the compiled function"
_BRANCH = (
    "use lucid.where(condition, a, b), or pass the condition as a Python argument; the function is then retraced "
    "for each value"
)


class Reading(NamedTuple):
    """The user's line that reads a value while a function is traced: what it does, what to do instead, and its code."""

    file: str
    line: int
    what: str
    fix: str
    text: str


def reading_inside(caller: str, error: BaseException) -> RuntimeError | None:
    """An error that says where a value was read; ``None`` if ``error`` has another cause."""
    found = line_that_reads(error)
    if found is None:
        return None
    return RuntimeError(
        f"{caller}: {found.file}, line {found.line}: {found.what}, which has no value while the function is traced\n"
        f"    {found.text}\n{found.fix[0].upper()}{found.fix[1:]}."
    )


def line_that_reads(error: BaseException) -> Reading | None:
    """Where a value was read; ``None`` if ``error`` has another cause."""
    for one in _chain(error):
        if any(text in str(one) for text in _FORBIDDEN):
            return _find(one)
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _find(error: BaseException) -> Reading:
    frames = [(frame.f_code.co_filename, line, frame) for frame, line in traceback.walk_tb(error.__traceback__)]
    own = [i for i, (file, _, _) in enumerate(frames) if not file.startswith(_NOT_THE_USERS)]
    last = own[-1] if own else len(frames) - 1
    called = _called_name([frame for _, _, frame in frames[last + 1 :]])
    file, line, _ = frames[last]
    if called == "__bool__":
        what, fix = "a Python branch (if, while, and, or, not) reads the value of a tensor", _BRANCH
    elif called in _READS or not called:
        what, fix = f"{_READS.get(called, 'this line')} reads the value of a tensor", _RETURN_IT
    else:
        what = f"{called}() needs the values of a tensor, for the shape of its result or a check"
        fix = "call it outside, on the result of the compiled function"
    text = linecache.getline(file, line).strip()[:_MAX_LINE_LENGTH]
    return Reading(file, line, what, fix, text)


def _called_name(frames: list[FrameType]) -> str:
    """The name of the function that the user called, from the frames below the user's line."""
    if not frames:
        return ""
    if frames[0].f_code.co_name != "call":
        return frames[0].f_code.co_name
    # An operation is wrapped by ``tape.op``; ``tape.apply`` knows its name.
    return next(
        (str(f.f_locals["name"]) for f in frames if f.f_code.co_name == "apply" and "name" in f.f_locals), "call"
    )
