"""Layers that rearrange: reprs; their values are compared in test_against_pytorch.py."""

import pytest

import lucid
from lucid import nn


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (nn.PixelShuffle(2), "PixelShuffle(upscale_factor=2)"),
        (nn.PixelUnshuffle(3), "PixelUnshuffle(downscale_factor=3)"),
        (nn.ChannelShuffle(2), "ChannelShuffle(groups=2)"),
        (nn.Unfold(3, padding=1), "Unfold(kernel_size=3, dilation=1, padding=1, stride=1)"),
        (nn.Fold((4, 5), 2), "Fold(output_size=(4, 5), kernel_size=2, dilation=1, padding=0, stride=1)"),
    ],
)
def test_reprs(layer, text):
    assert repr(layer) == text


def test_unshuffle_undoes_shuffle():
    x = lucid.randn(2, 12, 3, 5)
    assert lucid.equal(nn.PixelUnshuffle(2)(nn.PixelShuffle(2)(x)), x)
    assert lucid.equal(nn.ChannelShuffle(4)(nn.ChannelShuffle(3)(x)), x)
