"""lucid/ops/strided.py and what is made of it agree with PyTorch and with indexing."""

import pytest

import lucid
from tests.checking import check, recorded


@pytest.mark.parametrize(("case", "record"), recorded("ops_strided"))
def test_agrees_with_pytorch(case, record):
    check(case, record)


def test_views_are_written():
    x = lucid.zeros(6)
    lucid.as_strided(x[1:], (2, 2), (2, 1), 1).fill_(1)
    assert x.tolist() == [0, 1, 1, 1, 1, 0]


def test_gradient_of_scattering():
    x, y = lucid.zeros(6, requires_grad=True), lucid.zeros(2, 2, requires_grad=True)
    sent = lucid.arange(6.0)
    lucid.as_strided_scatter(x, y, (2, 2), (3, 1), 1).backward(sent)
    assert x.grad.tolist() == [0, 0, 0, 3, 0, 0]
    assert y.grad.tolist() == [[1, 2], [4, 5]]


def test_empty_tensors_have_the_order_of_their_strides():
    for x in (lucid.empty_strided((2, 3), (1, 2)), lucid.empty_permuted((2, 3), (1, 0), dtype="int8")):
        assert x.shape == (2, 3)
        assert x.stride() == (1, 2)
    assert lucid.ones(2).new_empty_strided((2, 3), (1, 2)).stride() == (1, 2)
    assert lucid.empty_strided((2, 3), (3, 1), requires_grad=True).requires_grad


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda: lucid.as_strided(lucid.ones(4), (5,), (1,)), "reach outside of the 4 elements of input"),
        (lambda: lucid.as_strided(lucid.ones(4), (2,), (1, 1)), "size and stride must have one length"),
        (lambda: lucid.as_strided(lucid.ones(2, 3).T, (2,), (1,)), "input must be contiguous"),
        (lambda: lucid.as_strided_scatter(lucid.ones(4), lucid.ones(3), (2,), (1,)), "src must have shape"),
        (lambda: lucid.empty_permuted((2, 3), (0, 0)), "must be a permutation of the dimensions"),
    ],
)
def test_invalid_arguments_raise(use, message):
    with pytest.raises(ValueError, match=message):
        use()
