"""Schedulers beyond the comparison with PyTorch: protocol, state, errors."""

import functools
import json
import math
import warnings

import pytest

import lucid
from lucid.optim import SGD, Adagrad, AdamW
from lucid.optim import lr_scheduler as s


def optimizer(kind=SGD, groups=1, **options):
    return kind([{"params": [lucid.zeros(1).requires_grad_()]} for _ in range(groups)], **{"lr": 0.5, **options})


def test_the_constructor_sets_the_first_learning_rates():
    one = optimizer()
    scheduler = s.LinearLR(one, 0.1, total_iters=4)
    assert one.param_groups[0]["lr"] == scheduler.get_last_lr()[0] == pytest.approx(0.05)
    assert one.param_groups[0].lr_tensor.item() == pytest.approx(0.05)
    assert (one.param_groups[0]["initial_lr"], scheduler.last_epoch, scheduler.base_lrs) == (0.5, 0, [0.5])
    assert repr(scheduler) == "LinearLR(start_factor=0.1, end_factor=1.0, total_iters=4, last_epoch=0, lr=[0.05])"


def test_the_repr_of_composed_schedulers_names_them():
    one = optimizer()
    scheduler = s.SequentialLR(one, [s.LinearLR(one, 0.1), s.CosineAnnealingLR(one, 5)], [3])
    assert repr(scheduler) == "SequentialLR([LinearLR, CosineAnnealingLR], milestones=[3], last_epoch=0, lr=[0.05])"
    assert repr(s.ChainedScheduler([s.StepLR(one, 2)])).startswith("ChainedScheduler([StepLR], last_epoch=0")


def test_a_schedule_updates_a_tensor_learning_rate():
    lr = lucid.tensor(0.5)
    one = optimizer(lr=lr)
    scheduler = s.ExponentialLR(one, 0.5)
    one.step()
    scheduler.step()
    assert one.param_groups[0]["lr"] is lr and lr.item() == 0.25 and scheduler.get_last_lr() == [0.25]
    assert one.param_groups[0]["initial_lr"] == 0.5


@pytest.mark.parametrize(
    "make", [lambda one: s.StepLR(one, 1, 0.5), lambda one: s.ReduceLROnPlateau(one, factor=0.5, patience=0)]
)
def test_groups_that_share_a_tensor_are_scheduled_once(make):
    lr = lucid.tensor(0.5)
    one = optimizer(groups=2, lr=lr)
    scheduler = make(one)
    arguments = (math.nan,) if isinstance(scheduler, s.ReduceLROnPlateau) else ()
    one.step()
    scheduler.step(*arguments)
    assert lr.item() == 0.25 and scheduler.get_last_lr() == [0.25, 0.25]
    one.add_param_group({"params": lucid.zeros(2).requires_grad_()})
    with pytest.raises(
        ValueError, match="the schedule started with 2 groups, but the optimizer now has 3; create the scheduler"
    ):
        scheduler.step(*arguments)


def test_a_subclass_only_needs_get_lr():
    class Halving(s.LRScheduler):
        def get_lr(self):
            return [base / 2**self.last_epoch for base in self.base_lrs]

    one = optimizer(groups=2)
    scheduler = Halving(one)
    one.step()
    scheduler.step()
    assert scheduler.get_last_lr() == [0.25, 0.25]
    with pytest.raises(NotImplementedError, match="LRScheduler: define get_lr"):
        s.LRScheduler(one)


def test_stepping_before_the_optimizer_warns_once():
    one = optimizer()
    scheduler = s.StepLR(one, 3)
    with pytest.warns(UserWarning, match=r"StepLR.step\(\) was called before optimizer.step\(\)"):
        scheduler.step()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scheduler.step()
        one.step()
        scheduler.step()


def test_last_epoch_resumes_from_the_groups():
    one = optimizer()
    one.param_groups[0].update(initial_lr=0.5, lr=0.05)
    scheduler = s.StepLR(one, 10, last_epoch=14)
    assert scheduler.last_epoch == 15 and scheduler.get_last_lr() == [0.05] and scheduler.base_lrs == [0.5]
    one.step()
    for _ in range(5):
        scheduler.step()
    assert scheduler.get_last_lr() == pytest.approx([0.005])


