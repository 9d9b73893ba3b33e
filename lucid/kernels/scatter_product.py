"""Products of the values that are scattered to a position, with a gradient that is correct at zeros."""

import mlx.core as mx

from lucid.kernels.custom_vjp import custom_vjp


def _multiplied(x: mx.array, places: mx.array, source: mx.array) -> mx.array:
    return x.at[places].multiply(source)


def _vjp(cotangent: mx.array, x: mx.array, places: mx.array, source: mx.array) -> tuple[mx.array, ...]:
    """The product of the other factors: the quotient, or the product of the others if one factor is 0."""
    x_is_zero, source_is_zero = x == 0, source == 0
    zeros = x_is_zero.astype(mx.int32).at[places].add(source_is_zero.astype(mx.int32))
    ones = mx.ones((), x.dtype)
    whole = scatter_product(mx.where(x_is_zero, ones, x), places, mx.where(source_is_zero, ones, source))

    def slope(factor: mx.array, is_zero: mx.array, at: mx.array, zeros_at: mx.array) -> mx.array:
        others = zeros_at - is_zero.astype(mx.int32)
        return mx.where(others == 0, at / mx.where(is_zero, ones, factor), mx.zeros((), x.dtype))

    of_source = slope(source, source_is_zero, mx.take(whole, places), mx.take(zeros, places))
    return (
        cotangent * slope(x, x_is_zero, whole, zeros),
        mx.zeros_like(places),
        mx.take(cotangent, places) * of_source,
    )


scatter_product = custom_vjp(_multiplied, vjp=_vjp)
"""``x``, a vector, with each element of ``source`` multiplied into the element of ``x`` that ``places`` names."""
