"""Compiled and eager training steps agree; only new shapes and Python values cause a retrace."""

import copy
import platform
import warnings
from queue import SimpleQueue
from types import SimpleNamespace

import mlx.core as mx
import numpy as np
import pytest

import lucid
import lucid.nn.functional as F
from lucid import data, models, nn, optim
from tests._compile.steps import batches, everything, small_model, small_step

# On x86-64 CPUs compiled kernels round as eager ones do: the baseline has no fused multiply-add. Elsewhere a compiler
# may contract a * b + c in one of the two.
ROUNDING = 0.0 if lucid.ones(1).device == "cpu" and platform.machine() in ("x86_64", "AMD64") else 1e-5


def close(a, b, tolerance):
    """Compare two nested results; ``tolerance`` 0 means bitwise equal."""
    if isinstance(a, tuple):
        a, b = list(a), list(b)
    if isinstance(a, dict):
        assert list(a) == list(b)
        for name in a:
            close(a[name], b[name], tolerance)
    elif a is None or b is None:
        assert a is b
    elif isinstance(a, list) and any(one is None or isinstance(one, list | dict) for one in a):
        assert len(a) == len(b)
        for one, other in zip(a, b, strict=True):
            close(one, other, tolerance)
    else:
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def train(make, compiled, count=12, **kwargs):
    """Losses, all state, and the number of Python calls in ``count`` steps with a schedule."""
    lucid.manual_seed(5)
    model, optimizer, step = make()
    calls = SimpleQueue()  # not compared between calls, unlike a list

    def counted(*args):
        calls.put(1)
        return step(*args)

    scheduler = optim.lr_scheduler.CosineAnnealingLR(optimizer, count)
    run = lucid.compile(counted, state=[model, optimizer]) if compiled else counted
    losses = []
    for x, y in batches(count, **kwargs):
        losses.append(run(x, y).item())
        scheduler.step()
    if compiled:
        assert run.retraces.count == 0, str(run.retraces)
    return losses, everything(model, optimizer), calls.qsize()


def agree(make, tolerance=ROUNDING, traces=2, **kwargs):
    """``traces``: one that creates the state, and one for all other calls."""
    eager, eager_state, _ = train(make, False, **kwargs)
    compiled, compiled_state, found = train(make, True, **kwargs)
    close(eager, compiled, tolerance)
    close(eager_state, compiled_state, tolerance)
    assert traces is None or found == traces


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (optim.SGD, {"lr": 0.1}),
        (optim.SGD, {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.01}),
        (optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
        (optim.AdamW, {"lr": 0.1, "weight_decay": 0.1}),
        (optim.Adam, {"lr": 0.1, "amsgrad": True}),
        (optim.Lion, {"lr": 0.01}),
        (optim.RMSprop, {"lr": 0.01, "momentum": 0.9, "centered": True}),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else ",".join(value),
)
def test_optimizers_with_a_schedule(kind, options):
    def make():
        model = small_model()
        return small_step(model, kind(model.parameters(), **options))

    agree(make)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (optim.SGD, {"momentum": 0.9}),
        (optim.SGD, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
        (optim.AdamW, {}),
        (optim.RMSprop, {"momentum": 0.9}),
        (optim.Lion, {}),
        (optim.Muon, {}),
    ],
    ids=["sgd", "nesterov", "adamw", "rmsprop", "lion", "muon"],
)
def test_momentum_schedules_do_not_retrace(kind, options):
    def run(compiled):
        model = small_model()
        parameters = [p for p in model.parameters() if p.ndim == 2]
        optimizer = kind(parameters, lr=0.01, **options)
        scheduler = optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=12)
        _, _, step = small_step(model, optimizer)
        if compiled:
            step = lucid.compile(step, state=[model, optimizer])
        losses, momenta = [], set()
        for x, y in batches(10):
            losses.append(step(x, y).item())
            scheduler.step()
            momenta.add(optimizer.param_groups[0].momentum.item())
        if compiled:
            assert step.retraces.count == 0, str(step.retraces)
        assert len(momenta) == 10
        return losses, everything(model, optimizer)

    close(run(True), run(False), ROUNDING)


