"""Depthwise convolution in C++, on the CPU: ``depthwise_conv2d.cpp``.

Layouts and precision are those of ``shifted_sums``. Milliseconds of one core for forward, input gradient and weight
gradient, 7x7, float32, beside PyTorch 2.13 channels last (AMD EPYC, November 2026):

                          native                 PyTorch
    2 x 56 x 56 x 96      0.65   0.65   0.65     0.82   1.18   11.0
    32 x 28 x 28 x 192    11.5   11.7   12.2     10.5   14.0   81.7
    32 x 14 x 14 x 384     3.8    3.8    4.7      4.3    6.0   40.2
    32 x 7 x 7 x 768       1.1    1.2    1.5      1.1    2.9   43.5
"""

import mlx.core as mx

from lucid.kernels import native
from lucid.kernels.depthwise_conv2d.geometry import Geometry


def is_available(shape: tuple[int, ...], dtype: mx.Dtype) -> bool:
    """Whether this version can be used for an x of this shape. The first call may compile it."""
    return dtype in native.DTYPES and 0 not in shape and native.library() is not None


def forward(x: mx.array, weight: mx.array, bias: mx.array | None, geometry: Geometry) -> mx.array:
    """The convolution of x (N, H, W, C), out (N, OH, OW, C)."""
    return native.library().depthwise_conv2d(
        x, weight, bias, geometry.output, geometry.stride, _before(geometry), geometry.dilation
    )


def input_gradient(dy: mx.array, weight: mx.array, geometry: Geometry) -> mx.array:
    """The gradient of the input, (N, H, W, C), from that of the output, ``dy`` (N, OH, OW, C)."""
    return native.library().depthwise_conv2d_input_gradient(
        dy, weight, geometry.size, geometry.stride, _before(geometry), geometry.dilation
    )


def weight_gradient(x: mx.array, dy: mx.array, geometry: Geometry) -> tuple[mx.array, mx.array]:
    """The gradients of the weight, (KH, KW, C), and of the bias, (C,), from that of the output; in float32."""
    d_weight, d_bias = native.library().depthwise_conv2d_weight_gradient(
        x, dy, geometry.kernel, geometry.stride, _before(geometry), geometry.dilation
    )
    return d_weight.transpose(1, 2, 0), d_bias


def _before(geometry: Geometry) -> tuple[int, int]:
    (top, _), (left, _) = geometry.padding
    return top, left
