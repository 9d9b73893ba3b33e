"""Layers that rearrange pixels and channels."""

from lucid._tensor import Tensor
from lucid.nn.module import Module
from lucid.ops import rearrangement
from lucid.ops._types import TensorLike
from lucid.ops.rearrangement import Ints


class PixelShuffle(Module):
    """Blocks of r x r channels become blocks of r x r pixels; see ``lucid.nn.functional.pixel_shuffle``.

    Args:
        upscale_factor: The factor r on height and width.

    Example:
        >>> nn.PixelShuffle(2)(lucid.randn(1, 16, 4, 4)).shape
        (1, 4, 8, 8)
    """

    def __init__(self, upscale_factor: int) -> None:
        super().__init__()
        self.upscale_factor = upscale_factor

    def forward(self, input: TensorLike) -> Tensor:
        return rearrangement.pixel_shuffle(input, self.upscale_factor)

    def extra_repr(self) -> str:
        return f"upscale_factor={self.upscale_factor}"


class PixelUnshuffle(Module):
    """Blocks of r x r pixels become r x r channels, the inverse of ``PixelShuffle``.

    Args:
        downscale_factor: The divisor r of height and width.

    Example:
        >>> nn.PixelUnshuffle(2)(lucid.randn(1, 4, 8, 8)).shape
        (1, 16, 4, 4)
    """

    def __init__(self, downscale_factor: int) -> None:
        super().__init__()
        self.downscale_factor = downscale_factor

    def forward(self, input: TensorLike) -> Tensor:
        return rearrangement.pixel_unshuffle(input, self.downscale_factor)

    def extra_repr(self) -> str:
        return f"downscale_factor={self.downscale_factor}"


class ChannelShuffle(Module):
    """Reorders channels to take one of each group in turn; see ``lucid.nn.functional.channel_shuffle``.

    Args:
        groups: Number of groups of adjacent channels.

    Example:
        >>> nn.ChannelShuffle(2)(lucid.arange(4).reshape(1, 4, 1, 1)).flatten().tolist()
        [0, 2, 1, 3]
    """

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, input: TensorLike) -> Tensor:
        return rearrangement.channel_shuffle(input, self.groups)

    def extra_repr(self) -> str:
        return f"groups={self.groups}"


class Unfold(Module):
    """The windows of images as columns; see ``lucid.nn.functional.unfold``.

    Args:
        kernel_size: Size of the window, an integer or a pair (height, width), as are the others.
        dilation: Distance between the elements of a window.
        padding: Zeros on each side.
        stride: Step of the window.

    Example:
        >>> nn.Unfold(3, padding=1)(lucid.randn(2, 4, 8, 8)).shape
        (2, 36, 64)
    """

    def __init__(self, kernel_size: Ints, dilation: Ints = 1, padding: Ints = 0, stride: Ints = 1) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.padding = padding
        self.stride = stride

    def forward(self, input: TensorLike) -> Tensor:
        return rearrangement.unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, dilation={self.dilation}, padding={self.padding}, stride={self.stride}"


class Fold(Module):
    """The sums of windows that are given as columns; see ``lucid.nn.functional.fold``.

    Args:
        output_size: Size of the image, an integer or a pair (height, width), as are the others.
        kernel_size: Size of the window.
        dilation: Distance between the elements of a window.
        padding: Pixels cut off on each side.
        stride: Step of the window.

    Example:
        >>> nn.Fold((8, 8), 3, padding=1)(lucid.randn(2, 36, 64)).shape
        (2, 4, 8, 8)
    """

    def __init__(
        self, output_size: Ints, kernel_size: Ints, dilation: Ints = 1, padding: Ints = 0, stride: Ints = 1
    ) -> None:
        super().__init__()
        self.output_size = output_size
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.padding = padding
        self.stride = stride

    def forward(self, input: TensorLike) -> Tensor:
        return rearrangement.fold(input, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        return (
            f"output_size={self.output_size}, kernel_size={self.kernel_size}, dilation={self.dilation}, "
            f"padding={self.padding}, stride={self.stride}"
        )
