"""``Tensor``: attributes, conversion to Python numbers, copies, and misuse."""

import copy
import pickle

import pytest

import lucid


def test_devices_are_accepted_and_have_no_effect():
    x = lucid.ones(2)
    assert x.to("gpu") is x and x.to("metal") is x and x.cpu() is x and x.to("cuda:0") is x
    assert x.to(lucid.float16).dtype == lucid.float16
    assert x.to("cpu", lucid.int32).dtype == lucid.int32
    assert x.to("float16").dtype == lucid.float16
    assert x.to(lucid.ones(1, dtype=lucid.bfloat16)).dtype == lucid.bfloat16
    assert x.to(device="cpu", dtype=lucid.float16, non_blocking=True).dtype == lucid.float16
    with pytest.raises(ValueError, match="to: device must be one of .*, got 'tpu'"):
        x.to(device="tpu")
    with pytest.raises(TypeError, match="dtype must be one of"):
        x.to("tpu")


def test_to_a_dtype_is_differentiable():
    x = lucid.ones(2, requires_grad=True)
    (x.to(lucid.float16) * 3).sum().backward()
    assert x.grad.dtype == lucid.float32 and x.grad.tolist() == [3, 3]


def test_python_numbers_and_truth():
    assert float(lucid.tensor(2.5)) == 2.5 and int(lucid.tensor([7])) == 7
    assert [10, 20, 30][lucid.tensor(1)] == 20
    assert lucid.tensor(1.0) and not lucid.tensor([0])
    assert len(lucid.zeros(4, 2)) == 4
    assert [row.tolist() for row in lucid.arange(4).reshape(2, 2)] == [[0, 1], [2, 3]]
    assert 3 in lucid.arange(4) and 9 not in lucid.arange(4)
    assert f"{lucid.tensor(1.23456):.2f}" == "1.23"


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (lambda: bool(lucid.ones(2)), RuntimeError, r"shape \(2,\) with 2 elements is ambiguous.*any\(\) or all\(\)"),
        (
            lambda: lucid.ones(2, 2).item(),
            RuntimeError,
            r"item: expected a tensor with one element, got shape \(2, 2\)",
        ),
        (lambda: len(lucid.tensor(1.0)), TypeError, "has no length"),
        (lambda: iter(lucid.tensor(1.0)), TypeError, "cannot be iterated"),
        (lambda: [1][lucid.tensor(0.0)], TypeError, "only integer tensors.*float32"),
        (lambda: lucid.ones(2).size(2), IndexError, "dim 2 is out of range"),
        (lambda: lucid.ones(2, dtype=lucid.int32).requires_grad_(), RuntimeError, "only floating-point.*int32"),
        (
            lambda: (lucid.ones(2, requires_grad=True) * 1).requires_grad_(False),
            RuntimeError,
            "can only be cleared on a leaf",
        ),
        (
            lambda: copy.deepcopy(lucid.ones(2, requires_grad=True) * 1),
            RuntimeError,
            "only leaf tensors support deepcopy",
        ),
        (lambda: pickle.dumps(lucid.ones(2)), TypeError, "does not support pickling"),
    ],
)
def test_misuse_raises(use, error, message):
    with pytest.raises(error, match=message):
        use()


def test_copies_are_independent():
    x = lucid.ones(2, requires_grad=True)
    twin = copy.deepcopy(x)
    with lucid.no_grad():
        twin.add_(1)
    assert x.tolist() == [1, 1] and twin.tolist() == [2, 2] and twin.requires_grad


def test_transposed_properties():
    x = lucid.arange(6).reshape(1, 2, 3)
    assert x.T.shape == (3, 2, 1)
    assert x.mT.shape == (1, 3, 2) and x.mT.tolist() == [[[0, 3], [1, 4], [2, 5]]]
