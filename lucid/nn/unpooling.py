"""Layers of max unpooling, and of max pooling over windows at random positions."""

from collections.abc import Callable
from typing import Any, ClassVar

from lucid import _checks
from lucid._tensor import Tensor
from lucid.nn import functional
from lucid.nn._common import layout
from lucid.nn.module import Module
from lucid.ops import unpooling
from lucid.ops._types import TensorLike
from lucid.ops._windows import stride_of
from lucid.ops.normalization import DATA_FORMATS
from lucid.ops.pooling import Ints


class _MaxUnpool(Module):
    dims: ClassVar[int]
    function: ClassVar[Callable[..., Tensor]]

    def __init__(
        self, kernel_size: Ints, stride: Ints | None = None, padding: Ints = 0, *, data_format: str = "channels_first"
    ) -> None:
        super().__init__()
        where = type(self).__name__
        self.kernel_size = _checks.tuple_of(where, "kernel_size", kernel_size, self.dims, 1)
        self.stride = stride_of(where, stride, self.kernel_size)
        self.padding = _checks.tuple_of(where, "padding", padding, self.dims, 0)
        self.data_format = _checks.one_of(where, "data_format", data_format, DATA_FORMATS)

    def forward(self, input: TensorLike, indices: TensorLike, output_size: Any = None) -> Tensor:
        return type(self).function(
            input, indices, self.kernel_size, self.stride, self.padding, output_size, data_format=self.data_format
        )

    def extra_repr(self) -> str:
        shown = f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"
        return shown + layout(self.data_format)


class MaxUnpool1d(_MaxUnpool):
    """Puts the values of signals (N, C, L) back where ``MaxPool1d`` took them from, with zeros elsewhere.

    Called with the values, their positions and, if the size is not the usual one, ``output_size``; see
    ``lucid.nn.functional.max_unpool1d``.

    Args:
        kernel_size: Size of the window of the pooling.
        stride: Step of the window, by default ``kernel_size``.
        padding: Padding of the pooling.
        data_format: "channels_last" for inputs and outputs (N, L, C).

    Example:
        >>> values, positions = nn.MaxPool1d(2, return_indices=True)(lucid.randn(1, 2, 8))
        >>> nn.MaxUnpool1d(2)(values, positions).shape
        (1, 2, 8)
    """

    dims = 1
    function = staticmethod(unpooling.max_unpool1d)


class MaxUnpool2d(_MaxUnpool):
    """Puts the values of images (N, C, H, W) back where ``MaxPool2d`` took them from, with zeros elsewhere.

    Called with the values, their positions and, if the size is not the usual one, ``output_size``; see
    ``lucid.nn.functional.max_unpool2d``.

    Args:
        kernel_size: Size of the window of the pooling.
        stride: Step of the window, by default ``kernel_size``.
        padding: Padding of the pooling.
        data_format: "channels_last" for inputs and outputs (N, H, W, C).

    Example:
        >>> values, positions = nn.MaxPool2d(2, return_indices=True)(lucid.randn(1, 2, 8, 8))
        >>> nn.MaxUnpool2d(2)(values, positions).shape
        (1, 2, 8, 8)
    """

    dims = 2
    function = staticmethod(unpooling.max_unpool2d)


class MaxUnpool3d(_MaxUnpool):
    """Puts the values of volumes (N, C, D, H, W) back where ``MaxPool3d`` took them from, with zeros elsewhere.

    Called with the values, their positions and, if the size is not the usual one, ``output_size``; see
    ``lucid.nn.functional.max_unpool3d``.

    Args:
        kernel_size: Size of the window of the pooling.
        stride: Step of the window, by default ``kernel_size``.
        padding: Padding of the pooling.
        data_format: "channels_last" for inputs and outputs (N, D, H, W, C).

    Example:
        >>> values, positions = nn.MaxPool3d(2, return_indices=True)(lucid.randn(1, 2, 4, 4, 4))
        >>> nn.MaxUnpool3d(2)(values, positions).shape
        (1, 2, 4, 4, 4)
    """

    dims = 3
    function = staticmethod(unpooling.max_unpool3d)


class _FractionalMaxPool(Module):
    dims: ClassVar[int]
    function: ClassVar[Callable[..., Any]]

    def __init__(
        self, kernel_size: Ints, output_size: Ints | None = None, output_ratio: Any = None,
        return_indices: bool = False, _random_samples: TensorLike = None,
    ) -> None:  # fmt: skip
        super().__init__()
        where = type(self).__name__
        self.kernel_size = _checks.tuple_of(where, "kernel_size", kernel_size, self.dims, 1)
        self.return_indices = return_indices
        self.register_buffer("_random_samples", _random_samples)
        self.output_size = (
            None if output_size is None else _checks.tuple_of(where, "output_size", output_size, self.dims, 1)
        )
        if (output_size is None) == (output_ratio is None):
            what = "neither" if output_size is None else "both"
            raise ValueError(f"{where}: pass either output_size or output_ratio, got {what}")
        is_listed = isinstance(output_ratio, tuple | list)
        self.output_ratio = (
            None if output_ratio is None else tuple(output_ratio) if is_listed else (output_ratio,) * self.dims
        )
        if self.output_ratio is not None and not all(0 < ratio < 1 for ratio in self.output_ratio):
            raise ValueError(f"{where}: output_ratio must be above 0 and below 1, got {output_ratio!r}")

    def forward(self, input: TensorLike) -> Any:
        return type(self).function(
            input, self.kernel_size, self.output_size, self.output_ratio, self.return_indices, self._random_samples
        )


class FractionalMaxPool2d(_FractionalMaxPool):
    """The maximum of windows of images (N, C, H, W) at random positions; see ``F.fractional_max_pool2d``.

    Source: Graham 2014, arXiv:1412.6071.

    Args:
        kernel_size: Size of the window.
        output_size: The size of the result; either this or ``output_ratio`` is required.
        output_ratio: The size of the result relative to that of the input.
        return_indices: Whether to return the values and their positions.
        _random_samples: Numbers in [0, 1) of shape (N, C, 2) that determine the positions, drawn by default.

    Example:
        >>> nn.FractionalMaxPool2d(2, output_size=3)(lucid.randn(1, 2, 8, 8)).shape
        (1, 2, 3, 3)
    """

    dims = 2
    function = staticmethod(functional.fractional_max_pool2d)


class FractionalMaxPool3d(_FractionalMaxPool):
    """The maximum of windows of volumes (N, C, D, H, W) at random positions; see ``F.fractional_max_pool3d``.

    Source: Graham 2014, arXiv:1412.6071.

    Args:
        kernel_size: Size of the window.
        output_size: The size of the result; either this or ``output_ratio`` is required.
        output_ratio: The size of the result relative to that of the input.
        return_indices: Whether to return the values and their positions.
        _random_samples: Numbers in [0, 1) of shape (N, C, 3) that determine the positions, drawn by default.

    Example:
        >>> nn.FractionalMaxPool3d(2, output_size=3)(lucid.randn(1, 2, 4, 4, 4)).shape
        (1, 2, 3, 3, 3)
    """

    dims = 3
    function = staticmethod(functional.fractional_max_pool3d)
