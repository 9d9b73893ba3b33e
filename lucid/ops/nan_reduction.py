"""Reductions that ignore NaN."""

from typing import Any

import mlx.core as mx

from lucid import _checks
from lucid._checks import flag
from lucid.ops._common import ValuesAndIndices, any_op, array, axes, real, total
from lucid.ops._types import TensorLike
from lucid.ops.reduction import Dims, middle_value, sum_operand
from lucid.tape import op

__all__ = ["nanmean", "nanmedian", "nansum"]


@op(autocast="float32")
def nansum(
    input: TensorLike, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None, out: None = None
) -> mx.array:
    """The sum over ``dim`` with NaN as 0; integers and bools give int64."""
    x = array("nansum", input)
    if x.dtype == mx.complex64:
        raise _checks.DtypeError("nansum: complex64 is not supported")
    x, kind = sum_operand("nansum", mx.where(mx.isnan(x), mx.zeros_like(x), x), dtype)
    return total(x, axes("nansum", x, dim), flag("nansum", "keepdim", keepdim)).astype(kind)


@op(autocast="float32")
def nanmean(
    input: TensorLike, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None, out: None = None
) -> mx.array:
    """The mean of the values over ``dim`` that are not NaN."""
    x = real("nanmean", input)
    x, kind = sum_operand("nanmean", x, dtype)
    dims, keep = axes("nanmean", x, dim), flag("nanmean", "keepdim", keepdim)
    is_number = ~mx.isnan(x)
    numbers = total(is_number.astype(mx.real(x).dtype), dims, keep)
    return (total(mx.where(is_number, x, mx.zeros_like(x)), dims, keep) / numbers).astype(kind)


@any_op
def nanmedian(
    input: TensorLike, dim: int | None = None, keepdim: bool = False, *, out: None = None
) -> mx.array | ValuesAndIndices:
    """The median of the values that are not NaN (the lower of two); with ``dim``, the tuple (values, indices)."""
    return middle_value("nanmedian", input, dim, keepdim, ignores_nan=True)
