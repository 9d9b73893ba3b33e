"""Convolution layers. Weights have PyTorch's shapes in both data formats."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from lucid import _checks
from lucid._tensor import Tensor
from lucid._tensor_convert import as_array
from lucid.kernels.depthwise_conv2d.geometry import same_padding
from lucid.nn._common import empty_parameter, layout, parameter_dtype, uniform_by_fan_in
from lucid.nn.module import Module
from lucid.ops import convolution
from lucid.ops._types import TensorLike
from lucid.ops.normalization import DATA_FORMATS
from lucid.ops.padding import pad

Ints = int | tuple[int, ...] | list[int]
_PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


class Conv(Module):
    """Base class of convolution layers: size checks, parameters and their initialization, and repr."""

    dims: ClassVar[int]
    transposed: ClassVar[bool] = False

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Ints, stride: Ints, padding: Ints | str,
        dilation: Ints, groups: int, bias: bool, device: object, dtype: object, data_format: str,
    ) -> None:  # fmt: skip
        super().__init__()
        where = type(self).__name__
        kept = parameter_dtype(where, device, dtype)
        self.in_channels = _checks.integer(where, "in_channels", in_channels, 1)
        self.out_channels = _checks.integer(where, "out_channels", out_channels, 1)
        self.groups = _checks.integer(where, "groups", groups, 1)
        _checks.divisible(where, "in_channels", in_channels, "groups", groups)
        _checks.divisible(where, "out_channels", out_channels, "groups", groups)
        self.kernel_size = _checks.tuple_of(where, "kernel_size", kernel_size, self.dims, 1)
        self.stride = _checks.tuple_of(where, "stride", stride, self.dims, 1)
        self.dilation = _checks.tuple_of(where, "dilation", dilation, self.dims, 1)
        if isinstance(padding, str) and not self.transposed:
            self.padding: Any = _checks.one_of(where, "padding", padding, ("same", "valid"))
            if padding == "same" and any(one != 1 for one in self.stride):
                raise ValueError(f"{where}: padding 'same' requires stride 1, got {self.stride}")
        else:
            self.padding = _checks.tuple_of(where, "padding", padding, self.dims, 0)
        self.data_format = _checks.one_of(where, "data_format", data_format, DATA_FORMATS)
        self.weight = empty_parameter(*self._weight_shape(), dtype=kept)
        is_biased = _checks.flag(where, "bias", bool(bias) if bias is None or isinstance(bias, int) else bias)
        self.register_parameter("bias", empty_parameter(out_channels, dtype=kept) if is_biased else None)
        self.reset_parameters()

    def _weight_shape(self) -> tuple[int, ...]:
        outer, inner = self.out_channels, self.in_channels
        if self.transposed:
            outer, inner = inner, outer
        return (outer, inner // self.groups, *self.kernel_size)

    def reset_parameters(self) -> None:
        """Reset the parameters to new samples, uniform in ±1 / sqrt(fan_in)."""
        uniform_by_fan_in(self.weight, self.bias)

    def extra_repr(self) -> str:
        parts = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"]
        if self.padding != (0,) * self.dims:
            parts.append(f"padding={self.padding!r}")
        if set(self.dilation) != {1}:
            parts.append(f"dilation={self.dilation}")
        if self.groups != 1:
            parts.append(f"groups={self.groups}")
        if self.bias is None:
            parts.append("bias=False")
        return ", ".join(parts) + layout(self.data_format)


class Convolution(Conv):
    """Base class of convolutions with ``padding_mode``; modes other than zeros pad the input beforehand."""

    function: ClassVar[Callable[..., Tensor]]

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Ints, stride: Ints = 1, padding: Ints | str = 0,
        dilation: Ints = 1, groups: int = 1, bias: bool = True, padding_mode: str = "zeros", device: object = None,
        dtype: object = None, *, data_format: str = "channels_first",
    ) -> None:  # fmt: skip
        self_name = type(self).__name__
        _checks.one_of(self_name, "padding_mode", padding_mode, _PADDING_MODES)
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, device, dtype, data_format
        )  # fmt: skip
        self.padding_mode = padding_mode
        self.output_padding = (0,) * self.dims

    def forward(self, input: TensorLike) -> Tensor:
        padding = self.padding
        if self.padding_mode != "zeros":
            input, padding = pad(input, self._pad_sizes(), mode=self.padding_mode), 0
        return type(self).function(
            input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups,
            data_format=self.data_format,
        )  # fmt: skip

    def _pad_sizes(self) -> list[int]:
        """Padding sizes for ``pad``, starting from the last dimension."""
        if self.padding == "valid":
            pairs = [(0, 0)] * self.dims
        elif self.padding == "same":
            pairs = list(same_padding(self.kernel_size, self.dilation))
        else:
            pairs = [(one, one) for one in self.padding]
        flat = [one for pair in reversed(pairs) for one in pair]
        return flat if self.data_format == "channels_first" else [0, 0, *flat]

    def extra_repr(self) -> str:
        mode = "" if self.padding_mode == "zeros" else f", padding_mode={self.padding_mode!r}"
        return super().extra_repr() + mode


class Conv1d(Convolution):
    """One-dimensional convolution.

    Shapes: input (N, in_channels, L), out (N, out_channels, L'); weight (out_channels, in_channels / groups, K).

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Size of the kernel.
        stride: Step of the kernel.
        padding: Padding on both sides, or "same" or "valid".
        dilation: Distance between the elements of the kernel.
        groups: Number of groups of channels that are convolved separately.
        bias: Whether to add a learned bias.
        padding_mode: "zeros", "reflect", "replicate" or "circular".
        device: Accepted for compatibility with PyTorch; memory is unified.
        dtype: The dtype of the parameters, float32 by default.
        data_format: "channels_last" for inputs and outputs (N, L, C).

    Raises:
        ValueError: the channels are not divisible by ``groups``, or an option is out of range.

    Example:
        >>> layer = nn.Conv1d(16, 32, kernel_size=3, padding=1)
        >>> layer(lucid.randn(4, 16, 50)).shape
        (4, 32, 50)
    """

    dims = 1
    function = staticmethod(convolution.conv1d)


class Conv2d(Convolution):
    """Two-dimensional convolution. With ``groups == in_channels == out_channels``, it runs on the depthwise kernels.

    Shapes: input (N, in_channels, H, W), out (N, out_channels, H', W'); weight (out_channels, in_channels / groups, KH,
    KW) in both data formats.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: An integer or a pair (height, width), as are ``stride``, ``padding`` and ``dilation``.
        stride: Step of the kernel.
        padding: Padding on each side, or "same" or "valid".
        dilation: Distance between the elements of the kernel.
        groups: Number of groups of channels that are convolved separately.
        bias: Whether to add a learned bias.
        padding_mode: "zeros", "reflect", "replicate" or "circular".
        device: Accepted for compatibility with PyTorch; memory is unified.
        dtype: The dtype of the parameters, float32 by default.
        data_format: "channels_last" for inputs and outputs (N, H, W, C).

    Raises:
        ValueError: the channels are not divisible by ``groups``, or an option is out of range.

    Example:
        >>> layer = nn.Conv2d(3, 64, kernel_size=4, stride=4)
        >>> layer(lucid.randn(2, 3, 32, 32)).shape
        (2, 64, 8, 8)
        >>> depthwise = nn.Conv2d(64, 64, 7, padding=3, groups=64, data_format="channels_last")
        >>> depthwise(lucid.randn(2, 8, 8, 64)).shape
        (2, 8, 8, 64)
    """

    dims = 2
    function = staticmethod(convolution.conv2d)


class Conv3d(Convolution):
    """Three-dimensional convolution.

    Shapes: input (N, in_channels, D, H, W), out (N, out_channels, D', H', W'); weight (out_channels, in_channels /
    groups, KD, KH, KW) in both data formats.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: An integer or (depth, height, width), as are ``stride``, ``padding`` and ``dilation``.
        stride: Step of the kernel.
        padding: Padding on each side, or "same" or "valid".
        dilation: Distance between the elements of the kernel.
        groups: Number of groups of channels that are convolved separately.
        bias: Whether to add a learned bias.
        padding_mode: "zeros", "reflect", "replicate" or "circular".
        device: Accepted for compatibility with PyTorch; memory is unified.
        dtype: The dtype of the parameters, float32 by default.
        data_format: "channels_last" for inputs and outputs (N, D, H, W, C).

    Raises:
        ValueError: the channels are not divisible by ``groups``, or an option is out of range.

    Example:
        >>> layer = nn.Conv3d(3, 16, kernel_size=3, padding=1)
        >>> layer(lucid.randn(2, 3, 4, 8, 8)).shape
        (2, 16, 4, 8, 8)
    """

    dims = 3
    function = staticmethod(convolution.conv3d)


class TransposedConvolution(Conv):
    """Base class of transposed convolutions, whose output may be given its size."""

    transposed = True
    function: ClassVar[Callable[..., Tensor]]

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Ints, stride: Ints = 1, padding: Ints = 0,
        output_padding: Ints = 0, groups: int = 1, bias: bool = True, dilation: Ints = 1, padding_mode: str = "zeros",
        device: object = None, dtype: object = None, *, data_format: str = "channels_first",
    ) -> None:  # fmt: skip
        where = type(self).__name__
        _checks.one_of(where, "padding_mode", padding_mode, ("zeros",))
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, device, dtype, data_format
        )  # fmt: skip
        self.padding_mode = padding_mode
        self.output_padding = _checks.tuple_of(where, "output_padding", output_padding, self.dims, 0)
        convolution.check_output_padding(where, self.output_padding, self.stride, self.dilation)

    def forward(self, input: TensorLike, output_size: Sequence[int] | None = None) -> Tensor:
        extra = self.output_padding if output_size is None else self._output_padding_for(input, output_size)
        return type(self).function(
            input, self.weight, self.bias, self.stride, self.padding, extra, self.groups, self.dilation,
            data_format=self.data_format,
        )  # fmt: skip

    def _output_padding_for(self, input: TensorLike, output_size: Sequence[int]) -> tuple[int, ...]:
        """The ``output_padding`` that gives an output of this size; batch and channels may be included in it."""
        where = type(self).__name__
        shape, dims = as_array(input).shape, self.dims
        _checks.rank(where, "input", shape, (dims + 1, dims + 2))
        wanted = tuple(_checks.integer(where, "output_size", one, 1) for one in output_size)
        first = len(shape) - dims if self.data_format == "channels_first" else len(shape) - dims - 1
        if len(wanted) == len(shape):
            wanted = wanted[first : first + dims]
        if len(wanted) != dims:
            raise ValueError(f"{where}: output_size must hold {dims} or {len(shape)} sizes, got {tuple(output_size)}")
        lowest = tuple(
            (n - 1) * s - 2 * p + d * (k - 1) + 1
            for n, s, p, d, k in zip(
                shape[first : first + dims], self.stride, self.padding, self.dilation, self.kernel_size, strict=True
            )
        )
        highest = tuple(low + s - 1 for low, s in zip(lowest, self.stride, strict=True))
        if any(not low <= one <= high for low, one, high in zip(lowest, wanted, highest, strict=True)):
            raise ValueError(
                f"{where}: output_size must be at least {lowest} and at most {highest} for an input of shape "
                f"{tuple(shape)}, got {wanted}"
            )
        return tuple(one - low for low, one in zip(lowest, wanted, strict=True))

    def extra_repr(self) -> str:
        extra = f", output_padding={self.output_padding}" if any(self.output_padding) else ""
        return super().extra_repr() + extra


class ConvTranspose1d(TransposedConvolution):
    """One-dimensional transposed convolution.

    Shapes: input (N, in_channels, L), out (N, out_channels, L') with
    L' = (L - 1) stride - 2 padding + dilation (K - 1) + output_padding + 1; weight (in_channels, out_channels / groups,
    K).

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Size of the kernel.
        stride: Upsampling factor.
        padding: Number of values cut off on both sides of the output.
        output_padding: Size added to one side of the output, less than ``stride`` or ``dilation``.
        groups: Number of groups of channels that are convolved separately.
        bias: Whether to add a learned bias.
        dilation: Distance between the elements of the kernel.
        padding_mode: "zeros", the only one.
        device: Accepted for compatibility with PyTorch; memory is unified.
        dtype: The dtype of the parameters, float32 by default.
        data_format: "channels_last" for inputs and outputs (N, L, C).

    Example:
        >>> layer = nn.ConvTranspose1d(32, 16, kernel_size=4, stride=2, padding=1)
        >>> layer(lucid.randn(4, 32, 25)).shape
        (4, 16, 50)
    """

    dims = 1
    function = staticmethod(convolution.conv_transpose1d)


class ConvTranspose2d(TransposedConvolution):
    """Two-dimensional transposed convolution: upsampling with a learned kernel.

    Shapes: input (N, in_channels, H, W), out (N, out_channels, H', W') with
    H' = (H - 1) stride - 2 padding + dilation (KH - 1) + output_padding + 1, and W' likewise; weight (in_channels,
    out_channels / groups, KH, KW).

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: An integer or a pair (height, width), as are ``stride``, ``padding`` and ``dilation``.
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
        >>> layer = nn.ConvTranspose2d(64, 32, kernel_size=2, stride=2)
        >>> layer(lucid.randn(2, 64, 8, 8)).shape
        (2, 32, 16, 16)
    """

    dims = 2
    function = staticmethod(convolution.conv_transpose2d)


class ConvTranspose3d(TransposedConvolution):
    """Three-dimensional transposed convolution: upsampling with a learned kernel.

    Shapes: input (N, in_channels, D, H, W), out (N, out_channels, D', H', W') with
    D' = (D - 1) stride - 2 padding + dilation (KD - 1) + output_padding + 1, and H' and W' likewise; weight
    (in_channels, out_channels / groups, KD, KH, KW).

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: An integer or (depth, height, width), as are ``stride``, ``padding`` and ``dilation``.
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
        >>> layer = nn.ConvTranspose3d(8, 4, kernel_size=2, stride=2)
        >>> layer(lucid.randn(2, 8, 4, 4, 4)).shape
        (2, 4, 8, 8, 8)
    """

    dims = 3
    function = staticmethod(convolution.conv_transpose3d)
