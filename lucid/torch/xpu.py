"""``torch.xpu``: MLX has no backend for Intel's GPUs."""

from __future__ import annotations

from typing import Any

from lucid.torch.cuda import empty_cache as empty_cache
from lucid.torch.cuda import synchronize as synchronize


def is_available() -> bool:
    """False."""
    return False


def device_count() -> int:
    """0."""
    return 0


def manual_seed(seed: int) -> None:
    """Has no effect, because there is no such device."""


manual_seed_all = manual_seed


def set_device(device: Any) -> None:
    """Raises a RuntimeError: there is no such device."""
    raise RuntimeError("torch.xpu.set_device: MLX has no backend for Intel's GPUs")
