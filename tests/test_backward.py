"""The backward pass: accumulation, freeing the graph, hooks, gradients of chosen tensors."""

import gc
import weakref

import numpy as np
import pytest

import lucid
from lucid import tape
from tests.checking import close, leaf


def test_gradients_accumulate_over_uses_and_over_backward_calls():
    x, v = leaf(5)
    (x * x + x).sum().backward()
    close(x.grad, 2 * v + 1)
    (3 * x).sum().backward()
    close(x.grad, 2 * v + 4)


def test_a_long_chain_needs_no_recursion():
    x = lucid.tensor([1.0], requires_grad=True)
    y = x
    for _ in range(5000):
        y = y + 1e-4
    y.sum().backward()
    assert x.grad.item() == 1.0


def test_each_shared_node_is_visited_once():
    calls = []

    @tape.op
    def noted(x):
        calls.append(1)
        return x * 2

    x, _ = leaf(3)
    y = noted(x)
    (y + y * y + y.exp()).sum().backward()
    assert len(calls) == 2  # once in the forward pass, once in the single vjp


def test_a_second_backward_needs_retain_graph():
    x, v = leaf(3)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    close(x.grad, 4 * v)
    with pytest.raises(RuntimeError, match="freed by an earlier backward pass.*retain_graph=True"):
        y.backward()


def test_backward_through_a_freed_graph_raises():
    x, _ = leaf(3)
    hidden = x.exp()
    hidden.sum().backward()
    with pytest.raises(RuntimeError, match="'exp' was freed"):
        (hidden * 2).sum().backward()


def test_backward_frees_the_graph():
    x, _ = leaf(3)
    y = (x * x).exp().sum()
    middle = weakref.ref(y.grad_fn.edges[0][0])
    y.backward()
    gc.collect()
    assert middle() is None


def test_several_elements_need_a_gradient_of_their_shape():
    x, _ = leaf(3)
    with pytest.raises(RuntimeError, match=r"shape \(3,\).*gradient="):
        (x * 2).backward()
    with pytest.raises(ValueError, match=r"gradient must have the shape of the tensor, \(3,\), got \(2,\)"):
        (x * 2).backward(lucid.ones(2))
    with pytest.raises(RuntimeError, match="does not require grad"):
        lucid.ones(1).backward()


def test_unused_outputs_of_an_op_get_zero_cotangents():
    x = lucid.arange(6, dtype=lucid.float32).requires_grad_()
    first, _second = x.split(3)
    (first * first).sum().backward()
    close(x.grad, [0, 2, 4, 0, 0, 0])


def test_hooks_on_leaves_and_computed_tensors():
    x, v = leaf(3)
    seen = []
    y = x * x
    y.register_hook(lambda g: g * 10)
    handle = x.register_hook(seen.append)
    y.sum().backward(retain_graph=True)
    close(x.grad, 20 * v)
    close(seen[0], 20 * v)
    handle.remove()
    y.sum().backward()
    assert len(seen) == 1
    with pytest.raises(RuntimeError, match="would never be called"):
        lucid.ones(2).register_hook(print)


def test_a_hook_that_returns_a_wrong_value_raises():
    x, _ = leaf(3)
    x.register_hook(lambda g: g.sum())
    with pytest.raises(TypeError, match=r"a tensor of shape \(3,\)"):
        (x * 1).sum().backward()


def test_retain_grad_keeps_the_gradient_of_a_computed_tensor():
    x, v = leaf(3)
    y = x * 2
    y.retain_grad()
    (y * y).sum().backward()
    close(y.grad, 4 * v)


def test_grad_gives_gradients_without_touching_grad():
    x, v = leaf(3)
    y, _ = leaf(3, seed=1)
    (gx,) = lucid.autograd.grad((x * x).sum(), [x])
    close(gx, 2 * v)
    assert x.grad is None
    with pytest.raises(RuntimeError, match="input 1 was not used"):
        lucid.autograd.grad((x * x).sum(), [x, y])
    assert lucid.autograd.grad((x * x).sum(), [x, y], allow_unused=True)[1] is None
    close(lucid.autograd.grad((x * x).sum(), [x, y], materialize_grads=True)[1], np.zeros(3))
    with pytest.raises(RuntimeError, match="input 0 does not require grad"):
        lucid.autograd.grad((x * x).sum(), lucid.ones(3))


def test_grad_with_respect_to_computed_tensors_stops_there():
    x, v = leaf(3)
    y = x * x
    z = (y * y).sum()
    gy, gx = lucid.autograd.grad(z, [y, x])
    close(gy, 2 * v**2)
    close(gx, 4 * v**3)


def test_the_same_input_twice_and_the_output_itself():
    x, v = leaf(3)
    y = (x * x).sum()
    a, b = lucid.autograd.grad(y, [x, x], retain_graph=True)
    close(a, 2 * v)
    close(b, 2 * v)
    close(lucid.autograd.grad(y, y)[0], 1.0)


def test_removing_a_hook_twice_keeps_other_hooks():
    x, _ = leaf(2)
    first = x.register_hook(lambda gradient: None)
    first.remove()
    seen = []
    x.register_hook(seen.append)
    first.remove()
    x.sum().backward()
    assert len(seen) == 1
