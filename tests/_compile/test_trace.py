"""Inputs and outputs of a graph."""

import gc
import weakref

import mlx.core as mx
import pytest

import lucid
from lucid import _deferred, nn, optim, random
from lucid._compile.aliases import Binding
from lucid._compile.arguments import Arguments, Structure
from lucid._compile.guards import Snapshot
from lucid._compile.state import State
from lucid._compile.trace import StaleTrace, Trace
from lucid._compile.world import World


def trace_of(function, state, *args):
    """A trace, and the inputs of its first run."""
    state = State("here", state)
    plan = state.plan()
    arguments = Arguments("here", args, {}, plan.places)
    grads = [leaf.grad for leaf in plan.leaves]
    shape = Structure.of(args, {}, plan.places)
    requires = [tensor.requires_grad for tensor in arguments.tensors]
    view = World(function).look(plan, [])
    trace = Trace(
        "here", function, state, plan, view, lambda: view, shape, grads, requires, [], Snapshot([]), Binding([], [])
    )
    inputs = [t._array for t in plan.tensors] + [g._array for g in grads if g is not None]
    return trace, [*inputs, *(t._array for t in arguments.tensors), random._current()]


def test_outputs_are_what_changed():
    total, kept = lucid.ones(2), lucid.ones(3)
    trace, inputs = trace_of(lambda x: total.add_(x) * 2, [total, kept], lucid.ones(2))
    outputs = trace.run(inputs)
    assert trace.writes == [(0, 0, False)] and trace.key == -1 and trace.gradients == [] and trace.changes
    assert [one.tolist() for one in outputs] == [[2, 2], [4, 4]]
    assert total.tolist() == [1, 1], "the tensors are restored"


def test_a_pure_function_outputs_only_its_result():
    trace, inputs = trace_of(lambda x: (x, x + 1, x + 1, "word"), [], lucid.ones(2))
    assert [one.tolist() for one in trace.run(inputs)] == [[2, 2]], "equal operations are computed once"
    assert not trace.changes and trace.result[0].kind == "state" and trace.result[3] == "word"


def test_gradients_and_the_random_key_are_outputs():
    model = nn.Sequential(nn.Linear(2, 1, bias=False), nn.Dropout(0.5))
    model[0].weight.grad = former = lucid.ones(1, 2)
    trace, inputs = trace_of(lambda x: model(x).sum().backward(), model, lucid.ones(4, 2))
    outputs = trace.run(inputs)
    assert trace.gradients == [(0, 0, True)] and trace.key == 1 and trace.writes == [] and trace.result is None
    assert outputs[0].shape == (1, 2) and outputs[1].dtype == mx.uint32
    assert model[0].weight.grad is former


def test_a_recipe_runs_once():
    trace, inputs = trace_of(lambda x: x * 2, [], lucid.ones(2))
    trace.run(inputs)
    with pytest.raises(StaleTrace):
        trace.run(inputs)


def test_a_call_releases_what_it_replaces_before_it_evaluates(monkeypatch):
    model = nn.Linear(3, 2)
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

    @lucid.compile(state=[model, optimizer])
    def step(x):
        optimizer.zero_grad()
        loss = model(x).square().sum()
        loss.backward()
        optimizer.step()
        return loss

    for _ in range(4):
        step(lucid.ones(2, 3)).item()
    states = [tensor for p in model.parameters() for tensor in (p, *optimizer.state[p].values())]
    before = [weakref.ref(tensor._array) for tensor in states]
    alive = []
    evaluate = _deferred.evaluate
    monkeypatch.setattr(
        _deferred, "evaluate", lambda arrays: (alive.append(sum(one() is not None for one in before)), evaluate(arrays))
    )
    gc.disable()
    try:
        step(lucid.ones(2, 3))
    finally:
        gc.enable()
    assert alive == [0], "MLX reuses the memory of the former values only if nobody holds them"