def test_warm_restarts_accept_fractions_of_an_epoch():
    one = optimizer()
    scheduler = s.CosineAnnealingWarmRestarts(one, T_0=4, T_mult=2)
    one.step()
    for epoch, part in [
        (0.5, 0.5 / 4),
        (3.75, 3.75 / 4),
        (4, 0.0),
        (7.5, 3.5 / 8),
        (12, 0.0),
        (20.0, 8 / 16),
        (1, 0.25),
    ]:
        scheduler.step(epoch)
        assert scheduler.get_last_lr()[0] == pytest.approx(0.25 * (1 + math.cos(math.pi * part)))
        assert scheduler.last_epoch == int(epoch)


@pytest.mark.parametrize("steps", [1, 2, 10])
@pytest.mark.parametrize("pct_start", [0.0, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("three_phase", [False, True])
def test_one_cycle_with_empty_phases(steps, pct_start, three_phase):
    one = optimizer(AdamW)
    scheduler = s.OneCycleLR(one, 1.0, steps, pct_start=pct_start, three_phase=three_phase)
    one.step()
    for _ in range(steps):
        rates = scheduler.get_last_lr()
        assert 0 < rates[0] <= 1.0 and 0.85 <= one.param_groups[0]["betas"][0] <= 0.95
        scheduler.step()
    with pytest.raises(ValueError, match=f"OneCycleLR: the schedule has {steps} steps, this is step {steps + 1}"):
        scheduler.step()


def test_schedules_nest():
    """A warm-up inside a sequence inside a sequence: every scheduler starts at its milestone."""
    one = optimizer()
    inner = s.SequentialLR(one, [s.LinearLR(one, 0.5, total_iters=2), s.ExponentialLR(one, 0.5)], [2])
    chained = s.ChainedScheduler([s.ConstantLR(one, 0.5, 2), s.StepLR(one, 2, 0.1)])
    outer = s.SequentialLR(one, [s.ConstantLR(one, 0.2, 99), inner, chained], [2, 6])
    found = []
    for _ in range(9):
        found += outer.get_last_lr()
        one.step()
        outer.step()
    assert found == pytest.approx([0.1, 0.1, 0.25, 0.375, 0.5, 0.25, 0.25, 0.25, 0.05])


def test_plateau_accepts_tensors_and_nan():
    one = optimizer()
    scheduler = s.ReduceLROnPlateau(one, factor=0.5, patience=1)
    for metric in (lucid.tensor(1.0), 0.5, math.nan, lucid.tensor([math.nan])):
        one.step()
        scheduler.step(metric)
    assert scheduler.get_last_lr() == [0.25] and scheduler.best == 0.5


def test_a_state_is_a_copy():
    one = optimizer()
    scheduler = s.MultiStepLR(one, [1, 2])
    state = scheduler.state_dict()
    text = json.dumps(state)
    one.step()
    scheduler.step()
    assert json.dumps(state) == text
    scheduler.load_state_dict(state)
    state["milestones"].append(3)
    assert scheduler.milestones == [1, 2] and scheduler.last_epoch == 0


def test_an_object_as_lambda_keeps_its_attributes():
    class Decay:
        def __init__(self, power):
            self.power = power

        def __call__(self, epoch):
            return 1 / (1 + epoch) ** self.power

    one = optimizer(groups=2)
    state = s.LambdaLR(one, [Decay(2), math.cos]).state_dict()
    assert state["lr_lambdas"] == [{"power": 2}, None]
    other = s.LambdaLR(optimizer(groups=2), [Decay(1), math.cos])
    other.load_state_dict(state)
    assert other.lr_lambdas[0].power == 2 and callable(other.lr_lambdas[1])


def test_functions_are_no_part_of_a_state():
    """As in PyTorch, not even their attributes, such as the ``__wrapped__`` of a decorated function."""

    @functools.wraps(math.cos)
    def factor(epoch):
        return 1.0

    one = optimizer()
    state = s.LambdaLR(one, factor).state_dict()
    assert state["lr_lambdas"] == [None] and json.dumps(state)
    cyclic = s.CyclicLR(one, 0.01, 0.1, scale_fn=factor, cycle_momentum=False)
    assert cyclic.state_dict()["_scale_fn_custom"] is None
    cyclic.load_state_dict(cyclic.state_dict())
    assert cyclic._scale_fn_custom is factor


one = optimizer()
other = optimizer()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: s.StepLR(None, 3), TypeError, "StepLR: optimizer must be a lucid.optim.Optimizer, got NoneType"),
        (lambda: s.StepLR(one, 0), ValueError, "StepLR: step_size must be at least 1, got 0"),
        (lambda: s.StepLR(one, 3, "a"), TypeError, "StepLR: gamma must be a number, got 'a'"),
        (lambda: s.StepLR(one, 3, last_epoch=-2), ValueError, "StepLR: last_epoch must be at least -1"),
        (lambda: s.StepLR(optimizer(), 3, last_epoch=4), ValueError, "group 0 has no 'initial_lr'; load the optimizer"),
        (lambda: s.MultiStepLR(one, [1.5]), TypeError, "MultiStepLR: milestones must be an integer, got 1.5"),
        (lambda: s.ConstantLR(one, 0.0), ValueError, "ConstantLR: factor must be above 0 and at most 1, got 0"),
        (lambda: s.LinearLR(one, 0), ValueError, "LinearLR: start_factor must be above 0 and at most 1, got 0"),
        (lambda: s.LinearLR(one, 0.1, 2), ValueError, "LinearLR: end_factor must be at least 0 and at most 1, got 2"),
        (lambda: s.LinearLR(one, total_iters=0), ValueError, "LinearLR: total_iters must be at least 1, got 0"),
        (lambda: s.PolynomialLR(one, 0), ValueError, "PolynomialLR: total_iters must be at least 1"),
        (lambda: s.CosineAnnealingLR(one, 0), ValueError, "CosineAnnealingLR: T_max must be at least 1"),
        (lambda: s.CosineAnnealingWarmRestarts(one, 0), ValueError, "T_0 must be at least 1"),
        (lambda: s.CosineAnnealingWarmRestarts(one, 2, 0), ValueError, "T_mult must be at least 1"),
        (lambda: s.CosineAnnealingWarmRestarts(one, 2).step(-1), ValueError, "epoch must be at least 0, got -1"),
        (lambda: s.LambdaLR(one, 0.5), TypeError, "LambdaLR: lr_lambda must be a function of the epoch, got 0.5"),
        (
            lambda: s.LambdaLR(one, [abs, abs]),
            ValueError,
            "must be one value or a list of 1 values, one per group, got 2",
        ),
        (lambda: s.OneCycleLR(one, 0.1), ValueError, "OneCycleLR: pass total_steps, or epochs and steps_per_epoch"),
        (lambda: s.OneCycleLR(one, 0.1, 0), ValueError, "OneCycleLR: total_steps must be at least 1"),
        (lambda: s.OneCycleLR(one, 0.1, epochs=1, steps_per_epoch=0), ValueError, "steps_per_epoch must be at least 1"),
        (lambda: s.OneCycleLR(one, [0.1, 0.2], 5), ValueError, "OneCycleLR: max_lr must be one value or a list"),
        (lambda: s.OneCycleLR(one, 0.1, 5, pct_start=2), ValueError, "OneCycleLR: pct_start must be at least 0 and"),
        (
            lambda: s.OneCycleLR(one, 0.1, 5, anneal_strategy="x"),
            ValueError,
            "anneal_strategy must be 'cos' or 'linear'",
        ),
        (
            lambda: s.OneCycleLR(optimizer(Adagrad), 0.1, 5),
            ValueError,
            "Adagrad has no momentum and no betas; pass cycle",
        ),
        (lambda: s.SequentialLR(one, [], []), ValueError, "SequentialLR: schedulers is empty"),
        (lambda: s.SequentialLR(one, [3], []), TypeError, "SequentialLR: scheduler 0 must be a scheduler, got int"),
        (lambda: s.SequentialLR(one, [s.StepLR(other, 1)], []), ValueError, "scheduler 0 belongs to another optimizer"),
        (
            lambda: s.SequentialLR(one, [s.StepLR(one, 1)], [3]),
            ValueError,
            "one milestone fewer than schedulers, got 1 and 1",
        ),
        (
            lambda: s.SequentialLR(one, [s.StepLR(one, 1)] * 3, [3, 3]),
            ValueError,
            r"milestones must increase, got \[3, 3",
        ),
        (lambda: s.SequentialLR(one, [s.StepLR(one, 1)], [], 4), ValueError, r"resume with load_state_dict\(\)"),
        (lambda: s.SequentialLR(one, [s.ReduceLROnPlateau(one)], []), ValueError, "needs a metric at each step"),
        (lambda: s.ChainedScheduler([]), ValueError, "ChainedScheduler: schedulers is empty"),
        (
            lambda: s.ReduceLROnPlateau(one, "low"),
            ValueError,
            "ReduceLROnPlateau: mode must be 'min' or 'max', got 'low'",
        ),
        (lambda: s.ReduceLROnPlateau(one, factor=1.0), ValueError, "factor must be below 1, got 1.0"),
        (lambda: s.ReduceLROnPlateau(one, threshold_mode="x"), ValueError, "threshold_mode must be 'rel' or 'abs'"),
        (lambda: s.ReduceLROnPlateau(one, min_lr=[1, 2]), ValueError, "min_lr must be one value or a list of 1 values"),
        (
            lambda: s.StepLR(one, 3).load_state_dict({"gamma": 1}),
            ValueError,
            "StepLR.load_state_dict: the state must have",
        ),
        (
            lambda: s.StepLR(one, 3).load_state_dict(s.StepLR(optimizer(groups=2), 3).state_dict()),
            ValueError,
            "the state has 2 groups, the optimizer has 1",
        ),
        (
            lambda: s.ChainedScheduler([s.StepLR(one, 3)]).load_state_dict({"_schedulers": []}),
            ValueError,
            "the state has 0 schedulers, this has 1",
        ),
    ],
)
def test_invalid_schedules_are_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_going_to_an_epoch_is_deprecated():
    optimizer = SGD([lucid.zeros(1).requires_grad_()], lr=1.0)
    plateau = s.ReduceLROnPlateau(optimizer)
    schedule = s.StepLR(optimizer, 2)
    optimizer.step()
    with pytest.warns(UserWarning, match=r"StepLR.step: epoch is deprecated"):
        schedule.step(5)
    assert schedule.last_epoch == 5 and schedule.get_last_lr() == pytest.approx([0.01])
    with pytest.warns(UserWarning, match=r"ReduceLROnPlateau.step: epoch is deprecated"):
        plateau.step(1.0, epoch=7)
    assert plateau.last_epoch == 7
    with (
        pytest.warns(UserWarning, match="deprecated"),
        pytest.raises(TypeError, match="epoch must be an integer, got 1.5"),
    ):
        schedule.step(1.5)


