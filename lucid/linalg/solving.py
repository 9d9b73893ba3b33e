"""Linear equations, inverses and least squares."""

import math
from typing import Any, NamedTuple

import mlx.core as mx

from lucid import _checks
from lucid._checks import flag
from lucid.kernels import factorizations, spectra
from lucid.kernels.factorizations import adjoint, transposed
from lucid.linalg._matrices import known, matrices, numbers, numbers_of_failures, same_batch, same_rows, verify
from lucid.ops._common import any_op, array, index_array
from lucid.ops._norms import real_dtype
from lucid.ops._types import TensorLike
from lucid.tape import op

SINGULAR = "is singular: it has no inverse"


class InvEx(NamedTuple):
    """The inverses, and 0 for each matrix that has one."""

    inverse: mx.array
    info: mx.array


class SolveEx(NamedTuple):
    """The solutions, and 0 for each matrix that has an inverse."""

    result: mx.array
    info: mx.array


class LeastSquares(NamedTuple):
    """What ``lstsq`` finds; parts that a driver does not compute are empty."""

    solution: mx.array
    residuals: mx.array
    rank: mx.array
    singular_values: mx.array


def first_zero_pivot(a: mx.array) -> mx.array:
    """The number of the first pivot that is 0, from 1, or 0 if all matrices have an inverse (int32)."""
    zero = factorizations.diagonal(factorizations.lu(mx.stop_gradient(a))[0]) == 0
    if not zero.size:
        return mx.zeros(a.shape[:-2], mx.int32)
    return mx.where(mx.any(zero, -1), mx.argmax(zero, -1).astype(mx.int32) + 1, 0)


def _as_matrix(caller: str, a: mx.array, b: mx.array) -> tuple[mx.array, bool]:
    """``b`` as matrices, and whether it holds vectors: torch's rule is ``b.ndim == 1 or b.shape == a.shape[:-1]``."""
    is_vector = b.ndim == 1 or (a.ndim - 1 == b.ndim and b.shape == a.shape[:-1])
    return (mx.expand_dims(b, -1) if is_vector else b), is_vector


def _solved(caller: str, input: Any, b: Any, left: Any) -> tuple[mx.array, mx.array]:
    a = matrices(caller, input, square=True)
    b = numbers(caller, b, "B")
    left = flag(caller, "left", left)
    b, is_vector = _as_matrix(caller, a, b)
    if is_vector and not left:
        raise _checks.ArgumentError(f"{caller}: left=False needs matrices B, got vectors of shape {b.shape[:-1]}")
    same_rows(caller, a, b, left)
    a, b = same_batch(caller, a, b)
    found = factorizations.solve(a, b) if left else transposed(factorizations.solve(transposed(a), transposed(b)))
    return (found[..., 0] if is_vector else found), a


@op(autocast="float32")
def solve(input: TensorLike, B: TensorLike, *, left: bool = True, out: None = None) -> mx.array:
    """The solution x of ``input @ x = B``, or of ``x @ input = B`` with ``left=False``.

    Shapes: input (..., n, n), B (..., n, k) or vectors (..., n). Batches broadcast. Runs on the CPU.

    Raises:
        LinAlgError: a matrix is singular. On a GPU and in compiled functions its solution is NaN instead.

    Example:
        >>> lucid.linalg.solve(lucid.tensor([[2.0, 0.0], [0.0, 4.0]]), lucid.tensor([1.0, 1.0])).tolist()
        [0.5, 0.25]
    """
    found, a = _solved("solve", input, B, left)
    return verify("solve", found, lambda: first_zero_pivot(a) != 0, SINGULAR)


@any_op
def solve_ex(
    input: TensorLike, B: TensorLike, *, left: bool = True, check_errors: bool = False, out: None = None
) -> SolveEx:
    """``solve`` that does not raise, and the number of the first zero pivot of each matrix, 0 if there is none."""
    found, a = _solved("solve_ex", input, B, left)
    return SolveEx(found, numbers_of_failures("solve_ex", first_zero_pivot(a), check_errors, SINGULAR))


@op(autocast="float32")
def inv(input: TensorLike, *, out: None = None) -> mx.array:
    """The inverses of matrices (..., n, n). Runs on the CPU.

    Raises:
        LinAlgError: a matrix is singular. On a GPU and in compiled functions its inverse is NaN instead.

    Example:
        >>> lucid.linalg.inv(lucid.tensor([[2.0, 0.0], [0.0, 4.0]])).tolist()
        [[0.5, 0.0], [0.0, 0.25]]
    """
    a = matrices("inv", input, square=True)
    return verify("inv", factorizations.inv(a), lambda: first_zero_pivot(a) != 0, SINGULAR)


@any_op
def inv_ex(input: TensorLike, *, check_errors: bool = False, out: None = None) -> InvEx:
    """``inv`` that does not raise, and the number of the first zero pivot of each matrix, 0 if there is none."""
    a = matrices("inv_ex", input, square=True)
    info = numbers_of_failures("inv_ex", first_zero_pivot(a), check_errors, SINGULAR)
    return InvEx(factorizations.inv(a), info)


