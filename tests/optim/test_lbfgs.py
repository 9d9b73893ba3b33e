"""L-BFGS against PyTorch's iterations on a chain of Rosenbrock functions in float64, and its edges."""

import copy
import re

import numpy as np
import pytest

import lucid
from lucid import nn, optim

# Options; after each step the loss before it, the number of evaluations so far and the parameters. By PyTorch 2.13.
ROSENBROCK = [
    (
        {},
        [
            (1485.0, 20, [-0.9217024, 0.8576655, 0.7413457, 0.5531869]),
            (3.791315256558594, 40, [-0.7756829, 0.6131125, 0.3820805, 0.1459887]),
            (3.701428644991202, 43, [-0.7756546, 0.6130861, 0.3820539, 0.1459655]),
        ],
    ),
    (
        {"lr": 0.01, "max_iter": 4},
        [
            (1485.0, 4, [-1.4942315, 1.9750201, 0.3130432, 1.0961302]),
            (1401.0435320885615, 8, [-1.4833431, 1.9515055, 0.3440315, 1.0874966]),
            (1307.7824842524835, 12, [-1.4714878, 1.9289308, 0.3994988, 1.0763263]),
        ],
    ),
    (
        {"line_search_fn": "strong_wolfe"},
        [
            (1485.0, 23, [-0.868751, 0.7653957, 0.5933628, 0.345033]),
            (3.734641214359983, 41, [-0.7756562, 0.6130897, 0.3820587, 0.1459687]),
            (3.701428610545359, 42, [-0.7756562, 0.6130897, 0.3820587, 0.1459687]),
        ],
    ),
    (
        {"line_search_fn": "strong_wolfe", "history_size": 2, "max_iter": 5, "lr": 0.7},
        [
            (1485.0, 6, [-1.0429149, 1.0328054, 0.9654065, 0.8918062]),
            (5.6642100050841035, 12, [-0.9831281, 0.9760681, 0.9573267, 0.9185543]),
            (3.9468325885400284, 18, [-0.9683864, 0.9563403, 0.9240705, 0.8547903]),
        ],
    ),
    (
        {"line_search_fn": "strong_wolfe", "max_eval": 4, "lr": 30.0},
        [
            (1485.0, 5, [-1.4111267, 0.3303283, 0.7945944, 0.984178]),
            (341.61431617404196, 9, [1.0495843, 0.9272966, 0.8788494, 0.7673335]),
            (3.100066104228858, 14, [0.9529774, 0.9451962, 0.8821764, 0.7666239]),
        ],
    ),
]


class Problem:
    """The chain of Rosenbrock functions over one or two parameters, and a count of its evaluations."""

    def __init__(self, start=(-1.5, 2.0, 0.3, 1.1), dtype=lucid.float64, parts=1):
        array = np.array(start).reshape(parts, -1)
        self.params = [lucid.tensor(row, dtype=dtype).requires_grad_() for row in array]
        self.calls = 0

    def closure(self, optimizer):
        def loss():
            self.calls += 1
            optimizer.zero_grad()
            x = lucid.cat(self.params)
            value = (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()
            value.backward()
            return value

        return loss

    def values(self):
        return np.concatenate([p.detach().numpy() for p in self.params])


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize(("options", "steps"), ROSENBROCK)
def test_iterations_agree_with_pytorch(options, steps, parts):
    problem = Problem(parts=parts)
    optimizer = optim.LBFGS(problem.params, **options)
    for loss, calls, values in steps:
        found = optimizer.step(problem.closure(optimizer))
        assert found.item() == pytest.approx(loss, rel=1e-9)
        assert problem.calls == calls
        np.testing.assert_allclose(problem.values(), values, atol=2e-6)


def test_finds_the_minimum_in_float32():
    problem = Problem((-1.2, 1.0), lucid.float32)
    optimizer = optim.LBFGS(problem.params, line_search_fn="strong_wolfe", max_iter=60)
    for _ in range(3):
        optimizer.step(problem.closure(optimizer))
    np.testing.assert_allclose(problem.values(), [1, 1], atol=1e-3)


def test_a_saved_state_goes_on_as_if_nothing_had_happened():
    options = {"line_search_fn": "strong_wolfe", "max_iter": 3}
    problem = Problem()
    optimizer = optim.LBFGS(problem.params, **options)
    optimizer.step(problem.closure(optimizer))
    again = Problem(problem.values())
    other = optim.LBFGS(again.params, **options)
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for one, run in ((problem, optimizer), (again, other)):
        run.step(one.closure(run))
        run.step(one.closure(run))
    np.testing.assert_array_equal(problem.values(), again.values())


def test_stops_where_the_gradient_is_zero_and_takes_missing_gradients_as_zero():
    x, unused = nn.Parameter(lucid.zeros(2)), nn.Parameter(lucid.ones(3))
    optimizer = optim.LBFGS([x, unused])

    def closure():
        optimizer.zero_grad()
        loss = (x**2).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 0
    assert optimizer.state[x]["func_evals"] == 1
    x.data += 1
    optimizer.step(closure)
    np.testing.assert_allclose(x.detach().numpy(), 0, atol=1e-6)
    np.testing.assert_array_equal(unused.detach().numpy(), 1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda p: optim.LBFGS([{"params": [p]}, {"params": [nn.Parameter(lucid.ones(1))]}]),
            "only one parameter group",
        ),
        (lambda p: optim.LBFGS([p], lr=-1.0), "lr must be at least 0"),
        (lambda p: optim.LBFGS([p], max_iter=0), "max_iter must be"),
        (lambda p: optim.LBFGS([p], line_search_fn="armijo"), "must be 'strong_wolfe' or None, got 'armijo'"),
        (lambda p: optim.LBFGS([p]).step(), "needs a closure"),
    ],
)
def test_errors(make, message):
    with pytest.raises((ValueError, TypeError), match=re.escape(message)):
        make(nn.Parameter(lucid.ones(1)))
