"""SparseAdam is Adam for rows with a gradient, and leaves the others alone."""

import numpy as np
import pytest

import lucid
from lucid import nn, optim


def run(make, rows_of_step, shape=(5, 3)):
    parameter = nn.Parameter(lucid.tensor(np.linspace(-1, 1, int(np.prod(shape)), dtype=np.float32).reshape(shape)))
    optimizer = make([parameter])
    for step, rows in enumerate(rows_of_step):
        gradient = np.zeros(shape, np.float32)
        gradient[rows] = np.cos(step + np.arange(gradient[rows].size)).reshape(gradient[rows].shape)
        parameter.grad = lucid.tensor(gradient)
        optimizer.step()
    return parameter.detach().numpy(), optimizer.state[parameter]


def expected(rows_of_step, shape=(5, 3), lr=0.1, betas=(0.9, 0.99), eps=1e-8):
    """The formula in float64: the step counts for all rows, as in PyTorch."""
    p = np.linspace(-1, 1, int(np.prod(shape)), dtype=np.float32).reshape(shape).astype(np.float64)
    mean, square = np.zeros(shape), np.zeros(shape)
    for step, rows in enumerate(rows_of_step):
        count = step + 1
        g = np.cos(step + np.arange(p[rows].size)).reshape(p[rows].shape)
        mean[rows] += (1 - betas[0]) * (g - mean[rows])
        square[rows] += (1 - betas[1]) * (g * g - square[rows])
        rate = lr * np.sqrt(1 - betas[1] ** count) / (1 - betas[0] ** count)
        p[rows] -= rate * mean[rows] / (np.sqrt(square[rows]) + eps)
    return p, mean


@pytest.mark.parametrize("shape", [(5, 3), (5,)])
def test_only_rows_with_a_gradient_move(shape):
    steps = [[0, 2], [2], [0, 1, 4], [2]]
    found, state = run(lambda p: optim.SparseAdam(p, lr=0.1, betas=(0.9, 0.99)), steps, shape)
    want, mean = expected(steps, shape)
    np.testing.assert_allclose(found, want, atol=2e-6)
    np.testing.assert_allclose(state["exp_avg"].numpy(), mean, atol=1e-6)
    start = np.linspace(-1, 1, int(np.prod(shape)), dtype=np.float32).reshape(shape)
    np.testing.assert_array_equal(found[3], start[3])


def test_is_adam_where_every_row_has_a_gradient():
    steps = [[0, 1, 2, 3, 4]] * 6
    ours, _ = run(lambda p: optim.SparseAdam(p, lr=0.05, eps=1e-8), steps)
    adam, _ = run(lambda p: optim.Adam(p, lr=0.05, eps=1e-8), steps)
    np.testing.assert_allclose(ours, adam, atol=2e-5)  # eps is not corrected for bias, which shows at small gradients


@pytest.mark.parametrize("options", [{"lr": 0.0}, {"eps": 0.0}, {"betas": (1.0, 0.9)}])
def test_errors(options):
    with pytest.raises(ValueError, match="SparseAdam: "):
        optim.SparseAdam([nn.Parameter(lucid.ones(2))], **options)
