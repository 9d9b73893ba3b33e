"""Functions of functions agree with PyTorch, and modules are functions of their parameters."""

import numpy as np
import pytest

import lucid
from lucid import func, nn
from tests.checking import check, recorded


@pytest.mark.parametrize(("case", "record"), recorded("func"))
def test_agrees_with_pytorch(case, record):
    check(case, record)


def test_gradients_of_single_samples():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    parameters = {name: one.detach() for name, one in model.named_parameters()}
    batch = lucid.randn(5, 3)

    def loss(parameters, x):
        return func.functional_call(model, parameters, (x,)).square().sum()

    found = lucid.vmap(func.grad(loss), in_dims=(None, 0))(parameters, batch)
    for i in range(5):
        model.zero_grad()
        model(batch[i]).square().sum().backward()
        for name, one in model.named_parameters():
            np.testing.assert_allclose(found[name][i].numpy(), one.grad.numpy(), rtol=1e-5, atol=1e-6)


def test_an_ensemble():
    models = [nn.Linear(3, 2) for _ in range(4)]
    parameters, buffers = func.stack_module_state(models)
    x = lucid.randn(5, 3)
    call = lucid.vmap(lambda p, b: func.functional_call(models[0], (p, b), (x,)))
    found = call(parameters, buffers)
    for i, model in enumerate(models):
        assert lucid.allclose(found[i], model(x))
    found.sum().backward()
    assert parameters["weight"].grad.shape == (4, 2, 3)


def test_functional_call_leaves_the_module_as_it_was():
    layer = nn.Linear(2, 1)
    before = layer.weight
    func.functional_call(layer, {"weight": lucid.zeros(1, 2)}, lucid.ones(2))
    assert layer.weight is before
    with pytest.raises(ValueError, match="functional_call: the module has no parameter or buffer 'wrong'"):
        func.functional_call(layer, {"wrong": lucid.zeros(1)}, lucid.ones(2))
    with pytest.raises(RuntimeError, match="functional_call: 'bias' is missing"):
        func.functional_call(layer, {"weight": before}, lucid.ones(2), strict=True)
    with pytest.raises(ValueError, match="functional_call: weight is given by two dictionaries"):
        func.functional_call(layer, [{"weight": before}, {"weight": before}], lucid.ones(2))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: func.grad(lambda v: v * 2)(x), RuntimeError, "grad: func must return a tensor without dimensions"),
        (lambda x: func.grad(lambda v: v.sum(), 1)(x), RuntimeError, "grad: argnums has 1, but there are 1 positional"),
        (lambda x: func.grad(lambda v: 1.0)(x), ValueError, "grad: the outputs of func must be tensors, got float"),
        (lambda x: func.vjp(lucid.sin, x)[1](x[0]), RuntimeError, "vjp: the gradients must have the shapes"),
        (lambda x: func.jvp(lucid.sin, x, x), RuntimeError, "jvp: primals and tangents must be tuples"),
    ],
)
def test_invalid_calls_raise(call, error, message):
    with pytest.raises(error, match=message):
        call(lucid.ones(3))


def test_results_are_part_of_no_graph():
    x = lucid.ones(3)
    value, pull = func.vjp(lucid.sin, x)
    found = [func.grad(lambda v: v.sin().sum())(x), func.jacrev(lucid.sin)(x), value, pull(x)[0]]
    assert not any(one.requires_grad for one in found)
