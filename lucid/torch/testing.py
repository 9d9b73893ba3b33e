"""``torch.testing``: comparison of results in tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import mlx.core as mx
import numpy as np

from lucid import tape
from lucid._checks import dtype_name
from lucid._tensor import Tensor
from lucid._tensor_convert import as_array

# (rtol, atol) by dtype, as in PyTorch; other dtypes have to be equal.
_TOLERANCES = {
    mx.float16: (1e-3, 1e-5),
    mx.bfloat16: (1.6e-2, 1e-5),
    mx.float32: (1.3e-6, 1e-5),
    mx.float64: (1e-7, 1e-7),
    mx.complex64: (1.3e-6, 1e-5),
}


def assert_close(
    actual: Any,
    expected: Any,
    *,
    allow_subclasses: bool = True,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = False,
    check_device: bool = True,
    check_dtype: bool = True,
    check_layout: bool = True,
    check_stride: bool = False,
    msg: str | Callable[[str], str] | None = None,
) -> None:
    """Check that tensors, numbers, or containers of them are equal up to ``atol + rtol * abs(expected)``.

    Args:
        actual: A tensor, array or number, or a sequence or mapping of them.
        expected: The same with the values that are wanted.
        allow_subclasses: Allow ``actual`` and ``expected`` to have different classes.
        rtol: Relative tolerance; None: that of the dtype, 1.3e-6 for float32. Give both tolerances or none.
        atol: Absolute tolerance; None: that of the dtype, 1e-5 for float32.
        equal_nan: Whether NaN equals NaN.
        check_device: Accepted for compatibility with PyTorch: memory is unified.
        check_dtype: Whether dtypes have to be equal.
        check_layout: Accepted for compatibility with PyTorch.
        check_stride: Accepted for compatibility with PyTorch.
        msg: The message of the error, or a function of it.

    Raises:
        AssertionError: they differ. The message says where and by how much.
        ValueError: only one tolerance is given.
    """
    if (rtol is None) != (atol is None):
        raise ValueError(f"assert_close: rtol and atol must be given together, got rtol={rtol}, atol={atol}")
    if not allow_subclasses and type(actual) is not type(expected):
        raise TypeError(f"assert_close: expected {type(expected).__name__}, got {type(actual).__name__}")
    fault = _difference(actual, expected, "", (rtol, atol), equal_nan, check_dtype)
    if fault is not None:
        raise AssertionError(msg(fault) if callable(msg) else msg or fault)


def _difference(
    actual: Any, expected: Any, where: str, given: tuple[Any, Any], equal_nan: bool, check_dtype: bool
) -> str | None:
    """What is wrong first, or None."""
    place = f" at {where}" if where else ""
    if isinstance(expected, Mapping) and isinstance(actual, Mapping):
        if set(actual) != set(expected):
            return f"The keys{place} differ: expected {sorted(map(str, expected))}, got {sorted(map(str, actual))}"
        pairs: Any = ((f"{where}[{key!r}]", actual[key], expected[key]) for key in expected)
    elif _is_sequence(expected) and _is_sequence(actual):
        if len(actual) != len(expected):
            return f"The lengths{place} differ: expected {len(expected)}, got {len(actual)}"
        pairs = ((f"{where}[{i}]", *both) for i, both in enumerate(zip(actual, expected, strict=True)))
    else:
        return _difference_of_tensors(actual, expected, place, given, equal_nan, check_dtype)
    faults = (_difference(got, want, name, given, equal_nan, check_dtype) for name, got, want in pairs)
    return next((fault for fault in faults if fault is not None), None)


def _is_sequence(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _difference_of_tensors(
    actual: Any, expected: Any, place: str, given: tuple[Any, Any], equal_nan: bool, check_dtype: bool
) -> str | None:
    if expected is None or actual is None or isinstance(expected, str):
        return None if actual == expected else f"Expected {expected!r}{place}, got {actual!r:.80}"
    got, want = (one if isinstance(one, Tensor) else tape.wrap(as_array(one)) for one in (actual, expected))
    if got.shape != want.shape:
        return f"The shapes{place} differ: expected {tuple(want.shape)}, got {tuple(got.shape)}"
    if check_dtype and got.dtype != want.dtype:
        return f"The dtypes{place} differ: expected {dtype_name(want.dtype)}, got {dtype_name(got.dtype)}"
    tolerances = [_TOLERANCES.get(one.dtype, (0.0, 0.0)) for one in (got, want)]
    rtol, atol = given if given[0] is not None else map(max, zip(*tolerances, strict=True))
    kind = np.complex128 if mx.complex64 in (got.dtype, want.dtype) else np.float64
    left, right = (one.detach().to(_exact(one.dtype)).numpy().astype(kind) for one in (got, want))
    with np.errstate(invalid="ignore"):
        is_close = (left == right) | (np.abs(left - right) <= atol + rtol * np.abs(right))
    if equal_nan:
        is_close |= np.isnan(left) & np.isnan(right)
    if is_close.all():
        return None
    error = np.where(is_close, 0, np.nan_to_num(np.abs(left - right), nan=np.inf))
    index = np.unravel_index(int(error.argmax()), error.shape)
    at = tuple(int(i) for i in index)
    return (
        f"{int((~is_close).sum())} of {is_close.size} values{place} are not close. The largest difference is "
        f"{error[index]:g} at index {at}: expected {right[index]:g}, got {left[index]:g} "
        f"(rtol {rtol:g}, atol {atol:g})"
    )


def _exact(dtype: mx.Dtype) -> mx.Dtype:
    """A dtype that NumPy has and that holds the same values."""
    return mx.float32 if dtype == mx.bfloat16 else dtype
