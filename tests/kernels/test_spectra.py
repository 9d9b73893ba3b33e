"""Eigenvalues and singular values of arrays: what they are factors of, for real and complex matrices."""

import mlx.core as mx
import numpy as np
import pytest

from lucid.kernels import spectra
from lucid.kernels.factorizations import adjoint, embedded_diagonal
from tests.kernels.test_factorizations import SHAPES, close, random

DTYPES = [mx.float32, mx.complex64]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("full", [False, True])
def test_singular_vectors(shape, dtype, full):
    a = random(shape, dtype)
    u, s, vh = spectra.svd(full)(a)
    k = s.shape[-1]
    close((u[..., :k] * s[..., None, :]) @ vh[..., :k, :], a)
    close(adjoint(u) @ u, mx.broadcast_to(mx.eye(u.shape[-1]), (*shape[:-2], u.shape[-1], u.shape[-1])))
    close(spectra.singular_values(a), s)
    inverse = spectra.pinv(False)(a, mx.zeros(shape[:-2]))
    close(a @ inverse @ a, a)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (2, 4, 4)], ids=str)
def test_eigenvectors(shape, dtype):
    a = random(shape, dtype)
    values, vectors = spectra.eig(a)
    close(a.astype(mx.complex64) @ vectors, vectors @ embedded_diagonal(values))
    hermitian = a + adjoint(a)
    for triangle, cut in (("L", mx.tril), ("U", mx.triu)):
        values, vectors = spectra.eigh(triangle)(cut(hermitian))
        close(hermitian @ vectors, vectors * values[..., None, :])


def test_values_that_are_not_finite_give_nan():
    a = mx.array([[np.nan, 1.0], [1.0, 1.0]])
    assert np.isnan(np.array(spectra.singular_values(a))).all()
    assert np.isnan(np.array(spectra.eigh("L")(a)[0])).all()
