"""Norms of vectors and matrices, for ``lucid.norm`` and ``lucid.linalg``."""

import math
from typing import Any

import mlx.core as mx

from lucid import _checks
from lucid.ops._common import total as total_of


def count(x: mx.array, dims: tuple[int, ...]) -> int:
    """The number of values over ``dims``."""
    return math.prod(x.shape[dim] for dim in dims)


def real_dtype(dtype: mx.Dtype) -> mx.Dtype:
    """The dtype of an absolute value."""
    return mx.float32 if dtype == mx.complex64 else dtype


def safe_sqrt(x: mx.array) -> mx.array:
    """The square root, with gradient 0 at 0 instead of infinity."""
    zero = x == 0
    return mx.where(zero, 0, mx.sqrt(mx.where(zero, 1, x)))


def check_nonempty(caller: str, x: mx.array, dims: tuple[int, ...]) -> None:
    """Raise if an extreme value of an empty dimension is asked for."""
    if x.size == 0 and count(x, dims) == 0:
        raise _checks.EmptyError(f"{caller}: cannot reduce an empty dimension of shape {x.shape}")


def power_norm(caller: str, x: mx.array, order: float, dims: tuple[int, ...], keep: bool) -> mx.array:
    """The norm of order ``order`` over ``dims`` of a floating-point array, in its real dtype."""
    if x.dtype == mx.complex64:
        x = mx.abs(x)
    if order == 2:
        return safe_sqrt(total_of(mx.square(x), dims, keep))
    size = mx.abs(x)
    if order == 1:
        return total_of(size, dims, keep)
    if order == 0:
        return total_of((x != 0).astype(x.dtype), dims, keep)
    if order in (mx.inf, -mx.inf):
        check_nonempty(caller, x, dims)
        return (mx.max if order > 0 else mx.min)(size, dims, keep)
    # Powers of 0 have no finite derivative for some orders, so zeros are masked out and get the gradient 0.
    zero = size == 0
    total = total_of(mx.where(zero, 0 if order > 0 else mx.inf, mx.where(zero, 1, size) ** order), dims, keep)
    none = (total == 0) | mx.isinf(total)
    return mx.where(none, total if order > 0 else 0, mx.where(none, 1, total) ** (1 / order))


def matrix_norm(caller: str, x: mx.array, ord: Any, dim: Any, keep: bool) -> mx.array:
    """The norm of the matrices in the two dimensions ``dim``."""
    dims = _checks.dims(caller, dim, x.ndim) if x.ndim > 1 else ()
    if len(dims) != 2:
        raise _checks.ArgumentError(f"{caller}: dim must name two dimensions, got {dim} for shape {x.shape}")
    row, column = dims
    if not isinstance(ord, str | int | float):
        raise TypeError(f"{caller}: ord must be a number or a string, got {ord!r:.60}")
    if ord == "fro":
        return power_norm(caller, x, 2, dims, keep)
    if ord in (1, -1, mx.inf, -mx.inf):
        along, rest = (row, column) if ord in (1, -1) else (column, row)
        if x.shape[rest] == 0:
            return _norm_of_nothing(caller, x, ord, dims, keep)
        sums = mx.sum(mx.abs(x), along, True)
        found = (mx.max if ord > 0 else mx.min)(sums, rest, True)
        return found if keep else mx.squeeze(found, dims)
    if ord in (2, -2, "nuc"):
        if ord != "nuc" and not (x.shape[row] and x.shape[column]):
            return _norm_of_nothing(caller, x, ord, dims, keep)
        others = [axis for axis in range(x.ndim) if axis not in dims]
        values = _singular_values(mx.transpose(x, [*others, row, column]))
        # Equal extreme values share the gradient, as in PyTorch: they may be in any order.
        found = (mx.sum if ord == "nuc" else mx.max if ord == 2 else mx.min)(values, -1)
        if not keep:
            return found
        for axis in sorted(dims):
            found = mx.expand_dims(found, axis)
        return found
    raise _checks.ArgumentError(
        f"{caller}: ord must be 'fro', 'nuc', 1, -1, 2, -2, inf or -inf for matrices, got {ord!r}"
    )


def _norm_of_nothing(caller: str, x: mx.array, ord: Any, dims: tuple[int, ...], keep: bool) -> mx.array:
    if ord < 0:
        raise _checks.EmptyError(f"{caller}: cannot reduce an empty dimension of shape {x.shape}")
    return total_of(mx.abs(x), dims, keep)


def _singular_values(x: mx.array) -> mx.array:
    """The singular values (..., k) of matrices (..., m, n) with k = min(m, n), in descending order.

    MLX's decomposition has no derivative. With fixed singular vectors, M = Uᵀ x V has the singular values on its
    diagonal, and around x they are, up to third order in the change D of M,

        s_i = M_ii + sum over j of (D_ij + D_ji)² / 4(s_i - s_j) + (D_ij - D_ji)² / 4(s_i + s_j)
                   + sum over the rows or columns r beyond k of D_ri² / 2 s_i

    which has the correct first and second derivatives. Individually, equal singular values have no second derivative.
    Their sum has one, in which the quotients that are left out here cancel.
    """
    if x.dtype == mx.complex64:  # as a real matrix of twice the size, a + bi has every singular value twice
        a, b = mx.real(x), mx.imag(x)
        whole = mx.concatenate([mx.concatenate([a, -b], -1), mx.concatenate([b, a], -1)], -2)
        return _singular_values(whole)[..., ::2]
    k = min(x.shape[-2:])
    u, s, vt = (mx.stop_gradient(one) for one in mx.linalg.svd(mx.stop_gradient(x), stream=mx.cpu))
    if not x.size:
        return mx.zeros((*x.shape[:-2], k), x.dtype)
    m = mx.swapaxes(u, -1, -2) @ x @ mx.swapaxes(vt, -1, -2)
    change = m - mx.stop_gradient(m)
    square = change[..., :k, :k]
    there, back = mx.expand_dims(s, -1), mx.expand_dims(s, -2)  # s_i and s_j
    both, other = square + mx.swapaxes(square, -1, -2), square - mx.swapaxes(square, -1, -2)
    small = 1e-6 * s[..., :1, None]
    values = mx.diagonal(m[..., :k, :k], axis1=-2, axis2=-1)
    values = values + mx.sum(_quotient(both, there - back, small) + _quotient(other, there + back, small), -1) / 4
    rest = mx.swapaxes(change[..., k:, :k], -1, -2) if x.shape[-2] > k else change[..., :k, k:]  # (..., k, beyond)
    return values + mx.sum(_quotient(rest, there, small), -1) / 2


def _quotient(change: mx.array, by: mx.array, small: mx.array) -> mx.array:
    """``change² / by``, or 0 where ``by`` is 0."""
    none = mx.abs(by) <= small
    return mx.where(none, 0, mx.square(change) / mx.where(none, 1, by))
