"""Gather and scatter: read and write along one dimension, at positions given by an integer tensor.

An index out of range raises an ``IndexError``, or is clamped where its values are not read: see ``lucid/_bounds.py``.
"""

from typing import Any

import mlx.core as mx
import numpy as np

from lucid import _checks
from lucid.ops._common import array, at_least_1d, index_within, number_as
from lucid.ops._types import TensorLike
from lucid.tape import op

__all__ = [
    "gather", "index_add", "index_copy", "index_fill", "index_select", "scatter", "scatter_add", "take",
    "take_along_dim",
]  # fmt: skip


def _operands(caller: str, x: mx.array, dim: Any, index: Any, lowest: int | None = 0) -> tuple[mx.array, mx.array, int]:
    x = at_least_1d(x)
    axis = _checks.dim(caller, dim, x.ndim)
    index = at_least_1d(index_within(caller, index, axis, x.shape, lowest=lowest))
    if index.ndim != x.ndim:
        raise _checks.ArgumentError(
            f"{caller}: index must have as many dimensions as the input ({x.ndim}), got shape {index.shape}"
        )
    return x, index, axis


@op
def gather(input: TensorLike, dim: int, index: TensorLike, *, sparse_grad: bool = False, out: None = None) -> mx.array:
    """Values picked along ``dim``: ``out[i][j] = input[index[i][j]][j]`` for ``dim`` 0, and likewise for others.

    The result has the shape of ``index``, which may be smaller than ``input`` in the other dimensions. Gradients are
    dense; ``sparse_grad`` is accepted for compatibility with PyTorch.

    Raises:
        IndexError: an index is out of range.
        ValueError: the shapes do not match.

    Example:
        >>> x = lucid.tensor([[1, 2], [3, 4]])
        >>> lucid.gather(x, 1, lucid.tensor([[0], [1]])).tolist()
        [[1], [4]]
    """
    x = array("gather", input)
    shape = array("gather", index, "index").shape
    if 0 in shape:
        _checks.dim("gather", dim, x.ndim)
        return mx.zeros(shape, x.dtype)
    x, index, axis = _operands("gather", x, dim, index)
    if any(i > n for d, (i, n) in enumerate(zip(index.shape, x.shape, strict=True)) if d != axis):
        raise _checks.ArgumentError(f"gather: index of shape {index.shape} is larger than {x.shape} outside dim {axis}")
    x = x[tuple(slice(None) if d == axis else slice(0, n) for d, n in enumerate(index.shape))]
    return mx.take_along_axis(x, index, axis).reshape(shape)


@op
def take_along_dim(input: TensorLike, indices: TensorLike, dim: int | None = None, *, out: None = None) -> mx.array:
    """``gather`` with the other dimensions broadcast; without ``dim``, from the flattened tensor."""
    x = array("take_along_dim", input)
    if dim is None:
        index = index_within("take_along_dim", indices, 0, (x.size,), lowest=0)
        return mx.take(x.reshape(-1), index.reshape(-1)) if index.size else mx.zeros((0,), x.dtype)
    x, index, at = _operands("take_along_dim", x, dim, indices, lowest=None)
    shapes = [(*one.shape[:at], 1, *one.shape[at + 1 :]) for one in (x, index)]
    common = _checks.broadcast_shapes("take_along_dim", *shapes)
    x = mx.broadcast_to(x, (*common[:at], x.shape[at], *common[at + 1 :]))
    index = mx.broadcast_to(index, (*common[:at], index.shape[at], *common[at + 1 :]))
    return mx.take_along_axis(x, index, at) if index.size else mx.zeros(index.shape, x.dtype)


def grid_of(caller: str, x: mx.array, dim: Any, index: Any, src: mx.array) -> tuple[mx.array, mx.array] | None:
    """The flat positions in ``x`` that ``index`` selects along ``dim``, and the flat values for them, or None."""
    if array(caller, index, "index").size == 0:
        _checks.dim(caller, dim, x.ndim)
        return None
    grid, src = _grid(caller, x, dim, index, at_least_1d(src))
    numbers = mx.arange(x.size, dtype=mx.int64).reshape(at_least_1d(x).shape)
    return numbers[grid].reshape(-1), src.reshape(-1)


