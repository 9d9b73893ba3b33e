"""lucid.amp.GradScaler matches PyTorch, and skipped steps change nothing."""

import itertools
import json

import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.amp import GradScaler
from lucid.nn import functional as F
from tests.reference import scaler_cases

RECORDED = np.load(scaler_cases.FILE)


@pytest.mark.parametrize("case", scaler_cases.CASES, ids=lambda case: case.name)
def test_steps_scales_and_schedules_match_pytorch(case):
    found = case.run(lucid, lucid.tensor)
    want = {key: RECORDED[f"{case.name}|{key}"] for key in found}
    np.testing.assert_array_equal(found["scale"], want["scale"])
    np.testing.assert_array_equal(found["tracker"], want["tracker"])
    np.testing.assert_allclose(found["lr"], want["lr"], rtol=1e-6)
    np.testing.assert_allclose(found["parameters"], want["parameters"], rtol=1e-4, atol=1e-5)
    for step in scaler_cases.OVERFLOWS[case.overflows]:
        if step:
            np.testing.assert_array_equal(found["parameters"][step], found["parameters"][step - 1])


def snapshot(optimizer):
    saved = optimizer.state_dict()
    state = {(i, name): value.numpy() for i, one in saved["state"].items() for name, value in one.items()}
    return [p.numpy(force=True) for group in optimizer.param_groups for p in group["params"]], state


OPTIMIZERS = {
    "SGD": {"lr": 0.1, "momentum": 0.9},
    "Adam": {"lr": 0.1},
    "AdamW": {"lr": 0.1, "amsgrad": True},
    "Adagrad": {"lr": 0.1},
    "Adafactor": {"lr": 0.1},
    "RMSprop": {"lr": 0.1, "momentum": 0.5, "centered": True},
    "Lion": {"lr": 0.1},
    "Muon": {"lr": 0.1},
}


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_a_skipped_step_changes_nothing(name, value):
    lucid.manual_seed(0)
    params = [lucid.randn(3, 5, requires_grad=True), lucid.randn(1, 7, requires_grad=True)]
    optimizer = getattr(lucid.optim, name)(params, **OPTIMIZERS[name])
    scaler = GradScaler(init_scale=8.0)
    for broken in (False, True, False, True):
        before = snapshot(optimizer)
        for p in params:
            p.grad = lucid.randn(p.shape)
        if broken:  # one value among all gradients
            params[1].grad[0, 3] = value
        scaler.step(optimizer)
        scaler.update()
        after = snapshot(optimizer)
        unchanged = [np.array_equal(a, b) for a, b in zip(before[0], after[0], strict=True)]
        assert unchanged == [broken] * 2
        if broken:
            assert before[1].keys() == after[1].keys()
            assert all(np.array_equal(before[1][key], after[1][key]) for key in before[1])
    assert scaler.get_scale() == 2.0


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_skipped_first_step_has_no_later_effect(name):
    results = []
    for broken in (True, False):
        lucid.manual_seed(0)
        p = lucid.randn(3, 5, requires_grad=True)
        optimizer = getattr(lucid.optim, name)([p], **OPTIMIZERS[name])
        scaler = GradScaler(init_scale=8.0)
        rng = np.random.default_rng(0)
        if broken:
            p.grad = lucid.full((3, 5), np.nan)
            scaler.step(optimizer)
            scaler.update()
        for _ in range(3):
            p.grad = lucid.tensor(rng.normal(size=(3, 5)).astype(np.float32)) * scaler.get_scale()
            scaler.step(optimizer)
            scaler.update()
        results.append(p.numpy(force=True))
    np.testing.assert_array_equal(*results)


def test_skipped_parameters_keep_their_step_counts():
    a, b = lucid.ones(2, requires_grad=True), lucid.ones(3, requires_grad=True)
    optimizer, scaler = lucid.optim.Adam([a, b]), GradScaler()
    for graded, broken in (((a, b), False), ((a,), True), ((a,), False), ((b,), False), ((a, b), True)):
        optimizer.zero_grad()
        for p in graded:
            p.grad = lucid.full(p.shape, np.inf if broken else 1.0)
        scaler.step(optimizer)
        scaler.update()
    assert [optimizer.state[p]["step"].item() for p in (a, b)] == [2.0, 2.0]


