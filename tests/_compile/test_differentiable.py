"""Results of compiled functions can be differentiated outside them."""

import warnings

import numpy as np
import pytest

import lucid
import lucid.nn.functional as F
from lucid import nn, optim
from lucid.utils import checkpoint
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


class Scaled(lucid.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, gradient):
        return gradient * 7


def stopped_by_no_grad(model):
    def function(x):
        with lucid.no_grad():
            scale = model(x).abs().mean()
        return model(x) / scale

    return function


def rounded_straight_through(model):
    def function(x):
        y = model(x)
        return y + (y.round() - y).detach()

    return function


def hooked_tensor(model):
    def function(x):
        y = model[0](x)
        if y.requires_grad:
            y.register_hook(lambda g: g * 3)
        return model[2](y.tanh())

    return function


def hooked_module(model):
    model[1].register_full_backward_hook(lambda module, inputs, outputs: (inputs[0] * 5,))
    return lambda x: model(x)


def hooked_parameter(model):
    model[0].weight.register_hook(lambda g: g * 2)
    return lambda x: model(x)


def frozen_layer(model):
    model[0].requires_grad_(False)
    return lambda x: model(x)


STOPPED = {
    "detach": lambda model: lambda x: model(x) / model(x).detach().abs().mean(),
    "data": lambda model: lambda x: model(x) / model(x).data.abs().mean(),
    "no_grad": stopped_by_no_grad,
    "straight-through": rounded_straight_through,
    "tensor hook": hooked_tensor,
    "module hook": hooked_module,
    "parameter hook": hooked_parameter,
    "frozen": frozen_layer,
    "checkpoint": lambda model: lambda x: checkpoint(model, x * 1.0),
    "Function": lambda model: lambda x: Scaled.apply(model(x)),
}


@pytest.mark.parametrize("name", STOPPED)
def test_whatever_stops_or_changes_a_gradient_does_so(name):
    def gradients(compiled):
        lucid.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))
        x, function = lucid.randn(5, 4), STOPPED[name](model)
        if compiled:
            function = lucid.compile(function, state=[model])
        for _ in range(2):
            for p in model.parameters():
                p.grad = None
            (function(x) ** 2).sum().backward()
        return [None if p.grad is None else p.grad.tolist() for p in model.parameters()]

    for one, other in zip(gradients(True), gradients(False), strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_the_mode_of_the_forward_pass_holds_in_its_backward_pass():
    def run(compiled):
        lucid.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 64), nn.Dropout(0.5), nn.Linear(64, 2))
        call = lucid.compile(model) if compiled else model
        x, found = lucid.ones(3, 4), []
        for _ in range(2):
            model.train()
            lucid.manual_seed(1)
            model.zero_grad()
            loss = call(x).sum()
            model.eval()
            loss.backward()
            found.append(model[0].weight.grad.abs().sum().item())
        return found

    np.testing.assert_allclose(run(True), run(False), rtol=1e-5)


def test_tracing_the_backward_pass_has_no_side_effects():
    """The function is called once more for it, with running statistics and hooks left alone."""
    model = nn.Sequential(small_model(), nn.BatchNorm1d(3), nn.Dropout(0.5))
    model[0].weight.register_hook(lambda g: None)
    call = lucid.compile(model)
    lucid.manual_seed(0)
    call(batches(1)[0][0]).sum().backward()
    after = lucid.random.get_state().tolist()
    assert model[1].num_batches_tracked.item() == 1 and len(model[0].weight._hooks) == 1
    lucid.manual_seed(0)
    model(batches(1)[0][0])
    assert lucid.random.get_state().tolist() == after


def test_an_error_in_the_backward_pass_is_raised_by_backward():
    def function(x):
        y = x * 2
        y.register_hook(lambda g: g.item())
        return y

    x = lucid.ones(1, requires_grad=True)
    out = lucid.compile(function)(x)
    assert out.tolist() == [2]
    with pytest.raises(RuntimeError, match=r"item\(\) reads the value of a tensor, which has no value while"):
        out.backward()


def test_the_backward_pass_starts_from_the_state_that_the_function_found():
    class Lazy(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear, self.log = small_model(), []

        def forward(self, x):
            if "center" not in self._buffers:
                self.register_buffer("center", lucid.ones(3))
            self.center = self.center * 0.5 + x.detach().mean(0)
            self.log.append("called")
            return self.linear(x) * self.center * len(self.log)

    def run(compiled):
        model = Lazy()
        average = optim.EMA(model, 0.9)
        call = lucid.compile(model, state=[average]) if compiled else model
        call(batches(1)[0][0]).square().sum().backward()
        return model.linear.weight.grad.tolist(), model.center.tolist(), model.log

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (compiled, center, log), (eager, eager_center, eager_log) = run(True), run(False)
    np.testing.assert_allclose(compiled, eager, rtol=1e-5)
    np.testing.assert_allclose(center, eager_center, rtol=1e-6)
    assert log == eager_log