def _scatter(caller: str, x: Any, dim: Any, index: Any, src: Any, mode: str) -> mx.array:
    x = array(caller, x)
    shape = x.shape
    if array(caller, index, "index").size == 0:
        _checks.dim(caller, dim, x.ndim)
        return x
    grid, src = _grid(caller, x, dim, index, src)
    x = at_least_1d(x)
    if mode == "add":
        return x.at[grid].add(src).reshape(shape)
    if mode == "multiply":
        return x.at[grid].multiply(src).reshape(shape)
    copy = mx.array(x)  # writing rebinds the copy and leaves x unchanged
    copy[grid] = src
    return copy.reshape(shape)


def _grid(caller: str, x: mx.array, dim: Any, index: Any, src: mx.array) -> tuple[tuple[mx.array, ...], mx.array]:
    """The index arrays of all dimensions, and the part of ``src`` that they place."""
    x, index, axis = _operands(caller, x, dim, index)
    if any(i > n for d, (i, n) in enumerate(zip(index.shape, x.shape, strict=True)) if d != axis):
        raise _checks.ArgumentError(
            f"{caller}: index of shape {index.shape} is larger than {x.shape} outside dim {axis}"
        )
    if src.ndim != index.ndim or any(i > n for i, n in zip(index.shape, src.shape, strict=True)):
        raise _checks.ArgumentError(f"{caller}: src of shape {src.shape} is smaller than index of shape {index.shape}")
    src = src[tuple(slice(0, n) for n in index.shape)]
    grid = [
        index if d == axis else mx.arange(n).reshape([-1 if e == d else 1 for e in range(index.ndim)])
        for d, n in enumerate(index.shape)
    ]
    return tuple(grid), src


def _source(caller: str, x: mx.array, src: Any) -> mx.array:
    """``src`` as an array with the dtype of ``x``."""
    src = at_least_1d(array(caller, src, "src"))
    if src.dtype != x.dtype:
        raise _checks.DtypeError(
            f"{caller}: src must have the dtype of the input, {_checks.dtype_name(x.dtype)}, "
            f"got {_checks.dtype_name(src.dtype)}"
        )
    return src


@op
def scatter(
    input: TensorLike, dim: int, index: TensorLike, src: TensorLike = None, *, value: TensorLike = None,
    reduce: str | None = None, out: None = None,
) -> mx.array:  # fmt: skip
    """``input`` with ``src`` written along ``dim``: ``out[index[i][j]][j] = src[i][j]`` for ``dim`` 0, and so on.

    ``src`` is a tensor, or a number like ``value``. ``reduce`` "add" or "multiply" combines it with the values of
    ``input``.

    Raises:
        IndexError: an index is out of range.
        ArgumentError: the shapes do not match.
        DtypeError: ``src`` and ``input`` have different dtypes.
    """
    if reduce is not None:
        _checks.one_of("scatter", "reduce", reduce, ("add", "multiply"))
    if (src is None) == (value is None):
        raise TypeError("scatter: expected either src or value")
    x = array("scatter", input)
    if src is None or not isinstance(src, mx.array | np.ndarray | list | tuple):
        number = number_as("scatter", "value", value if src is None else src, x.dtype)
        src = mx.broadcast_to(number, at_least_1d(array("scatter", index, "index")).shape)
    return _scatter("scatter", x, dim, index, _source("scatter", x, src), reduce or "set")


@op
def scatter_add(input: TensorLike, dim: int, index: TensorLike, src: TensorLike, *, out: None = None) -> mx.array:
    """``input`` with ``src[i][j]`` added to ``out[index[i][j]][j]`` for ``dim`` 0, and likewise for others.

    Example:
        >>> x = lucid.zeros(3)
        >>> lucid.scatter_add(x, 0, lucid.tensor([0, 0, 2]), lucid.ones(3)).tolist()
        [2.0, 0.0, 1.0]
    """
    if not isinstance(src, mx.array | np.ndarray | list | tuple):
        raise TypeError(f"scatter_add: src must be a tensor, got {type(src).__name__} {src!r:.60}")
    x = array("scatter_add", input)
    return _scatter("scatter_add", x, dim, index, _source("scatter_add", x, src), "add")


def index_vector(caller: str, index: Any, axis: int, shape: tuple[int, ...], lowest: int | None = 0) -> mx.array:
    index = index_within(caller, index, axis, shape, lowest=lowest)
    if index.ndim > 1:
        raise _checks.DimError(f"{caller}: index must be a vector, got shape {index.shape}")
    return at_least_1d(index)


