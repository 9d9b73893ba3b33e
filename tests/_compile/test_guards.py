"""Captured variables, changes and leaked tensors are detected, named and undone."""

import copy
import gc
import re
import warnings
from functools import partial
from queue import SimpleQueue

import pytest

import lucid
import lucid.nn.functional as F
from lucid import metrics, nn, optim
from lucid._compile.guards import Snapshot, name_of
from lucid._compile.state import EMPTY_PLAN
from lucid._compile.world import World
from tests._compile.steps import batches, everything, small_model, small_step

FACTOR = 2.0
UNUSED = "never named inside"


def helper(x):
    return x * FACTOR


def hide(thing):
    """In a place that no walk looks into."""
    hidden = SimpleQueue()
    hidden.put(thing)
    return hidden


def take(hidden):
    thing = hidden.get()
    hidden.put(thing)
    return thing


class Scaled(nn.Module):
    def forward(self, x):
        return x * FACTOR


def test_names_of_objects():
    model, tensor = nn.Linear(2, 2), lucid.ones(1)

    class Holder:
        pass

    holder = Holder()
    holder.kept = lucid.ones(3)
    view = World(lambda: tensor).look(EMPTY_PLAN, [])
    assert name_of(tensor, view) == "'tensor'"
    assert name_of(model.bias) == "'bias' of a Linear"
    assert name_of(holder.kept) == "'kept' of a Holder"
    assert name_of(lucid.ones(1)) == ""


def test_a_changed_python_variable_retraces():
    scale = 2.0

    @lucid.compile
    def scaled(x):
        return x * scale

    assert scaled(lucid.ones(1)).item() == 2
    scale = 3.0
    assert scaled(lucid.ones(1)).item() == 3
    assert scaled.retraces.reasons == ["the variable 'scale': 2.0 -> 3.0"]


@pytest.mark.parametrize("function", [helper, Scaled(), nn.Sequential(Scaled())], ids=["helper", "module", "nested"])
def test_a_changed_global_retraces(function, monkeypatch):
    compiled = lucid.compile(function)
    assert compiled(lucid.ones(1)).item() == 2
    monkeypatch.setitem(globals(), "FACTOR", 5.0)
    assert compiled(lucid.ones(1)).item() == 5
    assert compiled.retraces.reasons == ["the variable 'FACTOR': 2.0 -> 5.0"]


def test_a_changed_tensor_that_is_not_state_is_used():
    weight = lucid.ones(2)
    compiled = lucid.compile(lambda x: x * weight)
    assert compiled(lucid.ones(2)).tolist() == [1, 1]
    weight.mul_(4)
    assert compiled(lucid.ones(2)).tolist() == [4, 4] and compiled(lucid.ones(2)).tolist() == [4, 4]
    weight = lucid.full((2,), 7.0)
    assert compiled(lucid.ones(2)).tolist() == [7, 7]
    assert compiled.retraces.count == 0, "it is an input of the graph"
    listed = lucid.compile(lambda x: x * weight, state=weight)
    for _ in range(3):
        weight.add_(1)
        assert listed(lucid.ones(2)).tolist() == weight.tolist()
    assert listed.retraces.count == 0


def test_a_variable_that_the_function_changes_is_reported():
    calls = 0

    @lucid.compile
    def counted(x):
        nonlocal calls
        calls += 1
        return x * 2

    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        for _ in range(3):
            counted(lucid.ones(1))
    assert [str(one.message) for one in found] == [
        "compile(counted): the variable 'calls' changed from 0 to 1 inside; the Python code of a compiled "
        "function runs only during tracing, so it will not change again: make it a buffer or a tensor in state, or "
        "update it outside"
    ]
    assert calls == 1 and counted.retraces.count == 0


def test_a_method_of_another_object_is_not_an_attribute_of_self():
    class Scaler:
        def step(self, x):
            return x * 2

    class Trainer:
        def __init__(self):
            self.scaler, self.step, self.factor = Scaler(), 0, 3

        def run(self, x):
            return self.scaler.step(x) * self.factor

    trainer = Trainer()
    run = lucid.compile(trainer.run)
    for trainer.step in range(3):
        assert run(lucid.ones(1)).tolist() == [6]
    assert run.retraces.count == 0
    trainer.factor = 5
    assert run(lucid.ones(1)).tolist() == [10] and run.retraces.count == 1


