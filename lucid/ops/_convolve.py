"""Convolution algorithms: functions on channels-last arrays, with weights in PyTorch's shapes.

There are five. Windows that do not overlap are one matrix product. On the CPU, where MLX differentiates strided
convolutions slowly, blocks of stride x stride pixels become channels of a convolution with stride 1 (transposed
convolutions do this on every backend), and each group becomes a separate convolution. float64,
complex64 and integers, which MLX's convolution computes in float32 or not at all, are a sum of matrix products.
Everything else is MLX's own convolution.
"""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import mlx.core as mx

from lucid import _device
from lucid.kernels.depthwise_conv2d.geometry import Geometry, Sizes
from lucid.kernels.matmul import matmul
from lucid.ops._common import FLOATING
from lucid.ops.matrix import product

Pads = Sequence[tuple[int, int]]
FAST_DTYPES = frozenset((mx.float32, mx.float16, mx.bfloat16))  # those of MLX's convolution


def convolve(x: mx.array, weight: mx.array, geometry: Geometry, groups: int) -> mx.array:
    """The convolution of x (N, ..., C) with weight (O, C / groups, ...)."""
    # MLX's second derivatives are wrong if the padded input has rows after the last position of the kernel.
    geometry = geometry.trimmed()
    stride, padding = geometry.stride, geometry.padding
    if set(geometry.dilation) == {1} and x.dtype in FLOATING:
        if groups == 1 and all(k <= s for k, s in zip(geometry.kernel, stride, strict=True)):
            return _patches_conv(padded(x, padding), weight, stride)
        if max(stride) > 1 and _device.backend() == "cpu":
            return _blocks_conv(padded(x, padding), weight, stride, groups)
    x = padded(x, [(0, min(high, 0)) for _, high in padding])
    margins = [(low, max(high, 0)) for low, high in padding]
    return _mlx_conv(x, mx.moveaxis(weight, 1, -1), groups, stride, margins, geometry.dilation)


def convolve_transposed(x: mx.array, weight: mx.array, stride: Sizes, dilation: Sizes, groups: int) -> mx.array:
    """The full transposed convolution of x (N, ..., C) with weight (C, O / groups, ...), before padding crops it."""
    if set(dilation) == {1} and x.dtype in FLOATING:
        return _transposed_conv(x, weight, stride, groups)
    return _dilated_input_conv(x, weight, stride, dilation, groups)


def padded(x: mx.array, pads: Pads) -> mx.array:
    """``x`` with rows of zeros added before and after each dimension; negative numbers crop."""
    kept = (
        slice(None),
        *(slice(max(-low, 0), size + min(high, 0)) for size, (low, high) in zip(x.shape[1:-1], pads, strict=True)),
    )
    widths = [(0, 0), *((max(low, 0), max(high, 0)) for low, high in pads), (0, 0)]
    return mx.pad(x[kept], widths) if any(map(any, widths)) else x[kept]


def _mlx_conv(x: mx.array, weight: mx.array, groups: int, stride: Sizes, pads: Pads, dilation: Sizes) -> mx.array:
    """MLX's convolution, with its layout of the weight: (O, ..., C / groups).

    Its CPU backend computes groups in a naive loop; one convolution per group is 3 to 30 times as fast.
    """
    if not {x.dtype, weight.dtype} <= FAST_DTYPES:
        return _product_conv(padded(x, pads), weight, groups, stride, dilation)
    margins = [low for low, _ in pads], [high for _, high in pads]
    options: dict[str, Any] = {"stride": list(stride), "padding": margins, "kernel_dilation": list(dilation)}
    if groups == 1 or _device.backend() != "cpu":
        return mx.conv_general(x, weight, groups=groups, **options)
    parts = zip(mx.split(x, groups, -1), mx.split(weight, groups, 0), strict=True)
    return mx.concatenate([mx.conv_general(one, own, **options) for one, own in parts], -1)