@op(autocast="float32")
def solve_triangular(
    input: TensorLike, B: TensorLike, *, upper: bool, left: bool = True, unitriangular: bool = False, out: None = None
) -> mx.array:
    """``solve`` that reads the upper or lower triangle of ``input`` only. Runs on the CPU.

    Args:
        unitriangular: Whether the diagonal is taken for ones.

    A zero on the diagonal gives NaN.
    """
    a, b = matrices("solve_triangular", input, square=True), matrices("solve_triangular", B, "B")
    is_upper, left = flag("solve_triangular", "upper", upper), flag("solve_triangular", "left", left)
    is_unit = flag("solve_triangular", "unitriangular", unitriangular)
    same_rows("solve_triangular", a, b, left)
    a, b = same_batch("solve_triangular", a, b)
    if left:
        return factorizations.triangular(is_upper, is_unit)(a, b)
    return transposed(factorizations.triangular(not is_upper, is_unit)(transposed(a), transposed(b)))


def from_cholesky(b: mx.array, factor: mx.array, upper: bool) -> mx.array:
    return factorizations.cholesky_solve(adjoint(factor) if upper else factor, b)


def from_lu(
    caller: str, packed: mx.array, pivots: Any, b: mx.array, left: bool = True, is_adjoint: bool = False
) -> mx.array:
    """The solution of ``A @ x = b`` from ``lu_factor`` of A, whose pivots count from 1."""
    packed, b = same_batch(caller, packed, b)
    batch, n = packed.shape[:-2], packed.shape[-1]
    pivots = index_array(caller, pivots, "pivots") - 1
    if pivots.shape[-1:] != (n,) or _checks.broadcast_shapes(caller, batch, pivots.shape[:-1]) != batch:
        raise _checks.ArgumentError(f"{caller}: pivots of shape {pivots.shape} do not fit LU of {packed.shape}")
    pivots = mx.clip(pivots.astype(mx.int32), 0, max(n - 1, 0))
    rows = mx.broadcast_to(factorizations.rows_of_pivots(pivots, n), (*batch, n))
    if not left:  # x A = b is A^H x^H = b^H
        return adjoint(_lu_solved(packed, rows, adjoint(b), not is_adjoint))
    return _lu_solved(packed, rows, b, is_adjoint)


def _lu_solved(packed: mx.array, rows: mx.array, b: mx.array, is_adjoint: bool) -> mx.array:
    if is_adjoint:
        half = factorizations.triangular(False, False)(adjoint(packed), b)
        half = factorizations.lower_solve(packed, half, transpose=True)
        return factorizations.take_rows(half, mx.argsort(rows, -1))
    half = factorizations.lower_solve(packed, factorizations.take_rows(b, rows))
    return factorizations.triangular(True, False)(packed, half)


@op(autocast="float32")
def pinv(
    input: TensorLike,
    rtol: Any = None,
    *,
    atol: Any = None,
    hermitian: bool = False,
    out: None = None,
) -> mx.array:
    """The pseudoinverse of matrices (..., m, n), of shape (..., n, m). Runs on the CPU.

    Singular values up to ``max(atol, rtol * largest)`` count as 0. By default ``rtol`` is ``max(m, n)`` times the
    precision of the dtype, or 0 if ``atol`` is given. ``hermitian`` says that the matrices are.

    Example:
        >>> lucid.linalg.pinv(lucid.tensor([[2.0, 0.0], [0.0, 0.0]])).tolist()
        [[0.5, 0.0], [0.0, 0.0]]
    """
    return pseudoinverse("pinv", input, rtol, atol, hermitian)


def pseudoinverse(caller: str, input: Any, rtol: Any, atol: Any, hermitian: Any) -> mx.array:
    a = matrices(caller, input, square=flag(caller, "hermitian", hermitian))
    fixed = mx.stop_gradient(a)
    if not a.size:
        largest = mx.zeros(a.shape[:-2], real_dtype(a.dtype))
    elif hermitian:
        largest = mx.max(mx.abs(spectra.eigh("L")(fixed)[0]), -1)
    else:
        largest = spectra.singular_values(fixed)[..., 0]
    bound = cutoff(caller, a, largest, atol, rtol)
    if not a.size:
        return mx.zeros((*a.shape[:-2], a.shape[-1], a.shape[-2]), a.dtype)
    return spectra.pinv(bool(hermitian))(a, mx.broadcast_to(bound, a.shape[:-2]))


def cutoff(caller: str, a: mx.array, largest: mx.array, atol: Any, rtol: Any) -> mx.array:
    """Below which singular values count as 0, for each matrix; ``largest`` holds their largest ones."""
    dtype = largest.dtype

    def tolerance(value: Any, name: str, default: float) -> mx.array:
        if value is None:
            return mx.array(default, dtype)
        found = array(caller, value, name)
        if found.dtype == mx.complex64:
            raise _checks.DtypeError(f"{caller}: {name} must be real, got complex64")
        _checks.broadcast_shapes(caller, a.shape[:-2], found.shape)
        return found.astype(dtype)

    default = float(mx.finfo(dtype).eps) * max(a.shape[-2:]) if atol is None else 0.0
    return mx.maximum(tolerance(atol, "atol", 0.0), tolerance(rtol, "rtol", default) * largest)


