"""Test cases for two libraries: PyTorch's results are recorded, and Lucid is compared with them.

A case is a function ``run(lib, *tensors)`` that reads the same in both, because the words are the same; ``lib`` is
``torch`` or ``lucid``::

    CASES = [Case("sum: dims, kept", lambda lib, x: lib.sum(x, dim=(0, 2), keepdim=True), real(2, 3, 4))]

``python -m tests.reference.record family`` (in an environment with PyTorch) runs ``cases_<family>.py`` and writes
``<family>.npz`` beside it; ``tests/checking.py`` compares. Only NumPy is needed here.
"""

import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
FLOATS = ("float32", "float16", "bfloat16")


@dataclass(frozen=True)
class Input:
    """An argument of a case: a function that generates its values, its dtype, and whether to check its gradient."""

    values: Callable[[np.random.Generator], np.ndarray]
    dtype: str = "float32"
    grad: bool = False


def real(
    *shape: int,
    low: float = -2.0,
    high: float = 2.0,
    away: float = 0.0,
    distinct: bool = False,
    dtype: str = "float32",
    grad: bool = True,
) -> Input:
    """Uniform numbers in [low, high]; ``away`` is a minimum distance from 0, ``distinct`` spaces them evenly.

    In half precision they are multiples of 1/16, which both kinds hold exactly.
    """

    def values(rng: np.random.Generator) -> np.ndarray:
        count = int(np.prod(shape))
        found = rng.permutation(np.linspace(low, high, count)) if distinct else rng.uniform(low, high, count)
        if away:
            found = np.where(np.abs(found) < away, np.where(found < 0, found - away, found + away), found)
        if dtype != "float32":
            found = np.round(found * 16) / 16
        return found.reshape(shape).astype(np.float32)

    return Input(values, dtype, grad)


def positive(*shape: int, low: float = 0.2, high: float = 3.0, **rest: Any) -> Input:
    """Uniform numbers well above 0."""
    return real(*shape, low=low, high=high, **rest)


def distinct(*shape: int, **rest: Any) -> Input:
    """Numbers that are not close to each other, in random order, for maxima and sorting."""
    return real(*shape, distinct=True, **rest)


def constant(*shape: int, **rest: Any) -> Input:
    """Uniform numbers whose gradient is not checked."""
    return real(*shape, grad=False, **rest)


def whole(*shape: int, low: int = -5, high: int = 6, dtype: str = "int64") -> Input:
    """Integers in [low, high)."""
    return Input(lambda rng: rng.integers(low, high, shape), dtype)


def truth(*shape: int) -> Input:
    """Bools."""
    return Input(lambda rng: rng.random(shape) < 0.5, "bool")


def given(values: Any, dtype: str = "float32", grad: bool | None = None) -> Input:
    """The given values; gradients of floating-point values are checked by default."""
    array = np.asarray(values, np.float32 if dtype in FLOATS else dtype)
    return Input(lambda rng: array, dtype, dtype in FLOATS if grad is None else grad)


@dataclass(frozen=True)
class Case:
    """What to run, on which inputs.

    ``run`` returns a tensor, several in a tuple or list, or Python numbers. ``order`` is the highest derivative to
    compare: 2 (1 in half precision) unless told otherwise, 0 for none. ``rtol`` is relative to each value and to the
    largest of its array. ``recorded`` replaces ``run`` where PyTorch needs other words for the same.
    """

    name: str
    run: Callable[..., Any]
    inputs: tuple[Input, ...]
    order: int
    rtol: float
    recorded: Callable[..., Any] = field(repr=False)

    def __init__(
        self,
        name: str,
        run: Callable[..., Any],
        *inputs: Input,
        order: int | None = None,
        rtol: float | None = None,
        recorded: Callable[..., Any] | None = None,
    ) -> None:
        half = {one.dtype for one in inputs} & {"float16", "bfloat16"}
        default = 1e-5 if not half else 2e-2 if "bfloat16" in half else 4e-3
        wanted = (1 if half else 2) if order is None else order
        for key, value in {
            "name": name,
            "run": run,
            "inputs": inputs,
            "order": wanted if any(one.grad for one in inputs) else 0,
            "rtol": default if rtol is None else rtol,
            "recorded": recorded or run,
        }.items():
            object.__setattr__(self, key, value)

    def __str__(self) -> str:
        return self.name

    def rng(self) -> np.random.Generator:
        """A generator that is seeded by the name only, so that a case can be recorded again separately."""
        return np.random.default_rng(zlib.crc32(self.name.encode()))


@dataclass
class Record:
    """PyTorch's results for a case, computed in float64 from the inputs below and stored in float32.

    ``dtypes`` are those of the outputs when computed in the dtypes of the inputs; "python" for a number of Python's.
    ``second`` is the gradient of ``sum(gradients * directions)`` with respect to the inputs that want a gradient, then
    the cotangents.
    """

    dtypes: list[str]
    inputs: list[np.ndarray]
    outputs: list[np.ndarray]
    cotangents: list[np.ndarray] = field(default_factory=list)
    gradients: list[np.ndarray] = field(default_factory=list)
    directions: list[np.ndarray] = field(default_factory=list)
    second: list[np.ndarray] = field(default_factory=list)


_PARTS = ("inputs", "outputs", "cotangents", "gradients", "directions", "second")


def save(family: str, records: dict[str, Record]) -> Path:
    """Write ``<family>.npz``: an index, and one concatenated array per kind of number, which compresses well."""
    contents: list[Any] = []
    rows: dict[str, list[np.ndarray]] = {"float": [], "whole": []}
    for name, record in records.items():
        shapes = {}
        for part in _PARTS:
            shapes[part] = []
            for array in getattr(record, part):
                kind = "float" if array.dtype.kind == "f" else "whole"
                rows[kind].append(array.astype(np.float32 if kind == "float" else np.int64).reshape(-1))
                shapes[part].append([kind, list(array.shape)])
        contents.append([name, record.dtypes, shapes])
    path = HERE / f"{family}.npz"
    np.savez_compressed(
        path,
        contents=np.frombuffer(json.dumps(contents, separators=(",", ":")).encode(), np.uint8),
        float=np.concatenate([np.zeros(0, np.float32), *rows["float"]]),
        whole=np.concatenate([np.zeros(0, np.int64), *rows["whole"]]),
    )
    return path


def load(family: str) -> dict[str, Record]:
    """The records of ``<family>.npz`` by the names of their cases; empty if the file does not exist."""
    path = HERE / f"{family}.npz"
    if not path.exists():
        return {}
    with np.load(path) as stored:
        contents = json.loads(stored["contents"].tobytes().decode())
        rows = {kind: stored[kind] for kind in ("float", "whole")}
    at = dict.fromkeys(rows, 0)
    records = {}
    for name, dtypes, shapes in contents:
        parts: dict[str, list[np.ndarray]] = {part: [] for part in _PARTS}
        for part in _PARTS:
            for kind, shape in shapes[part]:
                count = int(np.prod(shape))
                parts[part].append(rows[kind][at[kind] : at[kind] + count].reshape(shape))
                at[kind] += count
        records[name] = Record(dtypes, **parts)
    return records
