"""Activation layers: reprs and options; their values are compared in test_against_pytorch.py."""

import re

import pytest

import lucid
from lucid import nn


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (lambda: nn.ReLU(inplace=True), "ReLU()"),
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


@pytest.mark.parametrize("word", ["ReLU", "ReLU6", "SiLU", "Mish", "Hardswish", "Hardsigmoid", "ELU", "LeakyReLU"])
def test_inplace_is_accepted_and_has_no_effect(word):
    x = lucid.tensor([-1.0, 2.0])
    y = getattr(nn, word)(inplace=True)(x)
    assert x.tolist() == [-1, 2] and y.tolist() == getattr(nn, word)()(x).tolist()


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
