"""Loading state into parts is all or nothing."""

import random

import numpy as np
import pytest

import lucid
from lucid import nn, optim
from lucid.checkpoint import CheckpointError
from lucid.checkpoint.state_protocols import check_parts, load_parts, pack_parts
from lucid.serialization.tree import unpack


def states(parts):
    return {name: unpack(*packed) for name, packed in pack_parts("here", parts).items()}


def trained():
    model = nn.Linear(3, 2)
    optimizer = optim.AdamW(model.parameters())
    model(lucid.randn(4, 3)).sum().backward()
    optimizer.step()
    return {"model": model, "optimizer": optimizer, "random": lucid.random, "numbers": (1, 2)}


def values(parts):
    moments = [t.tolist() for one in parts["optimizer"].state_dict()["state"].values() for t in one.values()]
    return [p.tolist() for p in parts["model"].parameters()], moments, lucid.random.get_state().tolist()


def test_parts_are_loaded_and_plain_values_returned():
    parts = trained()
    saved, want = states(parts), values(parts)
    other = trained()
    assert values(other) != want
    assert load_parts("here", other, saved, True) == {"numbers": (1, 2)}
    assert values(other) == want


@pytest.mark.parametrize("generator", [np.random, np.random.RandomState(1), random, random.Random(1)])
def test_numpy_and_python_generators_can_be_parts(generator):
    saved = states({"generator": generator})
    first = [generator.random() for _ in range(5)]
    load_parts("here", {"generator": generator}, saved, True)
    assert [generator.random() for _ in range(5)] == first


def test_a_part_that_does_not_fit_leaves_all_parts_unchanged():
    parts = trained()
    saved = states(parts)
    other = {**trained(), "optimizer": optim.SGD(nn.Linear(3, 2).parameters())}
    before = values(other)
    with pytest.raises(CheckpointError, match="here: 'optimizer' does not fit, nothing was loaded: SGD.load_state"):
        load_parts("here", other, saved, True)
    assert values(other) == before


def test_a_partially_loaded_part_is_restored():
    class Half:
        def __init__(self):
            self.a, self.b = 1, 2

        def state_dict(self):
            return {"a": self.a, "b": self.b}

        def load_state_dict(self, state):
            self.a = state["a"]
            self.b = state["b"]

    half, model = Half(), nn.Linear(3, 2)
    before = model.weight.tolist()
    saved = {"model": nn.Linear(3, 2).state_dict(), "half": {"a": 5}}
    with pytest.raises(CheckpointError, match="'half' does not fit"):
        load_parts("here", {"model": model, "half": half}, saved, True)
    assert (half.a, half.b, model.weight.tolist()) == (1, 2, before)


def test_names_must_match():
    model, saved = nn.Linear(3, 2), {"model": nn.Linear(3, 2).state_dict(), "ema": 1}
    before = model.weight.tolist()
    message = "(?s)strict=False.*missing in the checkpoint: optimizer.*not requested: ema"
    with pytest.raises(CheckpointError, match=message):
        load_parts("here", {"model": model, "optimizer": 0}, saved, True)
    assert model.weight.tolist() == before
    assert load_parts("here", {"model": model, "optimizer": 0}, saved, False) == {}
    assert model.weight.tolist() == saved["model"]["weight"].tolist()


@pytest.mark.parametrize("parts", [[], {}, None, nn.Linear(1, 1)])
def test_parts_must_be_a_dictionary(parts):
    with pytest.raises(TypeError, match='state must be a dictionary such as {"model": model}'):
        check_parts("here", parts)


def test_a_value_that_cannot_be_saved_is_named():
    with pytest.raises(TypeError, match="here: 'run': cannot save options of type set"):
        pack_parts("here", {"run": {"options": {1}}})