def test_batch_norm_and_dropout():
    """Running statistics are updated, and dropout masks are those of the eager run with the same seed."""

    def make():
        model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.4), nn.Linear(8, 3))
        return small_step(model, optim.AdamW(model.parameters(), lr=0.05))

    agree(make, features=6)


def test_convnext_with_drop_path_and_clipping():
    def make():
        model = models.ConvNeXt(3, [1, 1], [4, 6], drop_path=0.5, layer_scale_init=0.1, patch_size=2)
        optimizer = optim.AdamW(model.parameters(), lr=1e-3)

        def step(x, y):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x.reshape(-1, 3, 8, 8)), y)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            return loss

        return model, optimizer, step

    agree(make, tolerance=10 * ROUNDING, count=10, features=192)


CALLED_AGAIN = {
    "mlp": lambda: nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.GELU(), nn.Linear(8, 3)),
    "scale": lambda: nn.Sequential(nn.Linear(6, 8), nn.GELU(), nn.LayerNorm(8), nn.LayerNorm(8), nn.Linear(8, 3)),
    "batch norm": lambda: nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)),
    "convnext": lambda: nn.Sequential(
        nn.Linear(6, 48), nn.Unflatten(1, (3, 4, 4)), models.ConvNeXt(3, [1, 1], [4, 6], patch_size=1)
    ),
}


@pytest.mark.parametrize("what", ["accuracy", "two losses", "retain_graph", "second derivative"])
@pytest.mark.parametrize("name", CALLED_AGAIN)
def test_a_model_called_again_on_the_same_input(name, what):
    """MLX refuses some of these graphs, unless equal operations are computed once and gradients are kept apart."""

    def make():
        model = CALLED_AGAIN[name]()
        optimizer = optim.SGD(model.parameters(), lr=1e-2, momentum=0.9)

        def step(x, y):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            if what == "two losses":
                loss = loss + 0.5 * F.cross_entropy(model(x), y)
            if what == "second derivative":
                (gradient,) = lucid.autograd.grad(loss, [next(model.parameters())], create_graph=True)
                loss = loss + 0.1 * gradient.square().sum()
            loss.backward(retain_graph=what == "retain_graph")
            if what == "retain_graph":
                loss.backward()
            with lucid.no_grad():
                accuracy = (model(x).argmax(1) == y).float().mean() + model(x).mean()
            optimizer.step()
            return loss.detach() + accuracy

        return model, optimizer, step

    agree(make, tolerance=max(ROUNDING, 2e-5), traces=None, count=3, features=6)


def test_a_graph_that_mlx_refuses_leaves_everything_as_it_was(monkeypatch):
    model, optimizer, step = small_step()
    x, y = batches(1)[0]
    before = everything(model, optimizer)
    original = mx.compile

    def refusing(function):
        def call(*args):
            original(function)(*args)
            raise IndexError("_Map_base::at")

        return call

    monkeypatch.setattr(mx, "compile", refusing)
    with pytest.raises(
        RuntimeError, match=r"compile\(step\): MLX cannot compile this graph \(_Map_base::at\), in which"
    ):
        lucid.compile(step, state=[model, optimizer])(x, y)
    monkeypatch.undo()
    assert everything(model, optimizer) == before and optimizer._step_calls == 0
    assert step(x, y).item() > 0, "the same objects still train"


def test_the_users_own_index_error_is_not_taken_for_mlxs():
    calls = SimpleQueue()  # not compared between calls, unlike a list

    def step(x):
        calls.put(1)
        return [x][1]

    with pytest.raises(IndexError, match="list index out of range"):
        lucid.compile(step)(lucid.ones(1))


def test_masks_differ_between_calls_and_follow_the_seed():
    dropout = lucid.compile(lambda x: F.dropout(x, 0.5))
    x = lucid.ones(64)
    lucid.manual_seed(1)
    first, second = dropout(x).tolist(), dropout(x).tolist()
    after = lucid.random.get_state().tolist()
    assert first != second
    lucid.manual_seed(1)
    assert [F.dropout(x, 0.5).tolist(), F.dropout(x, 0.5).tolist()] == [first, second]
    assert lucid.random.get_state().tolist() == after


