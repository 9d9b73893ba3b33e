"""lucid.optim.EMA: a float64 reference, compiled steps, exact restoration of the weights, state."""

import numpy as np
import pytest

import lucid
import lucid.nn.functional as F
from lucid import nn, optim
from lucid.optim import EMA
from tests._compile.steps import batches


def by_formula(values, decay, warmup):
    """The average after each of ``values`` in float64, starting with the first."""
    average = values[0].astype(np.float64)
    found = []
    for n, value in enumerate(values[1:], start=1):
        d = min(decay, (1 + n) / (10 + n)) if warmup else decay
        average = d * average + (1 - d) * value
        found.append(average)
    return found


@pytest.mark.parametrize("warmup", [True, False])
@pytest.mark.parametrize("decay", [0.0, 0.5, 0.9999, 1.0])
def test_averages_follow_the_formula(decay, warmup):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(200, 3, 5)).astype(np.float32)
    p = lucid.tensor(values[0], requires_grad=True)
    ema = EMA([p], decay, warmup=warmup)
    for value, want in zip(values[1:], by_formula(values, decay, warmup), strict=True):
        p.data = value
        ema.update()
        np.testing.assert_allclose(ema.averages()["0"].numpy(), want, rtol=2e-5, atol=2e-6)
    assert ema.num_updates == 199


def test_a_decay_close_to_1_keeps_its_precision():
    p = lucid.zeros(1, requires_grad=True)
    ema = EMA([p], decay=0.9999)
    p.data = [1.0]
    ema.update()
    assert ema.averages()["0"].item() == pytest.approx(1e-4, rel=1e-6)  # 1 - float32(0.9999) is 1.0002e-4


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.norm = nn.BatchNorm1d(4)
        self.last = nn.Linear(4, 3)

    def forward(self, x):
        return self.last(F.relu(self.norm(self.first(x))))


def run(compiled, steps=6):
    lucid.manual_seed(0)
    model = Net()
    optimizer = optim.AdamW(model.parameters(), lr=0.05)
    ema = EMA(model, decay=0.8, warmup=True)

    def step(x, y):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        ema.update()
        return loss

    call = lucid.compile(step, state=[model, optimizer, ema]) if compiled else step
    past = {name: [tensor.numpy()] for name, tensor in model.state_dict().items()}
    for x, y in batches(steps):
        call(x, y)
        for name, tensor in model.state_dict().items():
            past[name].append(tensor.numpy())
    if compiled:
        assert call.retraces.count == 0
    return model, ema, past


@pytest.mark.parametrize("compiled", [False, True])
def test_a_training_step_averages_parameters_and_copies_buffers(compiled):
    model, ema, past = run(compiled)
    averages = ema.averages()
    assert list(averages) == list(model.state_dict())
    parameters = dict(model.named_parameters())
    for name, values in past.items():
        if name in parameters:
            want = by_formula(np.array(values), 0.8, True)[-1]
            np.testing.assert_allclose(averages[name].numpy(), want, rtol=1e-5, atol=1e-6)
        else:
            np.testing.assert_array_equal(averages[name].numpy(), values[-1])


def test_compiled_and_eager_agree():
    (_, eager, _), (_, compiled, _) = run(False), run(True)
    for name, tensor in eager.averages().items():
        np.testing.assert_allclose(compiled.averages()[name].numpy(), tensor.numpy(), rtol=1e-5, atol=1e-6)


def test_the_weights_are_restored_exactly_after_applied():
    model, ema, _ = run(False)
    x = lucid.randn(5, 3)
    model.eval()
    before = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    averaged = Net().eval()
    averaged.load_state_dict(ema.averages())
    state = ema.state_dict()
    with ema.applied():
        np.testing.assert_array_equal(model(x).numpy(force=True), averaged(x).numpy(force=True))
        with pytest.raises(RuntimeError, match="already applied"), ema.applied():
            pass
        for call in (ema.update, ema.state_dict, lambda: ema.load_state_dict(state)):
            with pytest.raises(RuntimeError, match="call it after the with block"):
                call()
    with pytest.raises(KeyError), ema.applied():
        raise KeyError("the evaluation failed")
    for name, tensor in model.state_dict().items():
        np.testing.assert_array_equal(tensor.numpy(), before[name])
    ema.copy_to()
    np.testing.assert_array_equal(model(x).numpy(force=True), averaged(x).numpy(force=True))


