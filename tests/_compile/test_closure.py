"""What a function takes from variables is found, and traces again when it changes."""

import warnings

import pytest

import lucid
from lucid import nn
from lucid._compile.closure import Outside, name_of, variables

FACTOR = 2.0
UNUSED = "never named inside"


def helper(x):
    return x * FACTOR


class Scaled(nn.Module):
    def forward(self, x):
        return x * FACTOR


def test_variables_of_closures_globals_helpers_and_methods():
    inner = [1]

    class Holder:
        def method(self, x):
            return [helper(one) for one in inner]

    holder = Holder()
    found = dict(variables(holder.method))
    assert found["self"] is holder and found["inner"] is inner and found["helper"] is helper
    assert found["FACTOR"] == 2.0 and "UNUSED" not in found
    assert dict(variables(nn.Sequential(Scaled())))["FACTOR"] == 2.0


def test_variables_that_are_not_there_yet():
    def function():
        return later

    assert list(variables(function)) == [] and Outside(function, {}).key({}) == ()
    later = 3
    assert list(variables(function)) == [("later", 3)] and function() == 3


def test_builtins_and_partials_have_none():
    assert list(variables(abs)) == [] and list(variables(print)) == []


def test_names_of_things():
    tensor, model = lucid.ones(1), nn.Linear(2, 2)

    class Holder:
        pass

    holder = Holder()
    holder.kept = lucid.ones(3)
    assert name_of(tensor, lambda: tensor) == "'tensor'"
    assert name_of(model.bias, abs) == "'bias' of a Linear"
    assert name_of(holder.kept, abs) == "'kept' of a Holder"
    assert name_of(lucid.ones(1), abs) == ""


def test_a_python_variable_that_changes_traces_again():
    scale = 2.0

    @lucid.compile
    def scaled(x):
        return x * scale

    assert scaled(lucid.ones(1)).item() == 2
    scale = 3.0
    assert scaled(lucid.ones(1)).item() == 3
    assert scaled.retraces.reasons == ["the variable 'scale': 2.0 -> 3.0"]


@pytest.mark.parametrize("function", [helper, Scaled(), nn.Sequential(Scaled())], ids=["helper", "module", "nested"])
def test_a_global_that_changes_traces_again(function, monkeypatch):
    compiled = lucid.compile(function)
    assert compiled(lucid.ones(1)).item() == 2
    monkeypatch.setitem(globals(), "FACTOR", 5.0)
    assert compiled(lucid.ones(1)).item() == 5
    assert compiled.retraces.reasons == ["the variable 'FACTOR': 2.0 -> 5.0"]


def test_a_tensor_that_is_not_state_and_changes_traces_again():
    weight = lucid.ones(2)
    compiled = lucid.compile(lambda x: x * weight)
    assert compiled(lucid.ones(2)).tolist() == [1, 1]
    weight.mul_(4)
    assert compiled(lucid.ones(2)).tolist() == [4, 4] and compiled(lucid.ones(2)).tolist() == [4, 4]
    assert compiled.retraces.reasons == [
        "the variable 'weight': a tensor that is not state, its value number 1 -> a tensor that is not state, its "
        "value number 2"
    ]
    listed = lucid.compile(lambda x: x * weight, state=weight)
    for _ in range(3):
        weight.add_(1)
        assert listed(lucid.ones(2)).tolist() == weight.tolist()
    assert listed.retraces.count == 0


def test_a_variable_that_the_function_changes_is_named():
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
        "compile(counted): the variable 'calls' changed from 0 to 1 inside; the Python of a compiled function runs "
        "only when it is traced, so it will stand still: make it a buffer or a tensor in state, or count outside"
    ]
    assert calls == 1 and counted.retraces.count == 0


def test_a_method_of_something_else_is_no_attribute_of_self():
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
