"""Functions of arrays that declare their own gradient.

MLX cannot differentiate a Metal or CUDA kernel, and differentiates some formulas at a higher cost than necessary.
``custom_vjp`` attaches a gradient to such a function, which mx.grad, mx.vjp and mx.checkpoint then use::

    square = custom_vjp(launch_square, vjp=lambda cotangent, x: (2 * x * cotangent,))

If ``vjp`` is made of functions that MLX can differentiate, such as other results of ``custom_vjp``, then derivatives of
every order work. An operation on tensors declares its gradient in the same form, with ``op(vjp=...)``: see
``lucid.tape``.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import mlx.core as mx


def custom_vjp(function: Callable[..., Any], vjp: Callable[..., Sequence[mx.array]]) -> Callable[..., Any]:
    """``function``, with ``vjp`` as its gradient wherever MLX differentiates it.

    Args:
        function: A function of arrays that returns an array or a tuple of arrays.
        vjp: ``vjp(cotangent, *arguments)`` returns one gradient per argument; ``cotangent`` has the structure of the
            result. Gradients that are not used are never computed, because arrays are lazy.
    """
    differentiable: Any = mx.custom_function(function)

    def call(*arrays: mx.array) -> Any:
        if _replacement is not None and _replacement[0] == threading.get_ident():
            return _replacement[1](function, vjp, arrays)
        return differentiable(*arrays)

    @differentiable.vjp
    def pull(arguments: Any, cotangent: Any, _: Any) -> Sequence[mx.array]:
        # MLX passes the argument itself if there is only one.
        return vjp(cotangent, *((arguments,) if isinstance(arguments, mx.array) else arguments))

    return call


_replacement: tuple[int, Callable[..., Any]] | None = None  # a thread, and what it calls instead


@contextlib.contextmanager
def replacing(call: Callable[..., Any]) -> Iterator[None]:
    """Context manager in which this thread calls ``call(function, vjp, arrays)`` instead, for traces."""
    global _replacement
    before, _replacement = _replacement, (threading.get_ident(), call)
    try:
        yield
    finally:
        _replacement = before
