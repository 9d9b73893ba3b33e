"""``torch.accelerator``: the GPU of this machine, whichever it has."""

from __future__ import annotations

from typing import Any

from lucid import _device
from lucid.torch.cuda import empty_cache as empty_cache
from lucid.torch.cuda import max_memory_allocated as max_memory_allocated
from lucid.torch.cuda import max_memory_reserved as max_memory_reserved
from lucid.torch.cuda import mem_get_info as get_memory_info
from lucid.torch.cuda import memory_allocated as memory_allocated
from lucid.torch.cuda import memory_reserved as memory_reserved
from lucid.torch.cuda import memory_stats as memory_stats
from lucid.torch.cuda import reset_peak_memory_stats as reset_peak_memory_stats
from lucid.torch.cuda import synchronize as synchronize

__all__ = [
    "current_accelerator", "current_device_idx", "current_device_index", "device_count", "empty_cache",
    "get_memory_info", "is_available", "max_memory_allocated", "max_memory_reserved", "memory_allocated",
    "memory_reserved", "memory_stats", "reset_peak_memory_stats", "set_device_idx", "set_device_index", "synchronize",
]  # fmt: skip


def is_available() -> bool:
    """Whether there is a GPU that MLX computes on."""
    return _device.gpu_backend() is not None


def device_count() -> int:
    """The number of GPUs that this process can use: 1 or 0."""
    return int(is_available())


def current_accelerator(check_available: bool = False) -> _device.device | None:
    """The GPU as a device, ``mps`` or ``cuda``; None without one."""
    return _device.device("gpu") if is_available() else None


def current_device_index() -> int:
    """0, the only one."""
    return 0


def set_device_index(device: Any) -> None:
    """Checks that ``device`` is the GPU of this machine."""
    if isinstance(device, int) and device < 0:
        return
    _device.resolve("set_device_index", device)


current_device_idx = current_device_index
set_device_idx = set_device_index
