"""Pooling over (N, C, ...), or (N, ..., C) with ``data_format="channels_last"``. N may be missing.

Each position within the window is a strided slice of the whole image, and pooling combines these slices. No windows are
copied, and the gradient consists of slices too.
"""

import math
from typing import Any

import mlx.core as mx

from lucid import _checks
from lucid.kernels.power import power
from lucid.ops._common import any_op, array, extremes, real_numbers, truncated_quotient
from lucid.ops._selection import max_pool_vjp
from lucid.ops._types import TensorLike
from lucid.ops._windows import Windows
from lucid.tape import op

__all__ = [
    "avg_pool1d", "avg_pool2d", "avg_pool3d", "lp_pool1d", "lp_pool2d", "lp_pool3d", "max_pool1d", "max_pool2d",
    "max_pool3d",
]  # fmt: skip

Ints = int | tuple[int, ...] | list[int]


def _max_pool(
    caller: str, dims: int, input: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool,
    return_indices: bool, data_format: str,
) -> Any:  # fmt: skip
    x = array(caller, input)
    if x.dtype in (mx.bool_, mx.complex64):
        raise _checks.DtypeError(f"{caller}: input must hold real numbers, got {_checks.dtype_name(x.dtype)}")
    windows = Windows(caller, x, dims, kernel_size, stride, padding, dilation, ceil_mode, data_format)
    places = windows.places(windows.padded(x, extremes(x.dtype)[0]))
    largest = next(places)
    if not _checks.flag(caller, "return_indices", return_indices):
        for one in places:
            largest = mx.where((one > largest) | (one != one), one, largest)
        return largest
    positions = windows.positions(x.ndim)
    found = next(positions)
    for one, position in zip(places, positions, strict=True):
        is_larger = (one > largest) | (one != one)
        largest, found = mx.where(is_larger, one, largest), mx.where(is_larger, position, found)
    return largest, mx.broadcast_to(found, largest.shape)


@any_op(vjp=max_pool_vjp(1))
def max_pool1d(
    input: TensorLike, kernel_size: Ints, stride: Ints | None = None, padding: Ints = 0, dilation: Ints = 1,
    ceil_mode: bool = False, return_indices: bool = False, *, data_format: str = "channels_first",
) -> Any:  # fmt: skip
    """The maximum of each window of (N, C, L) or (C, L), see ``max_pool2d``.

    Raises:
        ValueError: the padding exceeds half of the kernel, or the kernel is larger than the padded input.
    """
    return _max_pool(
        "max_pool1d", 1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices, data_format
    )


@any_op(vjp=max_pool_vjp(2))
def max_pool2d(
    input: TensorLike, kernel_size: Ints, stride: Ints | None = None, padding: Ints = 0, dilation: Ints = 1,
    ceil_mode: bool = False, return_indices: bool = False, *, data_format: str = "channels_first",
) -> Any:  # fmt: skip
    """The maximum of each window; NaN if the window contains NaN. The first of equal values gets the gradient.

    Shapes: input (N, C, H, W) or (C, H, W), out the same with pooled H and W.

    Args:
        stride: Defaults to ``kernel_size``.
        padding: Pixels on each side, which never are the maximum.
        ceil_mode: Whether to keep windows that extend beyond the padded image.
        return_indices: Whether to return the values and their positions in the image, row * W + column.

    Raises:
        ValueError: the padding exceeds half of the kernel, or the kernel is larger than the padded input.

    Example:
        >>> F.max_pool2d(lucid.arange(16).reshape(1, 1, 4, 4).float(), 2).tolist()
        [[[[5.0, 7.0], [13.0, 15.0]]]]
    """
    return _max_pool(
        "max_pool2d", 2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices, data_format
    )


@any_op(vjp=max_pool_vjp(3))
def max_pool3d(
    input: TensorLike, kernel_size: Ints, stride: Ints | None = None, padding: Ints = 0, dilation: Ints = 1,
    ceil_mode: bool = False, return_indices: bool = False, *, data_format: str = "channels_first",
) -> Any:  # fmt: skip
    """The maximum of each window of (N, C, D, H, W) or (C, D, H, W), see ``max_pool2d``.

    The positions are (depth * H + row) * W + column.

    Raises:
        ValueError: the padding exceeds half of the kernel, or the kernel is larger than the padded input.
    """
    return _max_pool(
        "max_pool3d", 3, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices, data_format
    )


def _avg_pool(
    caller: str, dims: int, input: Any, kernel_size: Any, stride: Any, padding: Any, ceil_mode: bool,
    count_include_pad: bool, divisor_override: Any, data_format: str,
) -> mx.array:  # fmt: skip
    x = array(caller, input)
    if x.dtype != mx.int64:
        x = real_numbers(caller, x)
    windows = Windows(caller, x, dims, kernel_size, stride, padding, 1, ceil_mode, data_format)
    wide = windows.padded(x if x.dtype in (mx.float64, mx.int64) else x.astype(mx.float32), 0)
    places = windows.places(wide)
    total = next(places)
    for one in places:
        total = total + one
    if divisor_override is not None:
        if not _checks.integer(caller, "divisor_override", divisor_override):
            raise _checks.ArgumentError(f"{caller}: divisor_override must not be 0")
        count = mx.array(divisor_override, wide.dtype)
    else:
        count = mx.array(windows.counts(x.ndim, count_include_pad), wide.dtype)
    # Integers are rounded toward zero, as in PyTorch.
    return (truncated_quotient(total, count) if total.dtype == mx.int64 else total / count).astype(x.dtype)


