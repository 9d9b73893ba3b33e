"""Functions of arrays that declare their own gradient.

MLX cannot differentiate a Metal or CUDA kernel, and differentiates some formulas at a higher cost than necessary.
``custom_vjp`` attaches a gradient to such a function::

    square = custom_vjp(launch_square, vjp=lambda cotangent, x: (2 * x * cotangent,))

    square(x)                    # launch_square(x); mx.grad, mx.vjp and mx.checkpoint use the declared gradient
    square.vjp(cotangent, x)     # the gradient itself

If ``vjp`` is made of functions that MLX can differentiate, such as other ``custom_vjp``s, then derivatives of every
order work. An operation on tensors passes the same kind of function to ``op``, see ``lucid.tape``.
"""

from collections.abc import Callable, Sequence
from typing import Any

import mlx.core as mx


class custom_vjp:
    """``function``, with ``vjp(cotangent, *arguments)`` as its gradient.

    ``function`` takes arrays only and returns an array or a tuple of arrays; ``cotangent`` has the structure of the
    result. ``vjp`` returns one gradient per argument. Those that are not used are never computed: arrays are lazy.
    """

    def __init__(self, function: Callable[..., Any], vjp: Callable[..., Sequence[mx.array]]) -> None:
        self.vjp = vjp
        self._function: Any = mx.custom_function(function)
        self._function.vjp(self._pull)

    def __call__(self, *arguments: mx.array) -> Any:
        return self._function(*arguments)

    def _pull(self, arguments: Any, cotangent: Any, _: Any) -> Sequence[mx.array]:
        # MLX passes the argument itself if there is only one.
        return self.vjp(cotangent, *((arguments,) if isinstance(arguments, mx.array) else arguments))
