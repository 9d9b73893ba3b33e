"""Helpers that the operations share: convert operands to arrays, promote dtypes, resolve dimensions."""

import functools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, ParamSpec, Protocol, TypeVar, cast, overload

import mlx.core as mx
import numpy as np

from lucid import _bounds, _checks
from lucid._dtypes import category, get_default_dtype
from lucid.tape import TensorBase, op

if TYPE_CHECKING:
    from lucid._tensor import Tensor

LOW_PRECISION = frozenset((mx.float16, mx.bfloat16))
FLOATING = frozenset((mx.float32, mx.float16, mx.bfloat16, mx.float64, mx.complex64))
_SCALARS = (bool, int, float, complex)


class ValuesAndIndices(NamedTuple):
    """Selected values and their positions (int64)."""

    values: mx.array
    indices: mx.array


# ``op`` for results that are no single tensor, of which its own type would make less.

P = ParamSpec("P")
R = TypeVar("R")

if TYPE_CHECKING:

    class _Selected(NamedTuple):
        values: Tensor
        indices: Tensor


class _SelectOp(Protocol):
    def __call__(self, body: Callable[P, ValuesAndIndices], /) -> "Callable[P, _Selected]": ...


class _AnyOp(Protocol):
    @overload
    def __call__(self, body: Callable[P, Any], /) -> Callable[P, Any]: ...
    @overload
    def __call__(self, *, vjp: Callable[..., Any]) -> "_AnyOp": ...


select_op = cast(_SelectOp, op)
any_op = cast(_AnyOp, op)  # the kind of result depends on the arguments


def array(caller: str, value: Any, name: str = "input") -> mx.array:
    """``value`` as an array; numbers and lists get PyTorch's default dtypes (int64, float32).

    Raises:
        TypeError: ``value`` does not hold numbers.
    """
    if isinstance(value, mx.array):
        return value
    if isinstance(value, list | tuple) and any(isinstance(one, mx.array | list | tuple) for one in value):
        parts = [array(caller, one, name) for one in value]
        if any(one.shape != parts[0].shape for one in parts):
            shapes = " and ".join(str(shape) for shape in dict.fromkeys(one.shape for one in parts))
            raise _checks.ArgumentError(f"{caller}: the parts of {name} must have equal shapes, got {shapes}")
        return mx.stack(parts)
    try:
        data = np.asarray(value)
        if data.dtype == np.float64:
            data = data.astype(np.float32)
        elif data.dtype == np.complex128:
            data = data.astype(np.complex64)
        if data.dtype.kind not in "biufc":
            raise TypeError
        return mx.array(data)
    except (TypeError, ValueError):
        raise TypeError(
            f"{caller}: {name} must be a tensor, a number, a list of numbers or a NumPy array, "
            f"got {type(value).__name__} {value!r:.60}"
        ) from None


def compact_if_empty(x: mx.array) -> mx.array:
    """``x``, as a new contiguous array if it is empty: MLX's sums over a transposed empty array may never return."""
    return x if x.size else mx.zeros(x.shape, x.dtype)


def empty_reduction(x: mx.array, axis: Any, keepdims: bool, value: float) -> mx.array:
    """The result of reducing an empty ``x``: ``value`` in the reduced shape."""
    dims = range(x.ndim) if axis is None else [d % x.ndim for d in ((axis,) if isinstance(axis, int) else axis)]
    shape = [1 if d in dims else size for d, size in enumerate(x.shape) if keepdims or d not in dims]
    return mx.full(shape, mx.array(value, x.dtype))


def total(x: mx.array, axis: Any = None, keepdims: bool = False) -> mx.array:
    """``mx.sum``, which may never return for an empty array on the CPU."""
    return mx.sum(x, axis, keepdims) if x.size else empty_reduction(x, axis, keepdims, 0)


def average(x: mx.array, axis: Any = None, keepdims: bool = False) -> mx.array:
    """``mx.mean``, which may never return for an empty array on the CPU; here its mean is NaN."""
    return mx.mean(x, axis, keepdims) if x.size else empty_reduction(x, axis, keepdims, math.nan)


def pair(caller: str, x: Any, other: Any) -> tuple[Any, Any]:
    """Both operands, prepared so that MLX's result dtype is PyTorch's. One of them may stay a Python number."""
    if type(x) is mx.array and type(other) is mx.array:
        if x.dtype == other.dtype:
            return x, other
        return _same_dtype(caller, x, other)
    if isinstance(x, np.generic):
        x = x.item()
    if isinstance(other, np.generic):
        other = other.item()
    if isinstance(x, mx.array) and isinstance(other, _SCALARS):
        if type(other) is not float and (type(other) is bool or x.dtype == mx.bool_):
            x = _with_bool(caller, x, other)
        return x, other
    if isinstance(other, mx.array) and isinstance(x, _SCALARS):
        if type(x) is not float and (type(x) is bool or other.dtype == mx.bool_):
            other = _with_bool(caller, other, x)
        return x, other
    return _same_dtype(caller, array(caller, x), array(caller, other, "other"))


