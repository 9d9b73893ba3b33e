"""Memory that MLX holds, in bytes: what is in use, the peak, and the cache of freed buffers it keeps for reuse."""

import mlx.core as mx


def active() -> int:
    """Bytes that live arrays occupy now, without the cache."""
    return mx.get_active_memory()


def peak() -> int:
    """Most bytes in use at once since the start or the last ``reset()``."""
    return mx.get_peak_memory()


def cache() -> int:
    """Bytes of freed buffers that are kept for reuse."""
    return mx.get_cache_memory()


def reset() -> None:
    """Forget the peak, to measure the next stretch by itself."""
    mx.reset_peak_memory()


def clear_cache() -> None:
    """Give the freed buffers back to the system."""
    mx.clear_cache()


def limit(max_bytes: int | None = None) -> int:
    """The memory limit in force before the call; with ``max_bytes``, the new one is set.

    It guides the evaluation of a graph: above it MLX waits for running work and empties its cache before it asks for
    more.

    Raises:
        ValueError: ``max_bytes`` is negative.
    """
    if max_bytes is None:
        return mx.get_memory_limit()
    return mx.set_memory_limit(_size("limit", max_bytes))


def cache_limit(max_bytes: int) -> int:
    """Keep at most ``max_bytes`` of freed buffers (0 keeps none); the former limit.

    Where there is only a CPU, ``import lucid`` sets it to a quarter of ``limit()``, unless it was set before.

    Raises:
        ValueError: ``max_bytes`` is negative.
    """
    return mx.set_cache_limit(_size("cache_limit", max_bytes))


def _size(where: str, max_bytes: int) -> int:
    if max_bytes < 0:
        raise ValueError(f"memory.{where}: max_bytes must be at least 0, got {max_bytes}")
    return int(max_bytes)
