"""Approximate factorizations of matrices of low rank, by random projections.

Source: Halko, Martinsson and Tropp, Finding structure with randomness, SIAM Review 53 (2011), arXiv:0909.4061.
"""

from __future__ import annotations

from lucid import _checks, random
from lucid._tensor import Tensor
from lucid.linalg.decompositions import qr
from lucid.linalg.spectral import svd
from lucid.ops import arithmetic, matrix, reduction, shape
from lucid.ops.complex_numbers import conj


def _adjoint(x: Tensor) -> Tensor:
    found: Tensor = conj(shape.transpose(x, -2, -1))
    return found


def _basis(a: Tensor, q: int, niter: int) -> Tensor:
    """A matrix (..., m, q) with orthonormal columns whose products come close to those of ``a`` (..., m, n)."""
    drawn = random.randn(a.shape[-1], q, dtype=a.dtype)
    basis: Tensor = qr(matrix.matmul(a, drawn)).Q
    for _ in range(niter):
        basis = qr(matrix.matmul(_adjoint(a), basis)).Q
        basis = qr(matrix.matmul(a, basis)).Q
    return basis


def _factors(caller: str, a: Tensor, q: int, niter: int) -> tuple[Tensor, Tensor, Tensor]:
    if not isinstance(a, Tensor) or a.ndim < 2:
        shown = a.shape if isinstance(a, Tensor) else type(a).__name__
        raise _checks.ArgumentError(f"{caller}: A must be a tensor of matrices (..., m, n), got {shown}")
    m, n = a.shape[-2:]
    q, niter = _checks.integer(caller, "q", q, 0), _checks.integer(caller, "niter", niter, 0)
    wide = m < n
    a = _adjoint(a) if wide else a
    basis = _basis(a, q, niter)
    u, s, vh = svd(matrix.matmul(_adjoint(basis), a), full_matrices=False)
    left, right = matrix.matmul(basis, u), _adjoint(vh)
    return (right, s, left) if wide else (left, s, right)


def svd_lowrank(A: Tensor, q: int = 6, niter: int = 2, M: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """U (..., m, q), S (..., q) and V (..., n, q) with ``A - M`` close to ``U @ diag(S) @ V.mH``.

    Args:
        q: A little more than the rank of A.
        niter: How often to refine the approximation.
        M: What to subtract from A; its shape broadcasts.
    """
    return _factors("svd_lowrank", A if M is None else arithmetic.sub(A, M), q, niter)


def pca_lowrank(A: Tensor, q: int | None = None, center: bool = True, niter: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    """The principal components of rows: ``svd_lowrank`` of A (..., m, n) without the mean of its rows, if ``center``.

    ``q`` is ``min(6, m, n)`` by default.
    """
    if isinstance(A, Tensor) and A.ndim > 1:
        most = min(A.shape[-2:])
        q = min(6, most) if q is None else _checks.integer("pca_lowrank", "q", q, 0)
        if q > most:
            raise ValueError(f"pca_lowrank: q must be at most {most} for matrices of shape {A.shape[-2:]}, got {q}")
        A = arithmetic.sub(A, reduction.mean(A, -2, True)) if _checks.flag("pca_lowrank", "center", center) else A
    return _factors("pca_lowrank", A, 6 if q is None else q, niter)
