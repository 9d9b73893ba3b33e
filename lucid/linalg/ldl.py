"""LDL factorizations of symmetric matrices that need not be positive definite, on the host, in NumPy.

MLX has none, and the pivots choose between two ways for each column. So these functions read the values of their
arguments, and do not work in compiled functions.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple, ParamSpec, TypeVar

import mlx.core as mx
import numpy as np

from lucid import _checks, _deferred
from lucid._checks import flag
from lucid._grad_mode import set_recording
from lucid._tensor import Tensor
from lucid.linalg._matrices import matrices, numbers_of_failures
from lucid.ops._common import any_op, index_array, promoted
from lucid.ops._types import TensorLike
from lucid.tape import op

P = ParamSpec("P")
R = TypeVar("R")

_ALPHA = (1 + math.sqrt(17)) / 8  # Bunch and Kaufman's bound on the growth of elements
_SINGULAR = "is singular: a diagonal element of D is 0"


class LDLFactor(NamedTuple):
    """D on the diagonal, L without its diagonal of ones below it, and LAPACK's pivots, from 1 (int32)."""

    LD: mx.array
    pivots: mx.array


class LDLFactorEx(NamedTuple):
    """As ``LDLFactor``, and the number of the first element of D that is 0, 0 if there is none."""

    LD: mx.array
    pivots: mx.array
    info: mx.array


def _values(caller: str, x: mx.array) -> np.ndarray:
    try:
        return np.array(_deferred.to_numpy(x))
    except (RuntimeError, ValueError) as error:
        raise _checks.ArgumentError(f"{caller}: reads values, which a compiled function does not have") from error


def _size(x: np.ndarray) -> np.ndarray:
    """LAPACK's measure of complex numbers."""
    return np.abs(x.real) + np.abs(x.imag)


def _factor(a: np.ndarray, hermitian: bool) -> tuple[np.ndarray, np.ndarray, int]:
    """LAPACK's sytf2 (or hetf2) of one matrix, from its lower triangle."""
    n = len(a)
    pivots, info, k = np.zeros(n, np.int32), 0, 0
    turned = np.conj if hermitian else np.asarray
    while k < n:
        here = float(_size(a[k, k]) if not hermitian else abs(a[k, k].real))
        below = _size(a[k + 1 :, k])
        largest = float(below.max(initial=0))
        step, other = 1, k
        if max(here, largest) == 0:
            info = info or k + 1
            pivots[k] = k + 1
            k += 1
            continue
        if here < _ALPHA * largest:
            row = k + 1 + int(below.argmax())
            across = max(_size(a[row, k:row]).max(), _size(a[row + 1 :, row]).max(initial=0))
            if here < _ALPHA * largest * (largest / across):
                other = row
                step = 1 if _size(a[row, row]) >= _ALPHA * across else 2
        last = k + step - 1
        if other != last:
            a[other + 1 :, [last, other]] = a[other + 1 :, [other, last]]
            middle = a[last + 1 : other, last].copy()
            a[last + 1 : other, last] = turned(a[other, last + 1 : other])
            a[other, last + 1 : other] = turned(middle)
            a[other, last] = turned(a[other, last])
            a[last, last], a[other, other] = a[other, other], a[last, last]
            if step == 2:
                a[k + 1, k], a[other, k] = a[other, k], a[k + 1, k]
        block = a[k : k + step, k : k + step].copy()
        if step == 2:
            block[0, 1] = turned(block[1, 0])
        rest = a[k + step :, k : k + step].copy()
        scaled = rest @ np.linalg.inv(block)
        a[k + step :, k + step :] -= np.tril(scaled @ turned(rest).T)
        a[k + step :, k : k + step] = scaled
        pivots[k : k + step] = (other + 1) if step == 1 else -(other + 1)
        k += step
    return np.tril(a), pivots, info


def _inverse(ld: np.ndarray, pivots: np.ndarray, hermitian: bool) -> np.ndarray:
    """LAPACK's sytrs (or hetrs) of the identity."""
    n = len(ld)
    x = np.eye(n, dtype=ld.dtype)
    turned = np.conj if hermitian else np.asarray
    k = 0
    while k < n:
        step = 1 if pivots[k] > 0 else 2
        other, last = abs(int(pivots[k])) - 1, k + step - 1
        x[[last, other]] = x[[other, last]]
        x[k + step :] -= ld[k + step :, k : k + step] @ x[k : k + step]
        block = ld[k : k + step, k : k + step].copy()
        if step == 2:
            block[0, 1] = turned(block[1, 0])
        x[k : k + step] = np.linalg.solve(block, x[k : k + step])
        k += step
    k = n - 1
    while k >= 0:
        step = 1 if pivots[k] > 0 else 2
        other, first = abs(int(pivots[k])) - 1, k - step + 1
        x[first : k + 1] -= turned(ld[k + 1 :, first : k + 1]).T @ x[k + 1 :]
        x[[k, other]] = x[[other, k]]
        k -= step
    return x


