"""``Flatten``, ``Unflatten``, ``Upsample``; their values are compared in test_against_pytorch.py."""

import pytest

import lucid
from lucid import nn
from tests.ops.layouts import same_in_both


def test_reprs():
    assert repr(nn.Flatten()) == "Flatten(start_dim=1, end_dim=-1)"
    assert repr(nn.Unflatten(1, (2, 3))) == "Unflatten(dim=1, unflattened_size=(2, 3))"
    assert repr(nn.Upsample(scale_factor=2)) == "Upsample(scale_factor=2, mode='nearest')"
    assert repr(nn.Upsample((3, 4), mode="bilinear")) == "Upsample(size=(3, 4), mode='bilinear')"


def test_flatten_and_unflatten():
    x = lucid.randn(2, 3, 4, 5)
    assert nn.Unflatten(1, (3, -1, 5))(nn.Flatten()(x)).tolist() == x.tolist()
    assert nn.Flatten()(lucid.ones(0, 3, 4)).shape == (0, 12)


def test_upsample_in_both_layouts():
    def op(x, *, data_format):
        return nn.Upsample(scale_factor=1.7, mode="bilinear", data_format=data_format)(x)

    same_in_both(op, (2, 3, 4, 5))


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (lambda x: nn.Flatten(4)(x), IndexError, r"flatten: start_dim must be in \[-3, 2\] for 3 dimensions, got 4"),
        (lambda x: nn.Unflatten(1, (2, 2))(x), ValueError, "unflatten: "),
        (lambda x: nn.Upsample()(x), ValueError, "interpolate: pass either size or scale_factor, got neither"),
        (lambda x: nn.Upsample(2, data_format="x"), ValueError, "Upsample: data_format must be 'channels_first' or"),
    ],
)
def test_invalid_options_raise(use, error, message):
    with pytest.raises(error, match=message):
        use(lucid.ones(1, 3, 4))
