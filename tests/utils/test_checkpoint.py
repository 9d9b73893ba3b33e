"""lucid.utils.checkpoint: the same values and gradients with less memory."""

import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.utils import checkpoint


def setup():
    rng = np.random.default_rng(0)
    w = lucid.tensor(rng.normal(size=(4, 4)), requires_grad=True)
    x = lucid.tensor(rng.normal(size=(3, 4)), requires_grad=True)
    return w, x


def test_gradients_match_a_plain_call_also_for_captured_parameters():
    results = []
    for run in (lambda f, *a: f(*a), checkpoint):
        w, x = setup()
        (run(lambda h, w=w: (h @ w).tanh() @ w, x * 2) ** 2).sum().backward()
        results.append((w.grad.numpy(), x.grad.numpy()))
    np.testing.assert_allclose(results[0][0], results[1][0], rtol=1e-6)
    np.testing.assert_allclose(results[0][1], results[1][1], rtol=1e-6)


def test_only_the_inputs_are_stored():
    w, x = setup()
    y = checkpoint(lambda h: ((h @ w).tanh() @ w).exp(), x)
    assert y.grad_fn.name == "checkpoint" and len(y.grad_fn.args) == 2


def test_second_derivatives():
    x = lucid.tensor([1.0, 2.0], requires_grad=True)
    first = lucid.autograd.grad(checkpoint(lambda v: v**3, x).sum(), x, create_graph=True)[0]
    assert lucid.autograd.grad(first.sum(), x)[0].tolist() == [6.0, 12.0]


def test_the_same_random_numbers_are_drawn():
    x = lucid.ones(1000, requires_grad=True)
    after = []
    for run in (lambda f, *a: f(*a), checkpoint):
        lucid.manual_seed(5)
        y = run(lambda v: v * (lucid.rand(1000) > 0.5), x)
        x.grad = None
        y.sum().backward()
        assert x.grad.tolist() == y.tolist()
        after.append(lucid.rand(2).tolist())
    assert after[0] == after[1]


def test_tuples_keywords_and_inputs_without_gradients():
    x = lucid.ones(2, requires_grad=True)
    a, b = checkpoint(lambda v, scale: (v * scale, v + 1), x, scale=x * 3)
    (a + b).sum().backward()
    assert x.grad.tolist() == [7, 7]
    assert not checkpoint(lambda v: v * 2, lucid.ones(2)).requires_grad


def test_hooks_of_parameters_see_the_whole_gradient_once():
    w, x = setup()
    seen = []
    w.register_hook(lambda gradient: seen.append(gradient))
    (checkpoint(lambda h: h @ w, x) + x @ w).sum().backward()
    assert len(seen) == 1 and lucid.equal(seen[0], w.grad)
    np.testing.assert_allclose(w.grad.numpy(), 2 * x.numpy(force=True).sum(0)[:, None] * np.ones((1, 4)), rtol=1e-5)


def test_a_retained_graph_can_be_used_twice_and_a_freed_one_cannot():
    w, x = setup()
    y = checkpoint(lambda h: (h @ w).tanh(), x).sum()
    y.backward(retain_graph=True)
    once = w.grad.clone()
    y.backward()
    assert lucid.equal(w.grad, 2 * once)
    with pytest.raises(RuntimeError, match="the graph through '.*' was freed"):
        y.backward()


def test_the_recorded_value_of_a_parameter_is_used():
    w, x = setup()
    y = checkpoint(lambda h: (h @ w) ** 2, x).sum()
    recorded = w.numpy(force=True).astype(np.float64)
    with lucid.no_grad():
        w.mul_(3)
    y.backward()
    given = x.numpy(force=True).astype(np.float64)
    np.testing.assert_allclose(x.grad.numpy(), 2 * (given @ recorded) @ recorded.T, rtol=1e-5)
    np.testing.assert_allclose(w.numpy(force=True), 3 * recorded, rtol=1e-6)


def test_only_the_requested_gradients():
    w, x = setup()
    y = checkpoint(lambda h: (h @ w).tanh(), x).sum()
    (alone,) = lucid.autograd.grad(y, x, retain_graph=True)
    y.backward()
    assert lucid.equal(alone, x.grad) and w.grad is not None


def test_nested_checkpoints_outputs_without_gradients_and_running_statistics():
    lucid.manual_seed(0)
    norm = nn.BatchNorm1d(4)
    w, x = setup()

    def inner(h):
        return norm(h) @ w

    def outer(h):
        y = checkpoint(inner, h)
        return y.tanh(), y.argmax(dim=1), h.detach()

    y, index, constant = checkpoint(outer, x)
    assert not index.requires_grad and not constant.requires_grad
    y.sum().backward()
    assert norm.num_batches_tracked.item() == 1
    found = x.grad, w.grad, norm.weight.grad
    x.grad = w.grad = norm.weight.grad = None
    inner(x).tanh().sum().backward()
    for got, plain in zip(found, (x.grad, w.grad, norm.weight.grad), strict=True):
        np.testing.assert_allclose(got.numpy(), plain.numpy(), rtol=1e-5, atol=1e-6)


def test_unsupported_functions_are_refused():
    x = lucid.ones(2, requires_grad=True)
    outside = x * 2
    with pytest.raises(RuntimeError, match="computed outside by 'mul'.*as an argument"):
        checkpoint(lambda v: v * outside, x)
    with pytest.raises(TypeError, match="must return tensors, got float"):
        checkpoint(lambda v: 1.0, x)


def detached(x):
    return x**3 * (x**2).detach()


def under_no_grad(x):
    with lucid.no_grad():
        scale = (x**2).sum()
    return x**3 * scale


@pytest.mark.parametrize("function", [detached, under_no_grad])
def test_what_stops_a_gradient_stops_second_derivatives_too(function):
    def derivatives(run):
        x = lucid.tensor([1.0, 2.0], requires_grad=True)
        calls = []
        x.register_hook(lambda g: calls.append(1))
        first = lucid.autograd.grad(run(function, x * 1.0).sum(), x, create_graph=True)[0]
        return first.tolist(), lucid.autograd.grad((first**2).sum(), x)[0].tolist(), len(calls)

    assert derivatives(checkpoint) == derivatives(lambda f, x: f(x))


def test_second_derivatives_of_a_captured_parameter():
    def derivatives(run):
        w, x = lucid.tensor([1.5, -0.5], requires_grad=True), lucid.tensor([1.0, 2.0], requires_grad=True)
        out = run(lambda x: (x * w) ** 3 * (w**2).detach(), x).sum()
        first = lucid.autograd.grad(out, x, create_graph=True)[0]
        return [one.tolist() for one in (first, *lucid.autograd.grad((first**2).sum(), [x, w]))]

    assert derivatives(checkpoint) == derivatives(lambda f, x: f(x))
