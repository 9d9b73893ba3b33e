"""Special functions agree with PyTorch."""

import pytest

import lucid
from tests.checking import check, recorded


@pytest.mark.parametrize(("case", "record"), recorded("special"))
def test_agrees_with_pytorch(case, record):
    check(case, record)


def test_twins_in_place():
    x = lucid.tensor([0.5, 2.0])
    expected = lucid.lgamma(x).digamma()
    assert x.lgamma_().digamma_() is x and lucid.equal(x, expected)
    assert lucid.equal(lucid.ones(2).polygamma_(1), lucid.polygamma(1, lucid.ones(2)))


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda x: lucid.polygamma(-1, x), "polygamma: n must be at least 0, got -1"),
        (lambda x: lucid.mvlgamma(x, 0), "mvlgamma: p must be at least 1, got 0"),
        (lambda x: lucid.special.erfcx(x.to(lucid.complex64)), "erfcx: complex64 is not supported"),
        (lambda x: lucid.special.zeta(x, lucid.ones(3)), "zeta: shapes .* cannot be broadcast"),
        (lambda x: lucid.special.hermite_polynomial_h(x, 5000), "hermite_polynomial_h: n must be at most 4096"),
    ],
)
def test_wrong_arguments_raise(use, message):
    with pytest.raises((RuntimeError, TypeError), match=message):
        use(lucid.ones(2))
