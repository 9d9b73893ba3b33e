"""Distances as layers; their values are compared in test_against_pytorch.py."""

import pytest

import lucid
from lucid import nn


def test_attributes_have_pytorch_s_names():
    layer = nn.PairwiseDistance(p=1.0, eps=0.0, keepdim=True)
    assert (layer.norm, layer.eps, layer.keepdim) == (1.0, 0.0, True)
    assert layer(lucid.tensor([[1.0, 2.0]]), lucid.tensor([[0.0, 0.0]])).tolist() == [[3.0]]
    assert (nn.CosineSimilarity(dim=0).dim, nn.CosineSimilarity().eps) == (0, 1e-8)


def test_shapes_must_broadcast():
    with pytest.raises(RuntimeError, match="cannot be broadcast together"):
        nn.PairwiseDistance()(lucid.ones(2, 3), lucid.ones(2, 4))
