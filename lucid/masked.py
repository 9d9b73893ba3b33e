"""Reductions and normalizations that leave out masked elements.

``mask`` is True where an element counts, broadcastable to ``input``, and None for all. The others are replaced by a
value that does not change the result, such as 0 for a sum. A mean or variance of nothing is NaN, a maximum of nothing
the lowest value of the dtype.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import mlx.core as mx

from lucid import _checks, linalg, tape
from lucid._checks import dtype_name
from lucid._tensor import Tensor
from lucid._tensor_convert import as_array
from lucid.ops import activation, arithmetic, complex_numbers, indexing, reduction
from lucid.ops._common import extremes

__all__ = [
    "amax", "amin", "argmax", "argmin", "cumprod", "cumsum", "log_softmax", "logaddexp", "logsumexp", "mean", "median",
    "norm", "normalize", "prod", "softmax", "softmin", "std", "sum", "var",
]  # fmt: skip

Dims = int | Sequence[int] | None


def sum(input: Any, dim: Dims = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None) -> Tensor:
    """The sum of the elements that count; small integers give int64."""
    kept = _filled("sum", input, mask, 0)
    return reduction.sum(kept, _dims("sum", dim, kept), bool(keepdim), dtype=dtype)


def prod(input: Any, dim: Dims = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None) -> Tensor:
    """The product of the elements that count; small integers give int64."""
    kept = _filled("prod", input, mask, 1)
    return reduction.prod(kept, _dims("prod", dim, kept), bool(keepdim), dtype=dtype)


def cumsum(input: Any, dim: int, *, dtype: Any = None, mask: Any = None) -> Tensor:
    """The running sum of the elements that count."""
    return _filled("cumsum", input, mask, 0).cumsum(dim, dtype=dtype or _of(input).dtype)


def cumprod(input: Any, dim: int, *, dtype: Any = None, mask: Any = None) -> Tensor:
    """The running product of the elements that count."""
    return _filled("cumprod", input, mask, 1).cumprod(dim, dtype=dtype or _of(input).dtype)


def amax(input: Any, dim: Dims = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None) -> Tensor:
    """The largest of the elements that count."""
    kept = _filled("amax", input, mask, _extremes(input)[0])
    return _as(reduction.amax(kept, _dims("amax", dim, kept), bool(keepdim)), dtype)


def amin(input: Any, dim: Dims = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None) -> Tensor:
    """The smallest of the elements that count."""
    kept = _filled("amin", input, mask, _extremes(input)[1])
    return _as(reduction.amin(kept, _dims("amin", dim, kept), bool(keepdim)), dtype)


def argmax(input: Any, dim: int | None = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None) -> Tensor:
    """The place of the largest of the elements that count, as in PyTorch in the dtype of ``input``."""
    return _as(
        _filled("argmax", input, mask, _extremes(input)[0]).argmax(dim, bool(keepdim)), dtype or _of(input).dtype
    )


def argmin(input: Any, dim: int | None = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None) -> Tensor:
    """The place of the smallest of the elements that count, as in PyTorch in the dtype of ``input``."""
    return _as(
        _filled("argmin", input, mask, _extremes(input)[1]).argmin(dim, bool(keepdim)), dtype or _of(input).dtype
    )


def mean(input: Any, dim: Dims = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None) -> Tensor:
    """The mean of the elements that count.

    Raises:
        TypeError: the result would not be floating-point or complex.
    """
    own = _of(input)
    if mx.issubdtype(dtype or own.dtype, mx.integer) or (dtype or own.dtype) == mx.bool_:
        raise TypeError(f"mean: the dtype must be floating-point or complex, got {dtype_name(dtype or own.dtype)}")
    total = sum(own, dim, keepdim=keepdim, dtype=dtype, mask=mask)
    return total / _count("mean", own, dim, bool(keepdim), mask).to(total.dtype)


def median(input: Any, dim: int = -1, *, keepdim: bool = False, dtype: Any = None, mask: Any = None) -> Tensor:
    """The lower median of the elements that count, NaN if there is none.

    Raises:
        ValueError: an integer result would have to be NaN.
    """
    own = _of(input)
    is_float = mx.issubdtype(own.dtype, mx.floating)
    kept = _filled("median", own if is_float else own.float(), mask, math.nan)
    found = kept.nanmedian(dim, keepdim).values
    if is_float:
        return found
    if found.isnan().any().item():
        raise ValueError("median: some rows of integers are masked out wholly, and an integer cannot be NaN")
    return found.to(dtype or own.dtype)


def logsumexp(input: Any, dim: Dims = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None) -> Tensor:
    """The logarithm of the sum of exponentials of the elements that count."""
    kept = _filled("logsumexp", input, mask, _extremes(input)[0])
    return reduction.logsumexp(kept, _dims("logsumexp", dim, kept), bool(keepdim)).to(dtype or kept.dtype)


def logaddexp(input: Any, other: Any, *, dtype: Any = None, input_mask: Any = None, other_mask: Any = None) -> Tensor:
    """``log(exp(input) + exp(other))`` of the elements that count."""
    left = _filled("logaddexp", input, input_mask, _extremes(input)[0])
    right = _filled("logaddexp", other, other_mask, _extremes(other)[0])
    return arithmetic.logaddexp(left, right).to(dtype or left.dtype)


def norm(
    input: Any,
    ord: float | None = 2.0,
    dim: Dims = None,
    *,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Any = None,
) -> Tensor:
    """The vector norm of the elements that count."""
    kept = _filled("norm", input, mask, math.inf if ord == -math.inf else 0)
    order = 2.0 if ord is None else ord
    return linalg.vector_norm(kept, order, _dims("norm", dim, kept), bool(keepdim), dtype=dtype)


def var(
    input: Any,
    dim: Dims = None,
    unbiased: bool | None = None,
    *,
    correction: float | None = None,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Any = None,
) -> Tensor:
    """The variance of the elements that count: the sum of their squared deviations from their mean, divided by their
    number minus ``correction``, which is 1 by default, or by 0 if that is negative. ``unbiased`` stands for a
    correction of 1 (True) or 0 (False).

    Raises:
        ValueError: both ``unbiased`` and ``correction`` are given.
    """
    if unbiased is not None and correction is not None:
        raise ValueError("var: unbiased and correction are mutually exclusive")
    left_out = float(unbiased) if unbiased is not None else 1.0 if correction is None else float(correction)
    own = _of(input)
    is_inexact = mx.issubdtype(own.dtype, mx.inexact)
    result = dtype or (own.dtype if is_inexact else mx.float32)
    working = result if mx.issubdtype(result, mx.inexact) else mx.float32
    count = _count("var", own, dim, True, mask)
    total = sum(own, dim, keepdim=True, dtype=result, mask=mask)
    off = own - total / count
    squared = off * complex_numbers.conj(off)
    squares = sum(squared, dim, keepdim=bool(keepdim), dtype=working, mask=mask)
    counts = count.reshape(squares.shape).to(mx.float32 if working == mx.complex64 else working)
    return (squares / (counts - left_out).clamp(min=0)).to(result)


def std(
    input: Any,
    dim: Dims = None,
    unbiased: bool | None = None,
    *,
    correction: float | None = None,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Any = None,
) -> Tensor:
    """The square root of ``var``."""
    return var(input, dim, unbiased, correction=correction, keepdim=keepdim, dtype=dtype, mask=mask).sqrt()


def softmax(input: Any, dim: int, *, dtype: Any = None, mask: Any = None) -> Tensor:
    """Softmax over the elements that count; the others are 0."""
    return activation.softmax(_filled("softmax", input, mask, _extremes(input)[0]), dim, dtype=dtype)


def log_softmax(input: Any, dim: int, *, dtype: Any = None, mask: Any = None) -> Tensor:
    """The logarithm of ``softmax``."""
    return activation.log_softmax(_filled("log_softmax", input, mask, _extremes(input)[0]), dim, dtype=dtype)


def softmin(input: Any, dim: int, *, dtype: Any = None, mask: Any = None) -> Tensor:
    """Softmax of the negated elements that count; the others are 0."""
    return activation.softmin(_filled("softmin", input, mask, _extremes(input)[1]), dim, dtype=dtype)


def normalize(input: Any, ord: float, dim: int, *, eps: float = 1e-12, dtype: Any = None, mask: Any = None) -> Tensor:
    """The elements that count divided by their norm, which is at least ``eps``; the others are 0."""
    kept = _filled("normalize", input, mask, 0)
    length = norm(input, ord, dim, keepdim=True, dtype=dtype, mask=mask)
    return kept / arithmetic.maximum(length, tape.wrap(mx.array(eps, length.dtype)))


# ---------------------------------------------------------------------------------------------------------------------


def _of(input: Any) -> Tensor:
    return input if isinstance(input, Tensor) else tape.wrap(as_array(input))


def _mask(caller: str, input: Tensor, mask: Any) -> Tensor:
    found = _of(mask)
    if found.ndim > input.ndim:
        raise ValueError(
            f"{caller}: mask must have at most the {input.ndim} dimensions of input, got shape {found.shape}"
        )
    _checks.broadcast_shapes(caller, found.shape, input.shape)
    return found.to(mx.bool_).expand(input.shape)


def _filled(caller: str, input: Any, mask: Any, value: Any) -> Tensor:
    """``input`` with ``value`` in place of what does not count."""
    own = _of(input)
    if mask is None:
        return own
    return indexing.where(_mask(caller, own, mask), own, tape.wrap(mx.array(value, own.dtype)))


def _count(caller: str, input: Tensor, dim: Dims, keepdim: bool, mask: Any) -> Tensor:
    """How many elements count."""
    ones = tape.wrap(mx.ones(input.shape, mx.int64))
    return sum(ones if mask is None else _mask(caller, input, mask), dim, keepdim=keepdim)


def _dims(caller: str, dim: Dims, input: Tensor) -> tuple[int, ...]:
    """All dimensions for None and for an empty sequence."""
    if dim is None or (not isinstance(dim, int) and not len(dim)):
        return tuple(range(input.ndim))
    return _checks.dims(caller, dim, input.ndim) if input.ndim else ()


def _extremes(input: Any) -> tuple[float, float]:
    return extremes(_of(input).dtype)


def _as(found: Tensor, dtype: Any) -> Tensor:
    return found if dtype is None else found.to(dtype)
