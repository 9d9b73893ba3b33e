"""What a function changes beside its state is found, named, and put back."""

import warnings
from functools import partial

import pytest

import lucid
import lucid.nn.functional as F
from lucid import metrics, nn, optim
from tests._compile.steps import batches, everything, small_model, small_step


def refused(function, state, *args):
    with pytest.raises(RuntimeError) as found:
        lucid.compile(function, state=state)(*args)
    return str(found.value)


def test_an_optimizer_or_a_model_that_is_not_listed():
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
def test_a_metric_a_scaler_or_an_average_that_is_not_listed(make):
    used = make()
    message = refused(lambda x: (used.state_tensors(), x), [], lucid.ones(2))
    assert f"uses 'used' ({type(used).__name__}), which is not in state, so its state would be frozen" in message


def test_a_loss_need_not_be_listed_and_is_watched():
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


def test_objects_of_methods_partials_and_containers_are_looked_through():
    class Trainer:
        def __init__(self):
            self.net, self.models = small_model(), [small_model()]

        def predict(self, x):
            return self.net(x)

        def __call__(self, x):
            return self.models[0](x)

    trainer, x = Trainer(), batches(1)[0][0]
    frozen = "which is not in state, so its parameters would be frozen"
    assert f"compile(predict): the function uses 'net' (Linear), {frozen}" in refused(trainer.predict, [], x)
    assert f"compile(function): the function uses 'models' (Linear), {frozen}" in refused(trainer, [], x)
    assert f"the function uses 'self' (Linear), {frozen}" in refused(partial(lambda net, x: net(x), trainer.net), [], x)
    bound = lucid.compile(trainer.predict, state=trainer.net)
    for _ in range(2):
        trainer.net.weight.detach().mul_(2.0)
        assert bound(x).tolist() == trainer.predict(x).tolist()
    assert bound.retraces.count == 0


def test_a_hidden_optimizer():
    model = small_model()
    hidden = [{"optimizer": optim.AdamW(model.parameters(), lr=0.1)}]

    def step(x, y):
        F.cross_entropy(model(x), y).backward()
        hidden[0]["optimizer"].step()

    before = everything(model, hidden[0]["optimizer"])
    assert refused(step, model, *batches(1)[0]) == (
        "compile(step): AdamW took a step inside but is not in state, so its state "
        "would be frozen; list it: lucid.compile(function, state=[..., optimizer])"
    )
    assert everything(model, hidden[0]["optimizer"]) == before and hidden[0]["optimizer"]._step_calls == 0


def test_a_hidden_parameter_collects_a_gradient():
    holder = [[small_model()]]

    def step(x, y):
        F.cross_entropy(holder[0][0](x), y).backward()

    message = refused(step, [], *batches(1)[0])
    assert message.startswith("compile(step): the gradient of 'weight' of a Linear (shape (3, 3)) was changed inside")
    assert holder[0][0].weight.grad is None and holder[0][0].bias.grad is None


def test_a_hidden_buffer_is_updated():
    holder = [[nn.BatchNorm1d(3)]]
    message = refused(lambda x: holder[0][0](x), [], batches(1)[0][0])
    assert message == (
        "compile(<lambda>): the value of 'running_mean' of a BatchNorm1d (shape (3,)) was changed inside but is not in "
        "state, so it would be frozen; list what it belongs to: lucid.compile(function, state=[...]), or return the "
        "new value"
    )
    assert holder[0][0].running_mean.tolist() == [0, 0, 0] and holder[0][0].num_batches_tracked.item() == 0


@pytest.mark.parametrize(
    "write",
    [lambda t: t.add_(1), lambda t: t.copy_(3.0), lambda t: t.__setitem__(0, 2.0), lambda t: t[:1].mul_(2)],
    ids=["add_", "copy_", "setitem", "view"],
)
def test_a_tensor_of_a_closure_is_written(write):
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


def test_a_tensor_that_is_kept():
    history, model = [], nn.Identity()

    def step(x):
        history.append(x * 2)
        return x

    def remember(x):
        model.features = x * 2
        return model(x)

    ending = "(shape (2,)) was computed inside and kept, and has no value outside; return it instead"
    assert refused(step, [], lucid.ones(2)) == f"compile(step): an item of 'history' {ending}"
    assert refused(remember, model, lucid.ones(2)) == f"compile(remember): 'features' of a Identity {ending}"
    assert not hasattr(model, "features")


def test_constants_may_be_kept():
    cache = {}

    @lucid.compile
    def shifted(x):
        cache.setdefault("shift", lucid.arange(3))
        return x + cache["shift"]

    assert shifted(lucid.ones(3)).tolist() == [1, 2, 3] and cache["shift"].tolist() == [0, 1, 2]


def test_schedulers_stay_outside():
    model, optimizer, step = small_step()
    scheduler = optim.lr_scheduler.StepLR(optimizer, 1)

    def whole(x, y):
        step(x, y)
        scheduler.step()

    x, y = batches(1)[0]
    before = everything(model, optimizer)
    assert refused(whole, [model, optimizer], x, y) == (
        "compile(whole): StepLR.step() was called inside, and the learning rate would stand still; call it after the "
        "compiled function: the new rate is taken without another trace"
    )
    assert everything(model, optimizer) == before and scheduler.last_epoch == 0 and scheduler.get_last_lr() == [0.1]
    with pytest.raises(TypeError, match="got StepLR; a scheduler stays outside: call its step\\(\\) after"):
        lucid.compile(whole, state=[model, optimizer, scheduler])


def test_a_learning_rate_that_is_set_inside():
    model, optimizer, step = small_step()

    def whole(x, y):
        step(x, y)
        optimizer.param_groups[0]["lr"] = 0.5

    message = refused(whole, [model, optimizer], *batches(1)[0])
    assert message.startswith("compile(whole): the learning rate of adamw was set inside, from 0.1 to 0.5, and would")
    assert optimizer.param_groups[0]["lr"] == 0.1 and optimizer.param_groups[0].rate.item() == pytest.approx(0.1)


def test_a_counter_of_a_module_is_named():
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
    assert len(found) == 1 and "make it a buffer or a tensor in state, or count outside" in str(found[0].message)
    assert model.calls == 1 and compiled.retraces.count == 0


def test_backward_inside_from_an_argument_of_outside():
    weight = lucid.ones(2, requires_grad=True)
    message = refused(lambda x: x.sum().backward(), [], weight * 2)
    assert "backward() reached an argument that was computed outside of the function" in message
    assert "pass tensor.detach(), or compute it inside" in message and weight.grad is None