def test_only_the_optimizer_that_overflowed_skips_and_the_scale_shrinks():
    a, b = lucid.ones(2, requires_grad=True), lucid.ones(2, requires_grad=True)
    first, second = lucid.optim.SGD([a], lr=1.0), lucid.optim.SGD([b], lr=1.0)
    scaler = GradScaler(init_scale=4.0)
    losses = scaler.scale([(a * 3).sum(), (b * np.inf).sum()])
    lucid.autograd.backward(losses)
    scaler.step(first)
    scaler.step(second)
    scaler.update()
    assert a.tolist() == [-2.0, -2.0] and b.tolist() == [1.0, 1.0]
    assert scaler.get_scale() == 2.0


def test_gradients_can_be_clipped_between_unscale_and_step():
    p = lucid.zeros(4, requires_grad=True)
    optimizer, scaler = lucid.optim.SGD([p], lr=1.0), GradScaler()
    scaler.scale((p * 10).sum()).backward()
    scaler.unscale_(optimizer)
    assert p.grad.tolist() == [10.0] * 4
    assert abs(nn.utils.clip_grad_norm_([p], 1.0).item() - 20) < 1e-4
    scaler.step(optimizer)
    scaler.update()
    np.testing.assert_allclose(p.numpy(force=True), [-0.5] * 4, rtol=1e-5)


def test_shared_gradients_are_unscaled_once():
    class Both(lucid.autograd.Function):
        @staticmethod
        def forward(ctx, a, b):
            return a + b

        @staticmethod
        def backward(ctx, gradient):
            return gradient, gradient

    a, b = lucid.zeros(2, requires_grad=True), lucid.zeros(2, requires_grad=True)
    optimizer, scaler = lucid.optim.SGD([a, b], lr=1.0), GradScaler(init_scale=16.0)
    scaler.scale(Both.apply(a, b).sum()).backward()
    scaler.unscale_(optimizer)
    assert a.grad.tolist() == b.grad.tolist() == [1.0, 1.0]


def test_bfloat16_gradients_and_parameters_without_elements():
    half = lucid.ones(3, dtype=lucid.bfloat16, requires_grad=True)
    empty = lucid.zeros(0, 3, requires_grad=True)
    optimizer, scaler = lucid.optim.SGD([half, empty], lr=1.0), GradScaler(init_scale=2.0)
    scaler.scale(half.sum() + empty.sum()).backward()
    scaler.step(optimizer)
    scaler.update()
    assert half.dtype == lucid.bfloat16 and half.tolist() == [0.0] * 3


def test_a_disabled_scaler_has_no_effect():
    p = lucid.ones(2, requires_grad=True)
    optimizer, scaler = lucid.optim.SGD([p], lr=1.0), GradScaler(enabled=False)
    loss = p.sum()
    assert scaler.scale(loss) is loss and scaler.get_scale() == 1.0 and not scaler.is_enabled()
    loss.backward()
    scaler.unscale_(optimizer)
    assert scaler.step(optimizer, lambda: 3.0) == 3.0
    scaler.update()
    assert p.tolist() == [0.0, 0.0]
    assert scaler.state_dict() == {} and scaler.state_tensors() == [] and repr(scaler) == "GradScaler(enabled=False)"
    scaler.load_state_dict({})


def test_the_state_survives_json_and_keeps_the_tensors():
    p = lucid.ones(2, requires_grad=True)
    optimizer, scaler = lucid.optim.SGD([p], lr=0.1), GradScaler("cuda", 32.0, growth_interval=5)
    for value in (np.nan, 1.0, 1.0):
        p.grad = lucid.full((2,), value)
        scaler.step(optimizer)
        scaler.update()
    saved = json.loads(json.dumps(scaler.state_dict()))
    assert saved == {
        "scale": 16.0, "growth_factor": 2.0, "backoff_factor": 0.5, "growth_interval": 5, "_growth_tracker": 2,
    }  # fmt: skip
    other = GradScaler(growth_factor=7.0, backoff_factor=0.1)
    tensors = other.state_tensors()
    other.load_state_dict(saved)
    assert other.state_dict() == saved
    assert all(a is b for a, b in zip(tensors, other.state_tensors(), strict=True))
    assert [tensor.item() for tensor in tensors] == [16.0, 2]


def test_the_scale_can_be_set():
    scaler = GradScaler()
    scaler.update(8)
    assert scaler.get_scale() == 8.0
    scaler.update(lucid.tensor([4.0]))
    assert scaler.get_scale() == 4.0


