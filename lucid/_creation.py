"""Functions that create tensors."""

from __future__ import annotations

import builtins
import math
from typing import Any

import mlx.core as mx
import numpy as np

from lucid import _checks, _threads, tape
from lucid._dtypes import as_dtype
from lucid._tensor import Tensor, tensor
from lucid._tensor_convert import as_array
from lucid.ops._types import TensorLike
from lucid.random import _finish


def zeros(*size: Any, dtype: object = None, device: object = None, requires_grad: bool = False) -> Tensor:
    """Zeros of the given shape, float32 by default."""
    return _finish(mx.zeros(_checks.shape("zeros", size), _dtype(dtype)), requires_grad)


def ones(*size: Any, dtype: object = None, device: object = None, requires_grad: bool = False) -> Tensor:
    """Ones of the given shape, float32 by default."""
    return _finish(mx.ones(_checks.shape("ones", size), _dtype(dtype)), requires_grad)


def empty(*size: Any, dtype: object = None, device: object = None, requires_grad: bool = False) -> Tensor:
    """A tensor of the given shape with unspecified values (zeros in fact)."""
    return _finish(mx.zeros(_checks.shape("empty", size), _dtype(dtype)), requires_grad)


def full(
    size: Any, fill_value: TensorLike, *, dtype: object = None, device: object = None, requires_grad: bool = False
) -> Tensor:
    """A tensor filled with ``fill_value``, by default in the dtype of the value (int64 for an integer).

    Example:
        >>> lucid.full((2, 3), 7.0)
        tensor([[7., 7., 7.],
                [7., 7., 7.]])
    """
    value = as_array(fill_value, None if dtype is None else as_dtype(dtype))
    return _finish(_filled("full", _checks.shape("full", (size,)), value), requires_grad)


def _filled(caller: str, shape: tuple[int, ...], value: mx.array) -> mx.array:
    if _checks.broadcast_shapes(caller, shape, value.shape) != shape:
        raise _checks.ArgumentError(f"{caller}: fill_value of shape {value.shape} cannot be broadcast to size {shape}")
    return mx.full(shape, value)


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
    """A tensor in the shape and dtype of ``input`` with unspecified values (zeros in fact)."""
    return full_like(input, 0, dtype=dtype, requires_grad=requires_grad)


def full_like(
    input: TensorLike,
    fill_value: TensorLike,
    *,
    dtype: object = None,
    device: object = None,
    requires_grad: bool = False,
) -> Tensor:
    """A tensor in the shape and dtype of ``input`` filled with ``fill_value``."""
    array = as_array(input)
    value = as_array(fill_value, as_dtype(dtype or array.dtype))
    return _finish(_filled("full_like", array.shape, value), requires_grad)


def eye(n: int, m: int | None = None, *, dtype: object = None, requires_grad: bool = False) -> Tensor:
    """The (n, m) matrix with ones on the diagonal, by default (n, n)."""
    rows = _checks.integer("eye", "n", n, 0)
    columns = rows if m is None else _checks.integer("eye", "m", m, 0)
    return _finish(mx.eye(rows, columns, dtype=_dtype(dtype)), requires_grad)


def arange(
    start: float,
    end: float | None = None,
    step: float = 1,
    *,
    dtype: object = None,
    device: object = None,
    requires_grad: bool = False,
) -> Tensor:
    """``start``, ``start + step``, ... up to but excluding ``end``; ``arange(end)`` starts at 0.

    int64 if all arguments are integers, otherwise float32.

    Raises:
        ValueError: ``step`` is 0 or leads away from ``end``.

    Example:
        >>> lucid.arange(1, 10, 3).tolist()
        [1, 4, 7]
    """
    if end is None:
        start, end = 0, start
    start, end, step = (_end("arange", *v) for v in (("start", start), ("end", end), ("step", step)))
    if step == 0 or (end - start) * step < 0:
        raise _checks.ArgumentError(
            f"arange: step must be nonzero and lead from start {start} toward end {end}, got {step}"
        )
    whole = builtins.all(isinstance(v, int) for v in (start, end, step))
    found = as_dtype(dtype) if dtype is not None else (mx.int64 if whole else mx.float32)
    # Computed in NumPy: MLX's arange rounds int64 through double and adds in float32.
    count = max(0, -((start - end) // step) if whole else math.ceil((end - start) / step))
    values: Any = np.arange(int(count), dtype=np.int64 if whole else np.float64)
    values = values * step + start
    return _finish(as_array(values, found), requires_grad)


def linspace(start: float, end: float, steps: int, *, dtype: object = None, requires_grad: bool = False) -> Tensor:
    """``steps`` evenly spaced numbers from ``start`` to ``end``, both included.

    Example:
        >>> lucid.linspace(0, 1, 5).tolist()
        [0.0, 0.25, 0.5, 0.75, 1.0]
    """
    values = np.linspace(_end("linspace", "start", start), _end("linspace", "end", end), _steps("linspace", steps))
    return _finish(as_array(values, _dtype(dtype)), requires_grad)


def logspace(start: float, end: float, steps: int, base: float = 10.0, *, dtype: object = None) -> Tensor:
    """``steps`` numbers from ``base**start`` to ``base**end``, evenly spaced on a logarithmic scale."""
    start, end = _end("logspace", "start", start), _end("logspace", "end", end)
    values = np.logspace(start, end, _steps("logspace", steps), base=_checks.number("logspace", "base", base))
    return tape.wrap(as_array(values, _dtype(dtype)))


def _end(caller: str, name: str, value: Any) -> Any:
    """``value``, a number or a tensor with one element, as a finite number; integers stay int."""
    value = value.item() if isinstance(value, Tensor | np.generic) else value
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    number = _checks.number(caller, name, value)
    if math.isinf(number):
        raise _checks.ArgumentError(f"{caller}: {name} must be finite, got {value!r}")
    return number


def _steps(caller: str, value: Any) -> int:
    return _checks.integer(caller, "steps", value, 0)


def from_numpy(array: np.ndarray) -> Tensor:
    """A tensor with the values of a NumPy array. They are copied, so that later changes to the array have no effect.

    Raises:
        TypeError: ``array`` is not a NumPy array.

    Example:
        >>> lucid.from_numpy(np.arange(3)).tolist()
        [0, 1, 2]
    """
    if not isinstance(array, np.ndarray):
        raise TypeError(f"from_numpy: expected a NumPy array, got {type(array).__name__}")
    return tensor(array)


def from_dlpack(data: Any) -> Tensor:
    """A tensor with the values of another library's array, copied through DLPack."""
    if not hasattr(data, "__dlpack__"):
        raise TypeError(f"from_dlpack: {type(data).__name__} has no __dlpack__")
    return tensor(data)


def as_tensor(data: TensorLike, dtype: object = None, device: object = None) -> Tensor:
    """``data`` itself if it is a tensor of that dtype, otherwise a new tensor."""
    if isinstance(data, Tensor):
        return data if dtype is None else data.to(as_dtype(dtype))
    return tensor(data, None if dtype is None else as_dtype(dtype))


def is_tensor(value: object) -> bool:
    """Whether ``value`` is a ``lucid.Tensor``."""
    return isinstance(value, Tensor)


def _dtype(dtype: object) -> mx.Dtype:
    _threads.prepare()
    return mx.float32 if dtype is None else as_dtype(dtype)


__all__ = [
    "arange", "as_tensor", "empty", "empty_like", "eye", "from_dlpack", "from_numpy", "full", "full_like", "is_tensor",
    "linspace", "logspace", "ones", "ones_like", "tensor", "zeros", "zeros_like",
]  # fmt: skip
