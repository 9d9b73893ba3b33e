"""Indices of triangles and nonzero values, multi-dimensional indices, and runs of equal values."""

from typing import TYPE_CHECKING, Any

import mlx.core as mx
import numpy as np

from lucid import _bounds, _checks
from lucid._placement import check_placement
from lucid.ops._common import any_op, array, index_array
from lucid.ops._types import TensorLike
from lucid.tape import op, wrap

if TYPE_CHECKING:
    from lucid._tensor import Tensor

__all__ = ["nonzero_static", "tril_indices", "triu_indices", "unique_consecutive", "unravel_index"]


def _triangle(caller: str, find: Any, row: int, col: int, offset: int, dtype: object) -> mx.array:
    rows, columns = _checks.integer(caller, "row", row, 0), _checks.integer(caller, "col", col, 0)
    _checks.representable(caller, (rows, columns))
    found = find(rows, _checks.integer(caller, "offset", offset), columns)
    return mx.array(np.stack(found).astype(np.int64)).astype(
        mx.int64 if dtype is None else _checks.dtype(caller, dtype)
    )


def tril_indices(
    row: int, col: int, offset: int = 0, *, dtype: object = None, layout: Any = None, device: Any = None,
    pin_memory: bool = False, requires_grad: bool = False,
) -> "Tensor":  # fmt: skip
    """The rows and columns of the lower triangle of a matrix (row, col), a tensor (2, count) of int64 by default.

    Example:
        >>> lucid.tril_indices(2, 2).tolist()
        [[0, 1, 1], [0, 0, 1]]
    """
    check_placement("tril_indices", device, layout)
    found = wrap(_triangle("tril_indices", np.tril_indices, row, col, offset, dtype))
    return found.requires_grad_(_checks.flag("tril_indices", "requires_grad", requires_grad))


def triu_indices(
    row: int, col: int, offset: int = 0, *, dtype: object = None, layout: Any = None, device: Any = None,
    pin_memory: bool = False, requires_grad: bool = False,
) -> "Tensor":  # fmt: skip
    """The rows and columns of the upper triangle of a matrix (row, col), a tensor (2, count) of int64 by default.

    Example:
        >>> lucid.triu_indices(2, 2).tolist()
        [[0, 0, 1], [0, 1, 1]]
    """
    check_placement("triu_indices", device, layout)
    found = wrap(_triangle("triu_indices", np.triu_indices, row, col, offset, dtype))
    return found.requires_grad_(_checks.flag("triu_indices", "requires_grad", requires_grad))


@any_op
def unravel_index(indices: TensorLike, shape: Any) -> Any:
    """The index along each dimension of ``shape``, for indices into the flat tensor.

    Raises:
        TypeError: the indices are not integers.

    Example:
        >>> [one.tolist() for one in lucid.unravel_index(lucid.tensor([1, 5]), (2, 3))]
        [[0, 1], [1, 2]]
    """
    at = index_array("unravel_index", indices, "indices")
    listed = (shape,) if isinstance(shape, int) else tuple(shape)
    found, sizes = [], [_checks.integer("unravel_index", "shape", one, 0) for one in listed]
    at = at.astype(mx.int64)
    for size in reversed(sizes):
        found.append(at % size if size else at)
        at = at // max(size, 1)
    return tuple(reversed(found))


@op
def nonzero_static(input: TensorLike, *, size: int, fill_value: int = -1, out: None = None) -> mx.array:
    """The indices of the first ``size`` values that are not zero, a tensor (size, dimensions); never waits.

    If there are fewer, the remaining rows hold ``fill_value``.
    """
    x = mx.stop_gradient(array("nonzero_static", input))
    count = _checks.integer("nonzero_static", "size", size, 0)
    fill = mx.array(_checks.integer("nonzero_static", "fill_value", fill_value), mx.int64)
    if not x.size or not x.ndim or not count:
        return mx.broadcast_to(fill, (count, x.ndim))
    zero = (x == 0).reshape(-1)
    order = mx.argsort(zero)[:count].astype(mx.int64)
    order = mx.pad(order, (0, count - order.size))
    columns, rest = [], order
    for one in reversed(x.shape):
        columns.append(rest % one)
        rest = rest // one
    is_found = mx.arange(count) < x.size - mx.sum(zero)
    return mx.where(is_found[:, None], mx.stack(columns[::-1], 1), fill)


@any_op
def unique_consecutive(
    input: TensorLike, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """The first of each run of equal values; with ``dim``, of equal slices along it. Waits for the values.

    Args:
        return_inverse: Whether to also return the index of each value in the result.
        return_counts: Whether to also return the length of each run.

    Example:
        >>> lucid.unique_consecutive(lucid.tensor([3, 3, 1, 3])).tolist()
        [3, 1, 3]
    """
    where = "unique_consecutive"
    x = array(where, input)
    inverse = _checks.flag(where, "return_inverse", return_inverse)
    counted = _checks.flag(where, "return_counts", return_counts)
    axis = 0 if dim is None else _checks.dim(where, dim, x.ndim)
    rows = np.moveaxis(_bounds.as_numpy(where, x.reshape(-1) if dim is None or not x.ndim else x), axis, 0)
    flat = rows.reshape(len(rows), -1) if rows.size else np.zeros((len(rows), 1))
    starts = np.concatenate([np.ones(min(len(rows), 1), bool), (flat[1:] != flat[:-1]).any(1)])
    at = np.flatnonzero(starts)
    found = [mx.array(np.ascontiguousarray(np.moveaxis(rows[at], 0, axis)), x.dtype)]
    if inverse:
        found.append(mx.array(np.cumsum(starts) - 1).reshape(x.shape if dim is None else (len(rows),)))
    if counted:
        found.append(mx.array(np.diff([*at, len(rows)]).astype(np.int64)))
    return found[0] if len(found) == 1 else tuple(found)
