"""Norms share gradients at ties, and reject invalid arguments."""

import numpy as np
import pytest

import lucid


def test_the_gradient_of_a_2_norm_at_0_is_0():
    x = lucid.zeros(3, 2, requires_grad=True)
    (lucid.linalg.norm(x) + lucid.linalg.vector_norm(x, dim=1).sum() + lucid.linalg.matrix_norm(x)).backward()
    assert x.grad.tolist() == [[0, 0]] * 3


@pytest.mark.parametrize("order", [2, -2])
@pytest.mark.parametrize("factor", [0.0, 3.0])
def test_equal_singular_values_share_the_gradient(order, factor):
    x = (factor * lucid.eye(3)).requires_grad_()
    lucid.linalg.norm(x, order).backward()
    np.testing.assert_allclose(x.grad.numpy(), np.eye(3) / 3, rtol=1e-6)


@pytest.mark.parametrize("order", ["nuc", 2, -2])
def test_singular_values_agree_with_numpy(order):
    values = np.random.default_rng(0).normal(size=(4, 5, 3)).astype(np.float32)
    expected = np.linalg.norm(values.astype(np.float64), order, axis=(1, 2))
    np.testing.assert_allclose(lucid.linalg.matrix_norm(lucid.tensor(values), order).numpy(), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (lambda n, x: n.vector_norm(x, "fro"), TypeError, "vector_norm: ord must be a number, got 'fro'"),
        (lambda n, x: n.vector_norm(x, True), TypeError, "vector_norm: ord must be a number, got True"),
        (lambda n, x: n.vector_norm(x, dim=2), IndexError, r"vector_norm: dim must be in \[-2, 1\]"),
        (
            lambda n, x: n.vector_norm(lucid.arange(3)),
            TypeError,
            "vector_norm: input must hold floating-point numbers, got int64",
        ),
        (
            lambda n, x: n.vector_norm(lucid.zeros(0), float("inf")),
            ValueError,
            "vector_norm: cannot reduce an empty dimension",
        ),
        (
            lambda n, x: n.matrix_norm(x, 3),
            ValueError,
            "matrix_norm: ord must be 'fro', 'nuc', 1, -1, 2, -2, inf or -inf for matrices, got 3",
        ),
        (
            lambda n, x: n.matrix_norm(lucid.ones(3)),
            ValueError,
            r"matrix_norm: dim must name two dimensions, got \(-2, -1\) for shape \(3,\)",
        ),
        (lambda n, x: n.matrix_norm(x, dim=1), ValueError, "matrix_norm: dim must name two dimensions, got 1"),
        (lambda n, x: n.matrix_norm(x, dim=(1, 1)), ValueError, "matrix_norm: dim contains a dimension twice"),
        (
            lambda n, x: n.matrix_norm(lucid.zeros(0, 3), -2),
            ValueError,
            r"matrix_norm: cannot reduce an empty dimension of shape \(0, 3\)",
        ),
        (
            lambda n, x: n.matrix_norm(lucid.zeros(3, 0), -1),
            ValueError,
            r"matrix_norm: cannot reduce an empty dimension of shape \(3, 0\)",
        ),
        (
            lambda n, x: n.norm(lucid.ones(1, 2, 3), 2),
            ValueError,
            r"norm: dim is required with ord unless the input has 1 or 2 dimensions",
        ),
        (lambda n, x: n.norm(x, "fro", 0), TypeError, "norm: ord must be a number, got 'fro'"),
        (lambda n, x: n.norm("x"), TypeError, "norm: input must be a tensor"),
    ],
)
def test_invalid_arguments_raise(use, error, message):
    with pytest.raises(error, match=message):
        use(lucid.linalg, lucid.ones(2, 3))