# Snapshots ---------------------------------------------------------------------------------------------------------


def test_changes_are_detected():
    a, b, c, same = (lucid.ones(1) for _ in range(4))
    before = Snapshot([])
    a.add_(1)
    b.grad = lucid.ones(1)
    c.requires_grad_()
    found = {id(tensor): what for tensor, what in before.changed(set())}
    assert found == {id(a): "value", id(b): "gradient", id(c): "requires_grad"}
    assert [what for _, what in before.changed({id(a), id(c)})] == ["gradient"] and same.item() == 1


def test_everything_is_restored():
    model = nn.Sequential(small_model(), nn.BatchNorm1d(3), nn.Dropout(0.5))
    optimizer = optim.AdamW(model.parameters(), lr=0.1)
    scheduler = optim.lr_scheduler.StepLR(optimizer, 1)
    _, _, step = small_step(model, optimizer)
    step(*batches(1)[0])
    state, schedule = everything(model, optimizer), copy.deepcopy(scheduler.state_dict())
    names, gradients = list(model.state_dict()), [p.grad for p in model.parameters()]

    before = Snapshot([])
    step(*batches(1)[0])
    scheduler.step()
    model.register_buffer("extra", lucid.ones(1))
    model[2].p = 0.1
    optimizer.param_groups[0]["weight_decay"] = 0.7
    optimizer.add_param_group({"params": [lucid.ones(1, requires_grad=True)]})
    optimizer.state.clear()
    assert list(before.stepped()) == [optimizer, scheduler]
    before.restore()
    before.restore_containers()

    assert everything(model, optimizer) == state and scheduler.state_dict() == schedule
    assert list(model.state_dict()) == names and model[2].p == 0.5
    assert optimizer.param_groups[0]["weight_decay"] == 0.01 and optimizer.param_groups[0]["lr"] == 0.1
    assert all(p.grad is g for p, g in zip(model.parameters(), gradients, strict=True))


def test_attributes_of_other_objects_are_restored():
    class Scale:
        def __init__(self):
            self.factor = 2.0

    scale = Scale()
    before = Snapshot([scale, object()])
    scale.factor, scale.more = 3.0, 1
    before.restore_containers()
    assert vars(scale) == {"factor": 2.0}


def test_stored_values_that_can_be_computed_are_allowed():
    before = Snapshot([])
    kept = [lucid.ones(2) * 3]
    assert list(before.leaked(set())) == [] and kept[0].tolist() == [3, 3]


def test_objects_hidden_from_the_garbage_collector():
    model, optimizer, step = small_step()
    compiled = lucid.compile(step, state=[model, optimizer])
    gc.collect()
    gc.freeze()
    try:
        before = everything(model, optimizer)
        with pytest.raises(RuntimeError, match="item"):
            lucid.compile(lambda x, y: step(x, y).item(), state=[model, optimizer])(*batches(1)[0])
        assert everything(model, optimizer) == before
        losses = [compiled(x, y).item() for x, y in batches(3)]
    finally:
        gc.unfreeze()
    _, _, again = small_step()
    assert losses == pytest.approx([again(x, y).item() for x, y in batches(3)], rel=1e-5)


# Checks ------------------------------------------------------------------------------------------------------------


def refused(function, state, *args):
    """The error of a compiled call, without the file and line that it may name."""
    with pytest.raises(RuntimeError) as found:
        lucid.compile(function, state=state)(*args)
    return re.sub(r"(?<=: )/\S+\.py, line \d+: ", "", str(found.value))


def test_an_unlisted_optimizer_or_model():
    model, optimizer, step = small_step()
    x, y = batches(1)[0]
    before = everything(model, optimizer)
    assert refused(step, [model], x, y) == (
        "compile(step): the function uses 'optimizer' (AdamW), which is not in state, so its state would be frozen; "
        "list it: lucid.compile(function, state=[optimizer])"
    )
    assert refused(step, [optimizer], x, y) == (
        "compile(step): the function uses 'model' (Linear), which is not in state, so its parameters would be frozen; "
        "list it: lucid.compile(function, state=[model])"
    )
    assert everything(model, optimizer) == before


