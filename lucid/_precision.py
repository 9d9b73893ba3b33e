"""Automatic mixed precision: whether autocast is on in this thread, and how an operation's inputs are cast.

How autocast treats an operation is declared where the operation is defined:

- ``@op(autocast="half")``: float32 inputs are cast to the dtype of autocast. For products summed over many terms, which
  take nearly all of the time and which hardware accumulates in float32.
- ``@op(autocast="float32")``: float16 and bfloat16 inputs are cast to float32, and the result is float32. For what
  overflows in float16 or loses digits in both: norms, exponentials, logarithms, powers, sums over many values, losses.
- ``@op``: the operation follows its inputs; where they differ, the wider dtype wins.

The casts are part of the recorded operation. A float32 input is therefore recorded as float32 and gets a float32
gradient, and a backward pass gives the same result inside and outside of the context. float64 and integers are left
alone, as in PyTorch. Users call ``lucid.amp``.
"""

import functools
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, Literal, TypeVar, cast

import mlx.core as mx
import numpy as np

F = TypeVar("F", bound=Callable[..., Any])
Policy = Literal["half", "float32"]


class _Autocast(threading.local):
    dtype: mx.Dtype | None = None  # float16 or bfloat16 while autocast is on


autocast_state = _Autocast()


def autocast_dtype() -> mx.Dtype | None:
    """The dtype that autocast casts to in this thread, or ``None`` if it is off."""
    return autocast_state.dtype


class autocasting:
    """Context manager and decorator that turns autocast to ``dtype`` on, or off with ``None``."""

    def __init__(self, dtype: mx.Dtype | None) -> None:
        self._dtype = dtype
        self._before: list[mx.Dtype | None] = []

    def __enter__(self) -> None:
        self._before.append(autocast_state.dtype)
        autocast_state.dtype = self._dtype

    def __exit__(self, *exc: object) -> None:
        autocast_state.dtype = self._before.pop()

    def __call__(self, function: F) -> F:
        dtype = self._dtype

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            with autocasting(dtype):  # a new one for each call: several threads may call at once
                return function(*args, **kwargs)

        return cast(F, call)


_HALF = frozenset((mx.float16, mx.bfloat16))
_CAST_DOWN = _HALF | {mx.float32}


def autocast_body(body: Callable[..., Any], policy: Policy, dtype: mx.Dtype) -> Callable[..., Any]:
    """``body`` with its inputs cast as ``policy`` says, for autocast to ``dtype``."""
    sources, target = (_CAST_DOWN, dtype) if policy == "half" else (_HALF, mx.float32)
    return partial(_cast_and_call, body, sources, target)


def _cast_and_call(
    body: Callable[..., Any], sources: frozenset[mx.Dtype], target: mx.Dtype, /, *args: Any, **kw: Any
) -> Any:
    return body(*_cast(args, sources, target), **_cast_named(kw, sources, target))


def _cast_named(named: dict[str, Any], sources: frozenset[mx.Dtype], target: mx.Dtype) -> dict[str, Any]:
    return dict(zip(named, _cast(tuple(named.values()), sources, target), strict=True))


def _cast(values: Any, sources: frozenset[mx.Dtype], target: mx.Dtype) -> Any:
    """``values``, a tuple or list, with arrays of the dtypes ``sources`` cast to ``target``."""
    found = []
    for value in values:
        if isinstance(value, np.ndarray) and value.dtype.kind == "f":
            value = mx.array(value.astype(np.float32))  # as the operation itself would convert it
        if isinstance(value, mx.array):
            found.append(value.astype(target) if value.dtype in sources else value)
        elif type(value) in (list, tuple) and any(isinstance(one, mx.array | np.ndarray) for one in value):
            found.append(_cast(value, sources, target))
        else:
            found.append(value)
    return type(values)(found)
