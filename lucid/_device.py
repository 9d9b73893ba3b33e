"""Devices: load MLX's backend, name it, and select CPU or GPU.

``lucid/__init__.py`` imports this module before anything else that uses MLX, for two reasons, both on Linux only:

- ``pip install mlx`` installs no backend there. Instead of a linker error about ``libmlx.so``, the user is told which
  extra to install.
- MLX's CPU wheel bundles the reference BLAS, which reaches 3-4 GFLOP/s in a float32 matmul of 1024 x 1024, where
  OpenBLAS reaches over 130 on the same 2 cores (AMD EPYC, November 2026). A library loaded with RTLD_GLOBAL before
  ``mlx.core`` provides the same symbols in its place.
"""

import ctypes
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

# Threaded builds first: "libopenblas.so.0" is the serial build on Fedora and the threaded one on Debian. Never the
# 64-bit-integer builds ("libopenblas64"), because MLX passes 32-bit sizes.
_OPENBLAS_NAMES = ("libopenblasp.so.0", "libopenblas.so.0")
_MLX_CACHE_BYTES = 32 * 2**20  # the default of MLX's CPU backend
_INSTALL_HINT = (
    "Install one extra of lucid-mlx: pip install 'lucid-mlx[cpu]' on any Linux machine, "
    "or pip install 'lucid-mlx[cuda]' on one with an NVIDIA GPU. They cannot be installed together."
)


def _has_cpu_wheel() -> bool:
    """Whether MLX's CPU wheel is installed, which bundles a BLAS in a folder beside the package."""
    # mlx is a namespace package, so a folder of that name in the working directory is one of its locations too.
    spec = find_spec("mlx")
    places = (spec.submodule_search_locations if spec else None) or ()
    return any((Path(place).parent / "mlx_cpu.libs").is_dir() for place in places)


def _cpu_quota() -> int | None:
    """The number of whole CPUs that the container may use, or ``None`` if unlimited."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return None if quota == "max" else max(1, int(quota) // int(period))
    except (OSError, ValueError):
        return None


def cpu_count() -> int:
    """The number of CPUs that this process may use."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(count, _cpu_quota() or count)


