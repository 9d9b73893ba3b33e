"""Deferred evaluation of values that no user reads, such as running statistics.

A running mean is rebound in every forward pass, but nothing that the user reads depends on it. Unevaluated, each new
value would keep the whole chain of previous ones alive. Code that rebinds such a value calls ``track(owner)``; the
optimizer's step calls ``drain()`` and evaluates these values together with the parameters. Without an optimizer, the
second ``track`` of an owner evaluates its previous value, so the chain has at most two links.
"""

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import mlx.core as mx

_Entry = tuple["weakref.ref[Any]", mx.array]

# By id, not by owner: == of Tensors is elementwise, so they cannot be dictionary keys.
_entries: dict[int, _Entry] = {}
_evaluates = True
_memo: dict[str, Any] | None = None


def track(owner: Any) -> None:
    """Record that ``owner._array`` was rebound and is not evaluated yet. Holds only a weak reference."""
    key, array = id(owner), owner._array
    entry = _entries.get(key)
    if entry is not None and entry[1] is not array and _evaluates:
        mx.async_eval(entry[1])
    _entries[key] = (weakref.ref(owner, lambda reference: _forget(key, reference)), array)


def drain() -> list[mx.array]:
    """Return the current arrays of all live tracked owners, in order, and clear the list."""
    entries = list(_entries.values())
    _entries.clear()
    owners = (reference() for reference, _ in entries)
    return [owner._array for owner in owners if owner is not None]


def evaluate(arrays: list[mx.array]) -> None:
    """Schedule the evaluation of ``arrays`` and all tracked values; no effect inside ``collecting()``."""
    if _evaluates:
        mx.async_eval(*arrays, *drain())


def evaluating() -> bool:
    """Whether values can be evaluated, which is not the case inside ``collecting()``."""
    return _evaluates


def start(arrays: list[mx.array]) -> None:
    """Schedule the evaluation of ``arrays`` only; no effect inside ``collecting()``."""
    if _evaluates and arrays:
        mx.async_eval(*arrays)


def memo() -> dict[str, Any] | None:
    """A dictionary that lives as long as the current ``collecting()`` block; None outside."""
    return _memo


def on_call(callback: Callable[[], None]) -> None:
    """Run ``callback`` now or, while a function is traced, at every call of that function."""
    if _memo is None:
        callback()
    else:
        _memo.setdefault("on call", []).append(callback)


@contextmanager
def collecting() -> Iterator[None]:
    """Suspend evaluation, as ``mx.compile`` requires while it traces, and track values separately.

    Owners tracked before are restored afterwards. Values tracked inside and not drained are dropped, since traced
    arrays have no values.
    """
    global _entries, _evaluates, _memo
    former = _entries, _evaluates, _memo
    _entries, _evaluates, _memo = {}, False, {}
    try:
        yield
    finally:
        _entries, _evaluates, _memo = former


def _forget(key: int, reference: "weakref.ref[Any]") -> None:
    # Python reuses ids, so the entry may belong to a newer owner.
    entry = _entries.get(key)
    if entry is not None and entry[0] is reference:
        del _entries[key]
