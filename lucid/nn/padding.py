"""Layers that pad (N, C, ...) or (C, ...), also with ``data_format="channels_last"``."""

from typing import Any, ClassVar

from lucid import _checks
from lucid._tensor import Tensor
from lucid._tensor_convert import as_array
from lucid.nn._common import layout
from lucid.nn.module import Module
from lucid.ops._types import TensorLike
from lucid.ops._windows import layout_name
from lucid.ops.normalization import DATA_FORMATS
from lucid.ops.padding import pad

Ints = int | tuple[int, ...] | list[int]


class _Pad(Module):
    """Base class: ``padding`` is one number for all sides, or (left, right, top, bottom, front, back) as they apply."""

    dims: ClassVar[int]
    mode: ClassVar[str]

    def __init__(self, padding: Ints, *, data_format: str = "channels_first") -> None:
        super().__init__()
        where = type(self).__name__
        self.padding = _checks.tuple_of(where, "padding", padding, 2 * self.dims)
        self.data_format = _checks.one_of(where, "data_format", data_format, DATA_FORMATS)

    def forward(self, input: TensorLike) -> Tensor:
        wanted = layout_name(self.dims, self.data_format)
        _checks.rank(type(self).__name__, "input", as_array(input).shape, (self.dims + 1, self.dims + 2), wanted)
        return self._padded(input)

    def _padded(self, input: TensorLike, **options: Any) -> Tensor:
        amounts = self.padding if self.data_format == "channels_first" else (0, 0, *self.padding)
        return pad(input, amounts, self.mode, **options)

    def extra_repr(self) -> str:
        return f"{self.padding}{layout(self.data_format)}"


class _ConstantPad(_Pad):
    mode = "constant"
    value: float

    def __init__(self, padding: Ints, value: float, *, data_format: str = "channels_first") -> None:
        super().__init__(padding, data_format=data_format)
        self.value = value

    def forward(self, input: TensorLike) -> Tensor:
        return self._padded(input, value=self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}{layout(self.data_format)}"


class _ZeroPad(_Pad):
    mode = "constant"

    def forward(self, input: TensorLike) -> Tensor:
        return self._padded(input, value=0.0)


class _ReflectionPad(_Pad):
    mode = "reflect"


class _ReplicationPad(_Pad):
    mode = "replicate"


class _CircularPad(_Pad):
    mode = "circular"


class ConstantPad1d(_ConstantPad):
    """Pads signals (N, C, L) with ``value``.

    Args:
        padding: One size for all sides, or (left, right). Negative sizes crop.
        value: The number to pad with.
        data_format: "channels_last" for inputs and outputs (N, L, C).

    Example:
        >>> nn.ConstantPad1d(1, 0.5)(lucid.randn(1, 2, 4)).shape
        (1, 2, 6)
    """

    dims = 1


class ConstantPad2d(_ConstantPad):
    """Pads images (N, C, H, W) with ``value``.

    Args:
        padding: One size for all sides, or (left, right, top, bottom). Negative sizes crop.
        value: The number to pad with.
        data_format: "channels_last" for inputs and outputs (N, H, W, C).

    Example:
        >>> nn.ConstantPad2d(1, 0.5)(lucid.randn(1, 2, 4, 4)).shape
        (1, 2, 6, 6)
    """

    dims = 2


class ConstantPad3d(_ConstantPad):
    """Pads volumes (N, C, D, H, W) with ``value``.

    Args:
        padding: One size for all sides, or (left, right, top, bottom, front, back). Negative sizes crop.
        value: The number to pad with.
        data_format: "channels_last" for inputs and outputs (N, D, H, W, C).

    Example:
        >>> nn.ConstantPad3d(1, 0.5)(lucid.randn(1, 2, 4, 4, 4)).shape
        (1, 2, 6, 6, 6)
    """

    dims = 3


class ZeroPad1d(_ZeroPad):
    """Pads signals (N, C, L) with zeros.

    Args:
        padding: One size for all sides, or (left, right). Negative sizes crop.
        data_format: "channels_last" for inputs and outputs (N, L, C).

    Example:
        >>> nn.ZeroPad1d(1)(lucid.randn(1, 2, 4)).shape
        (1, 2, 6)
    """

    dims = 1


class ZeroPad2d(_ZeroPad):
    """Pads images (N, C, H, W) with zeros.

    Args:
        padding: One size for all sides, or (left, right, top, bottom). Negative sizes crop.
        data_format: "channels_last" for inputs and outputs (N, H, W, C).

    Example:
        >>> nn.ZeroPad2d(1)(lucid.randn(1, 2, 4, 4)).shape
        (1, 2, 6, 6)
    """

    dims = 2


