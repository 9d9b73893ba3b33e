"""``Linear``, ``Embedding``, ``Identity``; their values are compared in test_against_pytorch.py."""

import numpy as np
import pytest

import lucid
from lucid import nn


def test_reprs():
    assert nn.Linear(5, 3).extra_repr() == "in_features=5, out_features=3, bias=True"
    assert nn.Linear(5, 3, bias=False).extra_repr() == "in_features=5, out_features=3, bias=False"
    assert nn.Embedding(7, 3).extra_repr() == "7, 3"
    assert nn.Embedding(7, 3, padding_idx=-1).extra_repr() == "7, 3, padding_idx=6"
    assert (
        nn.Embedding(7, 3, None, 1.0, 3, True).extra_repr()
        == "7, 3, max_norm=1.0, norm_type=3.0, scale_grad_by_freq=True"
    )


def test_identity_takes_any_arguments():
    x = lucid.ones(2)
    assert nn.Identity(54, unused=True)(x) is x


def test_a_linear_layer_without_features():
    assert nn.Linear(0, 3)(lucid.ones(2, 0)).shape == (2, 3)
    assert nn.Linear(3, 0)(lucid.ones(2, 3)).shape == (2, 0)


def test_the_padding_row_stays_zero():
    layer = nn.Embedding(5, 3, padding_idx=2)
    assert layer.weight[2].tolist() == [0, 0, 0] and (layer.weight.detach().numpy() != 0).any(1).sum() == 4
    layer(lucid.tensor([2, 2, 1])).sum().backward()
    assert layer.weight.grad.tolist() == [[0] * 3, [1] * 3, [0] * 3, [0] * 3, [0] * 3]
    layer.reset_parameters()
    assert layer.weight[2].tolist() == [0, 0, 0]


def test_max_norm_scales_the_rows_that_are_used():
    layer = nn.Embedding.from_pretrained([[3.0, 4.0], [6.0, 8.0], [0.3, 0.4], [30.0, 40.0]], max_norm=5)
    np.testing.assert_allclose(layer(lucid.tensor([1, 2, 1])).numpy(), [[3, 4], [0.3, 0.4], [3, 4]], rtol=1e-6)
    np.testing.assert_allclose(layer.weight.numpy(), [[3, 4], [3, 4], [0.3, 0.4], [30, 40]], rtol=1e-6)
    assert layer(lucid.zeros(0, dtype=lucid.int64)).shape == (0, 2)


def test_an_embedding_from_a_table():
    table = np.arange(6.0).reshape(3, 2)
    layer = nn.Embedding.from_pretrained(table)
    assert not layer.weight.requires_grad and layer(lucid.tensor([2, 0])).tolist() == [[4, 5], [0, 1]]
    assert isinstance(layer.weight, nn.Parameter) and list(layer.state_dict()) == ["weight"]
    trained = nn.Embedding.from_pretrained(lucid.tensor(table), freeze=False, padding_idx=1)
    assert trained.weight.requires_grad and trained.padding_idx == 1
    assert trained.weight.tolist() == table.tolist()  # the padding row too: the table is used unchanged


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (lambda: nn.Embedding(3, 2, sparse=True), ValueError, "Embedding: sparse gradients are not supported"),
        (
            lambda: nn.functional.embedding([1], lucid.ones(2, 2), sparse=True),
            ValueError,
            "embedding: sparse gradients are not supported",
        ),
        (
            lambda: nn.functional.embedding([1], np.ones((2, 2)), max_norm=1.0),
            TypeError,
            "embedding: weight must be a Tensor for max_norm, got ndarray",
        ),
        (
            lambda: nn.Embedding(3, 2, _weight=lucid.ones(2, 3)),
            ValueError,
            r"Embedding: the weight must have shape \(3, 2\), got \(2, 3\)",
        ),
        (
            lambda: nn.Linear(3, 2, dtype=lucid.int32),
            TypeError,
            "Linear: dtype must be a floating-point dtype, got int32",
        ),
        (lambda: nn.Linear(3, 2, device="moon"), ValueError, "Linear: device must be one of .*, got 'moon'"),
        (
            lambda: nn.Linear(2**40, 2),
            ValueError,
            r"Parameter: sizes must be less than 2\*\*31, got \(2, 1099511627776\)",
        ),
        (lambda: nn.Linear(-1, 2), ValueError, "Linear: in_features must be at least 0, got -1"),
        (lambda: nn.Linear(2, 1.5), TypeError, "Linear: out_features must be an integer, got 1.5"),
        (lambda: nn.Linear(2, True), TypeError, "Linear: out_features must be an integer, got True"),
        (lambda: nn.Embedding(0, 2), ValueError, "Embedding: num_embeddings must be at least 1, got 0"),
        (lambda: nn.Embedding(3, "a"), TypeError, "Embedding: embedding_dim must be an integer, got 'a'"),
        (lambda: nn.Embedding(3, 2, 3), IndexError, r"Embedding: padding_idx must be in \[-3, 2\]"),
        (
            lambda: nn.Embedding.from_pretrained([1.0]),
            ValueError,
            "Embedding.from_pretrained: embeddings must have 2 dimensions",
        ),
        (
            lambda: nn.Linear(3, 2)(lucid.ones(2, 4)),
            ValueError,
            r"linear: weight \(2, 3\) needs 3 features .* \(2, 4\)",
        ),
    ],
)
def test_invalid_sizes_raise(use, error, message):
    with pytest.raises(error, match=message):
        use()


@pytest.mark.parametrize("name", ["weight", "bias"])
def test_a_parameter_may_be_replaced_by_a_tensor(name):
    layer = nn.Linear(3, 2)
    value = lucid.rand(*getattr(layer, name).shape)
    wanted = {"weight": layer.weight.detach(), "bias": layer.bias.detach(), name: value}
    delattr(layer, name)
    setattr(layer, name, value)
    x = lucid.rand(4, 3)
    assert lucid.equal(layer(x), lucid.nn.functional.linear(x, **wanted))
    assert list(layer.state_dict()) == ["bias" if name == "weight" else "weight"]
