"""Optimizers of users: ``step()`` of their own, any options and state, hooks, saving, compiling."""

import copy
import math
import warnings

import numpy as np
import pytest

import lucid
from lucid import nn, optim
from lucid.amp import GradScaler
from lucid.optim.optimizer import required
from tests.optim import foreign_optimizers

RECORDED = np.load(foreign_optimizers.FILE)
MAKERS = foreign_optimizers.makers(lucid)
COMPILABLE = ["LARS", "TensorAdam", "GradientCentralized"]


def leaf(*values):
    return lucid.tensor(list(values), requires_grad=True)


class Plain(optim.Optimizer):
    def __init__(self, params, lr=0.1, scale=1.0):
        super().__init__(params, {"lr": lr, "scale": scale})

    @lucid.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    state = self.state[p]
                    state.setdefault("sum", lucid.zeros_like(p)).add_(p.grad)
                    state["history"] = [*state.get("history", []), p.grad.clone()][-2:]
                    state["note"] = "seen"
                    p.data.add_(p.grad, alpha=-group["lr"] * group["scale"])


@pytest.mark.parametrize("name", MAKERS)
def test_optimizers_written_for_pytorch_give_its_values(name):
    parameters, optimizer = foreign_optimizers.run(lucid, MAKERS[name], lucid.tensor)
    got = np.concatenate([p.detach().numpy().reshape(-1) for p in parameters])
    assert np.isfinite(got).all()
    np.testing.assert_allclose(got, RECORDED[name], rtol=2e-6, atol=2e-7)
    state = optimizer.state_dict()
    keys = {index: sorted(values) for index, values in state["state"].items()}
    assert repr((keys, [list(group) for group in state["param_groups"]])) == str(RECORDED[f"{name} layout"])


@pytest.mark.parametrize("name", COMPILABLE)
def test_compiled_steps_agree(name):
    def train(compiled):
        parameters = [
            lucid.tensor([math.sin(1.3 * j + i) for j in range(math.prod(shape))]).reshape(shape).detach()
            for i, shape in enumerate(foreign_optimizers.SHAPES)
        ]
        optimizer = MAKERS[name]([p.requires_grad_() for p in parameters])

        def step(target):
            optimizer.zero_grad()
            loss = sum(((p - target) ** 4).sum() for p in parameters)
            loss.backward()
            optimizer.step()
            return loss

        run = lucid.compile(step, state=[optimizer]) if compiled else step
        losses = []
        for i in range(6):
            losses.append(run(lucid.tensor(0.1 * i)).item())
            if i == 3:
                for group in optimizer.param_groups:
                    group["lr"] = group["lr"] * 0.5
        return losses, [p.tolist() for p in parameters]

    assert train(compiled=True) == train(compiled=False)


class Counting(optim.Optimizer):
    """Counts steps in a Python number: in the state, in the group or in an attribute."""

    def __init__(self, params, where):
        super().__init__(params, {"lr": 0.1, "count": 0})
        self.where, self.count = where, 0

    @lucid.no_grad()
    def step(self, closure=None):
        [group] = self.param_groups
        for p in group["params"]:
            home = {"state": self.state[p], "group": group, "attribute": vars(self)}[self.where]
            home["count"] = home.get("count", 0) + 1
            p.sub_(p.grad / home["count"])


@pytest.mark.parametrize("where", ["state", "group", "attribute"])
def test_a_step_count_that_would_be_frozen_is_refused(where):
    p = leaf(1.0, 2.0)
    optimizer = Counting([p], where)

    @lucid.compile(state=[optimizer])
    def step(x):
        optimizer.zero_grad()
        (p * x).sum().backward()
        optimizer.step()

    def steps():
        for _ in range(3):
            step(lucid.tensor(1.0))

    with pytest.raises(RuntimeError, match=r"count changed from \d to \d in the optimizer's step.*keep it as a tensor"):
        steps()


def test_memory_of_a_loop_with_a_users_optimizer_is_constant(monkeypatch):
    """Every step evaluates what it changed, also state in lists."""
    evaluated = []
    monkeypatch.setattr("lucid._deferred.evaluate", lambda arrays: evaluated.append(len(arrays)))
    p, q = leaf(1.0, 2.0), leaf(3.0)
    optimizer = Plain([p, q])
    for _ in range(3):
        p.grad = lucid.ones(2)
        optimizer.step()
    assert evaluated == [2 + 1 + 2, 2 + 1 + 3, 2 + 1 + 3]  # parameters, learning rate, sum and history


