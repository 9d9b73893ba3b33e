"""The shared parts of optimizers: groups, the step, laziness, state."""

import copy
import json

import mlx.core as mx
import numpy as np
import pytest

import lucid
from lucid import _deferred
from lucid.optim import SGD, Adafactor, Adagrad, Adam, AdamW, Lion, Muon, Optimizer, RMSprop

ALL = [
    (SGD, {"momentum": 0.9, "weight_decay": 0.01}),
    (Adam, {"amsgrad": True}),
    (AdamW, {}),
    (RMSprop, {"momentum": 0.5, "centered": True}),
    (Adagrad, {"lr_decay": 0.1}),
    (Lion, {"weight_decay": 0.1}),
    (Adafactor, {}),
    (Muon, {}),
]
every_optimizer = pytest.mark.parametrize(("kind", "options"), ALL, ids=[kind.__name__ for kind, _ in ALL])


def leaf(*shape, dtype="float32"):
    return lucid.randn(*shape).to(dtype).detach().requires_grad_()


def with_gradients(*parameters):
    for parameter in parameters:
        parameter.grad = lucid.randn(*parameter.shape).to(parameter.dtype)
    return list(parameters)


def values(parameters):
    return [p.detach().numpy().copy() for p in parameters]


# The step ----------------------------------------------------------------------------------------------------------


@every_optimizer
def test_a_regression_is_learned(kind, options):
    weight, target, x = leaf(4, 3), lucid.randn(4, 3), lucid.randn(64, 4)
    optimizer = kind([weight], lr=0.05, **options)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = ((x @ weight - x @ target) ** 2).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0] and np.isfinite(losses).all()


@pytest.mark.usefixtures("settled")
@every_optimizer
def test_unread_steps_run_in_constant_memory(kind, options):
    first, second = leaf(20, 32), leaf(32, 5)
    biases = [] if kind is Muon else [leaf(32), leaf(5)]
    optimizer = kind([first, second, *biases], **options)
    rng = np.random.default_rng(0)
    active = []
    for _ in range(300):
        # A new batch each time, which an unevaluated graph would keep alive.
        x, y = (lucid.tensor(rng.standard_normal((64, size)).astype(np.float32)) for size in (20, 5))
        optimizer.zero_grad()
        hidden = (x @ first + (biases[0] if biases else 0)).tanh()
        out = hidden @ second + (biases[1] if biases else 0)
        loss = ((out - y) ** 2).mean()
        loss.backward()
        optimizer.step()
        active.append(lucid.memory.active())
    # The work in flight varies between steps; holding 290 batches would take 1.8 MB.
    assert max(active[10:]) - min(active[10:]) < 300_000
    assert abs(np.mean(active[-50:]) - np.mean(active[10:60])) < 100_000


def test_a_step_schedules_tracked_values(monkeypatch):
    scheduled = []
    [p] = with_gradients(leaf(3))
    statistic = lucid.zeros(2)
    _deferred.drain()  # the random numbers
    monkeypatch.setattr(mx, "async_eval", lambda *arrays: scheduled.extend(arrays))
    statistic._update(statistic._array + 1)
    optimizer = Adam([p])
    optimizer.step()
    wanted = [p, statistic, *optimizer.state[p].values()]
    assert {id(t._array) for t in wanted} == {id(array) for array in scheduled}


@every_optimizer
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_parameters_keep_their_dtype(kind, options, dtype):
    half = leaf(3, 5, dtype=dtype)
    single = half.detach().to("float32").requires_grad_()
    optimizers = [kind([p], lr=0.01, **options) for p in (half, single)]
    if kind is Adafactor:  # its default depends on the dtype
        for one in optimizers:
            one.param_groups[0]["eps"] = (1e-7, 1e-3)
    for _ in range(4):
        half.grad = lucid.randn(3, 5).to(dtype)
        single.grad = half.grad.to("float32")
        for one in optimizers:
            one.step()
        assert half.dtype == getattr(lucid, dtype)
        assert half.tolist() == single.to(dtype).tolist()  # rounded once
        single._rebind(half._array.astype(mx.float32))
    assert {t.dtype for t in optimizers[0].state[half].values()} == {lucid.float32}


