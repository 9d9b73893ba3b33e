"""Values that change outside the graph and wait for the next evaluation.

A running mean is rebound at every forward pass, and nothing that the user reads depends on it. Left alone, each new
value would hang on to the whole chain of former ones. Whoever rebinds such a value calls ``track(owner)``; the
optimizer's step calls ``drain()`` and evaluates what it gets together with the parameters. Where no optimizer runs, the
second ``track`` of an owner evaluates the value before, so the chain never grows longer than two links.
"""

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import mlx.core as mx

_Entry = tuple["weakref.ref[Any]", mx.array]

# By id, not by the owner itself: a Tensor's == is elementwise, so it cannot be a dictionary's key.
_entries: dict[int, _Entry] = {}
_evaluates = True
_memo: dict[str, Any] | None = None


def track(owner: Any) -> None:
    """Remember, weakly, that ``owner._array`` was just rebound and is not evaluated yet."""
    key, array = id(owner), owner._array
    entry = _entries.get(key)
    if entry is not None and entry[1] is not array and _evaluates:
        mx.async_eval(entry[1])
    _entries[key] = (weakref.ref(owner, lambda reference: _forget(key, reference)), array)


def drain() -> list[mx.array]:
    """The current arrays of the tracked owners that are still alive, in order; forgets them all."""
    entries = list(_entries.values())
    _entries.clear()
    owners = (reference() for reference, _ in entries)
    return [owner._array for owner in owners if owner is not None]


def evaluate(arrays: list[mx.array]) -> None:
    """Schedule the evaluation of ``arrays`` and of all that is noted. Inside ``collecting()`` nothing happens: what was
    noted stays for whoever collects."""
    if _evaluates:
        mx.async_eval(*arrays, *drain())


def evaluating() -> bool:
    """Whether values can be evaluated: not inside ``collecting()``."""
    return _evaluates


def start(arrays: list[mx.array]) -> None:
    """Schedule the evaluation of ``arrays`` alone; inside ``collecting()`` nothing happens."""
    if _evaluates and arrays:
        mx.async_eval(*arrays)


def memo() -> dict[str, Any] | None:
    """A dictionary that lives as long as the present ``collecting()`` block; None outside of one."""
    return _memo


def on_call(callback: Callable[[], None]) -> None:
    """Run ``callback`` now; or, where a function is being traced, at every call of the traced function."""
    if _memo is None:
        callback()
    else:
        _memo.setdefault("on call", []).append(callback)


@contextmanager
def collecting() -> Iterator[None]:
    """Inside, notes are kept apart and nothing is evaluated, as ``mx.compile`` requires while it traces.

    Owners noted before come back afterwards; what is noted inside and not drained there is forgotten, since a traced
    array has no value.
    """
    global _entries, _evaluates, _memo
    former = _entries, _evaluates, _memo
    _entries, _evaluates, _memo = {}, False, {}
    try:
        yield
    finally:
        _entries, _evaluates, _memo = former


def _forget(key: int, reference: "weakref.ref[Any]") -> None:
    # Python reuses ids: a newer owner may stand under this one by now.
    entry = _entries.get(key)
    if entry is not None and entry[0] is reference:
        del _entries[key]