_DRIVERS = ("gels", "gelsy", "gelsd", "gelss")


@any_op
def lstsq(
    input: TensorLike, B: TensorLike, rcond: Any = None, *, driver: str | None = None, out: None = None
) -> LeastSquares:
    """The x of least norm that minimizes ``|input @ x - B|``. Runs on the CPU.

    Shapes: input (..., m, n), B (..., m, k) or vectors (..., m). Singular values up to ``rcond`` times the largest
    count as 0, by default ``max(m, n)`` times the precision. Every ``driver`` gives the same solution, from the
    singular value decomposition; as in PyTorch, "gels" has no rank, "gelsd" and "gelss" have singular values, and
    residuals are there for matrices of full rank with m > n, unless the driver is "gelsy", the default.
    """
    a, b = matrices("lstsq", input), numbers("lstsq", B, "B")
    driver = _checks.one_of("lstsq", "driver", "gelsy" if driver is None else driver, _DRIVERS)
    if b.ndim == 0:
        raise _checks.ArgumentError("lstsq: B must have at least 1 dimension")
    is_vector = b.ndim == 1 or (a.ndim - 1 == b.ndim and b.shape == a.shape[:-1])
    b = mx.expand_dims(b, -1) if is_vector else b
    same_rows("lstsq", a, b)
    a, b = same_batch("lstsq", a, b)
    m, n = a.shape[-2:]
    batch = a.shape[:-2]
    s = spectra.singular_values(mx.stop_gradient(a))
    bound = cutoff("lstsq", a, s[..., 0], None, rcond) if s.size else mx.zeros(batch, s.dtype)
    found = spectra.pinv(False)(a, bound) @ b if a.size else mx.zeros((*batch, n, b.shape[-1]), a.dtype)
    rank = mx.sum(s > mx.expand_dims(bound, -1), -1).astype(mx.int64) if s.size else mx.zeros(batch, mx.int64)
    nothing = mx.zeros((0,), s.dtype)
    residuals = nothing
    if m > n and driver != "gelsy":
        ranks = None if driver == "gels" else known(rank)
        if driver == "gels" or ranks is None or (ranks == n).all():
            residuals = mx.sum(mx.square(mx.abs(a @ found - b)), -2)
    return LeastSquares(
        found[..., 0] if is_vector else found,
        residuals,
        mx.zeros((0,), mx.int64) if driver == "gels" else rank,
        s if driver in ("gelsd", "gelss") else nothing,
    )


@op(autocast="float32")
def tensorinv(input: TensorLike, ind: int = 2, *, out: None = None) -> mx.array:
    """The inverse of ``input`` as a map from its last dimensions to the first ``ind`` ones.

    Raises:
        ArgumentError: the two groups of dimensions have different sizes, or ``ind`` is not positive.
    """
    a = numbers("tensorinv", input)
    ind = _checks.integer("tensorinv", "ind", ind, 1)
    rows, columns = a.shape[:ind], a.shape[ind:]
    if math.prod(rows) != math.prod(columns):
        raise _checks.ArgumentError(
            f"tensorinv: the sizes of {rows} and {columns} must have equal products, got shape {a.shape}, ind={ind}"
        )
    square = a.reshape(math.prod(rows), math.prod(columns))
    found = verify("tensorinv", factorizations.inv(square), lambda: first_zero_pivot(square) != 0, SINGULAR)
    return found.reshape((*columns, *rows))  # MLX crashes on reshape() of no sizes


@op(autocast="float32")
def tensorsolve(input: TensorLike, B: TensorLike, dims: Any = None, *, out: None = None) -> mx.array:
    """The solution x of ``tensordot(input, x, x.ndim) = B``; ``dims`` of ``input`` are moved to its end first.

    Raises:
        ArgumentError: the sizes of the remaining dimensions and those of B have different products.
    """
    a, b = numbers("tensorsolve", input), numbers("tensorsolve", B, "B")
    if dims is not None:
        moved = _checks.dims("tensorsolve", dims, a.ndim, "dims")
        a = mx.transpose(a, [axis for axis in range(a.ndim) if axis not in moved] + list(moved))
    shape = a.shape[b.ndim :]
    if math.prod(shape) != b.size or math.prod(a.shape[: b.ndim]) != b.size:
        raise _checks.ArgumentError(f"tensorsolve: shapes {a.shape} and {b.shape} do not fit")
    square = a.reshape(b.size, b.size)
    found = factorizations.solve(*same_batch("tensorsolve", square, b.reshape(-1, 1)))
    found = verify("tensorsolve", found, lambda: first_zero_pivot(square) != 0, SINGULAR)
    return found.reshape(shape)
