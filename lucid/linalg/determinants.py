"""Determinants and their logarithms."""

from typing import NamedTuple

import mlx.core as mx

from lucid.kernels import factorizations
from lucid.linalg._matrices import matrices
from lucid.ops._common import any_op
from lucid.ops._types import TensorLike
from lucid.tape import op


class SlogDet(NamedTuple):
    """The sign, a complex number of size 1 if complex, and the logarithm of the absolute value."""

    sign: mx.array
    logabsdet: mx.array


@op(autocast="float32")
def det(input: TensorLike, *, out: None = None) -> mx.array:
    """The determinants of square matrices (..., n, n), of shape (...). Runs on the CPU.

    The gradient is that of the polynomial, for singular matrices too.

    Example:
        >>> lucid.linalg.det(lucid.tensor([[4.0, 2.0], [2.0, 3.0]])).item()
        8.0
    """
    return factorizations.det(matrices("det", input, square=True))


@any_op
def slogdet(input: TensorLike, *, out: None = None) -> SlogDet:
    """The signs and the logarithms of the absolute values of determinants, which may be beyond any number.

    Shapes: input (..., n, n), both results (...). Runs on the CPU. Singular matrices have 0 and -inf.
    """
    return SlogDet(*factorizations.slogdet(matrices("slogdet", input, square=True)))


@op(autocast="float32")
def logdet(input: TensorLike) -> mx.array:
    """The logarithms of determinants of square matrices (..., n, n): NaN for negative ones, -inf for 0."""
    sign, size = factorizations.slogdet(matrices("logdet", input, square=True))
    if sign.dtype == mx.complex64:
        return size + mx.log(sign)
    return mx.where(sign < 0, mx.array(mx.nan, size.dtype), size)
