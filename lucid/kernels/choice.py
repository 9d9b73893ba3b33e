"""Which implementation of a kernel runs: a stated condition, never the catching of a failure."""

import contextlib
import os
from collections.abc import Iterator
from contextvars import ContextVar

_forced: ContextVar[bool] = ContextVar("lucid_kernels_forced_reference", default=False)


@contextlib.contextmanager
def use_reference() -> Iterator[None]:
    """Inside the block kernels are left out: MLX's own operations compute, and MLX derives the gradients.

    For debugging: a result that differs inside and outside the block is the kernel's fault. It counts when a function
    is called, also for the backward pass: run ``backward()`` inside the block too.
    """
    token = _forced.set(True)
    try:
        yield
    finally:
        _forced.reset(token)


def reference_is_forced() -> bool:
    """True inside ``use_reference()`` and under ``LUCID_KERNELS=reference``.

    Raises:
        ValueError: ``LUCID_KERNELS`` holds another word than ``reference`` or ``auto``.
    """
    word = os.environ.get("LUCID_KERNELS", "auto") or "auto"
    if word not in ("auto", "reference"):
        raise ValueError(f"LUCID_KERNELS must be 'auto' or 'reference', got {word!r}")
    return _forced.get() or word == "reference"
