"""``torch.multiprocessing``: Python's ``multiprocessing``, and ``spawn`` for the one GPU that a process uses."""

from __future__ import annotations

import multiprocessing as _multiprocessing
from collections.abc import Callable
from typing import Any

from lucid import _checks
from lucid.torch._names import fallback

__getattr__ = fallback(__name__, _multiprocessing)


def spawn(
    fn: Callable[..., Any], args: tuple[Any, ...] = (), nprocs: int = 1, join: bool = True, daemon: bool = False,
    start_method: str = "spawn",
) -> None:  # fmt: skip
    """Call ``fn(0, *args)`` in this process, if ``nprocs`` is 1.

    Raises:
        RuntimeError: ``nprocs`` is larger.
    """
    if _checks.integer("spawn", "nprocs", nprocs, 1) > 1:
        raise RuntimeError(
            f"torch.multiprocessing.spawn: MLX uses one GPU in a process, got nprocs {nprocs}; start processes with "
            f"mlx.launch -n {nprocs} -- python -m lucid.torch ..."
        )
    fn(0, *args)


def set_sharing_strategy(new_strategy: str) -> None:
    """Has no effect: tensors are not shared between processes."""


def get_sharing_strategy() -> str:
    """ "file_system"."""
    return "file_system"
