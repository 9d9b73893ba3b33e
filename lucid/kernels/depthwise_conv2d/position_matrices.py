"""Depthwise convolution of small images as matrix products, which the CPU backend runs where its BLAS is fast.

Each channel has one Toeplitz matrix, from all positions of the input to all positions of the output, and the images are
the rows of the other factor: y[c] = x[c] @ M[c] with x[c] (N, H * W) and M[c] (H * W, OH * OW). The entries of M are
weights and zeros. The input gradient is a product with the transposed matrix, and the weight gradient sums the gradient
of M over the entries that hold a weight. Most multiplications are by zero, but on images up to 8x8 a matrix product
more than makes up for that. Milliseconds for forward, input gradient and weight gradient, 7x7, float32, OpenBLAS on 2
cores (AMD EPYC, November 2026):

                         shifted sums        in a backward pass     position matrices
    64 x 8 x 8 x 32      5.6   5.5   4.0     5.4   5.3   9.5        0.9   0.9   1.3
    32 x 7 x 7 x 768     50    58    56      143   139   128        25    11    16
    128 x 4 x 4 x 256    24    24    29      31    33    64         4.7   3.1   6.1
    128 x 2 x 2 x 512    14    15    19      16    22    53         1.9   1.3   1.9
    2 x 7 x 7 x 768      3.8   3.3   5.1     6.6   6.7   10.0       8.7   8.4   5.4

In a backward pass outside of a compiled step MLX fuses nothing, and shifted sums go through memory once per weight.

Layouts and precision are those of ``shifted_sums``.
"""

import math
from functools import lru_cache

import mlx.core as mx
import numpy as np

from lucid.kernels.depthwise_conv2d.geometry import Geometry, Sizes

_MAX_POSITIONS = 64
_MAX_ENTRIES = 2**20  # kernel * input * output positions: 4 MiB in float32
_MIN_IMAGES = 4  # with fewer, building the matrices takes longer than everything else


def is_faster(images: int, geometry: Geometry) -> bool:
    """True where this is faster than shifted sums, given a fast BLAS."""
    inputs, outputs = math.prod(geometry.size), math.prod(geometry.output)
    entries = math.prod(geometry.kernel) * inputs * outputs
    return images >= _MIN_IMAGES and max(inputs, outputs) <= _MAX_POSITIONS and entries <= _MAX_ENTRIES


def forward(x: mx.array, weight: mx.array, bias: mx.array | None, geometry: Geometry) -> mx.array:
    """The convolution of x (N, H, W, C), out (N, OH, OW, C)."""
    y = _to_images(_to_rows(x) @ _matrices(weight, geometry), geometry.output)
    return (y if bias is None else y + bias.astype(y.dtype)).astype(x.dtype)


def input_gradient(dy: mx.array, weight: mx.array, geometry: Geometry) -> mx.array:
    """The gradient of the input, (N, H, W, C), from that of the output, ``dy`` (N, OH, OW, C)."""
    rows = _to_rows(dy) @ _matrices(weight, geometry).swapaxes(1, 2)
    return _to_images(rows, geometry.size).astype(dy.dtype)


def weight_gradient(x: mx.array, dy: mx.array, geometry: Geometry) -> tuple[mx.array, mx.array]:
    """The gradients of the weight, (KH, KW, C), and of the bias, (C,), from that of the output; at least float32."""
    rows = _to_rows(dy)
    d_matrices = _to_rows(x).swapaxes(1, 2) @ rows  # (C, H * W, OH * OW)
    d_weight = d_matrices.reshape(x.shape[3], -1) @ _incidence(geometry).astype(rows.dtype).T  # (C, KH * KW)
    return d_weight.T.reshape(*geometry.kernel, x.shape[3]), rows.sum((1, 2))


def _to_rows(images: mx.array) -> mx.array:
    """(C, N, positions) from images (N, height, width, C)."""
    wide = images if images.dtype == mx.float64 else images.astype(mx.float32)
    return wide.reshape(images.shape[0], -1, images.shape[3]).transpose(2, 0, 1)


def _to_images(rows: mx.array, size: Sizes) -> mx.array:
    channels, images, _ = rows.shape
    return rows.transpose(1, 2, 0).reshape(images, *size, channels)


def _matrices(weight: mx.array, geometry: Geometry) -> mx.array:
    """(C, H * W, OH * OW): the weight that connects an input position to an output position, 0 if there is none."""
    wide = weight if weight.dtype == mx.float64 else weight.astype(mx.float32)
    entries = wide.reshape(-1, weight.shape[2]).T @ _incidence(geometry).astype(wide.dtype)
    return entries.reshape(weight.shape[2], math.prod(geometry.size), math.prod(geometry.output))


@lru_cache(maxsize=32)
def _incidence(geometry: Geometry) -> mx.array:
    """(KH * KW, H * W * OH * OW): 1 where a weight connects an input position to an output position, else 0."""
    rows, columns = (_incidence_along(geometry, axis) for axis in (0, 1))  # (K, size, output)
    return mx.array(np.einsum("iab,jcd->ijacbd", rows, columns).reshape(math.prod(geometry.kernel), -1))


def _incidence_along(geometry: Geometry, axis: int) -> np.ndarray:
    """(K, size, output) along one axis: 1 where input = output * stride + k * dilation - padding."""
    k, position, out = np.ogrid[: geometry.kernel[axis], : geometry.size[axis], : geometry.output[axis]]
    connected = position == out * geometry.stride[axis] + k * geometry.dilation[axis] - geometry.padding[axis][0]
    return connected.astype(np.float32)
