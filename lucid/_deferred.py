"""Deferred evaluation of values that no user reads, such as running statistics.

A running mean is rebound in every forward pass, but nothing that the user reads depends on it. Unevaluated, each new
value would keep the whole chain of previous ones alive. Code that rebinds such a value calls ``track(owner)``; the
optimizer's step calls ``drain()`` and evaluates these values together with the parameters. Without an optimizer, the
second ``track`` of an owner evaluates its previous value, so the chain has at most two links.

Users keep such values too: in buffers, attributes and lists. Every result outside a graph is therefore noted with
``created(tensor)``, by weak reference. The step evaluates those that are still alive; without steps, every 512th result
does. Intermediate results are gone by then and cost nothing more.
"""

import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import mlx.core as mx

_Entry = tuple["weakref.ref[Any]", mx.array]

# By id, not by owner: == of Tensors is elementwise, so they cannot be dictionary keys.
_entries: dict[int, _Entry] = {}
_MAX_CREATED = 512
_evaluates = True
_memo: dict[str, Any] | None = None


def track(owner: Any) -> None:
    """Record that ``owner._array`` was rebound and is not evaluated yet. Holds only a weak reference."""
    key, array = id(owner), owner._array
    entry = _entries.get(key)
    if entry is not None and entry[1] is not array and _evaluates:
        mx.async_eval(entry[1])
    _entries[key] = (weakref.ref(owner, lambda reference: _forget(key, reference)), array)


class _Created(threading.local):
    """Results of this thread since its last step; one that another thread still computes is not evaluated here."""

    def __init__(self) -> None:
        self.owners: list[weakref.ref[Any]] = []


_created = _Created()


def created(owner: Any) -> None:
    """Note a new value outside a graph, so that the next step evaluates it if ``owner`` is still alive."""
    if _evaluates:
        owners = _created.owners
        owners.append(weakref.ref(owner))
        if len(owners) >= _MAX_CREATED:
            start(_alive())


def _alive() -> list[mx.array]:
    owners, _created.owners = _created.owners, []
    return [owner._array for reference in owners if (owner := reference()) is not None]


def drain() -> list[mx.array]:
    """Return the current arrays of all live tracked owners, in order, and of live results, and forget them."""
    entries = list(_entries.values())
    _entries.clear()
    owners = (reference() for reference, _ in entries)
    return [owner._array for owner in owners if owner is not None] + _alive()


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


def operations() -> dict[Any, Any] | None:
    """The operations of the current trace, by what they compute; None outside a trace, see ``tape.apply``."""
    return None if _memo is None else _memo.get("operations")


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
