"""Convert data of Python, NumPy and other libraries to ``mx.array``, and back to NumPy."""

from __future__ import annotations

import contextlib
import weakref
from typing import TYPE_CHECKING, Any

import mlx.core as mx
import numpy as np

from lucid import _bounds, _checks, _threads, tape
from lucid._dtypes import as_dtype, converted, get_default_dtype
from lucid.ops._common import number_as

if TYPE_CHECKING:
    from lucid._tensor import Tensor

_INTEGER_LIMITS = {
    getattr(mx, name): np.iinfo(name)
    for name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
}


def as_array(data: Any, dtype: object = None) -> mx.array:
    """Any data that ``lucid.tensor`` takes as an ``mx.array``.

    Python floats become float32 and integers int64, as in PyTorch; float64 data becomes float32, unless ``dtype`` is
    float64.

    Raises:
        TypeError: ``data`` is of an unsupported type.
        ValueError: nested lists have unequal lengths, or a number does not fit in ``dtype``.
    """
    _threads.prepare()
    expected = None if dtype is None else as_dtype(dtype)
    if isinstance(data, tape.TensorBase):
        array = _threads.value_of(data)
    elif isinstance(data, mx.array):
        array = data
    elif isinstance(data, bool | int | float | complex) and not isinstance(data, np.generic):
        if type(data) is not float or expected is not None:
            _check_numbers(np.asarray(data), expected)
        if isinstance(data, int) and data >= 2**63:
            data = np.uint64(data) if expected is not None and expected == mx.uint64 else float(data)
        array = mx.array(data, expected or _default_dtype(data))
    elif isinstance(data, np.ndarray | np.generic):
        array = _from_numpy(np.asarray(data), expected)
    elif isinstance(data, list | tuple | range):
        array = _from_sequence(list(data), expected)
    elif hasattr(data, "__dlpack__"):
        array = mx.array(data)  # a copy, because the other library may modify its memory later
        if array.dtype == mx.float64 and expected is None:
            array = converted(array, mx.float32)
    elif hasattr(data, "__array__"):
        array = _from_numpy(np.asarray(data), expected)
    elif type(data).__module__.startswith("PIL."):
        raise TypeError(
            f"tensor: a Pillow image ({type(data).__name__}) is not a tensor; lucid.models.transforms_for(model) makes "
            "what a model takes, numpy.asarray(image) gives the pixels (H, W, C)"
        )
    else:
        raise _checks.DtypeError(
            f"tensor: data of type {type(data).__name__} cannot be converted to a tensor; "
            "expected a number, (nested) lists of numbers, or an array of NumPy, MLX or another library with DLPack"
        )
    return array if expected is None or array.dtype == expected else converted(array, expected)


def _default_dtype(value: Any) -> mx.Dtype:
    if isinstance(value, bool):
        return mx.bool_
    if isinstance(value, int):
        return mx.int64
    return get_default_dtype() if isinstance(value, float) else mx.complex64


def _check_numbers(values: np.ndarray, expected: mx.Dtype | None) -> None:
    """Raise an error for numbers of Python that ``expected`` cannot hold, by default int64 for integers."""
    if expected is None and values.dtype.kind in "bifc":
        return
    is_float = expected is not None and mx.issubdtype(expected, mx.inexact)
    if (values.dtype.kind == "O" or values.dtype == np.uint64) and not is_float:
        numbers = [one for one in values.reshape(-1).tolist() if isinstance(one, int)]
        wrong = [
            one
            for one in numbers
            if not -(2**63) <= one < (2**63 if expected is None or expected != mx.uint64 else 2**64)
        ]
        if len(numbers) == values.size and wrong:
            raise _checks.ArgumentError(f"tensor: {wrong[0]} does not fit in 64 bits; int64 ends at 2**63 - 1")
    elif expected is not None:
        if values.dtype.kind == "c" and expected != mx.complex64:
            raise TypeError(f"tensor: complex numbers cannot be converted to {_checks.dtype_name(expected)}")
        limits = _INTEGER_LIMITS.get(expected)
        if limits is None or values.size == 0 or values.dtype.kind not in "iuf":
            return
        low, high = values.min(), values.max()
        # As in C and PyTorch, negative integers wrap around in unsigned dtypes.
        lowest = limits.min if limits.min or values.dtype.kind == "f" else -int(limits.max)
        if not (lowest <= low and high <= limits.max):
            wrong = [low if not lowest <= low else high]
            raise _checks.ArgumentError(f"tensor: {wrong[0]} does not fit in {_checks.dtype_name(expected)}")