def _load_openblas() -> str | None:
    """Load OpenBLAS ahead of MLX's own BLAS, and return its name, or ``None`` if it is not loaded.

    ``LUCID_OPENBLAS=off`` disables it; any other value is the name or path of the library to load.
    """
    wanted = os.environ.get("LUCID_OPENBLAS", "")
    if sys.platform != "linux" or wanted == "off" or "mlx.core" in sys.modules:
        return None
    # The CUDA wheel multiplies matrices with cuBLAS, so OpenBLAS is only loaded if asked for.
    if not wanted and not _has_cpu_wheel():
        return None
    for name in (wanted,) if wanted else _OPENBLAS_NAMES:
        try:
            library = ctypes.CDLL(name, mode=ctypes.RTLD_GLOBAL)
        except OSError:
            continue
        # OpenBLAS starts a thread per core. In a container with a CPU quota, that can be many more than it may use, and
        # the threads would wait for each other.
        quota = _cpu_quota()
        is_set = any(variable in os.environ for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"))
        if quota is not None and not is_set and quota < len(os.sched_getaffinity(0)):
            library.openblas_set_num_threads(quota)
        return name
    if wanted:
        raise ImportError(
            f"lucid: LUCID_OPENBLAS is {wanted!r}, which cannot be loaded; set it to 'off' to disable OpenBLAS"
        )
    return None


openblas = _load_openblas()
"""The name of the OpenBLAS library that MLX's CPU backend uses, or ``None`` if it uses its own BLAS."""

try:
    import mlx.core as mx
except ImportError as error:
    if find_spec("mlx") is None:
        raise ImportError(
            "lucid requires MLX, which is not installed. Install it with pip install lucid-mlx."
        ) from error
    if sys.platform == "linux" and "libmlx" in str(error):
        raise ImportError(f"lucid: MLX is installed without a backend. {_INSTALL_HINT}") from error
    if sys.platform == "linux":
        raise ImportError(f"lucid: MLX's backend failed to load: {error}. {_INSTALL_HINT}") from error
    raise


def _keep_freed_buffers() -> None:
    """Let the CPU backend keep enough freed buffers for a training step, unless the cache limit was changed before.

    By default MLX keeps 32 MiB and returns the rest to the system, so that pages fault when they are allocated again:
    GELU of 5 MiB takes 30 ms with fresh pages and 10 ms with reused ones (2 cores, AMD EPYC, November 2026).
    ``lucid.memory.cache_limit`` changes the limit.
    """
    if gpu_backend() is None:
        previous = mx.set_cache_limit(mx.get_memory_limit() // 4)
        if previous != _MLX_CACHE_BYTES:
            mx.set_cache_limit(previous)


_GPU_NAMES = ("gpu", "metal", "mps", "cuda")
_NAMES = ("cpu", *_GPU_NAMES)


def gpu_backend() -> str | None:
    """The backend of this machine's GPU, ``"metal"`` or ``"cuda"``, or ``None`` without one."""
    if mx.metal.is_available():
        return "metal"
    if mx.cuda.is_available():
        return "cuda"
    return None


def backend() -> str:
    """The backend that operations currently run on: ``"metal"``, ``"cuda"`` or ``"cpu"``."""
    if mx.default_device().type == mx.gpu:
        return gpu_backend() or "cpu"
    return "cpu"


def is_available(name: str = "gpu") -> bool:
    """Whether ``device(name)`` would succeed."""
    kind = _kind("is_available", name)
    return kind == "cpu" or kind == gpu_backend() or (kind == "gpu" and gpu_backend() is not None)


def resolve(caller: str, name: "str | device | mx.Device | mx.DeviceType") -> mx.Device:
    """MLX's device for a name, a ``device`` or an MLX device.

    Raises:
        ValueError: there is no device of that name.
        RuntimeError: the device is not available on this machine or in this build of MLX.
    """
    if isinstance(name, device):
        return name.mlx
    if isinstance(name, mx.Device | mx.DeviceType):
        kind = "cpu" if mx.Device(name.type if isinstance(name, mx.Device) else name).type == mx.cpu else "gpu"
    else:
        kind = _kind(caller, name)
    if not is_available(kind):
        have = gpu_backend()
        here = f"available devices are 'cpu' and 'gpu' ({have})" if have else "the only device is 'cpu'"
        raise RuntimeError(f"{caller}: '{kind}' is not available here; {here}")
    return mx.Device(mx.cpu if kind == "cpu" else mx.gpu, 0)


def _kind(caller: str, name: object) -> str:
    if not isinstance(name, str):
        raise TypeError(f"{caller}: the device must be one of {', '.join(map(repr, _NAMES))}, got {name!r}")
    kind, colon, index = name.partition(":")
    if kind not in _NAMES or (colon and index != "0"):
        raise ValueError(f"{caller}: the device must be one of {', '.join(map(repr, _NAMES))}, got {name!r}")
    return "metal" if kind == "mps" else kind


class device:
    """Set the device that computes, or use as a context manager to set it inside a block only.

    ``lucid.device("cpu")`` runs all following operations on the CPU. ``with lucid.device("cpu"):`` restores the
    previous device at the end. ``lucid.device()`` is the current device. Names are ``"cpu"``, ``"gpu"`` (whichever
    there is), ``"metal"`` (also ``"mps"``) and ``"cuda"`` (also ``"cuda:0"``).

    Memory is unified: no array moves, and tensors can be used under any device. The device is determined when an
    operation is called, not when its lazy result is evaluated.

    Raises:
        ValueError: there is no device of that name.
        RuntimeError: the device is not available on this machine.
    """

    def __init__(self, name: "str | device | mx.Device | None" = None) -> None:
        previous = mx.default_device()
        self.mlx = previous if name is None else resolve("lucid.device", name)
        # The first `with` restores the device that the constructor replaced, later ones the device they replace.
        self._previous = [previous]
        self._is_set = True
        mx.set_default_device(self.mlx)

    @property
    def type(self) -> str:
        """The backend: ``"cpu"``, ``"metal"`` or ``"cuda"``."""
        return "cpu" if self.mlx.type == mx.cpu else (gpu_backend() or "gpu")

    def __enter__(self) -> "device":
        if self._is_set:
            self._is_set = False
        else:
            self._previous.append(mx.default_device())
        mx.set_default_device(self.mlx)
        return self

    def __exit__(self, *error: object) -> None:
        mx.set_default_device(self._previous.pop())

    def __reduce__(self) -> Any:
        return _unset_device, (self.type,)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, device) and self.type == other.type

    def __hash__(self) -> int:
        return hash(self.type)

    def __str__(self) -> str:
        return self.type

    def __repr__(self) -> str:
        return f"lucid.device('{self.type}')"


def _unset_device(name: str) -> device:
    """A device, for copies and pickles, that is not set as the current one."""
    made = object.__new__(device)
    made.mlx, made._previous, made._is_set = resolve("lucid.device", name), [], False
    return made


_keep_freed_buffers()
