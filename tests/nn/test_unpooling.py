"""Unpooling and fractional pooling layers: reprs and errors; values are compared in test_against_pytorch.py."""

import pytest

import lucid
from lucid import nn


def test_reprs():
    assert repr(nn.MaxUnpool2d(2)) == "MaxUnpool2d(kernel_size=(2, 2), stride=(2, 2), padding=(0, 0))"
    assert repr(nn.FractionalMaxPool2d(2, 3)) == "FractionalMaxPool2d()"


def test_output_size_is_passed_on():
    values, at = nn.MaxPool2d(2, return_indices=True)(lucid.randn(1, 2, 5, 5))
    assert nn.MaxUnpool2d(2)(values, at, output_size=(5, 5)).shape == (1, 2, 5, 5)


@pytest.mark.parametrize("dims", [2, 3])
def test_fractional_pooling_is_the_function(dims):
    x, samples = lucid.randn(2, 3, *(7,) * dims), lucid.rand(2, 3, dims)
    layer = getattr(nn, f"FractionalMaxPool{dims}d")(2, output_ratio=0.6, _random_samples=samples)
    function = getattr(nn.functional, f"fractional_max_pool{dims}d")
    assert lucid.equal(layer(x), function(x, 2, output_size=4, _random_samples=samples))
    values, at = getattr(nn, f"FractionalMaxPool{dims}d")(2, 3, return_indices=True)(x)
    assert values.shape == at.shape == (2, 3, *(3,) * dims)


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda: nn.FractionalMaxPool2d(2), "pass either output_size or output_ratio, got neither"),
        (lambda: nn.FractionalMaxPool2d(2, 3, 0.5), "pass either output_size or output_ratio, got both"),
        (lambda: nn.FractionalMaxPool3d(2, output_ratio=1.0), "output_ratio must be above 0 and below 1, got 1.0"),
        (lambda: nn.MaxUnpool1d(0), "MaxUnpool1d: kernel_size must be at least 1, got 0"),
    ],
)
def test_invalid_options_raise(use, message):
    with pytest.raises(ValueError, match=message):
        use()