def test_nothing_is_evaluated_in_the_loop():
    """In 1000 unread steps the scale must not become a chain of 1000 operations."""
    p = lucid.ones(2, requires_grad=True)
    optimizer, scaler = lucid.optim.SGD([p], lr=1e-3), GradScaler(growth_interval=100)
    for _ in range(1000):
        optimizer.zero_grad()
        scaler.scale(p.sum()).backward()
        scaler.step(optimizer)
        scaler.update()
    assert scaler.get_scale() == 2.0 ** (16 + 10)
    np.testing.assert_allclose(p.numpy(force=True), [0.0, 0.0], atol=1e-5)


def problem():
    p = lucid.ones(2, requires_grad=True)
    return p, lucid.optim.SGD([p], lr=0.1), GradScaler()


def test_calls_in_the_wrong_order_are_refused():
    p, optimizer, scaler = problem()
    with pytest.raises(
        RuntimeError, match=r"GradScaler.update: no gradients were checked; call step\(optimizer\) first"
    ):
        scaler.update()
    with pytest.raises(RuntimeError, match=r"no parameter of the optimizer has a gradient; call scale\(loss\)"):
        scaler.step(optimizer)
    scaler.scale(p.sum()).backward()
    scaler.unscale_(optimizer)
    with pytest.raises(
        RuntimeError, match=r"unscale_: unscale_\(\) was already called for this optimizer since the last update\(\)"
    ):
        scaler.unscale_(optimizer)
    with pytest.raises(RuntimeError, match=r"GradScaler.step: closures are not supported"):
        scaler.step(optimizer, lambda: p.sum())
    scaler.step(optimizer)
    with pytest.raises(RuntimeError, match=r"unscale_: step\(\) was already called for this optimizer"):
        scaler.unscale_(optimizer)
    with pytest.raises(RuntimeError, match=r"step: step\(\) was already called for this optimizer since the last"):
        scaler.step(optimizer)
    scaler.update()


def test_float16_gradients_are_refused():
    half = lucid.ones(2, dtype=lucid.float16, requires_grad=True)
    optimizer, scaler = lucid.optim.SGD([half], lr=0.1), GradScaler()
    half.grad = lucid.ones(2, dtype=lucid.float16)
    with pytest.raises(ValueError, match="gradient of parameter 0 is float16 .* keep parameters in float32"):
        scaler.unscale_(optimizer)
    assert half.grad.tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"device": 1024.0}, TypeError, r"device must be a string, got 1024\.0; pass a scale as init_scale="),
        ({"init_scale": 0}, ValueError, "init_scale must be above 0, got 0"),
        ({"init_scale": "big"}, TypeError, "init_scale must be a number, got 'big'"),
        ({"growth_factor": 1.0}, ValueError, r"growth_factor must be above 1, got 1\.0"),
        ({"backoff_factor": 1.0}, ValueError, r"backoff_factor must be below 1, got 1\.0"),
        ({"backoff_factor": 0}, ValueError, "backoff_factor must be above 0, got 0"),
        ({"growth_interval": 0}, ValueError, "growth_interval must be at least 1, got 0"),
    ],
)
def test_invalid_options_are_named(arguments, error, message):
    with pytest.raises(error, match=f"GradScaler: {message}"):
        GradScaler(**arguments)


def test_other_invalid_arguments_are_named():
    p, _, scaler = problem()
    with pytest.raises(
        TypeError, match=r"GradScaler.scale: expected a tensor or a list or tuple of tensors, got float"
    ):
        scaler.scale(1.0)
    with pytest.raises(TypeError, match=r"GradScaler.step: expected a lucid.optim.Optimizer, got Tensor"):
        scaler.step(p)
    with pytest.raises(ValueError, match=r"GradScaler.update: new_scale must be above 0, got -1"):
        scaler.update(-1)
    with pytest.raises(
        ValueError, match=r"new_scale must be a number or a tensor with one element, got shape \(2,\) and float32"
    ):
        scaler.update(p)
    good = scaler.state_dict()
    with pytest.raises(ValueError, match=r"got nothing; the state of a disabled scaler is empty"):
        scaler.load_state_dict({})
    with pytest.raises(ValueError, match=r"load_state_dict: the state must have .*scale; got lr"):
        scaler.load_state_dict({"lr": 1})
    with pytest.raises(ValueError, match=r"load_state_dict: backoff_factor must be below 1, got 2"):
        scaler.load_state_dict({**good, "scale": 4.0, "backoff_factor": 2})
    assert scaler.state_dict() == good


