"""Averaged models against their formulas; the schedule is compared with PyTorch in tests/conformance."""

import numpy as np
import pytest

import lucid
from lucid import nn, optim
from lucid.optim.swa_utils import (
    SWALR,
    AveragedModel,
    get_ema_avg_fn,
    get_ema_multi_avg_fn,
    get_swa_avg_fn,
    get_swa_multi_avg_fn,
    update_bn,
)


def models(count=5):
    """The same model with other weights and statistics each time."""
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    for number in range(count):
        for place, tensor in enumerate([*model.parameters(), *model.buffers()]):
            if tensor.is_floating_point():
                tensor.data = lucid.tensor(np.sin(number + place + np.arange(tensor.numel())).reshape(tensor.shape))
        model.to(lucid.float32)
        yield number, model


def values(module):
    return {name: one.numpy().astype(np.float64) for name, one in module.state_dict().items()}


def mean(history):
    return np.mean(history, axis=0)


def ema(history):
    found = history[0]
    for one in history[1:]:
        found = 0.7 * found + 0.3 * one
    return found


@pytest.mark.parametrize(
    ("options", "formula"),
    [
        ({}, mean),
        ({"avg_fn": get_swa_avg_fn()}, mean),
        ({"multi_avg_fn": get_swa_multi_avg_fn()}, mean),
        ({"avg_fn": get_ema_avg_fn(0.7)}, ema),
        ({"multi_avg_fn": get_ema_multi_avg_fn(0.7)}, ema),
    ],
)
@pytest.mark.parametrize("use_buffers", [False, True])
def test_averages(options, formula, use_buffers):
    averaged, history = None, []
    for _, model in models():
        averaged = averaged or AveragedModel(model, use_buffers=use_buffers, **options)
        averaged.update_parameters(model)
        history.append(values(model))
    assert averaged.n_averaged.item() == 5
    own = values(averaged.module)
    for name in history[0]:
        is_averaged = use_buffers or "running" not in name
        if "num_batches" not in name:
            want = formula([one[name] for one in history]) if is_averaged else history[-1][name]
            np.testing.assert_allclose(own[name], want, atol=1e-6, err_msg=name)


def test_is_a_model_of_its_own_that_saves_its_count():
    _, model = next(models())
    averaged = AveragedModel(model)
    averaged.update_parameters(model)
    model[0].weight.data += 1
    x = lucid.ones(2, 3)
    assert not np.allclose(averaged.eval()(x).detach().numpy(), model.eval()(x).detach().numpy())
    state = averaged.state_dict()
    assert {"n_averaged", "module.0.weight", "module.1.running_mean"} <= set(state)
    other = AveragedModel(model)
    other.load_state_dict(state)
    assert other.n_averaged.item() == 1
    np.testing.assert_array_equal(other(x).detach().numpy(), averaged(x).detach().numpy())


def test_update_bn_is_the_mean_over_the_batches():
    model = nn.Sequential(nn.BatchNorm1d(3, momentum=0.3)).eval()
    batches = [np.random.default_rng(i).normal(i, 1 + i, (8, 3)).astype(np.float32) for i in range(4)]
    update_bn([(lucid.tensor(one), None) for one in batches], model)
    np.testing.assert_allclose(model[0].running_mean.numpy(), mean([one.mean(0) for one in batches]), rtol=1e-5)
    np.testing.assert_allclose(model[0].running_var.numpy(), mean([one.var(0, ddof=1) for one in batches]), rtol=1e-5)
    assert model[0].momentum == 0.3 and not model.training
    update_bn(iter(()), nn.Linear(2, 2))  # nothing to do


def test_update_bn_restores_the_momenta_after_an_error():
    model = nn.Sequential(nn.BatchNorm1d(3, momentum=0.3))
    with pytest.raises(ValueError):
        update_bn([lucid.ones(2, 4)], model)
    assert model[0].momentum == 0.3


def test_a_schedule_goes_on_from_the_current_rate_to_the_constant():
    optimizer = optim.SGD([nn.Parameter(lucid.ones(1))], lr=0.4)
    schedule = SWALR(optimizer, 0.1, anneal_epochs=3, anneal_strategy="linear")
    found = []
    for _ in range(5):
        optimizer.step()
        schedule.step()
        found += schedule.get_last_lr()
    np.testing.assert_allclose(found, [0.3, 0.2, 0.1, 0.1, 0.1])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: AveragedModel(3), TypeError, "model must be a module, got int"),
        (
            lambda: AveragedModel(nn.Linear(1, 1), avg_fn=get_swa_avg_fn(), multi_avg_fn=get_swa_multi_avg_fn()),
            ValueError,
            "not both",
        ),
        (lambda: get_ema_avg_fn(1.5), ValueError, "decay must be"),
        (lambda: SWALR(optim.SGD([nn.Parameter(lucid.ones(1))]), 0.1, 2, "exp"), ValueError, "anneal_strategy"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()
