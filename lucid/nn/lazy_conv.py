"""Lazy convolutions: the number of input channels follows from the first input."""

from typing import Any

from lucid import _checks
from lucid._tensor_convert import as_array
from lucid.nn.conv import (
    Conv,
    Conv1d,
    Conv2d,
    Conv3d,
    Convolution,
    ConvTranspose1d,
    ConvTranspose2d,
    ConvTranspose3d,
    Ints,
    TransposedConvolution,
)
from lucid.nn.lazy import LazyModuleMixin
from lucid.ops._types import TensorLike
from lucid.ops._windows import layout_name


class _LazyConv(LazyModuleMixin, Conv):
    def _forget_channels(self) -> None:
        self.in_channels = 0
        self._forget_shapes()

    def initialize_parameters(self, input: TensorLike, *args: Any, **kwargs: Any) -> None:
        """Give the parameters the shapes that the input needs."""
        if self.in_channels == 0:
            where, shape = type(self).__name__, as_array(input).shape
            wanted = layout_name(self.dims, self.data_format)
            _checks.rank(where, "input", shape, (self.dims + 1, self.dims + 2), wanted)
            channels = shape[-1 if self.data_format == "channels_last" else -self.dims - 1]
            self.in_channels = _checks.divisible(where, "in_channels", channels, "groups", self.groups)
        if self.has_uninitialized_params():
            self._materialize(weight=self._weight_shape(), bias=(self.out_channels,))


class _LazyConvolution(_LazyConv, Convolution):
    def __init__(
        self, out_channels: int, kernel_size: Ints, stride: Ints = 1, padding: Ints | str = 0, dilation: Ints = 1,
        groups: int = 1, bias: bool = True, padding_mode: str = "zeros", device: object = None, dtype: object = None,
        *, data_format: str = "channels_first",
    ) -> None:  # fmt: skip
        super().__init__(
            groups, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, device,
            dtype, data_format=data_format,
        )  # fmt: skip
        self._forget_channels()


class _LazyTransposedConvolution(_LazyConv, TransposedConvolution):
    def __init__(
        self, out_channels: int, kernel_size: Ints, stride: Ints = 1, padding: Ints = 0, output_padding: Ints = 0,
        groups: int = 1, bias: bool = True, dilation: Ints = 1, padding_mode: str = "zeros", device: object = None,
        dtype: object = None, *, data_format: str = "channels_first",
    ) -> None:  # fmt: skip
        super().__init__(
            groups, out_channels, kernel_size, stride, padding, output_padding, groups, bias, dilation,
            padding_mode, device, dtype, data_format=data_format,
        )  # fmt: skip
        self._forget_channels()


class LazyConv1d(_LazyConvolution, Conv1d):
    """``Conv1d`` whose ``in_channels`` is the number of channels of the first input.

    Args:
        out_channels: Channels of the output.
        kernel_size: Size of the kernel.
        stride: Step of the kernel.
        padding: Padding on each side, or "same" or "valid".
        dilation: Distance between the elements of the kernel.
        groups: Number of groups of channels that are convolved separately.
        bias: Whether to add a learned bias.
        padding_mode: "zeros", "reflect", "replicate" or "circular".
        device: Accepted for compatibility with PyTorch; memory is unified.
        dtype: The dtype of the parameters, float32 by default.
        data_format: "channels_last" for inputs and outputs (N, L, C).

    Example:
        >>> nn.LazyConv1d(8, 3)(lucid.randn(2, 3, 9)).shape
        (2, 8, 7)
    """

    cls_to_become = Conv1d


class LazyConv2d(_LazyConvolution, Conv2d):
    """``Conv2d`` whose ``in_channels`` is the number of channels of the first input.

    Args:
        out_channels: Channels of the output.
        kernel_size: Size of the kernel.
        stride: Step of the kernel.
        padding: Padding on each side, or "same" or "valid".
        dilation: Distance between the elements of the kernel.
        groups: Number of groups of channels that are convolved separately.
        bias: Whether to add a learned bias.
        padding_mode: "zeros", "reflect", "replicate" or "circular".
        device: Accepted for compatibility with PyTorch; memory is unified.
        dtype: The dtype of the parameters, float32 by default.
        data_format: "channels_last" for inputs and outputs (N, H, W, C).

    Example:
        >>> nn.LazyConv2d(8, 3)(lucid.randn(2, 3, 9, 9)).shape
        (2, 8, 7, 7)
    """

    cls_to_become = Conv2d


