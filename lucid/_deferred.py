"""Deferred evaluation of values that no user reads, such as running statistics.

A running mean is rebound in every forward pass, but nothing that the user reads depends on it. Unevaluated, each new
value would keep the whole chain of previous ones alive. Code that rebinds such a value calls ``track(owner)``; the
optimizer's step calls ``drain()`` and evaluates these values together with the parameters. Without an optimizer, the
second ``track`` of an owner evaluates its previous value, so the chain has at most two links. Each thread drains what
it tracked itself.

Users keep such values too: in buffers, attributes and lists. Every result outside a graph is therefore noted with
``created(tensor)``, by weak reference. The step evaluates those that are still alive; without steps, every 512th result
does. Intermediate results are gone by then and cost nothing more.
"""

import contextlib
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import mlx.core as mx
import numpy as np

from lucid import _threads

T = TypeVar("T")
_Entry = tuple["weakref.ref[Any]", mx.array]
_MAX_CREATED = 512


class _State(threading.local):
    evaluates = True
    memo: dict[str, Any] | None = None

    def __init__(self) -> None:
        # By id, not by owner: == of Tensors is elementwise, so they cannot be dictionary keys.
        self.entries: dict[int, _Entry] = {}
        self.created: list[weakref.ref[Any]] = []


_state = _State()


def track(owner: Any) -> None:
    """Record that ``owner._array`` was rebound and is not evaluated yet. Holds only a weak reference."""
    key, array, entries = id(owner), owner._array, _state.entries
    entry = entries.get(key)
    if entry is not None and entry[1] is not array:
        start([entry[1]])
    entries[key] = (weakref.ref(owner, lambda reference: _forget(entries, key, reference)), array)


def created(owner: Any) -> None:
    """Note a new value outside a graph, so that the next step evaluates it if ``owner`` is still alive."""
    state = _state
    if state.evaluates:
        owners = state.created
        owners.append(weakref.ref(owner))
        if len(owners) >= _MAX_CREATED:
            _start_with_alive([])


def _alive() -> list[mx.array]:
    owners, _state.created = _state.created, []
    return [owner._array for reference in owners if (owner := reference()) is not None]


def drain() -> list[mx.array]:
    """Return the current arrays of all live tracked owners, in order, and forget them."""
    entries = list(_state.entries.values())
    _state.entries.clear()
    owners = (reference() for reference, _ in entries)
    return [owner._array for owner in owners if owner is not None]


def evaluate(arrays: list[mx.array]) -> None:
    """Schedule the evaluation of ``arrays`` and all tracked values; no effect inside ``collecting()``."""
    if _state.evaluates:
        with _threads.lock:  # another thread may be tracing, with placeholders in shared tensors
            _start_with_alive([*arrays, *drain()])


def _start_with_alive(arrays: list[mx.array]) -> None:
    """Schedule the evaluation of ``arrays`` and of the results that are still alive."""
    with _threads.lock:
        alive = _alive()
        try:
            mx.async_eval(*arrays, *alive)
        except (RuntimeError, ValueError):
            # A result may be from a trace of MLX itself, such as mx.export_function, and have no value.
            mx.async_eval(*arrays)
            for array in alive:
                with contextlib.suppress(RuntimeError, ValueError):
                    mx.async_eval(array)


def evaluating() -> bool:
    """Whether values can be evaluated, which is not the case inside ``collecting()``."""
    return _state.evaluates


def start(arrays: list[mx.array]) -> None:
    """Schedule the evaluation of ``arrays`` only; no effect inside ``collecting()``."""
    if arrays and _state.evaluates:
        with _threads.lock:
            mx.async_eval(*arrays)


def wait(arrays: T) -> T:
    """``arrays``, an array or a list of them, once their values can be read."""
    with _threads.lock:
        mx.eval(arrays)
    return arrays


def item(array: mx.array) -> Any:
    """The value of an array with one element as a Python number. Waits for it."""
    with _threads.lock:
        return array.item()


def to_numpy(array: mx.array) -> np.ndarray:
    """The values of ``array`` as a NumPy array on the same memory; bfloat16 is copied to float32. Waits for them."""
    with _threads.lock:
        return np.asarray(array.astype(mx.float32) if array.dtype == mx.bfloat16 else array)


def memo() -> dict[str, Any] | None:
    """A dictionary that lives as long as the current ``collecting()`` block; None outside."""
    return _state.memo


def operations() -> dict[Any, Any] | None:
    """The operations of the current trace, by what they compute; None outside a trace, see ``tape.apply``."""
    memo = _state.memo
    return None if memo is None else memo.get("operations")


def on_call(callback: Callable[[], None]) -> None:
    """Run ``callback`` now or, while a function is traced, at every call of that function."""
    if _state.memo is None:
        callback()
    else:
        _state.memo.setdefault("on call", []).append(callback)


@contextlib.contextmanager
def collecting() -> Iterator[None]:
    """Suspend evaluation, as ``mx.compile`` requires while it traces, and track values separately.

    Owners tracked before are restored afterwards. Values tracked inside and not drained are dropped, since traced
    arrays have no values.
    """
    former = _state.entries, _state.evaluates, _state.memo
    _state.entries, _state.evaluates, _state.memo = {}, False, {}
    try:
        yield
    finally:
        _state.entries, _state.evaluates, _state.memo = former


def _forget(entries: dict[int, _Entry], key: int, reference: "weakref.ref[Any]") -> None:
    # Python reuses ids, so the entry may belong to a newer owner.
    entry = entries.get(key)
    if entry is not None and entry[0] is reference:
        del entries[key]
