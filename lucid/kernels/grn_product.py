"""``x + GRN(gelu(h + bias)) @ W``: global response normalization as part of the weights of the Linear that follows.

    y, squares = gelu_and_square_sums(h, bias)              (N, H, W, K), padded for a bias, and (N, 1, 1, C)
    s = scale(squares, weight) * factor                     (N, K), 1 * factor for the bias and 0 for the other columns
    out = x + y @ (s * matrix)                              a product for each image, (H * W, K) and (K, O)

The pass that computes gelu is the only one forward, because its result need not be scaled. Backward,

    d = y^T @ dout                                          (N, K, O)
    d_matrix = sum of s * d over the images
    d_s = sum of d * matrix over O

replace the pass over the gradient of y for the sums that ``gelu_grn`` needs. In exchange, ``s * matrix`` is written and
read, and d is written and read twice. That is cheaper for images of many positions: 5 K O against 12 H W O values.

Everything but gelu and its gradient, which are kernels of ``gelu_grn``, is made of MLX's operations, and the gradient
of the gradient is that of ``reference``.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache

import mlx.core as mx

from lucid.kernels import biased_gelu, gelu_grn
from lucid.kernels.add_product import add_product, rows_for
from lucid.kernels.custom_vjp import custom_vjp

implementation = biased_gelu.implementation


def grn_product(
    x: mx.array, h: mx.array, bias: mx.array, y: mx.array, squares: mx.array, weight: mx.array, matrix: mx.array,
    factor: mx.array | None = None,
) -> mx.array:  # fmt: skip
    """``out`` in the dtype to which those of ``x`` and ``h`` promote.

    Args:
        x: (N, H, W, O).
        h: (N, H, W, C).
        bias: (C,).
        y: The first result of ``gelu_and_square_sums(h, bias)``. It counts as a function of h: it gets no gradient.
        squares: The second one, likewise.
        weight: GRN's gamma, any shape with C elements.
        matrix: (K, O): the weights of the Linear, transposed, then its bias, and zeros.
        factor: One number for each image, (N,), or None for 1. It gets no gradient.
    """
    language = implementation(h, bias)
    arrays = (x, h, bias, y, squares, weight, matrix, *(() if factor is None else (factor,)))
    return reference(*arrays) if language == "reference" else _function(language)(*arrays)


def gradients(
    dout: mx.array, x: mx.array, h: mx.array, bias: mx.array, y: mx.array, squares: mx.array, weight: mx.array,
    matrix: mx.array, factor: mx.array | None = None,
) -> tuple[mx.array, ...] | None:  # fmt: skip
    """The gradients of the first seven arguments, zero for y and squares; ``None`` where MLX derives them."""
    language = implementation(h, bias)
    if language == "reference":
        return None
    return _gradients(language, dout, x, h, bias, y, squares, weight, matrix, *(() if factor is None else (factor,)))


def reference(
    x: mx.array, h: mx.array, bias: mx.array, y: mx.array, squares: mx.array, weight: mx.array, matrix: mx.array,
    *factor: mx.array,
) -> mx.array:  # fmt: skip
    """The same with MLX's operations, which MLX differentiates. It computes y and squares itself."""
    zeros = mx.zeros(h.shape[-1], h.dtype)
    y = gelu_grn.reference(h, bias, squares, weight, zeros, *factor, padded=True)
    return x + y @ matrix.astype(y.dtype)


def _scales(times: mx.array, columns: int, *factor: mx.array) -> mx.array:
    """s (N, K) from that of the map, (N, 1, 1, C)."""
    times = times.reshape(times.shape[0], -1)
    ones = factor[0].reshape(-1, 1) if factor else mx.ones((times.shape[0], 1), times.dtype)
    zeros = mx.zeros((times.shape[0], columns - times.shape[1] - 1), times.dtype)
    return mx.concatenate([times, ones.astype(times.dtype), zeros], 1)


def _image_scale(squares: mx.array, weight: mx.array, *factor: mx.array) -> mx.array:
    times = gelu_grn.scale(squares, weight.astype(mx.float32).reshape(-1))
    for one in factor:
        times = times * one.reshape(-1, 1, 1, 1)
    return times


@lru_cache
def _function(language: str) -> Callable[..., mx.array]:
    def forward(
        x: mx.array, h: mx.array, bias: mx.array, y: mx.array, squares: mx.array, weight: mx.array, matrix: mx.array,
        *factor: mx.array,
    ) -> mx.array:  # fmt: skip
        scales = _scales(_image_scale(squares, weight, *factor), y.shape[-1], *factor)
        return add_product(x, y, (scales[:, :, None] * matrix).astype(y.dtype))

    def plain(dout: mx.array, *arrays: mx.array) -> Sequence[mx.array]:
        return mx.vjp(lambda *seven: reference(*seven, *arrays[7:]), list(arrays[:7]), [dout])[1]

    gradient = custom_vjp(
        lambda dout, *arrays: _gradients(language, dout, *arrays),
        lambda cotangents, *primals: mx.vjp(plain, list(primals), list(cotangents))[1],
    )
    found: Callable[..., mx.array] = custom_vjp(
        forward, lambda dout, *arrays: (*gradient(dout, *arrays), *map(mx.zeros_like, arrays[7:]))
    )
    return found


def _gradients(
    language: str, dout: mx.array, x: mx.array, h: mx.array, bias: mx.array, y: mx.array, squares: mx.array,
    weight: mx.array, matrix: mx.array, *factor: mx.array,
) -> tuple[mx.array, ...]:  # fmt: skip
    images, channels = h.shape[0], h.shape[-1]
    d, narrow = dout.astype(h.dtype), matrix.astype(h.dtype)
    times = _image_scale(squares, weight, *factor)
    scales = _scales(times, y.shape[-1], *factor)
    # Both sums are products with each row of the matrix, (K, N, O), so that each reads the products once.
    products = y.reshape(images, -1, y.shape[-1]).swapaxes(1, 2) @ d.reshape(images, -1, d.shape[-1])
    products = products.swapaxes(0, 1)
    d_matrix = scales.T[:, None, :].astype(d.dtype) @ products  # (K, 1, O)
    d_scale = (products @ narrow[:, :, None])[:channels, :, 0].T.astype(mx.float32)  # (N, C)
    for one in factor:
        d_scale = d_scale * one.reshape(-1, 1)
    twice, d_weight = gelu_grn.scale_gradients(
        d_scale.reshape(squares.shape), squares, weight.astype(mx.float32).reshape(-1)
    )
    dy = (rows_for(d, narrow) @ narrow.T).reshape(y.shape)
    dh, dbias = gelu_grn.launch_gradient(language, dy, h, bias, times, twice)
    return (
        dout.astype(x.dtype), dh, dbias.astype(bias.dtype), mx.zeros_like(y), mx.zeros_like(squares),
        d_weight.reshape(weight.shape).astype(weight.dtype), d_matrix[:, 0].astype(matrix.dtype),
    )  # fmt: skip
