"""Containers behave like lists and dicts, and register their modules."""

from collections import OrderedDict

import pytest

import lucid
from lucid import nn


def row(kind, count):
    modules = [nn.Linear(1, i + 1) for i in range(count)]
    return kind(*modules) if kind is nn.Sequential else kind(modules), modules


KINDS = pytest.mark.parametrize("kind", [nn.Sequential, nn.ModuleList])


@KINDS
def test_indexing_and_slicing(kind):
    found, modules = row(kind, 5)
    assert len(found) == 5 and list(found) == modules
    assert found[0] is modules[0] and found[-1] is modules[4] and found[lucid.tensor(2)] is modules[2]
    part = found[1:4]
    assert type(part) is kind and list(part) == modules[1:4] and list(part._modules) == ["0", "1", "2"]
    assert list(found[::-2]) == modules[::-2] and list(found[5:]) == []
    assert [name for name, _ in found.named_parameters()][:2] == ["0.weight", "0.bias"]


@KINDS
def test_changes(kind):
    found, modules = row(kind, 3)
    new = [nn.ReLU(), nn.GELU(), nn.SiLU(), nn.Tanh()]
    assert found.append(new[0]) is found
    assert found.extend([new[1]]) is found
    assert found.insert(1, new[2]) is found
    assert list(found) == [modules[0], new[2], modules[1], modules[2], new[0], new[1]]
    found.insert(-1, new[3])
    assert list(found)[-2:] == [new[3], new[1]]
    assert list(found._modules) == [str(i) for i in range(7)]
    assert found.pop() is new[1] and found.pop(1) is new[2]
    del found[0]
    assert list(found) == [modules[1], modules[2], new[0], new[3]]
    del found[1:3]
    assert list(found) == [modules[1], new[3]] and list(found._modules) == ["0", "1"]
    found[-1] = new[1]
    assert list(found) == [modules[1], new[1]]
    found.extend(found)
    assert len(found) == 4


@KINDS
@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (lambda c: c[2], IndexError, "(Sequential|ModuleList): index 2 is out of range for 2 modules"),
        (lambda c: c[-3], IndexError, "index -3 is out of range for 2 modules"),
        (lambda c: c.__setitem__(2, nn.ReLU()), IndexError, "index 2 is out of range for 2 modules"),
        (lambda c: c.__delitem__(5), IndexError, "index 5 is out of range for 2 modules"),
        (lambda c: c.insert(3, nn.ReLU()), IndexError, "index 3 is out of range for 2 modules"),
        (lambda c: c.pop(2), IndexError, "index 2 is out of range"),
        (lambda c: c["a"], TypeError, "(Sequential|ModuleList): index must be an integer or a slice, got 'a'"),
        (lambda c: c.append(3), TypeError, "add_module: 2 must be a Module or None, got int"),
        (lambda c: c.extend([nn.ReLU(), "x"]), TypeError, "must be a Module or None, got str"),
        (lambda c: c.extend(3), TypeError, "(Sequential|ModuleList).extend: modules must be iterable, got int"),
        (lambda c: c.insert(0, None), TypeError, "(Sequential|ModuleList).insert: expected a Module, got NoneType"),
        (lambda c: c.__setitem__(0, 3), TypeError, "0 is a module and must be a Module or None, got int"),
    ],
)
def test_misuse_of_an_ordered_container_raises(kind, use, error, message):
    found, _ = row(kind, 2)
    with pytest.raises(error, match=message):
        use(found)


def test_sequential_calls_in_order():
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    x = lucid.randn(4, 2)
    assert net(x).tolist() == net[2](net[1](net[0](x))).tolist()
    assert net[:2](x).tolist() == net[1](net[0](x)).tolist()
    assert nn.Sequential()(x) is x


