"""Functions that make tensors."""

from __future__ import annotations

import builtins
import math
from typing import Any

import mlx.core as mx
import numpy as np

from lucid import tape
from lucid._dtypes import as_dtype
from lucid._tensor import Tensor, as_array, tensor
from lucid.ops._types import TensorLike
from lucid.random import _finish, _shape


def zeros(*size: Any, dtype: object = None, device: object = None, requires_grad: bool = False) -> Tensor:
    """Zeros of the given shape, float32 unless told otherwise."""
    return _finish(mx.zeros(_shape(size, "zeros"), _dtype(dtype)), requires_grad)


def ones(*size: Any, dtype: object = None, device: object = None, requires_grad: bool = False) -> Tensor:
    """Ones of the given shape, float32 unless told otherwise."""
    return _finish(mx.ones(_shape(size, "ones"), _dtype(dtype)), requires_grad)


def empty(*size: Any, dtype: object = None, device: object = None, requires_grad: bool = False) -> Tensor:
    """A tensor whose values nobody should read; they are zeros."""
    return _finish(mx.zeros(_shape(size, "empty"), _dtype(dtype)), requires_grad)


def full(
    size: Any, fill_value: TensorLike, *, dtype: object = None, device: object = None, requires_grad: bool = False
) -> Tensor:
    """``fill_value`` in the given shape; the dtype is that of the value (int64 for an integer)."""
    value = as_array(fill_value, None if dtype is None else as_dtype(dtype))
    return _finish(mx.full(_shape((size,) if isinstance(size, int) else tuple(size), "full"), value), requires_grad)


def zeros_like(
    input: TensorLike, *, dtype: object = None, device: object = None, requires_grad: bool = False
) -> Tensor:
    """Zeros in the shape and dtype of ``input``."""
    return full_like(input, 0, dtype=dtype, requires_grad=requires_grad)


def ones_like(input: TensorLike, *, dtype: object = None, device: object = None, requires_grad: bool = False) -> Tensor:
    """Ones in the shape and dtype of ``input``."""
    return full_like(input, 1, dtype=dtype, requires_grad=requires_grad)


def empty_like(
    input: TensorLike, *, dtype: object = None, device: object = None, requires_grad: bool = False
) -> Tensor:
    """A tensor in the shape and dtype of ``input`` whose values nobody should read; they are zeros."""
    return full_like(input, 0, dtype=dtype, requires_grad=requires_grad)


def full_like(
    input: TensorLike,
    fill_value: TensorLike,
    *,
    dtype: object = None,
    device: object = None,
    requires_grad: bool = False,
) -> Tensor:
    """``fill_value`` in the shape and dtype of ``input``."""
    array = as_array(input)
    return _finish(mx.full(array.shape, as_array(fill_value, as_dtype(dtype or array.dtype))), requires_grad)


def eye(n: int, m: int | None = None, *, dtype: object = None, requires_grad: bool = False) -> Tensor:
    """The (n, m) matrix with ones on its diagonal."""
    if n < 0 or (m is not None and m < 0):
        raise ValueError(f"eye: sizes must not be negative, got {n}, {m}")
    return _finish(mx.eye(n, m, dtype=_dtype(dtype)), requires_grad)


def arange(
    start: float,
    end: float | None = None,
    step: float = 1,
    *,
    dtype: object = None,
    device: object = None,
    requires_grad: bool = False,
) -> Tensor:
    """``start``, ``start + step``, ... up to and without ``end``; int64 when all are integers. ``arange(end)`` starts
    at 0.

    Raises:
        ValueError: the step is 0 or leads away from ``end``.
    """
    if end is None:
        start, end = 0, start
    start, end, step = (v.item() if isinstance(v, Tensor) else v for v in (start, end, step))
    if step == 0 or (end - start) * step < 0:
        raise ValueError(f"arange: a step of {step} does not lead from {start} to {end}")
    whole = builtins.all(isinstance(v, int | np.integer) for v in (start, end, step))
    found = as_dtype(dtype) if dtype is not None else (mx.int64 if whole else mx.float32)
    # Counted in Python's doubles and integers: MLX's own arange rounds int64 through double and adds in float32.
    count = max(0, -((start - end) // step) if whole else math.ceil((end - start) / step))
    values: Any = np.arange(int(count), dtype=np.int64 if whole else np.float64)
    values = values * step + start
    return _finish(as_array(values, found), requires_grad)


def linspace(start: float, end: float, steps: int, *, dtype: object = None, requires_grad: bool = False) -> Tensor:
    """``steps`` equally spaced numbers from ``start`` to ``end``, both included."""
    if steps < 0:
        raise ValueError(f"linspace: steps must not be negative, got {steps}")
    return _finish(as_array(np.linspace(start, end, steps), _dtype(dtype)), requires_grad)


def logspace(start: float, end: float, steps: int, base: float = 10.0, *, dtype: object = None) -> Tensor:
    """``steps`` numbers from ``base**start`` to ``base**end``, equally spaced on a logarithmic scale."""
    return tape.wrap(as_array(np.logspace(start, end, steps, base=base), _dtype(dtype)))


def from_numpy(array: np.ndarray) -> Tensor:
    """A tensor with the values of a NumPy array (copied: a tensor's values never change behind the record).

    Raises:
        TypeError: ``array`` is not a NumPy array.
    """
    if not isinstance(array, np.ndarray):
        raise TypeError(f"from_numpy: wanted a NumPy array, got {type(array).__name__}")
    return tensor(array)


def from_dlpack(data: Any) -> Tensor:
    """A tensor with the values of another library's array, through DLPack (copied)."""
    if not hasattr(data, "__dlpack__"):
        raise TypeError(f"from_dlpack: {type(data).__name__} has no __dlpack__")
    return tensor(data)


def as_tensor(data: TensorLike, dtype: object = None, device: object = None) -> Tensor:
    """``data`` itself when it is a tensor of that dtype, otherwise a new tensor."""
    if isinstance(data, Tensor):
        return data if dtype is None else data.to(as_dtype(dtype))
    return tensor(data, None if dtype is None else as_dtype(dtype))


def is_tensor(value: object) -> bool:
    """Whether ``value`` is a ``lucid.Tensor``."""
    return isinstance(value, Tensor)


def _dtype(dtype: object) -> mx.Dtype:
    return mx.float32 if dtype is None else as_dtype(dtype)


__all__ = [
    "arange", "as_tensor", "empty", "empty_like", "eye", "from_dlpack", "from_numpy", "full", "full_like", "is_tensor",
    "linspace", "logspace", "ones", "ones_like", "tensor", "zeros", "zeros_like",
]  # fmt: skip
