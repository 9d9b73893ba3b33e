"""Devices: load MLX's backend, name it, and select CPU or GPU.

``lucid/__init__.py`` imports this module before anything else that uses MLX, for two reasons, both on Linux only:

- ``pip install mlx`` installs no backend there. Instead of a linker error about ``libmlx.so``, the user is told which
  extra to install.
- MLX's CPU wheel bundles the reference BLAS, which reaches 3-4 GFLOP/s in a float32 matmul of 1024 x 1024, where
  OpenBLAS reaches over 130 on the same 2 cores (AMD EPYC, November 2026). A library loaded with RTLD_GLOBAL before
  ``mlx.core`` provides the same symbols in its place.
"""

import contextlib
import ctypes
import os
import sys
import threading
from collections.abc import Iterator
from functools import cache
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


@cache
def openblas_core() -> str:
    """The kind of processor that OpenBLAS has chosen its kernels for, such as "SkylakeX", or "" without OpenBLAS."""
    if openblas is None:
        return ""
    try:
        name = ctypes.CDLL(openblas).openblas_get_corename
    except AttributeError:  # another BLAS that LUCID_OPENBLAS names
        return ""
    name.restype = ctypes.c_char_p
    return str(name().decode())


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


from lucid import _checks  # noqa: E402 -- imports MLX


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


def gpu_backend() -> str | None:
    """The backend of this machine's GPU, ``"metal"`` or ``"cuda"``, or ``None`` without one."""
    if mx.metal.is_available():
        return "metal"
    if mx.cuda.is_available():
        return "cuda"
    return None


def backend() -> str:
    """The backend that operations currently run on: ``"metal"``, ``"cuda"`` or ``"cpu"``."""
    if _assumed is not None and _assumed[0] == threading.get_ident():
        return _assumed[1]
    if mx.default_device().type == mx.gpu:
        return gpu_backend() or "cpu"
    return "cpu"


_assumed: tuple[int, str] | None = None  # a thread, and what it assumes


@contextlib.contextmanager
def assuming(name: str) -> Iterator[None]:
    """Context manager in which ``backend()`` is ``name`` for this thread; for traces that are never run."""
    global _assumed
    before, _assumed = _assumed, (threading.get_ident(), name)
    try:
        yield
    finally:
        _assumed = before


# PyTorch's types of devices, and two names of Lucid's: "metal" is "mps", and "gpu" is the GPU of this machine.
_TYPES = (
    "cpu", "cuda", "ipu", "xpu", "mkldnn", "opengl", "opencl", "ideep", "hip", "ve", "fpga", "maia", "xla", "lazy",
    "vulkan", "mps", "meta", "hpu", "mtia", "privateuseone", "metal", "gpu",
)  # fmt: skip


def _gpu_type() -> str | None:
    """PyTorch's name for this machine's GPU: "mps", "cuda" or ``None``."""
    found = gpu_backend()
    return "mps" if found == "metal" else found


def _parsed(caller: str, name: str) -> tuple[str, int | None]:
    """The type and the index that ``name`` says."""
    kind, colon, number = name.partition(":")
    if kind not in _TYPES or (colon and not (number.isascii() and number.isdecimal())):
        names = ", ".join(map(repr, _TYPES))
        raise _checks.ArgumentError(f"{caller}: device must be one of {names}, or one with an index, got {name!r}")
    kind = (_gpu_type() or "gpu") if kind == "gpu" else "mps" if kind == "metal" else kind
    return kind, int(number) if colon else None


