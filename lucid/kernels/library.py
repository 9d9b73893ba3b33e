"""Finds the shader files and builds each kernel once.

A ``.metal`` file is the header of every kernel that calls into it; the source of a kernel is one call. NVIDIA GPUs
compile the same file as CUDA, after ``metal/cuda_compat.h``, which maps Metal's keywords and types.
"""

import hashlib
from collections.abc import Callable
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import mlx.core as mx

_PACKAGE = Path(__file__).parents[1]
# Inside the package in a wheel, beside it in a checkout or an editable install.
METAL_FOLDER = next(
    (one for one in (_PACKAGE / "metal", _PACKAGE.parent / "metal") if one.is_dir()), _PACKAGE / "metal"
)
# In function parameters, `threadgroup` means nothing to CUDA; in the kernel that follows it declares variables.
_CUDA_END = "\n#undef threadgroup\n#define threadgroup __shared__\n"


@cache
def source(file: str) -> str:
    """The content of a file in ``metal/``.

    Raises:
        FileNotFoundError: The installation lacks the file.
    """
    path = METAL_FOLDER / file
    if not path.is_file():
        raise FileNotFoundError(f"lucid: the shader {path} is missing; the installation is incomplete")
    return path.read_text(encoding="utf-8")


@cache
def kernel(
    language: str, shader: str, name: str, inputs: tuple[str, ...], outputs: tuple[str, ...], call: str
) -> Callable[..., Any]:
    """The kernel whose body is ``call``, a call into ``metal/<shader>.metal``; ``language`` is "metal" or "cuda".

    It is called like a kernel of ``mx.fast.metal_kernel``: inputs, output_shapes, output_dtypes, grid, threadgroup,
    template.
    """
    header = source(f"{shader}.metal")
    if language == "cuda":
        header = source("cuda_compat.h") + header + _CUDA_END
        # MLX looks up a compiled CUDA kernel by its name and template arguments alone, in memory and on disk, so the
        # name contains a digest of the source.
        digest = hashlib.sha256((header + call).encode()).hexdigest()[:12]
        return _callable(mx.fast.cuda_kernel(f"lucid_{name}_{digest}", inputs, outputs, call, header))
    return _callable(mx.fast.metal_kernel(f"lucid_{name}", inputs, outputs, call, header))


def _callable(kernel: Any) -> Callable[..., Any]:
    return kernel  # typed as object by MLX's stubs


@lru_cache(maxsize=1024)
def sizes(*values: int) -> mx.array:
    """A short array of integers. MLX passes inputs of fewer than 8 elements in Metal's constant address space."""
    return mx.array(values, mx.int32)


def clear_cache() -> None:
    """Read every file and build every kernel again on its next use."""
    source.cache_clear()
    kernel.cache_clear()
