"""Unpooling and fractional pooling agree with PyTorch; invalid arguments raise."""

import functools

import numpy as np
import pytest

import lucid
from lucid.nn import functional as F
from tests.checking import check, recorded
from tests.ops.layouts import same_in_both


@pytest.mark.parametrize(("case", "record"), recorded("ops_unpooling"))
def test_agrees_with_pytorch(case, record):
    check(case, record)


def test_channels_last_agrees_with_channels_first():
    def there_and_back(x, *, data_format):
        values, at = F.max_pool2d(x, 2, return_indices=True, data_format=data_format)
        return F.max_unpool2d(values, at, 2, data_format=data_format)

    same_in_both(there_and_back, (2, 3, 4, 6))


@pytest.mark.parametrize("pool", [F.fractional_max_pool2d, F.fractional_max_pool3d])
def test_random_windows_are_within_the_input(pool):
    dims = 2 if pool is F.fractional_max_pool2d else 3
    x = lucid.randn(2, 3, *(9, 8, 7)[:dims])
    draw = functools.partial(pool, x, 2, output_size=4, return_indices=True)
    lucid.manual_seed(0)
    values, at = draw()
    assert values.shape == (2, 3, *(4,) * dims)
    flat = lucid.gather(x.flatten(2), 2, at.flatten(2))
    np.testing.assert_array_equal(flat.numpy(), values.flatten(2).numpy())
    assert not lucid.equal(draw()[1], at)
    lucid.manual_seed(0)
    assert lucid.equal(draw()[1], at)


def pooled(**options):
    return F.fractional_max_pool2d(lucid.ones(1, 2, 5, 5), 2, **options)


def unpooled(at=((0, 2),), **options):
    return F.max_unpool1d(lucid.ones(1, 2), lucid.tensor(at), 2, **options)


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (lambda: unpooled(at=((0, 4),)), IndexError, "max_unpool1d"),
        (lambda: unpooled(at=((0, -1),)), IndexError, "max_unpool1d"),
        (lambda: unpooled(at=((0, 1, 2),)), RuntimeError, r"indices must have the shape \(1, 2\) of input"),
        (lambda: unpooled(at=((0.0, 1.0),)), TypeError, "indices must be int64, got float32"),
        (lambda: unpooled(output_size=(9,)), ValueError, r"output_size must be within the stride \(2,\) of \(4,\)"),
        (lambda: unpooled(output_size=(4, 4)), ValueError, r"output_size must hold 1 or 3 sizes, got \(4, 4\)"),
        (lambda: pooled(), ValueError, "pass either output_size or output_ratio"),
        (lambda: pooled(output_size=5), RuntimeError, r"output_size \(5, 5\) are too large for an input of \(5, 5\)"),
        (lambda: pooled(output_ratio=(0.5,) * 3), ValueError, "output_ratio must be one number or 2 numbers"),
        (
            lambda: pooled(output_size=2, _random_samples=lucid.ones(1, 2, 3)),
            RuntimeError,
            r"_random_samples must have shape \(1, 2, 2\), got \(1, 2, 3\)",
        ),
    ],
)
def test_invalid_arguments_raise(use, error, message):
    with pytest.raises(error, match=message):
        use()
