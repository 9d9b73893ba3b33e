"""Functions with gradients of their own inside of traces: their calls and gradients come out as written."""

from collections import Counter

import mlx.core as mx
import pytest

import lucid
from lucid.kernels.custom_vjp import custom_vjp

two = custom_vjp(
    lambda x, y: (mx.sin(x) * y, mx.cos(y)),
    lambda cotangents, x, y: (mx.arctan(cotangents[0]) * y, mx.arcsin(cotangents[1]) + x.sum()),
)
inner = custom_vjp(mx.sinh, lambda cotangent, x: (mx.cosh(x) * cotangent,))
outer = custom_vjp(inner, lambda cotangent, x: (inner(cotangent) * x,))


def names(function, *arrays):
    return Counter(one.name for one in lucid.profile(function, *arrays, compiled=False).kernels)


@pytest.mark.parametrize("dtype", [mx.float32, mx.bfloat16], ids=str)
def test_values_and_gradients(dtype):
    x, y = mx.zeros((8, 64), dtype), mx.zeros((8, 64), dtype)
    assert names(two, x, y) == Counter(["Sin", "Multiply", "Cos"])

    def loss(x, y):
        first, second = two(x, y)
        return mx.exp(first).sum() + mx.square(second).sum()

    found = names(mx.grad(loss, argnums=(0, 1)), x, y)
    assert found["ArcTan"] == found["ArcSin"] == 1
    assert found["Sin"] == found["Cos"] == found["Exp"] == 1


def test_an_unused_result_has_a_cotangent_of_zeros():
    found = names(mx.grad(lambda x, y: two(x, y)[0].sum()), mx.zeros((8, 64)), mx.zeros((8, 64)))
    assert found["ArcTan"] == 1
    assert found["ArcSin"] == 0


def test_a_gradient_may_call_such_functions():
    found = names(mx.grad(lambda x: outer(x).sum()), mx.zeros((8, 64)))
    assert found["Sinh"] == 1


def test_second_derivatives_are_refused():
    """MLX would derive them from the formula that stands for the call."""
    with pytest.raises(RuntimeError, match="profile: gradients of gradients cannot be counted through kernels"):
        names(lambda x: mx.grad(lambda x: mx.grad(lambda x: outer(x).sum())(x).sum())(x), mx.zeros((8, 64)))
    found = names(mx.grad(lambda x: mx.grad(lambda x: mx.sinh(x).sum())(x).sum()), mx.zeros((8, 64)))
    assert found["Sinh"] == 1


def test_outside_of_a_trace_nothing_changes():
    lucid.profile(two, mx.zeros((2, 2)), mx.zeros((2, 2)))
    x = mx.array([1.0])
    assert mx.grad(lambda x: outer(x).sum())(x).item() == pytest.approx(1.1752012)
