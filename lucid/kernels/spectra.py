"""Eigenvalues, singular values and the pseudoinverse, with gradients of every order: see ``factorizations``.

Vectors are determined up to a sign, or a phase if complex, and those of equal values up to a rotation. The gradient of
what depends on that choice is not defined; with equal values it is NaN or infinite, as in PyTorch.
"""

import functools
from collections.abc import Callable
from typing import Any

import mlx.core as mx

from lucid.kernels import factorizations
from lucid.kernels.custom_vjp import custom_vjp
from lucid.kernels.factorizations import adjoint, diagonal, embedded_diagonal, is_complex, real


def _finite(a: mx.array) -> tuple[mx.array, mx.array]:
    """``a`` with zeros for matrices that hold NaN or infinity, for which LAPACK fails, and which these are."""
    bad = ~mx.all(mx.isfinite(a), (-2, -1), keepdims=True)
    return mx.where(bad, mx.zeros_like(a), a), bad


def _marked(bad: mx.array, x: mx.array, vector: bool = False) -> mx.array:
    return mx.where(bad[..., 0] if vector else bad, mx.array(mx.nan, x.dtype), x)


def _gaps(values: mx.array) -> mx.array:
    """``values[j] - values[i]`` at (i, j), and 1 on the diagonal."""
    gaps = mx.expand_dims(values, -2) - mx.expand_dims(values, -1)
    return gaps + mx.eye(values.shape[-1], dtype=values.dtype)


def _with_diagonal(x: mx.array, values: mx.array) -> mx.array:
    return mx.where(mx.eye(x.shape[-1], dtype=mx.bool_), embedded_diagonal(values.astype(x.dtype)), x)


# Eigenvalues ---------------------------------------------------------------------------------------------------------


@functools.cache
def eigh(triangle: str) -> Callable[[mx.array], tuple[mx.array, mx.array]]:
    """Eigenvalues (..., n), ascending, and eigenvectors (..., n, n) of Hermitian matrices, from one triangle of them.

    ``triangle`` is "L" or "U". The gradient is that of a Hermitian matrix.
    """

    def forward(a: mx.array) -> tuple[mx.array, mx.array]:
        if not a.size:
            return real(diagonal(a)), mx.zeros_like(a)
        # MLX reads the other triangle of complex matrices, so both are filled.
        part = mx.tril(a, -1) if triangle == "L" else mx.triu(a, 1)
        a, bad = _finite(part + adjoint(part) + embedded_diagonal(real(diagonal(a)).astype(a.dtype)))
        values, vectors = mx.linalg.eigh(a, stream=mx.cpu)
        return _marked(bad, values, True), _marked(bad, vectors)

    def pull(cotangent: Any, a: mx.array) -> tuple[mx.array]:
        g_values, g_vectors = cotangent
        values, vectors = decomposition(a)
        inner = adjoint(vectors) @ g_vectors
        inner = (inner - adjoint(inner)) / (2 * _gaps(values).astype(a.dtype))
        return (vectors @ _with_diagonal(inner, g_values) @ adjoint(vectors),)

    decomposition: Callable[[mx.array], tuple[mx.array, mx.array]] = custom_vjp(forward, pull)
    return decomposition


def _eig(a: mx.array) -> tuple[mx.array, mx.array]:
    if not a.size:
        return diagonal(a).astype(mx.complex64), a.astype(mx.complex64)
    a, bad = _finite(a)
    values, vectors = mx.linalg.eig(a, stream=mx.cpu)
    vectors = mx.conjugate(vectors) if is_complex(a) else vectors  # MLX 0.32 gives those of the conjugate
    return _marked(bad, values, True), _marked(bad, vectors)


def _eig_vjp(cotangent: Any, a: mx.array) -> tuple[mx.array]:
    g_values, g_vectors = cotangent
    values, vectors = eig(a)
    inner = adjoint(vectors) @ g_vectors
    sizes = mx.real(diagonal(inner)).astype(mx.complex64)  # along which vectors of length 1 do not change
    inner = (inner - adjoint(vectors) @ (vectors * mx.expand_dims(sizes, -2))) / mx.conjugate(_gaps(values))
    found = factorizations.solve(adjoint(vectors), _with_diagonal(inner, g_values) @ adjoint(vectors))
    return (found if is_complex(a) else mx.real(found).astype(a.dtype),)


# Eigenvalues (..., n) and eigenvectors (..., n, n) of square matrices, both complex64.
eig: Callable[[mx.array], tuple[mx.array, mx.array]] = custom_vjp(_eig, _eig_vjp)


# Singular values -----------------------------------------------------------------------------------------------------


