"""Collate samples into batches, and convert batches between NumPy and tensors."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import mlx.core as mx
import numpy as np

from lucid import _deferred, tape


def default_collate(batch: Sequence[Any]) -> Any:
    """Stack samples into a batch of tensors, field by field, in nested dicts and tuples too.

    As in PyTorch, tuples and lists become a list, named tuples and dicts keep their type, and strings are collected in
    a list. Arrays keep their dtype and ints become int64; Python floats and float64 become float32, because GPUs of
    MLX have no float64.

    Raises:
        TypeError: the samples are of a type that cannot be stacked.
        ValueError: there are no samples, or shapes or lengths differ.

    Example:
        >>> images, labels = data.default_collate([(np.zeros(3), 1), (np.ones(3), 2)])
        >>> images.shape, labels
        ((2, 3), tensor([1, 2]))
    """
    return to_tensors(to_numpy(collate_arrays(batch)))


def collate_arrays(samples: Sequence[Any]) -> Any:
    """``default_collate`` in NumPy, for the threads of a loader."""
    if not samples:
        raise ValueError("default_collate: got no samples")
    first = samples[0]
    if isinstance(first, (str, bytes)):
        return list(samples)
    if isinstance(first, (bool, int, float, complex)) and not isinstance(first, np.generic):
        return _numbers(samples)
    if _is_array(first):
        return _stack(samples)
    if isinstance(first, Mapping):
        fields = {key: collate_arrays([sample[key] for sample in samples]) for key in first}
        return _like_mapping(first, fields)
    if isinstance(first, Sequence):
        lengths = {len(sample) for sample in samples}
        if len(lengths) > 1:
            raise ValueError(f"default_collate: samples must have the same number of fields, got {sorted(lengths)}")
        columns = [collate_arrays(column) for column in zip(*samples, strict=True)]
        return type(first)(*columns) if hasattr(first, "_fields") else columns
    raise TypeError(
        "default_collate: samples must hold arrays, tensors, numbers, strings, dicts, tuples or lists, "
        f"got {type(first).__name__}; give the loader a collate_fn"
    )


def to_numpy(batch: Any) -> Any:
    """Convert all tensors and MLX arrays in ``batch`` to NumPy arrays that MLX supports, in the calling thread.

    float64 becomes float32, complex128 complex64.
    """
    return map_structure(_transferable, batch)


def to_tensors(batch: Any) -> Any:
    """Convert all numeric NumPy arrays in ``batch`` to tensors. Anything else is unchanged."""
    return map_structure(_tensor_leaf, batch)


def map_structure(function: Callable[[Any], Any], value: Any) -> Any:
    """Apply ``function`` to every leaf of nested dicts, named tuples, tuples and lists. Types are kept."""
    if isinstance(value, Mapping):
        return _like_mapping(value, {key: map_structure(function, item) for key, item in value.items()})
    if isinstance(value, (tuple, list)):
        items = [map_structure(function, item) for item in value]
        if hasattr(value, "_fields"):
            return type(value)(*items)
        return tuple(items) if isinstance(value, tuple) else items
    return function(value)


def numpy_leaf(value: Any) -> Any:
    """A tensor or MLX array as a NumPy array; anything else unchanged."""
    if isinstance(value, (np.ndarray, np.generic)):
        return value
    if isinstance(value, mx.array):
        return np.array(_deferred.to_numpy(value))
    return np.asarray(value.numpy()) if callable(getattr(value, "numpy", None)) else value


def _transferable(value: Any) -> Any:
    value = numpy_leaf(value)
    if not _is_numeric(value):
        return value
    # MLX has no float64 on the GPU and supports neither negative strides nor a foreign byte order. Converting here
    # keeps the work in the loader's thread.
    wide = {"f": np.float32, "c": np.complex64} if value.dtype.itemsize > 4 else {}
    return np.asarray(value, dtype=wide.get(value.dtype.kind, value.dtype.newbyteorder("=")), order="C")


def _tensor_leaf(value: Any) -> Any:
    return tape.wrap(mx.array(value)) if _is_numeric(value) else value


def _is_numeric(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind in "biufc"


def _is_array(value: Any) -> bool:
    return isinstance(value, (np.ndarray, np.generic, mx.array)) or callable(getattr(value, "numpy", None))


def _stack(samples: Sequence[Any]) -> np.ndarray:
    arrays = [np.asarray(numpy_leaf(sample)) for sample in samples]
    shapes = {array.shape for array in arrays}
    if len(shapes) > 1:
        raise ValueError(
            f"default_collate: arrays of a batch must have the same shape, got {sorted(shapes, key=str)}; "
            "crop or pad the samples, or give the loader a collate_fn"
        )
    return np.stack(arrays)


def _numbers(samples: Sequence[Any]) -> np.ndarray:
    numbers = np.asarray(samples)
    if numbers.dtype.kind not in "biufc":
        raise TypeError(f"default_collate: a field of the samples mixes numbers with {numbers.dtype} values")
    # Python numbers have no width: use PyTorch's defaults.
    return numbers.astype({"b": np.bool_, "f": np.float32, "c": np.complex64}.get(numbers.dtype.kind, np.int64))


def _like_mapping(original: Mapping[Any, Any], fields: dict[Any, Any]) -> Any:
    try:
        return type(original)(fields)  # type: ignore[call-arg]
    except TypeError:  # the constructor takes other arguments, such as that of defaultdict
        return fields