class LazyConv3d(_LazyConvolution, Conv3d):
    """``Conv3d`` whose ``in_channels`` is the number of channels of the first input.

    Args:
        out_channels: Channels of the output.
        kernel_size: Size of the kernel.
        stride: Step of the kernel.
        padding: Padding on each side, or "same" or "valid".
        dilation: Distance between the elements of the kernel.
        groups: Number of groups of channels that are convolved separately.
        bias: Whether to add a learned bias.
        padding_mode: "zeros", "reflect", "replicate" or "circular".
        device: Accepted for compatibility with PyTorch; memory is unified.
        dtype: The dtype of the parameters, float32 by default.
        data_format: "channels_last" for inputs and outputs (N, D, H, W, C).

    Example:
        >>> nn.LazyConv3d(8, 3)(lucid.randn(2, 3, 5, 5, 5)).shape
        (2, 8, 3, 3, 3)
    """

    cls_to_become = Conv3d


class LazyConvTranspose1d(_LazyTransposedConvolution, ConvTranspose1d):
    """``ConvTranspose1d`` whose ``in_channels`` is the number of channels of the first input.

    Args:
        out_channels: Channels of the output.
        kernel_size: Size of the kernel.
        stride: Upsampling factor.
        padding: Number of values cut off on each side of the output.
        output_padding: Size added to one side of the output, less than ``stride`` or ``dilation``.
        groups: Number of groups of channels that are convolved separately.
        bias: Whether to add a learned bias.
        dilation: Distance between the elements of the kernel.
        padding_mode: "zeros", the only one.
        device: Accepted for compatibility with PyTorch; memory is unified.
        dtype: The dtype of the parameters, float32 by default.
        data_format: "channels_last" for inputs and outputs (N, L, C).

    Example:
        >>> nn.LazyConvTranspose1d(8, 3)(lucid.randn(2, 3, 9)).shape
        (2, 8, 11)
    """

    cls_to_become = ConvTranspose1d


class LazyConvTranspose2d(_LazyTransposedConvolution, ConvTranspose2d):
    """``ConvTranspose2d`` whose ``in_channels`` is the number of channels of the first input.

    Args:
        out_channels: Channels of the output.
        kernel_size: Size of the kernel.
        stride: Upsampling factor.
        padding: Number of values cut off on each side of the output.
        output_padding: Size added to one side of the output, less than ``stride`` or ``dilation``.
        groups: Number of groups of channels that are convolved separately.
        bias: Whether to add a learned bias.
        dilation: Distance between the elements of the kernel.
        padding_mode: "zeros", the only one.
        device: Accepted for compatibility with PyTorch; memory is unified.
        dtype: The dtype of the parameters, float32 by default.
        data_format: "channels_last" for inputs and outputs (N, H, W, C).

    Example:
        >>> nn.LazyConvTranspose2d(8, 3)(lucid.randn(2, 3, 9, 9)).shape
        (2, 8, 11, 11)
    """

    cls_to_become = ConvTranspose2d


class LazyConvTranspose3d(_LazyTransposedConvolution, ConvTranspose3d):
    """``ConvTranspose3d`` whose ``in_channels`` is the number of channels of the first input.

    Args:
        out_channels: Channels of the output.
        kernel_size: Size of the kernel.
        stride: Upsampling factor.
        padding: Number of values cut off on each side of the output.
        output_padding: Size added to one side of the output, less than ``stride`` or ``dilation``.
        groups: Number of groups of channels that are convolved separately.
        bias: Whether to add a learned bias.
        dilation: Distance between the elements of the kernel.
        padding_mode: "zeros", the only one.
        device: Accepted for compatibility with PyTorch; memory is unified.
        dtype: The dtype of the parameters, float32 by default.
        data_format: "channels_last" for inputs and outputs (N, D, H, W, C).

    Example:
        >>> nn.LazyConvTranspose3d(8, 3)(lucid.randn(2, 3, 5, 5, 5)).shape
        (2, 8, 7, 7, 7)
    """

    cls_to_become = ConvTranspose3d
