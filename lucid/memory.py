"""Memory that MLX holds, in bytes: what is in use, the peak, and the cache of freed buffers it keeps for reuse.

- ``active()``: the buffers of arrays that live, and of those that running work still needs. What a model, its
  gradients and its optimizer take is what this shows between steps.
- ``peak()``: the most that ``active()`` has been. It decides whether a batch fits. MLX asks for memory ahead of the
  work that frees it, up to a hundred operations on the CPU, so it is somewhat above what the arithmetic needs.
- ``cache()``: buffers that nothing uses and that MLX did not give back, because the next step asks for the same sizes.

What the system shows is more than ``active()``. In Activity Monitor (macOS) the Memory column and Real Memory of the
Python process count the cache as well as what is in use: ``active() + cache()``, and what Python and the libraries
take besides. So they stay near their highest value after a step, and fall after ``clear_cache()``, or with a
``cache_limit()``. Memory is unified: what the GPU uses is in the same number, there is no second one for it. On Linux
the same holds for RES in ``top`` when the CPU computes; with CUDA ``nvidia-smi`` shows it.

``limit()`` is no wall: beyond it MLX waits and empties its cache, and then asks for more all the same. On macOS it is
1.5 times the working set that Metal recommends. A wired limit is another thing: so many bytes stay resident and are
never swapped, at the cost of all other programs. ``mlx.core.set_wired_limit`` sets it (macOS 15, 0 unless set), up to
the system's own, ``sysctl iogpu.wired_limit_mb``; it serves models that nearly fill the memory.
"""

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
