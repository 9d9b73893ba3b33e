"""Convolutions. Weights have PyTorch's shapes; images are channels first unless ``data_format`` says otherwise.

MLX's convolutions are channels last. A channels-first image is passed as a transposed view, and so is the result, so a
network whose layers all convolve channels last copies nothing in between.
"""

from typing import Any

import mlx.core as mx

from lucid import _checks
from lucid.kernels import depthwise_conv2d
from lucid.kernels.depthwise_conv2d.geometry import Geometry, check_kernel_size
from lucid.ops._common import FLOATING, array, compact_if_empty
from lucid.ops._convolve import FAST_DTYPES, convolve, convolve_transposed, padded
from lucid.ops._types import TensorLike
from lucid.ops._windows import layout_name
from lucid.ops.normalization import DATA_FORMATS
from lucid.tape import op

__all__ = ["conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"]

Ints = int | tuple[int, ...] | list[int]
_DEPTHWISE_DTYPES = FAST_DTYPES | {mx.float64}


def _operands(
    caller: str, x: Any, weight: Any, bias: Any, ndim: int, data_format: str
) -> tuple[mx.array, mx.array, mx.array | None, bool]:
    """The input as a channels-last batch, weight, bias, and whether a batch dimension was added."""
    x, weight = _numbers(caller, x, "input"), _numbers(caller, weight, "weight")
    bias = None if bias is None else _numbers(caller, bias, "bias")
    if len({one.dtype in FLOATING for one in (x, weight, bias) if one is not None}) > 1:
        given = ", ".join(_checks.dtype_name(one.dtype) for one in (x, weight, bias) if one is not None)
        raise _checks.DtypeError(f"{caller}: integers and floating-point numbers cannot be mixed, got {given}")
    _checks.one_of(caller, "data_format", data_format, DATA_FORMATS)
    _checks.rank(caller, "input", x.shape, (ndim + 1, ndim + 2), layout_name(ndim, data_format))
    _checks.rank(caller, "weight", weight.shape, ndim + 2)
    unbatched = x.ndim == ndim + 1
    if unbatched:
        x = x[None]
    if data_format == "channels_first":
        x = mx.moveaxis(x, 1, -1)
    return x, weight, bias, unbatched


def _numbers(caller: str, value: Any, name: str) -> mx.array:
    value = compact_if_empty(array(caller, value, name))
    if value.dtype == mx.bool_:
        raise _checks.DtypeError(f"{caller}: {name} must hold numbers, got bool; convert with .float()")
    return value


def _to_layout(y: mx.array, unbatched: bool, data_format: str) -> mx.array:
    if data_format == "channels_first":
        y = mx.moveaxis(y, -1, 1)
    return y[0] if unbatched else y


def _check_channels(
    caller: str, x: mx.array, expected: int, filters: int, bias: mx.array | None, groups: int, data_format: str
) -> None:
    if x.shape[-1] != expected:
        shape = x.shape if data_format == "channels_last" else (x.shape[0], x.shape[-1], *x.shape[1:-1])
        hint = _checks.layout_hint(shape, expected, data_format, len(shape) - 2)
        raise _checks.ArgumentError(
            f"{caller}: input has {x.shape[-1]} channels but weight and groups={groups} need {expected}{hint}"
        )
    _checks.divisible(caller, "out_channels", filters, "groups", groups)
    if bias is not None and bias.shape != (filters,):
        raise _checks.ArgumentError(f"{caller}: bias must have shape ({filters},), got {bias.shape}")


def _conv(
    caller: str, x: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: Any,
    data_format: str, ndim: int,
) -> mx.array:  # fmt: skip
    x, weight, bias, unbatched = _operands(caller, x, weight, bias, ndim, data_format)
    groups = _checks.integer(caller, "groups", groups, 1)
    filters = weight.shape[0]
    _check_channels(caller, x, weight.shape[1] * groups, filters, bias, groups, data_format)
    geometry = Geometry.checked(caller, x.shape[1:-1], weight.shape[2:], stride, padding, dilation)
    if x.size == 0 or weight.size == 0:
        y = _empty_conv(x, weight, bias, (x.shape[0], *geometry.output, filters))
    elif ndim < 3 and groups == x.shape[-1] == filters and {x.dtype, weight.dtype} <= _DEPTHWISE_DTYPES:
        y = _depthwise(x, weight, bias, geometry)
    else:
        y = convolve(x, weight, geometry, groups)
        y = y if bias is None else y + bias
    return _to_layout(y, unbatched, data_format)


def _empty_conv(x: mx.array, weight: mx.array, bias: mx.array | None, shape: tuple[int, ...]) -> mx.array:
    """The convolution of an empty input, which MLX's CPU backend cannot compute: zeros plus the bias."""
    y = mx.zeros(shape, mx.result_type(x, weight))
    return y if bias is None else y + bias


