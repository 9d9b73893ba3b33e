"""Convert data of Python, NumPy and other libraries to ``mx.array``, and back to NumPy."""

from __future__ import annotations

from typing import Any

import mlx.core as mx
import numpy as np

from lucid import _bounds, _checks, _threads, tape
from lucid._dtypes import as_dtype, converted


def as_array(data: Any, dtype: mx.Dtype | str | None = None) -> mx.array:
    """Any data that ``lucid.tensor`` takes as an ``mx.array``.

    Python floats become float32 and integers int64, as in PyTorch; float64 data becomes float32.

    Raises:
        TypeError: ``data`` is of an unsupported type.
        ValueError: nested lists have unequal lengths.
    """
    _threads.prepare()
    expected = None if dtype is None else as_dtype(dtype)
    if isinstance(data, tape.TensorBase):
        array = data._array
    elif isinstance(data, mx.array):
        array = data
    elif isinstance(data, bool | int | float | complex):
        if isinstance(data, int) and not -(2**63) <= data < 2**64:
            raise _checks.ArgumentError(f"tensor: {data} does not fit in 64 bits")
        array = mx.array(data, expected or _default_dtype(data))
    elif isinstance(data, np.ndarray | np.generic):
        array = _from_numpy(np.asarray(data))
    elif isinstance(data, list | tuple | range):
        array = _from_sequence(list(data))
    elif hasattr(data, "__dlpack__"):
        array = _single(mx.array(data))  # a copy, because the other library may modify its memory later
    elif hasattr(data, "__array__"):
        array = _from_numpy(np.asarray(data))
    elif type(data).__module__.startswith("PIL."):
        raise TypeError(
            f"tensor: a Pillow image ({type(data).__name__}) is not a tensor; lucid.models.transforms_for(model) makes "
            "what a model takes, numpy.asarray(image) gives the pixels (H, W, C)"
        )
    else:
        raise TypeError(
            f"tensor: data of type {type(data).__name__} cannot be converted to a tensor; "
            "expected a number, (nested) lists of numbers, or an array of NumPy, MLX or another library with DLPack"
        )
    return array if expected is None or array.dtype == expected else converted(array, expected)


def _default_dtype(value: Any) -> mx.Dtype:
    if isinstance(value, bool):
        return mx.bool_
    if isinstance(value, int):
        return mx.int64
    return mx.float32 if isinstance(value, float) else mx.complex64


def _single(array: mx.array) -> mx.array:
    return converted(array, mx.float32) if array.dtype == mx.float64 else array


def _from_numpy(array: np.ndarray) -> mx.array:
    if array.dtype == np.float64:
        array = array.astype(np.float32)
    elif array.dtype == np.complex128:
        array = array.astype(np.complex64)
    elif array.dtype.kind not in "biufc":
        raise TypeError(f"tensor: NumPy dtype {array.dtype} is not supported")
    # A new array if empty: MLX's sums over an empty array with the strides of a slice may never return.
    return mx.array(array if array.size else np.zeros(array.shape, array.dtype))


def _from_sequence(values: list[Any]) -> mx.array:
    if _holds_arrays(values):
        parts = [as_array(v) for v in values]
        if any(p.shape != parts[0].shape for p in parts):
            raise ValueError(
                f"tensor: arrays in a list must have equal shapes, got {', '.join(str(p.shape) for p in parts[:6])}"
            )
        return mx.stack(parts)
    try:
        array = np.array(values)
    except ValueError as error:
        raise ValueError(f"tensor: nested lists must have equal lengths ({error})") from None
    if array.dtype.kind not in "biufc":
        raise TypeError(f"tensor: lists must hold numbers, got {array.dtype}")
    return _from_numpy(array) if array.size else mx.zeros(array.shape, mx.float32)


def _holds_arrays(values: list[Any]) -> bool:
    for value in values:
        if isinstance(value, tape.TensorBase | mx.array):
            return True
        if isinstance(value, list | tuple) and _holds_arrays(list(value)):
            return True
    return False


def to_numpy(array: mx.array) -> np.ndarray:
    view = _bounds.as_numpy("numpy", array)
    view.flags.writeable = False
    return view
