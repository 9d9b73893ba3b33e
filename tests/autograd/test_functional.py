"""Jacobians where the functions of ``lucid.autograd.functional`` and ``lucid.func`` meet no dimensions."""

import pytest

import lucid


@pytest.mark.parametrize("jacobian", [
    lambda f, x: lucid.autograd.functional.jacobian(f, x),
    lambda f, x: lucid.autograd.functional.jacobian(f, x, vectorize=True),
    lambda f, x: lucid.func.jacrev(f)(x),
    lambda f, x: lucid.func.jacfwd(f)(x),
])  # fmt: skip
def test_the_jacobian_of_a_scalar_is_a_scalar(jacobian):
    found = jacobian(lambda x: x**3, lucid.tensor(2.0))
    assert found.shape == ()
    assert found.item() == 12
