"""The sizes of a two-dimensional convolution that do not change from call to call."""

from dataclasses import dataclass

Pair = tuple[int, int]


@dataclass(frozen=True)
class Geometry:
    """Input size, kernel, stride, padding and dilation. All but ``padding`` are (along the height, along the width).

    ``padding`` holds ((top, bottom), (left, right)).
    """

    size: Pair
    kernel: Pair
    stride: Pair
    padding: tuple[Pair, Pair]
    dilation: Pair

    @property
    def extent(self) -> Pair:
        """Input rows and columns under one placement of the kernel: 13 for 7 taps with dilation 2."""
        return self._extent(0), self._extent(1)

    @property
    def output(self) -> Pair:
        """Rows and columns of the output; 0 or less where the kernel does not fit."""
        return self._output(0), self._output(1)

    @property
    def is_dense(self) -> bool:
        """True for stride 1 and dilation 1."""
        return self.stride == (1, 1) and self.dilation == (1, 1)

    def transposed(self) -> "Geometry":
        """For stride 1: the convolution with the flipped kernel that takes the output's gradient to the input's.

        Its padding is negative where the convolution is padded beyond its kernel: rows to leave out.
        """
        (top, bottom), (left, right) = self.padding
        high, wide = self._extent(0) - 1, self._extent(1) - 1
        padding = ((high - top, high - bottom), (wide - left, wide - right))
        return Geometry(self.output, self.kernel, self.stride, padding, self.dilation)

    def _extent(self, axis: int) -> int:
        return self.dilation[axis] * (self.kernel[axis] - 1) + 1

    def _output(self, axis: int) -> int:
        padded = self.size[axis] + sum(self.padding[axis])
        return (padded - self._extent(axis)) // self.stride[axis] + 1
