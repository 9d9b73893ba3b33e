"""The gamma function's relatives."""

import math

import mlx.core as mx

from lucid import _checks
from lucid.kernels import gamma_functions, incomplete_gamma
from lucid.ops._types import TensorLike
from lucid.special._functions import binary, in_float32, real_floats, unary
from lucid.tape import op

__all__ = ["digamma", "gammainc", "gammaincc", "igamma", "igammac", "lgamma", "mvlgamma", "polygamma", "zeta"]

lgamma = unary("lgamma", gamma_functions.lgamma, "The logarithm of the absolute value of the gamma function.")
digamma = unary("digamma", gamma_functions.digamma, "The derivative of ``lgamma``.")
zeta = binary("zeta", gamma_functions.zeta, "The Hurwitz zeta function: the sum of ``(k + other) ** -input`` over k.")
gammainc = igamma = binary(
    "gammainc", incomplete_gamma.gammainc,
    "The regularized lower incomplete gamma function: the probability of at most ``other`` in the gamma distribution "
    "of shape ``input``. As in PyTorch, there is no gradient of ``input``; it is NaN.",
)  # fmt: skip
gammaincc = igammac = binary(
    "gammaincc", incomplete_gamma.gammaincc,
    "The regularized upper incomplete gamma function ``1 - gammainc(input, other)``. As in PyTorch, there is no "
    "gradient of ``input``; it is NaN.",
)  # fmt: skip


@op
def polygamma(n: int, input: TensorLike, *, out: None = None) -> mx.array:
    """The ``n``-th derivative of ``digamma``; as a method, ``input.polygamma(n)``."""
    if isinstance(n, mx.array):
        n, input = input, n
    order = _checks.integer("polygamma", "n", n)
    if order < 0:
        raise _checks.ArgumentError(f"polygamma: n must be at least 0, got {order}")
    return in_float32(lambda x: gamma_functions.polygamma(order, x), real_floats("polygamma", input))


@op
def mvlgamma(input: TensorLike, p: int, *, out: None = None) -> mx.array:
    """The logarithm of the multivariate gamma function of dimension ``p``."""
    count = _checks.integer("mvlgamma", "p", p, 1)

    def total(x: mx.array) -> mx.array:
        found = mx.full(x.shape, mx.array(count * (count - 1) / 4 * math.log(math.pi), x.dtype))
        for i in range(count):
            found = found + gamma_functions.lgamma(x - i / 2)
        return found

    return in_float32(total, real_floats("mvlgamma", input))