def _from_numpy(array: np.ndarray, expected: mx.Dtype | None = None) -> mx.array:
    if array.dtype.kind not in "biufc" or array.dtype.itemsize > 16 or array.dtype.char in "gG":
        raise TypeError(f"tensor: NumPy dtype {array.dtype} is not supported")
    if not array.dtype.isnative:
        raise _checks.ArgumentError(
            f"tensor: the byte order of {array.dtype} is not this machine's; convert it with "
            "array.astype(array.dtype.newbyteorder('='))"
        )
    # A new array if empty: MLX's sums over an empty array with the strides of a slice may never return.
    array = array if array.size else np.zeros(array.shape, array.dtype)
    if array.dtype == np.float64:
        if (get_default_dtype() if expected is None else expected) == mx.float64:
            return mx.array(array, mx.float64)
        if expected in _INTEGER_LIMITS:  # float32 would round large numbers
            with np.errstate(invalid="ignore"):
                return mx.array(array.astype(np.uint64 if expected == mx.uint64 else np.int64))
    return mx.array(array)  # float64 becomes float32, and complex128 complex64


def _from_sequence(values: list[Any], expected: mx.Dtype | None) -> mx.array:
    if values and all(isinstance(one, tape.TensorBase) and one._array.size == 1 for one in values):
        return mx.stack([as_array(one, expected).reshape(()) for one in values])  # numbers
    if _holds_arrays(values):
        parts = [as_array(v, expected) for v in values]
        if any(p.shape != parts[0].shape for p in parts):
            raise ValueError(
                f"tensor: arrays in a list must have equal shapes, got {', '.join(str(p.shape) for p in parts[:6])}"
            )
        return mx.stack(parts)
    try:
        array = np.array(values)
    except ValueError as error:
        raise ValueError(f"tensor: nested lists must have equal lengths ({error})") from None
    first: Any = values
    while isinstance(first, list | tuple) and first:
        first = first[0]
    if isinstance(first, int) and array.dtype == np.float64 and np.abs(array).max(initial=0) >= 2**63:
        exact = np.array(values, object)  # NumPy makes float64 of integers that int64 and uint64 together do not hold
        array = exact if all(isinstance(one, int) for one in exact.flat) else array
    _check_numbers(array, expected)
    if array.dtype.kind not in "biufc":
        raise _checks.DtypeError(f"tensor: lists must hold numbers, got {array.dtype}")
    if expected is None and (array.dtype == np.float64 or not array.size):
        expected = get_default_dtype()
    return _from_numpy(array, expected) if array.size else mx.zeros(array.shape, expected)


def _holds_arrays(values: list[Any]) -> bool:
    for value in values:
        if isinstance(value, tape.TensorBase | mx.array):
            return True
        if isinstance(value, list | tuple) and _holds_arrays(list(value)):
            return True
    return False


def filled(caller: str, shape: tuple[int, ...], fill_value: Any, dtype: mx.Dtype | None) -> mx.array:
    """An array of ``fill_value``, a number or what broadcasts to ``shape``; in its own dtype by default."""
    if isinstance(fill_value, int) and not -(2**63) <= fill_value < 2**64:
        raise _checks.ArgumentError(f"{caller}: fill_value must fit in 64 bits, got {fill_value}")
    is_number = isinstance(fill_value, int | float | complex)
    value = number_as(caller, "fill_value", fill_value, dtype) if is_number and dtype else as_array(fill_value, dtype)
    if _checks.broadcast_shapes(caller, shape, value.shape) != shape:
        raise _checks.ArgumentError(f"{caller}: fill_value of shape {value.shape} cannot be broadcast to size {shape}")
    return mx.full(shape, value)


def leaf(array: mx.array, requires_grad: bool | None) -> Tensor:
    """A new leaf tensor that holds ``array``.

    Raises:
        RuntimeError: it requires gradients and is not floating point.
    """
    tensor = tape.wrap(array)
    return tensor.requires_grad_() if requires_grad else tensor


def to_numpy(array: mx.array) -> np.ndarray:
    view = _bounds.as_numpy("numpy", array)
    view.flags.writeable = False
    return view


class ReadOnly:
    """Keeps a NumPy array read-only as long as this object lives, because a tensor would not see writes to it."""

    def __init__(self, array: np.ndarray) -> None:
        self._array = array
        array.flags.writeable = False
        _read_only[id(array)] = self

    @classmethod
    def of(cls, array: np.ndarray) -> ReadOnly | None:
        """One object for all tensors that are made from ``array``; None if it is read-only for another reason."""
        return _read_only.get(id(array)) or (cls(array) if array.flags.writeable else None)

    def __del__(self) -> None:
        with contextlib.suppress(ValueError):  # the array that it is a view of has become read-only
            self._array.flags.writeable = True


_read_only: weakref.WeakValueDictionary[int, ReadOnly] = weakref.WeakValueDictionary()  # by the id of the array
