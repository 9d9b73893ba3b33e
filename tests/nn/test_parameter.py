"""A parameter is a leaf tensor that requires a gradient."""

import copy

import mlx.core as mx
import numpy as np
import pytest

import lucid
from lucid import nn


@pytest.mark.parametrize("data", [[1.0, 2.0], np.array([1.0, 2.0]), mx.array([1.0, 2.0]), lucid.tensor([1.0, 2.0])])
def test_accepts_the_same_data_as_a_tensor(data):
    parameter = nn.Parameter(data)
    assert isinstance(parameter, lucid.Tensor) and parameter.is_leaf and parameter.requires_grad
    assert parameter.tolist() == [1, 2] and parameter.dtype == lucid.float32


def test_a_computed_tensor_becomes_a_leaf():
    x = lucid.ones(2, requires_grad=True)
    parameter = nn.Parameter(x * 2)
    (parameter * 3).sum().backward()
    assert parameter.grad.tolist() == [3, 3] and x.grad is None


def test_results_are_plain_tensors():
    parameter = nn.Parameter([1.0])
    for result in (parameter * 2, parameter.detach(), parameter.reshape(1, 1), parameter[0]):
        assert type(result) is lucid.Tensor
    assert type(copy.deepcopy(parameter)) is nn.Parameter


def test_a_frozen_parameter_and_an_empty_one():
    assert not nn.Parameter([1.0], requires_grad=False).requires_grad
    assert nn.Parameter().shape == (0,)


def test_integers_have_no_gradient():
    with pytest.raises(RuntimeError, match="only floating-point tensors can require gradients, got int64"):
        nn.Parameter([1, 2])
    assert nn.Parameter([1, 2], requires_grad=False).dtype == lucid.int64


def test_a_buffer_is_registered_when_it_is_assigned():
    module = nn.Module()
    module.kept, module.passing = nn.Buffer(lucid.ones(2)), nn.Buffer(lucid.zeros(3), persistent=False)
    assert [name for name, _ in module.named_buffers()] == ["kept", "passing"]
    assert list(module.state_dict()) == ["kept"] and not list(module.parameters())
    twin = copy.deepcopy(module)
    assert list(twin.state_dict()) == ["kept"] and isinstance(twin.passing, nn.Buffer)
    module.kept = lucid.zeros(1)
    assert module.state_dict()["kept"].tolist() == [0] and not module.kept.requires_grad
    assert nn.Buffer().shape == (0,) and (module.passing * 2).__class__ is lucid.Tensor


def test_a_buffer_shares_the_values_of_its_tensor():
    data = lucid.ones(2)
    buffer = nn.Buffer(data)
    data[0] = 5
    assert buffer.tolist() == [5, 1]
