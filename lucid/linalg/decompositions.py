"""Cholesky, LU, QR and LDL factorizations, as functions of tensors."""

from typing import Any, NamedTuple

import mlx.core as mx

from lucid import _checks
from lucid._checks import flag
from lucid.kernels import factorizations
from lucid.kernels.factorizations import adjoint, diagonal
from lucid.linalg._matrices import known, matrices, numbers, numbers_of_failures, verify
from lucid.linalg.solving import from_lu
from lucid.ops._common import any_op, index_array
from lucid.ops._types import TensorLike
from lucid.tape import op

NOT_POSITIVE = "is not positive definite"
SINGULAR = "is singular: a diagonal element of U is 0"


class CholeskyEx(NamedTuple):
    """The factors, and the size of the first leading minor that is not positive definite, 0 if there is none."""

    L: mx.array
    info: mx.array


class LU(NamedTuple):
    """The permutations and factors."""

    P: mx.array
    L: mx.array
    U: mx.array


class LUFactor(NamedTuple):
    """L, without its diagonal of ones, and U in one matrix; the rows that were exchanged, from 1 (int32)."""

    LU: mx.array
    pivots: mx.array


class LUFactorEx(NamedTuple):
    """As ``LUFactor``, and the number of the first zero pivot, 0 if there is none."""

    LU: mx.array
    pivots: mx.array
    info: mx.array


class QR(NamedTuple):
    """The orthogonal and the triangular factors."""

    Q: mx.array
    R: mx.array


class Reflections(NamedTuple):
    """R and the vectors of the reflections below it in one matrix, and the factors of the reflections."""

    a: mx.array
    tau: mx.array


# Cholesky ------------------------------------------------------------------------------------------------------------


def _cholesky(a: mx.array, upper: bool) -> mx.array:
    # Of the upper triangle's adjoint for the upper factor. Only one triangle is read.
    return adjoint(factorizations.cholesky(adjoint(a))) if upper else factorizations.cholesky(a)


def _first_minor(a: mx.array, upper: bool) -> mx.array:
    """The number of the first column at which the factorization fails, from 1; 0 for success (int32)."""
    if not a.size:
        return mx.zeros(a.shape[:-2], mx.int32)
    factor = mx.linalg.cholesky(mx.stop_gradient(adjoint(a) if upper else a), stream=mx.cpu)
    bad = ~(diagonal(factor) > 0)
    return mx.where(mx.any(bad, -1), mx.argmax(bad, -1).astype(mx.int32) + 1, 0)


def _minor_info(a: mx.array, upper: bool) -> mx.array:
    if a.dtype != mx.complex64:
        return _first_minor(a, upper)
    failed = mx.any(mx.isnan(mx.real(diagonal(_cholesky(mx.stop_gradient(a), upper)))), -1)
    n = a.shape[-1]
    info = mx.zeros(a.shape[:-2], mx.int32)
    for k in range(n, 0, -1):  # the smallest leading minor that fails
        part = mx.stop_gradient(a[..., :k, :k])
        wrong = mx.any(mx.isnan(mx.real(diagonal(_cholesky(part, upper)))), -1)
        info = mx.where(wrong & failed, k, info)
    return info


@op(autocast="float32")
def cholesky(input: TensorLike, upper: bool = False, *, out: None = None) -> mx.array:
    """The lower triangular L with ``input = L @ L.mH``, or ``L.mH`` if ``upper``.

    ``input`` holds positive definite matrices (..., n, n). Reads the triangle that it returns only. Runs on the CPU.

    Raises:
        LinAlgError: a matrix is not positive definite. On a GPU and in compiled functions its factor is NaN instead.

    Example:
        >>> lucid.linalg.cholesky(lucid.tensor([[4.0, 2.0], [2.0, 2.0]])).tolist()
        [[2.0, 0.0], [1.0, 1.0]]
    """
    a = matrices("cholesky", input, square=True)
    upper = flag("cholesky", "upper", upper)
    return verify("cholesky", _cholesky(a, upper), lambda: _minor_info(a, upper) != 0, NOT_POSITIVE)


@any_op
def cholesky_ex(input: TensorLike, *, upper: bool = False, check_errors: bool = False, out: None = None) -> CholeskyEx:
    """``cholesky`` that does not raise: the factors of matrices that are not positive definite are NaN."""
    a = matrices("cholesky_ex", input, square=True)
    upper = flag("cholesky_ex", "upper", upper)
    info = numbers_of_failures("cholesky_ex", _minor_info(a, upper), check_errors, NOT_POSITIVE)
    return CholeskyEx(_cholesky(a, upper), info)


# LU ------------------------------------------------------------------------------------------------------------------


def check_pivot(caller: str, pivot: Any) -> None:
    if not flag(caller, "pivot", pivot):
        raise _checks.ArgumentError(f"{caller}: pivot=False is not supported, on CPUs not by PyTorch either")


