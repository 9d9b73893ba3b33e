"""Gradient clipping, and conversion between parameters and a vector."""

import math

import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.nn import utils
from tests.checking import check, recorded


@pytest.mark.parametrize(("case", "record"), recorded("nn_utils"))
def test_agrees_with_pytorch(case, record):
    check(case, record)


def with_gradients(*gradients):
    parameters = []
    for gradient in gradients:
        parameters.append(nn.Parameter(lucid.zeros(np.shape(gradient))))
        parameters[-1].grad = lucid.tensor(gradient)
    return parameters


def test_small_gradients_are_unchanged():
    parameters = with_gradients([0.3, 0.4], [[0.0]])
    total = utils.clip_grad_norm_(parameters, 5.0)
    assert total.item() == pytest.approx(0.5) and not total.requires_grad
    assert parameters[0].grad.tolist() == pytest.approx([0.3, 0.4], rel=1e-7)


def test_one_tensor_and_none():
    [parameter] = with_gradients([3.0, 4.0])
    assert utils.clip_grad_norm_(parameter, 1.0).item() == 5
    np.testing.assert_allclose(parameter.grad.numpy(), [0.6, 0.8], rtol=1e-5)
    assert utils.clip_grad_norm_([], 1.0).item() == 0
    assert utils.clip_grad_norm_([nn.Parameter([1.0])], 1.0).item() == 0
    assert utils.clip_grad_norm_((p for p in with_gradients([3.0], [4.0])), 1.0).item() == 5
    assert utils.get_total_norm([]).item() == 0
    assert utils.get_total_norm(lucid.tensor([3.0, 4.0])).item() == 5
    with pytest.raises(RuntimeError, match="get_total_norm: the norm of order 1.0 is inf"):
        utils.get_total_norm([lucid.tensor(math.inf)], 1.0, error_if_nonfinite=True, foreach=False)
    with pytest.raises(TypeError, match="get_total_norm: tensors must be a tensor or an iterable of tensors, got int"):
        utils.get_total_norm(3)


def test_parameters_without_a_gradient_are_skipped():
    parameters = [nn.Parameter([1.0]), *with_gradients([3.0])]
    utils.clip_grad_norm_(parameters, 1.0)
    utils.clip_grad_value_(parameters, 0.5)
    assert parameters[0].grad is None and parameters[1].grad.tolist() == [0.5]


def test_half_precision_is_summed_in_float32_and_kept():
    parameter = nn.Parameter(lucid.zeros(4, dtype=lucid.float16))
    parameter.grad = lucid.full((4,), 300.0, dtype=lucid.float16)  # the square overflows in float16
    assert utils.clip_grad_norm_(parameter, 6.0).item() == 600
    assert parameter.grad.dtype == lucid.float16
    np.testing.assert_allclose(parameter.grad.numpy(), [3.0] * 4, rtol=1e-3)


@pytest.mark.parametrize("bad", [math.inf, math.nan])
def test_a_norm_that_is_not_finite(bad):
    parameters = with_gradients([1.0, bad], [2.0])
    with pytest.raises(RuntimeError, match=f"clip_grad_norm_: the norm of order 2.0 is {bad}; no gradient was changed"):
        utils.clip_grad_norm_(parameters, 1.0, error_if_nonfinite=True)
    assert parameters[1].grad.tolist() == [2]
    assert utils.clip_grad_norm_(parameters, 1.0).item() == pytest.approx(bad, nan_ok=True)
    assert parameters[1].grad.tolist() == pytest.approx([0.0 if bad == math.inf else math.nan], nan_ok=True)


def test_gradient_values_are_clipped():
    parameters = with_gradients([[-3.0, 0.2], [0.5, 7.0]], [math.inf])
    assert utils.clip_grad_value_(parameters, 0.5) is None
    assert parameters[0].grad.numpy().tolist() == pytest.approx(np.array([[-0.5, 0.2], [0.5, 0.5]]))
    assert parameters[1].grad.tolist() == [0.5]


def test_parameters_to_vector_and_back():
    layer = nn.Linear(2, 3)
    vector = utils.parameters_to_vector(layer.parameters())
    assert vector.shape == (9,)
    assert vector.tolist() == [*layer.weight.reshape(-1).tolist(), *layer.bias.tolist()]
    vector.square().sum().backward()
    np.testing.assert_allclose(layer.bias.grad.numpy(), 2 * layer.bias.detach().numpy(), rtol=1e-6)
    weight = layer.weight
    utils.vector_to_parameters(lucid.arange(9.0), layer.parameters())
    assert layer.weight is weight and weight.tolist() == [[0, 1], [2, 3], [4, 5]] and layer.bias.tolist() == [6, 7, 8]
    assert weight.is_leaf and weight.requires_grad


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (lambda p: utils.clip_grad_norm_(p, -1.0), ValueError, "clip_grad_norm_: max_norm must be at least 0, got -1"),
        (lambda p: utils.clip_grad_norm_(p, "a"), TypeError, "clip_grad_norm_: max_norm must be a number, got 'a'"),
        (lambda p: utils.clip_grad_norm_(p, 1.0, "two"), TypeError, "norm_type must be a number, got 'two'"),
        (
            lambda p: utils.clip_grad_norm_([3.0], 1.0),
            TypeError,
            "clip_grad_norm_: parameters must be tensors, got float",
        ),
        (
            lambda p: utils.clip_grad_norm_(3.0, 1.0),
            TypeError,
            "clip_grad_norm_: parameters must be a tensor or an iterable of tensors, got float",
        ),
        (
            lambda p: utils.clip_grad_value_(p, -1),
            ValueError,
            "clip_grad_value_: clip_value must be at least 0, got -1",
        ),
        (lambda p: utils.parameters_to_vector([]), ValueError, "parameters_to_vector: expected at least one parameter"),
        (
            lambda p: utils.parameters_to_vector([1.0]),
            TypeError,
            "parameters_to_vector: parameters must be tensors, got float",
        ),
        (
            lambda p: utils.vector_to_parameters(lucid.ones(2), p),
            ValueError,
            r"vector_to_parameters: vec must have shape \(1,\), got \(2,\)",
        ),
        (
            lambda p: utils.vector_to_parameters([1.0], p),
            TypeError,
            "vector_to_parameters: vec must be a Tensor, got list",
        ),
    ],
)
def test_misuse_raises(use, error, message):
    [parameter] = with_gradients([3.0])
    with pytest.raises(error, match=message):
        use([parameter])
    assert parameter.grad.tolist() == [3]
