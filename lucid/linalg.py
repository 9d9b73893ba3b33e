"""Vector and matrix norms, as in ``torch.linalg``."""

from typing import Any

import mlx.core as mx

from lucid import _checks
from lucid.ops._common import averageable
from lucid.ops._types import TensorLike
from lucid.ops.reduction import power_norm
from lucid.tape import op

Dims = int | tuple[int, ...] | list[int] | None


@op(autocast="float32")
def vector_norm(
    input: TensorLike, ord: float = 2, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None, out: None = None
) -> mx.array:
    """``sum(|input| ** ord) ** (1 / ord)`` over ``dim``, or over all values.

    ``ord`` may also be 0 (the number of nonzero values), inf or -inf (the largest or smallest absolute value). The
    gradient of the 2-norm at 0 is 0.

    Example:
        >>> lucid.linalg.vector_norm(lucid.tensor([[3.0, 4.0], [0.0, 5.0]]), dim=1).tolist()
        [5.0, 5.0]
    """
    x, kind = averageable("vector_norm", input, dtype)
    order = _order_number("vector_norm", ord)
    return power_norm("vector_norm", x, order, _dims("vector_norm", x, dim), keepdim).astype(kind)


def _dims(caller: str, x: mx.array, dim: Any) -> tuple[int, ...]:
    return _checks.dims(caller, dim, x.ndim) if x.ndim else ()


def _order_number(caller: str, ord: Any) -> float:
    if isinstance(ord, bool) or not isinstance(ord, int | float):
        raise TypeError(f"{caller}: ord must be a number, got {ord!r}")
    return float(ord)


@op(autocast="float32")
def matrix_norm(
    input: TensorLike,
    ord: float | str = "fro",
    dim: Any = (-2, -1),
    keepdim: bool = False,
    *,
    dtype: Any = None,
    out: None = None,
) -> mx.array:
    """A norm of the matrices in the two dimensions ``dim``.

    Args:
        ord: "fro" (the root of the sum of squares), "nuc" (the sum of singular values), 1 or inf (the largest sum of
            absolute values of a column or row), 2 (the largest singular value), or -1, -inf, -2 for the smallest.

    Raises:
        ValueError: ``ord`` is unknown, ``dim`` does not name two dimensions, or the matrices are empty.

    Example:
        >>> lucid.linalg.matrix_norm(lucid.tensor([[3.0, 4.0]])).item()
        5.0
    """
    x, kind = averageable("matrix_norm", input, dtype)
    return _matrix_norm("matrix_norm", x, ord, dim, keepdim).astype(kind)


def _matrix_norm(caller: str, x: mx.array, ord: Any, dim: Any, keep: bool) -> mx.array:
    dims = _checks.dims(caller, dim, x.ndim) if x.ndim > 1 else ()
    if len(dims) != 2:
        raise _checks.ArgumentError(f"{caller}: dim must name two dimensions, got {dim} for shape {x.shape}")
    row, column = dims
    if ord == "fro":
        return power_norm(caller, x, 2, dims, keep)
    if ord in (1, -1, mx.inf, -mx.inf):
        along, rest = (row, column) if ord in (1, -1) else (column, row)
        if x.shape[rest] == 0:
            raise _checks.ArgumentError(f"{caller}: cannot reduce an empty dimension of shape {x.shape}")
        sums = mx.sum(mx.abs(x), along, True)
        found = (mx.max if ord > 0 else mx.min)(sums, rest, True)
        return found if keep else mx.squeeze(found, dims)
    if ord in (2, -2, "nuc"):
        if ord != "nuc" and not (x.shape[row] and x.shape[column]):
            raise _checks.ArgumentError(f"{caller}: cannot reduce an empty dimension of shape {x.shape}")
        others = [axis for axis in range(x.ndim) if axis not in dims]
        values = _singular_values(mx.transpose(x, [*others, row, column]))
        found = mx.sum(values, -1) if ord == "nuc" else values[..., 0 if ord == 2 else -1]
        if not keep:
            return found
        for axis in sorted(dims):
            found = mx.expand_dims(found, axis)
        return found
    raise _checks.ArgumentError(
        f"{caller}: ord must be 'fro', 'nuc', 1, -1, 2, -2, inf or -inf for matrices, got {ord!r}"
    )


def _singular_values(x: mx.array) -> mx.array:
    """The singular values (..., k) of matrices (..., m, n) with k = min(m, n), in descending order.

    MLX's decomposition has no derivative. With fixed singular vectors, M = Uᵀ x V has the singular values on its
    diagonal, and around x they are, up to third order in the change D of M,

        s_i = M_ii + sum over j of (D_ij + D_ji)² / 4(s_i - s_j) + (D_ij - D_ji)² / 4(s_i + s_j)
                   + sum over the rows or columns r beyond k of D_ri² / 2 s_i

    which has the correct first and second derivatives. Individually, equal singular values have no second derivative.
    Their sum has one, in which the quotients that are left out here cancel.
    """
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


@op(autocast="float32")
def norm(
    input: TensorLike,
    ord: float | str | None = None,
    dim: Dims = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
    out: None = None,
) -> mx.array:
    """The 2-norm of all values; with ``ord``, a norm of vectors (one ``dim``) or matrices (two).

    See ``vector_norm`` and ``matrix_norm`` for the values of ``ord``.

    Example:
        >>> lucid.linalg.norm(lucid.tensor([3.0, 4.0])).item()
        5.0
    """
    x, kind = averageable("norm", input, dtype)
    if ord is None:
        return power_norm("norm", x, 2, _dims("norm", x, dim), keepdim).astype(kind)
    if dim is None:
        if x.ndim not in (1, 2):
            raise _checks.ArgumentError(
                f"norm: dim is required with ord unless the input has 1 or 2 dimensions, got shape {x.shape}"
            )
        dim = tuple(range(x.ndim))
    if isinstance(dim, int) or len(dim) == 1:
        return power_norm("norm", x, _order_number("norm", ord), _dims("norm", x, dim), keepdim).astype(kind)
    return _matrix_norm("norm", x, ord, dim, keepdim).astype(kind)
