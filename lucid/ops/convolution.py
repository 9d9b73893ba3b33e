"""Convolutions. Weights have PyTorch's shapes; images are channels first unless ``data_format`` says otherwise.

MLX convolves channels last. A channels-first image is looked at through a transposed view, and so is the result: a
network that stays channels last between its layers copies nothing.
"""

from typing import Any

import mlx.core as mx

from lucid import _checks
from lucid.kernels.depthwise_conv2d import depthwise_conv2d
from lucid.ops._common import FLOATING, array
from lucid.ops._types import TensorLike
from lucid.ops.normalization import DATA_FORMATS
from lucid.tape import op

Ints = int | tuple[int, ...] | list[int]


def same_padding(kernel: tuple[int, ...], dilation: tuple[int, ...]) -> list[tuple[int, int]]:
    """Rows before and behind that keep the size at stride 1; the odd one goes behind, as in PyTorch."""
    totals = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    return [(total // 2, total - total // 2) for total in totals]


def _padding(
    where: str, padding: Any, kernel: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...]
) -> list[tuple[int, int]]:
    if isinstance(padding, str):
        _checks.one_of(where, "padding", padding, ("same", "valid"))
        if padding == "valid":
            return [(0, 0)] * len(kernel)
        if any(one != 1 for one in stride):
            raise ValueError(f"{where}: padding 'same' needs stride 1, got {stride}")
        return same_padding(kernel, dilation)
    return [(one, one) for one in _checks.tuple_of(where, "padding", padding, len(kernel), 0)]


def _operands(
    where: str, x: Any, weight: Any, bias: Any, ndim: int, data_format: str
) -> tuple[mx.array, mx.array, mx.array | None, bool]:
    """Input channels last with its batch, weight, bias, and whether the batch was added."""
    x, weight = array(where, x), array(where, weight, "weight")
    bias = None if bias is None else array(where, bias, "bias")
    for name, one in (("input", x), ("weight", weight), ("bias", bias)):
        if one is not None and one.dtype not in FLOATING:
            raise TypeError(f"{where}: {name} must hold floating-point numbers, got {_checks.dtype_name(one.dtype)}")
    _checks.one_of(where, "data_format", data_format, DATA_FORMATS)
    space = ", ".join("DHW"[-ndim:])
    layout = f"(N, C, {space})" if data_format == "channels_first" else f"(N, {space}, C)"
    _checks.rank(where, "input", x.shape, (ndim + 1, ndim + 2), layout)
    _checks.rank(where, "weight", weight.shape, ndim + 2)
    alone = x.ndim == ndim + 1
    if alone:
        x = x[None]
    if data_format == "channels_first":
        x = mx.moveaxis(x, 1, -1)
    return x, weight, bias, alone


def _result(y: mx.array, alone: bool, data_format: str) -> mx.array:
    if data_format == "channels_first":
        y = mx.moveaxis(y, -1, 1)
    return y[0] if alone else y


def _check_channels(where: str, x: mx.array, wanted: int, filters: int, bias: mx.array | None, groups: int) -> None:
    if x.shape[-1] != wanted:
        raise ValueError(f"{where}: input has {x.shape[-1]} channels but weight and groups {groups} want {wanted}")
    _checks.divisible(where, "out_channels", filters, "groups", groups)
    if bias is not None and bias.shape != (filters,):
        raise ValueError(f"{where}: bias must have shape ({filters},), got {bias.shape}")


def _conv(
    where: str, x: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: Any,
    data_format: str, ndim: int,
) -> mx.array:  # fmt: skip
    x, weight, bias, alone = _operands(where, x, weight, bias, ndim, data_format)
    groups = _checks.integer(where, "groups", groups, 1)
    stride = _checks.tuple_of(where, "stride", stride, ndim, 1)
    dilation = _checks.tuple_of(where, "dilation", dilation, ndim, 1)
    filters, kernel = weight.shape[0], weight.shape[2:]
    pads = _padding(where, padding, kernel, stride, dilation)
    _check_channels(where, x, weight.shape[1] * groups, filters, bias, groups)
    for size, k, d, (low, high) in zip(x.shape[1:-1], kernel, dilation, pads, strict=True):
        if size + low + high < d * (k - 1) + 1:
            raise ValueError(
                f"{where}: the kernel covers {d * (k - 1) + 1}, more than the padded input of {size + low + high}, "
                f"for kernel {kernel}, dilation {dilation} and input {x.shape[1:-1]}"
            )
    if ndim == 2 and groups == x.shape[-1] == filters:
        return _result(depthwise_conv2d(x, weight, bias, stride, pads, dilation), alone, data_format)
    if groups == 1 and stride == kernel and set(dilation) == {1} and not any(low or high for low, high in pads):
        return _result(_patches_conv(x, weight, bias), alone, data_format)
    margins = [low for low, _ in pads], [high for _, high in pads]
    taps = mx.moveaxis(weight, 1, -1)
    y = mx.conv_general(x, taps, list(stride), margins, kernel_dilation=list(dilation), groups=groups)
    return _result(y if bias is None else y + bias, alone, data_format)


def _patches_conv(x: mx.array, weight: mx.array, bias: mx.array | None) -> mx.array:
    """Patches that do not overlap: one matrix product, forward and backward.

    On the CPU the gradients of (32, 32, 32, 64) to 128 filters of 2x2 take 19 ms in this way and 570 ms through MLX's
    convolution (2 cores, AMD EPYC, November 2026).
    """
    filters, channels, *kernel = weight.shape
    counts = [size // k for size, k in zip(x.shape[1:-1], kernel, strict=True)]
    whole = (slice(None), *(slice(0, n * k) for n, k in zip(counts, kernel, strict=True)))
    x = x[whole]
    n = x.shape[0]
    split = [one for pair in zip(counts, kernel, strict=True) for one in pair]
    axes = [0, *range(1, len(split) + 1, 2), *range(2, len(split) + 2, 2), len(split) + 1]
    patches = x.reshape(n, *split, channels).transpose(axes)  # (N, OH, OW, KH, KW, C)
    rows = n
    for count in counts:
        rows *= count
    width = weight[0].size
    flat = patches.reshape(rows, width)
    taps = mx.moveaxis(weight, 1, -1).reshape(filters, width).T
    y = flat @ taps if bias is None else mx.addmm(bias, flat, taps)
    return y.reshape(n, *counts, filters)


@op
def conv1d(
    x: TensorLike, weight: TensorLike, bias: TensorLike = None, stride: Ints = 1, padding: Ints | str = 0,
    dilation: Ints = 1, groups: int = 1, *, data_format: str = "channels_first",
) -> mx.array:  # fmt: skip
    """One-dimensional convolution.

    Shapes: x (N, C, L) or (C, L), weight (O, C / groups, K), bias (O,); out (N, O, L'). ``padding`` is a number,
    "same" or "valid".
    """
    return _conv("conv1d", x, weight, bias, stride, padding, dilation, groups, data_format, 1)


@op
def conv2d(
    x: TensorLike, weight: TensorLike, bias: TensorLike = None, stride: Ints = 1, padding: Ints | str = 0,
    dilation: Ints = 1, groups: int = 1, *, data_format: str = "channels_first",
) -> mx.array:  # fmt: skip
    """Two-dimensional convolution; depthwise ones (groups == C == O) run on kernels of Lucid's own.

    Shapes: x (N, C, H, W) or (C, H, W), weight (O, C / groups, KH, KW), bias (O,); out (N, O, H', W').
    With ``data_format="channels_last"`` x is (N, H, W, C), out (N, H', W', O), and the weight keeps its shape.
    ``padding`` is a number, a pair (along the height, along the width), "same" or "valid".

    Raises:
        ValueError: shapes that do not belong together, or a kernel larger than the padded input.
    """
    return _conv("conv2d", x, weight, bias, stride, padding, dilation, groups, data_format, 2)


def _conv_transpose(
    where: str, x: Any, weight: Any, bias: Any, stride: Any, padding: Any, output_padding: Any, groups: Any,
    dilation: Any, data_format: str, ndim: int,
) -> mx.array:  # fmt: skip
    x, weight, bias, alone = _operands(where, x, weight, bias, ndim, data_format)
    groups = _checks.integer(where, "groups", groups, 1)
    stride = _checks.tuple_of(where, "stride", stride, ndim, 1)
    dilation = _checks.tuple_of(where, "dilation", dilation, ndim, 1)
    padding = _checks.tuple_of(where, "padding", padding, ndim, 0)
    extra = _checks.tuple_of(where, "output_padding", output_padding, ndim, 0)
    channels, per_group, *kernel = weight.shape
    filters = per_group * groups
    _check_channels(where, x, channels, filters, bias, groups)
    _checks.divisible(where, "in_channels", channels, "groups", groups)
    if any(e >= max(s, d) for e, s, d in zip(extra, stride, dilation, strict=True)):
        raise ValueError(
            f"{where}: output_padding must be below stride or dilation, got {extra} with {stride}, {dilation}"
        )
    # A convolution of the input spread out by the stride, with the kernel flipped.
    extents = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    low = [extent - p for extent, p in zip(extents, padding, strict=True)]
    high = [extent - p + e for extent, p, e in zip(extents, padding, extra, strict=True)]
    # Negative padding, rows of the result that are cut off, is left to a slice at the end.
    sizes = [
        (n - 1) * s + 1 + a + b for n, s, a, b in zip(x.shape[1:-1], stride, low, high, strict=True)
    ]  # out + extent
    if any(size < extent + 1 for size, extent in zip(sizes, extents, strict=True)):
        raise ValueError(f"{where}: padding {padding} leaves nothing of the output")
    cut_low = [max(-one, 0) for one in low]
    cut_high = [max(-one, 0) for one in high]
    taps = weight.reshape(groups, channels // groups, per_group, *kernel)
    taps = mx.moveaxis(taps, 1, -1).reshape(filters, *kernel, channels // groups)
    y = mx.conv_general(
        x, taps, stride=1,
        padding=([max(one, 0) for one in low], [max(one, 0) for one in high]),
        kernel_dilation=list(dilation), input_dilation=list(stride), groups=groups, flip=True,
    )  # fmt: skip
    kept = (slice(None), *(slice(a, n - b) for n, a, b in zip(y.shape[1:-1], cut_low, cut_high, strict=True)))
    y = y[kept]
    return _result(y if bias is None else y + bias, alone, data_format)


@op
def conv_transpose1d(
    x: TensorLike, weight: TensorLike, bias: TensorLike = None, stride: Ints = 1, padding: Ints = 0,
    output_padding: Ints = 0, groups: int = 1, dilation: Ints = 1, *, data_format: str = "channels_first",
) -> mx.array:  # fmt: skip
    """The transpose of ``conv1d``. Shapes: x (N, C, L), weight (C, O / groups, K), bias (O,); out (N, O, L')."""
    return _conv_transpose(
        "conv_transpose1d", x, weight, bias, stride, padding, output_padding, groups, dilation, data_format, 1
    )


@op
def conv_transpose2d(
    x: TensorLike, weight: TensorLike, bias: TensorLike = None, stride: Ints = 1, padding: Ints = 0,
    output_padding: Ints = 0, groups: int = 1, dilation: Ints = 1, *, data_format: str = "channels_first",
) -> mx.array:  # fmt: skip
    """The transpose of ``conv2d``: what the gradient of its input does.

    Shapes: x (N, C, H, W), weight (C, O / groups, KH, KW), bias (O,); out (N, O, H', W') with
    H' = (H - 1) stride - 2 padding + dilation (KH - 1) + output_padding + 1.
    """
    return _conv_transpose(
        "conv_transpose2d", x, weight, bias, stride, padding, output_padding, groups, dilation, data_format, 2
    )
