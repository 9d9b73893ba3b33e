"""Recorded samples in files: a description in JSON, and the numbers of all distinct arrays in one row per dtype.

Nothing is unpickled. Bytes of equal significance stand together, which halves what compression leaves.
"""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from tests.conformance.modules import ModuleSample
from tests.conformance.optimizers import OptimizerSample, ScheduleSample
from tests.conformance.values import Array, Named, Outcome, Sample

FOLDER = Path(__file__).with_name("recorded")
NAMES = FOLDER / "names.json"  # of all operations, layers and optimizers that PyTorch has samples of
CLASSES = {one.__name__: one for one in (Sample, ModuleSample, OptimizerSample, ScheduleSample, Outcome, Named)}
STORED = {"bfloat16": np.dtype(np.uint16)}  # the upper halves of float32


def save(name: str, samples: list[Any]) -> Path:
    """Write ``recorded/<name>.npz``."""
    writer = _Writer()
    described = [writer.encode(one) for one in samples]
    rows = {f"{dtype}.row": _shuffled(np.concatenate(parts)) for dtype, parts in writer.rows.items()}
    contents = json.dumps([writer.arrays, described], separators=(",", ":"), allow_nan=False).encode()
    path = FOLDER / f"{name}.npz"
    FOLDER.mkdir(exist_ok=True)
    with path.open("wb") as file:
        np.savez_compressed(file, contents=np.frombuffer(contents, np.uint8), **rows)
    return path


def load(name: str) -> list[Any]:
    """The samples of ``recorded/<name>.npz``."""
    with np.load(FOLDER / f"{name}.npz", allow_pickle=False) as file:
        arrays, described = json.loads(file["contents"].tobytes())
        rows = {
            key.removesuffix(".row"): _restored(file[key], _stored(key.removesuffix(".row")))
            for key in file.files
            if key != "contents"
        }
    reader = _Reader(arrays, rows)
    return [reader.decode(one) for one in described]


def names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.npz"))


class _Writer:
    def __init__(self) -> None:
        self.rows: dict[str, list[np.ndarray]] = {}
        self.sizes: dict[str, int] = {}
        self.arrays: list[list[Any]] = []  # dtype, shape, start
        self.known: dict[tuple[Any, ...], int] = {}
        self.serials: dict[int, dict[int, int]] = {}

    def encode(self, value: Any) -> Any:
        """``value`` as JSON: what JSON has not is an object with a key that says what it is."""
        if isinstance(value, Sample | ModuleSample | OptimizerSample | ScheduleSample):
            self.serials.clear()
        if isinstance(value, Array):
            found = {"a": self.number(value)}
            # Equal arrays of a sample are told apart, because each has a gradient of its own.
            mine = self.serials.setdefault(found["a"], {})
            serial = mine.setdefault(id(value), len(mine))
            return found | ({"i": serial} if serial else {}) | ({"g": 1} if value.grad else {})
        if type(value).__name__ in CLASSES:
            fields = {
                one.name: self.encode(getattr(value, one.name))
                for one in dataclasses.fields(value)
                if getattr(value, one.name) != _default(one) and one.name != "bases"
            }
            return {"o": type(value).__name__, "f": fields}
        if isinstance(value, tuple):
            return {"t": [self.encode(one) for one in value]}
        if isinstance(value, list):
            return [self.encode(one) for one in value]
        if isinstance(value, dict):
            return {"d": {key: self.encode(one) for key, one in value.items()}}
        if isinstance(value, slice):
            return {"s": [self.encode(one) for one in (value.start, value.stop, value.step)]}
        if value is ...:
            return {"e": 1}
        if isinstance(value, complex):
            return {"c": [self.encode(value.real), self.encode(value.imag)]}
        if isinstance(value, float) and not math.isfinite(value):
            return {"n": str(value)}
        return value

    def number(self, array: Array) -> int:
        stored = np.ascontiguousarray(array.data)
        if array.dtype == "bfloat16":
            stored = (stored.view(np.uint32) >> 16).astype(np.uint16)
        stored = stored.astype(_stored(array.dtype), copy=False)
        key = (array.dtype, array.data.shape, stored.tobytes())
        if key not in self.known:
            self.known[key] = len(self.arrays)
            self.arrays.append([array.dtype, list(array.data.shape), self.sizes.get(array.dtype, 0)])
            self.rows.setdefault(array.dtype, []).append(stored.reshape(-1))
            self.sizes[array.dtype] = self.sizes.get(array.dtype, 0) + stored.size
        return self.known[key]


class _Reader:
    def __init__(self, arrays: list[list[Any]], rows: dict[str, np.ndarray]) -> None:
        self.arrays, self.rows = arrays, rows

    def decode(self, value: Any, within: dict[Any, Array] | None = None) -> Any:
        """The reverse of ``encode``; ``within`` holds the arrays of the sample."""
        within = {} if within is None else within
        if isinstance(value, list):
            return [self.decode(one, within) for one in value]
        if not isinstance(value, dict):
            return value
        if "a" in value:
            key = (value["a"], value.get("i"), value.get("g"))
            if key not in within:
                within[key] = self.array(value["a"], bool(value.get("g")))
            return within[key]
        if "o" in value:
            return CLASSES[value["o"]](**{key: self.decode(one, within) for key, one in value["f"].items()})
        if "t" in value:
            return tuple(self.decode(one, within) for one in value["t"])
        if "d" in value:
            return {key: self.decode(one, within) for key, one in value["d"].items()}
        if "s" in value:
            return slice(*(self.decode(one, within) for one in value["s"]))
        if "e" in value:
            return ...
        if "c" in value:
            return complex(*(self.decode(one, within) for one in value["c"]))
        return float(value["n"])

    def array(self, number: int, grad: bool) -> Array:
        dtype, shape, start = self.arrays[number]
        data = self.rows[dtype][start : start + int(np.prod(shape))].reshape(shape)
        if dtype == "bfloat16":
            data = (data.astype(np.uint32) << 16).view(np.float32)
        return Array(data, dtype, grad)


def _default(one: dataclasses.Field[Any]) -> Any:
    if one.default is not dataclasses.MISSING:
        return one.default
    return one.default_factory() if one.default_factory is not dataclasses.MISSING else dataclasses.MISSING


def _stored(dtype: str) -> np.dtype[Any]:
    return STORED.get(dtype) or np.dtype(dtype)


def _shuffled(row: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(row.view(np.uint8).reshape(-1, row.dtype.itemsize).T)


def _restored(planes: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    return np.ascontiguousarray(planes.T).reshape(-1).view(dtype)
