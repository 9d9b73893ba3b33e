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

``lucid/kernels/grn_product.py`` takes fewer passes over images of many positions.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache

import mlx.core as mx

from lucid.kernels import biased_gelu, gelu, library
from lucid.kernels.custom_vjp import custom_vjp
from lucid.kernels.fusion import fused

EPS = 1e-6
implementation = biased_gelu.implementation


def square_sums(h: mx.array, bias: mx.array) -> mx.array:
    """The sums of ``gelu(h + bias)**2`` over each image of h (N, H, W, C), (N, 1, 1, C); not differentiable."""
    language = implementation(h, bias)
    if language == "reference":
        x = gelu.reference(_wide(h) + _wide(bias))
        return mx.square(x).sum((1, 2), keepdims=True)
    return _launch_square_sums(language, h, bias)


def _launch_square_sums(language: str, h: mx.array, bias: mx.array) -> mx.array:
    images, channels, chunks = biased_gelu.image_grid(h)
    [sums] = biased_gelu.launch(
        language, "gelu_square_sums", {"h": h, "bias": bias}, _sizes(h, channels),
        {"sums": (chunks, images, channels)}, grid=(channels, chunks, images),
    )  # fmt: skip
    return sums.sum(0).reshape(images, 1, 1, channels)


def gelu_and_square_sums(h: mx.array, bias: mx.array) -> tuple[mx.array, mx.array]:
    """The padded ``gelu(h + bias)`` of ``biased_gelu`` and its ``square_sums``; not differentiable."""
    language = implementation(h, bias)
    if language == "reference":
        return biased_gelu.reference(h, bias, padded=True), square_sums(h, bias)
    return _launch_with_square_sums(language, h, bias)


def _launch_with_square_sums(language: str, h: mx.array, bias: mx.array) -> tuple[mx.array, mx.array]:
    images, channels, chunks = biased_gelu.image_grid(h)
    width = channels + biased_gelu.padding(h.dtype)
    y, sums = biased_gelu.launch(
        language, "gelu_and_square_sums<T>", {"h": h, "bias": bias}, _sizes(h, width),
        {"y": (*h.shape[:-1], width), "sums": (chunks, images, channels)}, grid=(width, chunks, images),
    )  # fmt: skip
    return y, sums.sum(0).reshape(images, 1, 1, channels)


def gelu_grn(
    h: mx.array, bias: mx.array, squares: mx.array, weight: mx.array, shift: mx.array, factor: mx.array | None = None,
    padded: bool = False,
) -> mx.array:  # fmt: skip
    """``y`` in the dtype of ``h``; the sums are computed in float32.

    Args:
        h: (N, H, W, C).
        bias: (C,).
        squares: ``square_sums(h, bias)``.
        weight: GRN's gamma, any shape with C elements.
        shift: GRN's beta, any shape with C elements.
        factor: One number for each image, (N,), or None for 1. It gets no gradient.
        padded: Append columns, as ``biased_gelu`` does.
    """
    language = implementation(h, bias)
    arrays = (h, bias, squares, weight, shift, *(() if factor is None else (factor,)))
    return reference(*arrays, padded=padded) if language == "reference" else _function(language, padded)(*arrays)


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
    h: mx.array, bias: mx.array, squares: mx.array, weight: mx.array, shift: mx.array, *factor: mx.array,
    padded: bool = False,
) -> mx.array:  # fmt: skip
    """The same with MLX's operations, which MLX differentiates. It computes the sums of squares itself."""
    x = gelu.reference(_wide(h) + _wide(bias))
    y = x * reference_scale(x, weight) + _wide(shift).reshape(-1)
    for one in factor:
        y = y * mx.stop_gradient(_wide(one).reshape(-1, 1, 1, 1))
    return biased_gelu.with_columns(y.astype(h.dtype), *factor) if padded else y.astype(h.dtype)


def _wide(array: mx.array) -> mx.array:
    return array if array.dtype == mx.float64 else array.astype(mx.float32)


def reference_scale(x: mx.array, weight: mx.array) -> mx.array:
    """``scale`` from x. A channel of zeros passes no gradient to its norm."""
    squares = mx.square(x).sum((1, 2), keepdims=True)
    zero = squares == 0
    norm = mx.where(zero, 0, mx.sqrt(mx.where(zero, 1, squares)))
    return 1 + _wide(weight).reshape(-1) * (norm / (norm.mean(-1, keepdims=True) + EPS))


def scale(squares: mx.array, weight: mx.array) -> mx.array:
    """``1 + weight * norm / (mean of norm + eps)``, (N, 1, 1, C), from ``square_sums`` and a weight (C,)."""
    norm = mx.sqrt(squares)
    return 1 + weight * (norm / (norm.mean(-1, keepdims=True) + EPS))


