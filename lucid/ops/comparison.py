"""Comparisons of elements and of whole tensors. None of them has a gradient."""

from typing import Any

import mlx.core as mx

from lucid import _checks, _deferred
from lucid.ops._common import FLOATING, array, arrays, binary
from lucid.ops._types import TensorLike
from lucid.tape import op, unwrap

__all__ = [
    "allclose", "eq", "equal", "ge", "greater", "greater_equal", "gt", "isclose", "le", "less", "less_equal",
    "logical_and", "logical_not", "logical_or", "logical_xor", "lt", "ne", "not_equal",
]  # fmt: skip


@op
def eq(input: TensorLike, other: TensorLike, *, out: None = None) -> mx.array:
    """``input == other``, element-wise."""
    return binary("eq", mx.equal, input, other)


@op
def ne(input: TensorLike, other: TensorLike, *, out: None = None) -> mx.array:
    """``input != other``, element-wise."""
    return binary("ne", mx.not_equal, input, other)


@op
def lt(input: TensorLike, other: TensorLike, *, out: None = None) -> mx.array:
    """``input < other``, element-wise."""
    return binary("lt", mx.less, input, other)


@op
def le(input: TensorLike, other: TensorLike, *, out: None = None) -> mx.array:
    """``input <= other``, element-wise."""
    return binary("le", mx.less_equal, input, other)


@op
def gt(input: TensorLike, other: TensorLike, *, out: None = None) -> mx.array:
    """``input > other``, element-wise."""
    return binary("gt", mx.greater, input, other)


@op
def ge(input: TensorLike, other: TensorLike, *, out: None = None) -> mx.array:
    """``input >= other``, element-wise."""
    return binary("ge", mx.greater_equal, input, other)


@op
def logical_and(input: TensorLike, other: TensorLike, *, out: None = None) -> mx.array:
    """True where both operands are nonzero."""
    return binary("logical_and", mx.logical_and, input, other)


@op
def logical_or(input: TensorLike, other: TensorLike, *, out: None = None) -> mx.array:
    """True where at least one operand is nonzero."""
    return binary("logical_or", mx.logical_or, input, other)


@op
def logical_xor(input: TensorLike, other: TensorLike, *, out: None = None) -> mx.array:
    """True where exactly one operand is nonzero."""
    x, other = array("logical_xor", input), array("logical_xor", other, "other")
    return binary("logical_xor", mx.not_equal, x.astype(mx.bool_), other.astype(mx.bool_))


@op
def logical_not(input: TensorLike, *, out: None = None) -> mx.array:
    """True where ``input`` is 0."""
    return mx.logical_not(array("logical_not", input))


@op
def isclose(
    input: TensorLike, other: TensorLike, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
) -> mx.array:
    """True where ``|input - other| <= atol + rtol * |other|``."""
    return _isclose("isclose", input, other, rtol, atol, equal_nan)


def _isclose(caller: str, x: Any, other: Any, rtol: Any, atol: Any, equal_nan: Any) -> mx.array:
    x, other = arrays(caller, x, other)
    rtol, atol = _checks.number(caller, "rtol", rtol, 0), _checks.number(caller, "atol", atol, 0)
    equal_nan = _checks.flag(caller, "equal_nan", equal_nan)
    _checks.broadcast_shapes(caller, x.shape, other.shape)
    if x.dtype not in FLOATING and rtol == 0 and atol == 0:
        return mx.equal(x, other)
    return mx.isclose(x, other, rtol, atol, equal_nan=equal_nan)


def allclose(
    input: TensorLike, other: TensorLike, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
) -> bool:
    """Whether all elements are close as defined by ``isclose``. Waits for the values."""
    return bool(_deferred.item(mx.all(_isclose("allclose", unwrap(input), unwrap(other), rtol, atol, equal_nan))))


def equal(input: TensorLike, other: TensorLike) -> bool:
    """Whether both operands have the same shape and values. Waits for the values."""
    x, other = arrays("equal", unwrap(input), unwrap(other))
    return x.shape == other.shape and bool(_deferred.item(mx.all(x == other)))


not_equal = ne
less = lt
less_equal = le
greater = gt
greater_equal = ge
