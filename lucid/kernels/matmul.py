"""Products of float32 matrices on the CPU, with or without a fast BLAS.

MLX multiplies with BLAS. Its Linux wheel bundles the reference BLAS, which reaches 4 GFLOP/s; OpenBLAS, where it is
installed, reaches 80 to 200, and the C++ kernel 130 to 200 (2 cores, AMD EPYC, November 2026). With OpenBLAS the kernel
multiplies narrow matrices, such as those of a linear layer with few channels, and without it all. OpenBLAS's AVX-512
kernels are faster for all shapes: a linear layer of 64 to 256 channels takes 14 ms forward and 14 ms for its weights'
gradient, the kernel 17 and 20 to 45 ms (one core, Intel Xeon, November 2026). macOS has a BLAS of its own, and GPUs
multiply as MLX does.
"""

import sys
from collections.abc import Sequence

import mlx.core as mx

from lucid import _device
from lucid.kernels import native
from lucid.kernels.custom_vjp import custom_vjp

# Multiply-adds below which calling the kernel takes longer than the product.
_MIN_WORK = 2**16
# Processors for which OpenBLAS has AVX-512 kernels.
_AVX512_CORES = ("skylakex", "cooperlake", "sapphirerapids")
# OpenBLAS is as fast if the product of the two smaller sizes is above this.
_MAX_NARROW = 2**17


def matmul(a: mx.array, b: mx.array, bias: mx.array | None = None) -> mx.array:
    """``a @ b + bias`` of matrices (M, K) and (K, N) and a vector (N,), differentiable any number of times."""
    if implementation(a, b, bias) == "native":
        return _product(a, b) if bias is None else _product_with_bias(a, b, bias)
    return a @ b if bias is None else mx.addmm(bias, a, b)


def implementation(a: mx.array, b: mx.array, bias: mx.array | None = None) -> str:
    """ "native" for what the C++ kernel multiplies, "blas" for all else."""
    (m, k), n = a.shape, b.shape[1]
    if m * k * n < _MIN_WORK or not a.dtype == b.dtype == mx.float32 or sys.platform != "linux":
        return "blas"
    if _device.openblas is not None and m * k * n > _MAX_NARROW * max(m, k, n):
        return "blas"
    if _device.openblas_core().lower() in _AVX512_CORES:
        return "blas"
    if bias is not None and bias.dtype != mx.float32:
        return "blas"
    library = native.for_arrays(a)
    return "native" if library is not None and n >= library.matmul_columns() else "blas"


def _product_vjp(dy: mx.array, a: mx.array, b: mx.array) -> Sequence[mx.array]:
    return matmul(dy, b.T), matmul(a.T, dy)


_product = custom_vjp(lambda a, b: native.library().matmul(a, b, None), vjp=_product_vjp)
_product_with_bias = custom_vjp(
    lambda a, b, bias: native.library().matmul(a, b, bias),
    vjp=lambda dy, a, b, bias: (*_product_vjp(dy, a, b), dy.sum(0)),
)
