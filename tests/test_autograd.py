"""Function, gradcheck, the recording modes as decorators, and several outputs at once."""

import numpy as np
import pytest

import lucid
from lucid.autograd import Function, grad, gradcheck, gradgradcheck


class Cube(Function):
    @staticmethod
    def forward(ctx, x, scale=1.0):
        ctx.save_for_backward(x)
        ctx.scale = scale
        return scale * x**3

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return 3 * ctx.scale * x**2 * gradient, None


class Exp(Function):
    @staticmethod
    def forward(ctx, x):
        y = x.exp()
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, gradient):
        return ctx.saved_tensors[0] * gradient


class Both(Function):
    @staticmethod
    def forward(ctx, a, b):
        ctx.save_for_backward(a, b)
        order = lucid.argsort(a)
        ctx.mark_non_differentiable(order)
        return a * b, a + b, order

    @staticmethod
    def backward(ctx, gp, gs, _):
        a, b = ctx.saved_tensors
        return gp * b + gs, gp * a + gs


def x_of(*values):
    return lucid.tensor(list(values), requires_grad=True)


def test_function_has_the_gradient_it_brings():
    x = x_of(1.0, 2.0)
    y = Cube.apply(x, 2.0)
    assert y.tolist() == [2.0, 16.0]
    y.sum().backward()
    assert x.grad.tolist() == [6.0, 24.0]


def test_function_can_be_differentiated_again_also_through_a_saved_output():
    x = x_of(1.0, 2.0)
    first = grad(Cube.apply(x, 1.0).sum(), x, create_graph=True)[0]
    assert grad(first.sum(), x)[0].tolist() == [6.0, 12.0]
    first = grad(Exp.apply(x).sum(), x, create_graph=True)[0]
    np.testing.assert_allclose(grad(first.sum(), x)[0].numpy(), np.exp([1.0, 2.0]), rtol=1e-6)


def test_function_with_several_outputs_and_one_that_is_not_differentiable():
    a, b = x_of(3.0, 1.0), x_of(4.0, 5.0)
    product, total, order = Both.apply(a, b)
    assert not order.requires_grad and order.tolist() == [1, 0]
    (product + 2 * total).sum().backward()
    assert a.grad.tolist() == [6.0, 7.0]
    assert b.grad.tolist() == [5.0, 3.0]


def test_function_returns_as_many_gradients_as_forward_takes():
    class Wrong(Cube):
        @staticmethod
        def backward(ctx, gradient):
            return gradient

    with pytest.raises(RuntimeError, match=r"Wrong.backward: .* 2 inputs of forward, got 1"):
        Wrong.apply(x_of(1.0), 1.0).sum().backward()


def test_no_grad_is_a_decorator_with_and_without_parentheses():
    @lucid.no_grad()
    def one(x):
        return x * 2

    @lucid.no_grad
    def two(x):
        return x * 2

    assert not one(x_of(1.0)).requires_grad
    assert not two(x_of(1.0)).requires_grad
    assert lucid.is_grad_enabled()


def test_set_grad_enabled_is_a_setter_and_a_block():
    lucid.set_grad_enabled(False)
    assert not lucid.is_grad_enabled()
    lucid.set_grad_enabled(True)
    with lucid.set_grad_enabled(False):
        assert not lucid.is_grad_enabled()
    assert lucid.is_grad_enabled()


def test_recording_is_restored_after_an_error():
    with pytest.raises(ZeroDivisionError), lucid.no_grad():
        raise ZeroDivisionError
    assert lucid.is_grad_enabled()


def test_backward_of_several_outputs():
    x = x_of(1.0, 2.0)
    lucid.autograd.backward([(x * x).sum(), x * 3], [None, lucid.tensor([1.0, 10.0])])
    assert x.grad.tolist() == [5.0, 34.0]
    with pytest.raises(ValueError, match="2 outputs but 1 gradients"):
        lucid.autograd.backward([x.sum(), x.sum()], [None])


def test_gradcheck_accepts_right_and_names_wrong_gradients():
    x, y = lucid.randn(3, requires_grad=True), lucid.randn(3, requires_grad=True)
    assert gradcheck(lambda a, b: a * b.tanh(), (x, y))
    assert gradgradcheck(lambda a, b: a.tanh() * b, (x, y))

    class Lies(Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, gradient):
            return gradient * 2.5

    with pytest.raises(RuntimeError, match=r"input 0, element \(0,\): the gradient is"):
        gradcheck(Lies.apply, x)
    assert not gradcheck(Lies.apply, x, raise_exception=False)
    with pytest.raises(ValueError, match="at least one input"):
        gradcheck(Lies.apply, x.detach())