def _depthwise(x: mx.array, weight: mx.array, bias: mx.array | None, geometry: Geometry) -> mx.array:
    if x.ndim == 4:
        return depthwise_conv2d.forward(x, weight, bias, geometry)
    # A 1-d signal is an image with one row.
    y = depthwise_conv2d.forward(mx.expand_dims(x, 1), mx.expand_dims(weight, 2), bias, geometry.with_height())
    return mx.squeeze(y, 1)


@op(autocast="half")
def conv1d(
    input: TensorLike, weight: TensorLike, bias: TensorLike = None, stride: Ints = 1, padding: Ints | str = 0,
    dilation: Ints = 1, groups: int = 1, *, data_format: str = "channels_first",
) -> mx.array:  # fmt: skip
    """One-dimensional convolution.

    Shapes: input (N, C, L) or (C, L), weight (O, C / groups, K), bias (O,); out (N, O, L').

    Args:
        padding: Zeros on both sides, or "same" or "valid".
        data_format: "channels_last" for input (N, L, C); the weight keeps its shape.

    Raises:
        ValueError: the shapes do not match, or the kernel is larger than the padded input.
    """
    return _conv("conv1d", input, weight, bias, stride, padding, dilation, groups, data_format, 1)


def _conv2d_vjp(
    cotangent: mx.array, input: Any, weight: Any, bias: Any = None, stride: Ints = 1, padding: Ints | str = 0,
    dilation: Ints = 1, groups: int = 1, *, data_format: str = "channels_first",
) -> tuple[mx.array, mx.array, mx.array] | None:  # fmt: skip
    """The gradients of a depthwise convolution of images."""
    x, operands = input, [one for one in (input, weight, bias) if one is not None]
    if not all(isinstance(one, mx.array) and one.dtype == x.dtype and one.size for one in operands) or x.ndim != 4:
        return None
    if x.dtype not in _DEPTHWISE_DTYPES:
        return None
    if data_format == "channels_first":
        x, cotangent = mx.moveaxis(x, 1, -1), mx.moveaxis(cotangent, 1, -1)
    if not groups == x.shape[-1] == weight.shape[0]:
        return None
    geometry = Geometry.checked("conv2d", x.shape[1:3], weight.shape[2:], stride, padding, dilation)
    found = depthwise_conv2d.gradients(cotangent, x, weight, geometry)
    if found is None:
        return None
    d_x, d_weight, d_bias = found
    if data_format == "channels_first":
        d_x = mx.moveaxis(d_x, -1, 1)
    return d_x, d_weight, d_bias


@op(autocast="half", vjp=_conv2d_vjp)
def conv2d(
    input: TensorLike, weight: TensorLike, bias: TensorLike = None, stride: Ints = 1, padding: Ints | str = 0,
    dilation: Ints = 1, groups: int = 1, *, data_format: str = "channels_first",
) -> mx.array:  # fmt: skip
    """Two-dimensional convolution. Depthwise convolutions (groups == C == O) run on Lucid's own kernels.

    Shapes: input (N, C, H, W) or (C, H, W), weight (O, C / groups, KH, KW), bias (O,); out (N, O, H', W').

    Args:
        padding: Zeros on each side: a number, a pair (height, width), "same" or "valid".
        data_format: "channels_last" for input (N, H, W, C) and out (N, H', W', O); the weight keeps its shape.

    Raises:
        ValueError: the shapes do not match, or the kernel is larger than the padded input.

    Example:
        >>> F.conv2d(lucid.ones(1, 3, 8, 8), lucid.ones(16, 3, 3, 3), padding=1).shape
        (1, 16, 8, 8)
    """
    return _conv("conv2d", input, weight, bias, stride, padding, dilation, groups, data_format, 2)


@op(autocast="half")
def conv3d(
    input: TensorLike, weight: TensorLike, bias: TensorLike = None, stride: Ints = 1, padding: Ints | str = 0,
    dilation: Ints = 1, groups: int = 1, *, data_format: str = "channels_first",
) -> mx.array:  # fmt: skip
    """Three-dimensional convolution.

    Shapes: input (N, C, D, H, W) or (C, D, H, W), weight (O, C / groups, KD, KH, KW), bias (O,); out (N, O, D', H',
    W').

    Args:
        padding: Zeros on each side: a number, three numbers (depth, height, width), "same" or "valid".
        data_format: "channels_last" for input (N, D, H, W, C); the weight keeps its shape.

    Raises:
        ValueError: the shapes do not match, or the kernel is larger than the padded input.
    """
    return _conv("conv3d", input, weight, bias, stride, padding, dilation, groups, data_format, 3)


def check_output_padding(
    caller: str, extra: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...]
) -> None:
    """Raise if ``output_padding`` is not smaller than the stride or the dilation, which makes it ambiguous."""
    if any(e >= max(s, d) for e, s, d in zip(extra, stride, dilation, strict=True)):
        raise _checks.ArgumentError(
            f"{caller}: output_padding must be below stride or dilation, "
            f"got {extra} with stride {stride} and dilation {dilation}"
        )


