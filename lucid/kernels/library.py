"""Finds the shaders and builds each kernel once.

A ``.metal`` file is the header of every kernel that calls into it; a kernel's own text is that one call. On NVIDIA GPUs
the very same text is compiled as CUDA, behind ``metal/cuda_compat.h``, which maps Metal's words.
"""

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import mlx.core as mx

_PACKAGE = Path(__file__).parents[1]
# Inside the package in a wheel, beside it in a checkout or an editable install.
METAL_FOLDER = next(
    (one for one in (_PACKAGE / "metal", _PACKAGE.parent / "metal") if one.is_dir()), _PACKAGE / "metal"
)
# From here on `threadgroup` declares variables; in the parameters of functions before, it says nothing to CUDA.
_CUDA_END = "\n#undef threadgroup\n#define threadgroup __shared__\n"


@cache
def text(file: str) -> str:
    """The text of a file in ``metal/``.

    Raises:
        FileNotFoundError: the installation lacks it.
    """
    path = METAL_FOLDER / file
    if not path.is_file():
        raise FileNotFoundError(f"lucid: the shader {path} is missing; the installation is incomplete")
    return path.read_text(encoding="utf-8")


@cache
def kernel(
    language: str, stem: str, name: str, inputs: tuple[str, ...], outputs: tuple[str, ...], call: str
) -> Callable[..., Any]:
    """The kernel whose body is ``call``, a call into ``metal/<stem>.metal``; ``language`` is "metal" or "cuda".

    Called like what ``mx.fast.metal_kernel`` gives: inputs, output_shapes, output_dtypes, grid, threadgroup, template.
    """
    shader = text(f"{stem}.metal")
    if language == "cuda":
        header = text("cuda_compat.h") + shader + _CUDA_END
        # MLX finds a compiled CUDA kernel by its name and template arguments alone, also on disk, from earlier
        # processes: the name tells one text from another.
        digest = hashlib.sha256((header + call).encode()).hexdigest()[:12]
        return _callable(mx.fast.cuda_kernel(f"lucid_{name}_{digest}", inputs, outputs, call, header))
    return _callable(mx.fast.metal_kernel(f"lucid_{name}", inputs, outputs, call, shader))


def _callable(kernel: Any) -> Callable[..., Any]:
    return kernel  # MLX's stubs call it an object


def forget() -> None:
    """Build every kernel anew on its next use."""
    text.cache_clear()
    kernel.cache_clear()