@pytest.mark.parametrize("make", [metrics.Accuracy, lucid.amp.GradScaler, lambda: optim.EMA(small_model())])
def test_an_unlisted_metric_scaler_or_average(make):
    used = make()
    message = refused(lambda x: (used.state_tensors(), x), [], lucid.ones(2))
    assert f"uses 'used' ({type(used).__name__}), which is not in state, so its state would be frozen" in message


def test_a_loss_need_not_be_listed_but_is_watched():
    model, criterion, kinds = small_model(), nn.CrossEntropyLoss(), {"drop": nn.Dropout(0.5)}
    x, y = batches(1)[0]

    def loss(x, y):
        return criterion(kinds["drop"](model(x)), y)

    compiled = lucid.compile(loss, state=model)
    kinds["drop"].eval()
    assert compiled(x, y).item() == pytest.approx(loss(x, y).item(), rel=1e-6) and compiled.retraces.count == 0
    criterion.label_smoothing = 0.3
    assert compiled(x, y).item() == pytest.approx(loss(x, y).item(), rel=1e-6) and compiled.retraces.count == 1
    kinds["drop"].train()
    assert compiled(x, y).item() != compiled(x, y).item() and compiled.retraces.count == 2
    weighted = nn.CrossEntropyLoss(weight=lucid.ones(3))
    assert "uses 'weighted' (CrossEntropyLoss), which is not in state" in refused(lambda: weighted(x, y), [])


def test_bound_objects_partials_and_containers_are_searched():
    class Trainer:
        def __init__(self):
            self.net, self.models = small_model(), [small_model()]

        def predict(self, x):
            return self.net(x)

        def __call__(self, x):
            return self.models[0](x)

    trainer, x = Trainer(), batches(1)[0][0]
    frozen = "which is not in state, so its parameters would be frozen"
    assert f"compile(predict): the function uses 'net' of a Trainer (Linear), {frozen}" in refused(
        trainer.predict, [], x
    )
    assert f"compile(function): the function uses 'models[0]' of a Trainer (Linear), {frozen}" in refused(
        trainer, [], x
    )
    assert f"the function uses 'argument 0 of the partial' (Linear), {frozen}" in refused(
        partial(lambda net, x: net(x), trainer.net), [], x
    )
    bound = lucid.compile(trainer.predict, state=trainer.net)
    for _ in range(2):
        trainer.net.weight.detach().mul_(2.0)
        assert bound(x).tolist() == trainer.predict(x).tolist()
    assert bound.retraces.count == 0


def test_a_hidden_optimizer():
    model = small_model()
    optimizer = optim.AdamW(model.parameters(), lr=0.1)
    hidden = hide(optimizer)

    def step(x, y):
        F.cross_entropy(model(x), y).backward()
        take(hidden).step()

    before = everything(model, optimizer)
    assert refused(step, model, *batches(1)[0]) == (
        "compile(step): AdamW took a step inside but is not in state, so its state "
        "would be frozen; list it: lucid.compile(function, state=[..., optimizer])"
    )
    assert everything(model, optimizer) == before and optimizer._step_calls == 0


def test_a_hidden_parameter_accumulates_a_gradient():
    model = small_model()
    hidden = hide(model)

    def step(x, y):
        F.cross_entropy(take(hidden)(x), y).backward()

    message = refused(step, [], *batches(1)[0])
    assert message.startswith("compile(step): the gradient of 'bias' of a Linear (shape (3,)) was changed inside")
    assert model.weight.grad is None and model.bias.grad is None


def test_a_hidden_buffer_is_updated():
    norm = nn.BatchNorm1d(3)
    hidden = hide(norm)
    message = refused(lambda x: take(hidden)(x), [], batches(1)[0][0])
    assert message == (
        "compile(<lambda>): the value of 'num_batches_tracked' of a BatchNorm1d (shape ()) was changed inside but is "
        "not in state, so it would be frozen; list what it belongs to: lucid.compile(function, state=[...]), or return "
        "the new value"
    )
    assert norm.running_mean.tolist() == [0, 0, 0] and norm.num_batches_tracked.item() == 0