class ZeroPad3d(_ZeroPad):
    """Pads volumes (N, C, D, H, W) with zeros.

    Args:
        padding: One size for all sides, or (left, right, top, bottom, front, back). Negative sizes crop.
        data_format: "channels_last" for inputs and outputs (N, D, H, W, C).

    Example:
        >>> nn.ZeroPad3d(1)(lucid.randn(1, 2, 4, 4, 4)).shape
        (1, 2, 6, 6, 6)
    """

    dims = 3


class ReflectionPad1d(_ReflectionPad):
    """Pads signals (N, C, L) with their reflection at the edge.

    Args:
        padding: One size for all sides, or (left, right); at most the size less 1. Negative sizes crop.
        data_format: "channels_last" for inputs and outputs (N, L, C).

    Example:
        >>> nn.ReflectionPad1d(1)(lucid.randn(1, 2, 4)).shape
        (1, 2, 6)
    """

    dims = 1


class ReflectionPad2d(_ReflectionPad):
    """Pads images (N, C, H, W) with their reflection at the edge.

    Args:
        padding: One size for all sides, or (left, right, top, bottom); at most the size less 1. Negative sizes crop.
        data_format: "channels_last" for inputs and outputs (N, H, W, C).

    Example:
        >>> nn.ReflectionPad2d(1)(lucid.randn(1, 2, 4, 4)).shape
        (1, 2, 6, 6)
    """

    dims = 2


class ReflectionPad3d(_ReflectionPad):
    """Pads volumes (N, C, D, H, W) with their reflection at the edge.

    Args:
        padding: One size for all sides, or (left, right, top, bottom, front, back);
            at most the size less 1. Negative sizes crop.
        data_format: "channels_last" for inputs and outputs (N, D, H, W, C).

    Example:
        >>> nn.ReflectionPad3d(1)(lucid.randn(1, 2, 4, 4, 4)).shape
        (1, 2, 6, 6, 6)
    """

    dims = 3


class ReplicationPad1d(_ReplicationPad):
    """Pads signals (N, C, L) with copies of their edge.

    Args:
        padding: One size for all sides, or (left, right). Negative sizes crop.
        data_format: "channels_last" for inputs and outputs (N, L, C).

    Example:
        >>> nn.ReplicationPad1d(1)(lucid.randn(1, 2, 4)).shape
        (1, 2, 6)
    """

    dims = 1


class ReplicationPad2d(_ReplicationPad):
    """Pads images (N, C, H, W) with copies of their edge.

    Args:
        padding: One size for all sides, or (left, right, top, bottom). Negative sizes crop.
        data_format: "channels_last" for inputs and outputs (N, H, W, C).

    Example:
        >>> nn.ReplicationPad2d(1)(lucid.randn(1, 2, 4, 4)).shape
        (1, 2, 6, 6)
    """

    dims = 2


class ReplicationPad3d(_ReplicationPad):
    """Pads volumes (N, C, D, H, W) with copies of their edge.

    Args:
        padding: One size for all sides, or (left, right, top, bottom, front, back). Negative sizes crop.
        data_format: "channels_last" for inputs and outputs (N, D, H, W, C).

    Example:
        >>> nn.ReplicationPad3d(1)(lucid.randn(1, 2, 4, 4, 4)).shape
        (1, 2, 6, 6, 6)
    """

    dims = 3


class CircularPad1d(_CircularPad):
    """Pads signals (N, C, L) by wrapping around.

    Args:
        padding: One size for all sides, or (left, right); at most the size. Negative sizes crop.
        data_format: "channels_last" for inputs and outputs (N, L, C).

    Example:
        >>> nn.CircularPad1d(1)(lucid.randn(1, 2, 4)).shape
        (1, 2, 6)
    """

    dims = 1


class CircularPad2d(_CircularPad):
    """Pads images (N, C, H, W) by wrapping around.

    Args:
        padding: One size for all sides, or (left, right, top, bottom); at most the size. Negative sizes crop.
        data_format: "channels_last" for inputs and outputs (N, H, W, C).

    Example:
        >>> nn.CircularPad2d(1)(lucid.randn(1, 2, 4, 4)).shape
        (1, 2, 6, 6)
    """

    dims = 2


class CircularPad3d(_CircularPad):
    """Pads volumes (N, C, D, H, W) by wrapping around.

    Args:
        padding: One size for all sides, or (left, right, top, bottom, front, back);
            at most the size. Negative sizes crop.
        data_format: "channels_last" for inputs and outputs (N, D, H, W, C).

    Example:
        >>> nn.CircularPad3d(1)(lucid.randn(1, 2, 4, 4, 4)).shape
        (1, 2, 6, 6, 6)
    """

    dims = 3