@every_optimizer
def test_parameters_without_gradients_are_skipped(kind, options):
    idle, moving = leaf(2, 3), leaf(2, 3)
    with_gradients(moving)
    before = values([idle, moving])
    optimizer = kind([idle, moving], **options)
    optimizer.step()
    after = values([idle, moving])
    assert (after[0] == before[0]).all() and (after[1] != before[1]).any()
    assert not optimizer.state[idle] and list(optimizer.state_dict()["state"]) == [1]


@every_optimizer
def test_parameters_without_elements(kind, options):
    parameters = with_gradients(leaf(0, 4), leaf(3, 0), leaf(2, 2))
    optimizer = kind(parameters, **options)
    optimizer.step()
    assert [p.shape for p in parameters] == [(0, 4), (3, 0), (2, 2)]
    assert np.isfinite(parameters[2].detach().numpy()).all()


def test_step_counts_are_shared_until_they_differ():
    a, b, c = with_gradients(leaf(2), leaf(3), leaf(4))
    optimizer = Adam([{"params": [a, b]}, {"params": [c]}])
    optimizer.step()
    counts = [optimizer.state[p]["step"] for p in (a, b, c)]
    assert counts[0] is counts[1] is counts[2] and counts[0].item() == 1
    b.grad = None
    optimizer.step()
    optimizer.step()
    assert [optimizer.state[p]["step"].item() for p in (a, b, c)] == [3, 1, 3]
    with_gradients(b)
    optimizer.step()
    assert [optimizer.state[p]["step"].item() for p in (a, b, c)] == [4, 2, 4]
    assert optimizer.state[a]["step"] is optimizer.state[c]["step"]


def test_closure_runs_with_gradients_enabled_and_its_loss_is_returned():
    p = leaf(3)
    optimizer = SGD([p], lr=0.5)
    before = p.detach().numpy()

    def closure():
        optimizer.zero_grad()
        loss = (p**2).sum()
        loss.backward()
        return loss

    with lucid.no_grad():
        loss = optimizer.step(closure)
    assert loss.item() == pytest.approx(float((before**2).sum()), rel=1e-6)
    np.testing.assert_allclose(p.detach().numpy(), 0 * before, atol=1e-7)
    assert optimizer.step() is None


def test_a_graph_recorded_before_a_step_keeps_its_values():
    p = lucid.tensor([2.0], requires_grad=True)
    cube = (p**3).sum()
    p.grad = lucid.tensor([1.0])
    SGD([p], lr=1.0).step()
    p.grad = None
    cube.backward()
    assert p.tolist() == [1.0] and p.grad.tolist() == [12.0]


def test_gradients_stay_until_zero_grad():
    [p] = with_gradients(leaf(2))
    optimizer = SGD([p])
    optimizer.step()
    assert p.grad is not None
    optimizer.zero_grad(set_to_none=False)
    assert p.grad.tolist() == [0, 0]
    optimizer.zero_grad()
    assert p.grad is None


@every_optimizer
def test_options_of_a_group_can_change_between_steps(kind, options):
    [p] = with_gradients(leaf(2, 2))
    optimizer = kind([p], **options)
    optimizer.step()
    optimizer.param_groups[0]["lr"] = 0.0
    before = values([p])
    optimizer.step()
    assert (values([p])[0] == before[0]).all()


def test_an_invalid_gradient_changes_nothing():
    a, b = with_gradients(leaf(2), leaf(3))
    optimizer = Adam([("a", a), ("b", b)])
    b.grad = lucid.ones(3, 1)
    before = values([a, b])
    message = r"Adam.step: the gradient of parameter 'b' of group 0 must have its shape \(3,\), got \(3, 1\)"
    with pytest.raises(ValueError, match=message):
        optimizer.step()
    assert (
        all((x == y).all() for x, y in zip(before, values([a, b]), strict=True)) and not optimizer.state_dict()["state"]
    )