def test_sequential_with_names():
    net = nn.Sequential(OrderedDict([("one", nn.Linear(1, 1)), ("two", nn.ReLU())]))
    assert list(net.state_dict()) == ["one.weight", "one.bias"]
    assert net.one is net[0] and [name for name, _ in net.named_children()] == ["one", "two"]
    assert list(nn.Sequential({"a": nn.ReLU(), "b": nn.ReLU()})._modules) == ["a", "b"]
    part = net[1:]
    assert list(part._modules) == ["two"]
    net.append(nn.Tanh())
    assert list(net._modules) == ["one", "two", "2"]
    del net[0]
    assert list(net._modules) == ["two", "2"]


def test_named_modules_keep_their_names_on_insert():
    net = nn.Sequential({"a": nn.ReLU(), "b": nn.GELU()})
    net.insert(1, nn.Tanh())
    assert [type(one) for one in net] == [nn.ReLU, nn.Tanh, nn.GELU]
    assert net.a is net[0] and net.b is net[2]


def test_sequential_rejects_non_modules():
    with pytest.raises(TypeError, match="add_module: 1 must be a Module or None, got function"):
        nn.Sequential(nn.ReLU(), lucid.relu)
    with pytest.raises(KeyError, match="the name must be a non-empty string without dots"):
        nn.Sequential({"a.b": nn.ReLU()})


def test_a_list_accepts_any_iterable_and_concatenates():
    found = nn.ModuleList(nn.Linear(1, 1) for _ in range(2))
    same = found
    found += [nn.ReLU()]
    assert found is same and len(found) == 3
    assert len(nn.ModuleList()) == 0
    with pytest.raises(NotImplementedError, match=r"ModuleList does not define forward\(\)"):
        found(1)
    with pytest.raises(TypeError, match="ModuleList.extend: modules must be iterable, got Linear"):
        nn.ModuleList(nn.Linear(1, 1))


def test_twelve_modules_stay_in_order():
    found, modules = row(nn.ModuleList, 12)
    assert list(found) == modules and list(found.state_dict())[-1] == "11.bias"


def test_module_dict_behaves_like_a_dict():
    one, two, three = nn.Linear(1, 1), nn.ReLU(), nn.Tanh()
    found = nn.ModuleDict({"one": one, "two": two})
    assert len(found) == 2 and list(found) == ["one", "two"] == list(found.keys())
    assert "one" in found and "three" not in found and list(found.values()) == [one, two]
    assert list(found.items()) == [("one", one), ("two", two)] and found["two"] is two
    found["three"] = three
    found["two"] = three
    assert list(found.values()) == [one, three, three]
    found.update([("four", two)])
    found.update(nn.ModuleDict({"five": one}))
    assert list(found) == ["one", "two", "three", "four", "five"]
    assert found.pop("five") is one
    del found["four"]
    assert list(found.state_dict()) == ["one.weight", "one.bias"]
    found.clear()
    assert len(found) == 0 and len(nn.ModuleDict()) == 0
    assert list(nn.ModuleDict([("a", one)])) == ["a"]


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (lambda d: d["b"], KeyError, "ModuleDict: no module 'b'; available: a"),
        (lambda d: d.pop("b"), KeyError, "ModuleDict: no module 'b'; available: a"),
        (lambda d: d.__delitem__("b"), KeyError, "ModuleDict: no module 'b'"),
        (lambda d: d.__setitem__("b", 3), TypeError, "add_module: b must be a Module or None, got int"),
        (
            lambda d: d.__setitem__("b.c", nn.ReLU()),
            KeyError,
            "add_module: the name must be a non-empty string without dots",
        ),
        (
            lambda d: d.__setitem__("keys", nn.ReLU()),
            KeyError,
            "add_module: ModuleDict already has an attribute 'keys'",
        ),
        (lambda d: d.update(3), TypeError, "ModuleDict.update: modules must be a mapping or pairs, got int"),
    ],
)
def test_misuse_of_a_dict_raises(use, error, message):
    with pytest.raises(error, match=message):
        use(nn.ModuleDict({"a": nn.ReLU()}))


def test_the_deprecated_container():
    with pytest.warns(FutureWarning, match="nn.Container is deprecated"):
        model = nn.Container(first=nn.Linear(2, 3), second=nn.ReLU())
    assert [name for name, _ in model.named_children()] == ["first", "second"] and model.first.out_features == 3
