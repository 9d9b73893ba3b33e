"""Reductions: sums, extreme values, statistics and norms.

``dim`` is one dimension, several, or ``None`` for all; ``keepdim`` keeps them with size 1. Half precision is summed in
float32 and cast back.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import mlx.core as mx

from lucid import _checks
from lucid._checks import flag
from lucid.kernels import float64
from lucid.ops._common import (
    FLOATING,
    LOW_PRECISION,
    ValuesAndIndices,
    any_op,
    array,
    at_least_1d,
    average,
    averageable,
    axes,
    compact_if_empty,
    empty_reduction,
    floating,
    larger,
    select_op,
    smaller,
    varargs,
)
from lucid.ops._common import total as total_of
from lucid.ops._norms import check_nonempty, count, matrix_norm, power_norm, real_dtype, safe_sqrt
from lucid.ops._types import TensorLike
from lucid.tape import op

__all__ = [
    "all", "amax", "amin", "aminmax", "any", "argmax", "argmin", "count_nonzero", "cumprod", "cumsum", "kthvalue",
    "logsumexp", "max", "mean", "median", "min", "norm", "prod", "std", "std_mean", "sum", "var", "var_mean",
]  # fmt: skip

Dims = int | tuple[int, ...] | list[int] | None


class MinAndMax(NamedTuple):
    """The smallest and the largest value."""

    min: mx.array
    max: mx.array


def sum_operand(caller: str, x: Any, dtype: Any) -> tuple[mx.array, mx.Dtype]:
    """``x`` in the dtype to sum in, and the dtype of the result: ``dtype``, or int64 for integers."""
    x = compact_if_empty(array(caller, x))
    if dtype is not None:
        x = x.astype(_checks.dtype(caller, dtype))
    if x.dtype in LOW_PRECISION:
        return x.astype(mx.float32), x.dtype
    wide = x if x.dtype in FLOATING or x.dtype == mx.uint64 else x.astype(mx.int64)
    return wide, wide.dtype if dtype is None else x.dtype


@op(autocast="float32")
def sum(input: TensorLike, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None, out: None = None) -> mx.array:
    """The sum over ``dim``; integers and bools give int64."""
    x, kind = sum_operand("sum", input, dtype)
    return total_of(x, axes("sum", x, dim), flag("sum", "keepdim", keepdim)).astype(kind)


@op(autocast="float32")
def mean(
    input: TensorLike, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None, out: None = None
) -> mx.array:
    """The mean over ``dim``; NaN for empty tensors.

    Raises:
        TypeError: ``input`` holds integers and ``dtype`` is not given.
    """
    x, kind = averageable("mean", input, dtype)
    return average(x, axes("mean", x, dim), flag("mean", "keepdim", keepdim)).astype(kind)


@op(autocast="float32")
def prod(
    input: TensorLike, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None, out: None = None
) -> mx.array:
    """The product over ``dim``; integers and bools give int64. The gradient is correct at zeros too."""
    x, kind = sum_operand("prod", input, dtype)
    dims, keep = axes("prod", x, dim), flag("prod", "keepdim", keepdim)
    return (mx.prod(x, dims, keep) if x.size else empty_reduction(x, dims, keep, 1)).astype(kind)


def _variance(x: mx.array, dims: tuple[int, ...], keep: bool, correction: float) -> tuple[mx.array, mx.array]:
    center = average(x, dims, True)
    denominator = count(x, dims) - correction
    deviation = x - center
    total = total_of(mx.square(mx.abs(deviation) if x.dtype == mx.complex64 else deviation), dims, keep)
    # As in PyTorch, too few values divide by zero and give NaN or inf instead of a plausible number.
    variance = (
        total / denominator if denominator > 0 else total * mx.nan if denominator < 0 or not total.size else total / 0
    )
    return variance, center if keep else mx.squeeze(center, dims)


def _moments(
    caller: str, x: Any, dim: Any, unbiased: Any, keepdim: Any, correction: Any
) -> tuple[mx.array, mx.array, mx.Dtype]:
    if isinstance(dim, bool):  # x.var(False) is PyTorch's x.var(unbiased=False)
        dim, unbiased = None, dim
    flag(caller, "unbiased", unbiased)
    if correction is None:
        correction = 1 if unbiased else 0
    elif unbiased:
        correction = _checks.number(caller, "correction", correction)
    else:
        raise TypeError(f"{caller}: unbiased and correction are mutually exclusive")
    x, kind = averageable(caller, x)
    dims = axes(caller, x, dim)
    variance, center = _variance(x, dims, flag(caller, "keepdim", keepdim), correction)
    return variance, center, kind


@op(autocast="float32")
def var(
    input: TensorLike,
    dim: Dims | bool = None,
    unbiased: bool = True,
    keepdim: bool = False,
    *,
    correction: float | None = None,
    out: None = None,
) -> mx.array:
    """The variance over ``dim``: the sum of squared deviations divided by N - ``correction``, which defaults to 1."""
    variance, _, kind = _moments("var", input, dim, unbiased, keepdim, correction)
    return variance.astype(real_dtype(kind))


@op(autocast="float32")
def std(
    input: TensorLike,
    dim: Dims | bool = None,
    unbiased: bool = True,
    keepdim: bool = False,
    *,
    correction: float | None = None,
    out: None = None,
) -> mx.array:
    """The standard deviation over ``dim``, the square root of ``var``. Its gradient at 0 is 0."""
    variance, _, kind = _moments("std", input, dim, unbiased, keepdim, correction)
    return safe_sqrt(variance).astype(real_dtype(kind))


@op(autocast="float32")
def var_mean(
    input: TensorLike,
    dim: Dims | bool = None,
    unbiased: bool = True,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> tuple[mx.array, mx.array]:
    """The variance and the mean over ``dim``."""
    variance, center, kind = _moments("var_mean", input, dim, unbiased, keepdim, correction)
    return variance.astype(real_dtype(kind)), center.astype(kind)


@op(autocast="float32")
def std_mean(
    input: TensorLike,
    dim: Dims | bool = None,
    unbiased: bool = True,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> tuple[mx.array, mx.array]:
    """The standard deviation and the mean over ``dim``."""
    variance, center, kind = _moments("std_mean", input, dim, unbiased, keepdim, correction)
    return safe_sqrt(variance).astype(real_dtype(kind)), center.astype(kind)


def _extreme(caller: str, x: mx.array, dim: Any, keep: bool, choose: Callable[..., mx.array]) -> mx.array:
    dims = axes(caller, x, dim)
    check_nonempty(caller, x, dims)
    return choose(x, dims, keep)


def _extreme_with_index(caller: str, x: mx.array, dim: Any, keep: bool) -> ValuesAndIndices:
    scalar, x = x.ndim == 0, at_least_1d(x)
    axis = _checks.dim(caller, dim, x.ndim)
    check_nonempty(caller, x, (axis,))
    return picked(x, _arg_extreme(caller, x, axis), axis, scalar, keep)


def picked(x: mx.array, index: mx.array, dim: int, scalar: bool, keep: bool) -> ValuesAndIndices:
    """The values at ``index``, one along ``dim``, which is removed unless ``keep``."""
    values, index = mx.take_along_axis(x, index, dim), index.astype(mx.int64)
    if scalar:
        return ValuesAndIndices(values.reshape(()), index.reshape(()))
    return ValuesAndIndices(values, index) if keep else ValuesAndIndices(values.squeeze(dim), index.squeeze(dim))


def _arg_extreme(caller: str, x: mx.array, dim: int) -> mx.array:
    if x.size == 0:
        return mx.zeros((*x.shape[:dim], 1, *x.shape[dim + 1 :]), mx.uint32)
    return (mx.argmin if caller.endswith("min") else mx.argmax)(mx.stop_gradient(x), dim, True)


@any_op
def max(
    input: TensorLike, dim: Any = None, keepdim: bool = False, *, other: TensorLike = None, out: None = None
) -> mx.array | ValuesAndIndices:
    """The largest value; with ``dim``, the named tuple (values, indices); with a tensor, the element-wise maximum.

    Equal largest values share the gradient; with ``dim``, the one at ``indices`` gets all of it.

    Example:
        >>> x = lucid.tensor([[1.0, 5.0], [7.0, 2.0]])
        >>> lucid.max(x).item()
        7.0
        >>> values, indices = lucid.max(x, dim=1)
        >>> values.tolist(), indices.tolist()
        ([5.0, 7.0], [1, 0])
    """
    x = array("max", input)
    if isinstance(dim, mx.array):
        dim, other = None, dim
    if other is not None:
        return larger("max", x, other)
    keep = flag("max", "keepdim", keepdim)
    return _extreme("max", x, None, keep, mx.max) if dim is None else _extreme_with_index("max", x, dim, keep)


@any_op
def min(
    input: TensorLike, dim: Any = None, keepdim: bool = False, *, other: TensorLike = None, out: None = None
) -> mx.array | ValuesAndIndices:
    """The smallest value; with ``dim``, the named tuple (values, indices); with a tensor, the element-wise minimum.

    Equal smallest values share the gradient; with ``dim``, the one at ``indices`` gets all of it.
    """
    x = array("min", input)
    if isinstance(dim, mx.array):
        dim, other = None, dim
    if other is not None:
        return smaller("min", x, other)
    keep = flag("min", "keepdim", keepdim)
    return _extreme("min", x, None, keep, mx.min) if dim is None else _extreme_with_index("min", x, dim, keep)


@op
def amax(input: TensorLike, dim: Dims = (), keepdim: bool = False, *, out: None = None) -> mx.array:
    """The largest value over ``dim``. Equal largest values share the gradient."""
    return _extreme("amax", compact_if_empty(array("amax", input)), dim, flag("amax", "keepdim", keepdim), mx.max)


@op
def amin(input: TensorLike, dim: Dims = (), keepdim: bool = False, *, out: None = None) -> mx.array:
    """The smallest value over ``dim``. Equal smallest values share the gradient."""
    return _extreme("amin", compact_if_empty(array("amin", input)), dim, flag("amin", "keepdim", keepdim), mx.min)


@any_op
def aminmax(
    input: TensorLike, *, dim: int | None = None, keepdim: bool = False, out: None = None
) -> tuple[mx.array, mx.array]:
    """The smallest and the largest value over ``dim``, as the named tuple (min, max)."""
    x = compact_if_empty(array("aminmax", input))
    keep = flag("aminmax", "keepdim", keepdim)
    smallest = _extreme("aminmax", x, dim, keep, mx.min)
    return MinAndMax(smallest, _extreme("aminmax", x, dim, keep, mx.max))


def _arg_reduction(caller: str, x: Any, dim: Any, keepdim: Any) -> mx.array:
    x = array(caller, x)
    keep = flag(caller, "keepdim", keepdim)
    if dim is None:
        check_nonempty(caller, x, tuple(range(x.ndim)))
        index = _arg_extreme(caller, x.reshape(-1), 0)
        return index.astype(mx.int64).reshape((1,) * x.ndim if keep else ())
    return _extreme_with_index(caller, x, dim, keep).indices


@op
def argmax(input: TensorLike, dim: int | None = None, keepdim: bool = False, *, out: None = None) -> mx.array:
    """The index (int64) of the largest value along ``dim``; without ``dim``, in the flattened tensor."""
    return _arg_reduction("argmax", input, dim, keepdim)


@op
def argmin(input: TensorLike, dim: int | None = None, keepdim: bool = False, *, out: None = None) -> mx.array:
    """The index (int64) of the smallest value along ``dim``; without ``dim``, in the flattened tensor."""
    return _arg_reduction("argmin", input, dim, keepdim)


@op
def any(input: TensorLike, dim: Dims = None, keepdim: bool = False, *, out: None = None) -> mx.array:
    """True where at least one value over ``dim`` is nonzero."""
    x = array("any", input)
    dims, keep = axes("any", x, dim), flag("any", "keepdim", keepdim)
    found = mx.any(x, dims, keep) if x.size else empty_reduction(x.astype(mx.bool_), dims, keep, False)
    return found.astype(mx.uint8) if x.dtype == mx.uint8 else found


@op
def all(input: TensorLike, dim: Dims = None, keepdim: bool = False, *, out: None = None) -> mx.array:
    """True where all values over ``dim`` are nonzero."""
    x = array("all", input)
    dims, keep = axes("all", x, dim), flag("all", "keepdim", keepdim)
    found = mx.all(x, dims, keep) if x.size else empty_reduction(x.astype(mx.bool_), dims, keep, True)
    return found.astype(mx.uint8) if x.dtype == mx.uint8 else found


@op
@varargs
def count_nonzero(input: TensorLike, dim: Dims = None) -> mx.array:
    """The number of nonzero values over ``dim`` (int64)."""
    x = array("count_nonzero", input)
    return total_of((x != 0).astype(mx.int64), axes("count_nonzero", x, dim))


@op(autocast="float32")
def logsumexp(input: TensorLike, dim: Dims = None, keepdim: bool = False, *, out: None = None) -> mx.array:
    """``log(sum(exp(input)))`` over ``dim`` without overflow; -inf for empty tensors."""
    x, kind = averageable("logsumexp", floating("logsumexp", input))
    dims, keep = axes("logsumexp", x, dim), flag("logsumexp", "keepdim", keepdim)
    if count(x, dims) == 0:
        return mx.log(total_of(x, dims, keep)).astype(kind)
    # Subtract the largest value, unless it is infinite (inf - inf is NaN).
    top = mx.stop_gradient(mx.max(mx.real(x) if x.dtype == mx.complex64 else x, dims, True))
    top = mx.where(mx.isfinite(top), top, 0)
    total = total_of(float64.exp(x - top), dims, keep)
    zero = total == 0  # all values are -inf: the gradient is 0, not 0 * inf
    log = mx.where(zero, -mx.inf, mx.log(mx.where(zero, 1, total)))
    return (log + (top if keep else mx.squeeze(top, dims))).astype(kind)


@op(autocast="float32")
def norm(
    input: TensorLike,
    p: float | str | None = "fro",
    dim: Dims = None,
    keepdim: bool = False,
    out: None = None,
    dtype: Any = None,
) -> mx.array:
    """The ``p``-norm of the values over ``dim``: ``sum(|input| ** p) ** (1 / p)``.

    "fro" and ``None`` mean 2, "nuc" the sum of the singular values of matrices, inf and -inf the largest and smallest
    absolute value, and 0 counts nonzero values. The gradient of the 2-norm at 0 is 0.
    """
    _checks.no_out("norm", out)
    keep = flag("norm", "keepdim", keepdim)
    x, kind = averageable("norm", input, dtype)
    if isinstance(p, str) and p == "nuc":
        value = matrix_norm("norm", x, p, tuple(range(x.ndim)) if dim is None else dim, keep)
    else:
        order = 2.0 if p is None or (isinstance(p, str) and p == "fro") else _checks.number("norm", "p", p)
        value = power_norm("norm", x, order, axes("norm", x, dim), keep)
    return value.astype(real_dtype(kind))


@op(autocast="float32")
def cumsum(input: TensorLike, dim: int, *, dtype: Any = None, out: None = None) -> mx.array:
    """The cumulative sum along ``dim``; integers give int64."""
    x, kind = sum_operand("cumsum", input, dtype)
    at = _checks.dim("cumsum", dim, x.ndim)
    return mx.cumsum(x, at).astype(kind) if x.ndim else (x + 0).astype(kind)


@op(autocast="float32")
def cumprod(input: TensorLike, dim: int, *, dtype: Any = None, out: None = None) -> mx.array:
    """The cumulative product along ``dim``; integers give int64."""
    x, kind = sum_operand("cumprod", input, dtype)
    at = _checks.dim("cumprod", dim, x.ndim)
    x, shape = at_least_1d(x), x.shape
    # Multiply neighbors 1, 2, 4, ... apart: without a division, all derivatives are correct at zeros too.
    step = 1
    while step < x.shape[at]:
        width = [(step if one == at else 0, 0) for one in range(x.ndim)]
        x = x * mx.pad(x[(slice(None),) * at + (slice(0, -step),)], width, constant_values=mx.array(1, x.dtype))
        step *= 2
    return x.reshape(shape).astype(kind)


@any_op
def median(
    input: TensorLike, dim: int | None = None, keepdim: bool = False, *, out: None = None
) -> mx.array | ValuesAndIndices:
    """The median (the lower of two middle values), or NaN; with ``dim``, the named tuple (values, indices)."""
    return middle_value("median", input, dim, keepdim, ignores_nan=False)


def middle_value(
    caller: str, input: Any, dim: Any, keepdim: Any, ignores_nan: bool
) -> mx.array | ValuesAndIndices:  # fmt: skip
    """The body of ``median`` and ``nanmedian``."""
    x, keep = array(caller, input), flag(caller, "keepdim", keepdim)
    if dim is None:
        check_nonempty(caller, x, tuple(range(x.ndim)))
        flat = x.reshape(-1)
        value = picked(flat, _middle(flat, 0, ignores_nan), 0, True, False).values
        return value.reshape((1,) * x.ndim if keep else ())
    scalar, x = x.ndim == 0, at_least_1d(x)
    at = _checks.dim(caller, dim, x.ndim)
    check_nonempty(caller, x, (at,))
    return picked(x, _middle(x, at, ignores_nan), at, scalar, keep)


def _middle(x: mx.array, dim: int, ignores_nan: bool) -> mx.array:
    """The index of the lower middle value along ``dim``, or of a NaN: if there is one, or if there is nothing else."""
    x = mx.stop_gradient(x)
    numbers = total_of((~mx.isnan(x)).astype(mx.int32), dim, keepdims=True)  # they are sorted before all NaN
    rank = mx.maximum(numbers - 1, 0) // 2
    if not ignores_nan:
        rank = mx.where(numbers == x.shape[dim], rank, numbers)
    return mx.take_along_axis(_order(x, dim), rank, dim)


def _order(x: mx.array, dim: int) -> mx.array:
    """The indices that sort ``x`` in ascending order along ``dim``."""
    return mx.argsort(mx.stop_gradient(x), dim) if x.size else mx.zeros(x.shape, mx.uint32)


@select_op
def kthvalue(input: TensorLike, k: int, dim: int = -1, keepdim: bool = False, *, out: None = None) -> ValuesAndIndices:
    """The ``k``-th smallest value along ``dim``, counted from 1, as the named tuple (values, indices)."""
    x = array("kthvalue", input)
    scalar, x = x.ndim == 0, at_least_1d(x)
    axis = _checks.dim("kthvalue", dim, x.ndim)
    k = _checks.integer("kthvalue", "k", k)
    if not 1 <= k <= x.shape[axis]:
        raise _checks.ArgumentError(
            f"kthvalue: k must be in [1, {x.shape[axis]}] for dim {dim} of shape {x.shape}, got {k}"
        )
    index = _order(x, axis)[(slice(None),) * axis + (slice(k - 1, k),)]
    return picked(x, index, axis, scalar, flag("kthvalue", "keepdim", keepdim))
