"""Approximate factorizations are exact for matrices of low rank."""

import numpy as np
import pytest

import lucid


@pytest.mark.parametrize("shape", [(7, 4), (4, 7), (2, 5, 5)])
def test_matrices_of_low_rank(shape):
    *batch, m, n = shape
    a = lucid.randn(*batch, m, 2) @ lucid.randn(2, n)
    u, s, v = lucid.svd_lowrank(a, q=3)
    assert (u.shape, s.shape, v.shape) == ((*batch, m, 3), (*batch, 3), (*batch, n, 3))
    np.testing.assert_allclose((u * s[..., None, :] @ v.mT).numpy(), a.numpy(), atol=1e-4)
    u, s, v = lucid.pca_lowrank(a, q=3)
    centered = a - a.mean(-2, keepdim=True)
    np.testing.assert_allclose((u * s[..., None, :] @ v.mT).numpy(), centered.numpy(), atol=1e-4)


def test_wrong_arguments_raise():
    with pytest.raises(ValueError, match="pca_lowrank: q must be at most 3"):
        lucid.pca_lowrank(lucid.ones(3, 4), 5)
    with pytest.raises(ValueError, match="pca_lowrank: A must be a tensor of matrices"):
        lucid.pca_lowrank(lucid.ones(3))
    with pytest.raises(AttributeError, match="has no attribute 'lobpcg': it is for sparse matrices"):
        lucid.lobpcg  # noqa: B018
