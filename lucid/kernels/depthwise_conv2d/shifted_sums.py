"""Depthwise convolution as sums of shifted slices, with MLX operations only: what the CPU backend runs.

MLX's CPU backend computes a grouped convolution in a naive loop. A sum of ``slice * weight`` over the kernel positions
is 4 to 8 times as fast once MLX compiles several of them into one pass over memory, and so is the weight gradient. The
gradients are written out: differentiating through the slices would cost 2-3 times as much.

Layouts: x (N, H, W, C), weight (KH, KW, C), y and its gradient dy (N, OH, OW, C). float16 and bfloat16 are computed in
float32 and rounded once.
"""

from collections.abc import Sequence

import mlx.core as mx

from lucid.kernels.depthwise_conv2d.geometry import Geometry, Sizes

# Products fused into one compiled pass. MLX fuses at most 24 arrays and 11 operations in a row: 2 * 7 + 1 arrays.
_FUSED_PRODUCTS = 7
# Slices of the data fused in the weight gradient. Best of 2..8 on 2 cores (AMD EPYC, 2026).
_FUSED_PARTS = 4
# The weight gradient processes the images in groups of about this size: MLX allocates for a hundred operations ahead,
# and the products of one group are small. Best of 1, 2, 4 .. 16 images of 56x56x96 on the same machine.
_GROUP_BYTES = 4 * 2**20


def forward(x: mx.array, weight: mx.array, bias: mx.array | None, geometry: Geometry) -> mx.array:
    """The convolution, out (N, OH, OW, C): y[n,h,w,c] = bias[c] + sum over (i,j) of x[n,h+i,w+j,c] * weight[i,j,c]."""
    geometry, kept = geometry.inner()
    weight = weight[kept]
    (kh, kw), (sh, sw), (dh, dw), (oh, ow) = geometry.kernel, geometry.stride, geometry.dilation, geometry.output
    (top, _), (left, _) = geometry.padding
    wide, weights = x.astype(_accumulator(x)), weight.astype(_accumulator(x)).reshape(kh * kw, -1)
    eh, ew = geometry.extent
    padded = _window(wide, (-top, (oh - 1) * sh + eh - top), (-left, (ow - 1) * sw + ew - left))
    rows = [slice(i * dh, i * dh + (oh - 1) * sh + 1, sh) for i in range(kh)]
    columns = [slice(j * dw, j * dw + (ow - 1) * sw + 1, sw) for j in range(kw)]
    slices = [padded[:, row, column] for row in rows for column in columns]
    start = _zeros(x, (oh, ow), wide.dtype) if bias is None else bias.astype(wide.dtype)
    total = _weighted_sum(start, slices, list(weights))
    return mx.broadcast_to(total, (x.shape[0], oh, ow, x.shape[3])).astype(x.dtype)


