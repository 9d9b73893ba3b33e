"""``Function``, ``gradcheck``, grad modes as decorators, and several outputs."""

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


def test_function_uses_its_own_gradient():
    x = x_of(1.0, 2.0)
    y = Cube.apply(x, 2.0)
    assert y.tolist() == [2.0, 16.0]
    y.sum().backward()
    assert x.grad.tolist() == [6.0, 24.0]


def test_function_is_twice_differentiable_through_a_saved_output():
    x = x_of(1.0, 2.0)
    first = grad(Cube.apply(x, 1.0).sum(), x, create_graph=True)[0]
    assert grad(first.sum(), x)[0].tolist() == [6.0, 12.0]
    first = grad(Exp.apply(x).sum(), x, create_graph=True)[0]
    np.testing.assert_allclose(grad(first.sum(), x)[0].numpy(), np.exp([1.0, 2.0]), rtol=1e-6)


def test_function_with_several_outputs_one_not_differentiable():
    a, b = x_of(3.0, 1.0), x_of(4.0, 5.0)
    product, total, order = Both.apply(a, b)
    assert not order.requires_grad and order.tolist() == [1, 0]
    (product + 2 * total).sum().backward()
    assert a.grad.tolist() == [6.0, 7.0]
    assert b.grad.tolist() == [5.0, 3.0]


def test_function_must_return_one_gradient_per_input():
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


def test_set_grad_enabled_as_function_and_context_manager():
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


def test_gradcheck_accepts_correct_and_names_wrong_gradients():
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


def test_function_must_return_gradients_in_the_shapes_of_its_inputs():
    class Sum(Function):
        @staticmethod
        def forward(ctx, x):
            return x.sum()

        @staticmethod
        def backward(ctx, gradient):
            return gradient

    with pytest.raises(RuntimeError, match=r"Sum.backward: the gradient of input 0 must be .* shape \(2,\), got \(\)"):
        Sum.apply(x_of(1.0, 2.0)).backward()
    Sum.backward = staticmethod(lambda ctx, gradient: 1.0)
    with pytest.raises(RuntimeError, match=r"input 0 must be None or a tensor of shape \(2,\), got float"):
        Sum.apply(x_of(1.0, 2.0)).backward()


def test_function_with_setup_context_and_non_tensor_arguments():
    class Power(Function):
        @staticmethod
        def forward(x, exponent, name):
            return x**exponent

        @staticmethod
        def setup_context(ctx, inputs, output):
            x, ctx.exponent, ctx.name = inputs
            ctx.save_for_backward(x)

        @staticmethod
        def backward(ctx, gradient):
            (x,) = ctx.saved_tensors
            return gradient * ctx.exponent * x ** (ctx.exponent - 1), None, None

    x = x_of(2.0, 3.0)
    Power.apply(x, 3, "cube").sum().backward()
    assert x.grad.tolist() == [12.0, 27.0]
    assert gradcheck(lambda v: Power.apply(v, 3, "cube"), x) and gradgradcheck(lambda v: Power.apply(v, 3, ""), x)


def test_function_has_needs_input_grad_and_gets_zeros_for_unused_outputs():
    seen = []

    class Twice(Function):
        @staticmethod
        def forward(ctx, x, y):
            return x * y, x + y

        @staticmethod
        def backward(ctx, product, total):
            seen.append((ctx.needs_input_grad, product.tolist(), total.tolist()))
            return product + total, None

    x, constant = x_of(1.0, 2.0), lucid.ones(2)
    Twice.apply(x, constant)[1].sum().backward()
    assert seen == [((True, False), [0.0, 0.0], [1.0, 1.0])]
    assert x.grad.tolist() == [1.0, 1.0]


