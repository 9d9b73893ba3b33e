"""C++ kernels for MLX's CPU backend: operations of its graph, like MLX's own, that Lucid compiles at first use.

``library()`` returns them, or ``None`` where they cannot be compiled; the callers then use MLX's operations instead.
Compiling takes MLX's headers, which its wheel contains, nanobind, and the C++ compiler that MLX itself needs for
``mx.compile`` on a CPU. ``LUCID_NATIVE=off`` in the environment turns the kernels off.

    simd.h                    vectors, and conversion of half precision
    parallel.h, parallel.cpp  the threads
    primitive.h               from a struct to an operation of MLX
    matmul.h, matmul.cpp      matrix products
    blas.cpp                  matrix products by OpenBLAS
    pointwise.cpp             GELU, layer normalization, Adam
    module.cpp                what Python sees
    ../depthwise_conv2d/depthwise_conv2d.cpp
    build.py                  the compiler, and the cache of what it built
"""

import importlib
import os
import sys
import threading
from typing import Any

import mlx.core as mx

from lucid import _device, _threads
from lucid.kernels.choice import reference_is_forced

__all__ = ["DTYPES", "for_arrays", "library", "status"]

DTYPES = (mx.float32, mx.float16, mx.bfloat16)
_THREAD_VARIABLES = ("LUCID_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_lock = threading.Lock()
_loaded: list[Any] = []  # the module, or a string that says why there is none


def for_arrays(*arrays: mx.array) -> Any:
    """The module if the current device is the CPU and the arrays are of a supported dtype and not empty, else ``None``.

    Inside ``use_reference()`` and under ``LUCID_KERNELS=reference`` it is ``None`` too.
    """
    if _device.backend() != "cpu" or reference_is_forced():
        return None
    if any(one.dtype not in DTYPES or not one.size for one in arrays):
        return None
    return library()


def library() -> Any:
    """The module with the kernels, or ``None``. The first call may compile it, and says why if it cannot.

    Raises:
        ValueError: ``LUCID_NATIVE`` is neither ``auto`` nor ``off``.
    """
    value = os.environ.get("LUCID_NATIVE", "auto") or "auto"
    if value not in ("auto", "off"):
        raise ValueError(f"LUCID_NATIVE must be 'auto' or 'off', got {value!r}")
    if value == "off":
        return None
    if not _loaded:
        _load()
    return None if isinstance(_loaded[0], str) else _loaded[0]


def status() -> str:
    """What the next call will use: "on", "off (LUCID_NATIVE)", or "off: " and the reason. Compiles if necessary."""
    if library() is not None:
        return "on"
    return f"off: {_loaded[0]}" if _loaded else "off (LUCID_NATIVE)"


def _load() -> None:
    _threads.prepare()
    with _lock:
        if _loaded:
            return
        build = importlib.import_module("lucid.kernels.native.build")  # here: it imports much of Python's library
        try:
            module = build.load()
            module.set_thread_count(_thread_count())
            _loaded.append(module)
        except (build.NotBuilt, OSError) as error:
            _loaded.append(str(error))
            slow = "depthwise convolution takes 5 to 20 times, layer normalization and GELU 3 times as long"
            if sys.platform == "linux" and _device.openblas is None:
                slow += ", and linear layers 20 times without OpenBLAS too (apt-get install libopenblas0)"
            print(
                f"lucid: the CPU kernels are not compiled: {error}. Without them {slow}. "
                "LUCID_NATIVE=off hides this line.",
                file=sys.stderr,
                flush=True,
            )


def _after_fork_in_child() -> None:
    global _lock
    _lock = threading.Lock()  # another thread may have been compiling


os.register_at_fork(after_in_child=_after_fork_in_child)


def _thread_count() -> int:
    """As many threads as the environment allows, or as there are CPUs for this process."""
    for name in _THREAD_VARIABLES:
        value = os.environ.get(name, "").split(",")[0]
        if value.isdecimal() and int(value):
            return int(value)
    return _device.cpu_count()