@op
def avg_pool1d(
    input: TensorLike, kernel_size: Ints, stride: Ints | None = (), padding: Ints = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, *, data_format: str = "channels_first",
) -> mx.array:  # fmt: skip
    """The average of each window of (N, C, L) or (C, L), see ``avg_pool2d``.

    Raises:
        ValueError: the padding exceeds half of the kernel, or the kernel is larger than the padded input.
    """
    return _avg_pool(
        "avg_pool1d", 1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, None, data_format
    )


@op
def avg_pool2d(
    input: TensorLike, kernel_size: Ints, stride: Ints | None = None, padding: Ints = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: int | None = None, *, data_format: str = "channels_first",
) -> mx.array:  # fmt: skip
    """The average of each window, summed in float32. int64 is rounded toward zero; other integers are refused.

    Shapes: input (N, C, H, W) or (C, H, W), out the same with pooled H and W.

    Args:
        stride: Defaults to ``kernel_size``.
        padding: Zeros on each side.
        ceil_mode: Whether to keep windows that extend beyond the padded image.
        count_include_pad: Whether the padding is included in the average.
        divisor_override: Divide every sum by this number instead.

    Raises:
        ValueError: the padding exceeds half of the kernel, or the kernel is larger than the padded input.

    Example:
        >>> F.avg_pool2d(lucid.arange(16).reshape(1, 1, 4, 4).float(), 2).tolist()
        [[[[2.5, 4.5], [10.5, 12.5]]]]
    """
    return _avg_pool(
        "avg_pool2d", 2, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override,
        data_format,
    )  # fmt: skip


@op
def avg_pool3d(
    input: TensorLike, kernel_size: Ints, stride: Ints | None = None, padding: Ints = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: int | None = None, *, data_format: str = "channels_first",
) -> mx.array:  # fmt: skip
    """The average of each window of (N, C, D, H, W) or (C, D, H, W), see ``avg_pool2d``.

    Raises:
        ValueError: the padding exceeds half of the kernel, or the kernel is larger than the padded input.
    """
    return _avg_pool(
        "avg_pool3d", 3, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override,
        data_format,
    )  # fmt: skip


def _lp_pool(
    caller: str, dims: int, input: Any, norm_type: Any, kernel_size: Any, stride: Any, ceil_mode: bool,
    data_format: str,
) -> mx.array:  # fmt: skip
    x = real_numbers(caller, input)
    order = _checks.number(caller, "norm_type", norm_type)
    if not order:
        raise _checks.ArgumentError(f"{caller}: norm_type must not be 0")
    if math.isinf(order):
        sign = math.copysign(1.0, order)
        size = mx.abs(x) * sign
        return sign * _max_pool(caller, dims, size, kernel_size, stride, 0, 1, ceil_mode, False, data_format)
    wide = x if x.dtype == mx.float64 else x.astype(mx.float32)
    means = _avg_pool(
        caller, dims, power(wide, mx.array(order, wide.dtype)), kernel_size, stride, 0, ceil_mode, True, None,
        data_format,
    )  # fmt: skip
    sums = means * math.prod(_checks.tuple_of(caller, "kernel_size", kernel_size, dims, 1))
    zero = sums == 0  # where the root has no derivative, and the gradient is 0
    return mx.where(zero, 0, power(mx.where(zero, 1, sums), mx.array(1 / order, sums.dtype))).astype(x.dtype)


@op
def lp_pool1d(
    input: TensorLike, norm_type: float, kernel_size: Ints, stride: Ints | None = None, ceil_mode: bool = False,
    *, data_format: str = "channels_first",
) -> mx.array:  # fmt: skip
    """``sum(input ** norm_type) ** (1 / norm_type)`` of each window of (N, C, L) or (C, L).

    Raises:
        ValueError: ``norm_type`` is 0, or the kernel is larger than the input.
    """
    return _lp_pool("lp_pool1d", 1, input, norm_type, kernel_size, stride, ceil_mode, data_format)


@op
def lp_pool2d(
    input: TensorLike, norm_type: float, kernel_size: Ints, stride: Ints | None = None, ceil_mode: bool = False,
    *, data_format: str = "channels_first",
) -> mx.array:  # fmt: skip
    """``sum(input ** norm_type) ** (1 / norm_type)`` of each window of (N, C, H, W) or (C, H, W).

    Raises:
        ValueError: ``norm_type`` is 0, or the kernel is larger than the input.

    Example:
        >>> F.lp_pool2d(lucid.tensor([[[3.0, 0.0], [0.0, 4.0]]]), 2, 2).tolist()
        [[[5.0]]]
    """
    return _lp_pool("lp_pool2d", 2, input, norm_type, kernel_size, stride, ceil_mode, data_format)


@op
def lp_pool3d(
    input: TensorLike, norm_type: float, kernel_size: Ints, stride: Ints | None = None, ceil_mode: bool = False,
    *, data_format: str = "channels_first",
) -> mx.array:  # fmt: skip
    """``sum(input ** norm_type) ** (1 / norm_type)`` of each window of (N, C, D, H, W) or (C, D, H, W).

    Raises:
        ValueError: ``norm_type`` is 0, or the kernel is larger than the input.
    """
    return _lp_pool("lp_pool3d", 3, input, norm_type, kernel_size, stride, ceil_mode, data_format)