def scale_gradients(d_scale: mx.array, squares: mx.array, weight: mx.array) -> tuple[mx.array, mx.array]:
    """Twice the gradient of the sums of squares, by which x is multiplied for its own, and that of the weight."""
    norm = mx.sqrt(squares)
    mean = norm.mean(-1, keepdims=True) + EPS
    share = d_scale * norm / mean
    channels = share.shape[-1]
    total = (share.reshape(-1, channels) @ weight.reshape(channels, 1)).reshape(mean.shape)
    slope = (d_scale * weight - total / channels) / (mean * norm)
    return mx.where(squares > 0, slope, 0), share.sum((0, 1, 2))


@fused
def _forward(h: mx.array, bias: mx.array, scale: mx.array, shift: mx.array) -> mx.array:
    x = gelu.value(h.astype(mx.float32) + bias.astype(mx.float32))
    return (x * scale + shift).astype(h.dtype)


@lru_cache
def _function(language: str, padded: bool) -> Callable[..., mx.array]:
    def forward(
        h: mx.array, bias: mx.array, squares: mx.array, weight: mx.array, shift: mx.array, *factor: mx.array
    ) -> mx.array:
        times, plus = scale(squares, _wide(weight).reshape(-1)), _wide(shift).reshape(-1)
        for one in factor:
            times, plus = (array * one.reshape(-1, 1, 1, 1) for array in (times, plus))
        if padded:
            plus = mx.broadcast_to(plus, times.shape)
            return biased_gelu.launch_padded(language, h, bias, factor[0] if factor else None, times, plus)
        return _forward(h, bias, times, plus)

    def vjp(dy: mx.array, *arrays: mx.array) -> tuple[mx.array, ...]:
        return (*_gradient(language)(dy, *arrays), *map(mx.zeros_like, arrays[5:]))

    found: Callable[..., mx.array] = custom_vjp(forward, vjp)
    return found


@lru_cache
def _gradient(language: str) -> Callable[..., tuple[mx.array, ...]]:
    """The gradients of the five arrays, whose own gradients are those of the reference."""

    def plain(dy: mx.array, *arrays: mx.array) -> Sequence[mx.array]:
        padded = dy.shape != arrays[0].shape
        return mx.vjp(lambda *five: reference(*five, *arrays[5:], padded=padded), list(arrays[:5]), [dy])[1]

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
    images, channels, chunks = biased_gelu.image_grid(h)
    dy = dy.astype(h.dtype)
    [sums] = biased_gelu.launch(
        language, "gelu_product_sums", {"dy": dy, "h": h, "bias": bias}, _sizes(h, dy.shape[-1]),
        {"sums": (chunks, images, 2, channels)}, grid=(channels, chunks, images),
    )  # fmt: skip
    sums = sums.sum(0)  # (N, 2, C)
    for one in factor:
        sums = sums * one.reshape(-1, 1, 1)
    d_scale = sums[:, :1].reshape(images, 1, 1, channels)
    wide = _wide(weight).reshape(-1)
    times = scale(squares, wide)
    twice, d_weight = scale_gradients(d_scale, squares, wide)
    for one in factor:
        times = times * one.reshape(-1, 1, 1, 1)
    dh, dbias = launch_gradient(language, dy, h, bias, times, twice)
    d_shift = sums[:, 1].sum(0)
    found = dh, dbias, mx.zeros_like(squares), d_weight.reshape(weight.shape), d_shift.reshape(shift.shape)
    return tuple(one.astype(like.dtype) for one, like in zip(found, (h, bias, squares, weight, shift), strict=True))


def launch_gradient(
    language: str, dy: mx.array, h: mx.array, bias: mx.array, scale: mx.array, shift: mx.array
) -> tuple[mx.array, mx.array]:
    """``(dy * scale + gelu(h + bias) * shift) * gelu'(h + bias)`` in the dtype of h, and its sums (C,) in float32."""
    images, channels, chunks = biased_gelu.image_grid(h)
    dh, sums = biased_gelu.launch(
        language, "scaled_gelu_gradient<T>", {"dy": dy, "h": h, "bias": bias, "scale": scale, "shift": shift},
        _sizes(h, dy.shape[-1]), {"dh": h.shape, "sums": (images * chunks, channels)},
        grid=(channels, chunks, images),
    )  # fmt: skip
    return dh, sums.sum(0)


def _sizes(h: mx.array, width: int) -> mx.array:
    images, height, width_px, channels = h.shape
    return library.sizes(images * height * width_px, channels, height * width_px, width)
