"""A snapshot finds what has changed since, and puts it back."""

import copy
import gc

import pytest

import lucid
from lucid import nn, optim
from lucid._compile.watch import Snapshot
from tests._compile.steps import batches, everything, small_model, small_step


def test_what_changed_is_found():
    a, b, c, same = (lucid.ones(1) for _ in range(4))
    before = Snapshot([])
    a.add_(1)
    b.grad = lucid.ones(1)
    c.requires_grad_()
    found = {id(tensor): what for tensor, what in before.changed(set())}
    assert found == {id(a): "value", id(b): "gradient", id(c): "requires_grad"}
    assert [what for _, what in before.changed({id(a), id(c)})] == ["gradient"] and same.item() == 1


def test_everything_is_put_back():
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


def test_attributes_of_other_objects_are_put_back():
    class Scale:
        def __init__(self):
            self.factor = 2.0

    scale = Scale()
    before = Snapshot([scale, object()])
    scale.factor, scale.more = 3.0, 1
    before.restore_containers()
    assert vars(scale) == {"factor": 2.0}


def test_values_that_are_kept_and_can_be_computed_are_no_fault():
    before = Snapshot([])
    kept = [lucid.ones(2) * 3]
    assert list(before.kept(set())) == [] and kept[0].tolist() == [3, 3]


def test_objects_that_the_collector_does_not_see():
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