def test_function_records_nothing_without_required_gradients():
    assert not Exp.apply(lucid.ones(2)).requires_grad
    with lucid.no_grad():
        assert not Exp.apply(x_of(1.0)).requires_grad
    with pytest.raises(NotImplementedError, match="forward"):
        Function.apply(x_of(1.0))
    with pytest.raises(TypeError, match="Number.forward: output 0 must be a tensor, got float"):
        type("Number", (Function,), {"forward": staticmethod(lambda ctx, x: 1.0)}).apply(x_of(1.0))


def test_gradgradcheck_finds_a_wrong_second_derivative():
    class Cut(Function):
        """The gradient of x**2, but cut off from x: its own derivative is lost."""

        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**2

        @staticmethod
        def backward(ctx, gradient):
            return 2 * ctx.saved_tensors[0].detach() * gradient

    x = x_of(0.5, -1.5)
    assert gradcheck(Cut.apply, x)
    assert not gradgradcheck(Cut.apply, x, raise_exception=False)
    with pytest.raises(
        RuntimeError, match=r"gradcheck: input 0, element \(0,\): the gradient is 0, but central differences"
    ):
        gradgradcheck(Cut.apply, x)


def test_gradcheck_takes_several_inputs_outputs_and_constants():
    x, y, n = lucid.randn(2, 3, requires_grad=True), lucid.randn(3, requires_grad=True), lucid.tensor([1, 2, 3])
    assert gradcheck(lambda a, b, c, k: ((a * b).sin(), (a.sum(0) * c) ** k, c * 2), (x, y, n, 2))
    assert gradgradcheck(lambda a, b, c, k: ((a * b).sin(), (a.sum(0) * c) ** k, c * 2), (x, y, n, 2))
    assert gradcheck(lambda a: a.detach() * 0 + 1, x)  # a constant has the gradient 0
    assert not gradcheck(lambda a: a.detach() * 2, x, raise_exception=False)


@pytest.mark.parametrize("mode", [True, False])
def test_set_grad_enabled_decorates(mode):
    @lucid.set_grad_enabled(mode)
    def function(x):
        return x * 2

    assert lucid.is_grad_enabled()
    assert function(x_of(1.0)).requires_grad is mode
    with lucid.no_grad():
        assert function(x_of(1.0)).requires_grad is mode
    assert lucid.is_grad_enabled()


def test_enable_grad_and_inference_mode_decorate():
    @lucid.enable_grad
    def recorded(x):
        return x * 2

    @lucid.inference_mode()
    def plain(x):
        return x * 2

    with lucid.no_grad():
        assert recorded(x_of(1.0)).requires_grad
    assert not plain(x_of(1.0)).requires_grad
    assert recorded.__name__ == "recorded"


def test_hooks_run_in_order_and_see_the_previous_result():
    x = x_of(1.0, 2.0)
    seen = []
    y = x * 3
    y.register_hook(lambda g: g * 2)
    y.register_hook(lambda g: seen.append(g.tolist()))
    with y.register_hook(lambda g: g + 1):
        y.sum().backward(retain_graph=True)
    assert seen == [[2.0, 2.0]] and x.grad.tolist() == [9.0, 9.0]
    x.grad = None
    y.sum().backward()  # the last hook was removed
    assert x.grad.tolist() == [6.0, 6.0]


def test_a_hook_is_called_once_with_the_summed_gradient():
    x, seen = x_of(1.0), []
    x.register_hook(lambda g: seen.append(g.item()))
    (x * 2 + x * 3 + x * x).backward()
    assert seen == [7.0]


def test_a_hook_takes_part_in_second_derivatives():
    x = x_of(2.0)
    y = x * x
    y.register_hook(lambda g: g * x)
    (first,) = grad(y.sum(), x, create_graph=True)
    assert first.item() == 8.0  # 2x * x
    assert grad(first.sum(), x)[0].item() == 8.0  # 4x


