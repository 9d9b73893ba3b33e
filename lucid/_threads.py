"""Threads and forks: the streams that all threads share, and the lock around MLX's engine.

MLX gives each thread a stream of its own, and evaluates an array only in the thread on whose stream it was made: a
model made in the main thread could not run in another, and what a thread leaves unevaluated is lost when it ends. Here
all threads share one stream per device, as in PyTorch. MLX allows that if only one thread evaluates at a time:

- ``ThreadState`` sets the shared streams at the first access in each thread. The tape reads such an object at every
  operation; code that calls MLX without the tape calls ``prepare()`` first.
- Whatever evaluates arrays or reads unevaluated graphs (``mx.eval``, ``item()``, ``mx.vjp``) holds ``lock``.
- A trace puts placeholders into tensors that other threads may use, and puts everything back at its end. It holds
  ``lock`` and runs inside ``tracing()``. Other threads wait for its end when they read a value (``tape.apply``,
  ``value_of``), and hold ``engine`` when they write one (``between_traces``).
"""

import atexit
import contextlib
import functools
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any, ParamSpec, TypeVar

import mlx.core as mx

from lucid._device import gpu_backend

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T", bound=threading.local)

_EXIT_TIMEOUT_S = 10.0
engine = threading.RLock()  # reentrant: a signal handler may evaluate in a thread that is evaluating
traces = 0  # the number of times that a trace has begun or ended: odd during one
_tracer = 0  # the thread that traces
_streams: list[mx.Stream] = []
_mlx_knows_main_thread = False


class _Unused:
    """The lock until it is first used, which starts MLX's threads."""

    def __enter__(self) -> None:
        global lock
        lock = engine
        try:
            engine.acquire()
        except BaseException:  # Ctrl-C, perhaps after the lock was taken
            if engine._is_owned():  # type: ignore[attr-defined]
                engine.release()
            raise

    def __exit__(self, *error: object) -> None:
        engine.release()


class _Forked:
    """The lock in a process forked after that. It has none of MLX's threads, so an evaluation would never end."""

    def __enter__(self) -> None:
        raise RuntimeError(
            "lucid: this process was forked from one that had already computed with Lucid, and MLX's threads do not "
            "survive a fork. Start processes with multiprocessing.get_context('spawn'), or fork before making tensors "
            "and models"
        )

    def __exit__(self, *error: object) -> None:
        pass


lock: Any = _Unused()
"""Held during every evaluation. Write ``with _threads.lock``: the first use and a fork replace the object.

``engine`` is the same lock, until a fork; using that one does not count as a computation.
"""


@contextlib.contextmanager
def tracing() -> Iterator[None]:
    """Around a trace, while tensors hold placeholders. The caller holds ``lock``."""
    global traces, _tracer
    if traces & 1:  # part of another trace in this thread
        yield
        return
    try:
        _tracer = threading.get_ident()
        traces += 1
        yield
    finally:
        traces += traces & 1
        _tracer = 0


def disturbed(seen: int) -> bool:
    """Whether another thread has traced since ``traces`` was ``seen``, so that what was read may be a placeholder.

    If so, read it again with ``lock`` held.
    """
    return (traces != seen or bool(seen & 1)) and _tracer != threading.get_ident()


def value_of(tensor: Any) -> mx.array:
    """``tensor._array``, and not the placeholder of another thread's trace."""
    seen = traces
    array: mx.array = tensor._array
    if not disturbed(seen):
        return array
    with lock:
        return value_of(tensor)


def between_traces(function: Callable[P, R]) -> Callable[P, R]:
    """``function``, which reads tensors and writes to them, without a trace of another thread in the middle."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        with engine:
            return function(*args, **kwargs)

    return call


def prepare() -> None:
    """Set the shared streams in this thread, unless that is done already."""
    _this_thread.is_prepared  # noqa: B018 -- the first access in each thread calls __init__


class ThreadState(threading.local):
    """State of which every thread has its own. The first access in a thread prepares the thread for MLX."""

    def __init__(self) -> None:
        prepare()


def per_thread(kind: type[T]) -> T:
    """An instance of ``kind`` that is initialized at the first access in every thread, this one included.

    Python regards a ``threading.local`` as initialized in the thread that makes it, so it is made in another one.
    Initializing it here would touch the GPU while Lucid is imported.
    """
    made: list[T] = []
    thread = threading.Thread(target=lambda: made.append(kind.__new__(kind)))
    thread.start()
    thread.join()
    return made[0]


class _ThreadEnd:
    """Releases the graphs that MLX has compiled for a thread when that thread ends.

    MLX would release them later, from C++. They hold Python objects, and once Python is about to exit, waiting for the
    GIL there ends in ``std::terminate`` (Python 3.10 to 3.13).
    """

    def __del__(self) -> None:
        mx.clear_streams()  # those of this thread only; the shared streams stay


class _ThisThread(threading.local):
    is_prepared = True

    def __init__(self) -> None:
        is_main = threading.current_thread() is threading.main_thread()
        if not _streams:
            with engine:  # not ``lock``, whose first use counts as a computation
                if not _streams:
                    _make_streams(is_main)
        for stream in _streams:
            mx.set_default_stream(stream)
        if not is_main and (len(_streams) == 1 or _mlx_knows_main_thread):
            self.end = _ThreadEnd()


def _make_streams(in_main_thread: bool) -> None:
    global lock, _mlx_knows_main_thread
    streams = [mx.new_thread_unsafe_stream(mx.cpu)]
    if gpu_backend() is not None:
        streams.append(mx.new_thread_unsafe_stream(mx.gpu))
        lock = engine  # the context of a GPU does not survive a fork either
        if in_main_thread:
            # MLX takes the first thread that evaluates for the main one, and in that one mx.clear_streams() destroys
            # the shared streams of the GPU too.
            mx.eval(mx.zeros(1, stream=streams[0]))
            _mlx_knows_main_thread = True
    _streams.extend(streams)  # last: another thread takes a list that is not empty for complete


def _after_fork_in_child() -> None:
    global lock, engine, traces, _tracer
    lock = _Forked() if lock is engine else _Unused()
    engine = threading.RLock()  # another thread may have held the former one
    traces = _tracer = 0


def _at_exit() -> None:
    # Keeps daemon threads out of MLX from here on: coming back from it while Python exits ends in std::terminate.
    engine.acquire(timeout=_EXIT_TIMEOUT_S)


_this_thread = per_thread(_ThisThread)
os.register_at_fork(after_in_child=_after_fork_in_child)
atexit.register(_at_exit)
