"""The fractional max pooling functions of ``lucid.nn.functional``: they draw the positions of the windows."""

from typing import Any

from lucid import _checks, random
from lucid._tensor_convert import as_array
from lucid.ops import unpooling
from lucid.ops._types import TensorLike
from lucid.ops.pooling import Ints

__all__ = ["fractional_max_pool2d", "fractional_max_pool3d"]


def fractional_max_pool2d(
    input: TensorLike, kernel_size: Ints, output_size: Ints | None = None, output_ratio: Any = None,
    return_indices: bool = False, _random_samples: TensorLike = None,
) -> Any:  # fmt: skip
    """The maximum of windows of images at random positions that give a result of a chosen size.

    Shapes: input (N, C, H, W) or (C, H, W). Source: Graham 2014, arXiv:1412.6071.

    Args:
        output_size: The size of the result; either this or ``output_ratio`` is required.
        output_ratio: The size of the result relative to that of the input, one number or one per dimension.
        return_indices: Whether to return the values and their positions in the image, row * W + column.
        _random_samples: Numbers in [0, 1) of shape (N, C, 2) that determine the positions, drawn by default.

    Raises:
        ValueError: neither size nor ratio is given, or the result is too large.

    Example:
        >>> F.fractional_max_pool2d(lucid.randn(2, 3, 9, 9), 2, output_size=5).shape
        (2, 3, 5, 5)
    """
    return _fractional(2, input, kernel_size, output_size, output_ratio, return_indices, _random_samples)


def fractional_max_pool3d(
    input: TensorLike, kernel_size: Ints, output_size: Ints | None = None, output_ratio: Any = None,
    return_indices: bool = False, _random_samples: TensorLike = None,
) -> Any:  # fmt: skip
    """The maximum of windows of volumes (N, C, D, H, W) at random positions; see ``fractional_max_pool2d``.

    Raises:
        ValueError: neither size nor ratio is given, or the result is too large.
    """
    return _fractional(3, input, kernel_size, output_size, output_ratio, return_indices, _random_samples)


def _fractional(
    dims: int, input: TensorLike, kernel_size: Any, output_size: Any, output_ratio: Any, return_indices: bool,
    samples: Any,
) -> Any:  # fmt: skip
    caller = f"fractional_max_pool{dims}d"
    shape = as_array(input).shape
    _checks.rank(caller, "input", shape, (dims + 1, dims + 2))
    if output_size is None:
        if output_ratio is None:
            raise ValueError(f"{caller}: pass either output_size or output_ratio")
        ratios = tuple(output_ratio) if isinstance(output_ratio, tuple | list) else (output_ratio,) * dims
        if len(ratios) != dims:
            raise ValueError(f"{caller}: output_ratio must be one number or {dims} numbers, got {output_ratio!r}")
        numbers = [_checks.number(caller, "output_ratio", one, 0, 1, above=True) for one in ratios]
        output_size = tuple(int(size * ratio) for size, ratio in zip(shape[-dims:], numbers, strict=True))
    if samples is None:
        samples = random.rand(shape[0] if len(shape) == dims + 2 else 1, shape[-dims - 1], dims)
    return unpooling.fractional_max_pool(input, kernel_size, output_size, return_indices, samples, dims)
