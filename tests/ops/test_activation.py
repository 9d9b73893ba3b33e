"""Activation functions agree with PyTorch, also at kinks and for extreme inputs, and reject invalid arguments."""

import numpy as np
import pytest

import lucid
from lucid import tape
from lucid.nn import functional as F
from tests.checking import check, recorded


@pytest.mark.parametrize(("case", "record"), recorded("ops_activation"))
def test_agrees_with_pytorch(case, record):
    check(case, record)


@pytest.mark.parametrize("op", [F.gelu, F.silu, F.mish, F.softsign, F.sigmoid, F.hardswish, F.elu])
def test_extreme_inputs_do_not_give_nan(op):
    x = lucid.tensor([-3e38, -1e20, -1e4, 1e4, 1e20, 3e38], requires_grad=True)
    y = op(x)
    y.sum().backward()
    assert np.isfinite(y.detach().numpy()).all() and np.isfinite(x.grad.numpy()).all()


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (lambda x: F.softmax(x), TypeError, "softmax: dim is required, for example dim=-1"),
        (lambda x: F.log_softmax(x), TypeError, "log_softmax: dim is required"),
        (lambda x: F.softmax(x, dim=2), IndexError, r"softmax: dim must be in \[-2, 1\] for 2 dimensions, got 2"),
        (lambda x: lucid.softmax(x, 0, axis=1), TypeError, "softmax: dim and axis are mutually exclusive"),
        (lambda x: F.softmax(x, 0, dtype="float12"), TypeError, "softmax: dtype must be one of"),
        (lambda x: F.glu(x), ValueError, r"glu: the size of dim -1 must be even, got shape \(2, 3\)"),
        (lambda x: F.glu(lucid.tensor(1.0)), ValueError, "glu: the size of dim -1 must be even"),
        (lambda x: F.gelu(x, "fast"), ValueError, "gelu: approximate must be 'none' or 'tanh', got 'fast'"),
        (
            lambda x: F.gelu(x.long()),
            TypeError,
            "gelu: input must hold floating-point numbers, got int64; convert with",
        ),
        (lambda x: F.silu(x > 0), TypeError, "silu: input must hold floating-point numbers, got bool"),
        (lambda x: F.hardtanh(x, 1.0, 0.0), ValueError, "hardtanh: min_val must not exceed max_val, got 1.0 and 0.0"),
        (lambda x: F.leaky_relu(x, "a"), TypeError, "leaky_relu: negative_slope must be a number, got 'a'"),
        (lambda x: F.elu(x, None), TypeError, "elu: alpha must be a number, got None"),
        (lambda x: F.softplus(x, beta=0), ValueError, "softplus: beta must not be 0"),
        (lambda x: F.relu("x"), TypeError, "relu: input must be a tensor.*got str"),
    ],
)
def test_invalid_arguments_raise(use, error, message):
    with pytest.raises(error, match=message):
        use(lucid.ones(2, 3))


@pytest.mark.parametrize("dtype", [lucid.float32, lucid.float16, lucid.bfloat16], ids=str)
def test_the_declared_gradient_of_gelu_agrees_with_mlx(dtype):
    def gradient(gelu):
        x = lucid.linspace(-4, 4, 101).to(dtype).requires_grad_()
        gelu(x).backward(lucid.linspace(1, 2, 101).to(dtype))
        return x.grad

    own = gradient(F.gelu)
    assert own.dtype == dtype
    assert lucid.equal(own, gradient(lambda x: tape.apply(F.gelu.__wrapped__, (x,), {}, "gelu")))