def factor(caller: str, name: str, value: Any) -> Any:
    """``value`` if it is a number, or a 0-d array if it is an array of one element, such as a learning rate."""
    if isinstance(value, _SCALARS):
        return value
    if isinstance(value, mx.array) and value.size == 1:
        return value.reshape(())
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{caller}: {name} must be a number, got {value!r:.60}")


def _with_bool(caller: str, x: mx.array, number: Any) -> mx.array:
    """``x`` to combine with a number, one of which is bool."""
    if caller in _SUBTRACTIONS:
        raise bool_subtraction(caller)
    return x.astype(mx.int64) if type(number) is int else x


class TrueDivision(str):
    """The name of a caller that divides integers as floats."""


def bool_subtraction(caller: str) -> Exception:
    return _checks.DtypeError(f"{caller}: bools cannot be subtracted; use logical_xor, ~ or .int()")


_SUBTRACTIONS = ("sub", "rsub")


def arrays(caller: str, x: Any, other: Any) -> tuple[mx.array, mx.array]:
    """Both operands as arrays of one dtype."""
    x, other = pair(caller, x, other)
    if not isinstance(x, mx.array):
        x = scalar_like(x, other)
    elif not isinstance(other, mx.array):
        other = scalar_like(other, x)
    x, other = promoted(x, other)
    return x, other


def ordered(caller: str, input: Any, other: Any) -> tuple[mx.array, mx.array]:
    """Both operands, broadcast, in a dtype whose numbers have an order."""
    x, other = arrays(caller, input, other)
    if x.dtype == mx.complex64:
        raise _checks.DtypeError(f"{caller}: complex64 is not supported")
    shape = _checks.broadcast_shapes(caller, x.shape, other.shape)
    return mx.broadcast_to(x, shape), mx.broadcast_to(other, shape)


def promoted(*found: mx.array) -> list[mx.array]:
    """The arrays in their common dtype."""
    dtype = mx.result_type(*found)
    return [one if one.dtype == dtype else one.astype(dtype) for one in found]


def scalar_like(value: Any, x: mx.array) -> mx.array:
    """A Python number as an array that does not promote ``x`` within its category."""
    if x.dtype in FLOATING:
        if isinstance(value, int):  # which may have more than 64 bits
            value = float(value)
        return mx.array(value, x.dtype if not isinstance(value, complex) else mx.complex64)
    if isinstance(value, bool | int):
        return wrapped(value, x.dtype)
    return mx.array(value)


def number_as(caller: str, name: str, value: Any, dtype: mx.Dtype) -> mx.array:
    """``value``, a number or a 0-d tensor, as an array of ``dtype``.

    Raises:
        ArgumentError: a tensor has dimensions, or a number does not fit in ``dtype``.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, _SCALARS):
        limits = _limits(dtype)
        if isinstance(value, complex):
            fits = dtype == mx.complex64
        elif limits is None or (math.isinf(value) and dtype in FLOATING) or value != value:
            fits = limits is None or value == value or dtype in FLOATING
        else:
            fits = limits[0] <= value <= limits[1]
        if not fits:
            raise _checks.ArgumentError(f"{caller}: {name} {value!r} does not fit in {_checks.dtype_name(dtype)}")
        if isinstance(value, int) and not -(2**63) <= value < 2**63:  # MLX takes integers of 64 bits
            value = np.uint64(value) if dtype == mx.uint64 else value != 0 if dtype == mx.bool_ else float(value)
        return mx.array(value, dtype)
    found = array(caller, value, name)
    if found.ndim:
        raise _checks.ArgumentError(f"{caller}: {name} must be a single number, got shape {found.shape}")
    if found.dtype == mx.complex64 and dtype != mx.complex64:
        raise _checks.ArgumentError(f"{caller}: {name} is complex and does not fit in {_checks.dtype_name(dtype)}")
    return found.astype(dtype)


def _limits(dtype: mx.Dtype) -> tuple[float, float] | None:
    """The least and the largest number that ``dtype`` holds; negative integers wrap around in unsigned dtypes."""
    if dtype in (mx.bool_, mx.complex64):
        return None
    found: Any = mx.finfo(dtype) if dtype in FLOATING else mx.iinfo(dtype)
    return (found.min if found.min < 0 else -found.max), found.max


def extremes(dtype: mx.Dtype) -> tuple[float, float]:
    """The smallest and the largest value of ``dtype``; infinite for floating-point and complex numbers."""
    if dtype in FLOATING:
        return -math.inf, math.inf
    return (0, 1) if dtype == mx.bool_ else (mx.iinfo(dtype).min, mx.iinfo(dtype).max)


def wrapped(value: int, dtype: mx.Dtype) -> mx.array:
    """An integer as an array of an integer dtype, in which it wraps around like PyTorch's."""
    if dtype == mx.bool_ or mx.iinfo(dtype).min <= value <= mx.iinfo(dtype).max:
        return mx.array(value, dtype)
    bits = 8 * dtype.size
    value %= 1 << bits
    return mx.array(value - (1 << bits) if mx.iinfo(dtype).min and value >> (bits - 1) else value, dtype)


