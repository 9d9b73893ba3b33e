"""Operators, and methods that are functions."""

import numpy as np

import lucid


def test_numpy_arrays_defer_to_tensors():
    x = lucid.ones(3, requires_grad=True)
    y = np.arange(3, dtype=np.float32) * x + np.float32(1)
    assert isinstance(y, lucid.Tensor)
    y.sum().backward()
    assert x.grad.tolist() == [0, 1, 2]


def test_methods_and_functions_are_identical():
    assert lucid.Tensor.sum is lucid.sum
    assert lucid.Tensor.softmax is lucid.softmax