@functools.cache
def svd(full: bool) -> Callable[[mx.array], tuple[mx.array, mx.array, mx.array]]:
    """U, S (..., k), descending, and the adjoint of V: ``a = U @ diag(S) @ Vh``.

    U is (..., m, m) and Vh (..., n, n) if ``full``, otherwise (..., m, k) and (..., k, n) with k = min(m, n). The
    gradient of the vectors beyond k is not defined; it counts as 0.
    """

    def forward(a: mx.array) -> tuple[mx.array, mx.array, mx.array]:
        *batch, m, n = a.shape
        k = min(m, n)
        rows, columns = (m, n) if full else (k, k)
        if not a.size:
            eyes = (mx.eye(*one, dtype=a.dtype) for one in ((m, rows), (columns, n)))
            left, right = (mx.broadcast_to(one, (*batch, *one.shape)) for one in eyes)
            return left, mx.zeros((*batch, k), real(a).dtype), right
        if m < n and not full:
            u, s, vh = forward(adjoint(a))
            return adjoint(vh), s, adjoint(u)
        a, bad = _finite(a)
        if m > n and not full:  # MLX always computes all of U
            q, r = factorizations.qr(a)
            u, s, vh = mx.linalg.svd(r, stream=mx.cpu)
            u = q @ u
        else:
            u, s, vh = mx.linalg.svd(a, stream=mx.cpu)
        return _marked(bad, u), _marked(bad, s, True), _marked(bad, vh)

    def pull(cotangent: Any, a: mx.array) -> tuple[mx.array]:
        m, n = a.shape[-2:]
        k = min(m, n)
        g_u, g_s, g_vh = cotangent
        u, s, vh = decomposition(a)
        u, vh, g_u, g_vh = u[..., :k], vh[..., :k, :], g_u[..., :k], g_vh[..., :k, :]
        size = s.astype(a.dtype)
        across, along = mx.expand_dims(size, -2), mx.expand_dims(size, -1)
        left, right = adjoint(u) @ g_u, vh @ adjoint(g_vh)
        left, right = left - adjoint(left), right - adjoint(right)
        inner = (left * across + along * right) / _gaps(mx.square(s)).astype(a.dtype)
        inner = _with_diagonal(inner, g_s)
        if is_complex(a):
            inner = inner + embedded_diagonal(diagonal(left) / (2 * size))
        found = u @ inner
        if m > k:
            scaled = g_u / across
            found = found + scaled - u @ (adjoint(u) @ scaled)
        found = found @ vh
        if n > k:
            scaled = g_vh / along
            found = found + u @ (scaled - (scaled @ adjoint(vh)) @ vh)
        return (found,)

    decomposition: Callable[[mx.array], tuple[mx.array, mx.array, mx.array]] = custom_vjp(forward, pull)
    return decomposition


def _singular_values_vjp(g: mx.array, a: mx.array) -> tuple[mx.array]:
    u, _, vh = svd(False)(a)
    return ((u * mx.expand_dims(g.astype(a.dtype), -2)) @ vh,)


# (..., k), descending. Their own gradient is finite for equal values too.
singular_values: Callable[[mx.array], mx.array] = custom_vjp(lambda a: svd(False)(a)[1], _singular_values_vjp)


# The pseudoinverse ---------------------------------------------------------------------------------------------------


def _pinv(a: mx.array, cutoff: mx.array) -> mx.array:
    u, s, vh = svd(False)(a)
    kept = s > mx.expand_dims(cutoff, -1)
    inverse = mx.where(kept, 1 / mx.where(kept, s, 1), 0).astype(a.dtype)
    return (adjoint(vh) * mx.expand_dims(inverse, -2)) @ adjoint(u)


def _hermitian_pinv(a: mx.array, cutoff: mx.array) -> mx.array:
    values, vectors = eigh("L")(a)
    kept = mx.abs(values) > mx.expand_dims(cutoff, -1)
    inverse = mx.where(kept, 1 / mx.where(kept, values, 1), 0).astype(a.dtype)
    return (vectors * mx.expand_dims(inverse, -2)) @ adjoint(vectors)


@functools.cache
def pinv(hermitian: bool) -> Callable[[mx.array, mx.array], mx.array]:
    """``inverse(a, cutoff)``, for which singular values up to ``cutoff`` (...) count as 0.

    ``hermitian`` says that the matrices are, and reads their lower triangle only.
    """

    def pull(g: mx.array, a: mx.array, cutoff: mx.array) -> tuple[mx.array, mx.array]:
        inverse = inverted(a, cutoff)
        inverse_h, g_h = adjoint(inverse), adjoint(g)
        if a.shape[-2] <= a.shape[-1]:
            inner = g_h @ inverse
            outer = inner @ inverse_h
            found = outer - adjoint(inverse @ inner) - (a @ inverse) @ outer
            found = found + (inverse_h @ inverse) @ (g_h - inner @ a)
        else:
            inner = inverse @ g_h
            outer = inverse_h @ inner
            found = outer - adjoint(inner @ inverse) - (outer @ inverse) @ a
            found = found + (g_h - a @ inner) @ (inverse @ inverse_h)
        return found, mx.zeros_like(cutoff)

    inverted: Callable[[mx.array, mx.array], mx.array] = custom_vjp(_hermitian_pinv if hermitian else _pinv, pull)
    return inverted
