"""Hooks run as in PyTorch, can replace values, and can be removed."""

import numpy as np
import pytest

import lucid
from lucid import nn


class Sum(nn.Module):
    def forward(self, a, b=None, *, scale=1.0):
        return (a if b is None else a + b) * scale


def test_forward_hooks_see_and_replace():
    layer, seen = Sum(), []
    layer.register_forward_pre_hook(lambda module, args: seen.append(("pre", module, args)))
    layer.register_forward_pre_hook(lambda module, args: (args[0] + 1, args[1]))
    layer.register_forward_hook(lambda module, args, output: seen.append(("post", args, output.tolist())))
    layer.register_forward_hook(lambda module, args, output: output * 10)
    a, b = lucid.tensor([1.0]), lucid.tensor([2.0])
    assert layer(a, b).tolist() == [40]
    assert seen[0] == ("pre", layer, (a, b))
    assert seen[1][1][0].tolist() == [2] and seen[1][2] == [4]


def test_a_pre_hook_may_return_one_argument():
    layer = Sum()
    layer.register_forward_pre_hook(lambda module, args: args[0] * 3)
    assert layer(lucid.tensor([1.0])).tolist() == [3]


def test_hooks_with_keyword_arguments():
    layer, seen = Sum(), []

    def before(module, args, kwargs):
        seen.append(dict(kwargs))
        return args, {"scale": kwargs["scale"] * 2}

    layer.register_forward_pre_hook(before, with_kwargs=True)
    layer.register_forward_pre_hook(lambda module, args, kwargs: None, with_kwargs=True)
    layer.register_forward_hook(lambda module, args, kwargs, output: output + kwargs["scale"], with_kwargs=True)
    assert layer(lucid.tensor([1.0]), scale=3.0).tolist() == [12]
    assert seen == [{"scale": 3.0}]


def test_a_pre_hook_with_keyword_arguments_returns_both():
    layer = Sum()
    layer.register_forward_pre_hook(lambda module, args, kwargs: args, with_kwargs=True)
    with pytest.raises(
        RuntimeError, match="register_forward_pre_hook: a hook with with_kwargs=True must return None or .args, kw"
    ):
        layer(lucid.tensor([1.0]))


@pytest.mark.parametrize("kind", ["register_forward_hook", "register_forward_pre_hook", "register_full_backward_hook"])
def test_order_and_removal(kind):
    layer, order = Sum(), []

    def named(name):
        return lambda *_: order.append(name)

    register = getattr(layer, kind)
    first, _ = register(named("first")), register(named("second"))
    register(named("before"), prepend=True)

    def run():
        order.clear()
        layer(lucid.ones(1, requires_grad=True)).sum().backward()
        return order

    assert run() == ["before", "first", "second"]
    first.remove()
    first.remove()  # twice is harmless
    assert run() == ["before", "second"]
    with register(named("for a while")):
        assert run() == ["before", "second", "for a while"]
    assert run() == ["before", "second"]


def test_a_hook_may_remove_itself():
    layer, calls = Sum(), []

    def once(module, args, output):
        calls.append(1)
        handle.remove()

    handle = layer.register_forward_hook(once)
    layer(lucid.ones(1))
    layer(lucid.ones(1))
    assert calls == [1]


def test_backward_hooks_see_both_sides():
    layer, seen = nn.Linear(2, 3), []
    layer.register_full_backward_hook(lambda *arguments: seen.append(arguments))
    x = lucid.randn(4, 2, requires_grad=True)
    cotangent = lucid.randn(4, 3)
    layer(x).backward(cotangent)
    [(module, grad_input, grad_output)] = seen
    assert module is layer and len(grad_input) == len(grad_output) == 1
    assert grad_output[0].tolist() == cotangent.tolist()
    assert grad_input[0].tolist() == x.grad.tolist()
    np.testing.assert_allclose(x.grad.numpy(), cotangent.numpy() @ layer.weight.detach().numpy(), rtol=1e-5)
    assert layer.weight.grad is not None


def test_backward_hooks_replace_the_gradient_of_the_input():
    layer = nn.Linear(2, 3)
    plain, hooked = lucid.ones(1, 2, requires_grad=True), lucid.ones(1, 2, requires_grad=True)
    layer(plain).sum().backward()
    weight = layer.weight.grad.tolist()
    layer.zero_grad()
    layer.register_full_backward_hook(lambda module, grad_input, grad_output: (grad_input[0] * 5,))
    layer(hooked).sum().backward()
    np.testing.assert_allclose(hooked.grad.numpy(), 5 * plain.grad.numpy(), rtol=1e-6)
    assert layer.weight.grad.tolist() == weight  # hooks do not change gradients of parameters


def test_a_single_replacement_needs_no_tuple():
    layer, x = nn.ReLU(), lucid.ones(2, requires_grad=True)
    layer.register_full_backward_hook(lambda module, grad_input, grad_output: grad_input[0] * 3)
    layer(x).sum().backward()
    assert x.grad.tolist() == [3, 3]


def test_backward_hooks_are_chained():
    layer, x = nn.ReLU(), lucid.ones(2, requires_grad=True)
    layer.register_full_backward_hook(lambda module, grad_input, grad_output: (grad_input[0] * 3,))
    layer.register_full_backward_hook(lambda module, grad_input, grad_output: (grad_input[0] + grad_output[0],))
    layer(x).sum().backward()
    assert x.grad.tolist() == [4, 4]


