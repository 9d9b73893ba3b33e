"""Pooling layers for images (N, C, H, W), or (N, H, W, C) with ``data_format="channels_last"``."""

from typing import Any

from lucid import _checks
from lucid._tensor import Tensor
from lucid.nn._common import layout
from lucid.nn.module import Module
from lucid.ops import pooling
from lucid.ops._types import TensorLike
from lucid.ops.normalization import DATA_FORMATS
from lucid.ops.pooling import Pair


def _check_windows(caller: str, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair) -> None:
    """Check the options early; the layer keeps and shows them as given."""
    for name, value, minimum in (
        ("kernel_size", kernel_size, 1),
        ("stride", stride, 1),
        ("padding", padding, 0),
        ("dilation", dilation, 1),
    ):
        _checks.pair(caller, name, value, minimum)


class MaxPool2d(Module):
    """The maximum of each window; see ``lucid.nn.functional.max_pool2d``.

    Args:
        kernel_size: Size of the window, an integer or a pair (height, width).
        stride: Step of the window, by default ``kernel_size``.
        padding: Padding on each side, with minus infinity.
        dilation: Distance between the elements of a window.
        return_indices: Whether to return the values and their positions in the image, row * W + column.
        ceil_mode: Whether to keep windows that extend beyond the padded image.
        data_format: "channels_last" for inputs and outputs (N, H, W, C).

    Example:
        >>> nn.MaxPool2d(2)(lucid.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])).tolist()
        [[[[4.0]]]]
    """

    def __init__(
        self, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0, dilation: Pair = 1,
        return_indices: bool = False, ceil_mode: bool = False, *, data_format: str = "channels_first",
    ) -> None:  # fmt: skip
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.dilation = dilation
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode
        self.data_format = _checks.one_of("MaxPool2d", "data_format", data_format, DATA_FORMATS)
        _check_windows("MaxPool2d", self.kernel_size, self.stride, padding, dilation)

    def forward(self, input: TensorLike) -> Any:
        return pooling.max_pool2d(
            input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, self.return_indices,
            data_format=self.data_format,
        )  # fmt: skip

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}{layout(self.data_format)}"
        )


class AvgPool2d(Module):
    """The average of each window; see ``lucid.nn.functional.avg_pool2d``.

    Args:
        kernel_size: Size of the window, an integer or a pair (height, width).
        stride: Step of the window, by default ``kernel_size``.
        padding: Padding on each side, with zeros.
        ceil_mode: Whether to keep windows that extend beyond the padded image.
        count_include_pad: Count the padding in the divisor.
        divisor_override: The divisor, instead of the number of elements in the window.
        data_format: "channels_last" for inputs and outputs (N, H, W, C).

    Example:
        >>> nn.AvgPool2d(2)(lucid.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])).tolist()
        [[[[2.5]]]]
    """

    def __init__(
        self, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0, ceil_mode: bool = False,
        count_include_pad: bool = True, divisor_override: int | None = None, *, data_format: str = "channels_first",
    ) -> None:  # fmt: skip
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override
        self.data_format = _checks.one_of("AvgPool2d", "data_format", data_format, DATA_FORMATS)
        _check_windows("AvgPool2d", self.kernel_size, self.stride, padding, 1)

    def forward(self, input: TensorLike) -> Tensor:
        return pooling.avg_pool2d(
            input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad,
            self.divisor_override, data_format=self.data_format,
        )  # fmt: skip

    def extra_repr(self) -> str:
        shown = f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"
        return shown + layout(self.data_format)


class AdaptiveAvgPool2d(Module):
    """Averages images of any size to ``output_size``; see ``lucid.nn.functional.adaptive_avg_pool2d``.

    Args:
        output_size: The size of the result, an integer or a pair (height, width); ``None`` keeps the size of the input.
        data_format: "channels_last" for inputs and outputs (N, H, W, C).

    Example:
        >>> nn.AdaptiveAvgPool2d(1)(lucid.randn(2, 64, 7, 7)).shape
        (2, 64, 1, 1)
    """

    def __init__(
        self, output_size: int | tuple[int | None, int | None] | None, *, data_format: str = "channels_first"
    ) -> None:
        super().__init__()
        self.output_size = output_size
        self.data_format = _checks.one_of("AdaptiveAvgPool2d", "data_format", data_format, DATA_FORMATS)

    def forward(self, input: TensorLike) -> Tensor:
        return pooling.adaptive_avg_pool2d(input, self.output_size, data_format=self.data_format)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}{layout(self.data_format)}"
