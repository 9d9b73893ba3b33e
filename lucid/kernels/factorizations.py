"""Factorizations of matrices and what is solved with them, with gradients of every order.

MLX has LAPACK's factorizations on the CPU only, and gradients of none. Here each is a function of arrays (..., m, n) of
float32, float64 or complex64 that runs on MLX's CPU stream, stays lazy, and declares a gradient made of the same
functions, so that gradients of gradients follow. ``g`` is the cotangent, and ``adjoint`` the conjugate transpose:
gradients of complex arrays follow PyTorch's convention (conjugate Wirtinger).

Functions that MLX does not have for complex64 (LU, Cholesky, QR, solve) are computed from its real ones, or by a loop
over the columns. Nothing raises at evaluation: where LAPACK fails, the result is NaN, which the operations in
``lucid.linalg`` turn into an error where they can read it.

Sources: Giles, Collected matrix derivative results for forward and reverse mode algorithmic differentiation (2008);
Walter and Lehmann, Algorithmic differentiation of linear algebra functions with application in optimum experimental
design (2010), for QR; Golub and Pereyra (1973), for the pseudoinverse.
"""

import functools
from collections.abc import Callable
from typing import Any

import mlx.core as mx

from lucid.kernels.custom_vjp import custom_vjp


def is_complex(x: mx.array) -> bool:
    return x.dtype == mx.complex64


def conj(x: mx.array) -> mx.array:
    return mx.conjugate(x) if is_complex(x) else x


def real(x: mx.array) -> mx.array:
    return mx.real(x) if is_complex(x) else x


def transposed(x: mx.array) -> mx.array:
    return mx.swapaxes(x, -2, -1)


def adjoint(x: mx.array) -> mx.array:
    return conj(transposed(x))


def diagonal(x: mx.array) -> mx.array:
    return mx.diagonal(x, 0, -2, -1)


def embedded_diagonal(values: mx.array) -> mx.array:
    """Square matrices with these diagonals."""
    return mx.expand_dims(values, -1) * mx.eye(values.shape[-1], dtype=values.dtype)


def identity_like(a: mx.array) -> mx.array:
    """The identity for each of the square matrices ``a``."""
    return mx.broadcast_to(mx.eye(a.shape[-1], dtype=a.dtype), a.shape)


def _real_dtype(a: mx.array) -> mx.Dtype:
    return mx.float32 if is_complex(a) else a.dtype


def _nan_where(bad: mx.array, x: mx.array) -> mx.array:
    """``x`` (..., m, n) with NaN in place of the matrices that are marked in ``bad`` (...)."""
    return mx.where(mx.expand_dims(bad, (-2, -1)), mx.array(mx.nan, x.dtype), x)


# A complex matrix as a real one of twice the size: each number a + bi is the block [[a, -b], [b, a]]. Products, sums
# and inverses of such matrices are such matrices, and so are their Cholesky factors, because the pivots are real.


def _as_blocks(x: mx.array) -> mx.array:
    a, b = mx.real(x), mx.imag(x)
    blocks = mx.stack([mx.stack([a, -b], -1), mx.stack([b, a], -1)], -3)  # (..., m, 2, n, 2)
    return blocks.reshape(*x.shape[:-2], 2 * x.shape[-2], 2 * x.shape[-1])