# What PyTorch 2.13 saves after 3 steps of a schedule with lr 0.1, and the learning rate after 3 more.
PYTORCHS = {"_step_count": 4, "_is_initial": False, "_get_lr_called_within_step": False, "last_epoch": 3}


@pytest.mark.parametrize(
    ("name", "arguments", "state", "lr", "after"),
    [
        (
            "MultiStepLR",
            ([2, 2, 5], 0.5),
            PYTORCHS | {"milestones": {2: 2, 5: 1}, "gamma": 0.5, "base_lrs": [0.1], "_last_lr": [0.025]},
            0.025,
            0.0125,
        ),
        (
            "CosineAnnealingLR",
            (7,),
            PYTORCHS | {"T_max": 7, "eta_min": 0.0, "base_lrs": [0.1], "_last_lr": [0.061126046697815725]},
            0.061126046697815725,
            0.004951556604879048,
        ),
        (
            "ReduceLROnPlateau",
            ("min", 0.5, 1),
            {"factor": 0.5, "default_min_lr": 0, "min_lrs": [0], "patience": 1, "cooldown": 0, "eps": 1e-08,
             "last_epoch": 3, "_last_lr": [0.05], "mode_worse": math.inf, "mode": "min", "threshold": 0.0001,
             "threshold_mode": "rel", "best": 1.0, "cooldown_counter": 0, "num_bad_epochs": 0},
            0.05,
            0.025,
        ),
    ],
)  # fmt: skip
def test_states_of_pytorch_can_be_loaded(name, arguments, state, lr, after):
    one = lucid.optim.SGD([lucid.tensor([1.0], requires_grad=True)], lr=0.1, momentum=0.9)
    schedule = getattr(s, name)(one, *arguments)
    one.step()
    one.param_groups[0]["lr"] = lr  # as loading the optimizer's state does
    schedule.load_state_dict(state)
    for _ in range(3):
        schedule.step(*([1.0] if name == "ReduceLROnPlateau" else []))
    assert one.param_groups[0]["lr"] == pytest.approx(after, rel=1e-12)
    with pytest.raises(ValueError, match="the state must have"):
        s.StepLR(one, 2).load_state_dict(state)
