"""Adaptive pooling layers: the size of the result is given, whatever that of the input."""

from collections.abc import Callable
from typing import Any, ClassVar

from lucid import _checks
from lucid.nn._common import layout
from lucid.nn.module import Module
from lucid.ops import adaptive_pooling
from lucid.ops._types import TensorLike
from lucid.ops.adaptive_pooling import OutputSize
from lucid.ops.normalization import DATA_FORMATS


class _AdaptivePool(Module):
    function: ClassVar[Callable[..., Any]]

    def __init__(self, output_size: OutputSize, *, data_format: str = "channels_first") -> None:
        super().__init__()
        self.output_size = output_size
        self.data_format = _checks.one_of(type(self).__name__, "data_format", data_format, DATA_FORMATS)

    def forward(self, input: TensorLike) -> Any:
        return type(self).function(input, self.output_size, data_format=self.data_format)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}{layout(self.data_format)}"


class _AdaptiveMaxPool(_AdaptivePool):
    def __init__(
        self, output_size: OutputSize, return_indices: bool = False, *, data_format: str = "channels_first"
    ) -> None:
        super().__init__(output_size, data_format=data_format)
        self.return_indices = return_indices

    def forward(self, input: TensorLike) -> Any:
        return type(self).function(input, self.output_size, self.return_indices, data_format=self.data_format)


class AdaptiveAvgPool1d(_AdaptivePool):
    """Averages signals (N, C, L) of any size to ``output_size``; see ``F.adaptive_avg_pool1d``.

    Args:
        output_size: The size of the result, an integer; ``None`` keeps the size of the input.
        data_format: "channels_last" for inputs and outputs (N, L, C).

    Example:
        >>> nn.AdaptiveAvgPool1d(1)(lucid.randn(2, 64, 7)).shape
        (2, 64, 1)
    """

    function = staticmethod(adaptive_pooling.adaptive_avg_pool1d)


class AdaptiveAvgPool2d(_AdaptivePool):
    """Averages images (N, C, H, W) of any size to ``output_size``; see ``F.adaptive_avg_pool2d``.

    Args:
        output_size: The size of the result, an integer or a pair (height, width); ``None`` keeps the size of the input.
        data_format: "channels_last" for inputs and outputs (N, H, W, C).

    Example:
        >>> nn.AdaptiveAvgPool2d(1)(lucid.randn(2, 64, 7, 7)).shape
        (2, 64, 1, 1)
    """

    function = staticmethod(adaptive_pooling.adaptive_avg_pool2d)


class AdaptiveAvgPool3d(_AdaptivePool):
    """Averages volumes (N, C, D, H, W) of any size to ``output_size``; see ``F.adaptive_avg_pool3d``.

    Args:
        output_size: The size of the result, an integer or (depth, height, width); ``None`` keeps the size of the input.
        data_format: "channels_last" for inputs and outputs (N, D, H, W, C).

    Example:
        >>> nn.AdaptiveAvgPool3d(1)(lucid.randn(2, 8, 7, 7, 7)).shape
        (2, 8, 1, 1, 1)
    """

    function = staticmethod(adaptive_pooling.adaptive_avg_pool3d)


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """Maximizes signals (N, C, L) of any size to ``output_size``; see ``F.adaptive_max_pool1d``.

    Args:
        output_size: The size of the result, an integer; ``None`` keeps the size of the input.
        return_indices: Whether to return the values and their positions.
        data_format: "channels_last" for inputs and outputs (N, L, C).

    Example:
        >>> nn.AdaptiveMaxPool1d(1)(lucid.randn(2, 64, 7)).shape
        (2, 64, 1)
    """

    function = staticmethod(adaptive_pooling.adaptive_max_pool1d)


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """Maximizes images (N, C, H, W) of any size to ``output_size``; see ``F.adaptive_max_pool2d``.

    Args:
        output_size: The size of the result, an integer or a pair (height, width); ``None`` keeps the size of the input.
        return_indices: Whether to return the values and their positions, row * W + column.
        data_format: "channels_last" for inputs and outputs (N, H, W, C).

    Example:
        >>> nn.AdaptiveMaxPool2d(1)(lucid.randn(2, 64, 7, 7)).shape
        (2, 64, 1, 1)
    """

    function = staticmethod(adaptive_pooling.adaptive_max_pool2d)


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    """Maximizes volumes (N, C, D, H, W) of any size to ``output_size``; see ``F.adaptive_max_pool3d``.

    Args:
        output_size: The size of the result, an integer or (depth, height, width); ``None`` keeps the size of the input.
        return_indices: Whether to return the values and their positions, (depth * H + row) * W + column.
        data_format: "channels_last" for inputs and outputs (N, D, H, W, C).

    Example:
        >>> nn.AdaptiveMaxPool3d(1)(lucid.randn(2, 8, 7, 7, 7)).shape
        (2, 8, 1, 1, 1)
    """

    function = staticmethod(adaptive_pooling.adaptive_max_pool3d)
