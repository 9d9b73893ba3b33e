"""Membership, buckets and products of vectors."""

import mlx.core as mx

from lucid import _checks
from lucid.ops._common import array, at_least_1d, promoted
from lucid.ops._types import TensorLike
from lucid.ops.matrix import product
from lucid.ops.sorting import insertion_points
from lucid.tape import op

__all__ = ["bucketize", "isin", "msort", "vdot"]


@op
def bucketize(
    input: TensorLike, boundaries: TensorLike, *, out_int32: bool = False, right: bool = False, out: None = None
) -> mx.array:
    """The index of the bucket of each value, between sorted ``boundaries``.

    A value equal to a boundary belongs below it, with ``right`` above it.

    Example:
        >>> lucid.bucketize(lucid.tensor([0.5, 1.0, 3.0]), lucid.tensor([1.0, 2.0])).tolist()
        [0, 0, 2]
    """
    edges, values = array("bucketize", boundaries, "boundaries"), array("bucketize", input)
    _checks.rank("bucketize", "boundaries", edges.shape, 1)
    edges, values = promoted(mx.stop_gradient(edges), mx.stop_gradient(values))
    rows = mx.broadcast_to(edges, (*values.shape[:-1], edges.size))
    found = insertion_points(rows, at_least_1d(values), _checks.flag("bucketize", "right", right))
    is_short = _checks.flag("bucketize", "out_int32", out_int32)
    return found.reshape(values.shape).astype(mx.int32 if is_short else mx.int64)


@op
def isin(
    elements: TensorLike,
    test_elements: TensorLike,
    *,
    assume_unique: bool = False,
    invert: bool = False,
    out: None = None,
) -> mx.array:
    """True where ``elements`` are among ``test_elements``; with ``invert``, where they are not."""
    x, among = array("isin", elements, "elements"), array("isin", test_elements, "test_elements")
    _checks.flag("isin", "assume_unique", assume_unique)
    inverted = _checks.flag("isin", "invert", invert)
    if mx.bool_ in (x.dtype, among.dtype) or mx.complex64 in (x.dtype, among.dtype):
        raise _checks.DtypeError("isin: elements must be real numbers, not bools")
    x, among = promoted(x, among.reshape(-1))
    if not among.size or not x.size:
        return mx.full(x.shape, inverted)
    values = mx.sort(among)
    flat = x.reshape(-1)
    at = insertion_points(values, flat, False)
    found = mx.take(values, mx.minimum(at, values.size - 1)) == flat
    return (found != inverted).reshape(x.shape)


@op
def msort(input: TensorLike, *, out: None = None) -> mx.array:
    """The values sorted along the first dimension."""
    x = array("msort", input)
    shape, x = x.shape, at_least_1d(x)
    order = mx.argsort(mx.stop_gradient(x), 0) if x.size else mx.zeros(x.shape, mx.uint32)
    return (mx.take_along_axis(x, order, 0) if x.size else x).reshape(shape)


@op(autocast="half")
def vdot(input: TensorLike, other: TensorLike, *, out: None = None) -> mx.array:
    """The product of two vectors, the first of them conjugated if complex."""
    x, other = array("vdot", input), array("vdot", other, "other")
    _checks.rank("vdot", "input", x.shape, 1)
    _checks.rank("vdot", "other", other.shape, 1)
    if x.dtype != other.dtype:
        raise _checks.DtypeError(
            f"vdot: dtypes must be equal, got {_checks.dtype_name(x.dtype)} and {_checks.dtype_name(other.dtype)}"
        )
    return product("vdot", mx.conj(x) if x.dtype == mx.complex64 else x, other)
