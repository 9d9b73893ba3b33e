"""Activation layers: reprs and options; their values are compared in test_against_pytorch.py."""

import re

import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.nn import functional as F


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (lambda: nn.ReLU(inplace=True), "ReLU(inplace=True)"),
        (lambda: nn.ELU(0.5, True), "ELU(alpha=0.5, inplace=True)"),
        (lambda: nn.GELU(), "GELU(approximate='none')"),
        (lambda: nn.LeakyReLU(0.2), "LeakyReLU(negative_slope=0.2)"),
        (lambda: nn.ELU(), "ELU(alpha=1.0)"),
        (lambda: nn.Softplus(), "Softplus(beta=1.0, threshold=20.0)"),
        (lambda: nn.Softmax(dim=1), "Softmax(dim=1)"),
        (lambda: nn.LogSoftmax(-1), "LogSoftmax(dim=-1)"),
        (lambda: nn.Hardswish(), "Hardswish()"),
    ],
)
def test_reprs(layer, text):
    assert repr(layer()) == text


_INPLACE = ["ReLU", "ReLU6", "SiLU", "Mish", "Hardswish", "Hardsigmoid", "ELU", "LeakyReLU"]


@pytest.mark.parametrize("word", _INPLACE)
def test_inplace_writes_the_result_to_the_input(word):
    x = lucid.tensor([-1.0, 2.0])
    expected = getattr(nn, word)()(x).tolist()
    assert x.tolist() == [-1, 2]
    assert getattr(nn, word)(inplace=True)(x) is x
    assert x.tolist() == expected


@pytest.mark.parametrize("word", _INPLACE)
def test_the_gradient_of_an_input_read_after_an_inplace_activation(word):
    leaf = lucid.tensor([-1.5, -0.5, 0.75, 2.5], requires_grad=True)
    h = leaf * 2
    y = getattr(nn, word)(inplace=True)(h)
    (y * h).sum().backward()  # h is y
    other = leaf.detach().requires_grad_()
    z = getattr(nn, word)()(other * 2)
    (z * z).sum().backward()
    assert leaf.grad.tolist() == other.grad.tolist()


def test_inplace_refuses_leaves_and_arrays():
    with pytest.raises(RuntimeError, match="ReLU: a leaf that requires grad cannot be modified in place"):
        nn.ReLU(inplace=True)(lucid.ones(2, requires_grad=True))
    with pytest.raises(TypeError, match="^ReLU: inplace=True needs a tensor to write to, got ndarray$"):
        nn.ReLU(inplace=True)(np.ones(2, np.float32))


def test_functional_relu_takes_inplace_by_name_and_by_position():
    for call in (lambda x: F.relu(x, True), lambda x: F.relu(x, inplace=True)):
        x = lucid.tensor([-1.0, 2.0])
        assert call(x) is x and x.tolist() == [0, 2]
    x = lucid.tensor([-1.0, 2.0])
    assert F.relu(x, False).tolist() == F.relu(x, inplace=False).tolist() == [0, 2] and x.tolist() == [-1, 2]


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (lambda: nn.GELU("fast"), ValueError, "GELU: approximate must be 'none' or 'tanh', got 'fast'"),
        (lambda: nn.LeakyReLU("a"), TypeError, "LeakyReLU: negative_slope must be a number, got 'a'"),
        (lambda: nn.ELU(None), TypeError, "ELU: alpha must be a number, got None"),
        (lambda: nn.Softplus(beta="x"), TypeError, "Softplus: beta must be a number, got 'x'"),
        (lambda: nn.Softmax()(lucid.ones(2)), TypeError, "softmax: dim is required, for example dim=-1"),
        (lambda: nn.LogSoftmax()(lucid.ones(2)), TypeError, "log_softmax: dim is required, for example dim=-1"),
    ],
)
def test_invalid_options_raise(use, error, message):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        use()


@pytest.mark.parametrize(
    "name", ["elu", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu", "mish", "relu", "relu6", "silu"]
)
def test_functions_take_inplace(name):
    function = getattr(F, name)
    x = lucid.tensor([-4.0, -0.5, 0.5, 8.0])
    expected = function(x).tolist()
    assert function(x, inplace=True) is x
    assert x.tolist() == expected
