import numpy as np
import pytest

import lucid
from lucid.optim import Lion


@pytest.mark.parametrize("shape", [(), (1,), (7,), (4, 3, 3, 3)])
@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
def test_lion_follows_the_paper(shape, weight_decay):
    """Against algorithm 2 of arXiv:2302.06675 in float64."""
    rng = np.random.default_rng(5)
    theta = rng.standard_normal(shape)
    p = lucid.tensor(theta.astype(np.float32), requires_grad=True)
    theta, momentum = np.asarray(p.tolist(), dtype=np.float64), np.zeros(shape)
    beta1, beta2, lr = 0.9, 0.97, 0.01
    optimizer = Lion([p], lr, (beta1, beta2), weight_decay)
    for _ in range(50):
        gradient = np.asarray(rng.standard_normal(shape), dtype=np.float32)
        direction = np.sign(beta1 * momentum + (1 - beta1) * gradient)
        theta = theta - lr * (direction + weight_decay * theta)
        momentum = beta2 * momentum + (1 - beta2) * gradient
        p.grad = lucid.tensor(gradient)
        optimizer.step()
    np.testing.assert_allclose(p.detach().numpy(), theta, rtol=1e-5, atol=2e-6)
    np.testing.assert_allclose(optimizer.state[p]["exp_avg"].numpy(), momentum, rtol=1e-5, atol=2e-6)


def test_defaults_are_the_authors():
    options = Lion([lucid.zeros(2).requires_grad_()]).param_groups[0]
    assert (options["lr"], options["betas"], options["weight_decay"]) == (1e-4, (0.9, 0.99), 0.0)


def test_elements_with_zero_gradients_do_not_change():
    p = lucid.tensor([1.0, 1.0, 1.0], requires_grad=True)
    p.grad = lucid.tensor([0.0, 5.0, -1e-20])
    Lion([p], lr=0.25).step()
    assert p.tolist() == [1.0, 0.75, 1.25]
