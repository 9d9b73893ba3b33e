"""Cumulative functions along a dimension."""

from collections.abc import Callable
from typing import Any

import mlx.core as mx

from lucid import _checks
from lucid.kernels import float64
from lucid.ops._common import (
    FLOATING,
    ValuesAndIndices,
    array,
    at_least_1d,
    select_op,
)
from lucid.ops._types import TensorLike
from lucid.tape import op

__all__ = ["cummax", "cummin", "logcumsumexp"]


def along(axis: int, start: int | None, stop: int | None) -> tuple[slice, ...]:
    """The index of ``[start:stop]`` along ``axis``."""
    return (slice(None),) * axis + (slice(start, stop),)


def _scanned(parts: list[mx.array], axis: int, combine: Callable[..., list[mx.array]]) -> list[mx.array]:
    """An inclusive scan in steps of 1, 2, 4, ...: ``combine(*earlier, *later)`` returns one array for each part."""
    step = 1
    while step < parts[0].shape[axis]:
        earlier = [one[along(axis, None, -step)] for one in parts]
        found = combine(*earlier, *[one[along(axis, step, None)] for one in parts])
        parts = [
            mx.concatenate([one[along(axis, None, step)], new], axis) for one, new in zip(parts, found, strict=True)
        ]
        step *= 2
    return parts


def _cumulative_extreme(caller: str, input: Any, dim: Any, is_better: Callable[..., mx.array]) -> ValuesAndIndices:
    x = array(caller, input)
    if x.dtype == mx.complex64:
        raise _checks.DtypeError(f"{caller}: complex64 is not supported")
    shape, x = x.shape, at_least_1d(x)
    axis = _checks.dim(caller, dim, x.ndim)
    fixed = mx.stop_gradient(x)
    numbers = mx.arange(x.shape[axis], dtype=mx.int64).reshape([-1 if d == axis else 1 for d in range(x.ndim)])
    index = mx.broadcast_to(numbers, x.shape)
    if not x.size:
        return ValuesAndIndices(x.reshape(shape), mx.zeros(shape, mx.int64))

    def combine(value: mx.array, at: mx.array, later: mx.array, later_at: mx.array) -> list[mx.array]:
        is_kept = is_better(value, later) | (mx.isnan(value) & ~mx.isnan(later))
        is_kept = is_kept & ~(mx.isnan(later) & ~mx.isnan(value))
        return [mx.where(is_kept, value, later), mx.where(is_kept, at, later_at)]

    _, index = _scanned([fixed, index], axis, combine)
    return ValuesAndIndices(mx.take_along_axis(x, index, axis).reshape(shape), index.reshape(shape))


@select_op
def cummax(input: TensorLike, dim: int, *, out: None = None) -> ValuesAndIndices:
    """The largest value so far along ``dim`` and the last index of it, as the named tuple (values, indices).

    Example:
        >>> values, indices = lucid.cummax(lucid.tensor([1.0, 3.0, 2.0, 3.0]), 0)
        >>> values.tolist(), indices.tolist()
        ([1.0, 3.0, 3.0, 3.0], [0, 1, 1, 3])
    """
    return _cumulative_extreme("cummax", input, dim, mx.greater)


@select_op
def cummin(input: TensorLike, dim: int, *, out: None = None) -> ValuesAndIndices:
    """The smallest value so far along ``dim`` and the last index of it, as the named tuple (values, indices)."""
    return _cumulative_extreme("cummin", input, dim, mx.less)


@op(autocast="float32")
def logcumsumexp(input: TensorLike, dim: int, *, out: None = None) -> mx.array:
    """``log(cumsum(exp(input)))`` along ``dim`` without overflow."""
    x = array("logcumsumexp", input)
    if x.dtype not in FLOATING:
        raise _checks.DtypeError(f"logcumsumexp: {_checks.dtype_name(x.dtype)} is not supported")
    shape, x = x.shape, at_least_1d(x)
    axis = _checks.dim("logcumsumexp", dim, x.ndim)
    found = _scanned([x], axis, lambda earlier, later: [_logaddexp(earlier, later)]) if x.size else [x]
    return found[0].reshape(shape)


def _logaddexp(x: mx.array, other: mx.array) -> mx.array:
    if x.dtype == mx.complex64:
        top = mx.maximum(mx.real(x), mx.real(other))
        return mx.log(mx.exp(x - top) + mx.exp(other - top)) + top
    none = (x == -mx.inf) & (other == -mx.inf)  # whose gradient would be NaN
    return mx.where(none, x, float64.logaddexp(mx.where(none, 0, x), mx.where(none, 0, other)))