def test_any_options_of_groups_survive_saving():
    first, second = leaf(1.0), leaf(2.0)
    groups = [{"params": [first], "layer": 3, "tags": ["a", ("b", 1.5)]}, {"params": [second], "lr": 0.5, "scale": 2.0}]
    for kind in (Plain, optim.AdamW):
        optimizer = kind(groups)
        first.grad, second.grad = lucid.ones(1), lucid.ones(1)
        optimizer.step()
        saved = optimizer.state_dict()
        assert saved["param_groups"][0]["layer"] == 3 and saved["param_groups"][0]["params"] == [0]
        saved["param_groups"][0]["tags"].append("changed")  # a copy
        assert optimizer.param_groups[0]["tags"] == ["a", ("b", 1.5)]
        other = kind([{"params": [leaf(1.0)]}, {"params": [leaf(2.0)]}])
        other.load_state_dict(saved)
        assert other.param_groups[0]["layer"] == 3 and other.param_groups[1]["scale"] == 2.0
        assert other.param_groups[1]["lr"] == 0.5 and other.param_groups[1].lr_tensor.item() == 0.5


def test_the_state_of_a_users_optimizer_survives_saving():
    p = leaf(1.0, 2.0)
    optimizer = Plain([p])
    for value in (1.0, 2.0, 3.0):
        p.grad = lucid.full((2,), value)
        optimizer.step()
    saved = copy.deepcopy(optimizer.state_dict())
    q = p.detach().clone().requires_grad_()
    other = Plain([q])
    other.load_state_dict(saved)
    for one, parameter in ((optimizer, p), (other, q)):
        parameter.grad = lucid.ones(2)
        one.step()
    assert q.tolist() == p.tolist() and other.state[q]["note"] == "seen"
    assert other.state[q]["sum"].tolist() == optimizer.state[p]["sum"].tolist() == [7.0, 7.0]
    assert [one.tolist() for one in other.state[q]["history"]] == [[3.0, 3.0], [1.0, 1.0]]
    assert saved["state"][0]["sum"].tolist() == [6.0, 6.0]  # later steps do not change the copy


def test_loaded_state_takes_the_dtype_of_the_parameter_except_for_step():
    p = leaf(1.0).to(lucid.float16).detach().requires_grad_()
    optimizer = Plain([p])
    state = {"sum": np.ones(1), "step": np.array(3.0, np.float32), "count": np.array([4])}
    optimizer.load_state_dict({"state": {0: state}, "param_groups": [{"lr": 0.1, "scale": 1.0, "params": [0]}]})
    found = optimizer.state[p]
    assert [found[key].dtype for key in state] == [lucid.float16, lucid.float32, lucid.int64]


def test_required_options_and_missing_learning_rates():
    class Demanding(optim.Optimizer):
        def __init__(self, params, lr=required):
            super().__init__(params, {"lr": lr})

    class Relative(optim.Optimizer):
        def __init__(self, params):
            super().__init__(params, {"lr": None, "eps": 1e-3})

        def step(self, closure=None):
            for p in self.param_groups[0]["params"]:
                p.data.sub_(p.grad * self.param_groups[0]["eps"])

    with pytest.raises(ValueError, match="Demanding: a group must set 'lr', which have no default"):
        Demanding([leaf(1.0)])
    Demanding([{"params": [leaf(1.0)], "lr": 0.1}])
    p = leaf(1.0)
    optimizer = Relative([p])
    p.grad = lucid.ones(1)
    optimizer.step()
    assert p.item() == pytest.approx(0.999) and optimizer.state_dict()["param_groups"][0]["lr"] is None
    optimizer.load_state_dict(optimizer.state_dict())
    assert "lr=None" in repr(optimizer)


def test_groups_may_be_empty():
    p = leaf(1.0)
    optimizer = optim.SGD([{"params": []}, {"params": [("weight", p)]}], lr=0.5)
    p.grad = lucid.ones(1)
    optimizer.step()
    assert p.item() == 0.5 and [len(group["params"]) for group in optimizer.state_dict()["param_groups"]] == [0, 1]


