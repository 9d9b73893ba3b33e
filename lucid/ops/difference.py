"""Differences and derivatives along a dimension."""

from typing import Any

import mlx.core as mx

from lucid import _checks
from lucid.ops._common import FLOATING, any_op, array, floating, promoted
from lucid.ops._types import TensorLike
from lucid.ops.scan import along
from lucid.tape import op

__all__ = ["diff", "gradient"]


@op
def diff(
    input: TensorLike, n: int = 1, dim: int = -1, prepend: TensorLike = None, append: TensorLike = None, *,
    out: None = None,
) -> mx.array:  # fmt: skip
    """The ``n``-th differences of neighbors along ``dim``; of bools, where they differ.

    ``prepend`` and ``append`` are joined to ``input`` first.

    Example:
        >>> lucid.diff(lucid.tensor([1, 4, 9])).tolist()
        [3, 5]
    """
    x = array("diff", input)
    n = _checks.integer("diff", "n", n, 0)
    if x.ndim == 0:
        raise _checks.ArgumentError("diff: input must have at least 1 dimension, got a 0-d tensor")
    axis = _checks.dim("diff", dim, x.ndim)
    ends = [None if one is None else array("diff", one, "prepend and append") for one in (prepend, append)]
    for one in ends:
        if one is not None and (one.ndim != x.ndim or _without(one.shape, axis) != _without(x.shape, axis)):
            raise _checks.ArgumentError(
                f"diff: prepend and append must have shape {x.shape} of input except in dim {dim}, got {one.shape}"
            )
    parts = [one for one in (ends[0], x, ends[1]) if one is not None]
    x = mx.concatenate(promoted(*parts), axis) if n else x
    for _ in range(min(n, x.shape[axis])):
        before, after = x[along(axis, None, -1)], x[along(axis, 1, None)]
        x = before != after if x.dtype == mx.bool_ else after - before
    return x


def _without(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return shape[:axis] + shape[axis + 1 :]


@any_op
def gradient(input: TensorLike, *, spacing: Any = 1, dim: Any = None, edge_order: int = 1) -> Any:
    """The derivative along each of ``dim``, by default all, from second-order differences of the neighbors.

    Args:
        spacing: The distance of neighbors, or a list with one for each dimension; or a list of vectors of coordinates.
        dim: One dimension or several.
        edge_order: The order of the differences at the edges, 1 or 2.

    Returns:
        A tuple with a tensor for each dimension.

    Example:
        >>> [one.tolist() for one in lucid.gradient(lucid.tensor([1.0, 4.0, 9.0]))]
        [[3.0, 4.0, 5.0]]
    """
    x = array("gradient", input)
    axes = _checks.dims("gradient", dim, x.ndim)
    order = _checks.integer("gradient", "edge_order", edge_order)
    if order not in (1, 2):
        raise _checks.ArgumentError(f"gradient: edge_order must be 1 or 2, got {order}")
    if x.dtype not in FLOATING and x.dtype in (mx.uint8, mx.bool_):
        raise _checks.DtypeError(f"gradient: {_checks.dtype_name(x.dtype)} is not supported")
    spacing = 1 if spacing is None else spacing
    listed = list(spacing) if isinstance(spacing, list | tuple) else [spacing] * len(axes)
    if len(listed) != len(axes):
        raise _checks.ArgumentError(
            f"gradient: spacing must have an entry for each of {len(axes)} dims, got {len(listed)}"
        )
    return tuple([_gradient(x, axis, one, order) for axis, one in zip(axes, listed, strict=True)])


def _gradient(x: mx.array, axis: int, spacing: Any, order: int) -> mx.array:
    size = x.shape[axis]
    if size <= order:
        raise _checks.ArgumentError(
            f"gradient: each dimension must have more than edge_order {order} values, got {size}"
        )
    x = floating("gradient", x)
    shape = [-1 if d == axis else 1 for d in range(x.ndim)]
    if isinstance(spacing, mx.array) and spacing.ndim:
        if spacing.shape != (size,):
            raise _checks.ArgumentError(f"gradient: {size} coordinates are needed, got shape {spacing.shape}")
        steps = (spacing[1:] - spacing[:-1]).astype(x.dtype)
    else:
        step = spacing if isinstance(spacing, mx.array) else _checks.number("gradient", "spacing", spacing)
        steps = mx.broadcast_to(mx.array(step, x.dtype), (size - 1,))
    slopes = (x[along(axis, 1, None)] - x[along(axis, None, -1)]) / steps.reshape(shape)
    left, right = steps[:-1].reshape(shape), steps[1:].reshape(shape)
    before, after = slopes[along(axis, None, -1)], slopes[along(axis, 1, None)]
    inner = (before * right + after * left) / (left + right)
    first, last = slopes[along(axis, None, 1)], slopes[along(axis, -1, None)]
    if order == 2:
        first = first + (first - slopes[along(axis, 1, 2)]) * steps[0] / (steps[0] + steps[1])
        last = last + (last - slopes[along(axis, -2, -1)]) * steps[-1] / (steps[-1] + steps[-2])
    return mx.concatenate([first, inner, last], axis)