@every_optimizer
def test_a_step_can_be_compiled(kind, options):
    """State is listed, rebound and never evaluated inside, and compiled and eager steps agree."""
    parameters = with_gradients(leaf(3, 4), leaf(2, 2))
    twins = [p.detach().requires_grad_() for p in parameters]
    optimizer, eager = kind(parameters, **options), kind(twins, **options)
    for p, twin in zip(parameters, twins, strict=True):
        twin.grad = p.grad
    optimizer.step()
    eager.step()
    owners = [*parameters, *optimizer.state_tensors()]

    def step(arrays):
        for owner, array in zip(owners, arrays, strict=True):
            owner._rebind(array)
        optimizer.step()
        return [owner._array for owner in owners]

    compiled = mx.compile(step)
    for lr in (0.1, 0.01, 0.02):
        optimizer.param_groups[0]["lr"] = eager.param_groups[0]["lr"] = lr
        held = [owner._array for owner in owners]
        with _deferred.collecting():
            results = compiled(held)
        for owner, array in zip(owners, results, strict=True):
            owner._rebind(array)
        eager.step()
        assert len(optimizer.state_tensors()) == len(owners) - 2
        for p, twin in zip(parameters, twins, strict=True):
            np.testing.assert_allclose(p.detach().numpy(), twin.detach().numpy(), rtol=1e-5, atol=1e-6)


# Groups ------------------------------------------------------------------------------------------------------------


def test_groups_inherit_missing_options():
    a, b, c = leaf(1), leaf(2), leaf(3)
    given = {"params": [a], "lr": 0.5, "name": "head"}
    optimizer = SGD([given, {"params": b}], lr=0.1, momentum=0.9)
    optimizer.add_param_group({"params": iter([c]), "momentum": 0.0, "foreach": None, "fused": True})
    assert [g["lr"] for g in optimizer.param_groups] == [0.5, 0.1, 0.1]
    assert [g["momentum"] for g in optimizer.param_groups] == [0.9, 0.9, 0.0]
    assert [[p.shape for p in g["params"]] for g in optimizer.param_groups] == [[(1,)], [(2,)], [(3,)]]
    assert given == {"params": [a], "lr": 0.5, "name": "head"} and optimizer.param_groups[2]["fused"] is True


def test_named_parameters_keep_their_names():
    pairs = [("weight", leaf(2, 2)), ("bias", leaf(2))]
    optimizer = SGD(pairs)
    assert optimizer.param_groups[0]["param_names"] == ["weight", "bias"]
    assert optimizer.param_groups[0]["params"][1] is pairs[1][1]
    assert optimizer.state_dict()["param_groups"][0]["param_names"] == ["weight", "bias"]


def test_repr_shows_groups_and_options():
    optimizer = SGD([{"params": [leaf(2, 3), leaf(3)]}, {"params": [leaf(1000, 3)], "lr": lucid.tensor(0.5)}], lr=0.1)
    first, second = repr(optimizer).splitlines()[1:3]
    assert first.startswith("  group 0: 2 tensors of 9 elements, lr=0.1, momentum=0.0,")
    assert second.startswith("  group 1: 1 tensor of 3,000 elements, lr=0.5 (a tensor), momentum=0.0,")


def make(params, kind=SGD, **options):
    return lambda: kind(params() if callable(params) else params, **options)


