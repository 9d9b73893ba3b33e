"""Operations of a ConvNeXt block that take fewer passes over memory together than one by one.

``lucid/models/_fused_block.py`` puts them together. They are no part of ``lucid.nn.functional``.
"""

from typing import Any

import mlx.core as mx

from lucid.kernels import biased_gelu as kernel
from lucid.kernels import depthwise_conv2d
from lucid.kernels import gelu_grn as grn_kernel
from lucid.kernels import grn_product as products
from lucid.kernels.add_product import add_product as add_product_kernel
from lucid.kernels.add_product import rows_for
from lucid.kernels.depthwise_conv2d.geometry import Geometry
from lucid.kernels.fusion import fused
from lucid.ops._types import TensorLike
from lucid.tape import op


def _conv2d_and_input_vjp(
    cotangents: tuple[mx.array, mx.array], x: mx.array, weight: mx.array, bias: mx.array, padding: Any, dilation: Any
) -> tuple[mx.array, mx.array, mx.array] | None:
    dy, start = cotangents
    return depthwise_conv2d.gradients(dy, x, weight, _geometry(x, weight, padding, dilation), start)


@op(vjp=_conv2d_and_input_vjp)
def conv2d_and_input(
    x: TensorLike, weight: TensorLike, bias: TensorLike, padding: Any, dilation: Any
) -> tuple[mx.array, mx.array]:
    """The depthwise convolution of x (N, H, W, C), and x itself, for a shortcut around what follows.

    On a GPU the gradient that comes along the shortcut is where the sums of the convolution's gradient start, instead
    of being added in a pass of its own. All arrays have one dtype.
    """
    return depthwise_conv2d.forward(x, weight, bias, _geometry(x, weight, padding, dilation)), x


def _geometry(x: mx.array, weight: mx.array, padding: Any, dilation: Any) -> Geometry:
    return Geometry.checked("conv2d", x.shape[1:3], weight.shape[2:], 1, padding, dilation)


def _biased_gelu_vjp(dy: mx.array, h: mx.array, bias: mx.array, factor: mx.array | None, padded: bool = False) -> Any:
    return kernel.gradients(dy, h, bias, factor)


@op(vjp=_biased_gelu_vjp)
def biased_gelu(h: TensorLike, bias: TensorLike, factor: TensorLike, padded: bool = False) -> mx.array:
    """``gelu(h + bias) * factor`` for h (N, ..., C), bias (C,) and factor (N,) or None.

    If ``padded``, a column of the factor follows, for the bias of the next product, and columns of zeros.
    """
    return kernel.biased_gelu(h, bias, factor, padded)


def _gelu_grn_vjp(
    dy: mx.array, h: mx.array, bias: mx.array, squares: mx.array, weight: mx.array, shift: mx.array,
    factor: mx.array | None, padded: bool = False,
) -> Any:  # fmt: skip
    return grn_kernel.gradients(dy, h, bias, squares, weight, shift, factor)


@op(vjp=_gelu_grn_vjp)
def gelu_grn(
    h: TensorLike, bias: TensorLike, squares: TensorLike, weight: TensorLike, shift: TensorLike, factor: TensorLike,
    padded: bool = False,
) -> mx.array:  # fmt: skip
    """The global response normalization of ``gelu(h + bias)``, see ``lucid/kernels/gelu_grn.py``."""
    return grn_kernel.gelu_grn(h, bias, squares, weight, shift, factor, padded)


@op
def gelu_square_sums(h: TensorLike, bias: TensorLike) -> mx.array:
    """What ``gelu_grn`` takes as ``squares``; not differentiable."""
    return grn_kernel.square_sums(h, bias)


@op
def gelu_and_square_sums(h: TensorLike, bias: TensorLike) -> tuple[mx.array, mx.array]:
    """What ``grn_product`` takes as ``y`` and ``squares``; not differentiable."""
    return grn_kernel.gelu_and_square_sums(h, bias)


def _grn_product_vjp(
    dout: mx.array, x: mx.array, h: mx.array, bias: mx.array, y: mx.array, squares: mx.array, weight: mx.array,
    matrix: mx.array, factor: mx.array | None,
) -> Any:  # fmt: skip
    return products.gradients(dout, x, h, bias, y, squares, weight, matrix, factor)


@op(vjp=_grn_product_vjp)
def grn_product(
    x: TensorLike, h: TensorLike, bias: TensorLike, y: TensorLike, squares: TensorLike, weight: TensorLike,
    matrix: TensorLike, factor: TensorLike,
) -> mx.array:  # fmt: skip
    """``x`` plus the normalized ``gelu(h + bias)`` times a matrix, see ``lucid/kernels/grn_product.py``."""
    return products.grn_product(x, h, bias, y, squares, weight, matrix, factor)


@op
def with_bias_row(weight: TensorLike, bias: TensorLike, rows: int) -> mx.array:
    """The matrix of a Linear (O, C) for products from the right, (C + rows, O): its bias and rows of zeros follow."""
    zeros = mx.zeros((rows - 1, weight.shape[0]), weight.dtype)
    return mx.concatenate([weight.T, bias.reshape(1, -1), zeros])


def _add_product_vjp(dy: mx.array, x: mx.array, y: mx.array, matrix: mx.array) -> tuple[mx.array, mx.array, mx.array]:
    d, narrow = rows_for(dy.astype(y.dtype), matrix), matrix.astype(y.dtype)
    return dy, (d @ narrow.T).reshape(y.shape), rows_for(y, matrix).T @ d


@op(vjp=_add_product_vjp)
def add_product(x: TensorLike, y: TensorLike, matrix: TensorLike) -> mx.array:
    """``x + y @ matrix`` in one pass for x (N, H, W, O), y (N, H, W, K) and a matrix (K, O)."""
    return add_product_kernel(x, y, matrix)


def _add_branch_vjp(dy: mx.array, *_: mx.array) -> tuple[mx.array, mx.array, mx.array]:
    return dy, dy, dy.sum((1, 2), keepdims=True)  # the tape casts them to the dtypes of the arguments


@op(vjp=_add_branch_vjp)
def add_branch(x: TensorLike, y: TensorLike, shift: TensorLike) -> mx.array:
    """``x + (y + shift)`` in one pass, for x and y (N, H, W, C) and shift (N, 1, 1, C)."""
    return _add(x, y, shift)


@fused
def _add(x: mx.array, y: mx.array, shift: mx.array) -> mx.array:
    return (x + (y + shift)).astype(mx.result_type(x, y))
