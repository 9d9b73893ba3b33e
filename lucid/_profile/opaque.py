"""Functions with a gradient of their own (``custom_vjp``) in a trace: MLX can differentiate but not export them.

While ``profile`` traces, such a call becomes a formula that MLX can export and differentiate, in which everything that
matters is multiplied by a constant of its own, a *tag*::

    y = ((f(a, b) + sum(a * tag 1) + sum(b * tag 2)) * (sum(a * tag 3) + sum(b * tag 4))) * tag 5

In the trace, ``untagged`` finds the tags. It puts a node in place of the formula, and the primitives of the function's
gradient in place of what MLX has derived from the formula: MLX multiplies the cotangent of y by tag 5, and sends to a
what it has multiplied by tag 1.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import mlx.core as mx

from lucid import _deferred

_SMALLEST = 2.0**-100  # tags are multiples of it, which no user's constant is by chance


@dataclass
class Call:
    """One call: ``vjp`` takes the cotangents, one or a tuple, and the arguments."""

    vjp: Callable[..., Sequence[mx.array]]
    single: bool
    arguments: list[tuple[tuple[int, ...], mx.Dtype]]
    results: list[tuple[tuple[int, ...], mx.Dtype]]

    def gradients(self, arrays: list[mx.array]) -> list[mx.array]:
        """The gradients of the arguments from the cotangents and the arguments, in one list."""
        count = len(self.results)
        cotangents = arrays[0] if self.single else tuple(arrays[:count])
        return list(self.vjp(cotangents, *arrays[count:]))


class Calls:
    """The calls of a trace. ``tags`` says what each tag is: its role, the call, and the position.

    ``depth`` counts the derivatives that MLX is taking. Of a second one, the formula would know nothing.
    """

    def __init__(self) -> None:
        self.depth = 0
        self.calls: list[Call] = []
        self.tags: list[tuple[str, int, int]] = []

    def call(self, function: Callable[..., Any], vjp: Callable[..., Any], arrays: tuple[mx.array, ...]) -> Any:
        """Call ``function``, for ``custom_vjp.replacing``.

        Raises:
            RuntimeError: a second derivative is taken.
        """
        if self.depth > 1:
            raise RuntimeError(
                "profile: gradients of gradients cannot be counted through kernels; use lucid.kernels.use_reference()"
            )
        result = function(*arrays)
        single = isinstance(result, mx.array)
        results = [result] if single else list(result)
        number = len(self.calls)

        def shapes(found: Sequence[mx.array]) -> list[tuple[tuple[int, ...], mx.Dtype]]:
            return [(one.shape, one.dtype) for one in found]

        self.calls.append(Call(vjp, single, shapes(arrays), shapes(results)))

        def total(role: str, operands: Sequence[mx.array]) -> mx.array:
            terms = [mx.sum(_wide(one) * self._tag(role, number, i)) for i, one in enumerate(operands)]
            return functools.reduce(mx.add, terms)

        moved = total("argument", arrays)
        factor = total("value", [mx.stop_gradient(one) for one in arrays])
        tagged = [
            (((_wide(mx.stop_gradient(one)) + moved) * factor) * self._tag("result", number, i)).astype(one.dtype)
            for i, one in enumerate(results)
        ]
        return tagged[0] if single else tuple(tagged)

    def _tag(self, *meaning: Any) -> mx.array:
        self.tags.append(meaning)
        return mx.array(len(self.tags) * _SMALLEST)

    def meaning(self, constant: mx.array) -> tuple[str, int, int] | None:
        """What the constant of a trace is the tag of."""
        if constant.dtype != mx.float32 or constant.ndim:
            return None
        index = _deferred.item(constant) / _SMALLEST
        return self.tags[int(index) - 1] if index == int(index) and 1 <= index <= len(self.tags) else None


def _wide(array: mx.array) -> mx.array:
    return array.astype(mx.float32)