def _permutation(rows: mx.array, dtype: mx.Dtype) -> mx.array:
    """The matrices P with ``P @ x`` for the inverse order of ``rows``."""
    m = rows.shape[-1]
    columns = mx.arange(m, dtype=rows.dtype)[:, None]
    return (columns == mx.expand_dims(rows, -2)).astype(dtype)


@any_op
def lu(input: TensorLike, *, pivot: bool = True, out: None = None) -> LU:
    """The factors of ``input = P @ L @ U``, matrices (..., m, n), with k = min(m, n). Runs on the CPU.

    Shapes: P (..., m, m), L (..., m, k) with ones on the diagonal, U (..., k, n).

    Example:
        >>> P, L, U = lucid.linalg.lu(lucid.tensor([[0.0, 2.0], [4.0, 2.0]]))
        >>> L.tolist(), U.tolist()
        ([[1.0, 0.0], [0.0, 1.0]], [[4.0, 2.0], [0.0, 2.0]])
    """
    a = matrices("lu", input)
    check_pivot("lu", pivot)
    packed, rows, _ = factorizations.lu(a)
    return LU(_permutation(mx.stop_gradient(rows), a.dtype), *factorizations.lu_parts(packed))


def packed_lu(a: mx.array) -> tuple[mx.array, mx.array]:
    packed, _, pivots = factorizations.lu(a)
    return packed, mx.stop_gradient(pivots).astype(mx.int32) + 1


def pivot_info(a: mx.array) -> mx.array:
    k = min(a.shape[-2:])
    if not k or not a.size:
        return mx.zeros(a.shape[:-2], mx.int32)
    zero = diagonal(factorizations.lu(mx.stop_gradient(a))[0]) == 0
    return mx.where(mx.any(zero, -1), mx.argmax(zero, -1).astype(mx.int32) + 1, 0)


@any_op
def lu_factor(input: TensorLike, *, pivot: bool = True, out: None = None) -> LUFactor:
    """``lu`` in the form that ``lu_solve`` takes. Runs on the CPU.

    Raises:
        LinAlgError: a matrix is singular, where values are read: on CPUs outside of compiled functions.
    """
    a = matrices("lu_factor", input)
    check_pivot("lu_factor", pivot)
    numbers_of_failures("lu_factor", pivot_info(a), True, SINGULAR)
    return LUFactor(*packed_lu(a))


@any_op
def lu_factor_ex(input: TensorLike, *, pivot: bool = True, check_errors: bool = False, out: None = None) -> LUFactorEx:
    """``lu_factor`` that does not raise."""
    a = matrices("lu_factor_ex", input)
    check_pivot("lu_factor_ex", pivot)
    info = numbers_of_failures("lu_factor_ex", pivot_info(a), check_errors, SINGULAR)
    return LUFactorEx(*packed_lu(a), info)


@op(autocast="float32")
def lu_solve(
    LU: TensorLike, pivots: TensorLike, B: TensorLike, *, left: bool = True, adjoint: bool = False, out: None = None
) -> mx.array:
    """The solution x of ``A @ x = B`` from ``LU, pivots = lu_factor(A)``, of ``x @ A = B`` with ``left=False``.

    ``adjoint`` takes the conjugate transpose of A instead.
    """
    packed, b = matrices("lu_solve", LU, "LU", square=True), matrices("lu_solve", B, "B")
    left, is_adjoint = flag("lu_solve", "left", left), flag("lu_solve", "adjoint", adjoint)
    if packed.shape[-1] != b.shape[-2 if left else -1]:
        raise _checks.ArgumentError(f"lu_solve: shapes {packed.shape} and {b.shape} do not fit")
    return from_lu("lu_solve", packed, pivots, b, left, is_adjoint)


@any_op
def lu_unpack(
    LU_data: TensorLike,
    LU_pivots: TensorLike,
    unpack_data: bool = True,
    unpack_pivots: bool = True,
    *,
    out: None = None,
) -> LU:
    """``P, L, U`` of what ``lu_factor`` returns; parts that are not wanted are empty."""
    packed = matrices("lu_unpack", LU_data, "LU_data")
    m, n = packed.shape[-2:]
    pivots = index_array("lu_unpack", LU_pivots, "LU_pivots")
    if pivots.dtype != mx.int32:
        raise _checks.DtypeError(
            f"lu_unpack: LU_pivots must be int32, as lu_factor gives them, got {_checks.dtype_name(pivots.dtype)}"
        )
    if pivots.shape != (*packed.shape[:-2], min(m, n)):
        raise _checks.ArgumentError(f"lu_unpack: LU_pivots of shape {pivots.shape} do not fit LU of {packed.shape}")
    permutation = lower = upper = mx.zeros((0,), packed.dtype)
    if flag("lu_unpack", "unpack_pivots", unpack_pivots):
        values = known(pivots)
        if values is not None and ((values < 1) | (values > m)).any():
            raise _checks.ArgumentError(f"lu_unpack: LU_pivots must be in [1, {m}]")
        rows = factorizations.rows_of_pivots(mx.clip(pivots - 1, 0, max(m - 1, 0)), m)
        permutation = _permutation(rows, packed.dtype)
    if flag("lu_unpack", "unpack_data", unpack_data):
        lower, upper = factorizations.lu_parts(packed)
    return LU(permutation, lower, upper)


