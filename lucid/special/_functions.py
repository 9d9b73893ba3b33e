"""How the functions of ``lucid.special`` are made from functions of arrays."""

from collections.abc import Callable
from typing import Any

import mlx.core as mx

from lucid import _checks
from lucid.ops._common import LOW_PRECISION, floating, ordered
from lucid.ops._types import TensorLike
from lucid.tape import op


def real_floats(caller: str, input: Any) -> mx.array:
    """``input`` as real floating-point numbers; integers become float32."""
    x = floating(caller, input)
    if x.dtype == mx.complex64:
        raise _checks.DtypeError(f"{caller}: complex64 is not supported")
    return x


def in_float32(function: Callable[..., mx.array], *arrays: mx.array) -> mx.array:
    """``function`` computed in float32 if the arrays are of half precision."""
    dtype = arrays[0].dtype
    if dtype not in LOW_PRECISION:
        return function(*arrays).astype(dtype)
    return function(*(one.astype(mx.float32) for one in arrays)).astype(dtype)


def unary(name: str, function: Callable[[mx.array], mx.array], doc: str) -> Callable[..., Any]:
    """An operation of one tensor, element by element."""

    def body(input: TensorLike, *, out: None = None) -> mx.array:
        return in_float32(function, real_floats(name, input))

    body.__name__ = body.__qualname__ = name
    body.__doc__ = doc
    return op(body)


def binary(name: str, function: Callable[[mx.array, mx.array], mx.array], doc: str) -> Callable[..., Any]:
    """An operation of two tensors that broadcast, element by element."""

    def body(input: TensorLike, other: TensorLike, *, out: None = None) -> mx.array:
        x, other = (real_floats(name, one) for one in ordered(name, input, other))
        return in_float32(function, x, other)

    body.__name__ = body.__qualname__ = name
    body.__doc__ = doc
    return op(body)
