"""Global response normalization of ``gelu(h + bias)``, as in ConvNeXt V2, in few passes over the widest map.

    x = gelu(h + bias)                                     (N, H, W, C)
    norm = sqrt(sum of x^2 over each image)                (N, 1, 1, C)
    scale = 1 + weight * norm / (mean of norm over C + eps)
    y = (x * scale + shift) * factor

On a GPU x is never written to memory, but computed from ``h`` wherever it is needed: one pass reads h for the sums of
squares, one writes y; backward, one reads dy and h for the sums from which the gradients of scale and shift follow, and
one writes the gradient of h and sums up that of the bias. The passes with sums are functions of
``metal/biased_gelu.metal``. Everything else, and the gradient of the gradient, is made of MLX's operations:
``reference``.

The sums of squares are an argument, because the backward pass needs them too: ``square_sums(h, bias)``. They count as a
function of h: the gradient of h is the whole one.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache

import mlx.core as mx

from lucid.kernels import biased_gelu, gelu, library
from lucid.kernels.custom_vjp import custom_vjp
from lucid.kernels.fusion import fused

EPS = 1e-6
_TARGET_THREADS = 65536
_MIN_ROWS = 64
_THREADS = 128
_END = "thread_position_in_grid, threads_per_grid);"
implementation = biased_gelu.implementation


def square_sums(h: mx.array, bias: mx.array) -> mx.array:
    """The sums of ``gelu(h + bias)**2`` over each image of h (N, H, W, C), (N, 1, 1, C); not differentiable."""
    language = implementation(h, bias)
    if language == "reference":
        x = gelu.reference(_wide(h) + _wide(bias))
        return mx.square(x).sum((1, 2), keepdims=True)
    return _launch_square_sums(language, h, bias)


def _launch_square_sums(language: str, h: mx.array, bias: mx.array) -> mx.array:
    images, channels, chunks = _grid(h)
    kernel = library.kernel(
        language, "biased_gelu", "gelu_square_sums", ("h", "bias", "sizes"), ("sums",),
        f"gelu_square_sums(h, bias, sizes, sums, {_END}",
    )  # fmt: skip
    [sums] = kernel(
        inputs=[h, bias.astype(mx.float32), _sizes(h)],
        output_shapes=[(chunks, images, channels)],
        output_dtypes=[mx.float32],
        grid=(channels, chunks, images),
        threadgroup=(_THREADS, 1, 1),
        template=[("T", h.dtype)],
    )
    return sums.sum(0).reshape(images, 1, 1, channels)


def gelu_grn(
    h: mx.array, bias: mx.array, squares: mx.array, weight: mx.array, shift: mx.array, factor: mx.array | None = None
) -> mx.array:
    """``y`` in the dtype of ``h``; the sums are computed in float32.

    Args:
        h: (N, H, W, C).
        bias: (C,).
        squares: ``square_sums(h, bias)``.
        weight: GRN's gamma, any shape with C elements.
        shift: GRN's beta, any shape with C elements.
        factor: One number for each image, (N,), or None for 1. It gets no gradient.
    """
    language = implementation(h, bias)
    arrays = (h, bias, squares, weight, shift, *(() if factor is None else (factor,)))
    return reference(*arrays) if language == "reference" else _function(language)(*arrays)


def gradients(
    dy: mx.array, h: mx.array, bias: mx.array, squares: mx.array, weight: mx.array, shift: mx.array,
    factor: mx.array | None = None,
) -> tuple[mx.array, ...] | None:  # fmt: skip
    """The gradients of h, bias, squares (zero), weight and shift; ``None`` where MLX derives them."""
    language = implementation(h, bias)
    if language == "reference":
        return None
    return _launch(language, dy, h, bias, squares, weight, shift, *(() if factor is None else (factor,)))


def reference(
    h: mx.array, bias: mx.array, squares: mx.array, weight: mx.array, shift: mx.array, *factor: mx.array
) -> mx.array:
    """The same with MLX's operations, which MLX differentiates. It computes the sums of squares itself."""
    x = gelu.reference(_wide(h) + _wide(bias))
    squares = mx.square(x).sum((1, 2), keepdims=True)
    y = x * _scale(squares, _wide(weight).reshape(-1)) + _wide(shift).reshape(-1)
    for one in factor:
        y = y * mx.stop_gradient(_wide(one).reshape(-1, 1, 1, 1))
    return y.astype(h.dtype)


def _wide(array: mx.array) -> mx.array:
    return array if array.dtype == mx.float64 else array.astype(mx.float32)


def _scale(squares: mx.array, weight: mx.array) -> mx.array:
    """``1 + weight * norm / (mean of norm + eps)``, (N, 1, 1, C). A channel of zeros passes no gradient to its norm."""
    zero = squares == 0
    norm = mx.where(zero, 0, mx.sqrt(mx.where(zero, 1, squares)))
    return 1 + weight * (norm / (norm.mean(-1, keepdims=True) + EPS))


