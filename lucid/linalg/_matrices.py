"""Checks that the functions of ``lucid.linalg`` share."""

from collections.abc import Callable
from typing import Any

import mlx.core as mx
import numpy as np

from lucid import _bounds, _checks, _deferred
from lucid.ops._common import array, promoted

_DTYPES = (mx.float32, mx.float64, mx.complex64)


def numbers(caller: str, value: Any, name: str = "input") -> mx.array:
    """``value`` as an array of float32, float64 or complex64.

    Raises:
        DtypeError: ``value`` holds anything else, such as integers.
    """
    x = array(caller, value, name)
    if x.dtype not in _DTYPES:
        raise _checks.DtypeError(
            f"{caller}: {name} must be float32, float64 or complex64, got {_checks.dtype_name(x.dtype)}; convert with "
            ".float()"
        )
    return x


def matrices(caller: str, value: Any, name: str = "input", *, square: bool = False) -> mx.array:
    """``value`` as an array (..., m, n) of matrices.

    Raises:
        ArgumentError: there are fewer than two dimensions, or ``square`` matrices are not.
        DtypeError: ``value`` does not hold floating-point numbers.
    """
    x = numbers(caller, value, name)
    if x.ndim < 2:
        raise _checks.ArgumentError(f"{caller}: {name} must have at least 2 dimensions (..., m, n), got {x.shape}")
    if square and x.shape[-1] != x.shape[-2]:
        raise _checks.ArgumentError(f"{caller}: {name} must hold square matrices (..., n, n), got {x.shape}")
    return x


def same_batch(caller: str, a: mx.array, b: mx.array) -> tuple[mx.array, mx.array]:
    """Two arrays of matrices in one dtype, with batch dimensions broadcast."""
    a, b = promoted(a, b)
    batch = _checks.broadcast_shapes(caller, a.shape[:-2], b.shape[:-2])
    return mx.broadcast_to(a, (*batch, *a.shape[-2:])), mx.broadcast_to(b, (*batch, *b.shape[-2:]))


def same_rows(caller: str, a: mx.array, b: mx.array, left: bool = True) -> None:
    """Raise if ``a @ x = b`` (or ``x @ a = b``) has no shape."""
    if a.shape[-2 if left else -1] != b.shape[-2 if left else -1]:
        raise _checks.ArgumentError(f"{caller}: shapes {a.shape} and {b.shape} do not fit")


def known(x: mx.array) -> np.ndarray | None:
    """The values of ``x`` where operations read values, as ``lucid/_bounds.py`` says; None elsewhere."""
    if not x.size or not _bounds.is_checking():
        return None
    try:
        return _deferred.to_numpy(x)
    except (RuntimeError, ValueError):  # a function is being traced
        return None


def verify(caller: str, result: mx.array, failed: Callable[[], mx.array], what: str) -> mx.array:
    """``result``, unless it holds NaN and one of ``failed()``, a bool for each matrix, is true.

    Raises:
        LinAlgError: which matrix failed, and ``what`` is wrong with it.
    """
    values = known(result)
    if values is None or not np.isnan(values.reshape(-1)).any():
        return result
    marks = known(failed())
    if marks is not None and marks.any():
        raise failure(caller, marks, what)
    return result


def failure(caller: str, marks: np.ndarray, what: str) -> Exception:
    at = tuple(int(i) for i in np.argwhere(marks)[0])
    which = f"matrix {at[0] if len(at) == 1 else at} of the batch" if at else "the matrix"
    return _checks.LinAlgError(f"{caller}: {which} {what}")


def numbers_of_failures(caller: str, info: mx.array, check_errors: Any, what: str) -> mx.array:
    """``info``, where 0 means success. With ``check_errors``, failures raise."""
    if _checks.flag(caller, "check_errors", check_errors):
        values = known(info)
        if values is not None and values.any():
            raise failure(caller, values != 0, what)
    return info
