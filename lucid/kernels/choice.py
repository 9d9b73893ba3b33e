"""Forces the reference implementation of every kernel, for debugging."""

import contextlib
import os
from collections.abc import Iterator
from contextvars import ContextVar

_forced: ContextVar[bool] = ContextVar("lucid_kernels_forced_reference", default=False)


@contextlib.contextmanager
def use_reference() -> Iterator[None]:
    """Context manager that replaces the kernels with MLX's own operations, which MLX also differentiates.

    If a result differs inside and outside of the block, a kernel is at fault. The choice is made when a function is
    called, in the backward pass too: run ``backward()`` inside the block as well.
    """
    token = _forced.set(True)
    try:
        yield
    finally:
        _forced.reset(token)


def reference_is_forced() -> bool:
    """True inside ``use_reference()`` and under ``LUCID_KERNELS=reference``.

    Raises:
        ValueError: ``LUCID_KERNELS`` is neither ``reference`` nor ``auto``.
    """
    value = os.environ.get("LUCID_KERNELS", "auto") or "auto"
    if value not in ("auto", "reference"):
        raise ValueError(f"LUCID_KERNELS must be 'auto' or 'reference', got {value!r}")
    return _forced.get() or value == "reference"
