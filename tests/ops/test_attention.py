"""Attention agrees with PyTorch, with the formula, and rejects invalid arguments."""

import numpy as np
import pytest

import lucid
from lucid.nn import functional as F
from lucid.nn.attention import SDPBackend, sdpa_kernel
from tests.checking import check, recorded


@pytest.mark.parametrize(("case", "record"), recorded("ops_attention"))
def test_agrees_with_pytorch(case, record):
    check(case, record)


@pytest.mark.parametrize(("case", "record"), recorded("ops_attention"))
def test_the_formula_agrees_with_pytorch(case, record):
    with sdpa_kernel(SDPBackend.MATH):
        check(case, record)


X = lucid.randn(2, 3, 4, 8)


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda: F.scaled_dot_product_attention(X, X, X, lucid.ones(4, 4), is_causal=True), "not both"),
        (lambda: F.scaled_dot_product_attention(X, X[..., :4], X), "same last size"),
        (lambda: F.scaled_dot_product_attention(X, X, X[:, :, :2]), "same length in dim -2"),
        (
            lambda: F.scaled_dot_product_attention(X, X, X.half()),
            "must have the same dtype",
        ),
        (lambda: F.scaled_dot_product_attention(X, X, X, lucid.ones(4, 4).long()), "attn_mask must hold bools or have"),
        (lambda: F.scaled_dot_product_attention(X, X, X, lucid.ones(3, 4)), "cannot be broadcast"),
        (lambda: F.scaled_dot_product_attention(X, X[:, :2], X[:, :2], enable_gqa=True), "must be a multiple of"),
        (lambda: F.scaled_dot_product_attention(X, X[:, :2], X[:, :2]), "cannot be broadcast"),
    ],
)
def test_wrong_arguments_are_named(use, message):
    with pytest.raises(RuntimeError, match=message):
        use()


def test_dropout_zeroes_weights_and_keeps_the_mean():
    lucid.manual_seed(0)
    q, v = lucid.zeros(1, 64, 500), lucid.eye(500).reshape(1, 500, 500)
    weights = F.scaled_dot_product_attention(q, lucid.zeros(1, 500, 500), v, dropout_p=0.25).numpy()
    assert set(np.unique((weights * 500 * 0.75).round(3))) == {0, 1}
    assert (weights == 0).mean() == pytest.approx(0.25, abs=0.02)
    assert F.scaled_dot_product_attention(X, X, X, dropout_p=1.0).abs().max().item() == 0


def test_sdpa_kernel_accepts_lists_and_is_undone():
    with sdpa_kernel([SDPBackend.FLASH_ATTENTION, SDPBackend.MATH], set_priority=True):
        pass
    with pytest.raises(ValueError, match="backends must not be empty"), sdpa_kernel([]):
        pass
    with pytest.raises(TypeError, match="backends must be an SDPBackend"), sdpa_kernel("math"):
        pass


def test_compiles():
    compiled = lucid.compile(lambda x: F.scaled_dot_product_attention(x, x, x, is_causal=True))
    np.testing.assert_allclose(
        compiled(X).numpy(), F.scaled_dot_product_attention(X, X, X, is_causal=True).numpy(), rtol=1e-4, atol=1e-6
    )