@pytest.mark.parametrize(
    "write",
    [lambda t: t.add_(1), lambda t: t.copy_(3.0), lambda t: t.__setitem__(0, 2.0), lambda t: t[:1].mul_(2)],
    ids=["add_", "copy_", "setitem", "view"],
)
def test_a_write_to_a_closure_tensor(write):
    total = lucid.ones(2)

    def step(x):
        write(total)
        return x

    message = refused(step, [], lucid.ones(1))
    assert message.startswith("compile(step): the value of 'total' (shape (2,)) was changed inside but is not in state")
    assert total.tolist() == [1, 1]
    assert lucid.compile(step, state=total)(lucid.ones(1)).tolist() == [1]


def test_requires_grad_of_a_closure_tensor():
    weight = lucid.ones(2)
    message = refused(lambda x: x * weight.requires_grad_(), [], lucid.ones(2))
    assert "the requires_grad of 'weight' (shape (2,)) was changed inside" in message
    assert not weight.requires_grad


def test_a_leaked_tensor():
    history, model = [], nn.Identity()

    def step(x):
        history.append(x * 2)
        return x

    def remember(x):
        model.features = x * 2
        return model(x)

    ending = "(shape (2,)) was computed inside and stored, but has no value outside; return it instead"
    assert refused(step, [], lucid.ones(2)) == f"compile(step): an item of 'history' {ending}"
    assert refused(remember, model, lucid.ones(2)) == f"compile(remember): 'features' of a Identity {ending}"
    assert not hasattr(model, "features")


def test_constants_may_be_stored():
    cache = {}

    @lucid.compile
    def shifted(x):
        cache.setdefault("shift", lucid.arange(3))
        return x + cache["shift"]

    assert shifted(lucid.ones(3)).tolist() == [1, 2, 3] and cache["shift"].tolist() == [0, 1, 2]


def test_schedulers_step_outside():
    model, optimizer, step = small_step()
    scheduler = optim.lr_scheduler.StepLR(optimizer, 1)

    def whole(x, y):
        step(x, y)
        scheduler.step()

    x, y = batches(1)[0]
    before = everything(model, optimizer)
    assert refused(whole, [model, optimizer], x, y) == (
        "compile(whole): StepLR.step() was called inside, so the learning rate would be frozen; call it after the "
        "compiled function: the new learning rate needs no retrace"
    )
    assert everything(model, optimizer) == before and scheduler.last_epoch == 0 and scheduler.get_last_lr() == [0.1]
    with pytest.raises(TypeError, match="got StepLR; call a scheduler's step\\(\\) after the compiled function"):
        lucid.compile(whole, state=[model, optimizer, scheduler])


def test_a_learning_rate_that_is_set_inside():
    model, optimizer, step = small_step()

    def whole(x, y):
        step(x, y)
        optimizer.param_groups[0]["lr"] = 0.5

    message = refused(whole, [model, optimizer], *batches(1)[0])
    assert message.startswith("compile(whole): the learning rate of adamw was set inside, from 0.1 to 0.5, and would")
    assert optimizer.param_groups[0]["lr"] == 0.1 and optimizer.param_groups[0].lr_tensor.item() == pytest.approx(0.1)


def test_a_counter_in_a_module_is_reported():
    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.calls = 0

        def forward(self, x):
            self.calls += 1
            return x * 2

    model = Counting()
    compiled = lucid.compile(model)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        assert [compiled(lucid.ones(1)).item() for _ in range(3)] == [2, 2, 2]
    assert "compile(Counting): counting.calls changed from 0 to 1 inside" in str(found[0].message)
    assert len(found) == 1 and "make it a buffer or a tensor in state, or update it outside" in str(found[0].message)
    assert model.calls == 1 and compiled.retraces.count == 0


def test_backward_into_the_graph_of_an_argument():
    weight = lucid.ones(2, requires_grad=True)
    message = refused(lambda x: x.sum().backward(), [], weight * 2)
    assert "backward() reached an argument that was computed outside the function" in message
    assert "pass tensor.detach(), or compute it inside" in message and weight.grad is None