@pytest.mark.parametrize("dtype", [lucid.float16, lucid.bfloat16])
def test_half_precision_parameters_have_float32_averages(dtype):
    p = lucid.tensor([1.0], dtype=dtype, requires_grad=True)
    ema = EMA([("p", p)], decay=0.999)
    p.data = lucid.tensor([1.5], dtype=dtype)
    for _ in range(2):  # in half precision 1 + 0.0005 would be 1
        ema.update()
    assert ema.state_dict()["averages"]["p"].item() == pytest.approx(1 + 0.5 * (1 - 0.999**2), rel=1e-6)
    assert ema.averages()["p"].dtype == dtype
    with ema.applied():
        assert p.dtype == dtype
    assert p.item() == 1.5


def test_frozen_parameters_are_copied_and_tied_ones_averaged_once():
    frozen = lucid.ones(2)
    tied = lucid.ones(2, requires_grad=True)
    ema = EMA({"frozen": frozen, "a": tied, "b": tied}, decay=0.5)
    frozen.fill_(3.0)
    tied.data = [3.0, 3.0]
    ema.update()
    assert {name: one.tolist() for name, one in ema.averages().items()} == {
        "frozen": [3.0, 3.0],
        "a": [2.0, 2.0],
        "b": [2.0, 2.0],
    }


def test_state_continues_in_another_average():
    p, q = (lucid.tensor([1.0, 2.0], requires_grad=True) for _ in range(2))
    ema, other = EMA([p], 0.9, warmup=True), EMA([q], 0.5)
    p.data = [3.0, 5.0]
    ema.update()
    saved = ema.state_dict()
    ema.update()
    q.data = [3.0, 5.0]
    other.load_state_dict(saved)
    assert (other.decay, other.warmup, other.num_updates) == (0.9, True, 1)
    other.update()
    assert other.averages()["0"].tolist() == ema.averages()["0"].tolist()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("decay"), "must have decay, warmup, num_updates, averages; got"),
        (lambda s: s.update(decay=2.0), "decay must be at least 0"),
        (lambda s: s.update(num_updates=-1), "num_updates must be at least 0"),
        (lambda s: s["averages"].pop("0"), "missing: 0"),
        (lambda s: s["averages"].update(more=1.0), "unexpected: more"),
        (lambda s: s["averages"].update({"0": [1.0]}), r"0 has \(1,\), expected \(2,\)"),
    ],
)
def test_state_that_does_not_fit_changes_nothing(change, message):
    ema = EMA([lucid.tensor([1.0, 2.0], requires_grad=True)], 0.9)
    state = ema.state_dict()
    change(state)
    with pytest.raises(ValueError, match=message):
        ema.load_state_dict(state)
    assert (ema.decay, ema.num_updates, ema.averages()["0"].tolist()) == (0.9, 0, [1.0, 2.0])


@pytest.mark.usefixtures("settled")
def test_updates_run_in_constant_memory():
    model = nn.Linear(300, 300)
    optimizer, ema, active = optim.SGD(model.parameters(), lr=1e-3), EMA(model), []
    for step in range(100):
        optimizer.zero_grad()
        model(lucid.randn(8, 300)).square().mean().backward()
        optimizer.step()
        ema.update()
        if step >= 20:
            active.append(lucid.memory.active())
    # One model takes 0.36 MB. 80 of them must not be held, but on a busy machine some steps are in flight.
    assert max(active) - min(active) < 20 * 300 * 300 * 4


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ([], ValueError, "none of 0 tensors requires gradients"),
        (nn.Linear(2, 2).state_dict(), ValueError, r"none of 2 tensors .* its state_dict\(\) is a copy"),
        ([1], TypeError, "expected tensors or"),
        (3, TypeError, "params must be a module"),
        (lucid.zeros(2), TypeError, "got Tensor"),
        ([("a", lucid.zeros(1)), ("a", lucid.zeros(1))], ValueError, "'a' is not unique"),
        ([lucid.zeros(1, requires_grad=True) * 2], ValueError, "only leaf tensors"),
    ],
)
def test_invalid_params_are_explained(params, error, message):
    with pytest.raises(error, match=message):
        EMA(params)