def test_gradient_accumulation_over_calls():
    def run(compiled):
        model = small_model()
        optimizer = optim.AdamW(model.parameters(), lr=0.1)

        def accumulate(x, y):
            loss = F.cross_entropy(model(x), y) / 3
            loss.backward()
            return loss

        if compiled:
            accumulate = lucid.compile(accumulate, state=model)
        losses = []
        for i, (x, y) in enumerate(batches(9)):
            losses.append(accumulate(x, y).item())
            if i % 3 == 2:
                optimizer.step()
                optimizer.zero_grad()
        if compiled:
            assert accumulate.retraces.count == 0
        return losses, everything(model, optimizer)

    close(run(True), run(False), ROUNDING)


@pytest.mark.parametrize("set_to_none", [True, False])
def test_gradient_accumulation_inside(set_to_none):
    def make():
        model = small_model()
        optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.5)

        def step(x, y):
            optimizer.zero_grad(set_to_none)
            total = 0
            for part, label in zip(x.chunk(2), y.chunk(2), strict=True):
                loss = F.cross_entropy(model(part), label) / 2
                loss.backward()
                total = total + loss.detach()
            optimizer.step()
            return total

        return model, optimizer, step

    agree(make)


def test_other_tensors_can_be_state():
    """An average of the weights, a metric and a counter, as an object with state_tensors() or as plain tensors."""

    class Average:
        def __init__(self, model):
            self.pairs = [(p.detach().clone(), p) for p in model.parameters()]

        def update(self):
            for average, p in self.pairs:
                average.copy_(0.9 * average + 0.1 * p.detach())

        def state_tensors(self):
            return [average for average, _ in self.pairs]

    def run(compiled):
        model, optimizer, step = small_step()
        average, metric, count = Average(model), lucid.tensor(0.0), lucid.tensor(0)

        def whole(x, y):
            loss = step(x, y)
            average.update()
            metric.mul_(0.5).add_(loss.detach() * 0.5)
            count.add_(1)

        if compiled:
            whole = lucid.compile(
                whole, state={"model": model, "optimizer": optimizer, "rest": [average, metric, count]}
            )
        for x, y in batches(10):
            assert whole(x, y) is None
        if compiled:
            assert whole.retraces.count == 0
        return [t.tolist() for t in (*average.state_tensors(), metric, count)]

    close(run(True), run(False), ROUNDING)
    assert run(True)[-1] == 10


@pytest.mark.usefixtures("settled")
def test_500_unread_steps_run_in_constant_memory():
    lucid.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, 5))
    optimizer = optim.AdamW(model.parameters(), lr=1e-3)
    scheduler = optim.lr_scheduler.CosineAnnealingLR(optimizer, 500)
    averages = [p.detach().clone() for p in model.parameters()]
    metric, calls, active = lucid.tensor(0.0), SimpleQueue(), []

    @lucid.compile(state=[model, optimizer, averages, metric])
    def step(x, y):
        calls.put(1)
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        for average, p in zip(averages, model.parameters(), strict=True):
            average.copy_(0.99 * average + 0.01 * p.detach())
        metric.add_(loss.detach())
        return loss

    rng = np.random.default_rng(0)
    for i in range(500):
        x = lucid.tensor(rng.standard_normal((32, 64)).astype(np.float32))
        step(x, (x[:, 0] > 0).long())
        scheduler.step()
        if i >= 20:
            active.append(lucid.memory.active())
    assert calls.qsize() == 2 and step.retraces.count == 0
    # Holding 480 batches would take 3.9 MB, and their graphs many times that.
    assert max(active) < min(active[:40]) + 1_000_000
    assert abs(np.median(active[-50:]) - np.median(active[:50])) < 200_000
    assert 0 < metric.item() / 500 < 1 and optimizer.param_groups[0]["lr"] == pytest.approx(0)


