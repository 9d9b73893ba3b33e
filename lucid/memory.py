"""MLX's memory usage in bytes: in use, at the peak, and in the cache of freed buffers.

- ``active()``: buffers of live arrays and of running work. Between steps, this is what the model, its gradients and its
  optimizer state take.
- ``peak()``: the maximum of ``active()``, which decides whether a batch fits. MLX allocates memory ahead of the work
  that frees it, up to a hundred operations on the CPU, so the peak is somewhat above what the computation needs.
- ``total()``: what the device has.
- ``cache()``: unused buffers that MLX keeps, because the next step needs the same sizes.

The system reports more than ``active()``. On macOS, Memory and Real Memory in Activity Monitor include the cache and
what Python and its libraries take. They therefore stay near their maximum after a step, and drop after
``clear_cache()`` or with a ``cache_limit()``. Memory is unified, so they include what the GPU uses. On Linux, the same
holds for RES in ``top`` when computing on the CPU; with CUDA, see ``nvidia-smi``.

``limit()`` is a soft limit: beyond it, MLX waits for running work and clears its cache, and then allocates anyway. On
macOS it is 1.5 times Metal's recommended working set size. The wired limit is different: that much memory stays
resident and is never swapped, at the expense of other programs. ``mlx.core.set_wired_limit`` sets it (macOS 15, 0 by
default) up to the system's limit, ``sysctl iogpu.wired_limit_mb``, for models that nearly fill the memory.
"""

import os

import mlx.core as mx


def active() -> int:
    """Bytes that live arrays use now, without the cache."""
    return mx.get_active_memory()


def peak() -> int:
    """The maximum of ``active()`` since the start or the last ``reset()``.

    Example:
        >>> lucid.memory.reset()
        >>> x = (lucid.ones(256, 256) @ lucid.ones(256, 256)).sum().item()
        >>> lucid.memory.peak() >= 3 * 256 * 256 * 4
        True
    """
    return mx.get_peak_memory()


def cache() -> int:
    """Bytes of freed buffers that MLX keeps for reuse."""
    return mx.get_cache_memory()


def total() -> int:
    """The memory of the device: unified memory, a GPU's own, or the machine's, of which a container may have less."""
    try:
        known = mx.device_info(mx.default_device())
    except (RuntimeError, TypeError, ValueError):
        known = {}
    found = known.get("memory_size") or known.get("total_memory")
    return int(found) if found else os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def reset() -> None:
    """Reset the peak, to measure from here on."""
    mx.reset_peak_memory()


def clear_cache() -> None:
    """Return the freed buffers to the system."""
    mx.clear_cache()


def limit(max_bytes: int | None = None) -> int:
    """The memory limit; with ``max_bytes``, set a new limit and return the previous one.

    Above the limit, MLX waits for running work and clears its cache before it allocates more.

    Raises:
        ValueError: ``max_bytes`` is negative.
    """
    if max_bytes is None:
        return mx.get_memory_limit()
    return mx.set_memory_limit(_size("limit", max_bytes))


def cache_limit(max_bytes: int) -> int:
    """Keep at most ``max_bytes`` of freed buffers (0 for none), and return the previous limit.

    On machines without a GPU, ``import lucid`` sets it to a quarter of ``limit()``, unless it was set before.

    Raises:
        ValueError: ``max_bytes`` is negative.
    """
    return mx.set_cache_limit(_size("cache_limit", max_bytes))


def _size(caller: str, max_bytes: int) -> int:
    if max_bytes < 0:
        raise ValueError(f"memory.{caller}: max_bytes must be at least 0, got {max_bytes}")
    return int(max_bytes)