class device:
    """A device, as a value: building one sets nothing. ``with device("cpu"):`` computes on it inside the block. ::

        lucid.device("mps"), lucid.device("cuda:0"), lucid.device("cuda", 0), lucid.device(x.device)

    A device is equal to another of its type, and to a string that names it; no index means 0. ``"metal"`` is another
    name for ``"mps"``, and ``"gpu"`` for the GPU of this machine, ``"mps"`` on a Mac and ``"cuda"`` with an NVIDIA GPU.
    Devices that this machine does not have can be built and compared, but not used.

    Memory is unified: no array moves, and tensors can be used under any device. The device is determined when an
    operation is called, not when its lazy result is evaluated.

    Raises:
        ArgumentError: there is no device of that name.
        RuntimeError: the device is used and not available on this machine, or is a number and there is no GPU.

    Example:
        >>> device = lucid.device("cpu")
        >>> device.type, lucid.zeros(2, device=device).sum().item()
        ('cpu', 0.0)
    """

    __slots__ = ("_index", "_previous", "_type")

    def __init__(self, type: "str | int | device | mx.Device | mx.DeviceType", index: int | None = None) -> None:
        self._previous: list[mx.Device] = []
        if isinstance(type, str) and (index is None or ":" not in type):
            self._type, number = _parsed("device", type)
            self._index = index if number is None else number
        elif isinstance(type, device) and index is None:
            self._type, self._index = type._type, type._index
        elif isinstance(type, mx.Device | mx.DeviceType) and index is None:
            is_cpu = (type.type if isinstance(type, mx.Device) else type) == mx.cpu
            self._type, self._index = ("cpu", None) if is_cpu else (_gpu_type() or "gpu", 0)
        elif isinstance(type, int) and not isinstance(type, bool) and index is None:
            if (gpu := _gpu_type()) is None:
                raise RuntimeError(f"device: {type} is the number of a GPU, and this machine has none")
            self._type, self._index = gpu, type
        else:
            raise TypeError(
                "device: expected a name, a name and an index, or a device; lucid.get_default_device() is the current "
                f"device, got {type!r}" + ("" if index is None else f" and {index!r}")
            )
        if self._index is not None and _checks.integer("device", "index", self._index) < 0:
            if isinstance(type, int) or self._index != -1:  # device("cuda", -1) has no index
                raise _checks.ArgumentError(f"device: index must be at least 0, got {self._index}")
            self._index = None

    @property
    def type(self) -> str:
        """``"cpu"``, ``"mps"``, ``"cuda"`` or another of PyTorch's types."""
        return self._type

    @property
    def index(self) -> int | None:
        """The number of the device among those of its type, or ``None`` if none was given."""
        return self._index

    @property
    def mlx(self) -> mx.Device:
        """MLX's device. Raises a ``RuntimeError`` if this machine does not have it."""
        return resolve("device", self)

    def __enter__(self) -> "device":
        found = self.mlx
        self._previous.append(mx.default_device())
        mx.set_default_device(found)
        return self

    def __exit__(self, *error: object) -> None:
        mx.set_default_device(self._previous.pop())

    def __reduce__(self) -> Any:
        return device, (str(self),)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str):
            try:
                other = device(other)
            except ValueError:
                return False
        if not isinstance(other, device):
            return NotImplemented
        return self._type == other._type and (self._index or 0) == (other._index or 0)

    def __hash__(self) -> int:
        return hash(f"{self._type}:{self._index}" if self._index else self._type)

    def __str__(self) -> str:
        return self._type if self._index is None else f"{self._type}:{self._index}"

    def __repr__(self) -> str:
        return f"device(type={self._type!r}" + (")" if self._index is None else f", index={self._index})")


def is_available(name: str = "gpu") -> bool:
    """Whether this machine can compute on the device of that name."""
    return _is_here(device(name))


def _is_here(found: device) -> bool:
    return found._type in ("cpu", _gpu_type()) and not found._index


def resolve(caller: str, wanted: Any) -> mx.Device:
    """MLX's device for a ``device``, its name or number, or an MLX device.

    Raises:
        ArgumentError: there is no device of that name.
        RuntimeError: the device is not available on this machine or in this build of MLX.
    """
    found = device(*_parsed(caller, wanted)) if isinstance(wanted, str) else device(wanted)
    if not _is_here(found):
        name = wanted if isinstance(wanted, str) else str(found)
        gpu = _gpu_type()
        here = f"available devices are 'cpu' and '{gpu}'" if gpu else "the only device is 'cpu'"
        raise RuntimeError(f"{caller}: device '{name}' is not available here; {here}")
    return mx.Device(mx.cpu if found._type == "cpu" else mx.gpu, 0)


def get_default_device() -> device:
    """The device that operations run on: the GPU, if there is one, until ``set_default_device`` is called.

    Example:
        >>> with lucid.device("cpu"):
        ...     print(lucid.get_default_device())
        ...
        cpu
    """
    return device(mx.default_device())


def set_default_device(device: Any) -> None:
    """Compute on ``device`` from here on, in all threads; ``None`` restores the default.

    Raises:
        RuntimeError: the device is not available on this machine.

    Example:
        >>> lucid.set_default_device("cpu")
    """
    mx.set_default_device(_initial if device is None else resolve("set_default_device", device))


_initial = mx.default_device()
_keep_freed_buffers()
