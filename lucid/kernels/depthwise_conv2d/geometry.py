"""The sizes of a convolution, validated once and passed down to whatever computes it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from lucid import _checks

Sizes = tuple[int, ...]
Padding = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Geometry:
    """Input size, kernel size, stride, padding and dilation of each spatial dimension: (height, width) for images.

    ``padding`` holds (before, after) per dimension: ((top, bottom), (left, right)). A negative number crops.
    """

    size: Sizes
    kernel: Sizes
    stride: Sizes
    padding: Padding
    dilation: Sizes

    @classmethod
    def checked(
        cls, caller: str, size: Sequence[int], kernel: Sequence[int], stride: Any, padding: Any, dilation: Any
    ) -> "Geometry":
        """The geometry that a user's arguments describe.

        Args:
            caller: The function that the user called, for error messages.
            size: Spatial dimensions of the input.
            kernel: Spatial dimensions of the weight.
            stride: One integer, or one per dimension.
            padding: One integer, one per dimension, (before, after) per dimension, "same" or "valid".
            dilation: One integer, or one per dimension.

        Raises:
            ValueError: A value is out of range, or the kernel is larger than the padded input.
            TypeError: A value is not an integer.
        """
        check_kernel_size(caller, kernel)
        stride = _checks.tuple_of(caller, "stride", stride, len(kernel), 1)
        dilation = _checks.tuple_of(caller, "dilation", dilation, len(kernel), 1)
        pairs = _padding(caller, padding, tuple(kernel), stride, dilation)
        geometry = cls(tuple(size), tuple(kernel), stride, pairs, dilation)
        if min(geometry.output) < 1:
            padded = [n + low + high for n, (low, high) in zip(size, pairs, strict=True)]
            raise _checks.ArgumentError(
                f"{caller}: the kernel spans {_product(geometry.extent)} pixels but the padded input has only "
                f"{_product(padded)} (kernel {tuple(kernel)}, dilation {dilation}, input {tuple(size)})"
            )
        return geometry

    @cached_property
    def extent(self) -> Sizes:
        """The span of the dilated kernel: 13 for a kernel of 7 with dilation 2."""
        return tuple(d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation, strict=True))

    @cached_property
    def output(self) -> Sizes:
        """The size of the output; 0 or less where the kernel does not fit."""
        sides = zip(self.size, self.padding, self.extent, self.stride, strict=True)
        return tuple((n + low + high - extent) // s + 1 for n, (low, high), extent, s in sides)

    @property
    def is_dense(self) -> bool:
        """True for stride 1 and dilation 1."""
        return set(self.stride) == set(self.dilation) == {1}

    def transposed(self) -> "Geometry":
        """For stride 1: the convolution with the flipped kernel that maps the output's gradient to the input's.

        Its padding is negative, a crop, where the input is padded by more than the kernel's extent.
        """
        pairs = zip(self.extent, self.padding, strict=True)
        padding = tuple((extent - 1 - low, extent - 1 - high) for extent, (low, high) in pairs)
        return Geometry(self.output, self.kernel, self.stride, padding, self.dilation)

    def trimmed(self) -> "Geometry":
        """The same convolution with the padding, or the input, cut off after the last position of the kernel."""
        if set(self.stride) == {1}:
            return self
        sides = zip(self.size, self.padding, self.extent, self.output, self.stride, strict=True)
        padding = tuple((low, (out - 1) * s + extent - n - low) for n, (low, _), extent, out, s in sides)
        return Geometry(self.size, self.kernel, self.stride, padding, self.dilation)

    def inner(self) -> tuple["Geometry", tuple[slice, ...]]:
        """The same convolution with the part of the kernel that meets the input, and not padding alone; and that part.

        Of a 7x7 kernel on images of 2x2 with padding 3 that is 3x3.
        """
        kept, padding = [], []
        sides = zip(self.size, self.kernel, self.stride, self.dilation, self.padding, self.output, strict=True)
        for n, k, s, d, (low, high), out in sides:
            used = [i for i in range(k) if max(0, -((i * d - low) // s)) <= min(out - 1, (low - i * d + n - 1) // s)]
            first, last = (used[0], used[-1]) if used else (0, 0)
            kept.append(slice(first, last + 1))
            padding.append((low - first * d, high - (k - 1 - last) * d))
        kernel = tuple(one.stop - one.start for one in kept)
        return Geometry(self.size, kernel, self.stride, tuple(padding), self.dilation), tuple(kept)

    def with_height(self) -> "Geometry":
        """A one-dimensional convolution as one of images that have a single row."""
        [size], [kernel], [stride], [padding], [dilation] = (
            self.size, self.kernel, self.stride, self.padding, self.dilation,
        )  # fmt: skip
        return Geometry((1, size), (1, kernel), (1, stride), ((0, 0), padding), (1, dilation))


def check_kernel_size(caller: str, kernel: Sequence[int]) -> None:
    """Raise if a spatial dimension of the weight is empty."""
    if 0 in kernel:
        raise _checks.ArgumentError(f"{caller}: the kernel must not be empty, got size {tuple(kernel)}")


def same_padding(kernel: Sizes, dilation: Sizes) -> Padding:
    """The padding that keeps the size at stride 1; as in PyTorch, an odd row goes after."""
    totals = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    return tuple((total // 2, total - total // 2) for total in totals)


def _padding(caller: str, padding: Any, kernel: Sizes, stride: Sizes, dilation: Sizes) -> Padding:
    if isinstance(padding, str):
        _checks.one_of(caller, "padding", padding, ("same", "valid"))
        if padding == "valid":
            return ((0, 0),) * len(kernel)
        if any(one != 1 for one in stride):
            raise _checks.ArgumentError(f"{caller}: padding 'same' requires stride 1, got {stride}")
        return same_padding(kernel, dilation)
    if isinstance(padding, Sequence) and any(isinstance(one, Sequence) for one in padding):
        if len(padding) != len(kernel):
            wanted = "((top, bottom), (left, right))" if len(kernel) == 2 else "((before, after),)"
            raise _checks.ArgumentError(f"{caller}: padding must be {wanted}, got {padding!r}")
        return tuple(_checks.pair(caller, "padding", one, 0) for one in padding)
    return tuple((one, one) for one in _checks.tuple_of(caller, "padding", padding, len(kernel), 0))


def _product(sizes: Sequence[int]) -> str:
    return "x".join(map(str, sizes))
