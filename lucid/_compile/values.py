"""Numbers, containers and arrays in the walk of ``world.py``, and what cannot be compared."""

from __future__ import annotations

import datetime
import decimal
import enum
import fractions
import pathlib
import re
import uuid
import zlib
from collections.abc import Callable
from typing import Any

import mlx.core as mx
import numpy as np

from lucid._compile.bytecode import Attributes
from lucid._compile.foreign import Foreign
from lucid._compile.places import Refusal, words
from lucid._tensor import Tensor
from lucid.nn.module import Module

MAX_ENTRIES = 10_000
MAX_ARRAY_BYTES = 2**20
VALUES = (
    bool, int, str, bytes, type(None), type(...), type(NotImplemented), enum.Enum, mx.Dtype, mx.DtypeCategory, np.dtype,
    range, decimal.Decimal, fractions.Fraction, datetime.date, datetime.time, datetime.timedelta, datetime.tzinfo,
    uuid.UUID, pathlib.PurePath, re.Pattern,
)  # fmt: skip


class View:
    """What one walk has found."""

    __slots__ = ("arrays", "cells", "containers", "found", "keep", "key", "losses", "places", "strangers", "tensors")

    def __init__(self, collect: bool) -> None:
        self.key: Any = []
        self.tensors: list[Tensor] = []  # not state: inputs of the graph
        self.places: list[Any] = []  # of these tensors
        self.strangers: list[tuple[Any, Any]] = []  # owners of tensors that are not state, and their places
        self.losses: list[tuple[str, Module]] = []  # modules without tensors that are not state
        self.keep: list[Any] = []  # what the key identifies by id
        self.found: dict[str, str] | None = {} if collect else None  # every value in words, by its place in words
        self.containers: list[Any] = []  # everything mutable that was met, if ``collect``
        self.cells: list[tuple[Any, str, Any]] = []  # cells and globals with their values, if ``collect``


EMPTY_VIEW = View(collect=False)


class Values:
    """The kinds that hold no code and no attributes. ``World`` has the others."""

    _view: View
    _foreign: Foreign
    _seen: dict[int, int]
    _walk: Callable[[Any, Any, Attributes], None]
    _instance: Callable[[Any, Any, Attributes], None]

    def _add(self, entry: Any, place: Any, text: str | None = None) -> None:
        view = self._view
        view.key.append(entry)
        if len(view.key) > MAX_ENTRIES:
            raise Refusal(place, "holds too many values to be compared at every call", "pass it as an argument")
        if view.found is not None and text is not None:
            view.found[words(place)] = text

    def _again(self, value: Any) -> bool:
        number = self._seen.get(id(value))
        if number is None:
            self._seen[id(value)] = len(self._seen)
            return False
        self._view.key.append(number)
        return True

    def _value(self, value: Any, place: Any, names: Attributes) -> None:
        self._view.key.append((type(value), value))
        if self._view.found is not None:
            self._view.found[words(place)] = f"{value!r:.60}"

    def _number(self, value: Any, place: Any, names: Attributes) -> None:
        self._add((type(value), repr(value)), place, repr(value))  # 0.0 == -0.0, and NaN is not equal to itself

    def _mlx(self, value: mx.array, place: Any, names: Attributes) -> None:
        raise Refusal(
            place, "is an mx.array, which can change unnoticed", "pass it as an argument, or wrap it in lucid.tensor()"
        )

    def _numpy(self, value: np.ndarray[Any, Any], place: Any, names: Attributes) -> None:
        if self._again(value):
            return
        if value.dtype.hasobject:
            self._list(value.tolist(), place, names)
            return
        if value.nbytes > MAX_ARRAY_BYTES:
            raise Refusal(
                place, f"is a NumPy array of {value.nbytes / 2**20:.1f} MiB, too large to be compared at every call",
                "pass it as an argument, or make it a tensor: lucid.tensor(array)",
            )  # fmt: skip
        self._view.containers.append(value)
        code = zlib.crc32(np.ascontiguousarray(value).tobytes())
        self._add(
            (value.shape, value.dtype.str, code), place, f"a NumPy array of shape {value.shape}, checksum {code:08x}"
        )

    def _add_length(self, value: Any, place: Any) -> View:
        """Add the type and length of a container to the key, before its items are walked."""
        view = self._view
        view.key.append((type(value), len(value)))
        if len(view.key) + len(value) > MAX_ENTRIES:
            raise Refusal(place, f"holds {len(value)} values, too many to be compared", "pass it as an argument")
        return view

    def _list(self, value: Any, place: Any, names: Attributes) -> None:
        if self._again(value):
            return
        view = self._add_length(value, place)
        if view.found is not None:
            view.found[f"the length of {words(place)}"] = str(len(value))
            if not isinstance(value, tuple):
                view.containers.append(value)
        for i, item in enumerate(value):
            self._walk(item, (place, "[", i), {})
        if not self._foreign.kind(type(value)):
            self._instance(value, place, names)

    def _set(self, value: Any, place: Any, names: Attributes) -> None:
        if self._again(value):
            return
        self._add((type(value), len(value)), place, f"a set of {len(value)}")
        if self._view.found is not None and isinstance(value, set):
            self._view.containers.append(value)
        for item in value if len(value) < 2 else sorted(value, key=lambda one: (type(one).__name__, repr(one))):
            self._walk(item, (place, "[", "..."), {})

    def _dict(self, value: Any, place: Any, names: Attributes) -> None:
        if self._again(value):
            return
        view = self._add_length(value, place)
        if view.found is not None and isinstance(value, dict):
            view.found[f"the keys of {words(place)}"] = f"{list(value)!r:.80}"
            view.containers.append(value)
        for key, item in value.items():
            if type(key) is str:
                view.key.append(key)
            else:
                self._walk(key, (place, "[", key), {})
            self._walk(item, (place, "[", key), {})
        if not self._foreign.kind(type(value)):
            self._instance(value, place, names)

    def _weak(self, value: Any, place: Any, names: Attributes) -> None:
        self._walk(value(), place, names)

    def _bytes(self, value: Any, place: Any, names: Attributes) -> None:
        self._add((type(value), bytes(value)), place, f"{len(value)} bytes")

    def _iterator(self, value: Any, place: Any, names: Attributes) -> None:
        raise Refusal(
            place, f"is a {type(value).__name__}, whose position cannot be compared",
            "call next() outside, and pass the item as an argument",
        )  # fmt: skip

    def _random(self, value: Any, place: Any, names: Attributes) -> None:
        raise Refusal(
            place, f"is a {type(value).__name__}, whose numbers would be drawn once and then be constant",
            "draw outside and pass the numbers as an argument, or use lucid.rand() inside",
        )  # fmt: skip

    def _file(self, value: Any, place: Any, names: Attributes) -> None:
        if not value.closed and value.readable():
            raise Refusal(place, "is an open file, which would be read once", "read it outside, and pass the content")
        self._opaque(value, place, names)

    def _opaque(self, value: Any, place: Any, names: Attributes) -> None:
        self._add(id(value), place)
        self._view.keep.append(value)