def test_missing_gradients_are_none():
    layer, seen = Sum(), []
    layer.register_full_backward_hook(lambda module, *gradients: seen.append(gradients))
    a, b = lucid.ones(2), lucid.ones(2, requires_grad=True)
    layer(a, b).sum().backward()
    [(grad_input, grad_output)] = seen
    assert grad_input[0] is None and grad_input[1].tolist() == [1, 1] and grad_output[0].tolist() == [1, 1]


def test_a_first_layer_whose_input_needs_no_gradient_runs_its_hooks():
    layer, seen = nn.Linear(2, 1), []
    layer.register_full_backward_hook(lambda module, *gradients: seen.append(gradients))
    layer(lucid.ones(3, 2)).sum().backward()
    [(grad_input, grad_output)] = seen
    assert grad_input == (None,) and grad_output[0].tolist() == [[1], [1], [1]]
    assert layer.weight.grad.tolist() == [[3, 3]]


def test_several_outputs():
    class Halves(nn.Module):
        def forward(self, x):
            return x[:1] * 2, x[1:] * 3

    layer, seen = Halves(), []
    layer.register_full_backward_hook(lambda module, *gradients: seen.append(gradients))
    x = lucid.ones(2, requires_grad=True)
    first, second = layer(x)
    second.sum().backward()
    [(grad_input, grad_output)] = seen
    assert grad_input[0].tolist() == [0, 3] and grad_output[0].tolist() == [0] and grad_output[1].tolist() == [1]
    assert first.tolist() == [2]


def test_each_call_runs_its_hooks():
    layer, seen = nn.Linear(1, 1, bias=False), []
    layer.register_full_backward_hook(lambda module, grad_input, grad_output: seen.append(grad_output[0].item()))
    x = lucid.ones(1, 1, requires_grad=True)
    (layer(x) * 2 + layer(x) * 3).sum().backward()
    assert sorted(seen) == [2, 3]


def test_hooks_under_no_grad_do_nothing():
    layer, seen = nn.ReLU(), []
    layer.register_full_backward_hook(lambda *arguments: seen.append(arguments))
    with lucid.no_grad():
        assert layer(lucid.ones(2, requires_grad=True)).tolist() == [1, 1]
    assert seen == []


def test_gradients_of_gradients_pass_through_hooks():
    class Cube(nn.Module):
        def forward(self, x):
            return x * x * x

    layer = Cube()
    layer.register_full_backward_hook(lambda module, grad_input, grad_output: None)
    x = lucid.tensor([2.0], requires_grad=True)
    (g,) = lucid.autograd.grad(layer(x), [x], create_graph=True)
    (h,) = lucid.autograd.grad(g, [x])
    assert g.item() == 12 and h.item() == 12


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        (
            lambda *_: (None, None, None),
            RuntimeError,
            "register_full_backward_hook: a hook must return 1 gradients, got 3",
        ),
        (
            lambda *_: (lucid.ones(3),),
            TypeError,
            r"register_full_backward_hook: a hook must return tensors in the shapes of grad_input, "
            r"expected \(2,\), got \(3,\)",
        ),
        (lambda *_: (5.0,), TypeError, "register_full_backward_hook: a hook must return tensors .* got float"),
    ],
)
def test_invalid_replacements_raise(wrong, error, message):
    layer, x = nn.ReLU(), lucid.ones(2, requires_grad=True)
    layer.register_full_backward_hook(wrong)
    with pytest.raises(error, match=message):
        layer(x).sum().backward()


class Fails(nn.Module):
    def forward(self, x):
        raise ZeroDivisionError("no result")


def test_hooks_that_are_always_called():
    layer, seen = Fails(), []
    layer.register_forward_hook(lambda module, args, output: seen.append("never"))
    layer.register_forward_hook(lambda module, args, output: seen.append((args, output)), always_call=True)
    layer.register_forward_hook(
        lambda module, args, kwargs, output: seen.append(kwargs), with_kwargs=True, always_call=True
    )
    with pytest.raises(ZeroDivisionError, match="no result"):
        layer(x=1)
    assert seen == [((), None), {"x": 1}]
    seen.clear()
    assert not seen
    layer.register_forward_hook(lambda *_: 1 / 0, always_call=True)
    message = "register_forward_hook: a hook with always_call=True raised ZeroDivision"
    with pytest.warns(UserWarning, match=message), pytest.raises(ZeroDivisionError, match="no result"):
        layer(1)


def test_hooks_that_are_always_called_run_once():
    layer, seen = Sum(), []
    layer.register_forward_hook(lambda module, args, output: seen.append("first"), always_call=True)

    def fails(module, args, output):
        raise ZeroDivisionError("in a hook")

    layer.register_forward_hook(fails)
    layer.register_forward_hook(lambda module, args, output: seen.append(output.tolist()), always_call=True)
    with pytest.raises(ZeroDivisionError, match="in a hook"):
        layer(lucid.ones(1))
    assert seen == ["first", [1]]


def test_backward_hooks_see_the_output_that_a_forward_hook_returned():
    layer, seen = Sum(), []
    layer.register_full_backward_hook(lambda module, grad_input, grad_output: seen.append(grad_output[0].tolist()))
    layer.register_forward_hook(lambda module, args, output: output * 3)
    x = lucid.tensor([1.0], requires_grad=True)
    (layer(x) * 5).sum().backward()
    assert seen == [[5]] and x.grad.tolist() == [15]
