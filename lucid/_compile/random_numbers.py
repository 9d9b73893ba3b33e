"""Random numbers of Python and NumPy: drawn in a trace, they would be constants of the graph, so they are refused.

The generators are shared by all threads, and loaders draw from them in the background. If their state has changed, the
function is therefore traced a second time, in which only the numbers of its own thread count.
"""

import random
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

_DRAWING = frozenset(("getrandbits", "random", "seed", "setstate"))  # methods of Python's generator
_PATIENCE_S = 5.0  # for a thread that holds NumPy's lock, perhaps while it waits for this one


class DrewNumbers(RuntimeError):
    """Random numbers were drawn during the trace, by this thread or another one."""


class RandomNumbers:
    """The states of the generators of Python and NumPy."""

    noted: bool | None = None  # whether this thread has used Python's generator, if that is watched

    def __init__(self) -> None:
        self._python, self._numpy = random.getstate(), _numpy_state()

    def restore(self, always: bool = False) -> None:
        """Restore the states; if not ``always``, only where no other thread may have drawn, and would draw again."""
        alone = always or threading.active_count() == 1
        if alone or self.noted:
            random.setstate(self._python)
        if (alone or RandomNumbers.noted is not None) and self._numpy is not None:
            np.random.set_state(self._numpy)  # noqa: NPY002
        if RandomNumbers.noted:
            RandomNumbers.noted = False

    def check_unused(self, caller: str) -> None:
        """Refuse numbers that were drawn since.

        Raises:
            DrewNumbers: there are some.
        """
        before, now = self._numpy, _numpy_state()
        numpy_same = before is None or now is None or (
            now["state"]["pos"] == before["state"]["pos"]
            and np.array_equal(now["state"]["key"], before["state"]["key"])
        )  # fmt: skip
        python_same = random.getstate() == self._python if self.noted is None else not self.noted
        for name, same in (("Python's random module", python_same), ("numpy.random", numpy_same)):
            if not same:
                raise DrewNumbers(
                    f"{caller}: the function draws from {name}, whose numbers would be constants of the graph; draw "
                    "outside and pass them as arguments, or use lucid.rand() and lucid.randint()"
                )


@contextmanager
def watching() -> Iterator[None]:
    """Count only the numbers of this thread: note its use of Python's generator, and keep others off NumPy's."""
    generator = random.random.__self__  # type: ignore[attr-defined]

    def note(frame: Any, event: str, called: Any) -> None:
        if event == "c_call" and getattr(called, "__self__", None) is generator and called.__name__ in _DRAWING:
            RandomNumbers.noted = True

    lock = _numpy_lock()
    # An older NumPy has a plain lock, with which this thread would wait for itself.
    held = isinstance(lock, type(threading.RLock())) and lock.acquire(timeout=_PATIENCE_S)
    try:
        RandomNumbers.noted = False
        sys.setprofile(note)
        yield
    finally:
        sys.setprofile(None)
        RandomNumbers.noted = None
        if held:
            lock.release()


def _numpy_lock() -> Any:
    find = getattr(np.random, "get_bit_generator", None)  # NumPy 1.24
    return None if find is None else find().lock


def _numpy_state() -> Any:
    """The state of NumPy's generator; None if its lock is held, as by ``np.random.shuffle(tensor)``."""
    lock = _numpy_lock()
    if lock is not None:
        if not lock.acquire(timeout=_PATIENCE_S):
            return None
        if not isinstance(lock, type(threading.RLock())):
            lock.release()
            lock = None
    try:
        return np.random.get_state(legacy=False)  # noqa: NPY002
    finally:
        if lock is not None:
            lock.release()
