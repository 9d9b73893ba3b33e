"""Covariances, the most frequent value, and histograms."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import mlx.core as mx

from lucid import _checks
from lucid.ops._common import (
    LOW_PRECISION,
    ValuesAndIndices,
    any_op,
    array,
    at_least_1d,
    floating,
    index_array,
    real_numbers,
    select_op,
    total,
)
from lucid.ops._types import TensorLike
from lucid.ops.sorting import insertion_points
from lucid.tape import op

__all__ = ["corrcoef", "cov", "histc", "histogram", "histogramdd", "mode"]


def _weights(name: str, value: Any, count: int) -> mx.array:
    found = index_array("cov", value, name) if name == "fweights" else real_numbers("cov", value, name)
    if found.shape != (count,):
        raise _checks.ArgumentError(f"cov: {name} must have one value per observation, {count}, got {found.shape}")
    return found


def _cov(caller: str, x: mx.array, correction: int, fweights: Any, aweights: Any) -> mx.array:
    if x.ndim > 2 or x.dtype == mx.bool_:
        raise _checks.ArgumentError(
            f"{caller}: input must have at most 2 dimensions and hold numbers, got {_checks.dtype_name(x.dtype)} of "
            f"shape {x.shape}"
        )
    x = floating(caller, x)
    x = x.reshape(1, -1) if x.ndim < 2 else x
    given = [
        _weights(*one, x.shape[1]) for one in (("fweights", fweights), ("aweights", aweights)) if one[1] is not None
    ]
    weight = math.prod(given[1:], start=given[0]) if given else None
    count: Any = x.shape[1] if weight is None else total(weight)
    factor: Any = count - correction
    if aweights is not None and weight is not None and correction:
        factor = count - correction * total(weight * given[-1]) / count
    weighted = x if weight is None else x * weight
    mean = total(weighted, 1, True) / count
    centered = x - mean
    right = centered if weight is None else centered * weight
    right = mx.conj(right) if x.dtype == mx.complex64 else right
    if weight is None:
        factor = max(factor, 0)
    found = mx.matmul(centered, right.T) if x.shape[1] else mx.zeros((x.shape[0],) * 2, x.dtype)
    divisor = mx.maximum(mx.array(factor, mx.float32) if weight is None else factor, 0)
    return mx.squeeze((found / divisor).astype(mx.result_type(found, x)))


@op
def cov(
    input: TensorLike, *, correction: int = 1, fweights: TensorLike = None, aweights: TensorLike = None
) -> mx.array:
    """The covariances of the rows of ``input``, whose columns are observations.

    Shapes: input (variables, observations), out (variables, variables); a vector is one variable, and gives its
    variance.

    Args:
        correction: What is subtracted from the number of observations that the sums are divided by.
        fweights: How often each observation counts, integers.
        aweights: The importance of each observation.

    Raises:
        ValueError: ``input`` has more than 2 dimensions, or the weights do not fit.

    Example:
        >>> lucid.cov(lucid.tensor([[0.0, 2.0], [2.0, 0.0]])).tolist()
        [[2.0, -2.0], [-2.0, 2.0]]
    """
    return _cov("cov", array("cov", input), _checks.integer("cov", "correction", correction), fweights, aweights)


@op
def corrcoef(input: TensorLike) -> mx.array:
    """The correlations of the rows of ``input``, whose columns are observations; see ``cov``.

    Raises:
        ValueError: ``input`` has more than 2 dimensions.
    """
    found = _cov("corrcoef", array("corrcoef", input), 1, None, None)
    if not found.ndim:
        return found / found
    deviation = mx.sqrt(mx.real(mx.diagonal(found)) if found.dtype == mx.complex64 else mx.diagonal(found))
    found = found / deviation[:, None] / deviation
    if found.dtype == mx.complex64:
        return mx.clip(mx.real(found), -1, 1) + 1j * mx.clip(mx.imag(found), -1, 1)
    return mx.clip(found, -1, 1)


@select_op
def mode(input: TensorLike, dim: int = -1, keepdim: bool = False, *, out: None = None) -> ValuesAndIndices:
    """The most frequent value along ``dim`` and its last index, as (values, indices); of equally frequent the smallest.

    Raises:
        IndexError: the dimension does not exist, or is empty.
    """
    x = array("mode", input)
    if x.dtype == mx.complex64:
        raise _checks.DtypeError("mode: complex64 is not supported")
    kept = _checks.flag("mode", "keepdim", keepdim)
    scalar, x = not x.ndim, at_least_1d(x)
    axis = _checks.dim("mode", dim, x.ndim)
    size = x.shape[axis]
    if not size:
        raise _checks.EmptyError(f"mode: dim {dim} of shape {x.shape} is empty")
    rows = mx.moveaxis(x, axis, -1)
    if x.size:
        order = mx.argsort(mx.stop_gradient(rows), -1)
        values = mx.take_along_axis(mx.stop_gradient(rows), order, -1)
        changes = values[..., 1:] != values[..., :-1]
        true, places = mx.ones((*rows.shape[:-1], 1), mx.bool_), mx.arange(size)
        first = mx.cummax(mx.where(mx.concatenate([true, changes], -1), places, 0), axis=-1)
        length = mx.where(mx.concatenate([changes, true], -1), places - first + 1, 0)
        at = mx.take_along_axis(order, mx.argmax(length, -1, keepdims=True), -1)
        found = mx.take_along_axis(rows, at, -1)
    else:
        found, at = rows[..., :1], mx.zeros((*rows.shape[:-1], 1), mx.int64)
    if kept and not scalar:
        found, at = mx.moveaxis(found, -1, axis), mx.moveaxis(at, -1, axis)
    else:
        found, at = mx.squeeze(found, -1), mx.squeeze(at, -1)
    return ValuesAndIndices(found, at.astype(mx.int64))


class HistogramAndEdges(NamedTuple):
    """A histogram and the edges of its bins."""

    hist: Any
    bin_edges: Any


def _values(caller: str, input: Any) -> mx.array:
    x = mx.stop_gradient(real_numbers(caller, input))
    if x.dtype in LOW_PRECISION:
        raise _checks.DtypeError(f"{caller}: input must be float32 or float64, got {_checks.dtype_name(x.dtype)}")
    return x


def _limits(caller: str, x: mx.array, low: float, high: float, given: bool, apart: float) -> tuple[mx.array, mx.array]:
    """The limits, unless ``given`` those of the data, and ``apart`` from their middle if they are equal."""
    if low > high or not (math.isfinite(low) and math.isfinite(high)):
        raise _checks.ArgumentError(
            f"{caller}: the range must be finite, and max not less than min, got [{low}, {high}]"
        )
    first, last = mx.array(low, x.dtype), mx.array(high, x.dtype)
    if not given and x.size:
        first, last = mx.min(x), mx.max(x)
    equal = first == last
    return mx.where(equal, first - apart, first), mx.where(equal, last + apart, last)


@op
def histc(input: TensorLike, bins: int = 100, min: float = 0, max: float = 0, *, out: None = None) -> mx.array:
    """How many values are in each of ``bins`` intervals of equal width from ``min`` to ``max``, in the input's dtype.

    If both are equal, the limits are the smallest and largest value. Values outside of the limits do not count.

    Raises:
        ValueError: ``bins`` is not positive, or ``min`` exceeds ``max``.

    Example:
        >>> lucid.histc(lucid.tensor([1.0, 2.0, 1.0]), bins=4, min=0, max=3).tolist()
        [0.0, 2.0, 1.0, 0.0]
    """
    x = mx.stop_gradient(real_numbers("histc", input)).reshape(-1)
    count = _checks.integer("histc", "bins", bins, 1)
    first, last = _checks.number("histc", "min", min), _checks.number("histc", "max", max)
    low, high = _limits("histc", x, first, last, first != last, 1)
    if not x.size:
        return mx.zeros(count, x.dtype)
    inside = (x >= low) & (x <= high)
    at = mx.where(inside, (x - low) * count / (high - low), 0).astype(mx.int32)
    return mx.zeros(count, x.dtype).at[mx.minimum(at, count - 1)].add(inside.astype(x.dtype))


def _edges(caller: str, x: mx.array, bins: Any, limits: Any) -> mx.array:
    """The edges of the bins of one dimension: given, or equally spaced."""
    if isinstance(bins, mx.array):
        _checks.rank(caller, "bins", bins.shape, 1)
        if bins.dtype != x.dtype or bins.size < 2:
            raise _checks.ArgumentError(f"{caller}: bins must hold at least 2 edges in the dtype of input")
        return mx.stop_gradient(bins)
    count = _checks.integer(caller, "bins", bins, 1)
    first, last = (_checks.number(caller, "range", one) for one in limits or (0, 1))
    low, high = _limits(caller, x, first, last, limits is not None, 0.5)
    step = (high - low) / count
    places = mx.arange(count + 1).astype(x.dtype)
    return mx.where(places < (count + 1) // 2, low + places * step, high - (count - places) * step)


def _histogram(
    caller: str, x: mx.array, edges: list[mx.array], weight: Any, density: bool
) -> mx.array:  # x (values, dimensions)
    amounts = mx.ones(x.shape[0], x.dtype)
    if weight is not None:
        amounts = mx.stop_gradient(array(caller, weight, "weight")).reshape(-1)
        if amounts.shape != amounts.shape[:1] or amounts.size != x.shape[0] or amounts.dtype != x.dtype:
            raise _checks.ArgumentError(f"{caller}: weight must have a value per value of input, in its dtype")
    shape = [one.size - 1 for one in edges]
    at, inside = mx.zeros(x.shape[0], mx.int32), mx.ones(x.shape[0], mx.bool_)
    for i, one in enumerate(edges):
        column = x[:, i]
        within = (column >= one[0]) & (column <= one[-1])
        place = mx.clip(insertion_points(one, column, True) - 1, 0, shape[i] - 1)
        at, inside = at * shape[i] + place, inside & within
    found = mx.zeros(math.prod(shape), x.dtype)
    if x.shape[0]:
        found = found.at[at].add(mx.where(inside, amounts, 0))
    found = found.reshape(shape)
    if _checks.flag(caller, "density", density):
        found = found / total(found)
        for i, one in enumerate(edges):
            found = found / (one[1:] - one[:-1]).reshape([-1 if d == i else 1 for d in range(len(edges))])
    return found


@any_op
def histogram(
    input: TensorLike, bins: Any, *, range: Sequence[float] | None = None, weight: TensorLike = None,
    density: bool = False, out: None = None,
) -> Any:  # fmt: skip
    """The histogram of all values and the edges of its bins, as (hist, bin_edges).

    Args:
        bins: The number of bins of equal width, or a tensor of sorted edges.
        range: The lowest and the highest edge; those of the values by default.
        weight: How much each value counts, in the shape of ``input``.
        density: Whether to divide so that the integral is 1.

    Raises:
        ValueError: the bins, range or weights do not fit.
    """
    x = _values("histogram", input).reshape(-1)
    if range is not None and len(tuple(range)) != 2:
        raise _checks.ArgumentError(f"histogram: range must have 2 values, got {range!r}")
    edges = _edges("histogram", x, bins, range)
    return HistogramAndEdges(_histogram("histogram", x[:, None], [edges], weight, density), edges)


def histogramdd(
    input: TensorLike, bins: Any, *, range: Sequence[float] | None = None, weight: TensorLike = None,
    density: bool = False,
) -> Any:  # fmt: skip
    """The histogram of vectors and the edges along each dimension, as (hist, bin_edges).

    Shapes: input (..., dimensions), hist one size per dimension.

    Args:
        bins: A number of bins, one per dimension, or a tensor of sorted edges per dimension.
        range: The lowest and highest edge of each dimension, one after the other.
        weight: How much each vector counts.
        density: Whether to divide so that the integral is 1.

    Raises:
        ValueError: the bins, range or weights do not fit.
    """
    hist, *edges = _histogramdd(input, bins, range, weight, density)
    return HistogramAndEdges(hist, tuple(edges))


@any_op
def _histogramdd(input: TensorLike, bins: Any, range: Any, weight: TensorLike, density: bool) -> Any:
    where = "histogramdd"
    x = _values(where, input)
    if x.ndim < 2:
        raise _checks.ArgumentError(f"{where}: input must have at least 2 dimensions, got shape {x.shape}")
    x = x.reshape(-1, x.shape[-1])
    wanted = list(bins) if isinstance(bins, Sequence) else [bins] * x.shape[1]
    limits = None if range is None else list(range)
    if len(wanted) != x.shape[1] or (limits is not None and len(limits) != 2 * x.shape[1]):
        raise _checks.ArgumentError(f"{where}: bins and range must be given for {x.shape[1]} dimensions")
    edges = [_edges(where, x[:, i], one, limits and limits[2 * i : 2 * i + 2]) for i, one in enumerate(wanted)]
    return (_histogram(where, x, edges, weight, density), *edges)