# QR ------------------------------------------------------------------------------------------------------------------


@any_op
def qr(input: TensorLike, mode: str = "reduced", *, out: None = None) -> QR:
    """The factors of ``input = Q @ R``, matrices (..., m, n), with k = min(m, n). Runs on the CPU.

    Args:
        mode: "reduced" for Q (..., m, k) and R (..., k, n), "complete" for Q (..., m, m) and R (..., m, n), or "r"
            for R alone, with an empty Q.

    Example:
        >>> Q, R = lucid.linalg.qr(lucid.tensor([[3.0], [4.0]]))
        >>> R.abs().tolist()
        [[5.0]]
    """
    a = matrices("qr", input)
    return qr_of("qr", a, _checks.one_of("qr", "mode", mode, ("reduced", "complete", "r")))


def qr_of(caller: str, a: mx.array, mode: str) -> QR:
    m, n = a.shape[-2:]
    if mode == "complete" and m > n:
        packed, factors = factorizations.householder(a)
        eye = mx.broadcast_to(mx.eye(m, dtype=a.dtype), (*a.shape[:-1], m))
        q, r = factorizations.reflected(packed, factors, eye), mx.triu(packed)
        return QR(q, r)
    q, r = factorizations.qr(a)
    return QR(mx.zeros((0,), a.dtype) if mode == "r" else q, r)


def _reflections(caller: str, input: Any, tau: Any) -> tuple[mx.array, mx.array]:
    vectors, factors = matrices(caller, input), numbers(caller, tau, "tau")
    m, n = vectors.shape[-2:]
    if caller != "ormqr" and m < n:
        raise _checks.ArgumentError(f"{caller}: input must have at least as many rows as columns, got {vectors.shape}")
    if factors.dtype != vectors.dtype:
        raise _checks.DtypeError(
            f"{caller}: tau must have the dtype of input, {_checks.dtype_name(vectors.dtype)}, got "
            f"{_checks.dtype_name(factors.dtype)}"
        )
    if factors.ndim != vectors.ndim - 1 or factors.shape[:-1] != vectors.shape[:-2] or factors.shape[-1] > n:
        raise _checks.ArgumentError(f"{caller}: tau of shape {factors.shape} does not fit input of {vectors.shape}")
    return vectors, factors


def householder_of(caller: str, input: Any, tau: Any) -> mx.array:
    vectors, factors = _reflections(caller, input, tau)
    m, n = vectors.shape[-2:]
    return factorizations.reflected(vectors, factors, mx.broadcast_to(mx.eye(m, n, dtype=vectors.dtype), vectors.shape))


@op(autocast="float32")
def householder_product(input: TensorLike, tau: TensorLike, *, out: None = None) -> mx.array:
    """The first n columns of the product of the k reflections that ``geqrf`` returns.

    Shapes: input (..., m, n), tau (..., k), out (..., m, n).
    """
    return householder_of("householder_product", input, tau)


@op(autocast="float32")
def ormqr(
    input: TensorLike,
    input2: TensorLike,
    input3: TensorLike,
    left: bool = True,
    transpose: bool = False,
    *,
    out: None = None,
) -> mx.array:
    """``Q @ input3`` with the product Q (..., m, m) of the reflections that ``geqrf`` returns, or ``input3 @ Q``.

    ``transpose`` takes the conjugate transpose of Q instead.
    """
    vectors, factors = _reflections("ormqr", input, input2)
    x = matrices("ormqr", input3, "input3")
    left, is_adjoint = flag("ormqr", "left", left), flag("ormqr", "transpose", transpose)
    if x.dtype != vectors.dtype:
        raise _checks.DtypeError(
            f"ormqr: input3 must have the dtype of input, {_checks.dtype_name(vectors.dtype)}, got "
            f"{_checks.dtype_name(x.dtype)}"
        )
    if x.shape[-2 if left else -1] != vectors.shape[-2] or x.shape[:-2] != vectors.shape[:-2]:
        raise _checks.ArgumentError(f"ormqr: input3 of shape {x.shape} does not fit input of {vectors.shape}")
    if left:
        return factorizations.reflected(vectors, factors, x, transpose=is_adjoint)
    return adjoint(factorizations.reflected(vectors, factors, adjoint(x), transpose=not is_adjoint))


@any_op
def geqrf(input: TensorLike, *, out: None = None) -> Reflections:
    """LAPACK's form of the QR factorization, which ``householder_product`` and ``ormqr`` take.

    A loop over the columns in MLX's own operations, so it runs on the current device.
    """
    return Reflections(*factorizations.householder(matrices("geqrf", input)))
