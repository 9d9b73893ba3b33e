"""Pooling layers for (N, C, ...), or (N, ..., C) with ``data_format="channels_last"``. N may be missing."""

from collections.abc import Callable
from typing import Any, ClassVar

from lucid import _checks
from lucid._tensor import Tensor
from lucid.nn._common import layout
from lucid.nn.module import Module
from lucid.ops import pooling
from lucid.ops._types import TensorLike
from lucid.ops.normalization import DATA_FORMATS
from lucid.ops.pooling import Ints


class _Pool(Module):
    """Base class: the options that all pooling layers have. They are checked early, and kept and shown as given."""

    dims: ClassVar[int]
    function: ClassVar[Callable[..., Any]]

    def __init__(self, kernel_size: Ints, stride: Ints | None, ceil_mode: bool, data_format: str) -> None:
        super().__init__()
        where = type(self).__name__
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.ceil_mode = ceil_mode
        self.data_format = _checks.one_of(where, "data_format", data_format, DATA_FORMATS)
        _checks.tuple_of(where, "kernel_size", kernel_size, self.dims, 1)
        _checks.tuple_of(where, "stride", self.stride, self.dims, 1)

    def _checked(self, name: str, value: Ints, minimum: int) -> Ints:
        _checks.tuple_of(type(self).__name__, name, value, self.dims, minimum)
        return value


class _MaxPool(_Pool):
    def __init__(
        self, kernel_size: Ints, stride: Ints | None = None, padding: Ints = 0, dilation: Ints = 1,
        return_indices: bool = False, ceil_mode: bool = False, *, data_format: str = "channels_first",
    ) -> None:  # fmt: skip
        super().__init__(kernel_size, stride, ceil_mode, data_format)
        self.padding = self._checked("padding", padding, 0)
        self.dilation = self._checked("dilation", dilation, 1)
        self.return_indices = return_indices

    def forward(self, input: TensorLike) -> Any:
        return type(self).function(
            input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, self.return_indices,
            data_format=self.data_format,
        )  # fmt: skip

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}{layout(self.data_format)}"
        )


class _AvgPool(_Pool):
    def __init__(
        self, kernel_size: Ints, stride: Ints | None = None, padding: Ints = 0, ceil_mode: bool = False,
        count_include_pad: bool = True, divisor_override: int | None = None, *, data_format: str = "channels_first",
    ) -> None:  # fmt: skip
        super().__init__(kernel_size, stride, ceil_mode, data_format)
        self.padding = self._checked("padding", padding, 0)
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def forward(self, input: TensorLike) -> Tensor:
        return type(self).function(
            input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad,
            self.divisor_override, data_format=self.data_format,
        )  # fmt: skip

    def extra_repr(self) -> str:
        shown = f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"
        return shown + layout(self.data_format)


class _LPPool(_Pool):
    def __init__(
        self, norm_type: float, kernel_size: Ints, stride: Ints | None = None, ceil_mode: bool = False,
        *, data_format: str = "channels_first",
    ) -> None:  # fmt: skip
        super().__init__(kernel_size, stride, ceil_mode, data_format)
        self.norm_type = norm_type
        self.stride = stride  # type: ignore[assignment]  # as in PyTorch, None is kept

    def forward(self, input: TensorLike) -> Tensor:
        return type(self).function(
            input, self.norm_type, self.kernel_size, self.stride, self.ceil_mode, data_format=self.data_format
        )

    def extra_repr(self) -> str:
        return (
            f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"ceil_mode={self.ceil_mode}{layout(self.data_format)}"
        )


class MaxPool1d(_MaxPool):
    """The maximum of each window of signals (N, C, L); see ``lucid.nn.functional.max_pool1d``.

    Args:
        kernel_size: Size of the window, an integer.
        stride: Step of the window, by default ``kernel_size``.
        padding: Padding on each side, with minus infinity.
        dilation: Distance between the elements of a window.
        return_indices: Whether to return the values and their positions.
        ceil_mode: Whether to keep windows that extend beyond the padded input.
        data_format: "channels_last" for inputs and outputs (N, L, C).

    Example:
        >>> nn.MaxPool1d(2)(lucid.randn(2, 64, 7)).shape
        (2, 64, 3)
    """

    dims = 1
    function = staticmethod(pooling.max_pool1d)


class MaxPool2d(_MaxPool):
    """The maximum of each window of images (N, C, H, W); see ``lucid.nn.functional.max_pool2d``.

    Args:
        kernel_size: Size of the window, an integer or a pair (height, width).
        stride: Step of the window, by default ``kernel_size``.
        padding: Padding on each side, with minus infinity.
        dilation: Distance between the elements of a window.
        return_indices: Whether to return the values and their positions, row * W + column.
        ceil_mode: Whether to keep windows that extend beyond the padded input.
        data_format: "channels_last" for inputs and outputs (N, H, W, C).

    Example:
        >>> nn.MaxPool2d(2)(lucid.randn(2, 64, 7, 7)).shape
        (2, 64, 3, 3)
    """

    dims = 2
    function = staticmethod(pooling.max_pool2d)


class MaxPool3d(_MaxPool):
    """The maximum of each window of volumes (N, C, D, H, W); see ``lucid.nn.functional.max_pool3d``.

    Args:
        kernel_size: Size of the window, an integer or (depth, height, width).
        stride: Step of the window, by default ``kernel_size``.
        padding: Padding on each side, with minus infinity.
        dilation: Distance between the elements of a window.
        return_indices: Whether to return the values and their positions, (depth * H + row) * W + column.
        ceil_mode: Whether to keep windows that extend beyond the padded input.
        data_format: "channels_last" for inputs and outputs (N, D, H, W, C).

    Example:
        >>> nn.MaxPool3d(2)(lucid.randn(2, 8, 7, 7, 7)).shape
        (2, 8, 3, 3, 3)
    """

    dims = 3
    function = staticmethod(pooling.max_pool3d)


