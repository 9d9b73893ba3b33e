"""Products of float32 matrices on the CPU, with or without a fast BLAS.

MLX multiplies with BLAS. Its Linux wheel bundles the reference BLAS, which reaches 4 GFLOP/s; OpenBLAS, where it is
installed, reaches 80 to 200, and the C++ kernel 130 to 200 (2 cores, AMD EPYC, November 2026). With OpenBLAS the kernel
multiplies narrow matrices, such as those of a linear layer with few channels, and without it all. OpenBLAS's AVX-512
kernels are faster for all shapes: a linear layer of 64 to 256 channels takes 14 ms forward and 14 ms for its weights'
gradient, the kernel 17 and 20 to 45 ms (one core, Intel Xeon, November 2026). There, Lucid's threads call OpenBLAS for
parts of a product; its own threads divide narrow matrices badly, and take the processor from the other kernels. macOS
has a BLAS of its own, and GPUs multiply as MLX does.
"""

import sys
from collections.abc import Callable, Sequence

import mlx.core as mx

from lucid import _device
from lucid.kernels import native
from lucid.kernels.custom_vjp import custom_vjp

# Multiply-adds below which calling the kernel takes longer than the product, and below which one thread is enough.
_MIN_WORK = 2**16
_MIN_DIVIDED = 2**22
# Processors for which OpenBLAS has AVX-512 kernels.
_AVX512_CORES = ("skylakex", "cooperlake", "sapphirerapids")
# OpenBLAS is as fast if the product of the two smaller sizes is above this.
_MAX_NARROW = 2**17


def matmul(a: mx.array, b: mx.array, bias: mx.array | None = None) -> mx.array:
    """``a @ b + bias`` of matrices (M, K) and (K, N) and a vector (N,), differentiable any number of times."""
    chosen = implementation(a, b, bias)
    if chosen == "blas":
        return a @ b if bias is None else mx.addmm(bias, a, b)
    product, product_with_bias = _PRODUCTS[chosen]
    return product(a, b) if bias is None else product_with_bias(a, b, bias)


def implementation(a: mx.array, b: mx.array, bias: mx.array | None = None) -> str:
    """ "native" for what the C++ kernel multiplies, "divided" for OpenBLAS on Lucid's threads, "blas" for all else."""
    (m, k), n = a.shape, b.shape[1]
    work = m * k * n
    if work < _MIN_WORK or not a.dtype == b.dtype == mx.float32 or sys.platform != "linux":
        return "blas"
    if bias is not None and bias.dtype != mx.float32:
        return "blas"
    if _device.openblas_core().lower() in _AVX512_CORES:
        library = native.for_arrays(a) if work >= _MIN_DIVIDED else None
        return "divided" if library is not None and library.has_blas() else "blas"
    if _device.openblas is not None and work > _MAX_NARROW * max(m, k, n):
        return "blas"
    library = native.for_arrays(a)
    return "native" if library is not None and n >= library.matmul_columns() else "blas"


def _product_vjp(dy: mx.array, a: mx.array, b: mx.array) -> Sequence[mx.array]:
    return matmul(dy, b.T), matmul(a.T, dy)


def _product_with_bias_vjp(dy: mx.array, a: mx.array, b: mx.array, bias: mx.array) -> Sequence[mx.array]:
    return (*_product_vjp(dy, a, b), dy.sum(0))


def _products(name: str) -> tuple[Callable[..., mx.array], Callable[..., mx.array]]:
    """The product by this function of the native library, without and with a bias."""

    def product(a: mx.array, b: mx.array, bias: mx.array | None = None) -> mx.array:
        result: mx.array = getattr(native.library(), name)(a, b, bias)
        return result

    return custom_vjp(product, vjp=_product_vjp), custom_vjp(product, vjp=_product_with_bias_vjp)


_PRODUCTS = {"native": _products("matmul"), "divided": _products("blas_matmul")}
