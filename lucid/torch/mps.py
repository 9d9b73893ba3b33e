"""``torch.mps``: the GPU of a Mac."""

from __future__ import annotations

from typing import Any

import mlx.core as mx

from lucid import _device, memory, random
from lucid.torch.cuda import Event as Event
from lucid.torch.cuda import empty_cache as empty_cache
from lucid.torch.cuda import synchronize as synchronize


def is_available() -> bool:
    """Whether this is a Mac with Metal."""
    return _device.is_available("mps")


def device_count() -> int:
    """1 on a Mac with Metal, otherwise 0."""
    return int(is_available())


def manual_seed(seed: int) -> None:
    """Seed the random numbers of the GPU. Lucid has one state, so without a GPU this has no effect."""
    if is_available():
        random.manual_seed(seed)


def get_rng_state() -> Any:
    """The random state, which Lucid has only one of."""
    return random.get_state()


def set_rng_state(new_state: Any) -> None:
    """Restore a state of ``get_rng_state``."""
    random.set_state(new_state)


def current_allocated_memory() -> int:
    """Bytes in use by arrays."""
    return memory.active()


def driver_allocated_memory() -> int:
    """Bytes in use or kept for reuse."""
    return memory.active() + memory.cache()


def recommended_max_memory() -> int:
    """Bytes that the GPU should use at most."""
    return int(mx.device_info().get("max_recommended_working_set_size", 0)) or memory.total()


def set_per_process_memory_fraction(fraction: float) -> None:
    """Limit the memory of this process to a part of ``recommended_max_memory``."""
    memory.limit(int(recommended_max_memory() * fraction))
