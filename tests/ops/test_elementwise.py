"""Element-wise functions agree with PyTorch."""

import pytest

import lucid
from tests.checking import check, recorded


@pytest.mark.parametrize(("case", "record"), recorded("ops_elementwise"))
def test_agrees_with_pytorch(case, record):
    check(case, record)


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (lambda: lucid.exp("x"), TypeError, "exp: input must be a tensor, a number.*got str 'x'"),
        (lambda: lucid.sqrt(None), TypeError, "sqrt: input must be a tensor.*got NoneType"),
        (lambda: lucid.floor({}), TypeError, "floor: input must be a tensor.*got dict"),
        (lambda: lucid.round(lucid.ones(2), decimals=0.5), TypeError, "round: decimals must be an integer, got 0.5"),
        (lambda: lucid.atan2(lucid.ones(2), lucid.ones(3)), ValueError, r"atan2: shapes \(2,\) and \(3,\) cannot be"),
        (lambda: lucid.ones(2).astype("float12"), TypeError, "astype: dtype must be one of .*got 'float12'"),
    ],
)
def test_invalid_arguments_raise(use, error, message):
    with pytest.raises(error, match=message):
        use()


def test_writing_to_a_clone_does_not_change_the_original():
    x = lucid.zeros(3)
    y = x.clone()
    y[0] = 1
    assert x.tolist() == [0, 0, 0] and y.tolist() == [1, 0, 0]


def test_numbers_and_lists_become_tensors():
    assert lucid.exp(0).tolist() == 1 and lucid.exp(0).dtype == lucid.float32
    assert lucid.square([1, 2]).dtype == lucid.int64
    assert lucid.abs([-1.5]).tolist() == [1.5]


def test_astype_takes_every_name_of_a_dtype():
    x = lucid.tensor([1.9, -1.9])
    for name in ("int32", lucid.int32, "int", "torch.int32"):
        assert x.astype(name).tolist() == [1, -1] and x.astype(name).dtype == lucid.int32
    assert x.astype(int).dtype == lucid.int64
    assert x.astype(float) is not None and x.astype(float).dtype == lucid.float32
