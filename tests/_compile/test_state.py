"""What can be listed as state, and the names of its tensors."""

import pytest

import lucid
from lucid import nn, optim
from lucid._compile.state import State
from tests._compile.steps import batches, small_model, small_step


def test_every_tensor_is_listed_once_with_its_name():
    model, optimizer, step = small_step()
    step(*batches(1)[0])
    extra = lucid.zeros(2)
    plan = State("here", {"net": model, "rest": [optimizer, (extra,)]}).plan()
    assert plan.names[:2] == ["net.weight", "net.bias"]
    assert "rest.param_groups[0].lr" in plan.names and "rest" in plan.names
    assert len({id(t) for t in plan.tensors}) == len(plan.tensors) == 2 + 1 + 1 + 4 + 1
    assert [id(t) for t in plan.leaves] == [id(model.weight), id(model.bias), id(extra)]


def test_the_plan_is_reused_until_something_is_registered():
    model = nn.Sequential(small_model(), nn.BatchNorm1d(3))
    state = State("here", [model, optim.AdamW(model.parameters())])
    plan = state.plan()
    assert state.plan() is plan
    model.eval()
    assert state.plan().number != plan.number
    model.train()
    assert state.plan().number == plan.number
    model.register_buffer("extra", lucid.zeros(1))
    assert "sequential.extra" in state.plan().names
    del model[1]
    assert not any("running" in name for name in state.plan().names)


def test_objects_of_the_same_kind_have_distinct_names():
    names = State("here", [small_model(), small_model(), lucid.zeros(1), lucid.zeros(1)]).plan().names
    assert names == ["linear.weight", "linear.bias", "linear_2.weight", "linear_2.bias", "tensor", "tensor_2"]


@pytest.mark.parametrize("thing", [3, "model", object(), None])
def test_unsupported_state(thing):
    with pytest.raises(TypeError, match=r"compile\(<lambda>\): state must hold modules, optimizers, tensors"):
        lucid.compile(lambda x: x, state=[thing])


def test_a_generator_of_parameters_is_state():
    model = small_model()
    assert [id(t) for t in State("here", model.parameters()).plan().tensors] == [id(model.weight), id(model.bias)]