def trained(steps, low, scaler):
    """A small classifier after ``steps`` steps: losses, scales, which steps changed the weights, and the optimizer."""
    lucid.manual_seed(0)
    rng = np.random.default_rng(0)
    inputs = lucid.tensor(rng.normal(size=(32, 8)).astype(np.float32))
    classes = lucid.tensor(rng.integers(0, 4, 32))
    model = nn.Sequential(nn.Linear(8, 32), nn.GELU(), nn.Linear(32, 4))
    optimizer = lucid.optim.AdamW(model.parameters(), lr=1e-2)
    losses, scales, moved = [], [], []
    for _ in range(steps):
        optimizer.zero_grad()
        with lucid.autocast(dtype=lucid.float16, enabled=low):
            loss = F.cross_entropy(model(inputs), classes)
        before = model[0].weight.numpy(force=True)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        moved.append(not np.array_equal(before, model[0].weight.numpy(force=True)))
        scales.append(scaler.get_scale())
        losses.append(loss.item())
    return losses, scales, moved, optimizer


def test_float16_training_skips_the_overflow_and_recovers():
    """The initial scale overflows float16: steps are skipped until it fits, then the losses match float32."""
    losses, scales, moved, optimizer = trained(40, True, GradScaler(init_scale=2.0**24, growth_interval=10))
    skipped = moved.index(True)
    assert skipped >= 1 and scales[:skipped] == [2.0 ** (23 - i) for i in range(skipped)]
    assert losses[: skipped + 1] == [losses[0]] * (skipped + 1)
    assert not all(moved[skipped:]), "the scale grew again, and overflowed again"
    taken = [loss for loss, was_taken in zip(losses, moved, strict=True) if was_taken]
    plain = trained(len(taken), False, GradScaler(enabled=False))[0]
    np.testing.assert_allclose(taken, plain, rtol=0.02)
    assert taken[-1] < 0.5 * taken[0]
    parameters = optimizer.param_groups[0]["params"]
    assert optimizer.state[parameters[0]]["step"].item() == sum(moved)
    assert {p.dtype for p in parameters} == {tensor.dtype for tensor in optimizer.state_tensors()} == {lucid.float32}


@pytest.mark.parametrize("compiled", [False, True])
def test_overflows_skip_compiled_steps(compiled):
    """Taken and skipped steps share one trace, as the decision is made on the device."""
    lucid.manual_seed(0)
    model = nn.Linear(3, 2)
    optimizer, scaler = lucid.optim.Adam(model.parameters(), lr=0.1), GradScaler(init_scale=64.0, growth_interval=3)

    def step(x, factor):
        optimizer.zero_grad()
        with lucid.autocast(dtype=lucid.float16):
            loss = (model(x) ** 2).sum() * factor
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        return loss

    run = lucid.compile(step, state=[model, optimizer, scaler]) if compiled else step
    scales, counts, weights = [], [], []
    x = lucid.ones(4, 3)
    for factor in (np.inf, 1.0, 1.0, np.nan, 1.0, 1.0, 1.0, 1.0):
        loss = run(x, lucid.tensor(factor))
        assert np.isfinite(loss.item()) == np.isfinite(factor)
        scales.append(scaler.get_scale())
        counts.append(int(optimizer.state[model.weight]["step"].item()))
        weights.append(model.weight.numpy(force=True))
    assert scales == [32.0, 32.0, 32.0, 16.0, 16.0, 16.0, 32.0, 32.0]
    assert counts == [0, 1, 2, 2, 3, 4, 5, 6]
    moved = [not np.array_equal(a, b) for a, b in itertools.pairwise(weights)]
    assert moved == [True, True, False, True, True, True, True]
    if compiled:
        assert run.retraces.count <= 1  # the first step creates the optimizer's state


def test_a_failed_trace_leaves_the_scaler_unchanged():
    p = lucid.ones(2, requires_grad=True)
    optimizer, scaler = lucid.optim.SGD([p], lr=0.5), GradScaler(init_scale=4.0)
    failing = True

    def step():
        optimizer.zero_grad()
        scaler.scale(p.sum()).backward()
        scaler.unscale_(optimizer)
        if failing:
            raise ZeroDivisionError
        scaler.step(optimizer)
        scaler.update()

    compiled = lucid.compile(step, state=[p, optimizer, scaler])
    with pytest.raises(ZeroDivisionError):
        compiled()
    failing = False
    compiled()
    assert p.tolist() == [0.5, 0.5] and scaler.get_scale() == 4.0
