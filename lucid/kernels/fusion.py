"""``fused``: a function of arrays that MLX compiles into few kernels, in eager mode too."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import mlx.core as mx

from lucid import _deferred

F = TypeVar("F", bound=Callable[..., Any])


def fused(function: F, shapeless: bool = False) -> F:
    """``mx.compile`` for elementwise functions of arrays; ``shapeless`` traces them for all shapes at once.

    Inside ``mx.vjp`` and inside other compiled functions it has no effect, as there MLX sees the operations one by one.
    ``lucid.profile`` counts what it fuses.
    """
    compiled: Any = mx.compile(function, shapeless=shapeless)

    @functools.wraps(function)
    def call(*arrays: Any) -> Any:
        memo = _deferred.memo()
        if memo is not None and "fused" in memo:
            return memo["fused"](function, arrays)
        return compiled(*arrays)

    return call  # type: ignore[return-value]
