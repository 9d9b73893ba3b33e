"""Orthogonal polynomials, by their recurrences (DLMF 18.9). The degree ``n`` is a number, or a tensor that is read."""

from collections.abc import Callable
from typing import Any

import mlx.core as mx

from lucid import _checks, _deferred
from lucid.ops._common import ordered
from lucid.ops._types import TensorLike
from lucid.special._functions import in_float32, real_floats
from lucid.tape import op

Step = Callable[[mx.array, mx.array, mx.array, int], mx.array]  # (x, P(k), P(k - 1), k) gives P(k + 1)


def _chebyshev(x: mx.array, p: mx.array, before: mx.array, k: int) -> mx.array:
    return 2 * x * p - before


def _polynomial(name: str, first: Callable[[mx.array], mx.array], step: Step, doc: str, shifts: bool = False) -> Any:
    def body(input: TensorLike, n: TensorLike, *, out: None = None) -> mx.array:
        x, degree = ordered(name, input, n)
        x = real_floats(name, x)
        most = int(_deferred.item(mx.max(degree))) if degree.size else 0
        if most > 4096:
            raise _checks.ArgumentError(f"{name}: n must be at most 4096, got {most}")

        def evaluated(x: mx.array, degree: mx.array) -> mx.array:
            x = 2 * x - 1 if shifts else x
            before, p = mx.ones_like(x), first(x)
            found = mx.where(degree < 0, 0, mx.where(degree == 0, before, p))
            for k in range(1, most):
                before, p = p, step(x, p, before, k)
                found = mx.where(degree > k, p, found)
            return found

        return in_float32(evaluated, x, (mx.sign(degree) * mx.floor(mx.abs(degree))).astype(x.dtype))

    body.__name__ = body.__qualname__ = name
    body.__doc__ = doc
    return op(body)


_FIRST: dict[str, Callable[[mx.array], mx.array]] = {
    "t": lambda x: x, "u": lambda x: 2 * x, "v": lambda x: 2 * x - 1, "w": lambda x: 2 * x + 1,
}  # fmt: skip
_KINDS = {"t": "first", "u": "second", "v": "third", "w": "fourth"}
for _letter, _kind in _KINDS.items():
    for _prefix, _shifts in (("", False), ("shifted_", True)):
        _name = f"{_prefix}chebyshev_polynomial_{_letter}"
        _doc = f"The {_prefix.replace('_', ' ')}Chebyshev polynomial of the {_kind} kind of degree ``n``."
        globals()[_name] = _polynomial(_name, _FIRST[_letter], _chebyshev, _doc, _shifts)

hermite_polynomial_h = _polynomial(
    "hermite_polynomial_h", lambda x: 2 * x, lambda x, p, before, k: 2 * (x * p - k * before),
    "The physicists' Hermite polynomial of degree ``n``.",
)  # fmt: skip
hermite_polynomial_he = _polynomial(
    "hermite_polynomial_he", lambda x: x, lambda x, p, before, k: x * p - k * before,
    "The probabilists' Hermite polynomial of degree ``n``.",
)  # fmt: skip
laguerre_polynomial_l = _polynomial(
    "laguerre_polynomial_l", lambda x: 1 - x, lambda x, p, before, k: ((2 * k + 1 - x) * p - k * before) / (k + 1),
    "The Laguerre polynomial of degree ``n``.",
)  # fmt: skip
legendre_polynomial_p = _polynomial(
    "legendre_polynomial_p", lambda x: x, lambda x, p, before, k: ((2 * k + 1) * x * p - k * before) / (k + 1),
    "The Legendre polynomial of degree ``n``.",
)  # fmt: skip

__all__ = [  # noqa: F822 -- the Chebyshev polynomials are defined in a loop
    "chebyshev_polynomial_t", "chebyshev_polynomial_u", "chebyshev_polynomial_v", "chebyshev_polynomial_w",
    "hermite_polynomial_h", "hermite_polynomial_he", "laguerre_polynomial_l", "legendre_polynomial_p",
    "shifted_chebyshev_polynomial_t", "shifted_chebyshev_polynomial_u", "shifted_chebyshev_polynomial_v",
    "shifted_chebyshev_polynomial_w",
]  # fmt: skip
