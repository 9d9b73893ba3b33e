"""``torch.backends.cudnn``: settings that are kept and have no effect; MLX chooses the algorithms."""

from __future__ import annotations

import contextlib
from typing import Any

enabled = True
benchmark = False
benchmark_limit = 10
deterministic = False
allow_tf32 = True


def is_available() -> bool:
    """False: MLX decides what it calls, and has no settings for it."""
    return False


def version() -> int | None:
    """None."""
    return None


@contextlib.contextmanager
def flags(**settings: Any) -> Any:
    """A context in which nothing changes."""
    yield