def test_grad_outputs_of_several_outputs():
    x = x_of(1.0, 2.0)
    (found,) = grad([x * 2, x * x], x, [lucid.tensor([1.0, 10.0]), lucid.tensor([5.0, 7.0])])
    assert found.tolist() == [12.0, 48.0]
    with pytest.raises(ValueError, match=r"grad: gradient must have the shape of the tensor, \(2,\), got \(3,\)"):
        grad(x * 2, x, lucid.ones(3))
    with pytest.raises(RuntimeError, match="grad: output 1 does not require grad"):
        grad([x.sum(), lucid.ones(1)], x)


def test_backward_into_inputs_changes_no_other_gradient():
    x, unused = x_of(1.0, 2.0), x_of(3.0)
    y = x * 2
    (y * y).sum().backward(inputs=[y, unused])
    assert y.grad.tolist() == [4.0, 8.0] and x.grad is None and unused.grad is None
    lucid.autograd.backward([(x * 3).sum()], inputs=x)
    lucid.autograd.backward([(x * 3).sum()], grad_variables=[lucid.tensor(2.0)], inputs=[x, x])
    assert x.grad.tolist() == [9.0, 9.0]


@pytest.mark.parametrize(
    ("inputs", "error", "message"),
    [
        ([], RuntimeError, "inputs must not be empty"),
        ([lucid.ones(1)], RuntimeError, "input 0 does not require grad"),
        ([1.0], TypeError, "inputs must be tensors, got float"),
    ],
)
def test_backward_refuses_inputs(inputs, error, message):
    with pytest.raises(error, match=f"backward: {message}"):
        (x_of(1.0) * 2).backward(inputs=inputs)


def test_batched_gradients_are_those_of_each_row():
    x, w = x_of(1.0, 2.0), x_of(3.0)
    y = x * x
    dx, dw = grad(
        y, (x, w), lucid.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, 3.0]]), is_grads_batched=True, allow_unused=True
    )
    assert dx.tolist() == [[2.0, 0.0], [0.0, 4.0], [4.0, 12.0]] and dw is None
    with pytest.raises(ValueError, match="grad: grad_outputs must be tensors with a first dimension"):
        grad(x * 2, x, is_grads_batched=True)


def test_inference_mode_has_a_switch():
    x = x_of(1.0)
    with lucid.inference_mode(False):
        assert (x * 2).requires_grad
    with lucid.inference_mode(mode=True):
        assert not (x * 2).requires_grad

    @lucid.inference_mode
    def plain():
        return x * 2

    assert not plain().requires_grad and lucid.is_grad_enabled()


def test_gradcheck_is_finer_in_float64(on_cpu):
    x = lucid.tensor([0.5, 1.5], dtype=lucid.float64, requires_grad=True)
    wrong = lambda a: a * a + (a * 1e-2).detach() * a  # noqa: E731
    assert gradcheck(lucid.sin, x) and not gradcheck(wrong, x, raise_exception=False, check_undefined_grad=False)
    with pytest.raises(NotImplementedError, match="gradcheck: forward-mode"):
        gradcheck(lucid.sin, x, check_forward_ad=True)


def test_hooks_after_accumulation():
    seen = []
    x = lucid.ones(2, requires_grad=True)
    with x.register_post_accumulate_grad_hook(lambda leaf: seen.append(leaf.grad.tolist())):
        (x * 2).sum().backward()
        (x * 3).sum().backward(inputs=[x])
    (x * 4).sum().backward()
    assert seen == [[2, 2], [5, 5]]
    with pytest.raises(RuntimeError, match="register_post_accumulate_grad_hook: this tensor is no leaf"):
        (x * 2).register_post_accumulate_grad_hook(seen.append)
    with pytest.raises(RuntimeError, match="retain_grad: this tensor does not require grad"):
        lucid.ones(2).retain_grad()


def test_inference_mode_is_known():
    assert not lucid.is_inference_mode_enabled()
    with lucid.inference_mode():
        assert lucid.is_inference_mode_enabled()
        with lucid.inference_mode(False):
            assert not lucid.is_inference_mode_enabled()
    assert lucid.inference_mode(lucid.is_inference_mode_enabled)()
    assert not lucid.is_inference_mode_enabled()