def test_state_is_scheduled_and_pure_results_are_lazy():
    model, optimizer, step = small_step()
    compiled = lucid.compile(step, state=[model, optimizer])
    for x, y in batches(3):
        compiled(x, y)
    scheduled = []
    original = mx.async_eval
    try:
        mx.async_eval = lambda *arrays: scheduled.append(arrays) or original(*arrays)
        loss = compiled(x, y)
        lucid.compile(lambda t: t * 2)(x)
    finally:
        mx.async_eval = original
    assert len(scheduled) == 1
    ids = {id(one) for one in scheduled[0]}
    left = [*model.parameters(), *(p.grad for p in model.parameters()), *optimizer.state[model.weight].values(), loss]
    assert {id(t.mlx) for t in left} <= ids


# Retraces ----------------------------------------------------------------------------------------------------------


def test_a_smaller_last_batch_retraces_once_with_its_reason():
    model, optimizer, step = small_step()
    compiled = lucid.compile(step, state=[model, optimizer])
    rng = np.random.default_rng(0)
    dataset = data.TensorDataset(rng.standard_normal((11, 3)).astype(np.float32), rng.integers(0, 3, 11))
    for _ in range(3):
        for x, y in data.DataLoader(dataset, batch_size=4):
            compiled(x, y)
    assert compiled.retraces.reasons == ["x: float32 (4, 3) -> float32 (3, 3); y: int64 (4,) -> int64 (3,)"]
    assert str(compiled.retraces).startswith("1 retrace\n  x: float32 (4, 3) -> float32 (3, 3)")


def test_a_python_argument_retraces():
    scaled = lucid.compile(lambda x, factor, flag=False: x * factor + flag)
    x = lucid.tensor([1.0, 2.0])
    assert scaled(x, 2).tolist() == [2, 4] and scaled(x, 3).tolist() == [3, 6]
    assert scaled(x, 3, flag=True).tolist() == [4, 7] and scaled(x, 2).tolist() == [2, 4]
    assert scaled.retraces.reasons == ["factor: 2 -> 3", "flag: nothing -> True"]
    assert scaled(x, True).tolist() == [1, 2], "types are compared too: True is not 1"
    assert scaled.retraces.count == 3


def test_repeated_retraces_warn_with_the_reason_and_the_fix():
    scaled = lucid.compile(lambda x, factor: x * factor)
    x = lucid.ones(2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for factor in range(4):
            scaled(x, factor)
    with pytest.warns(
        UserWarning, match=r"compile\(<lambda>\): retraced 4 times, most recently for factor: 3 -> 4; every trace"
    ) as found:
        scaled(x, 4)
    assert "drop_last=True" in str(found[0].message) and "as tensors" in str(found[0].message)
    assert found[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for factor in range(5, 8):
            scaled(x, factor)
    with pytest.warns(UserWarning, match="retraced 8 times"):
        scaled(x, 8)


def test_the_oldest_graph_is_dropped(monkeypatch):
    monkeypatch.setattr(lucid._compile.function, "_MAX_GRAPHS", 3)
    scaled = lucid.compile(lambda x, factor: x * factor)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for factor in range(6):
            assert scaled(lucid.ones(1), factor).item() == factor
        assert len(scaled._graphs.by_key) == 3
        assert scaled(lucid.ones(1), 0).item() == 0 and scaled.retraces.count == 6


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda m, o: m.eval(), "sequential.training: True -> False"),
        (lambda m, o: setattr(m[1], "p", 0.0), "sequential.1.p: 0.5 -> 0.0"),
        (lambda m, o: m[0].weight.requires_grad_(False), "sequential.0.weight.requires_grad: True -> False"),
        (lambda m, o: o.param_groups[0].update(weight_decay=0.5), "sgd.param_groups[0].weight_decay: 0.0 -> 0.5"),
        (lambda m, o: m.append(nn.ReLU()), "sequential.2: nothing -> ReLU"),
        (lambda m, o: m.bfloat16(), "sequential.0.weight: state float32 (3, 3) -> state bfloat16 (3, 3)"),
    ],
    ids=["eval", "rate", "freeze", "option", "layer", "dtype"],
)
def test_changed_constants_retrace(change, reason):
    def run(compiled):
        lucid.manual_seed(0)
        model = nn.Sequential(small_model(), nn.Dropout(0.5))
        optimizer = optim.SGD(model.parameters(), lr=0.1)
        _, _, step = small_step(model, optimizer)
        if compiled:
            step = lucid.compile(step, state=[model, optimizer])
        losses = [step(x, y).item() for x, y in batches(4)]
        change(model, optimizer)
        losses += [step(x, y).item() for x, y in batches(4)]
        if compiled:
            assert step.retraces.count == 1 and reason in step.retraces.reasons[0]
        return losses

    close(run(False), run(True), 1e-2 if "bfloat16" in reason else 1e-6)


