"""Embedding bags: weights of samples, and errors. Values are compared with PyTorch in test_against_pytorch.py."""

import pytest

import lucid
from lucid import nn
from lucid.nn import functional as F

TABLE = lucid.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])


def test_weights_of_samples_have_gradients():
    weights = lucid.tensor([[2.0, 10.0]], requires_grad=True)
    out = F.embedding_bag(lucid.tensor([[0, 2]]), TABLE, mode="sum", per_sample_weights=weights)
    assert out.tolist() == [[52, 64]]
    out.sum().backward()
    assert weights.grad.tolist() == [[3, 11]]


def test_gradients_can_be_divided_by_the_number_of_occurrences():
    table = TABLE.clone().requires_grad_()
    F.embedding_bag(lucid.tensor([[0, 2], [2, 2]]), table, mode="sum", scale_grad_by_freq=True).sum().backward()
    assert table.grad.tolist() == [[1, 1], [0, 0], [1, 1]]


def test_empty_bags_give_zero():
    for mode in ("sum", "mean", "max"):
        assert F.embedding_bag(lucid.tensor([2]), TABLE, lucid.tensor([0, 1]), mode=mode).tolist() == [[5, 6], [0, 0]]


def test_from_pretrained_freezes():
    layer = nn.EmbeddingBag.from_pretrained(TABLE, mode="max")
    assert not layer.weight.requires_grad and layer(lucid.tensor([[0, 1]])).tolist() == [[3, 4]]


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (lambda: F.embedding_bag(lucid.tensor([0]), TABLE), ValueError, "offsets are required"),
        (lambda: F.embedding_bag(lucid.tensor([0, 1]), TABLE, lucid.tensor([1])), RuntimeError, "must start with 0"),
        (lambda: F.embedding_bag(lucid.tensor([0]), TABLE, lucid.tensor([0, 2])), RuntimeError, "must increase"),
        (lambda: F.embedding_bag(lucid.tensor([[3]]), TABLE), IndexError, "out of range"),
        (lambda: F.embedding_bag(lucid.tensor([[0]]), TABLE, mode="min"), ValueError, "mode must be"),
        (
            lambda: F.embedding_bag(lucid.tensor([[0]]), TABLE, per_sample_weights=lucid.ones(1, 1)),
            NotImplementedError, "per_sample_weights need mode='sum'",
        ),
    ],
)  # fmt: skip
def test_wrong_arguments_are_named(use, error, message):
    with pytest.raises(error, match=message):
        use()
