"""Keys of calls are equal exactly if one graph fits them."""

from collections import OrderedDict, namedtuple

import mlx.core as mx
import numpy as np
import pytest

import lucid
from lucid import nn, optim
from lucid._compile.arguments import Arguments, Structure, describe
from lucid._compile.state import EMPTY_PLAN
from lucid._compile.world import World

Pair = namedtuple("Pair", ["first", "second"])


class Options(dict):
    pass


class Names(list):
    pass


def key(*args, **kwargs):
    arguments = Arguments("here", args, kwargs, {})
    return arguments.key, World(abs).look(EMPTY_PLAN, [("", value) for value in arguments.values]).key


def test_keys_depend_on_shapes_dtypes_and_python_values():
    x = lucid.ones(2)
    assert key(x, [1, {"a": x}]) == key(lucid.zeros(2), [1, {"a": lucid.zeros(2)}]) or "again" in str(key(x, [x]))
    assert key(x) == key(lucid.zeros(2)) == key(np.ones(2, np.float32)) == key(np.ones(2))
    different = [
        key(x), key(lucid.ones(3)), key(x.int()), key(lucid.ones(2, requires_grad=True)), key(x.mlx), key([x]),
        key((x,)), key(Pair(x, x)), key(x, 1), key(x, 1.0), key(x, True), key(x, None), key(x, a=1), key(x, x),
        key(x, lucid.ones(2)), key({"a": x}), key({"b": x}),
        key(x, 0.0), key(x, -0.0), key(x, {1, 2}), key(x, {1, 3}), key(x, {1: 2}),
        key(x, np.float32(1)), key(x, lucid.float32), key(x, slice(1)), key(OrderedDict(a=x)),
    ]  # fmt: skip
    assert len(set(different)) == len(different)


def test_the_order_of_keywords_does_not_matter():
    assert key(a=1, b=lucid.ones(1)) == key(b=lucid.ones(1), a=1)


def test_structure_round_trip():
    x, raw = lucid.ones(2), mx.zeros(3)
    args = ([x, (raw, 5)], Pair(x, "word"))
    shape = Structure.of(args, {"k": np.ones(1)}, {})
    new, array, third = lucid.zeros(2), mx.ones(3), lucid.zeros(1)
    filled, kwargs = shape.fill(state=[], tensor=[new, third], array=[array])
    assert filled[0][0] is new and filled[0][1][0] is array and filled[0][1][1] == 5
    assert isinstance(filled[1], Pair) and filled[1].first is new and filled[1].second == "word"
    assert kwargs["k"] is third and args[0][0] is x


def test_every_argument_is_described():
    words = describe(([lucid.ones(2)], 3), {"flag": {"a": np.ones(1)}}, ["images"])
    assert words == {
        "the length of images": "1", "images[0]": "float32 (2,)", "argument 1": "3", "flag['a']": "float64 (1,)",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (Options(a=1), "a Options cannot be passed into or out of a compiled function; convert it to a dict"),
        (Names(["a"]), "a Names cannot be passed into or out of a compiled function; convert it to a list"),
        (nn.ReLU(), r"an argument is a ReLU that is not in state, so its tensors would be frozen; list it"),
        (optim.SGD([lucid.ones(1, requires_grad=True)]), "an argument is a SGD that is not in state"),
    ],
)
def test_unsupported_arguments(value, message):
    with pytest.raises(TypeError, match=r"compile\(<lambda>\): " + message):
        lucid.compile(lambda x: x)(value)