def test_a_replaced_layer_is_used():
    model = nn.Sequential(small_model(), nn.ReLU())
    compiled = lucid.compile(model)
    x = batches(1)[0][0]
    compiled(x)
    former, model[0] = model[0], nn.Linear(3, 3)
    assert compiled(x).tolist() == model(x).tolist() != model[1](former(x)).tolist()
    assert compiled.retraces.count == 0, "a layer of the same kind fits the same graph"


def test_loaded_state_is_used():
    model, optimizer, step = small_step()
    compiled = lucid.compile(step, state=[model, optimizer])
    for x, y in batches(3):
        compiled(x, y)
    saved = {k: v.numpy() for k, v in model.state_dict().items()}, copy.deepcopy(optimizer.state_dict())
    expected = [compiled(x, y).item() for x, y in batches(3)]
    model.load_state_dict(saved[0])
    optimizer.load_state_dict(saved[1])
    assert [compiled(x, y).item() for x, y in batches(3)] == expected
    assert compiled.retraces.count == 0


# Functions and modules ---------------------------------------------------------------------------------------------


def test_a_module_under_no_grad():
    model = nn.Sequential(small_model(), nn.BatchNorm1d(3))
    for x, _ in batches(3):
        model(x)
    compiled = lucid.compile(model)
    assert compiled.eval() is compiled and not model.training
    with lucid.no_grad():
        for x, _ in batches(2):
            out = compiled(x)
            np.testing.assert_allclose(out.tolist(), model(x).tolist(), rtol=1e-6)
            assert not out.requires_grad
    assert compiled.retraces.count == 0
    assert list(compiled.state_dict()) == list(model.state_dict())
    assert compiled.training is False and compiled.forward == model.forward


def test_running_statistics_of_a_compiled_module():
    def run(compiled):
        model = nn.BatchNorm1d(3, momentum=None)
        call = lucid.compile(model) if compiled else model
        for x, _ in batches(5):
            call(x)
        assert model.num_batches_tracked.item() == 5
        return [b.tolist() for b in model.buffers()]

    close(run(True), run(False), 1e-6)


