"""``ParameterList`` and ``ParameterDict`` behave like a list and a dict, and register parameters."""

import copy

import pytest

import lucid
from lucid import nn


def test_a_list_registers_its_parameters():
    weights = nn.ParameterList([lucid.ones(2), nn.Parameter(lucid.zeros(3))])
    assert isinstance(weights[0], nn.Parameter) and len(weights) == 2
    weights.append(lucid.ones(1)).extend([lucid.ones(4)])
    weights += [lucid.ones(5)]
    assert [one.numel() for one in weights] == [2, 3, 1, 4, 5]
    assert list(weights.state_dict()) == ["0", "1", "2", "3", "4"]
    weights[-1] = nn.Parameter(lucid.ones(7))
    assert weights[4].numel() == 7 and [one.numel() for one in weights[1:3]] == [3, 1]
    assert weights.pop(0).numel() == 2 and list(weights.state_dict()) == ["0", "1", "2", "3"]
    assert len(list(copy.deepcopy(weights).parameters())) == 4
    assert "(0): Parameter of shape (3,)" in repr(weights)


def test_a_dict_registers_its_parameters():
    weights = nn.ParameterDict({"left": lucid.ones(2)})
    weights["right"] = lucid.zeros(3)
    weights.update([("middle", nn.Parameter(lucid.ones(1)))])
    assert list(weights) == list(weights.keys()) == ["left", "right", "middle"] and "left" in weights
    assert [one.numel() for one in weights.values()] == [2, 3, 1]
    assert weights.get("other") is None and weights.setdefault("left") is weights["left"]
    assert list((weights | nn.ParameterDict({"new": lucid.ones(1)})).state_dict()) == ["left", "right", "middle", "new"]
    assert weights.pop("left").numel() == 2 and weights.popitem()[0] == "middle"
    assert list(weights.copy()) == ["right"] == list(weights.state_dict())
    weights.clear()
    assert len(weights) == 0


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (lambda: nn.ParameterList([1.0])[1], IndexError, "index 1 is out of range for 1 values"),
        (lambda: nn.ParameterList(lucid.ones(2)), TypeError, "values must be an iterable of tensors, got Tensor"),
        (lambda: nn.ParameterDict({})["a"], KeyError, "no value 'a'; available: none"),
        (lambda: nn.ParameterDict(3), TypeError, "expected a mapping or pairs, got int"),
        (lambda: nn.ParameterDict([1]), TypeError, "expected a mapping or pairs, got 1 among them"),
    ],
)
def test_wrong_arguments_are_named(use, error, message):
    with pytest.raises(error, match=message):
        use()
