"""The functions of linear algebra that are ``lucid.X`` only, not ``lucid.linalg.X``, or differ there."""

from typing import Any, NamedTuple

import mlx.core as mx

from lucid import _checks
from lucid._checks import flag
from lucid.kernels import factorizations, spectra
from lucid.kernels.factorizations import adjoint, transposed
from lucid.linalg._matrices import matrices, same_batch, same_rows, verify
from lucid.linalg.decompositions import (
    QR,
    LUFactor,
    LUFactorEx,
    check_pivot,
    householder_of,
    packed_lu,
    pivot_info,
    qr_of,
)
from lucid.linalg.products import cross_of, cross_operands, multiplied
from lucid.linalg.solving import SINGULAR, first_zero_pivot, from_cholesky, from_lu, pseudoinverse
from lucid.linalg.spectral import finite
from lucid.ops._common import LOW_PRECISION, any_op, array, promoted
from lucid.ops._norms import power_norm, real_dtype
from lucid.ops._types import TensorLike
from lucid.tape import op


class TriangularSolve(NamedTuple):
    """The solution, and a copy of the matrix."""

    solution: mx.array
    cloned_coefficient: mx.array


class OldSVD(NamedTuple):
    """The left singular vectors, the singular values, descending, and the right singular vectors."""

    U: mx.array
    S: mx.array
    V: mx.array


@op
def cross(input: TensorLike, other: TensorLike, dim: int | None = None, *, out: None = None) -> mx.array:
    """``lucid.linalg.cross`` over ``dim``, by default the first dimension of size 3."""
    x, other = cross_operands("cross", input, other)
    if dim is None:
        shape = _checks.broadcast_shapes("cross", x.shape, other.shape)
        if 3 not in shape:
            raise _checks.ArgumentError(f"cross: no dimension of shape {shape} has size 3")
        dim = shape.index(3)
    return cross_of("cross", x, other, _checks.dim("cross", dim, x.ndim))


@op(autocast="float32")
def dist(input: TensorLike, other: TensorLike, p: float = 2) -> mx.array:
    """The ``p``-norm of ``input - other``, over all elements; the shapes broadcast."""
    x, y = promoted(array("dist", input), array("dist", other, "other"))
    if not mx.issubdtype(x.dtype, mx.inexact):
        raise _checks.DtypeError(f"dist: expected floating-point numbers, got {_checks.dtype_name(x.dtype)}")
    _checks.broadcast_shapes("dist", x.shape, y.shape)
    order = _checks.number("dist", "p", p)
    wide = mx.float32 if x.dtype in LOW_PRECISION else x.dtype
    difference = x.astype(wide) - y.astype(wide)
    found = power_norm("dist", difference, order, tuple(range(difference.ndim)), False)
    return found.astype(real_dtype(x.dtype))


@op(autocast="half")
def chain_matmul(*matrices: Any, out: None = None) -> mx.array:
    """``lucid.linalg.multi_dot`` of the arguments."""
    return multiplied("chain_matmul", list(matrices))


@any_op
def lu(input: TensorLike, pivot: bool = True, get_infos: bool = False, out: None = None) -> Any:
    """(LU, pivots), with ``get_infos`` also the number of the first zero pivot of each matrix."""
    a = matrices("lu", input)
    check_pivot("lu", pivot)
    if flag("lu", "get_infos", get_infos):
        return LUFactorEx(*packed_lu(a), pivot_info(a))
    return LUFactor(*packed_lu(a))


@op(autocast="float32")
def lu_solve(input: TensorLike, LU_data: TensorLike, LU_pivots: TensorLike, *, out: None = None) -> mx.array:
    """The solution x of ``A @ x = input`` from ``LU_data, LU_pivots = lu_factor(A)``."""
    packed, right = matrices("lu_solve", LU_data, "LU_data", square=True), matrices("lu_solve", input)
    if packed.shape[-1] != right.shape[-2]:
        raise _checks.ArgumentError(f"lu_solve: shapes {packed.shape} and {right.shape} do not fit")
    return from_lu("lu_solve", packed, LU_pivots, right)