@op
def index_select(input: TensorLike, dim: int, index: TensorLike, *, out: None = None) -> mx.array:
    """The slices of ``input`` along ``dim`` at the positions in the vector ``index``."""
    x = array("index_select", input)
    scalar, x = x.ndim == 0, at_least_1d(x)
    axis = _checks.dim("index_select", dim, x.ndim)
    index = index_vector("index_select", index, axis, x.shape)
    if scalar and index.size != 1:
        raise _checks.ArgumentError(f"index_select: a 0-d tensor takes a single index, got {index.size}")
    found = mx.take(x, index, axis) if index.size else x[(slice(None),) * axis + (slice(0, 0),)]
    return found.reshape(()) if scalar else found


def _write_slices(caller: str, x: Any, dim: Any, index: Any, source: Any, mode: str) -> mx.array:
    x = array(caller, x)
    source = array(caller, source, "source")
    if source.dtype != x.dtype:
        raise _checks.DtypeError(
            f"{caller}: source must have the dtype of the input, {_checks.dtype_name(x.dtype)}, "
            f"got {_checks.dtype_name(source.dtype)}"
        )
    shape, x = x.shape, at_least_1d(x)
    axis = _checks.dim(caller, dim, x.ndim)
    index = index_vector(caller, index, axis, x.shape)
    if not shape:
        source = at_least_1d(source)
    expected = (*x.shape[:axis], index.size, *x.shape[axis + 1 :]) if shape else (1,)
    if source.shape != expected or source.shape[axis] != index.size:
        # PyTorch raises one or the other, too.
        kind = _checks.DimError if mode == "set" else _checks.ArgumentError
        raise kind(f"{caller}: source must have shape {expected}, got {source.shape} for {index.size} indices")
    if index.size == 0 or x.size == 0:
        return x.reshape(shape)
    place = (slice(None),) * axis + (index,)
    if mode == "add":
        return x.at[place].add(source).reshape(shape)
    copy = mx.array(x)  # writing rebinds the copy and leaves x unchanged
    copy[place] = source
    return copy.reshape(shape)


@op
def index_add(
    input: TensorLike, dim: int, index: TensorLike, source: TensorLike, *, alpha: float = 1, out: None = None
) -> mx.array:
    """``input`` with the slices of ``alpha * source`` along ``dim`` added at the positions ``index``."""
    if not isinstance(source, mx.array | np.ndarray | list | tuple):
        raise TypeError(f"index_add: source must be a tensor, got {type(source).__name__} {source!r:.60}")
    source = array("index_add", source, "source")
    if alpha is not True and (type(alpha) is not int or alpha != 1):
        source = source * number_as("index_add", "alpha", alpha, source.dtype)
    return _write_slices("index_add", input, dim, index, source, "add")


@op
def index_copy(input: TensorLike, dim: int, index: TensorLike, source: TensorLike, *, out: None = None) -> mx.array:
    """``input`` with the slices along ``dim`` at the positions ``index`` replaced by those of ``source``."""
    return _write_slices("index_copy", input, dim, index, source, "set")


@op
def index_fill(input: TensorLike, dim: int, index: TensorLike, value: TensorLike) -> mx.array:
    """``input`` with the slices along ``dim`` at the positions ``index`` filled with the number ``value``."""
    x = array("index_fill", input)
    value = number_as("index_fill", "value", value, x.dtype)
    rows = at_least_1d(x)
    axis = _checks.dim("index_fill", dim, rows.ndim)
    index = index_vector("index_fill", index, axis, rows.shape, lowest=None)
    if index.size == 0 or x.size == 0:
        return x
    size, index = rows.shape[axis], index.astype(mx.int64)
    index = mx.where(index < 0, index + size, index)
    # A mask, so that the gradient of the value counts each position once.
    is_filled = mx.put_along_axis(mx.zeros(size, mx.bool_), index, mx.array(True), 0)
    is_filled = is_filled.reshape([-1 if d == axis else 1 for d in range(rows.ndim)])
    return mx.where(is_filled, value, rows).reshape(x.shape)


@op
def take(input: TensorLike, index: TensorLike, dim: int | None = None, *, out: None = None) -> mx.array:
    """The values of the flattened tensor at ``index``, in the shape of ``index``; with ``dim``, slices along it."""
    x = array("take", input)
    x = x.reshape(-1) if dim is None else at_least_1d(x)
    at = 0 if dim is None else _checks.dim("take", dim, x.ndim)
    index = index_within("take", index, at, x.shape)
    return mx.take(x, index, at) if index.size else mx.zeros((*x.shape[:at], *index.shape, *x.shape[at + 1 :]), x.dtype)