shared = leaf(2)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (make([]), ValueError, "SGD: params is empty"),
        (make([{"params": 3}]), TypeError, "group 0: params must be a tensor or an iterable of tensors, got int"),
        (make(shared), TypeError, "SGD: params must be an iterable of tensors, .* got Tensor"),
        (make({"a": shared}), TypeError, "got dict"),
        (make({shared}), TypeError, r"got set \(its order differs between runs\)"),
        (make(3), TypeError, "got int"),
        (make([{"params": {shared}}]), TypeError, "group 0: params must be ordered, such as a list, got set"),
        (make([shared, 3.0]), TypeError, "SGD: group 0: parameter 1 must be a tensor, got float 3.0"),
        (make([("a", shared), leaf(1)]), ValueError, "either all parameters or none must have names"),
        (make([{"params": [shared]}, leaf(1)]), TypeError, 'a group must be a dictionary with "params"'),
        (make([{"lr": 1.0}]), TypeError, 'a group must be a dictionary with "params"'),
        (
            make([{"params": [("a", leaf(1))]}, {"params": [leaf(1)]}]),
            ValueError,
            "either all groups or none must name their parameters",
        ),
        (make([shared, shared]), ValueError, "group 0: parameter 1 is already in this group"),
        (make([{"params": [shared]}, {"params": [shared]}]), ValueError, "group 1: parameter 0 is already in group 0"),
        (
            make(lambda: [shared * 2]),
            ValueError,
            "parameter 0 was computed by <mul>; only leaf tensors can be optimized",
        ),
        (make([lucid.arange(3)]), ValueError, "parameter 0 must have a real floating-point dtype, got int64"),
        (make([shared], lr=-0.1), ValueError, "SGD: lr must be at least 0, got -0.1"),
        (make([shared], lr=float("nan")), ValueError, "SGD: lr must be at least 0, got nan"),
        (make([shared], lr="fast"), TypeError, "SGD: lr must be a number, got 'fast'"),
        (make([shared], lr=lucid.tensor([1.0, 2.0])), ValueError, r"one element, got shape \(2,\) and float32"),
        (make([shared], lr=lucid.tensor(-1.0)), ValueError, "SGD: lr must be at least 0"),
        (make([shared], lr=lucid.tensor(1)), ValueError, r"got shape \(\) and int64"),
        (make([{"params": [shared], "lr": -1}]), ValueError, "SGD: lr must be at least 0, got -1"),
        (make([shared], momentum=-1), ValueError, "SGD: momentum must be at least 0, got -1"),
        (make([shared], weight_decay=-1), ValueError, "SGD: weight_decay must be at least 0"),
        (make([shared], dampening=-1), ValueError, "SGD: dampening must be at least 0"),
        (make([shared], nesterov=True), ValueError, "nesterov needs momentum above 0 and dampening 0, got momentum 0"),
        (make([shared], momentum=0.9, dampening=0.1, nesterov=True), ValueError, "and dampening 0.1"),
        (make([shared], nesterov=1), TypeError, "SGD: nesterov must be True or False, got 1"),
        (make([shared], differentiable=True), ValueError, "SGD: differentiable=True is not supported"),
        (make([shared], Adam, betas=(0.9, 1.0)), ValueError, r"Adam: betas\[1\] must be at least 0 and below 1, got 1"),
        (make([shared], Adam, betas=(-0.1, 0.9)), ValueError, r"Adam: betas\[0\] must be at least 0, got -0.1"),
        (make([shared], Adam, betas=0.9), ValueError, "Adam: betas must be two numbers, got 0.9"),
        (make([shared], AdamW, eps=-1), ValueError, "AdamW: eps must be at least 0"),
        (make([shared], AdamW, amsgrad=0.1), TypeError, "AdamW: amsgrad must be True or False, got 0.1"),
        (make([shared], AdamW, weight_decay=-0.1), ValueError, "AdamW: weight_decay must be at least 0"),
        (make([shared], RMSprop, alpha=-1), ValueError, "RMSprop: alpha must be at least 0"),
        (make([shared], RMSprop, momentum=-1), ValueError, "RMSprop: momentum must be at least 0"),
        (make([shared], Adagrad, lr_decay=-1), ValueError, "Adagrad: lr_decay must be at least 0"),
        (make([shared], Adagrad, initial_accumulator_value=-1), ValueError, "initial_accumulator_value must be at"),
        (make([shared], Lion, betas=(0.9, 2)), ValueError, r"Lion: betas\[1\] must be at least 0 and below 1, got 2"),
        (make([shared], Adafactor, d=0.5), ValueError, "Adafactor: d must be at least 1, got 0.5"),
        (make([shared], Adafactor, beta2_decay=0.1), ValueError, "Adafactor: beta2_decay must be at most 0, got 0.1"),
        (make([shared], Adafactor, eps=1e-3), ValueError, "Adafactor: eps must be two numbers"),
        (make([shared], Adafactor, eps=(-1, 1e-3)), ValueError, r"Adafactor: eps\[0\] must be at least 0"),
        (
            make([shared], Muon),
            ValueError,
            r"parameter 0 must have 2 dimensions, got \(2,\); use AdamW for other parameters",
        ),
        (
            make([leaf(2, 2)], Muon, adjust_lr_fn="x"),
            ValueError,
            "adjust_lr_fn must be 'original' or 'match_rms_adamw'",
        ),
        (make([leaf(2, 2)], Muon, ns_coefficients=(1, 2)), ValueError, "ns_coefficients must be three numbers"),
        (make([leaf(2, 2)], Muon, ns_steps=2.5), TypeError, "Muon: ns_steps must be an integer, got 2.5"),
    ],
)
def test_constructors_refuse(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_refused_group_is_not_added():
    optimizer = SGD([leaf(1)])
    with pytest.raises(ValueError, match="momentum"):
        optimizer.add_param_group({"params": [leaf(2)], "momentum": -1})
    assert len(optimizer.param_groups) == 1


def test_the_base_class_is_abstract():
    optimizer = Optimizer([leaf(1)], {"lr": 0.1})
    with pytest.raises(NotImplementedError, match="^Optimizer: define step\\(\\)$"):
        optimizer.step()


# State -------------------------------------------------------------------------------------------------------------


def advanced(kind, options, start, steps=3, state=None):
    parameters = [p.detach().requires_grad_() for p in start]
    optimizer = kind([{"params": parameters[:1]}, {"params": parameters[1:], "lr": 0.03}], lr=0.05, **options)
    if state is not None:
        optimizer.load_state_dict(state)
    for step in range(steps):
        for p in parameters:
            p.grad = (p.detach() * (1 + step) + 0.1).sin()
        if step == 1:
            parameters[-1].grad = None
        optimizer.step()
    return parameters, optimizer


def plain(state_dict, convert):
    state = {i: {name: convert(t) for name, t in one.items()} for i, one in state_dict["state"].items()}
    return {"state": state, "param_groups": state_dict["param_groups"]}


@every_optimizer
@pytest.mark.parametrize("convert", [lambda t: t, lambda t: t.numpy(), lambda t: t.mlx], ids=["lucid", "numpy", "mlx"])
def test_training_resumes_bit_for_bit_from_a_saved_state(kind, options, convert):
    start = [leaf(2, 3), leaf(3, 3), leaf(5, 1)]
    parameters, optimizer = advanced(kind, options, start)
    saved = plain(copy.deepcopy(optimizer.state_dict()), convert)
    frozen = json.dumps(
        [[name, t.tolist()] for one in optimizer.state_dict()["state"].values() for name, t in one.items()]
    )
    middle = [p.detach() for p in parameters]
    for p in parameters:
        p.grad = (p.detach() + 0.2).cos()
    optimizer.step()
    kept = json.dumps([[name, np.asarray(t).tolist()] for one in saved["state"].values() for name, t in one.items()])
    assert kept == frozen, "a copy of the state_dict must not change with later steps"

    again, second = advanced(kind, options, middle, steps=0, state=saved)
    for p in again:
        p.grad = (p.detach() + 0.2).cos()
    second.step()
    for p, q in zip(parameters, again, strict=True):
        assert p.tolist() == q.tolist()
    assert repr(optimizer) == repr(second)


def test_a_state_dict_holds_the_tensors_of_the_optimizer():
    [p] = with_gradients(leaf(3))
    optimizer = SGD([p], lr=0.1, momentum=0.5)
    optimizer.step()
    saved = optimizer.state_dict()["state"][0]["momentum_buffer"]
    before = saved.tolist()
    optimizer.step()
    assert saved.tolist() == optimizer.state[p]["momentum_buffer"].tolist() != before
    saved.zero_()
    assert optimizer.state[p]["momentum_buffer"].tolist() == [0, 0, 0]
    optimizer.load_state_dict(optimizer.state_dict())  # copies
    saved.fill_(1)
    assert optimizer.state[p]["momentum_buffer"].tolist() == [0, 0, 0]


def test_state_has_pytorchs_layout():
    parameters, optimizer = advanced(Adam, {}, [leaf(2), leaf(3), leaf(1)])
    saved = optimizer.state_dict()
    assert list(saved) == ["state", "param_groups"] and sorted(saved["state"]) == [0, 1, 2]
    assert list(saved["state"][1]) == ["step", "exp_avg", "exp_avg_sq"]
    assert [saved["state"][i]["step"].item() for i in range(3)] == [3, 3, 2]
    assert [group["params"] for group in saved["param_groups"]] == [[0], [1, 2]]
    assert saved["param_groups"][1]["lr"] == 0.03 and saved["param_groups"][0]["betas"] == (0.9, 0.999)
    assert saved["state"][0]["exp_avg"].tolist() == optimizer.state[parameters[0]]["exp_avg"].tolist()


def test_a_pytorch_state_is_loaded():
    """With its execution options, None for a missing buffer, and a buffer in the parameter's dtype."""
    group = {"lr": 0.3, "momentum": 0.9, "dampening": 0, "weight_decay": 0, "nesterov": False, "maximize": False}
    execution = {"foreach": None, "differentiable": False, "fused": None}
    p, q = leaf(2, dtype="bfloat16"), leaf(3)
    optimizer = SGD([p, q], momentum=0.9)
    buffer = lucid.tensor([1.0, 2.0], dtype="bfloat16")
    state = {7: {"momentum_buffer": buffer}, 4: {"momentum_buffer": None}}
    optimizer.load_state_dict({"state": state, "param_groups": [{**group, **execution, "params": [7, 4]}]})
    assert optimizer.param_groups[0]["lr"] == 0.3 and optimizer.param_groups[0].lr_tensor.item() == pytest.approx(0.3)
    assert optimizer.state[p]["momentum_buffer"].tolist() == [1, 2] and not optimizer.state[q]
    assert optimizer.state[p]["momentum_buffer"].dtype == lucid.float32


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("state"), 'must be a dictionary with "state" and "param_groups"'),
        (lambda s: s["param_groups"].pop(), r"the optimizer has groups of \[1, 2\] parameters, the state has \[1\]"),
        (lambda s: s["param_groups"][1]["params"].pop(), r"the state has \[1, 1\]"),
        (lambda s: s["param_groups"][0].pop("params"), 'every group of the state must be a dictionary with "params"'),
        (lambda s: s["param_groups"][0].pop("eps"), "group 0 of the state has no 'eps'"),
        (lambda s: s["param_groups"][0].update(betas=(0.9, 3)), r"betas\[1\] must be"),
        (lambda s: s["state"].update({9: {}}), "the state of parameter 9 belongs to no group"),
        (
            lambda s: s["state"].update({1: {"momentum_buffer": lucid.zeros(1)}}),
            "parameter 1: 'momentum_buffer' is not a state of Adam; known are step",
        ),
        (lambda s: s["state"][1].update(exp_avg=lucid.zeros(2)), r"exp_avg must have shape \(3,\), got \(2,\)"),
        (lambda s: s["state"][1].update(step=lucid.zeros(2)), r"step must have shape \(\), got \(2,\)"),
        (lambda s: s["state"][1].pop("step"), "parameter 1: the state has no 'step'"),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(change, message):
    _, optimizer = advanced(Adam, {}, [leaf(2), leaf(3), leaf(1)])
    saved = optimizer.state_dict()
    change(saved)
    before = optimizer.state_dict()
    with pytest.raises(ValueError, match=message):
        optimizer.load_state_dict(saved)
    after = optimizer.state_dict()
    assert after["param_groups"] == before["param_groups"]
    assert all(
        t.tolist() == before["state"][i][name].tolist() for i, one in after["state"].items() for name, t in one.items()
    )