@any_op
def qr(input: TensorLike, some: bool = True, *, out: None = None) -> QR:
    """``lucid.linalg.qr``, in mode "reduced" if ``some``, else "complete"."""
    return qr_of("qr", matrices("qr", input), "reduced" if flag("qr", "some", some) else "complete")


@any_op
def svd(input: TensorLike, some: bool = True, compute_uv: bool = True, *, out: None = None) -> OldSVD:
    """``lucid.linalg.svd`` with V in place of its adjoint, reduced if ``some``.

    U and V are 0 without ``compute_uv``.
    """
    a = matrices("svd", input)
    m, n = a.shape[-2:]
    if not flag("svd", "compute_uv", compute_uv):
        values = finite("svd", spectra.singular_values(a), a)
        return OldSVD(mx.zeros((*a.shape[:-1], m), a.dtype), values, mx.zeros((*a.shape[:-2], n, n), a.dtype))
    u, s, vh = spectra.svd(not flag("svd", "some", some))(a)
    return OldSVD(u, finite("svd", s, a), adjoint(vh))


@any_op
def triangular_solve(
    input: TensorLike,
    A: TensorLike,
    upper: bool = True,
    transpose: bool = False,
    unitriangular: bool = False,
    *,
    out: None = None,
) -> TriangularSolve:
    """The solution x of ``A @ x = input`` for a triangular A, and A: ``lucid.linalg.solve_triangular``."""
    a, b = matrices("triangular_solve", A, "A", square=True), matrices("triangular_solve", input)
    is_upper = flag("triangular_solve", "upper", upper)
    same_rows("triangular_solve", a, b)
    a, b = same_batch("triangular_solve", a, b)
    is_unit = flag("triangular_solve", "unitriangular", unitriangular)
    if flag("triangular_solve", "transpose", transpose):
        return TriangularSolve(factorizations.triangular(not is_upper, is_unit)(transposed(a), b), a)
    return TriangularSolve(factorizations.triangular(is_upper, is_unit)(a, b), a)


@op(autocast="float32")
def inverse(input: TensorLike, *, out: None = None) -> mx.array:
    """``lucid.linalg.inv``."""
    a = matrices("inverse", input, square=True)
    return verify("inverse", factorizations.inv(a), lambda: first_zero_pivot(a) != 0, SINGULAR)


@op(autocast="float32")
def pinverse(input: TensorLike, rcond: Any = 1e-15) -> mx.array:
    """``lucid.linalg.pinv(input, rtol=rcond)``."""
    return pseudoinverse("pinverse", input, rcond, None, False)


@op(autocast="float32")
def cholesky_solve(input: TensorLike, input2: TensorLike, upper: bool = False, *, out: None = None) -> mx.array:
    """The solution x of ``A @ x = input``, from the Cholesky factor of A.

    Shapes: input (..., n, k), input2 (..., n, n). ``upper`` says that input2 is the upper factor.
    """
    b, factor = matrices("cholesky_solve", input), matrices("cholesky_solve", input2, "input2", square=True)
    same_rows("cholesky_solve", factor, b)
    factor, b = same_batch("cholesky_solve", factor, b)
    return from_cholesky(b, factor, flag("cholesky_solve", "upper", upper))


@op(autocast="float32")
def cholesky_inverse(input: TensorLike, upper: bool = False, *, out: None = None) -> mx.array:
    """The inverse of A, from its Cholesky factor ``input`` (..., n, n)."""
    factor = matrices("cholesky_inverse", input, square=True)
    return from_cholesky(factorizations.identity_like(factor), factor, flag("cholesky_inverse", "upper", upper))


@op(autocast="float32")
def orgqr(input: TensorLike, input2: TensorLike, *, out: None = None) -> mx.array:
    """``lucid.linalg.householder_product``."""
    return householder_of("orgqr", input, input2)
