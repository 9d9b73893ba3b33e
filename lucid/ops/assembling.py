"""Build tensors from several: blocks, columns, products and combinations."""

import itertools
from typing import Any

import mlx.core as mx

from lucid import _checks
from lucid._views import by_shape, view_op
from lucid.ops._common import array, at_least_1d, binary, promoted
from lucid.ops._types import TensorLike
from lucid.ops.joining import Tensors, concatenated, tensor_list
from lucid.ops.shape import meshgrid
from lucid.tape import op

__all__ = [
    "atleast_2d", "atleast_3d", "block_diag", "cartesian_prod", "column_stack", "combinations", "diagflat", "dstack",
    "kron", "row_stack", "vander",
]  # fmt: skip


@view_op(layout=by_shape, itself=True)
def _with_2_dimensions(input: TensorLike) -> mx.array:
    x = array("atleast_2d", input)
    return x.reshape(1, -1) if x.ndim < 2 else x


@view_op(layout=by_shape, itself=True)
def _with_3_dimensions(input: TensorLike) -> mx.array:
    x = array("atleast_3d", input)
    return x.reshape(1, -1, 1) if x.ndim < 2 else mx.expand_dims(x, -1) if x.ndim == 2 else x


def atleast_2d(*tensors: Any) -> Any:
    """The tensor with at least 2 dimensions, new ones first, or a tuple of them for several tensors or a list."""
    if len(tensors) == 1 and not isinstance(tensors[0], list | tuple):
        return _with_2_dimensions(tensors[0])
    return tuple(map(_with_2_dimensions, tensors[0] if len(tensors) == 1 else tensors))


def atleast_3d(*tensors: Any) -> Any:
    """The tensor with at least 3 dimensions, or a tuple of them: (n,) becomes (1, n, 1), and (n, m) (n, m, 1)."""
    if len(tensors) == 1 and not isinstance(tensors[0], list | tuple):
        return _with_3_dimensions(tensors[0])
    return tuple(map(_with_3_dimensions, tensors[0] if len(tensors) == 1 else tensors))


@op
def dstack(tensors: Tensors, *, out: None = None) -> mx.array:
    """``cat`` along the third dimension, of tensors with at least 3 (see ``atleast_3d``)."""
    found = [
        x.reshape(1, -1, 1) if x.ndim < 2 else mx.expand_dims(x, -1) if x.ndim == 2 else x
        for x in tensor_list("dstack", tensors)
    ]
    return concatenated("dstack", found, 2)


@op
def column_stack(tensors: Tensors, *, out: None = None) -> mx.array:
    """``hstack`` with vectors as columns."""
    found = [x.reshape(-1, 1) if x.ndim < 2 else x for x in tensor_list("column_stack", tensors)]
    return concatenated("column_stack", found, 1)


@op
def row_stack(tensors: Tensors, *, out: None = None) -> mx.array:
    """``cat`` along the first dimension, with vectors as rows, as ``vstack``."""
    found = [x.reshape(1, -1) if x.ndim < 2 else x for x in tensor_list("row_stack", tensors)]
    return concatenated("row_stack", found, 0)


@op
def block_diag(*tensors: TensorLike) -> mx.array:
    """A matrix with the given matrices, vectors (as rows) and numbers on its diagonal, and zeros elsewhere."""
    found = [array("block_diag", one, "tensors") for one in tensors] or [mx.zeros((1, 0))]
    for one in found:
        _checks.rank("block_diag", "each tensor", one.shape, (0, 1, 2))
    blocks = [one.reshape(1, -1) if one.ndim < 2 else one for one in promoted(*found)]
    rows, columns = (sum(one.shape[axis] for one in blocks) for axis in (0, 1))
    placed, row, column = [], 0, 0
    for one in blocks:
        height, width = one.shape
        placed.append(mx.pad(one, [(0, 0), (column, columns - column - width)]))
        row, column = row + height, column + width
    return mx.concatenate(placed, 0).reshape(rows, columns)


def cartesian_prod(*tensors: Any) -> Any:
    """All combinations of an element of each vector, one per row; of a single vector, itself.

    Example:
        >>> lucid.cartesian_prod(lucid.tensor([1, 2]), lucid.tensor([5, 6])).tolist()
        [[1, 5], [1, 6], [2, 5], [2, 6]]
    """
    for one in tensors:
        _checks.rank("cartesian_prod", "each tensor", getattr(one, "shape", ()), 1)
    if len(tensors) == 1:
        return tensors[0]
    return _rows(*meshgrid(*tensors, indexing="ij"))


@op
def _rows(*grids: mx.array) -> mx.array:
    return mx.stack([one.reshape(-1) for one in grids], 1)


@op
def combinations(input: TensorLike, r: int = 2, with_replacement: bool = False) -> mx.array:
    """The combinations of ``r`` elements of a vector, one per row, in the order of ``itertools.combinations``.

    Example:
        >>> lucid.combinations(lucid.tensor([1, 2, 3])).tolist()
        [[1, 2], [1, 3], [2, 3]]
    """
    x = array("combinations", input)
    _checks.rank("combinations", "input", x.shape, 1)
    r = _checks.integer("combinations", "r", r, 0)
    repeats = _checks.flag("combinations", "with_replacement", with_replacement)
    if r == 0:
        return mx.zeros((0,), x.dtype)
    choose: Any = itertools.combinations_with_replacement if repeats else itertools.combinations
    index = [*choose(range(x.size), r)]
    return mx.take(x, mx.array(index, mx.int32)) if index else mx.zeros((0, r), x.dtype)


@op
def diagflat(input: TensorLike, offset: int = 0) -> mx.array:
    """A matrix with the elements of ``input`` on a diagonal."""
    x = array("diagflat", input).reshape(-1)
    k = _checks.integer("diagflat", "offset", offset)
    side = x.size + abs(k)
    rows = mx.where(mx.eye(x.size, side, max(k, 0), dtype=mx.bool_), mx.expand_dims(x, -1), mx.zeros((), x.dtype))
    return mx.pad(rows, [(max(-k, 0), max(k, 0)), (0, 0)])


@op
def kron(input: TensorLike, other: TensorLike, *, out: None = None) -> mx.array:
    """The Kronecker product: each element of ``input`` times the whole of ``other``."""
    x, other = array("kron", input), array("kron", other, "other")
    ndim = max(x.ndim, other.ndim)
    outer, inner = ((1,) * (ndim - one.ndim) + one.shape for one in (x, other))
    x = x.reshape([size for pair in zip(outer, (1,) * ndim, strict=True) for size in pair])
    other = other.reshape([size for pair in zip((1,) * ndim, inner, strict=True) for size in pair])
    return binary("kron", mx.multiply, x, other).reshape([a * b for a, b in zip(outer, inner, strict=True)])


@op
def vander(x: TensorLike, N: int | None = None, increasing: bool = False) -> mx.array:
    """The powers N - 1, ..., 1, 0 of the elements of a vector, by default as many as it has, as columns."""
    values = array("vander", x, "x")
    _checks.rank("vander", "x", values.shape, 1)
    count = values.size if N is None else _checks.integer("vander", "N", N, 0)
    values = at_least_1d(values if values.dtype != mx.bool_ else values.astype(mx.int64))
    columns = [mx.ones_like(values)]
    for _ in range(count - 1):
        columns.append(columns[-1] * values)
    columns = columns[:count]
    if not columns:
        return mx.zeros((values.size, 0), values.dtype)
    return mx.stack(columns if _checks.flag("vander", "increasing", increasing) else columns[::-1], 1)
