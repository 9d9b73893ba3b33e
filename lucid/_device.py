"""Which machine computes: loads MLX's backend, names it, and chooses between CPU and GPU.

``lucid/__init__.py`` imports this module before anything else of MLX, for two reasons, both on Linux only:

- ``pip install mlx`` brings no backend there. Instead of the linker's complaint about ``libmlx.so``, the reader is told
  which extra to install.
- The CPU wheel of MLX bundles the reference BLAS, 3-4 GFLOP/s in a float32 matmul of 1024 x 1024 where OpenBLAS does
  over 130 on the same 2 cores (AMD EPYC, November 2026). A library that is loaded with RTLD_GLOBAL before ``mlx.core``
  answers for the same symbols in its place.
"""

import ctypes
import os
import sys
from importlib.util import find_spec
from pathlib import Path

# Threaded builds first: Fedora's plain "libopenblas.so.0" is the serial one, Debian's is the threaded one. Never the
# 64-bit-integer builds ("libopenblas64"): MLX passes 32-bit sizes.
_OPENBLAS_NAMES = ("libopenblasp.so.0", "libopenblas.so.0")
_MLX_CACHE_BYTES = 32 * 2**20  # that MLX's CPU backend keeps by itself
_INSTALL_HINT = (
    "Install one of the extras of lucid-mlx: pip install 'lucid-mlx[cpu]' for any Linux machine, "
    "or pip install 'lucid-mlx[cuda]' for one with an NVIDIA GPU (not both, they exclude each other)."
)


def _has_cpu_wheel() -> bool:
    """Whether MLX's CPU wheel is installed, which brings a BLAS of its own in a folder beside the package."""
    # mlx is a namespace package: a folder of that name in the working directory is one of its places too.
    spec = find_spec("mlx")
    places = (spec.submodule_search_locations if spec else None) or ()
    return any((Path(place).parent / "mlx_cpu.libs").is_dir() for place in places)


def _cpu_quota() -> int | None:
    """Whole CPUs that the container may use, or None where there is no such limit."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return None if quota == "max" else max(1, int(quota) // int(period))
    except (OSError, ValueError):
        return None


def _load_openblas() -> str | None:
    """Load OpenBLAS ahead of MLX's own BLAS; its name, or None where it stays out.

    ``LUCID_OPENBLAS=off`` keeps it out; any other value is the library to load (a name or a path).
    """
    wanted = os.environ.get("LUCID_OPENBLAS", "")
    if sys.platform != "linux" or wanted == "off" or "mlx.core" in sys.modules:
        return None
    # The CUDA wheel does its matmuls in cuBLAS: nothing to win there, so nothing is put in its way unless asked for.
    if not wanted and not _has_cpu_wheel():
        return None
    for name in (wanted,) if wanted else _OPENBLAS_NAMES:
        try:
            library = ctypes.CDLL(name, mode=ctypes.RTLD_GLOBAL)
        except OSError:
            continue
        # OpenBLAS starts a thread per core it may be scheduled on, which in a container with a CPU quota can be many
        # more than it may use: they would then wait for each other.
        quota = _cpu_quota()
        told = any(variable in os.environ for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"))
        if quota is not None and not told and quota < len(os.sched_getaffinity(0)):
            library.openblas_set_num_threads(quota)
        return name
    if wanted:
        raise ImportError(f"lucid: LUCID_OPENBLAS names {wanted!r}, which cannot be loaded; 'off' turns it off")
    return None


openblas = _load_openblas()
"""Name of the OpenBLAS library that serves MLX's CPU backend, None where MLX uses its own BLAS."""

try:
    import mlx.core as mx
except ImportError as error:
    if find_spec("mlx") is None:
        raise ImportError("lucid needs MLX, which is not installed: pip install lucid-mlx brings it.") from error
    if sys.platform == "linux" and "libmlx" in str(error):
        raise ImportError(f"lucid: MLX is installed without a backend. {_INSTALL_HINT}") from error
    if sys.platform == "linux":
        raise ImportError(f"lucid: MLX's backend does not load: {error}. {_INSTALL_HINT}") from error
    raise


