"""Pruning: masks, their combination, and their removal."""

import pytest

import lucid
from lucid import nn
from lucid.nn.utils import prune


def linear():
    layer = nn.Linear(3, 2)
    weight = lucid.tensor([[1.0, -5.0, 2.0], [4.0, 3.0, -0.5]])
    layer.load_state_dict({"weight": weight, "bias": lucid.zeros(2)})
    return layer


def test_l1_prunes_the_smallest_and_the_mask_holds_in_training():
    layer = prune.l1_unstructured(linear(), "weight", amount=2)
    assert layer.weight.tolist() == [[0, -5, 2], [4, 3, 0]]
    assert list(layer.state_dict()) == ["bias", "weight_orig", "weight_mask"]
    layer(lucid.ones(1, 3)).sum().backward()
    assert layer.weight_orig.grad.tolist() == [[0, 1, 1], [1, 1, 0]]
    with lucid.no_grad():
        layer.weight_orig.fill_(7)
    assert layer(lucid.ones(1, 3)).tolist() == [[14, 14]]
    assert prune.is_pruned(layer) and not prune.is_pruned(linear())


def test_pruning_again_prunes_what_is_left():
    layer = prune.l1_unstructured(linear(), "weight", amount=2)
    prune.l1_unstructured(layer, "weight", amount=0.5)
    assert layer.weight.tolist() == [[0, -5, 0], [4, 0, 0]]
    prune.ln_structured(layer, "weight", amount=1, n=2, dim=0)
    assert layer.weight.tolist() == [[0, -5, 0], [0, 0, 0]]
    prune.remove(layer, "weight")
    assert layer.weight.tolist() == [[0, -5, 0], [0, 0, 0]] and layer.weight.is_leaf
    assert sorted(layer.state_dict()) == ["bias", "weight"] and not layer._forward_pre_hooks


def test_random_pruning_takes_the_amount():
    layer = prune.random_unstructured(nn.Linear(10, 10), "weight", 0.3)
    assert int((layer.weight_mask == 0).sum().item()) == 30
    layer = prune.random_structured(nn.Linear(10, 10), "weight", 3, 1)
    assert layer.weight_mask.sum(0).tolist().count(0) == 3


def test_global_pruning_compares_all_parameters():
    small, large = linear(), linear()
    with lucid.no_grad():
        large.weight.mul_(10)
    prune.global_unstructured([(small, "weight"), (large, "weight")], prune.L1Unstructured, amount=5)
    assert small.weight.tolist() == [[0, -5, 0], [0, 0, 0]] and not (large.weight == 0).any().item()


def test_masks_and_scores_of_ones_own():
    layer = prune.custom_from_mask(linear(), "weight", lucid.tensor([[1, 0, 0], [0, 1, 1]]))
    assert layer.weight.tolist() == [[1, 0, 0], [0, 3, -0.5]]
    layer = prune.l1_unstructured(linear(), "weight", 3, importance_scores=lucid.arange(6.0).reshape(2, 3))
    assert layer.weight_mask.tolist() == [[0, 0, 0], [1, 1, 1]]
    assert prune.identity(linear(), "bias").bias_mask.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (lambda: prune.l1_unstructured(linear(), "weight", 7), ValueError, "amount 7 is more than the 6 units"),
        (lambda: prune.l1_unstructured(linear(), "weight", 1.5), ValueError, "amount must be at least 0 and at most 1"),
        (lambda: prune.l1_unstructured(linear(), "other", 1), AttributeError, "Linear has no parameter 'other'"),
        (lambda: prune.ln_structured(linear(), "bias", 1, 2, 0), ValueError, "needs at least 2 dimensions"),
        (lambda: prune.remove(linear(), "weight"), ValueError, "'weight' of Linear is not pruned"),
    ],
)
def test_wrong_arguments_are_named(use, error, message):
    with pytest.raises(error, match=message):
        use()