def test_assigned_buffers_keep_their_tensor():
    class Follower(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("mean", lucid.zeros(3))

        def forward(self, x):
            self.mean = 0.5 * self.mean + 0.5 * x.mean(dim=0)
            return x - self.mean

    eager, model = Follower(), Follower()
    compiled, buffer = lucid.compile(model), model.mean
    for x, _ in batches(4):
        close(compiled(x).tolist(), eager(x).tolist(), ROUNDING)
    close(buffer.tolist(), eager.mean.tolist(), ROUNDING)
    assert model.mean is buffer and compiled.retraces.count == 0


def test_the_function_can_set_the_mode():
    model = nn.Sequential(nn.Dropout(0.5))

    @lucid.compile(state=model)
    def evaluate(x):
        model.eval()
        return model(x)

    x = lucid.ones(16)
    for _ in range(3):
        model.train()
        assert evaluate(x).tolist() == [1.0] * 16
        assert not model.training and not model[0].training
    assert evaluate.retraces.count <= 1


def test_nested_arguments_and_results():
    @lucid.compile
    def mixed(pair, *, options):
        (a, b), scale = pair, options["scale"]
        return {"sum": a + b * scale, "list": [a, (b, options["name"], None)], "raw": options["raw"] + 1}

    a, b = lucid.ones(2), np.full(2, 3.0)
    for _ in range(2):
        out = mixed((a, b), options={"scale": lucid.tensor(2.0), "name": "x", "raw": mx.array([1, 2])})
        assert out["sum"].tolist() == [7, 7] and out["list"][0] is a
        assert out["list"][1][0].tolist() == [3, 3] and out["list"][1][1:] == ("x", None)
        assert isinstance(out["raw"], mx.array) and out["raw"].tolist() == [2, 3]
    assert mixed.retraces.count == 0


def test_functions_keep_their_names_and_methods_bind():
    class Doubler:
        @lucid.compile
        def twice(self, x):
            """Two times."""
            return 2 * x

    assert Doubler.twice.__name__ == "twice" and Doubler.twice.__doc__ == "Two times."
    assert Doubler().twice(lucid.ones(2)).tolist() == [2, 2]
    assert repr(Doubler.twice) == "<compiled twice; graphs: 1, retraces: 0>"


def test_compiled_functions_inside_compiled_functions():
    inner = lucid.compile(lambda x: x.exp() + 1)
    outer = lucid.compile(lambda x: inner(x) * 2)
    x = lucid.tensor([0.0, 1.0])
    for _ in range(2):
        np.testing.assert_allclose(outer(x).tolist(), [4, 2 * (np.e + 1)], rtol=1e-6)


def test_arguments_that_are_written_or_accumulate_gradients():
    def function(x, y):
        (x.exp() * 2).sum().backward()
        y.mul_(3.0)
        return x.grad

    def run(call):
        x, owner = lucid.tensor([0.0, 1.0], requires_grad=True), lucid.ones(4)
        grads = [call(x, owner[1:3]).tolist() for _ in range(3)]
        return grads, x.grad.tolist(), owner.tolist()

    compiled = lucid.compile(function)
    close(run(compiled), run(function), 1e-6)
    assert run(compiled)[2] == [1, 27, 27, 1]


def test_empty_arrays_and_scalars():
    total = lucid.compile(lambda x: (x.sum(), x * 2))
    for shape in [(0, 3), (), (1,), (7,)]:
        x = lucid.ones(*shape) if shape else lucid.tensor(1.0)
        assert total(x)[0].item() == x.numel() and total(x)[1].shape == shape


def test_user_errors_propagate_unchanged():
    def broken(x):
        raise KeyError("the user's own")

    with pytest.raises(KeyError, match="the user's own") as found:
        lucid.compile(broken)(lucid.ones(1))
    assert any(entry.name == "broken" for entry in found.traceback)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((3,), "compile: expected a function or a module, got int"),
        ((lucid.compile(abs),), "compile: <compiled abs; graphs: 0, retraces: 0> is already compiled"),
    ],
)
def test_unsupported_functions(arguments, message):
    with pytest.raises(TypeError) as found:
        lucid.compile(*arguments)
    assert str(found.value) == message


def test_each_device_has_its_own_graph(monkeypatch):
    calls = SimpleQueue()

    @lucid.compile
    def doubled(x):
        calls.put(1)
        return x * 2

    for device in (mx.Device(mx.cpu), SimpleNamespace(type="gpu"), mx.Device(mx.cpu), SimpleNamespace(type="gpu")):
        with monkeypatch.context() as patch:
            patch.setattr(mx, "default_device", lambda device=device: device)
            assert doubled(lucid.ones(2)).tolist() == [2, 2]
    assert calls.qsize() == 2 and doubled.retraces.count == 1
    assert "the device: " in doubled.retraces.reasons[0]


def test_requires_grad_of_an_argument_is_kept():
    @lucid.compile
    def step(x, y):
        x.requires_grad_()
        loss = (x * x * y).sum()
        loss.backward()
        return loss.detach()

    x, y = lucid.tensor([1.0, 2.0]), lucid.ones(2)
    for count in (1, 2, 3):  # gradients add up, as in eager mode
        step(x, y)
        assert x.requires_grad and not y.requires_grad and x.grad.tolist() == [2.0 * count, 4.0 * count]

    @lucid.compile
    def product(x):
        return x.requires_grad_() * 3

    z = lucid.ones(2)
    product(z).sum().backward()
    assert z.requires_grad and z.grad.tolist() == [3, 3]

    @lucid.compile
    def freeze(x):
        return x.requires_grad_(False) * 2

    assert not freeze(x).requires_grad and not x.requires_grad