def _product_conv(x: mx.array, weight: mx.array, groups: int, stride: Sizes, dilation: Sizes) -> mx.array:
    """The convolution of a padded ``x`` as a matrix product for each position of the kernel, in the dtype of ``x``."""
    filters, *kernel, width = weight.shape
    n, *space, _ = x.shape
    counts = [(size - d * (k - 1) - 1) // s + 1 for size, k, s, d in zip(space, kernel, stride, dilation, strict=True)]
    matrices = weight.reshape(groups, filters // groups, math.prod(kernel), width).transpose(2, 0, 3, 1)
    y: Any = None
    for position, matrix in zip(itertools.product(*map(range, kernel)), matrices, strict=True):
        spans = tuple(
            slice(i * d, i * d + (count - 1) * s + 1, s)
            for i, d, count, s in zip(position, dilation, counts, stride, strict=True)
        )
        rows = x[(slice(None),) + spans].reshape(-1, groups, width).transpose(1, 0, 2)  # (G, N HW, C / G)
        part = product("convolution", rows, matrix)
        y = part if y is None else y + part
    return y.transpose(1, 0, 2).reshape(n, *counts, filters)


def _full_conv(x: mx.array, weight: mx.array, groups: int, dilation: Sizes) -> mx.array:
    """Full convolution in the mathematical sense: a flipped weight, and every output that it reaches."""
    margins = [(d * (k - 1),) * 2 for k, d in zip(weight.shape[1:-1], dilation, strict=True)]
    backwards = (slice(None), *(slice(None, None, -1),) * len(margins))
    return _mlx_conv(x, weight[backwards], groups, (1,) * len(margins), margins, dilation)


def _blocks_conv(x: mx.array, weight: mx.array, stride: Sizes, groups: int) -> mx.array:
    """A strided convolution as one with stride 1 on blocks of stride x stride pixels that become channels.

    On the CPU, the gradients of a 3x3 convolution with stride 2 from (16, 32, 32, 64) to 64 filters take 29 ms this way
    and 318 ms with MLX's convolution (2 cores, AMD EPYC, November 2026).
    """
    filters, width, *kernel = weight.shape
    n, *space, channels = x.shape
    spans = [-(-k // s) for k, s in zip(kernel, stride, strict=True)]  # blocks that a window covers
    counts = [(size - k) // s + 1 for size, k, s in zip(space, kernel, stride, strict=True)]
    blocks = [count + span - 1 for count, span in zip(counts, spans, strict=True)]
    x = padded(x, [(0, m * s - size) for m, s, size in zip(blocks, stride, space, strict=True)])
    weight = mx.pad(weight, [(0, 0), (0, 0), *((0, q * s - k) for q, s, k in zip(spans, stride, kernel, strict=True))])
    # Keep the channels of a group together: (N, blocks, G, stride x stride, C / G).
    dims = len(stride)
    x = x.reshape(n, *_interleaved(blocks, stride), groups, width)
    x = x.transpose(0, *range(1, 2 * dims + 1, 2), 2 * dims + 1, *range(2, 2 * dims + 1, 2), 2 * dims + 2)
    weight = mx.moveaxis(weight, 1, -1).reshape(filters, *_interleaved(spans, stride), width)
    weight = weight.transpose(0, *range(1, 2 * dims + 1, 2), *range(2, 2 * dims + 1, 2), 2 * dims + 1)
    once, area = (1,) * dims, math.prod(stride)
    x, weight = x.reshape(n, *blocks, channels * area), weight.reshape(filters, *spans, area * width)
    return _mlx_conv(x, weight, groups, once, [(0, 0)] * dims, once)


def _interleaved(first: Sequence[int], second: Sequence[int]) -> list[int]:
    return [one for pair in zip(first, second, strict=True) for one in pair]


def _patches_conv(x: mx.array, weight: mx.array, stride: Sizes) -> mx.array:
    """A convolution whose windows do not overlap: one matrix product, forward and backward.

    On the CPU, the gradients of a 2x2 convolution from (32, 32, 32, 64) to 128 filters take 19 ms this way and 570 ms
    with MLX's convolution (2 cores, AMD EPYC, November 2026).
    """
    filters, channels, *kernel = weight.shape
    n, *space, _ = x.shape
    counts = [(size - k) // s + 1 for size, k, s in zip(space, kernel, stride, strict=True)]
    x = padded(x, [(0, count * s - size) for count, s, size in zip(counts, stride, space, strict=True)])
    dims = len(kernel)
    blocks = x.reshape(n, *_interleaved(counts, stride), channels)
    if tuple(kernel) != stride:  # pixels between the windows
        kept = (slice(None), *(one for k in kernel for one in (slice(None), slice(0, k))))
        blocks = blocks[kept]
    patches = blocks.transpose(0, *range(1, 2 * dims, 2), *range(2, 2 * dims + 1, 2), 2 * dims + 1)
    matrix = mx.moveaxis(weight, 1, -1).reshape(filters, -1)
    return matmul(patches.reshape(-1, matrix.shape[1]), matrix.T).reshape(n, *counts, filters)


def _transposed_conv(x: mx.array, weight: mx.array, stride: Sizes, groups: int) -> mx.array:
    """A convolution with stride 1 whose output channels are rearranged into blocks of stride x stride pixels.

    The transpose of ``_blocks_conv``. If the stride equals the kernel size, it is one matrix product.
    """
    channels, width, *kernel = weight.shape
    n, *space, _ = x.shape
    dims, area = len(kernel), math.prod(stride)
    spans = [-(-k // s) for k, s in zip(kernel, stride, strict=True)]
    weight = mx.pad(weight, [(0, 0), (0, 0), *((0, q * s - k) for q, s, k in zip(spans, stride, kernel, strict=True))])
    # From (G, C / G, O / G, (spans, stride) pairs) to filters (G, stride x stride, O / G) over (spans, C / G).
    weight = weight.reshape(groups, channels // groups, width, *_interleaved(spans, stride))
    weight = weight.transpose(0, *range(4, 2 * dims + 4, 2), 2, *range(3, 2 * dims + 3, 2), 1)
    weight = weight.reshape(groups * area * width, *spans, channels // groups)
    if groups == 1 and math.prod(spans) == 1:
        y = (x.reshape(-1, channels) @ weight.reshape(-1, channels).T).reshape(n, *space, -1)
    else:
        y = _full_conv(x, weight, groups, (1,) * dims)
    blocks = y.shape[1:-1]
    y = y.reshape(n, *blocks, groups, *stride, width)
    pairs = [axis for at in range(1, dims + 1) for axis in (at, at + dims + 1)]
    y = y.transpose(0, *pairs, dims + 1, 2 * dims + 2)
    y = y.reshape(n, *(m * s for m, s in zip(blocks, stride, strict=True)), groups * width)
    full = [(size - 1) * s + k for size, s, k in zip(space, stride, kernel, strict=True)]
    return padded(y, [(0, size - current) for size, current in zip(full, y.shape[1:-1], strict=True)])


def _dilated_input_conv(x: mx.array, weight: mx.array, stride: Sizes, dilation: Sizes, groups: int) -> mx.array:
    """With kernel dilation: a convolution of the input, dilated by the stride, with the flipped kernel."""
    channels, per_group, *kernel = weight.shape
    n, *space, _ = x.shape
    # Zeros after every pixel but the last.
    dilated = mx.expand_dims(x, list(range(2, 2 * len(space) + 1, 2)))
    dilated = mx.pad(dilated, [(0, 0), *(pair for s in stride for pair in ((0, 0), (0, s - 1))), (0, 0)])
    dilated = dilated.reshape(n, *(size * s for size, s in zip(space, stride, strict=True)), channels)
    dilated = padded(dilated, [(0, 1 - s) for s in stride])
    weight = mx.moveaxis(weight.reshape(groups, channels // groups, per_group, *kernel), 1, -1)
    weight = weight.reshape(groups * per_group, *kernel, channels // groups)
    return _full_conv(dilated, weight, groups, dilation)