# Hooks --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Plain, optim.SGD])
def test_hooks_run_before_and_after_a_step(kind):
    p = leaf(1.0)
    optimizer = kind([p], lr=0.1)
    seen = []
    before = optimizer.register_step_pre_hook(lambda *given: seen.append(("before", *given)))
    optimizer.register_step_post_hook(lambda *given: seen.append(("after", *given)))
    p.grad = lucid.ones(1)
    optimizer.step(None)
    assert seen == [("before", optimizer, (None,), {}), ("after", optimizer, (None,), {})]
    before.remove()
    optimizer.step()
    assert [one[0] for one in seen] == ["before", "after", "after"]


def test_a_hook_may_change_the_arguments():
    p = leaf(1.0)
    optimizer = optim.SGD([p], lr=0.1)

    def closure():
        p.grad = lucid.full((1,), 5.0)
        return "loss"

    handle = optimizer.register_step_pre_hook(lambda optimizer, args, kwargs: ((closure,), {}))
    assert optimizer.step() == "loss" and p.item() == 0.5
    handle.remove()
    optimizer.register_step_pre_hook(lambda *given: "wrong")
    with pytest.raises(
        RuntimeError, match=r"SGD: a hook before the step must return None or \(args, kwargs\), got 'wr"
    ):
        optimizer.step()


def test_a_step_that_calls_that_of_its_base_class_is_one_step():
    p = leaf(1.0)
    optimizer = foreign_optimizers.classes(lucid).GradientCentralized([p], lr=0.1)
    seen = []
    optimizer.register_step_post_hook(lambda *given: seen.append(1))
    p.grad = lucid.ones(1)
    optimizer.step()
    assert seen == [1] and optimizer._step_calls == 1


def test_hooks_of_state_dicts():
    optimizer = optim.SGD([leaf(1.0)], lr=0.1)
    calls = []
    optimizer.register_state_dict_pre_hook(lambda one: calls.append("pre"))
    optimizer.register_state_dict_post_hook(lambda one, state: {**state, "extra": 1})
    optimizer.register_state_dict_post_hook(lambda one, state: calls.append(sorted(state)), prepend=True)
    saved = optimizer.state_dict()
    assert saved["extra"] == 1 and calls == ["pre", ["param_groups", "state"]]
    optimizer.register_load_state_dict_pre_hook(
        lambda one, state: {**state, "param_groups": [{**state["param_groups"][0], "lr": 0.7}]}
    )
    optimizer.register_load_state_dict_post_hook(lambda one: calls.append(one.param_groups[0]["lr"]))
    optimizer.load_state_dict(saved)
    assert calls[-1] == 0.7


# With others --------------------------------------------------------------------------------------------------------


def test_schedules_and_ema_work_with_a_users_optimizer():
    model = nn.Linear(2, 1)
    optimizer = Plain(model.parameters(), lr=1.0)
    schedule = optim.lr_scheduler.StepLR(optimizer, 1, 0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(2):
            optimizer.step()
            schedule.step()
    assert optimizer.param_groups[0]["lr"] == 0.25


def test_a_grad_scaler_skips_the_step_of_a_users_optimizer_after_an_overflow():
    p = leaf(1.0)
    optimizer = Plain([p], lr=0.1)
    scaler = GradScaler(init_scale=2.0)
    for gradient, want in ((math.inf, 1.0), (2.0, 0.8)):
        p.grad = lucid.full((1,), gradient)
        scaler.step(optimizer)
        scaler.update()
        assert p.item() == pytest.approx(want)
    assert len(optimizer.state[p]["history"]) == 1


def test_state_beside_that_of_a_rule_is_kept():
    p = leaf(1.0)
    optimizer = optim.AdamW([p])
    p.grad = lucid.ones(1)
    optimizer.step()
    optimizer.state[p]["slow"] = lucid.tensor([5.0])
    optimizer.step()
    other = optim.AdamW([leaf(1.0)])
    other.load_state_dict(optimizer.state_dict())
    [state] = other.state.values()
    assert state["slow"].tolist() == [5.0] and state["step"].item() == 2


def test_states_of_older_versions_lack_options():
    p = leaf(1.0)
    optimizer = optim.AdamW([p], lr=0.1)
    saved = optimizer.state_dict()
    for name in ("foreach", "fused", "capturable", "differentiable", "maximize", "decoupled_weight_decay"):
        del saved["param_groups"][0][name]
    optimizer.load_state_dict(saved)
    assert optimizer.param_groups[0]["decoupled_weight_decay"] is True