@fused
def _forward(h: mx.array, bias: mx.array, scale: mx.array, shift: mx.array) -> mx.array:
    x = gelu.value(h.astype(mx.float32) + bias.astype(mx.float32))
    return (x * scale + shift).astype(h.dtype)


@lru_cache
def _function(language: str) -> Callable[..., mx.array]:
    def forward(
        h: mx.array, bias: mx.array, squares: mx.array, weight: mx.array, shift: mx.array, *factor: mx.array
    ) -> mx.array:
        scale, shift = _scale(squares, _wide(weight).reshape(-1)), _wide(shift).reshape(-1)
        for one in factor:
            scale, shift = (array * one.reshape(-1, 1, 1, 1) for array in (scale, shift))
        return _forward(h, bias, scale, shift)

    def vjp(dy: mx.array, *arrays: mx.array) -> tuple[mx.array, ...]:
        return (*_gradient(language)(dy, *arrays), *map(mx.zeros_like, arrays[5:]))

    found: Callable[..., mx.array] = custom_vjp(forward, vjp)
    return found


@lru_cache
def _gradient(language: str) -> Callable[..., tuple[mx.array, ...]]:
    """The gradients of the five arrays, whose own gradients are those of the reference."""

    def plain(dy: mx.array, *arrays: mx.array) -> Sequence[mx.array]:
        return mx.vjp(lambda *five: reference(*five, *arrays[5:]), list(arrays[:5]), [dy])[1]

    def gradient(dy: mx.array, *arrays: mx.array) -> tuple[mx.array, ...]:
        return _launch(language, dy, *arrays)

    found: Callable[..., tuple[mx.array, ...]] = custom_vjp(
        gradient, lambda cotangents, *primals: mx.vjp(plain, list(primals), list(cotangents))[1]
    )
    return found


def _launch(
    language: str, dy: mx.array, h: mx.array, bias: mx.array, squares: mx.array, weight: mx.array, shift: mx.array,
    *factor: mx.array,
) -> tuple[mx.array, ...]:  # fmt: skip
    images, channels, chunks = _grid(h)
    dy, wide = dy.astype(h.dtype), bias.astype(mx.float32)
    kernel = library.kernel(
        language, "biased_gelu", "gelu_product_sums", ("dy", "h", "bias", "sizes"), ("sums",),
        f"gelu_product_sums(dy, h, bias, sizes, sums, {_END}",
    )  # fmt: skip
    [sums] = kernel(
        inputs=[dy, h, wide, _sizes(h)],
        output_shapes=[(chunks, images, 2, channels)],
        output_dtypes=[mx.float32],
        grid=(channels, chunks, images),
        threadgroup=(_THREADS, 1, 1),
        template=[("T", h.dtype)],
    )
    sums = sums.sum(0)  # (N, 2, C)
    for one in factor:
        sums = sums * one.reshape(-1, 1, 1)
    d_scale = sums[:, :1].reshape(images, 1, 1, channels)
    [scale], [d_squares, d_weight] = mx.vjp(_scale, [squares, _wide(weight).reshape(-1)], [d_scale])
    for one in factor:
        scale = scale * one.reshape(-1, 1, 1, 1)
    kernel = library.kernel(
        language, "biased_gelu", "scaled_gelu_gradient", ("dy", "h", "bias", "scale", "shift", "sizes"),
        ("dh", "sums"), f"scaled_gelu_gradient<T>(dy, h, bias, scale, shift, sizes, dh, sums, {_END}",
    )  # fmt: skip
    dh, partial = kernel(
        inputs=[dy, h, wide, scale, 2 * d_squares, _sizes(h)],
        output_shapes=[h.shape, (images * chunks, channels)],
        output_dtypes=[h.dtype, mx.float32],
        grid=(channels, chunks, images),
        threadgroup=(_THREADS, 1, 1),
        template=[("T", h.dtype)],
    )
    d_shift = sums[:, 1].sum(0)
    found = dh, partial.sum(0), mx.zeros_like(squares), d_weight.reshape(weight.shape), d_shift.reshape(shift.shape)
    return tuple(one.astype(like.dtype) for one, like in zip(found, (h, bias, squares, weight, shift), strict=True))


def _grid(h: mx.array) -> tuple[int, int, int]:
    """Images, channels, and the chunks of each image."""
    images, height, width, channels = h.shape
    chunks = max(1, min(-(-_TARGET_THREADS // (channels * images)), height * width // _MIN_ROWS))
    return images, channels, chunks


def _sizes(h: mx.array) -> mx.array:
    images, height, width, channels = h.shape
    return biased_gelu.sizes(images * height * width, channels, height * width)