class AvgPool1d(_AvgPool):
    """The average of each window of signals (N, C, L); see ``lucid.nn.functional.avg_pool1d``.

    Args:
        kernel_size: Size of the window, an integer.
        stride: Step of the window, by default ``kernel_size``.
        padding: Padding on each side, with zeros.
        ceil_mode: Whether to keep windows that extend beyond the padded input.
        count_include_pad: Count the padding in the divisor.
        data_format: "channels_last" for inputs and outputs (N, L, C).

    Example:
        >>> nn.AvgPool1d(2)(lucid.randn(2, 64, 7)).shape
        (2, 64, 3)
    """

    dims = 1

    def __init__(
        self, kernel_size: Ints, stride: Ints | None = None, padding: Ints = 0, ceil_mode: bool = False,
        count_include_pad: bool = True, *, data_format: str = "channels_first",
    ) -> None:  # fmt: skip
        super().__init__(kernel_size, stride, padding, ceil_mode, count_include_pad, data_format=data_format)
        given = self.kernel_size, self.stride, self.padding
        self.kernel_size, self.stride, self.padding = (_checks.tuple_of("AvgPool1d", "", one, 1) for one in given)

    def forward(self, input: TensorLike) -> Tensor:
        return pooling.avg_pool1d(
            input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad,
            data_format=self.data_format,
        )  # fmt: skip


class AvgPool2d(_AvgPool):
    """The average of each window of images (N, C, H, W); see ``lucid.nn.functional.avg_pool2d``.

    Args:
        kernel_size: Size of the window, an integer or a pair (height, width).
        stride: Step of the window, by default ``kernel_size``.
        padding: Padding on each side, with zeros.
        ceil_mode: Whether to keep windows that extend beyond the padded input.
        count_include_pad: Count the padding in the divisor.
        divisor_override: The divisor, instead of the number of elements in the window.
        data_format: "channels_last" for inputs and outputs (N, H, W, C).

    Example:
        >>> nn.AvgPool2d(2)(lucid.randn(2, 64, 7, 7)).shape
        (2, 64, 3, 3)
    """

    dims = 2
    function = staticmethod(pooling.avg_pool2d)


class AvgPool3d(_AvgPool):
    """The average of each window of volumes (N, C, D, H, W); see ``lucid.nn.functional.avg_pool3d``.

    Args:
        kernel_size: Size of the window, an integer or (depth, height, width).
        stride: Step of the window, by default ``kernel_size``.
        padding: Padding on each side, with zeros.
        ceil_mode: Whether to keep windows that extend beyond the padded input.
        count_include_pad: Count the padding in the divisor.
        divisor_override: The divisor, instead of the number of elements in the window.
        data_format: "channels_last" for inputs and outputs (N, D, H, W, C).

    Example:
        >>> nn.AvgPool3d(2)(lucid.randn(2, 8, 7, 7, 7)).shape
        (2, 8, 3, 3, 3)
    """

    dims = 3
    function = staticmethod(pooling.avg_pool3d)


class LPPool1d(_LPPool):
    """``sum(input ** norm_type) ** (1 / norm_type)`` of each window of signals (N, C, L).

    Args:
        norm_type: The exponent; infinity means the maximum of the absolute values.
        kernel_size: Size of the window, an integer.
        stride: Step of the window, by default ``kernel_size``.
        ceil_mode: Whether to keep windows that extend beyond the input.
        data_format: "channels_last" for inputs and outputs (N, L, C).

    Example:
        >>> nn.LPPool1d(2, 2)(lucid.randn(2, 64, 7)).shape
        (2, 64, 3)
    """

    dims = 1
    function = staticmethod(pooling.lp_pool1d)


class LPPool2d(_LPPool):
    """``sum(input ** norm_type) ** (1 / norm_type)`` of each window of images (N, C, H, W).

    Args:
        norm_type: The exponent; infinity means the maximum of the absolute values.
        kernel_size: Size of the window, an integer or a pair (height, width).
        stride: Step of the window, by default ``kernel_size``.
        ceil_mode: Whether to keep windows that extend beyond the input.
        data_format: "channels_last" for inputs and outputs (N, H, W, C).

    Example:
        >>> nn.LPPool2d(2, 2)(lucid.randn(2, 64, 7, 7)).shape
        (2, 64, 3, 3)
    """

    dims = 2
    function = staticmethod(pooling.lp_pool2d)


class LPPool3d(_LPPool):
    """``sum(input ** norm_type) ** (1 / norm_type)`` of each window of volumes (N, C, D, H, W).

    Args:
        norm_type: The exponent; infinity means the maximum of the absolute values.
        kernel_size: Size of the window, an integer or (depth, height, width).
        stride: Step of the window, by default ``kernel_size``.
        ceil_mode: Whether to keep windows that extend beyond the input.
        data_format: "channels_last" for inputs and outputs (N, D, H, W, C).

    Example:
        >>> nn.LPPool3d(2, 2)(lucid.randn(2, 8, 7, 7, 7)).shape
        (2, 8, 3, 3, 3)
    """

    dims = 3
    function = staticmethod(pooling.lp_pool3d)
