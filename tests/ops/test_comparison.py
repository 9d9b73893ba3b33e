"""Comparisons agree with PyTorch and have no gradient."""

import numpy as np
import pytest

import lucid
from tests.checking import check, recorded


@pytest.mark.parametrize(("case", "record"), recorded("ops_comparison"))
def test_agrees_with_pytorch(case, record):
    check(case, record)


def test_comparisons_do_not_require_grad():
    x = lucid.ones(2, requires_grad=True)
    for result in (x == 1, x < x, lucid.logical_not(x), lucid.isclose(x, x)):
        assert not result.requires_grad and result.dtype == lucid.bool_


def test_other_operands():
    x = lucid.tensor([1.0, 2.0])
    assert (x == [1, 3]).tolist() == [True, False]
    assert (np.array([1, 3]) == x).tolist() == [True, False]
    assert lucid.allclose(x, np.array([1.0, 2.0])) and not lucid.equal(x, [1.0, 2.5])
    assert (lucid.tensor([2**53 + 1]) == 2**53).tolist() == [False]


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (
            lambda x: x < lucid.ones(3),
            ValueError,
            r"lt: shapes \(2,\) and \(3,\) cannot be broadcast together: 2 and 3 in dim 0",
        ),
        (lambda x: lucid.eq(x, "a"), TypeError, "eq: other must be a tensor.*got str 'a'"),
        (lambda x: lucid.logical_xor(x, lucid.ones(3)), ValueError, r"logical_xor: shapes \(2,\) and \(3,\)"),
        (lambda x: lucid.isclose(x, lucid.ones(3)), ValueError, r"isclose: shapes \(2,\) and \(3,\)"),
        (lambda x: lucid.allclose(x, lucid.ones(3)), ValueError, r"allclose: shapes \(2,\) and \(3,\)"),
        (lambda x: lucid.logical_and(None, x), TypeError, "logical_and: input must be a tensor.*got NoneType"),
    ],
)
def test_invalid_operands_raise(use, error, message):
    with pytest.raises(error, match=message):
        use(lucid.ones(2))
