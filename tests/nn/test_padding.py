"""Padding layers: layouts, reprs and errors; their values are compared in test_against_pytorch.py."""

import pytest

import lucid
from lucid import nn
from tests.ops.layouts import same_in_both


@pytest.mark.parametrize("kind", ["Circular", "Constant", "Reflection", "Replication", "Zero"])
def test_channels_last_agrees_with_channels_first(kind):
    value = (0.5,) if kind == "Constant" else ()
    layer = getattr(nn, f"{kind}Pad2d")
    same_in_both(lambda x, *, data_format: layer((1, 2, 0, 1), *value, data_format=data_format)(x), (2, 3, 4, 5))


def test_reprs():
    assert repr(nn.ConstantPad1d(2, 0.5)) == "ConstantPad1d(padding=(2, 2), value=0.5)"
    assert repr(nn.ZeroPad2d((1, 2, 3, 4))) == "ZeroPad2d((1, 2, 3, 4))"
    assert repr(nn.ReflectionPad3d(1)) == "ReflectionPad3d((1, 1, 1, 1, 1, 1))"
    assert (
        repr(nn.CircularPad1d(1, data_format="channels_last")) == "CircularPad1d((1, 1), data_format='channels_last')"
    )


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda: nn.ZeroPad2d((1, 2, 3)), "ZeroPad2d: padding must be an integer or a tuple of 4"),
        (lambda: nn.ReflectionPad1d(1.5), "ReflectionPad1d: padding must be an integer, got 1.5"),
        (lambda: nn.CircularPad2d(1)(lucid.ones(2, 3)), r"CircularPad2d: input must have 3 or 4 dimensions \(N, C, H"),
        (lambda: nn.ReflectionPad2d(4)(lucid.ones(1, 4, 4)), "mode 'reflect' can add at most 3"),
        (lambda: nn.ConstantPad1d(1, "a")(lucid.ones(1, 2, 3)), "pad: value must be a number or None, got 'a'"),
    ],
)
def test_invalid_options_raise(use, message):
    with pytest.raises((ValueError, TypeError), match=message):
        use()
