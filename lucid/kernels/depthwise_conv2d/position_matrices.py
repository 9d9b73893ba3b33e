"""Depthwise convolution of small maps as matrix products: what the CPU backend runs where its BLAS is fast.

Every channel has one matrix, from all positions of the input to all positions of the output, and the images are its
rows: y[c] = x[c] @ M[c] with x[c] (N, H * W), M[c] (H * W, OH * OW). The entries of M are taps and zeros, so the
gradients are products with the same matrix, and the taps' gradient sums over the entries in which a tap stands. Many
of the multiplications are by zero, which a matrix product more than makes up for on maps up to 8x8. Milliseconds of
forward, input gradient, weight gradient with 7x7 taps in float32, by OpenBLAS on 2 cores (AMD EPYC, November 2026):

                     shifted sums        in a backward pass    position matrices
    64 x 8 x 8 x 32    5.6   5.5   4.0     5.4   5.3   9.5      0.9   0.9   1.3
    32 x 7 x 7 x 768    50    58    56     143   139   128       25    11    16
    128 x 4 x 4 x 256   24    24    29      31    33    64      4.7   3.1   6.1
    128 x 2 x 2 x 512   14    15    19      16    22    53      1.9   1.3   1.9
    2 x 7 x 7 x 768    3.8   3.3   5.1     6.6   6.7  10.0      8.7   8.4   5.4

In a backward pass outside of a compiled step MLX fuses nothing, and shifted sums go through memory tap by tap.

Layouts and precision as in shifted_sums.
"""

import math
from functools import lru_cache

import mlx.core as mx
import numpy as np

from lucid.kernels.depthwise_conv2d.geometry import Geometry, Sizes

_MOST_POSITIONS = 64
_MOST_PLACES = 2**20  # taps * input positions * output positions: 4 MiB in float32
_FEWEST_IMAGES = 4  # with fewer, building the matrices takes longer than all the rest


def serves(images: int, geometry: Geometry) -> bool:
    """True where this is faster than shifted sums, given a fast BLAS."""
    positions, outputs = math.prod(geometry.size), math.prod(geometry.output)
    places = math.prod(geometry.kernel) * positions * outputs
    return images >= _FEWEST_IMAGES and max(positions, outputs) <= _MOST_POSITIONS and places <= _MOST_PLACES


def forward(x: mx.array, taps: mx.array, bias: mx.array | None, geometry: Geometry) -> mx.array:
    """The convolution of x (N, H, W, C), out (N, OH, OW, C)."""
    y = _from_rows(_rows(x) @ _matrices(taps, geometry), geometry.output)
    return (y if bias is None else y + bias.astype(y.dtype)).astype(x.dtype)


def input_gradient(gradient: mx.array, taps: mx.array, geometry: Geometry) -> mx.array:
    """What ``gradient`` (N, OH, OW, C) of the output means for the input, out (N, H, W, C)."""
    rows = _rows(gradient) @ _matrices(taps, geometry).swapaxes(1, 2)
    return _from_rows(rows, geometry.size).astype(gradient.dtype)


def weight_gradient(x: mx.array, gradient: mx.array, geometry: Geometry) -> tuple[mx.array, mx.array]:
    """What ``gradient`` means for the taps, out (KH, KW, C), and for the bias, out (C,); float32 at least."""
    against = _rows(gradient)
    d_matrices = _rows(x).swapaxes(1, 2) @ against  # (C, H * W, OH * OW)
    d_taps = d_matrices.reshape(x.shape[3], -1) @ _places(geometry).astype(against.dtype).T  # (C, KH * KW)
    return d_taps.T.reshape(*geometry.kernel, x.shape[3]), against.sum((1, 2))


def _rows(images: mx.array) -> mx.array:
    """(C, N, positions) of images (N, height, width, C)."""
    wide = images if images.dtype == mx.float64 else images.astype(mx.float32)
    return wide.reshape(images.shape[0], -1, images.shape[3]).transpose(2, 0, 1)


def _from_rows(rows: mx.array, size: Sizes) -> mx.array:
    channels, images, _ = rows.shape
    return rows.transpose(1, 2, 0).reshape(images, *size, channels)


def _matrices(taps: mx.array, geometry: Geometry) -> mx.array:
    """(C, H * W, OH * OW): the tap through which an output position sees an input position, 0 where there is none."""
    wide = taps if taps.dtype == mx.float64 else taps.astype(mx.float32)
    entries = wide.reshape(-1, taps.shape[2]).T @ _places(geometry).astype(wide.dtype)
    return entries.reshape(taps.shape[2], math.prod(geometry.size), math.prod(geometry.output))


@lru_cache(maxsize=32)
def _places(geometry: Geometry) -> mx.array:
    """(KH * KW, H * W * OH * OW): 1 where a tap takes an input position to an output position, else 0."""
    high, wide = (_along(geometry, axis) for axis in (0, 1))  # (K, size, output)
    return mx.array(np.einsum("iab,jcd->ijacbd", high, wide).reshape(math.prod(geometry.kernel), -1))


def _along(geometry: Geometry, axis: int) -> np.ndarray:
    """(K, size, output) along one axis: 1 where input = output * stride + tap * dilation - padding."""
    tap, at, out = np.ogrid[: geometry.kernel[axis], : geometry.size[axis], : geometry.output[axis]]
    met = at == out * geometry.stride[axis] + tap * geometry.dilation[axis] - geometry.padding[axis][0]
    return met.astype(np.float32)
