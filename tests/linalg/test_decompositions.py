"""Errors of linear algebra: what has no inverse or factorization says so, and never fails at evaluation."""

import numpy as np
import pytest

import lucid
from lucid.linalg import LinAlgError

SINGULAR = [[1.0, 2.0], [2.0, 4.0]]
INDEFINITE = [[1.0, 2.0], [2.0, 1.0]]


def batch(matrix):
    return lucid.tensor([np.eye(2).tolist(), matrix])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: lucid.linalg.inv(x), "inv: matrix 1 of the batch is singular"),
        (lambda x: lucid.linalg.solve(x, lucid.ones(2, 1)), "solve: matrix 1 of the batch is singular"),
        (lambda x: lucid.linalg.inv_ex(x, check_errors=True), "inv_ex: matrix 1 of the batch is singular"),
        (lambda x: lucid.linalg.matrix_power(x, -1), "matrix_power: matrix 1 of the batch is singular"),
        (lambda x: lucid.linalg.lu_factor(x), "lu_factor: matrix 1 of the batch is singular"),
        (lambda x: lucid.linalg.tensorinv(x[1], ind=1), "tensorinv: the matrix is singular"),
    ],
)
def test_singular_matrices_raise(call, message, on_cpu):
    with pytest.raises(LinAlgError, match=message):
        call(batch(SINGULAR))


def test_indefinite_matrices_raise(on_cpu):
    with pytest.raises(LinAlgError, match="cholesky: matrix 1 of the batch is not positive definite"):
        lucid.linalg.cholesky(batch(INDEFINITE))
    factor, info = lucid.linalg.cholesky_ex(batch(INDEFINITE))
    assert info.tolist() == [0, 2]
    assert lucid.isnan(factor).any().item()


@pytest.mark.parametrize("name", ["eigvalsh", "eigvals", "svdvals", "eigh", "svd"])
def test_values_that_are_not_finite_raise(name, on_cpu):
    with pytest.raises(LinAlgError, match=f"{name}: matrix 1 of the batch holds NaN or infinite values"):
        getattr(lucid.linalg, name)(batch([[float("nan"), 1.0], [1.0, 1.0]]))


def test_compiled_functions_give_nan():
    found = lucid.compile(lambda x: lucid.linalg.inv(x))(batch(SINGULAR))
    assert lucid.isnan(found).any(-1).any(-1).tolist() == [False, True]


def test_a_right_side_with_nan_is_no_singular_matrix():
    found = lucid.linalg.solve(lucid.eye(2), lucid.tensor([[float("nan")], [1.0]]))
    assert np.isnan(found.numpy()).tolist() == [[True], [False]] or np.isnan(found.numpy()).all()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda x: lucid.linalg.inv(x),
            ValueError,
            r"inv: input must hold square matrices \(..., n, n\), got \(2, 3\)",
        ),
        (lambda x: lucid.linalg.inv(x[0]), ValueError, "inv: input must have at least 2 dimensions"),
        (
            lambda x: lucid.linalg.inv(x.half()),
            TypeError,
            "inv: input must be float32, float64 or complex64, got float16",
        ),
        (lambda x: lucid.linalg.qr(x, "full"), ValueError, "qr: mode must be 'reduced', 'complete' or 'r', got 'full'"),
        (lambda x: lucid.linalg.eigh(x @ x.mT, "X"), ValueError, "eigh: UPLO must be 'L' or 'U', got 'X'"),
        (lambda x: lucid.linalg.solve(x @ x.mT, x.mT), ValueError, "solve: shapes .* do not fit"),
        (lambda x: lucid.linalg.lu(x, pivot=False), ValueError, "lu: pivot=False is not supported"),
        (lambda x: lucid.linalg.svd(x, driver="gesvd"), ValueError, "svd: driver chooses a routine of CUDA"),
        (lambda x: lucid.linalg.multi_dot([x]), ValueError, "multi_dot: expected at least 2 tensors, got 1"),
        (lambda x: lucid.linalg.cross(x, x[:, :2]), ValueError, "cross: dim 1 must have size 3"),
    ],
)
def test_invalid_arguments_raise(call, error, message):
    with pytest.raises(error, match=message):
        call(lucid.ones(2, 3))


@pytest.mark.parametrize("name", ["inv", "det", "cholesky", "eigvalsh", "svdvals", "matrix_rank", "qr", "lu", "pinv"])
@pytest.mark.parametrize("shape", [(0, 0), (2, 0, 0), (0, 3, 3)])
def test_empty_matrices(name, shape):
    found = getattr(lucid.linalg, name)(lucid.zeros(*shape))
    for one in found if isinstance(found, tuple) else [found]:
        one.numpy()


def test_the_gradient_of_the_determinant_of_a_singular_matrix_is_that_of_its_cofactors():
    x = lucid.tensor([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [1.0, 0.0, 1.0]], requires_grad=True)
    lucid.linalg.det(x).backward()
    np.testing.assert_allclose(x.grad.numpy(), [[4, 4, -4], [-2, -2, 2], [0, 0, 0]], atol=1e-4)


@pytest.mark.parametrize("name", ["inv", "det", "cholesky"])
def test_complex_matrices_agree_with_numpy(name):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(2, 4, 4)) + 1j * rng.normal(size=(2, 4, 4))
    values = values @ values.conj().swapaxes(-1, -2) + np.eye(4)
    found = getattr(lucid.linalg, name)(lucid.tensor(values.astype(np.complex64)))
    np.testing.assert_allclose(found.numpy(), getattr(np.linalg, name)(values), rtol=1e-4, atol=1e-4)


def test_a_tensor_without_dimensions_has_an_inverse():
    assert lucid.linalg.tensorinv(lucid.tensor(2.0), ind=1).item() == 0.5
