"""Results of compiled functions can be differentiated outside them."""

import numpy as np
import pytest

import lucid
import lucid.nn.functional as F
from lucid import nn, optim
from tests._compile.steps import batches, small_model


def test_a_compiled_model_trains_like_the_model():
    def run(compiled):
        lucid.manual_seed(2)
        model = nn.Sequential(small_model(), nn.BatchNorm1d(3), nn.Dropout(0.3))
        optimizer = optim.SGD(model.parameters(), lr=0.1)
        call = lucid.compile(model) if compiled else model
        losses = []
        for x, y in batches(6):
            optimizer.zero_grad()
            loss = F.cross_entropy(call(x), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return losses, [t.tolist() for t in model.state_dict().values()]

    (eager, eager_state), (compiled, compiled_state) = run(False), run(True)
    np.testing.assert_allclose(compiled, eager, rtol=1e-5)
    for one, other in zip(compiled_state, eager_state, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_gradients_of_arguments_and_through_several_results():
    @lucid.compile
    def function(x, scale):
        return {"a": (x.exp() * scale).sum(), "b": [x.sin(), x.detach()]}

    x, scale = lucid.tensor([0.3, -0.7, 1.1], requires_grad=True), lucid.tensor(2.0, requires_grad=True)
    for _ in range(2):
        x.grad = scale.grad = None
        source = x * 1.0  # computed outside: gradients flow on through its graph
        out = function(source, scale)
        assert not out["b"][1].requires_grad
        (out["a"] + (out["b"][0] * lucid.tensor([1.0, 2.0, 3.0])).sum()).backward()
        values = x.detach().numpy()
        np.testing.assert_allclose(x.grad.numpy(), 2 * np.exp(values) + np.cos(values) * [1, 2, 3], rtol=1e-6)
        np.testing.assert_allclose(scale.grad.item(), np.exp(values).sum(), rtol=1e-6)
    assert function.retraces.count == 0


def test_unused_arguments_get_no_gradient():
    used, unused = lucid.ones(2, requires_grad=True), lucid.ones(2, requires_grad=True)
    lucid.compile(lambda a, b: (a * 3).sum() + b.detach().sum())(used, unused).backward()
    assert used.grad.tolist() == [3, 3] and unused.grad is None


def test_a_second_backward_and_second_derivatives_are_refused():
    x = lucid.ones(2, requires_grad=True)
    square = lucid.compile(lambda x: (x * x).sum())
    out = square(x)
    out.backward()
    with pytest.raises(RuntimeError, match=r"the graph through 'compile\(<lambda>\)' was freed"):
        out.backward()
    out = square(x)
    out.backward(retain_graph=True)
    out.backward()
    assert x.grad.tolist() == [6, 6]
    with pytest.raises(RuntimeError, match="create_graph=True is not supported through a compiled function"):
        lucid.autograd.grad(square(x), x, create_graph=True)
