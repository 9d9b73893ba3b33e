"""A declared gradient is the one that every transformation of MLX uses."""

import mlx.core as mx
import pytest

from lucid.kernels.custom_vjp import custom_vjp


def doubled_gradient(function):
    """``function`` of one array with twice its gradient, to tell the two apart."""
    return custom_vjp(function, vjp=lambda cotangent, x: (2 * mx.vjp(function, [x], [cotangent])[1][0],))


@pytest.mark.parametrize("transform", [lambda f: f, mx.compile, mx.checkpoint])
def test_mlx_uses_the_declared_gradient(transform):
    square = doubled_gradient(mx.square)
    x = mx.array([1.0, -3.0])
    gradient = mx.grad(lambda x: transform(square)(x).sum())
    assert mx.array_equal(square(x), mx.square(x))
    assert mx.array_equal(gradient(x), 4 * x)
    assert mx.array_equal(mx.grad(lambda x: gradient(x).sum())(x), mx.full(2, 4.0))


def test_several_arguments_and_results():
    def vjp(cotangents, x, y):
        d_sum, d_product = cotangents
        return d_sum + d_product * y, d_sum + d_product * x

    both = custom_vjp(lambda x, y: (x + y, x * y), vjp)
    d_x, d_y = mx.grad(lambda x, y: sum(both(x, y)), argnums=(0, 1))(mx.array(3.0), mx.array(5.0))
    assert (d_x.item(), d_y.item()) == (6, 4)
    assert mx.grad(lambda x: sum(both(x, x)))(mx.array(3.0)).item() == 8
