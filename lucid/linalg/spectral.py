"""Eigenvalues, singular values, and what follows from them."""

from typing import Any, NamedTuple

import mlx.core as mx

from lucid import _checks
from lucid._checks import flag
from lucid.kernels import factorizations, spectra
from lucid.linalg._matrices import matrices, verify
from lucid.linalg.solving import cutoff
from lucid.ops._common import any_op
from lucid.ops._norms import matrix_norm, real_dtype
from lucid.ops._types import TensorLike
from lucid.tape import op

NOT_FINITE = "holds NaN or infinite values"


class Eigh(NamedTuple):
    """The eigenvalues, ascending, and the eigenvectors, as columns."""

    eigenvalues: mx.array
    eigenvectors: mx.array


class Eig(NamedTuple):
    """The eigenvalues and the eigenvectors, as columns."""

    eigenvalues: mx.array
    eigenvectors: mx.array


class SVD(NamedTuple):
    """The left singular vectors, the singular values, descending, and the adjoint of the right singular vectors."""

    U: mx.array
    S: mx.array
    Vh: mx.array


def finite(caller: str, result: mx.array, a: mx.array) -> mx.array:
    return verify(caller, result, lambda: ~mx.all(mx.isfinite(a), (-2, -1)), NOT_FINITE)


def _triangle(caller: str, UPLO: Any) -> str:
    if not isinstance(UPLO, str) or UPLO.upper() not in ("L", "U"):
        raise _checks.ArgumentError(f"{caller}: UPLO must be 'L' or 'U', got {UPLO!r:.60}")
    return UPLO.upper()


@any_op
def eigh(input: TensorLike, UPLO: str = "L", *, out: None = None) -> Eigh:
    """The eigenvalues (..., n), ascending, and eigenvectors (..., n, n) of symmetric or Hermitian matrices.

    Reads the lower triangle only, or with ``UPLO="U"`` the upper one. Runs on the CPU. Eigenvectors are determined up
    to a sign, or a phase if complex: LAPACK on another machine may choose another one. Their gradient is not finite if
    eigenvalues are equal.

    Raises:
        LinAlgError: a matrix holds NaN or infinite values.

    Example:
        >>> lucid.linalg.eigh(lucid.tensor([[2.0, 0.0], [0.0, 1.0]])).eigenvalues.tolist()
        [1.0, 2.0]
    """
    a = matrices("eigh", input, square=True)
    values, vectors = spectra.eigh(_triangle("eigh", UPLO))(a)
    return Eigh(finite("eigh", values, a), vectors)


@op(autocast="float32")
def eigvalsh(input: TensorLike, UPLO: str = "L", *, out: None = None) -> mx.array:
    """The eigenvalues of ``eigh`` alone."""
    a = matrices("eigvalsh", input, square=True)
    return finite("eigvalsh", spectra.eigh(_triangle("eigvalsh", UPLO))(a)[0], a)


@any_op
def eig(input: TensorLike, *, out: None = None) -> Eig:
    """The eigenvalues (..., n) and eigenvectors (..., n, n) of square matrices, both complex64. Runs on the CPU.

    The order of the values is LAPACK's; vectors have length 1 and are determined up to a phase.

    Raises:
        LinAlgError: a matrix holds NaN or infinite values.
    """
    a = matrices("eig", input, square=True)
    values, vectors = spectra.eig(a)
    return Eig(finite("eig", values, a), vectors)


@op(autocast="float32")
def eigvals(input: TensorLike, *, out: None = None) -> mx.array:
    """The eigenvalues of ``eig`` alone."""
    a = matrices("eigvals", input, square=True)
    return finite("eigvals", spectra.eig(a)[0], a)


def _driver(caller: str, driver: Any) -> None:
    if driver is not None:
        raise _checks.ArgumentError(f"{caller}: driver chooses a routine of CUDA and must be None, got {driver!r:.60}")


@any_op
def svd(input: TensorLike, full_matrices: bool = True, *, driver: str | None = None, out: None = None) -> SVD:
    """The factors of ``input = U @ diag(S) @ Vh``, matrices (..., m, n), with k = min(m, n). Runs on the CPU.

    Shapes: S (..., k), U (..., m, m) and Vh (..., n, n), or (..., m, k) and (..., k, n) with ``full_matrices=False``.
    Vectors are determined up to a sign, or a phase if complex: LAPACK on another machine may choose another one. Their
    gradient is not finite if singular values are equal or, with m != n, 0; that of ``svdvals`` is.

    Raises:
        LinAlgError: a matrix holds NaN or infinite values.

    Example:
        >>> lucid.linalg.svd(lucid.tensor([[3.0, 0.0], [0.0, 4.0]])).S.tolist()
        [4.0, 3.0]
    """
    a = matrices("svd", input)
    _driver("svd", driver)
    u, s, vh = spectra.svd(flag("svd", "full_matrices", full_matrices))(a)
    return SVD(u, finite("svd", s, a), vh)


@op(autocast="float32")
def svdvals(input: TensorLike, *, driver: str | None = None, out: None = None) -> mx.array:
    """The singular values of matrices (..., m, n), descending. Runs on the CPU."""
    a = matrices("svdvals", input)
    _driver("svdvals", driver)
    return finite("svdvals", spectra.singular_values(a), a)


@op(autocast="float32")
def matrix_rank(
    input: TensorLike,
    tol: Any = None,
    hermitian: bool = False,
    *,
    atol: Any = None,
    rtol: Any = None,
    out: None = None,
) -> mx.array:
    """The number of singular values above ``max(atol, rtol * largest)``, int64. Runs on the CPU.

    By default ``rtol`` is ``max(m, n)`` times the precision of the dtype, or 0 if ``atol`` is given. ``hermitian`` says
    that the matrices are. ``tol`` is an old name of ``atol``.

    Example:
        >>> lucid.linalg.matrix_rank(lucid.ones(3, 3)).item()
        1
    """
    a = matrices("matrix_rank", input, square=flag("matrix_rank", "hermitian", hermitian))
    if not a.size:
        return mx.zeros(a.shape[:-2], mx.int64)
    if hermitian:
        values = mx.abs(spectra.eigh("L")(a)[0])
    else:
        values = spectra.singular_values(a)
    largest = mx.max(values, -1)
    bound = cutoff("matrix_rank", a, largest, atol if tol is None else tol, 0.0 if tol is not None else rtol)
    return mx.sum(values > mx.expand_dims(bound, -1), -1).astype(mx.int64)


@op(autocast="float32")
def cond(input: TensorLike, p: float | str | None = None, *, out: None = None) -> mx.array:
    """The condition number of matrices: the quotient of the extreme singular values, or ``|A| * |A^-1|`` in a norm.

    ``p`` is an order of ``matrix_norm``; ``None`` and 2 take singular values, and -2 their inverse quotient. A singular
    matrix has the condition number infinity.
    """
    a = matrices("cond", input, square=p not in (None, 2, -2))
    if p in (None, 2, -2):
        if not a.size:
            return mx.zeros(a.shape[:-2], real_dtype(a.dtype))
        s = spectra.singular_values(a)
        return s[..., -1] / s[..., 0] if p == -2 else s[..., 0] / s[..., -1]
    if not a.size:
        return mx.zeros(a.shape[:-2], real_dtype(a.dtype))
    inverse = factorizations.inv(a)
    size = matrix_norm("cond", a, p, (-2, -1), False) * matrix_norm("cond", inverse, p, (-2, -1), False)
    return mx.where(mx.any(mx.isnan(inverse), (-2, -1)) & ~mx.any(mx.isnan(a), (-2, -1)), mx.inf, size)