def _same_dtype(caller: str, x: mx.array, other: mx.array) -> tuple[mx.array, mx.array]:
    if isinstance(caller, TrueDivision) and x.dtype not in FLOATING and other.dtype not in FLOATING:
        return x.astype(get_default_dtype()), other.astype(get_default_dtype())  # -1 / uint8 is not 255 / uint8
    if caller in _SUBTRACTIONS and mx.bool_ in (x.dtype, other.dtype):
        raise bool_subtraction(caller)
    if x.ndim and not other.ndim:
        if category(other.dtype) <= category(x.dtype):
            return x, other.astype(x.dtype)
    elif other.ndim and not x.ndim and category(x.dtype) <= category(other.dtype):
        return x.astype(other.dtype), other
    return x, other


def binary(caller: str, function: Callable[[Any, Any], mx.array], x: Any, other: Any) -> mx.array:
    """``function`` applied to both operands, with broadcasting.

    Raises:
        ValueError: the shapes do not broadcast.
    """
    x, other = pair(caller, x, other)
    try:
        return function(x, other)
    except ValueError:
        # MLX checks the shapes on every call, so they are only checked here to raise a clearer error.
        _checks.broadcast_shapes(caller, np.shape(x), np.shape(other))
        # Or an integer is out of range for the dtype of the other operand. PyTorch's wraps around.
        if isinstance(caller, TrueDivision):
            x, other = (one.astype(get_default_dtype()) if isinstance(one, mx.array) else one for one in (x, other))
        elif type(x) is int:
            x = scalar_like(x, other)
        elif type(other) is int:
            other = scalar_like(other, x)
        else:
            raise
        return function(x, other)


def larger(caller: str, x: Any, other: Any) -> mx.array:
    """Element-wise maximum; equal values share the gradient."""
    return _chosen(caller, mx.maximum, x, other)


def smaller(caller: str, x: Any, other: Any) -> mx.array:
    """Element-wise minimum; equal values share the gradient."""
    return _chosen(caller, mx.minimum, x, other)


def _chosen(caller: str, function: Callable[[Any, Any], mx.array], x: Any, other: Any) -> mx.array:
    x, other = arrays(caller, x, other)
    if x.dtype == mx.complex64:
        raise _checks.DtypeError(f"{caller}: complex numbers have no order")
    chosen = binary(caller, function, x, other)
    # For equal values, MLX's maximum and minimum send the whole gradient to the second.
    return mx.where(x == other, x * 0.5 + other * 0.5, chosen) if chosen.dtype in FLOATING else chosen


def floating(caller: str, x: Any) -> mx.array:
    """``x`` as a floating-point array; integers become float32."""
    x = array(caller, x)
    return x if x.dtype in FLOATING else x.astype(get_default_dtype())


def real(caller: str, value: Any, name: str = "input") -> mx.array:
    """``value`` as a floating-point array that is safe to sum.

    Raises:
        TypeError: ``value`` holds integers or bools.
    """
    x = compact_if_empty(array(caller, value, name))
    if x.dtype not in FLOATING:
        raise _checks.DtypeError(
            f"{caller}: {name} must hold floating-point numbers, got {_checks.dtype_name(x.dtype)}; "
            "convert with .float()"
        )
    return x


def real_numbers(caller: str, value: Any, name: str = "input") -> mx.array:
    """``real``, without complex numbers.

    Raises:
        TypeError: ``value`` holds integers, bools or complex numbers.
    """
    x = real(caller, value, name)
    if x.dtype == mx.complex64:
        raise _checks.DtypeError(f"{caller}: {name} must hold real numbers, got complex64")
    return x


def numeric(caller: str, value: Any) -> mx.array:
    """``value`` as an array of real numbers, integers included.

    Raises:
        DtypeError: ``value`` holds bools or complex numbers.
    """
    x = array(caller, value)
    if x.dtype in (mx.bool_, mx.complex64):
        raise _checks.DtypeError(f"{caller}: {_checks.dtype_name(x.dtype)} is not supported")
    return x