def _constant(function: Callable[P, R]) -> Callable[P, R]:
    """``function``, outside of the graph."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        with set_recording(False):
            return function(*args, **kwargs)

    return call


def _factored(caller: str, input: Any, hermitian: Any) -> tuple[mx.array, mx.array, mx.array]:
    a = matrices(caller, input, square=True)
    is_hermitian = flag(caller, "hermitian", hermitian) and a.dtype == mx.complex64
    if not a.size:
        return a, mx.zeros(a.shape[:-1], mx.int32), mx.zeros(a.shape[:-2], mx.int32)
    values = _values(caller, mx.stop_gradient(a))
    exact = values.astype(np.complex128 if values.dtype.kind == "c" else np.float64).reshape(-1, *a.shape[-2:])
    found = [_factor(one, is_hermitian) for one in exact]
    batch, n = a.shape[:-2], a.shape[-1]
    ld = np.array([one[0] for one in found], values.dtype).reshape(a.shape)
    pivots = np.array([one[1] for one in found], np.int32).reshape(*batch, n)
    info = np.array([one[2] for one in found], np.int32).reshape(batch)
    return mx.array(ld, a.dtype), mx.array(pivots), mx.array(info)


@_constant
@any_op
def ldl_factor(input: TensorLike, *, hermitian: bool = False, out: None = None) -> LDLFactor:
    """The LDL factorization of symmetric matrices (..., n, n), or of Hermitian ones, in the form of ``ldl_solve``.

    Reads the lower triangle only. On the host, in NumPy, without a gradient, and not in compiled functions.

    Raises:
        LinAlgError: a matrix is singular.
    """
    ld, pivots, info = _factored("ldl_factor", input, hermitian)
    numbers_of_failures("ldl_factor", info, True, _SINGULAR)
    return LDLFactor(ld, pivots)


@_constant
@any_op
def ldl_factor_ex(
    input: TensorLike, *, hermitian: bool = False, check_errors: bool = False, out: None = None
) -> LDLFactorEx:
    """``ldl_factor`` that does not raise."""
    ld, pivots, info = _factored("ldl_factor_ex", input, hermitian)
    return LDLFactorEx(ld, pivots, numbers_of_failures("ldl_factor_ex", info, check_errors, _SINGULAR))


def _of_constant(function: Callable[P, R]) -> Callable[P, R]:
    """``function``, with the first argument outside of the graph."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        named: dict[str, Any] = {name: _detached(one) if name == "LD" else one for name, one in kwargs.items()}
        return function(*[_detached(one) if not i else one for i, one in enumerate(args)], **named)  # type: ignore[arg-type]

    return call


def _detached(value: Any) -> Any:
    return value.detach() if isinstance(value, Tensor) else value


@_of_constant
@op(autocast="float32")
def ldl_solve(
    LD: TensorLike, pivots: TensorLike, B: TensorLike, *, hermitian: bool = False, out: None = None
) -> mx.array:
    """The solution x of ``A @ x = B`` from ``LD, pivots = ldl_factor(A)``. The gradient of B only is computed.

    On the host, in NumPy, and not in compiled functions.
    """
    ld, b = promoted(matrices("ldl_solve", LD, "LD", square=True), matrices("ldl_solve", B, "B"))
    order = index_array("ldl_solve", pivots, "pivots")
    n = ld.shape[-1]
    if b.shape[-2] != n or order.shape != ld.shape[:-1]:
        raise _checks.ArgumentError(
            f"ldl_solve: shapes {ld.shape} of LD, {order.shape} of pivots and {b.shape} of B do not fit"
        )
    _checks.broadcast_shapes("ldl_solve", ld.shape[:-2], b.shape[:-2])
    is_hermitian = flag("ldl_solve", "hermitian", hermitian) and ld.dtype == mx.complex64
    if not ld.size or not b.size:
        batch = _checks.broadcast_shapes("ldl_solve", ld.shape[:-2], b.shape[:-2])
        return mx.zeros((*batch, *b.shape[-2:]), b.dtype)
    steps = _values("ldl_solve", order).reshape(-1, n)
    if (steps == 0).any() or (np.abs(steps) > n).any():
        raise _checks.ArgumentError(f"ldl_solve: pivots must be in [1, {n}], or negative in pairs")
    values = _values("ldl_solve", mx.stop_gradient(ld)).reshape(-1, n, n)
    exact = values.astype(np.complex128 if values.dtype.kind == "c" else np.float64)
    try:
        found = [_inverse(one, step, is_hermitian) for one, step in zip(exact, steps, strict=True)]
    except np.linalg.LinAlgError:
        raise _checks.LinAlgError(f"ldl_solve: the matrix {_SINGULAR}") from None
    inverse = np.array(found, exact.dtype).reshape(ld.shape).astype(values.dtype)
    return mx.array(inverse, ld.dtype) @ b
