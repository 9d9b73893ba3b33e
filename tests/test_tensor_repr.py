"""Tensors print as in PyTorch."""

import lucid


def test_repr():
    assert repr(lucid.tensor([1.0, 2.5])) == "tensor([1. , 2.5])"
    assert repr(lucid.tensor([1, 2], dtype=lucid.int32)) == "tensor([1, 2], dtype=lucid.int32)"
    assert repr(lucid.tensor(2.0, requires_grad=True)) == "tensor(2., requires_grad=True)"
    assert repr(lucid.tensor([2.0], requires_grad=True) * 2) == "tensor([4.], grad_fn=<mul>)"
    assert "shape=(40, 50)" in repr(lucid.zeros(40, 50)) and "..." in repr(lucid.zeros(40, 50))
    assert "shape=(0, 3)" in repr(lucid.zeros(0, 3))
    assert repr(lucid.ones(2, dtype=lucid.bfloat16)) == "tensor([1., 1.], dtype=lucid.bfloat16)"
