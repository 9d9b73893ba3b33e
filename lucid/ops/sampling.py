"""Sample images at arbitrary positions: grid_sample and affine_grid."""

import itertools
import math
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import mlx.core as mx
import numpy as np

from lucid import _checks
from lucid.ops._common import real_numbers, reversed_along
from lucid.ops._types import TensorLike
from lucid.ops.resize import cubic_weights
from lucid.tape import op

if TYPE_CHECKING:
    from lucid._tensor import Tensor

__all__ = ["affine_grid", "grid_sample"]

_MODES = ("bilinear", "nearest", "bicubic")
_PADDINGS = ("zeros", "border", "reflection")


def grid_sample(
    input: TensorLike, grid: TensorLike, mode: str = "bilinear", padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> "Tensor":  # fmt: skip
    """The values of images at the positions ``grid``, in which -1 and 1 are the edges of the image.

    Shapes: input (N, C, H, W), grid (N, H', W', 2) with pairs (x, y), out (N, C, H', W'); or input (N, C, D, H, W),
    grid (N, D', H', W', 3), out (N, C, D', H', W').

    Args:
        mode: "bilinear" (trilinear for volumes), "nearest" or, for images, "bicubic".
        padding_mode: What is outside: "zeros", "border" for the nearest pixel, or "reflection".
        align_corners: Whether -1 and 1 are the centers of the corner pixels, instead of their outer edges. The default
            is False, with a warning, because it was True before PyTorch 1.3.

    Raises:
        ValueError: a mode is unknown, or the shapes or dtypes do not match.

    Example:
        >>> image = lucid.tensor([[[[0.0, 1.0], [2.0, 3.0]]]])
        >>> F.grid_sample(image, lucid.zeros(1, 1, 1, 2), align_corners=False).tolist()
        [[[[1.5]]]]
    """
    for name, value, choices in (("mode", mode, _MODES), ("padding_mode", padding_mode, _PADDINGS)):
        if value not in choices:
            raise ValueError(f"grid_sample: {name} must be one of {', '.join(choices)}, got {value!r}")
    return _sampled(input, grid, mode, padding_mode, _corners("grid_sample", align_corners))


def _corners(caller: str, align_corners: bool | None) -> bool:
    if align_corners is None:
        warnings.warn(
            f"{caller}: align_corners is False by default since PyTorch 1.3; pass it to silence this warning",
            stacklevel=_checks.level_of_user(),
        )
        return False
    return _checks.flag(caller, "align_corners", align_corners)


@op(autocast="float32")
def _sampled(input: TensorLike, grid: TensorLike, mode: str, padding_mode: str, align_corners: bool) -> mx.array:
    where = "grid_sample"
    x, grid = real_numbers(where, input), real_numbers(where, grid, "grid")
    _checks.rank(where, "input", x.shape, (4, 5), "(N, C, H, W)")
    n, c, *size = x.shape
    if grid.ndim != x.ndim or grid.shape[0] != n or grid.shape[-1] != len(size):
        wanted = f"({n}, {', '.join(('D', 'H', 'W')[-len(size) :])}, {len(size)})"
        raise _checks.ArgumentError(f"{where}: grid must have shape {wanted} for input {x.shape}, got {grid.shape}")
    if x.dtype != grid.dtype:
        given = f"{_checks.dtype_name(x.dtype)} and {_checks.dtype_name(grid.dtype)}"
        raise _checks.DtypeError(f"{where}: input and grid must have the same dtype, got {given}")
    if 0 in size or not c:
        raise _checks.ArgumentError(f"{where}: only the batch may be empty, got shape {x.shape}")
    if mode == "bicubic" and len(size) != 2:
        raise _checks.ArgumentError(f"{where}: mode 'bicubic' is for images (N, C, H, W), got shape {x.shape}")
    out = grid.shape[1:-1]
    if not grid.size:
        return mx.zeros((n, c, *out), x.dtype)
    wide = grid if grid.dtype == mx.float64 else grid.astype(mx.float32)
    places = reversed_along(wide.reshape(n, -1, len(size)), 2)  # (N, P, D) in the order of the dimensions
    at = [
        ((places[..., i] + 1) * (s - 1) / 2) if align_corners else ((places[..., i] + 1) * s - 1) / 2
        for i, s in enumerate(size)
    ]
    pad = _padding(padding_mode, align_corners)
    if mode != "bicubic":  # which pads the pixels instead
        at = [pad(one, s) for one, s in zip(at, size, strict=True)]
    taps = [_taps(one, mode) for one in at]
    # Pixels are rows of channels; those outside have no weight.
    rows = mx.moveaxis(x, 1, -1).reshape(-1, c).astype(wide.dtype)
    first = mx.arange(n)[:, None] * math.prod(size)
    y: Any = None
    for corner in itertools.product(*taps):
        position, weight = first, mx.ones((), wide.dtype)
        for (pixel, part), s, step in zip(corner, size, _steps(size), strict=True):
            if mode == "bicubic":
                pixel = pad(pixel, s)
            inside = (pixel >= 0) & (pixel <= s - 1)
            position = position + mx.where(inside, pixel, 0).astype(mx.int32) * step
            weight = weight * mx.where(inside, part, 0)
        value = mx.take(rows, position, 0) * weight[..., None]
        y = value if y is None else y + value
    return mx.moveaxis(y.reshape(n, *out, c), -1, 1).astype(x.dtype)


def _steps(size: Sequence[int]) -> list[int]:
    return [math.prod(size[i + 1 :]) for i in range(len(size))]


def _taps(at: mx.array, mode: str) -> list[tuple[mx.array, mx.array]]:
    """The pixels along one dimension that a position depends on, and their weights."""
    if mode == "nearest":
        return [(mx.stop_gradient(mx.round(at)), mx.ones_like(at))]
    low = mx.stop_gradient(mx.floor(at))
    part = at - low
    if mode == "bilinear":
        return [(low, 1 - part), (low + 1, part)]
    return [(low + offset, weight) for offset, weight in cubic_weights(part).items()]


def _padding(mode: str, align_corners: bool) -> Callable[[mx.array, int], mx.array]:
    """A function that maps positions outside of a dimension of a given size to positions inside."""

    def border(at: mx.array, size: int) -> mx.array:
        return mx.minimum(mx.maximum(at, mx.array(0, at.dtype)), mx.array(size - 1, at.dtype))

    def reflection(at: mx.array, size: int) -> mx.array:
        low, span = (0.0, size - 1) if align_corners else (-0.5, size)
        if not span:
            return mx.zeros_like(at)
        distance = mx.abs(at - low)
        flips = mx.stop_gradient(mx.floor(distance / span))
        rest = distance - flips * span
        return border(mx.where(flips % 2 == 0, rest, span - rest) + low, size)

    return {"zeros": lambda at, size: at, "border": border, "reflection": reflection}[mode]


def affine_grid(theta: TensorLike, size: Any, align_corners: bool | None = None) -> "Tensor":
    """The grid for ``grid_sample`` that transforms images by affine matrices.

    Shapes: theta (N, 2, 3), size (N, C, H, W), out (N, H, W, 2); or theta (N, 3, 4), size (N, C, D, H, W), out (N, D,
    H, W, 3).

    Args:
        align_corners: As in ``grid_sample``.

    Raises:
        ValueError: ``size`` is not positive, or does not fit ``theta``.

    Example:
        >>> same = lucid.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
        >>> F.affine_grid(same, (1, 1, 1, 2), align_corners=False).tolist()
        [[[[-0.5, 0.0], [0.5, 0.0]]]]
    """
    where = "affine_grid"
    listed = size.tolist() if hasattr(size, "tolist") else size
    if not isinstance(listed, tuple | list):
        raise TypeError(f"{where}: size must be a tuple of integers, got {size!r:.60}")
    sizes = tuple(_checks.integer(where, "size", one) for one in listed)
    if len(sizes) not in (4, 5):
        raise NotImplementedError(f"{where}: size must be (N, C, H, W) or (N, C, D, H, W), got {sizes}")
    if min(sizes) <= 0:
        raise ValueError(f"{where}: size must be positive, got {sizes}")
    return _affine_grid(theta, _checks.representable(where, sizes), _corners(where, align_corners))


@op(autocast="float32")
def _affine_grid(theta: TensorLike, size: tuple[int, ...], align_corners: bool) -> mx.array:
    theta = real_numbers("affine_grid", theta, "theta")
    n, _, *space = size
    wanted = (n, len(space), len(space) + 1)
    if theta.shape != wanted:
        raise ValueError(f"affine_grid: theta must have shape {wanted} for size {size}, got {theta.shape}")
    lines = [np.linspace(-1, 1, s) * (1 if align_corners else (s - 1) / s) if s > 1 else np.zeros(1) for s in space]
    grid = np.meshgrid(*lines, indexing="ij")
    wide = theta if theta.dtype == mx.float64 else theta.astype(mx.float32)
    base = mx.array(np.stack([*reversed(grid), np.ones_like(grid[0])], -1).reshape(-1, len(space) + 1), wide.dtype)
    return (base @ mx.swapaxes(wide, 1, 2)).reshape(n, *space, len(space)).astype(theta.dtype)
