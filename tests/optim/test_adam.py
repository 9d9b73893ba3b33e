import numpy as np
import pytest

import lucid
from lucid.optim import Adam, AdamW


@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.99, 0.99999), (0.0, 0.5)])
def test_the_first_step_has_size_lr(betas):
    """1 - beta**t is small at first; computed in float32 it would be off by up to a percent."""
    p = lucid.zeros(3).requires_grad_()
    p.grad = lucid.tensor([1e-3, -2.0, 500.0])
    Adam([p], lr=0.125, betas=betas, eps=0.0).step()
    np.testing.assert_allclose(p.detach().numpy(), [-0.125, 0.125, -0.125], rtol=2e-6)


def test_adamw_decays_parameters_with_zero_gradients():
    p = lucid.tensor([8.0], requires_grad=True)
    p.grad = lucid.zeros(1)
    optimizer = AdamW([p], lr=0.5, weight_decay=0.5)
    optimizer.step()
    assert p.tolist() == [6.0]
    assert optimizer.param_groups[0]["decoupled_weight_decay"] is True


def test_amsgrad_can_be_enabled_later():
    p = lucid.zeros(2).requires_grad_()
    optimizer = Adam([p], lr=0.1)
    for amsgrad in (False, True):
        optimizer.param_groups[0]["amsgrad"] = amsgrad
        p.grad = lucid.tensor([1.0, 2.0])
        optimizer.step()
    state = optimizer.state[p]
    assert state["max_exp_avg_sq"].tolist() == state["exp_avg_sq"].tolist()