def _of_blocks(blocks: mx.array) -> mx.array:
    *batch, m, n = blocks.shape
    four = blocks.reshape(*batch, m // 2, 2, n // 2, 2)
    return four[..., 0, :, 0] + 1j * four[..., 1, :, 0]


# LU ------------------------------------------------------------------------------------------------------------------


def _lu(a: mx.array) -> tuple[mx.array, mx.array, mx.array]:
    *batch, m, n = a.shape
    k = min(m, n)
    if not a.size:
        rows = mx.broadcast_to(mx.arange(m, dtype=mx.int32), (*batch, m))
        return mx.zeros_like(a), rows, rows[..., :k]
    if m == n == 1:
        rows = mx.zeros((*batch, 1), mx.int32)
        return a, rows, rows
    if is_complex(a):
        return _complex_lu(a)
    where, lower, upper = mx.linalg.lu(a, stream=mx.cpu)  # a = lower[where] @ upper
    padding = [(0, 0)] * len(batch)
    packed = mx.pad(mx.tril(lower, -1), [*padding, (0, 0), (0, n - k)])
    packed = packed + mx.pad(mx.triu(upper), [*padding, (0, m - k), (0, 0)])
    pivots = mx.linalg.lu_factor(a, stream=mx.cpu)[1]
    return packed, mx.argsort(where, -1).astype(mx.int32), pivots.astype(mx.int32)


def _complex_lu(a: mx.array) -> tuple[mx.array, mx.array, mx.array]:
    """Gaussian elimination by columns, with LAPACK's choice of pivots: the largest |real| + |imaginary|."""
    *batch, m, n = a.shape
    numbers = mx.broadcast_to(mx.arange(m, dtype=mx.int32), (*batch, m))
    rows, pivots = numbers, []
    for k in range(min(m, n)):
        column = a[..., k:, k]
        size = mx.abs(mx.real(column)) + mx.abs(mx.imag(column))
        pivot = mx.argmax(size, -1, keepdims=True).astype(mx.int32) + k
        order = mx.where(numbers == k, pivot, mx.where(numbers == pivot, k, numbers))
        a, rows = take_rows(a, order), mx.take_along_axis(rows, order, -1)
        pivots.append(pivot)
        top = a[..., k : k + 1, k : k + 1]
        zero = top == 0
        factor = mx.where(zero, 0, a[..., k + 1 :, k : k + 1] / mx.where(zero, 1, top))
        rest = a[..., k + 1 :, k + 1 :] - factor * a[..., k : k + 1, k + 1 :]
        below = mx.concatenate([a[..., k + 1 :, :k], factor, rest], -1)
        a = mx.concatenate([a[..., : k + 1, :], below], -2)
    return a, rows, mx.concatenate(pivots, -1)


def take_rows(x: mx.array, rows: mx.array) -> mx.array:
    """The rows of matrices (..., m, n) in the order ``rows`` (..., m)."""
    rows = mx.broadcast_to(mx.expand_dims(mx.stop_gradient(rows), -1), (*rows.shape, x.shape[-1]))
    return mx.take_along_axis(x, rows, -2)


def lu_parts(packed: mx.array) -> tuple[mx.array, mx.array]:
    """L (..., m, k) and U (..., k, n) of a packed factorization."""
    m, n = packed.shape[-2:]
    k = min(m, n)
    return mx.tril(packed[..., :k], -1) + mx.eye(m, k, dtype=packed.dtype), mx.triu(packed[..., :k, :])


def _lu_vjp(cotangent: Any, a: mx.array) -> tuple[mx.array]:
    g = cotangent[0]
    packed, rows, _ = lu(a)
    lower, upper = lu_parts(packed)
    m, n = a.shape[-2:]
    k = min(m, n)
    g_lower, g_upper = mx.tril(g[..., :k], -1), mx.triu(g[..., :k, :])
    top, corner = lower[..., :k, :], upper[..., :, :k]
    g_top, g_corner = g_lower[..., :k, :], g_upper[..., :, :k]
    beside = below = None
    if n > k:
        beside = lower_solve(top, g_upper[..., k:], transpose=True)
        g_top = g_top - beside @ adjoint(upper[..., k:])
    if m > k:
        below = _right_divided(g_lower[..., k:, :], corner)
        g_corner = g_corner - adjoint(lower[..., k:, :]) @ below
    inner = mx.tril(adjoint(top) @ g_top, -1) + mx.triu(g_corner @ adjoint(corner))
    found = _right_divided(lower_solve(top, inner, transpose=True), corner)
    if beside is not None:
        found = mx.concatenate([found, beside], -1)
    if below is not None:
        found = mx.concatenate([found, below], -2)
    return (take_rows(found, mx.argsort(rows, -1)),)


def _right_divided(x: mx.array, upper: mx.array) -> mx.array:
    """``x @ inv(adjoint(upper))``"""
    return adjoint(triangular(True, False)(upper, adjoint(x)))


def lower_solve(lower: mx.array, x: mx.array, transpose: bool = False) -> mx.array:
    """``inv(lower) @ x`` for a triangle with a unit diagonal, or ``inv(adjoint(lower)) @ x``."""
    return triangular(True, True)(adjoint(lower), x) if transpose else triangular(False, True)(lower, x)


# (packed factors, rows, pivots): a[rows] = L @ U, with L and U in one matrix and LAPACK's pivots, from 0.
lu: Callable[..., tuple[mx.array, mx.array, mx.array]] = custom_vjp(_lu, _lu_vjp)


def rows_of_pivots(pivots: mx.array, m: int) -> mx.array:
    """The order of ``m`` rows after exchanging row i and row ``pivots[..., i]`` for each i in turn."""
    numbers = mx.broadcast_to(mx.arange(m, dtype=mx.int32), (*pivots.shape[:-1], m))
    rows = numbers
    for i in range(pivots.shape[-1]):
        pivot = pivots[..., i : i + 1]
        order = mx.where(numbers == i, pivot, mx.where(numbers == pivot, i, numbers))
        rows = mx.take_along_axis(rows, order, -1)
    return rows


def permutation_sign(pivots: mx.array, dtype: mx.Dtype) -> mx.array:
    """The determinant of the permutation, 1 or -1."""
    moved = mx.sum((pivots != mx.arange(pivots.shape[-1], dtype=pivots.dtype)).astype(mx.int32), -1)
    return (1 - 2 * (moved % 2)).astype(dtype)


# Solving -------------------------------------------------------------------------------------------------------------


@functools.cache
def triangular(upper: bool, unit: bool) -> Callable[[mx.array, mx.array], mx.array]:
    """``solve(a, b)`` that reads one triangle of ``a`` only, with ones on the diagonal if ``unit``."""
    cut = mx.triu if upper else mx.tril

    def forward(a: mx.array, b: mx.array) -> mx.array:
        if not b.size:
            return mx.zeros_like(b)
        triangle = cut(a, (1 if upper else -1)) + identity_like(a) if unit else cut(a)
        if is_complex(a) or a.shape[-1] == 1:
            return _solve(triangle, b)
        zero = diagonal(triangle) == 0
        triangle = triangle + embedded_diagonal(zero.astype(a.dtype))  # MLX fails for zeros
        found = mx.linalg.solve_triangular(triangle, b, upper=upper, stream=mx.cpu)
        return _nan_where(mx.any(zero, -1), found)

    def pull(g: mx.array, a: mx.array, b: mx.array) -> tuple[mx.array, mx.array]:
        g_b = triangular(not upper, unit)(adjoint(a), g)
        g_a = -g_b @ adjoint(triangular(upper, unit)(a, b))
        return cut(g_a, (1 if upper else -1) if unit else 0), g_b

    solver: Callable[[mx.array, mx.array], mx.array] = custom_vjp(forward, pull)
    return solver


def _solve(a: mx.array, b: mx.array) -> mx.array:
    if not b.size:
        return mx.zeros_like(b)
    if a.shape[-1] == 1:  # LAPACK's way corrupts the memory of MLX 0.32 in float64
        return mx.where(a == 0, mx.array(mx.nan, a.dtype), b / mx.where(a == 0, 1, a))
    if is_complex(a):
        rows = mx.stack([mx.real(b), mx.imag(b)], -2).reshape(*b.shape[:-2], 2 * b.shape[-2], b.shape[-1])
        both = _solve(_as_blocks(a), rows).reshape(*b.shape[:-1], 2, b.shape[-1])
        return both[..., 0, :] + 1j * both[..., 1, :]
    packed, rows, _ = _lu(a)
    lower, upper = lu_parts(packed)
    zero = diagonal(upper) == 0
    upper = upper + embedded_diagonal(zero.astype(a.dtype))
    found = mx.linalg.solve_triangular(lower, take_rows(b, rows), upper=False, stream=mx.cpu)
    return _nan_where(mx.any(zero, -1), mx.linalg.solve_triangular(upper, found, upper=True, stream=mx.cpu))


def _solve_vjp(g: mx.array, a: mx.array, b: mx.array) -> tuple[mx.array, mx.array]:
    g_b = solve(adjoint(a), g)
    return -g_b @ adjoint(solve(a, b)), g_b


# a (..., n, n) and b (..., n, k) of one dtype and batch shape; NaN for singular matrices.
solve: Callable[[mx.array, mx.array], mx.array] = custom_vjp(_solve, _solve_vjp)


def _inv_vjp(g: mx.array, a: mx.array) -> tuple[mx.array]:
    inverse = adjoint(inv(a))
    return (-inverse @ g @ inverse,)


inv: Callable[[mx.array], mx.array] = custom_vjp(lambda a: _solve(a, identity_like(a)), _inv_vjp)


# Determinants --------------------------------------------------------------------------------------------------------


def _det(a: mx.array) -> mx.array:
    if not a.size:
        return mx.ones(a.shape[:-2], a.dtype)
    packed, _, pivots = _lu(a)
    return mx.prod(diagonal(packed), -1) * permutation_sign(pivots, a.dtype)


def _det_vjp(g: mx.array, a: mx.array) -> tuple[mx.array]:
    if not a.size:
        return (mx.zeros_like(a),)
    # The derivative is the matrix of cofactors, det(a) inv(a), also for singular matrices. There a pivot that is 0 is
    # replaced by a small number, which cancels.
    fixed = mx.stop_gradient(a)
    packed, rows, _ = _lu(fixed)
    lower, upper = lu_parts(packed)
    small = mx.finfo(_real_dtype(a)).eps * mx.maximum(mx.max(mx.abs(upper), (-2, -1), keepdims=True), 1e-30)
    change = lower @ (embedded_diagonal((diagonal(upper) == 0).astype(a.dtype)) * small)
    a = a + mx.stop_gradient(take_rows(change, mx.argsort(rows, -1)))
    return (mx.expand_dims(g * conj(det(a)), (-2, -1)) * adjoint(inv(a)),)


det: Callable[[mx.array], mx.array] = custom_vjp(_det, _det_vjp)


def _slogdet(a: mx.array) -> tuple[mx.array, mx.array]:
    if not a.size:
        return mx.ones(a.shape[:-2], a.dtype), mx.zeros(a.shape[:-2], _real_dtype(a))
    packed, _, pivots = _lu(a)
    values = diagonal(packed)
    size = mx.abs(values)
    signs = values / mx.where(size == 0, 1, size)
    return mx.prod(signs, -1) * permutation_sign(pivots, a.dtype), mx.sum(mx.log(size), -1)


def _slogdet_vjp(cotangent: Any, a: mx.array) -> tuple[mx.array]:
    if not a.size:
        return (mx.zeros_like(a),)
    g_sign, g_log = cotangent
    factor = g_log.astype(a.dtype)
    if is_complex(a):
        factor = factor + 1j * mx.imag(mx.conjugate(slogdet(a)[0]) * g_sign)
    return (mx.expand_dims(factor, (-2, -1)) * adjoint(inv(a)),)


# (sign, logarithm of the absolute value)
slogdet: Callable[[mx.array], tuple[mx.array, mx.array]] = custom_vjp(_slogdet, _slogdet_vjp)


# Cholesky ------------------------------------------------------------------------------------------------------------


def _cholesky(a: mx.array) -> mx.array:
    if not a.size:
        return mx.zeros_like(a)
    if is_complex(a):
        return _of_blocks(_cholesky(_as_blocks(a)))
    found = mx.tril(mx.linalg.cholesky(a, stream=mx.cpu))
    return _nan_where(~mx.all(diagonal(found) > 0, -1), found)


def _cholesky_vjp(g: mx.array, a: mx.array) -> tuple[mx.array]:
    factor = cholesky(a)
    inner = mx.tril(adjoint(factor) @ g)
    inner = (inner + adjoint(mx.tril(inner, -1))) / 2
    upper = adjoint(factor)
    left = triangular(True, False)(upper, inner)
    return (adjoint(triangular(True, False)(upper, adjoint(left))),)


# The lower factor, from the lower triangle of ``a``; NaN for matrices that are not positive definite.
cholesky: Callable[[mx.array], mx.array] = custom_vjp(_cholesky, _cholesky_vjp)


def _cholesky_solve(factor: mx.array, b: mx.array) -> mx.array:
    return triangular(True, False)(adjoint(factor), triangular(False, False)(factor, b))


def _cholesky_solve_vjp(g: mx.array, factor: mx.array, b: mx.array) -> tuple[mx.array, mx.array]:
    g_b = cholesky_solve(factor, g)
    inner = g_b @ adjoint(cholesky_solve(factor, b))
    return -(inner + adjoint(inner)) @ factor, g_b


# The solution of ``factor @ adjoint(factor) @ x = b`` for a lower triangle.
cholesky_solve: Callable[[mx.array, mx.array], mx.array] = custom_vjp(_cholesky_solve, _cholesky_solve_vjp)


# QR ------------------------------------------------------------------------------------------------------------------


def householder(a: mx.array) -> tuple[mx.array, mx.array]:
    """LAPACK's geqrf: R above the diagonal, the vectors of the reflections below it, and their factors (..., k)."""
    *batch, m, n = a.shape
    factors = []
    for j in range(min(m, n)):
        alpha, below = a[..., j : j + 1, j : j + 1], a[..., j + 1 :, j : j + 1]
        rest = mx.sum(mx.square(mx.abs(below)), -2, keepdims=True) if below.size else mx.zeros_like(real(alpha))
        norm = mx.sqrt(mx.square(mx.abs(alpha)) + rest)
        none = (rest == 0) & (mx.imag(alpha) == 0) if is_complex(a) else rest == 0
        beta = mx.where(real(alpha) >= 0, -norm, norm).astype(a.dtype)
        safe_beta = mx.where(none, 1, beta)
        tau = mx.where(none, 0, (beta - alpha) / safe_beta)
        vector = mx.where(none, 0, below / mx.where(none, 1, alpha - beta))
        beta = mx.where(none, alpha, beta)
        whole = mx.concatenate([mx.ones_like(alpha), vector], -2)
        right = a[..., j:, j + 1 :]
        right = right - conj(tau) * (whole @ (adjoint(whole) @ right)) if right.size else right
        column = mx.concatenate([beta, vector], -2)
        a = mx.concatenate([a[..., :j, :], mx.concatenate([a[..., j:, :j], column, right], -1)], -2)
        factors.append(tau[..., 0])
    return a, mx.concatenate(factors, -1) if factors else mx.zeros((*batch, 0), a.dtype)


def reflected(vectors: mx.array, factors: mx.array, x: mx.array, *, transpose: bool = False) -> mx.array:
    """``Q @ x`` with the product Q of the reflections of ``householder``, or ``adjoint(Q) @ x``."""
    k = factors.shape[-1]
    for i in range(k) if transpose else reversed(range(k)):
        rows = mx.arange(vectors.shape[-2])[:, None]
        vector = mx.where(rows == i, 1, mx.where(rows < i, 0, vectors[..., i : i + 1]))
        tau = factors[..., i : i + 1, None]
        x = x - (conj(tau) if transpose else tau) * (vector @ (adjoint(vector) @ x))
    return x


def _qr(a: mx.array) -> tuple[mx.array, mx.array]:
    *batch, m, n = a.shape
    k = min(m, n)
    if not a.size:
        return mx.broadcast_to(mx.eye(m, k, dtype=a.dtype), (*batch, m, k)), mx.zeros((*batch, k, n), a.dtype)
    if not is_complex(a):
        q, r = mx.linalg.qr(a, stream=mx.cpu)
        return q, r
    packed, factors = householder(a)
    return reflected(packed, factors, mx.broadcast_to(mx.eye(m, k, dtype=a.dtype), (*batch, m, k))), mx.triu(
        packed[..., :k, :]
    )


def _qr_vjp(cotangent: Any, a: mx.array) -> tuple[mx.array]:
    g_q, g_r = cotangent
    q, r = qr(a)
    k = q.shape[-1]
    wide = None
    if a.shape[-1] > k:  # a = Q [R1 R2]: the columns beyond k are Q R2, and R2 is adjoint(Q) times them
        wide = q @ g_r[..., k:]
        g_q = g_q + a[..., k:] @ adjoint(g_r[..., k:])
        r, g_r = r[..., :k], g_r[..., :k]
    inner = mx.triu(g_r @ adjoint(r) - adjoint(q) @ g_q)
    inner = inner + adjoint(inner) - embedded_diagonal(real(diagonal(inner)).astype(inner.dtype))
    found = _right_divided(g_q + q @ inner, r)
    return (found if wide is None else mx.concatenate([found, wide], -1),)


# Q (..., m, k) and R (..., k, n) with k = min(m, n)
qr: Callable[[mx.array], tuple[mx.array, mx.array]] = custom_vjp(_qr, _qr_vjp)