def test_equal_step_counts_are_shared_again_after_loading():
    parameters, optimizer = advanced(AdamW, {}, [leaf(2), leaf(3), leaf(1)])
    optimizer.load_state_dict(plain(optimizer.state_dict(), lambda t: t.numpy()))
    counts = [optimizer.state[p]["step"] for p in parameters]
    assert counts[0] is counts[1] and counts[2] is not counts[0]


def test_a_copy_is_independent():
    [p] = with_gradients(leaf(3))
    optimizer = Adam([p], lr=0.1)
    optimizer.step()
    twin = copy.deepcopy(optimizer)
    [q] = twin.param_groups[0]["params"]
    before = p.tolist()
    twin.param_groups[0]["lr"] = 0.5
    twin.step()
    assert p.tolist() == before != q.tolist() and optimizer.param_groups[0].lr_tensor.item() == pytest.approx(0.1)
    assert optimizer.state[p]["step"].item() == 1 and twin.state[q]["step"].item() == 2


def test_state_tensors_lists_everything_once():
    a, b, idle = with_gradients(leaf(2), leaf(3), leaf(4))
    idle.grad = None
    optimizer = Adam([{"params": [a, idle]}, {"params": [b], "lr": 0.3}])
    assert [t.item() for t in optimizer.state_tensors()] == pytest.approx([1e-3, 0.3])
    optimizer.step()
    listed = optimizer.state_tensors()
    assert len({id(t) for t in listed}) == len(listed) == 2 + 1 + 2 * 2
    optimizer.step()
    assert [id(t) for t in optimizer.state_tensors()] == [id(t) for t in listed]
