"""Reductions agree with PyTorch, except where Lucid differs on purpose, and reject invalid arguments."""

import numpy as np
import pytest

import lucid
from tests.checking import check, recorded


@pytest.mark.parametrize(("case", "record"), recorded("ops_reduction"))
def test_agrees_with_pytorch(case, record):
    check(case, record)


@pytest.mark.parametrize("op", ["std", "norm"])
def test_the_gradient_of_a_root_at_0_is_0(op):
    x = lucid.tensor([[2.0, 2.0, 2.0], [1.0, 2.0, 4.0]], requires_grad=True)
    y = getattr(lucid, op)(x - 2 if op == "norm" else x, dim=1)
    first = lucid.autograd.grad(y.sum(), x, create_graph=True)[0]
    assert first[0].tolist() == [0, 0, 0] and first[1].abs().sum().item() > 0.5
    second = lucid.autograd.grad((first * first).sum(), x)[0]
    assert second[0].tolist() == [0, 0, 0] and lucid.isfinite(second).all()


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float16", "bool"])
def test_any_and_all_give_bools_but_uint8_for_itself(dtype):
    x = lucid.tensor([[0, 1], [0, 0]]).to(dtype)
    expected = lucid.uint8 if dtype == "uint8" else lucid.bool_
    assert lucid.any(x).dtype == lucid.all(x, dim=0).dtype == expected
    assert x.any(1).tolist() == [True, False] and x.all(1).tolist() == [False, False]


@pytest.mark.parametrize(
    "op", ["sum", "mean", "prod", "amax", "any", "logsumexp", "norm", "var", "argmax", "max", "cumsum"]
)
def test_axis_is_dim_but_not_both(op):
    x = lucid.tensor([[1.0, 2.0], [3.0, 5.0]])
    ours, numpys = getattr(lucid, op)(x, dim=1), getattr(lucid, op)(x, axis=1)
    for a, b in zip(ours, numpys, strict=True):
        assert a.tolist() == b.tolist()
    with pytest.raises(TypeError, match=f"{op}: dim and axis are mutually exclusive"):
        getattr(lucid, op)(x, dim=1, axis=1)


@pytest.mark.parametrize("op", ["sum", "mean", "prod", "any", "all", "count_nonzero", "logsumexp"])
def test_reductions_of_an_empty_transposed_tensor_terminate(op):
    for _ in range(50):  # MLX's behavior here depends on the contents of memory
        found = getattr(lucid, op)(lucid.zeros(0, 3).t(), dim=1)
        assert found.shape == (3,)
        np.testing.assert_array_equal(found.numpy(), getattr(lucid, op)(lucid.zeros(3, 0), dim=1).numpy())


def test_sums_over_an_empty_numpy_slice_terminate():
    for _ in range(200):
        x = lucid.tensor(np.zeros(7, np.float32)[3:3].reshape(3, 0))
        assert x.sum(1).tolist() == [0, 0, 0]


def test_extremes_of_infinite_values():
    x = lucid.tensor([[float("-inf"), float("-inf")], [float("inf"), 1.0]])
    assert lucid.amax(x, 1).tolist() == [float("-inf"), float("inf")]
    assert lucid.argmax(x, 1).tolist() == [0, 0] and lucid.argmin(x, 1).tolist() == [0, 1]


def test_half_precision_is_summed_in_float32():
    x = lucid.full((4099,), 1.0, dtype=lucid.bfloat16)
    assert x.sum().dtype == lucid.bfloat16 and x.sum().item() == 4096  # 4099, rounded once
    assert x.mean().item() == 1 and x.cumsum(0)[2047].item() == 2048


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (lambda x: x.sum(2), IndexError, r"sum: dim must be in \[-2, 1\] for 2 dimensions, got 2"),
        (lambda x: x.sum((0, 0)), ValueError, r"sum: dim contains a dimension twice, got \(0, 0\) for 2 dimensions"),
        (lambda x: x.sum(0.5), TypeError, "sum: dim must be an integer, got 0.5"),
        (lambda x: x.mean(-3), ValueError, r"mean: dim must be in \[-2, 1\]"),
        (lambda x: x.argmax(5), IndexError, r"argmax: dim must be in \[-2, 1\]"),
        (lambda x: lucid.max(x, 7), IndexError, r"max: dim must be in \[-2, 1\]"),
        (lambda x: x.cumsum(2), IndexError, r"cumsum: dim must be in"),
        (lambda x: x.cumsum(None), TypeError, "cumsum: dim must be an integer, got None"),
        (
            lambda x: lucid.arange(3).mean(),
            TypeError,
            "mean: input must hold floating-point numbers, got int64; convert with .float",
        ),
        (lambda x: lucid.arange(3).std(), TypeError, "std: input must hold floating-point numbers, got int64"),
        (lambda x: lucid.arange(3).norm(), TypeError, "norm: input must hold floating-point numbers, got int64"),
        (
            lambda x: x.var(unbiased=False, correction=1),
            TypeError,
            "var: unbiased and correction are mutually exclusive",
        ),
        (lambda x: x.norm("half"), TypeError, "norm: p must be a number, got 'half'"),
        (lambda x: x[0].norm("nuc"), ValueError, "norm: dim must name two dimensions"),
        (
            lambda x: lucid.zeros(0).max(),
            ValueError,
            r"max: cannot reduce an empty dimension of shape \(0,\)",
        ),
        (lambda x: lucid.zeros(3, 0).amin(1), ValueError, r"amin: cannot reduce an empty dimension of shape \(3, 0\)"),
        (lambda x: lucid.zeros(3, 0).argmax(), ValueError, "argmax: cannot reduce an empty dimension"),
        (lambda x: lucid.zeros(0).median(), ValueError, "median: cannot reduce an empty dimension"),
        (lambda x: lucid.zeros(0, 2).aminmax(), ValueError, "aminmax: cannot reduce an empty dimension"),
        (lambda x: lucid.zeros(3, 0).norm(float("-inf")), ValueError, "norm: cannot reduce an empty dimension"),
        (lambda x: x.kthvalue(0), ValueError, r"kthvalue: k must be in \[1, 3\] for dim -1 of shape \(2, 3\), got 0"),
        (lambda x: x.kthvalue(4), ValueError, r"kthvalue: k must be in \[1, 3\]"),
        (lambda x: lucid.max(x, lucid.ones(2)), ValueError, r"max: shapes \(2, 3\) and \(2,\) cannot be broadcast"),
        (lambda x: x.sum(dtype="float12"), TypeError, "sum: dtype must be one of"),
        (lambda x: lucid.sum("text"), TypeError, "sum: input must be a tensor"),
    ],
)
def test_invalid_arguments_raise(use, error, message):
    with pytest.raises(error, match=message):
        use(lucid.ones(2, 3))
