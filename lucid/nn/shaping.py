"""Layers that change the shape or size of their input."""

from typing import Any

from lucid import _checks
from lucid._tensor import Tensor
from lucid.nn._common import layout
from lucid.nn.module import Module
from lucid.ops import resize
from lucid.ops import shape as shapes
from lucid.ops._types import TensorLike
from lucid.ops.normalization import DATA_FORMATS


class Flatten(Module):
    """Merges the dimensions from ``start_dim`` to ``end_dim`` into one, by default all but the first.

    Args:
        start_dim: The first dimension to merge.
        end_dim: The last dimension to merge.

    Example:
        >>> nn.Flatten()(lucid.randn(2, 64, 7, 7)).shape
        (2, 3136)
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, input: TensorLike) -> Tensor:
        return shapes.flatten(input, self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Splits dimension ``dim`` into dimensions of sizes ``unflattened_size``, one of which may be -1.

    Args:
        dim: The dimension to split.
        unflattened_size: The sizes to split it into; one may be -1.

    Example:
        >>> nn.Unflatten(1, (64, 7, 7))(lucid.randn(2, 3136)).shape
        (2, 64, 7, 7)
    """

    def __init__(self, dim: int, unflattened_size: tuple[int, ...]) -> None:
        super().__init__()
        self.dim = dim
        self.unflattened_size = unflattened_size

    def forward(self, input: TensorLike) -> Tensor:
        return shapes.unflatten(input, self.dim, self.unflattened_size)

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"


class Upsample(Module):
    """Resizes (N, C, ...) to ``size`` or by ``scale_factor``; see ``lucid.nn.functional.interpolate``.

    Args:
        size: Size of the result, an integer or one per dimension.
        scale_factor: Factor on the size, instead of ``size``.
        mode: "nearest", "nearest-exact", "linear", "bilinear", "trilinear", "bicubic" or "area".
        align_corners: Whether the corner pixels of input and output are at the same position.
        recompute_scale_factor: Whether to compute the positions from the rounded output size instead of
            ``scale_factor``.
        data_format: "channels_last" for inputs and outputs (N, ..., C).

    Example:
        >>> nn.Upsample(scale_factor=2, mode="bilinear")(lucid.randn(2, 64, 7, 7)).shape
        (2, 64, 14, 14)
    """

    def __init__(
        self, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None, *, data_format: str = "channels_first",
    ) -> None:  # fmt: skip
        super().__init__()
        self.size = size
        self.scale_factor = scale_factor
        self.mode = mode
        self.align_corners = align_corners
        self.recompute_scale_factor = recompute_scale_factor
        self.data_format = _checks.one_of("Upsample", "data_format", data_format, DATA_FORMATS)

    def forward(self, input: TensorLike) -> Tensor:
        return resize.interpolate(
            input, self.size, self.scale_factor, self.mode, self.align_corners, self.recompute_scale_factor,
            data_format=self.data_format,
        )  # fmt: skip

    def extra_repr(self) -> str:
        goal = f"scale_factor={self.scale_factor}" if self.size is None else f"size={self.size}"
        return f"{goal}, mode={self.mode!r}{layout(self.data_format)}"


class UpsamplingNearest2d(Upsample):
    """``Upsample`` of images with mode "nearest", by its old name.

    Args:
        size: Size of the result, an integer or a pair (height, width).
        scale_factor: Factor on the size, instead of ``size``.
        data_format: "channels_last" for inputs and outputs (N, H, W, C).

    Example:
        >>> nn.UpsamplingNearest2d(scale_factor=2)(lucid.randn(2, 64, 7, 7)).shape
        (2, 64, 14, 14)
    """

    def __init__(self, size: Any = None, scale_factor: Any = None, *, data_format: str = "channels_first") -> None:
        super().__init__(size, scale_factor, mode="nearest", data_format=data_format)


class UpsamplingBilinear2d(Upsample):
    """``Upsample`` of images with mode "bilinear" and ``align_corners=True``, by its old name.

    Args:
        size: Size of the result, an integer or a pair (height, width).
        scale_factor: Factor on the size, instead of ``size``.
        data_format: "channels_last" for inputs and outputs (N, H, W, C).

    Example:
        >>> nn.UpsamplingBilinear2d(scale_factor=2)(lucid.randn(2, 64, 7, 7)).shape
        (2, 64, 14, 14)
    """

    def __init__(self, size: Any = None, scale_factor: Any = None, *, data_format: str = "channels_first") -> None:
        super().__init__(size, scale_factor, mode="bilinear", align_corners=True, data_format=data_format)
