"""Switches for recording operations, one state per thread. ``lucid.no_grad`` and its relatives build on them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

from lucid._threads import ThreadState, per_thread

F = TypeVar("F", bound=Callable[..., Any])


class _Mode(ThreadState):
    recording = True
    inference = False  # inside inference_mode()
    replaying = False  # a checkpointed function is being recomputed and must have no side effects


mode = per_thread(_Mode)


def is_recording() -> bool:
    """Whether operations are recorded in this thread."""
    return mode.recording


def is_replaying() -> bool:
    """Whether a checkpointed function is being recomputed in the backward pass."""
    return mode.replaying


@contextmanager
def replaying() -> Iterator[None]:
    """Recompute a function: nothing is recorded, and layers do not update their running statistics."""
    before = mode.recording, mode.replaying
    mode.recording, mode.replaying = False, True
    try:
        yield
    finally:
        mode.recording, mode.replaying = before


class set_recording:
    """Context manager and decorator that turns recording on or off."""

    def __init__(self, recording: bool) -> None:
        self._recording = bool(recording)
        self._before: list[bool] = []

    def __enter__(self) -> None:
        self._before.append(mode.recording)
        mode.recording = self._recording

    def __exit__(self, *exc: object) -> None:
        mode.recording = self._before.pop()

    def __call__(self, function: F) -> F:
        wanted = self._recording

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            with set_recording(wanted):
                return function(*args, **kwargs)

        return cast(F, call)