def _keep_freed_buffers() -> None:
    """Let the CPU backend keep as many freed buffers for reuse as a training step needs, unless someone chose before.

    MLX keeps 32 MiB there. What is more goes back to the system, and every page of it is faulted in anew when it is
    asked for again: GELU of 5 MiB takes 30 ms with fresh pages and 10 with reused ones (2 cores, AMD EPYC, November
    2026). ``lucid.memory.cache_limit`` changes it.
    """
    if gpu_backend() is None:
        former = mx.set_cache_limit(mx.get_memory_limit() // 4)
        if former != _MLX_CACHE_BYTES:
            mx.set_cache_limit(former)


_GPU_NAMES = ("gpu", "metal", "mps", "cuda")
_NAMES = ("cpu", *_GPU_NAMES)


def gpu_backend() -> str | None:
    """``"metal"`` or ``"cuda"``: what drives this machine's GPU; None without one."""
    if mx.metal.is_available():
        return "metal"
    if mx.cuda.is_available():
        return "cuda"
    return None


def backend() -> str:
    """``"metal"``, ``"cuda"`` or ``"cpu"``: what operations run on at this moment."""
    if mx.default_device().type == mx.gpu:
        return gpu_backend() or "cpu"
    return "cpu"


def is_available(name: str = "gpu") -> bool:
    """True when ``device(name)`` would succeed."""
    kind = _kind("is_available", name)
    return kind == "cpu" or kind == gpu_backend() or (kind == "gpu" and gpu_backend() is not None)


def resolve(where: str, name: "str | device | mx.Device | mx.DeviceType") -> mx.Device:
    """MLX's device for a name, an earlier ``device`` or one of MLX's own.

    Raises:
        ValueError: no device is called that. ``where`` opens the message.
        RuntimeError: this machine, or this build of MLX, has no such device.
    """
    if isinstance(name, device):
        return name.mlx
    if isinstance(name, mx.Device | mx.DeviceType):
        kind = "cpu" if mx.Device(name.type if isinstance(name, mx.Device) else name).type == mx.cpu else "gpu"
    else:
        kind = _kind(where, name)
    if not is_available(kind):
        have = gpu_backend()
        here = f"here are 'cpu' and 'gpu' ({have})" if have else "here is 'cpu' only"
        raise RuntimeError(f"{where}: '{kind}' is not available here ({here})")
    return mx.Device(mx.cpu if kind == "cpu" else mx.gpu, 0)


def _kind(where: str, name: object) -> str:
    if not isinstance(name, str):
        raise TypeError(f"{where}: the device must be one of {', '.join(map(repr, _NAMES))}, got {name!r}")
    kind, colon, index = name.partition(":")
    if kind not in _NAMES or (colon and index != "0"):
        raise ValueError(f"{where}: the device must be one of {', '.join(map(repr, _NAMES))}, got {name!r}")
    return "metal" if kind == "mps" else kind


class device:
    """Make the CPU or the GPU compute from here on; as ``with`` block, only inside it.

    ``lucid.device("cpu")`` alone is a setter: what is called after it runs on the CPU. ``with lucid.device("cpu"):``
    puts the former device back at the end, also after an error. ``lucid.device()`` tells the present one.
    The names: ``"cpu"``, ``"gpu"`` (whichever is here), ``"metal"`` (also ``"mps"``), ``"cuda"`` (also ``"cuda:0"``).

    Memory is unified: no array moves, a tensor made under one device is used under the other as it is. The device is
    chosen when an operation is called, not when its lazy result is evaluated.

    Raises:
        ValueError: no device is called that.
        RuntimeError: this machine has no such device.
    """

    def __init__(self, name: "str | device | mx.Device | None" = None) -> None:
        former = mx.default_device()
        self.mlx = former if name is None else resolve("lucid.device", name)
        # The first `with` after the call gives back what the call replaced; later ones what they replace themselves.
        self._formers = [former]
        self._is_set = True
        mx.set_default_device(self.mlx)

    @property
    def type(self) -> str:
        """``"cpu"``, or ``"metal"`` or ``"cuda"`` for the GPU."""
        return "cpu" if self.mlx.type == mx.cpu else (gpu_backend() or "gpu")

    def __enter__(self) -> "device":
        if self._is_set:
            self._is_set = False
        else:
            self._formers.append(mx.default_device())
        mx.set_default_device(self.mlx)
        return self

    def __exit__(self, *error: object) -> None:
        mx.set_default_device(self._formers.pop())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, device) and self.type == other.type

    def __hash__(self) -> int:
        return hash(self.type)

    def __str__(self) -> str:
        return self.type

    def __repr__(self) -> str:
        return f"lucid.device('{self.type}')"


_keep_freed_buffers()