def truncated_quotient(x: mx.array, other: mx.array) -> mx.array:
    """The quotient of integers, rounded toward zero."""
    return mx.abs(x) // mx.abs(other) * (mx.sign(x) * mx.sign(other))


def reversed_along(x: mx.array, axis: int) -> mx.array:
    return x[(slice(None),) * axis + (slice(None, None, -1),)]


def averageable(caller: str, value: Any, dtype: Any = None) -> tuple[mx.array, mx.Dtype]:
    """``value`` in the dtype to average in (float32 for half precision), and the dtype of the result.

    Raises:
        TypeError: ``value`` holds integers and ``dtype`` is not a floating-point dtype.
    """
    x = real(caller, value if dtype is None else array(caller, value).astype(_checks.dtype(caller, dtype)))
    return (x.astype(mx.float32) if x.dtype in LOW_PRECISION else x), x.dtype


def axes(caller: str, x: mx.array, dim: Any) -> tuple[int, ...]:
    """The dimensions to reduce; ``None`` and () mean all."""
    if dim is None:
        return tuple(range(x.ndim))
    if type(dim) is int and -x.ndim <= dim < x.ndim:
        return (dim % x.ndim,)
    found = _checks.dims(caller, dim, x.ndim)
    if x.ndim == 0:
        return ()
    return found or tuple(range(x.ndim))


def at_least_1d(x: mx.array) -> mx.array:
    return x if x.ndim else x.reshape(1)


def itself_if_equal(function: "Callable[P, Tensor]") -> "Callable[P, Tensor]":
    """``function``, which returns its argument if that has the dtype of the result already, as in PyTorch."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> "Tensor":
        found = function(*args, **kwargs)
        source: Any = args[0] if args else kwargs.get("input")
        same = isinstance(source, TensorBase) and source._array.dtype == found._array.dtype
        return cast("Tensor", source) if same else found

    return call


def varargs(body: Callable[P, R]) -> Callable[..., R]:
    """Let ``f(x, 2, 3)`` mean ``f(x, (2, 3))``, as PyTorch's methods do: the second parameter gets the tuple."""

    @functools.wraps(body)
    def spread(*args: Any, **kwargs: Any) -> R:
        return body(*args, **kwargs) if len(args) < 3 else body(args[0], args[1:], **kwargs)  # type: ignore[arg-type]

    spread.takes_varargs = True  # type: ignore[attr-defined]
    return spread


def sized(function: Callable[P, R]) -> Callable[..., R]:
    """Let ``f(2, 3)`` mean ``f((2, 3))``: the first parameter gets the tuple."""

    @functools.wraps(function)
    def spread(*args: Any, **kwargs: Any) -> R:
        return function(*args, **kwargs) if len(args) < 2 else function(args, **kwargs)  # type: ignore[arg-type]

    spread.takes_varargs = True  # type: ignore[attr-defined]
    return spread


def sizes(caller: str, values: Any, name: str = "size") -> tuple[int, ...]:
    """Sizes from an integer, several, or a tuple in a tuple; the caller handles -1."""
    listed = values if isinstance(values, tuple) else _as_sequence(values)
    if len(listed) == 1 and isinstance(listed[0], Iterable) and not isinstance(listed[0], mx.array | bytes):
        listed = tuple(listed[0])
    return tuple(
        [one if type(one) is int and -1 <= one < 2**31 else _checks.integer(caller, name, one) for one in listed]
    )


def _as_sequence(values: Any) -> Sequence[Any]:
    return values if isinstance(values, Sequence) and not isinstance(values, bytes) else (values,)


def index_array(caller: str, value: Any, name: str = "index") -> mx.array:
    """``value`` as an integer array.

    Raises:
        TypeError: ``value`` holds anything but integers.
    """
    found = array(caller, value, name)
    if found.dtype in FLOATING or found.dtype == mx.bool_:
        if found.size == 0 and not isinstance(value, mx.array):  # an empty list has no dtype of its own
            return found.astype(mx.int64)
        raise _checks.DtypeError(f"{caller}: {name} must hold integers, got {_checks.dtype_name(found.dtype)}")
    return found


def index_within(
    caller: str, value: Any, dim: int, shape: tuple[int, ...], name: str = "index", *, lowest: int | None = None
) -> mx.array:
    """``value`` as an integer array that stays inside dimension ``dim`` of ``shape``, see ``lucid/_bounds.py``.

    Raises:
        IndexError: a value is out of range.
        TypeError: ``value`` holds anything but integers.
    """
    is_host = not isinstance(value, mx.array)
    return _bounds.within(caller, index_array(caller, value, name), dim, shape, is_host=is_host, lowest=lowest)