def input_gradient(dy: mx.array, weight: mx.array, geometry: Geometry) -> mx.array:
    """The gradient of the input, (N, H, W, C), from that of the output.

    With stride s, the input rows of one remainder modulo s depend on some of the kernel rows only. Each of the s * s
    phases is a sum of shifted slices of its own, and the phases are interleaved at the end.
    """
    geometry, kept = geometry.inner()
    weight = weight[kept]
    (height, width), (kh, kw) = geometry.size, geometry.kernel
    (sh, sw), (dh, dw) = geometry.stride, geometry.dilation
    (top, _), (left, _) = geometry.padding
    n, c = dy.shape[0], dy.shape[3]
    wide, wide_weight = dy.astype(_accumulator(dy)), weight.astype(_accumulator(dy))
    # Kernel row i connects input row h = s * t + phase - top to output row t - (i * d) // s, where i * d % s == phase.
    t0, t1 = top // sh, (height + top + sh - 1) // sh
    u0, u1 = left // sw, (width + left + sw - 1) // sw
    far_h, far_w = (kh - 1) * dh // sh, (kw - 1) * dw // sw
    padded = _window(wide, (t0 - far_h, t1), (u0 - far_w, u1))
    rows = [slice(far_h - i * dh // sh, far_h - i * dh // sh + t1 - t0) for i in range(kh)]
    columns = [slice(far_w - j * dw // sw, far_w - j * dw // sw + u1 - u0) for j in range(kw)]
    phases = []
    for row_phase in range(sh):
        for column_phase in range(sw):
            kernel_rows = [i for i in range(kh) if i * dh % sh == row_phase]
            kernel_columns = [j for j in range(kw) if j * dw % sw == column_phase]
            used = [(i, j) for i in kernel_rows for j in kernel_columns]
            slices = [padded[:, rows[i], columns[j]] for i, j in used]
            start = _zeros(dy, (t1 - t0, u1 - u0), wide.dtype)
            phases.append(_weighted_sum(start, slices, [wide_weight[i, j] for i, j in used]))
    if len(phases) == 1:
        return phases[0].astype(dy.dtype)
    interleaved = mx.stack(phases, axis=1).reshape(n, sh, sw, t1 - t0, u1 - u0, c)
    interleaved = interleaved.transpose(0, 3, 1, 4, 2, 5).reshape(n, (t1 - t0) * sh, (u1 - u0) * sw, c)
    first_row, first_column = top - t0 * sh, left - u0 * sw
    return interleaved[:, first_row : first_row + height, first_column : first_column + width].astype(dy.dtype)


def weight_gradient(x: mx.array, dy: mx.array, geometry: Geometry) -> tuple[mx.array, mx.array]:
    """The gradients of the weight, (KH, KW, C), and of the bias, (C,), from that of the output; at least float32.

    A group of images, or their rows, is divided into parts. For each kernel position one fused pass multiplies the
    parts and adds them up, so that only the last of them is left to a reduction.
    """
    if dy.size == 0:  # MLX's sums over empty arrays may never return
        return mx.zeros((*geometry.kernel, x.shape[3]), _accumulator(x)), mx.zeros((x.shape[3],), _accumulator(x))
    whole = geometry.kernel
    geometry, kept = geometry.inner()
    (kh, kw), (sh, sw), (oh, ow) = geometry.kernel, geometry.stride, geometry.output
    (top, _), (left, _) = geometry.padding
    by_image = x.shape[0] % _FUSED_PARTS == 0
    rows = oh if by_image else -(-oh // _FUSED_PARTS) * _FUSED_PARTS  # rows of zeros make the parts equal
    eh, ew = geometry.extent
    wide = x.astype(_accumulator(x))
    padded = _window(wide, (-top, (rows - 1) * sh + eh - top), (-left, (ow - 1) * sw + ew - left))
    padded_dy = _window(dy.astype(wide.dtype), (0, rows), (0, ow))
    images = _FUSED_PARTS * max(1, _GROUP_BYTES // max(_FUSED_PARTS * padded[:1].nbytes, 1))
    groups = [slice(first, first + images) for first in range(0, max(x.shape[0], 1), images)]
    sums = [_group_weight_gradient(padded[group], padded_dy[group], geometry, by_image) for group in groups]
    d_weight = sums[0] if len(sums) == 1 else mx.stack(sums).sum(0)
    around = [(part.start, size - part.stop) for part, size in zip(kept, whole, strict=True)]
    return mx.pad(d_weight.reshape(kh, kw, x.shape[3]), [*around, (0, 0)]), padded_dy.sum((0, 1, 2))


def _group_weight_gradient(padded: mx.array, dy: mx.array, geometry: Geometry, by_image: bool) -> mx.array:
    """For each kernel position the sum of its slice of ``padded`` times ``dy``, out (KH * KW, C)."""
    (kh, kw), (sh, sw), (dh, dw) = geometry.kernel, geometry.stride, geometry.dilation
    images, rows, columns = dy.shape[:3]
    length = (images if by_image else rows) // _FUSED_PARTS

    def divide(array: mx.array) -> list[mx.array]:
        spans = [slice(part * length, (part + 1) * length) for part in range(_FUSED_PARTS)]
        return [array[span] if by_image else array[:, span] for span in spans]

    dy_parts = divide(dy)
    sums = []
    for i in range(kh):
        for j in range(kw):
            row = slice(i * dh, i * dh + (rows - 1) * sh + 1, sh)
            column = slice(j * dw, j * dw + (columns - 1) * sw + 1, sw)
            sums.append(_product_sum(divide(padded[:, row, column]), dy_parts).sum((0, 1, 2)))
    return mx.stack(sums)


def _accumulator(array: mx.array) -> mx.Dtype:
    return array.dtype if array.dtype == mx.float64 else mx.float32


def _zeros(like: mx.array, size: Sizes, dtype: mx.Dtype) -> mx.array:
    return mx.zeros((like.shape[0], *size, like.shape[3]), dtype)


def _window(x: mx.array, rows: tuple[int, int], columns: tuple[int, int]) -> mx.array:
    """The given ranges of rows and columns of x (N, H, W, C), with zeros where they exceed it."""
    spans = [(0, x.shape[0]), rows, columns, (0, x.shape[3])]
    kept = tuple(slice(min(max(a, 0), size), min(max(b, 0), size)) for (a, b), size in zip(spans, x.shape, strict=True))
    inner = x[kept]
    before = [min(max(-a, 0), b - a) for a, b in spans]
    widths = [(first, b - a - first - size) for first, (a, b), size in zip(before, spans, inner.shape, strict=True)]
    return inner if not any(map(any, widths)) else mx.pad(inner, widths)


def _weighted_sum(total: mx.array, slices: list[mx.array], weights: list[mx.array]) -> mx.array:
    for first in range(0, len(slices), _FUSED_PRODUCTS):
        last = first + _FUSED_PRODUCTS
        # Inside a larger compiled function MLX would split the chain elsewhere and write products to memory. It does
        # not fuse across expand_dims and squeeze, which are free.
        total = mx.expand_dims(_add_products(total, slices[first:last], weights[first:last]), 0).squeeze(0)
    return total


@mx.compile
def _add_products(total: mx.array, slices: Sequence[mx.array], weights: Sequence[mx.array]) -> mx.array:
    for one, weight in zip(slices, weights, strict=True):
        total = total + one * weight
    return total


@mx.compile
def _product_sum(left: Sequence[mx.array], right: Sequence[mx.array]) -> mx.array:
    total = left[0] * right[0]
    for one, other in zip(left[1:], right[1:], strict=True):
        total = total + one * other
    return total
