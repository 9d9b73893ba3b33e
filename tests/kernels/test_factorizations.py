"""Factorizations of arrays: what they are factors of, for real and complex matrices."""

import mlx.core as mx
import numpy as np
import pytest

from lucid.kernels import factorizations as f

SHAPES = [(1, 1), (3, 3), (4, 3), (2, 3, 5)]


def random(shape, dtype):
    rng = np.random.default_rng(0)
    values = rng.normal(size=shape) + (1j * rng.normal(size=shape) if dtype == mx.complex64 else 0)
    return mx.array(values.astype(np.complex64 if dtype == mx.complex64 else np.float32)).astype(dtype)


def close(got, wanted):
    np.testing.assert_allclose(np.array(got), np.array(wanted), atol=1e-5)


@pytest.mark.parametrize("dtype", [mx.float32, mx.complex64], ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_factors_multiply_to_the_matrix(shape, dtype):
    a = random(shape, dtype)
    packed, rows, pivots = f.lu(a)
    lower, upper = f.lu_parts(packed)
    close(lower @ upper, f.take_rows(a, rows))
    close(f.rows_of_pivots(pivots, shape[-2]), rows)
    q, r = f.qr(a)
    close(q @ r, a)
    packed, factors = f.householder(a)
    close(
        f.reflected(packed, factors, mx.broadcast_to(mx.eye(shape[-2]), (*shape[:-1], shape[-2]))) @ mx.triu(packed), a
    )
    square = a @ f.adjoint(a) + mx.eye(shape[-2])
    factor = f.cholesky(square)
    close(factor @ f.adjoint(factor), square)
    close(f.solve(square, a), f.inv(square) @ a)


def test_failures_are_nan():
    close(f.inv(mx.zeros((2, 2))), np.full((2, 2), np.nan))
    close(f.solve(mx.zeros((1, 1)), mx.ones((1, 1))), [[np.nan]])
    close(f.cholesky(mx.array([[1.0, 2.0], [2.0, 1.0]])), np.full((2, 2), np.nan))
    close(f.triangular(True, False)(mx.zeros((2, 2)), mx.ones((2, 1))), np.full((2, 1), np.nan))
