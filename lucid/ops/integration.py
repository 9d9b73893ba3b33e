"""Integrals along a dimension."""

from typing import Any

import mlx.core as mx

from lucid import _checks
from lucid.ops._common import array, at_least_1d, compact_if_empty, total
from lucid.ops._types import TensorLike
from lucid.ops.scan import along
from lucid.tape import op

__all__ = ["cumulative_trapezoid", "trapezoid", "trapz"]


def _areas(caller: str, y: Any, x: Any, dx: Any, dim: Any) -> tuple[mx.array, int]:
    """The areas of the trapezoids between neighbors."""
    heights = array(caller, y, "y")
    axis = _checks.dim(caller, dim, heights.ndim)
    if heights.dtype == mx.bool_:
        raise _checks.DtypeError(f"{caller}: y must not be bool")
    if x is not None and (isinstance(dx, mx.array) or dx != 1):
        raise TypeError(f"{caller}: x and dx are mutually exclusive")
    heights = at_least_1d(heights)
    sums = heights[along(axis, 1, None)] + heights[along(axis, None, -1)]
    if x is None:
        width: Any = dx if isinstance(dx, int | mx.array) else _checks.number(caller, "dx", dx)
        return sums * width / 2, axis
    points = array(caller, x, "x")
    if points.dtype == mx.bool_:
        raise _checks.DtypeError(f"{caller}: x must not be bool")
    if points.ndim == 1:
        if points.shape[0] != heights.shape[axis]:
            raise _checks.ArgumentError(f"{caller}: x must have {heights.shape[axis]} points, got {points.shape[0]}")
        points = points.reshape([-1 if d == axis else 1 for d in range(heights.ndim)])
    else:
        points = points.reshape((1,) * (heights.ndim - points.ndim) + points.shape)
    steps = points[along(axis, 1, None)] - points[along(axis, None, -1)]
    _checks.broadcast_shapes(caller, steps.shape, sums.shape)
    return sums * steps / 2, axis


@op
def trapezoid(y: TensorLike, x: TensorLike = None, *, dx: Any = 1, dim: int = -1) -> mx.array:
    """The integral of ``y`` along ``dim`` by the trapezoidal rule, at points ``x`` or with distances ``dx`` (1).

    Example:
        >>> lucid.trapezoid(lucid.tensor([1.0, 3.0, 5.0])).item()
        6.0
    """
    areas, axis = _areas("trapezoid", y, x, dx, dim)
    return total(compact_if_empty(areas), axis)


@op
def cumulative_trapezoid(y: TensorLike, x: TensorLike = None, *, dx: Any = 1, dim: int = -1) -> mx.array:
    """The cumulative integral of ``y`` along ``dim`` by the trapezoidal rule, see ``trapezoid``."""
    areas, axis = _areas("cumulative_trapezoid", y, x, dx, dim)
    return mx.cumsum(areas, axis)


trapz = trapezoid
