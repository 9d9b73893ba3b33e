"""Quantiles."""

from typing import Any

import mlx.core as mx

from lucid import _bounds, _checks
from lucid._checks import flag
from lucid.ops._common import array, at_least_1d, total
from lucid.ops._types import TensorLike
from lucid.tape import op

__all__ = ["nanquantile", "quantile"]

_METHODS = ("linear", "lower", "higher", "nearest", "midpoint")


@op(autocast="float32")
def quantile(
    input: TensorLike, q: TensorLike, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear",
    out: None = None,
) -> mx.array:  # fmt: skip
    """The ``q``-quantiles of the values along ``dim``, or of all; NaN if one of them is NaN.

    Args:
        q: A number in [0, 1], or a vector of them, whose dimension comes first in the result.
        interpolation: What to take between two values: "linear", "lower", "higher", "nearest" or "midpoint".

    Example:
        >>> lucid.quantile(lucid.tensor([0.0, 1.0, 4.0]), 0.75).item()
        2.5
    """
    return _quantile("quantile", input, q, dim, keepdim, interpolation, False)


@op(autocast="float32")
def nanquantile(
    input: TensorLike, q: TensorLike, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear",
    out: None = None,
) -> mx.array:  # fmt: skip
    """``quantile`` of the values that are not NaN."""
    return _quantile("nanquantile", input, q, dim, keepdim, interpolation, True)


def _quantile(caller: str, input: Any, q: Any, dim: Any, keepdim: Any, method: str, ignores: bool) -> mx.array:
    x = array(caller, input)
    if x.dtype not in (mx.float32, mx.float64):
        raise _checks.DtypeError(f"{caller}: input must be float32 or float64, got {_checks.dtype_name(x.dtype)}")
    _checks.one_of(caller, "interpolation", method, _METHODS)
    keep = flag(caller, "keepdim", keepdim)
    if not isinstance(q, mx.array):
        _checks.number(caller, "q", q, 0, 1)
        q = mx.array(q, x.dtype)
    if q.dtype != x.dtype or q.ndim > 1:
        raise _checks.ArgumentError(
            f"{caller}: q must be a number or a vector of {_checks.dtype_name(x.dtype)}, got shape {q.shape} of "
            f"{_checks.dtype_name(q.dtype)}"
        )
    if (wrong := _bounds.first_value(caller, q, lambda values: ~((values >= 0) & (values <= 1)))) is not None:
        raise _checks.ArgumentError(f"{caller}: q must be at least 0 and at most 1, got {wrong}")
    kept: tuple[int, ...] = (1,) * x.ndim
    if dim is None:
        rows = x.reshape(-1)
    else:
        axis = _checks.dim(caller, dim, x.ndim)
        rows = mx.moveaxis(at_least_1d(x), axis, -1)
        kept = (*x.shape[:axis], 1, *x.shape[axis + 1 :]) if x.ndim else ()
    if not rows.shape[-1]:
        raise _checks.ArgumentError(f"{caller}: input must not be empty, got shape {x.shape}")
    found = _sorted_at(rows, q.reshape(-1), method, ignores)  # (..., number of quantiles)
    found = mx.moveaxis(found, -1, 0)
    shape = found.shape[1:]
    if keep:
        shape = kept
    return found.reshape((*q.shape, *shape))


def _sorted_at(x: mx.array, q: mx.array, method: str, ignores: bool) -> mx.array:
    """The quantiles of the last dimension: x (..., n), q (k,), out (..., k)."""
    order = mx.argsort(mx.stop_gradient(x), -1) if x.size else mx.zeros(x.shape, mx.uint32)
    values = mx.take_along_axis(x, order, -1) if x.size else x
    is_number = ~mx.isnan(mx.stop_gradient(x))
    numbers = total(is_number.astype(x.dtype), -1, True)  # (..., 1)
    rank = (
        q * mx.maximum(numbers - 1, 0) if ignores else mx.broadcast_to(q * (x.shape[-1] - 1), (*x.shape[:-1], q.size))
    )
    if not ignores:  # NaN are sorted last
        rank = mx.where(numbers < x.shape[-1], x.shape[-1] - 1, rank)
    fixed = mx.stop_gradient(rank)
    if method == "nearest":
        fixed = rank = mx.round(fixed)
    below, above = mx.floor(fixed), mx.ceil(fixed)
    if method in ("lower", "nearest"):
        above = below
    elif method == "higher":
        below = above
    low, high = (mx.take_along_axis(values, one.astype(mx.int32), -1) for one in (below, above))
    if method in ("lower", "higher", "nearest"):
        return low
    weight = mx.full(rank.shape, mx.array(0.5, x.dtype)) if method == "midpoint" else rank - below
    same = below == above
    between = low + weight * (high - low)
    return mx.where(same, low, between) if method == "midpoint" else mx.where(low == high, low, between)
