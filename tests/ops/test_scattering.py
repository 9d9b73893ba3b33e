"""Values and gradients of lucid/ops/scattering.py agree with PyTorch, and wrong indices raise."""

import pytest

import lucid
from tests.checking import check, recorded


@pytest.mark.parametrize(("case", "record"), recorded("ops_scattering"))
def test_agrees_with_pytorch(case, record):
    check(case, record)


def test_twins_in_place_reach_views():
    x = lucid.zeros(2, 3)
    part = x[1]
    assert x.index_put_((lucid.tensor([1]), lucid.tensor([2])), lucid.tensor([5.0])) is x
    x.scatter_reduce_(1, lucid.tensor([[0], [0]]), lucid.tensor([[3.0], [4.0]]), "amax")
    x.masked_scatter_(x == 0, lucid.arange(1.0, 9.0)).put_(lucid.tensor([4]), lucid.tensor([7.0]))
    assert part.tolist() == [4, 7, 5] and x[0].tolist() == [3, 1, 2]


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (lambda x: x.put(lucid.tensor([9]), lucid.ones(1)), IndexError, "put: index 9 is out of range"),
        (
            lambda x: x.masked_scatter(x == x, x[0]),
            ValueError,
            "masked_scatter: 6 elements are masked",
        ),
        (lambda x: x.index_put([lucid.tensor([0])], x.half()), TypeError, "index_put: values must have the dtype"),
        (lambda x: x.select_scatter(x, 0, 0), ValueError, r"select_scatter: src must have shape \(3,\), got \(2, 3\)"),
        (lambda x: x.scatter_reduce(0, lucid.tensor([[5]]), x, "sum"), IndexError, "scatter_reduce: index 5 is out of"),
    ],
)
def test_wrong_arguments_raise(use, error, message, on_cpu):
    with pytest.raises(error, match=message):
        use(lucid.ones(2, 3))
