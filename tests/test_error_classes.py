"""Errors are of the class that PyTorch raises, so that ``except`` in a script written for PyTorch works.

A shape or value is also a ValueError, a dtype a TypeError, a dimension a ValueError.
"""

import pytest

import lucid
from lucid import nn
from lucid.nn import functional as F

X = lucid.ones(2, 3)
INTS = lucid.ones(2, 3, dtype=lucid.int32)

SHAPES = {  # RuntimeError in PyTorch 2.13
    "add": lambda: X + lucid.ones(2),
    "matmul": lambda: X @ X,
    "bmm": lambda: lucid.bmm(X, X),
    "linear": lambda: F.linear(X, lucid.ones(4, 2)),
    "linear layer": lambda: nn.Linear(2, 4)(X),
    "conv2d channels": lambda: F.conv2d(lucid.ones(1, 3, 5, 5), lucid.ones(2, 4, 3, 3)),
    "conv2d rank": lambda: F.conv2d(X, lucid.ones(2, 4, 3, 3)),
    "conv2d stride": lambda: F.conv2d(lucid.ones(1, 3, 5, 5), lucid.ones(2, 3, 3, 3), stride=0),
    "view": lambda: X.view(4),
    "reshape": lambda: X.reshape(-1, 4),
    "expand": lambda: X.expand(3, 3),
    "cat": lambda: lucid.cat([X, lucid.ones(2, 2, 2)]),
    "stack": lambda: lucid.stack([X, lucid.ones(2)]),
    "split": lambda: X.split([1, 1], dim=1),
    "permute": lambda: X.permute(0, 0),
    "narrow": lambda: X.narrow(0, 1, 4),
    "topk": lambda: X.topk(5),
    "kthvalue": lambda: X.kthvalue(4),
    "gather": lambda: X.gather(1, lucid.tensor([0])),
    "scatter": lambda: X.scatter(1, lucid.tensor([[0]] * 3), 1.0),
    "masked_fill": lambda: X.masked_fill(lucid.tensor([True, False]), 0.0),
    "dims twice": lambda: X.sum(dim=(0, 0)),
    "mse_loss": lambda: F.mse_loss(X, lucid.ones(4)),
    "batch_norm": lambda: nn.BatchNorm2d(3)(lucid.ones(2, 4, 5, 5)),
    "layer_norm": lambda: F.layer_norm(X, (4,)),
    "max_pool2d": lambda: F.max_pool2d(lucid.ones(1, 1, 2, 2), 3),
    "pad": lambda: F.pad(X, (1, 1, 1, 1, 1, 1)),
    "zeros": lambda: lucid.zeros(-1),
    "backward": lambda: lucid.ones(2, requires_grad=True).backward(lucid.ones(3)),
}
DTYPES = {  # RuntimeError in PyTorch 2.13
    "mean": lambda: INTS.mean(),
    "neg": lambda: -lucid.tensor([True]),
    "gather": lambda: X.gather(1, X),
    "masked_fill": lambda: X.masked_fill(INTS, 0.0),
    "softmax_alpha": lambda: INTS.add(INTS, alpha=0.5),
    "and": lambda: X & X,
}
DIMS = {"sum": lambda: X.sum(dim=2), "cat": lambda: lucid.cat([X, X], dim=-3), "transpose": lambda: X.transpose(0, 2)}
INDICES = {"select": lambda: X.select(0, 2), "index": lambda: X[lucid.tensor([2])]}


@pytest.mark.parametrize("name", SHAPES)
def test_a_wrong_shape_is_a_runtime_error_and_a_value_error(name):
    for error in (RuntimeError, ValueError):
        with pytest.raises(error, match=r"^\w+: "):
            SHAPES[name]()


@pytest.mark.parametrize("name", DTYPES)
def test_a_wrong_dtype_is_a_runtime_error_and_a_type_error(name):
    for error in (RuntimeError, TypeError):
        with pytest.raises(error, match=r"^\w+: "):
            DTYPES[name]()


@pytest.mark.parametrize("name", DIMS)
def test_a_wrong_dimension_is_an_index_error_and_a_value_error(name):
    for error in (IndexError, ValueError):
        with pytest.raises(error, match=r"^\w+: dim\w* must be in"):
            DIMS[name]()


@pytest.mark.parametrize("name", INDICES)
def test_an_index_out_of_range_is_an_index_error(name):
    with pytest.raises(IndexError, match="is out of range"):
        INDICES[name]()