def _conv_transpose(
    caller: str, x: Any, weight: Any, bias: Any, stride: Any, padding: Any, output_padding: Any, groups: Any,
    dilation: Any, data_format: str, ndim: int,
) -> mx.array:  # fmt: skip
    x, weight, bias, unbatched = _operands(caller, x, weight, bias, ndim, data_format)
    groups = _checks.integer(caller, "groups", groups, 1)
    stride = _checks.tuple_of(caller, "stride", stride, ndim, 1)
    dilation = _checks.tuple_of(caller, "dilation", dilation, ndim, 1)
    padding = _checks.tuple_of(caller, "padding", padding, ndim, 0)
    extra = _checks.tuple_of(caller, "output_padding", output_padding, ndim, 0)
    channels, per_group, *kernel = weight.shape
    check_kernel_size(caller, kernel)
    filters = per_group * groups
    _check_channels(caller, x, channels, filters, bias, groups, data_format)
    _checks.divisible(caller, "in_channels", channels, "groups", groups)
    check_output_padding(caller, extra, stride, dilation)
    # Compute the full result, then crop it by padding. output_padding crops less, or adds zeros.
    full = [(n - 1) * s + d * (k - 1) + 1 for n, s, d, k in zip(x.shape[1:-1], stride, dilation, kernel, strict=True)]
    after = [e - p for e, p in zip(extra, padding, strict=True)]
    sizes = [size - p + more for size, p, more in zip(full, padding, after, strict=True)]
    if min(sizes) < 1:
        raise _checks.ArgumentError(f"{caller}: padding {padding} removes the whole output of size {tuple(full)}")
    if x.size == 0 or weight.size == 0:
        return _to_layout(_empty_conv(x, weight, bias, (x.shape[0], *sizes, filters)), unbatched, data_format)
    y = padded(
        convolve_transposed(x, weight, stride, dilation, groups),
        [(-p, more) for p, more in zip(padding, after, strict=True)],
    )
    return _to_layout(y if bias is None else y + bias, unbatched, data_format)


@op(autocast="half")
def conv_transpose1d(
    input: TensorLike, weight: TensorLike, bias: TensorLike = None, stride: Ints = 1, padding: Ints = 0,
    output_padding: Ints = 0, groups: int = 1, dilation: Ints = 1, *, data_format: str = "channels_first",
) -> mx.array:  # fmt: skip
    """One-dimensional transposed convolution, the gradient of ``conv1d`` with respect to its input.

    Shapes: input (N, C, L), weight (C, O / groups, K), bias (O,); out (N, O, L') with
    L' = (L - 1) stride - 2 padding + dilation (K - 1) + output_padding + 1.

    Raises:
        ValueError: the shapes do not match, or padding removes the whole output.
    """
    return _conv_transpose(
        "conv_transpose1d", input, weight, bias, stride, padding, output_padding, groups, dilation, data_format, 1
    )


@op(autocast="half")
def conv_transpose2d(
    input: TensorLike, weight: TensorLike, bias: TensorLike = None, stride: Ints = 1, padding: Ints = 0,
    output_padding: Ints = 0, groups: int = 1, dilation: Ints = 1, *, data_format: str = "channels_first",
) -> mx.array:  # fmt: skip
    """Two-dimensional transposed convolution, the gradient of ``conv2d`` with respect to its input.

    Shapes: input (N, C, H, W), weight (C, O / groups, KH, KW), bias (O,); out (N, O, H', W') with
    H' = (H - 1) stride - 2 padding + dilation (KH - 1) + output_padding + 1, and W' likewise.

    Raises:
        ValueError: the shapes do not match, or padding removes the whole output.
    """
    return _conv_transpose(
        "conv_transpose2d", input, weight, bias, stride, padding, output_padding, groups, dilation, data_format, 2
    )


@op(autocast="half")
def conv_transpose3d(
    input: TensorLike, weight: TensorLike, bias: TensorLike = None, stride: Ints = 1, padding: Ints = 0,
    output_padding: Ints = 0, groups: int = 1, dilation: Ints = 1, *, data_format: str = "channels_first",
) -> mx.array:  # fmt: skip
    """Three-dimensional transposed convolution, the gradient of ``conv3d`` with respect to its input.

    Shapes: input (N, C, D, H, W), weight (C, O / groups, KD, KH, KW), bias (O,); out (N, O, D', H', W') with
    D' = (D - 1) stride - 2 padding + dilation (KD - 1) + output_padding + 1, and H' and W' likewise.

    Raises:
        ValueError: the shapes do not match, or padding removes the whole output.
    """
    return _conv_transpose(
        "conv_transpose3d", input, weight, bias, stride, padding, output_padding, groups, dilation, data_format, 3
    )
