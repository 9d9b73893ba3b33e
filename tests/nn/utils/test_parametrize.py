"""Weight norm, spectral norm and parametrizations, against their formulas."""

import copy

import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.nn.utils import parametrizations, parametrize


class Symmetric(nn.Module):
    def forward(self, x):
        return x.triu() + x.triu(1).t()

    def right_inverse(self, x):
        return x.triu()


class Twice(nn.Module):
    def forward(self, x):
        return 2 * x


@pytest.mark.parametrize("norm", [nn.utils.weight_norm, parametrizations.weight_norm])
def test_weight_norm_keeps_the_weight_and_separates_its_length(norm):
    layer, x = nn.Linear(4, 3), lucid.randn(2, 4)
    before, expected = layer.weight.detach().clone(), layer(x).detach()
    norm(layer)
    np.testing.assert_allclose(layer(x).numpy(force=True), expected.numpy(), rtol=1e-5, atol=1e-6)
    layer(x).square().sum().backward()
    is_old = hasattr(layer, "weight_g")
    g, v = (layer.weight_g, layer.weight_v) if is_old else layer.parametrizations.weight.parameters()
    assert g.shape == (3, 1) and g.grad is not None
    np.testing.assert_allclose((v.grad * v).sum(1).numpy(force=True), np.zeros(3), atol=1e-4)  # orthogonal to v
    (nn.utils.remove_weight_norm if is_old else parametrize.remove_parametrizations)(layer, "weight")
    assert sorted(layer.state_dict()) == ["bias", "weight"] and type(layer) is nn.Linear
    np.testing.assert_allclose(layer.weight.numpy(force=True), before.numpy(), rtol=1e-5, atol=1e-6)


def test_weight_norm_of_the_whole():
    layer = nn.utils.weight_norm(nn.Conv1d(2, 3, 2), dim=None)
    assert layer.weight_g.shape == ()
    with pytest.raises(ValueError, match="Conv1d has no parameter 'weight'"):
        nn.utils.weight_norm(layer)
    with pytest.raises(ValueError, match="'bias' of Conv1d is not normalized"):
        nn.utils.remove_weight_norm(layer, "bias")


@pytest.mark.parametrize("norm", [nn.utils.spectral_norm, parametrizations.spectral_norm])
def test_spectral_norm_divides_by_the_largest_singular_value(norm):
    lucid.manual_seed(0)
    layer = nn.Linear(5, 3)
    original = layer.weight.numpy(force=True)
    largest = np.linalg.svd(original)[1][0]
    norm(layer, n_power_iterations=3)
    for _ in range(20):
        y = layer(lucid.ones(1, 5))
    np.testing.assert_allclose(layer.weight.numpy(force=True), original / largest, rtol=1e-4)
    y.sum().backward()
    layer.eval()
    assert lucid.equal(layer(lucid.ones(1, 5)), layer(lucid.ones(1, 5)))


def test_a_parametrization_computes_the_tensor():
    layer = nn.Linear(3, 3)
    parametrize.register_parametrization(layer, "weight", Symmetric())
    assert parametrize.is_parametrized(layer) and parametrize.is_parametrized(layer, "weight")
    assert not parametrize.is_parametrized(layer, "bias") and isinstance(layer, nn.Linear)
    assert lucid.equal(layer.weight, layer.weight.t())
    assert list(layer.state_dict()) == ["bias", "parametrizations.weight.original"]
    layer(lucid.ones(1, 3)).sum().backward()
    assert layer.parametrizations.weight.original.grad is not None
    layer.weight = lucid.eye(3)
    assert layer.weight.tolist() == lucid.eye(3).tolist()
    other = copy.deepcopy(layer)
    parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)
    assert not parametrize.is_parametrized(layer) and parametrize.is_parametrized(other, "weight")
    assert type(layer) is nn.Linear and parametrize.type_before_parametrizations(other) is nn.Linear
    assert layer(lucid.ones(1, 3)).shape == other(lucid.ones(1, 3)).shape


def test_cached_computes_once():
    layer = parametrize.register_parametrization(nn.Linear(2, 2), "weight", Twice())
    with parametrize.cached():
        assert layer.weight is layer.weight
    assert layer.weight is not layer.weight


def test_several_parametrizations_follow_each_other():
    layer = nn.Linear(2, 2)
    before = layer.weight.detach().clone()
    for _ in range(2):
        parametrize.register_parametrization(layer, "weight", Twice())
    np.testing.assert_allclose(layer.weight.numpy(force=True), 4 * before.numpy())
    with pytest.raises(RuntimeError, match="Twice has no right_inverse"):
        layer.weight = lucid.eye(2)


def test_wrong_arguments_are_named():
    class Row(nn.Module):
        def forward(self, x):
            return x[0]

    with pytest.raises(ValueError, match="must keep shape and dtype unless unsafe=True"):
        parametrize.register_parametrization(nn.Linear(2, 2), "weight", Row())
    with pytest.raises(ValueError, match="Linear has no parameter or buffer 'other'"):
        parametrize.register_parametrization(nn.Linear(2, 2), "other", Row())
    with pytest.raises(ValueError, match="'weight' of Linear is not parametrized"):
        parametrize.remove_parametrizations(nn.Linear(2, 2), "weight")


def test_a_compiled_step_trains_the_originals():
    def trained(compiled):
        lucid.manual_seed(1)
        layer = parametrizations.weight_norm(nn.Linear(3, 2))
        optimizer = lucid.optim.SGD(layer.parameters(), lr=0.1)

        def step(x):
            optimizer.zero_grad()
            loss = layer(x).square().mean()
            loss.backward()
            optimizer.step()
            return loss

        run = lucid.compile(step, state=[layer, optimizer]) if compiled else step
        return [run(lucid.ones(2, 3)).item() for _ in range(4)]

    np.testing.assert_allclose(trained(True), trained(False), rtol=1e-5)


@pytest.mark.parametrize("orthogonal_map", [None, "matrix_exp", "cayley", "householder"])
@pytest.mark.parametrize("shape", [(4, 4), (5, 3), (3, 5)])
def test_orthogonal_matrices_stay_orthogonal(orthogonal_map, shape):
    layer = nn.Linear(shape[1], shape[0], bias=False)
    before = nn.init.orthogonal_(layer.weight).numpy(force=True)
    parametrizations.orthogonal(layer, orthogonal_map=orthogonal_map)
    np.testing.assert_allclose(layer.weight.numpy(force=True), before, atol=1e-5)  # orthogonal already
    optimizer = lucid.optim.SGD(layer.parameters(), lr=0.5)
    (layer(lucid.randn(2, shape[1])) * lucid.randn(2, shape[0])).sum().backward()
    optimizer.step()
    w = layer.weight.numpy(force=True)
    assert not np.allclose(w, before, atol=1e-3)
    product = w @ w.T if shape[0] < shape[1] else w.T @ w
    np.testing.assert_allclose(product, np.eye(min(shape)), atol=1e-5)


def test_orthogonal_without_trivialization_cannot_be_set():
    layer = parametrizations.orthogonal(nn.Linear(3, 3), use_trivialization=False)
    np.testing.assert_allclose((layer.weight @ layer.weight.t()).numpy(force=True), np.eye(3), atol=1e-5)
    with pytest.raises(NotImplementedError, match="without use_trivialization, the tensor cannot be set"):
        layer.weight = lucid.eye(3)
