"""The groups of elementwise primitives against those that MLX itself makes, as it names them."""

import re
from collections import Counter

import mlx.core as mx
import pytest

from lucid._profile import fusion, graph
from lucid._profile.opaque import Calls

X = mx.zeros((4, 8))
ROW = mx.zeros((8,))


def own_groups(function, *arrays):
    found = graph.trace(lambda *arrays: as_list(function(*arrays)), arrays, [], Calls())
    nodes = fusion.fused(graph.merged(found)).nodes
    return Counter("".join(part.primitive for part in node.parts) if node.parts else node.primitive for node in nodes)


def groups_of_mlx(function, tmp_path, *arrays):
    mx.eval(arrays)
    mx.export_to_dot(str(tmp_path / "graph.dot"), *as_list(mx.compile(function)(*arrays)))
    labels = re.findall(r'label ="(\w+)"', (tmp_path / "graph.dot").read_text())
    return Counter(_same_name(label.removeprefix("Compiled")) for label in labels)


def _same_name(label):
    """MLX names reductions and roots by what they compute, but exports them under one name."""
    return re.sub("^(Sum|Max|Min|Prod)$", "Reduce", label).replace("Rsqrt", "Sqrt")


def as_list(result):
    return [result] if isinstance(result, mx.array) else list(result)


def long_chain(x, y):
    for _ in range(30):
        x = x * y + 1
    return x


def many_inputs(x, y):
    return sum((x * i) @ mx.ones((8, 8)) for i in range(30))


def shared(x, y):
    middle = mx.exp(x * 2)
    return middle @ mx.ones((8, 3)), middle + y, middle - y


def gradient(x, y):
    return mx.grad(lambda x: (x * mx.erf(x * 0.7) * y).sum())(x)


PROGRAMS = {
    "chain": lambda x, y: mx.exp(-x * x + 1) * y,
    "long chain": long_chain,
    "many inputs": many_inputs,
    "shared": shared,
    "gradient": gradient,
    "outputs in the middle": lambda x, y: ((z := x * 2 + 1), z * y, mx.sqrt(z)),
    "an output of another shape": lambda x, y: ((z := y * 2 + 1), x + z),
    "one primitive": lambda x, y: x + y,
    "a constant for two groups": lambda x, y: (x * 0.5 + 1) @ mx.ones((8, 8)) * 0.5 + 1,
    "equal parts": lambda x, y: (mx.exp(x) + y).sum() + (mx.exp(x) - y).max(),
    "softmax": lambda x, y: mx.softmax(x * 2 + y) * 3 + 1,
    "views": lambda x, y: (x * 2 + 1).T.reshape(4, 8) * y + 1,
    "select": lambda x, y: mx.where(x > 0, x * y, -x) + 1,
    "casts": lambda x, y: (x.astype(mx.float16) * y.astype(mx.float16)).astype(mx.float32) + x,
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_groups_are_those_of_mlx(name, tmp_path):
    assert own_groups(PROGRAMS[name], X, ROW) == groups_of_mlx(PROGRAMS[name], tmp_path, X, ROW)


def convnext_like(x, weights):
    def loss(weights):
        y = x
        for a, b, gain in weights:
            h = (y * gain + 1) @ a
            y = y + (h * (0.5 + 0.5 * mx.erf(h * 0.7))) @ b * gain
        return mx.square(y).mean()

    found, gradients = mx.value_and_grad(loss)(weights)
    return [found, *(w - 0.1 * d for pair, grads in zip(weights, gradients, strict=True)
                     for w, d in zip(pair, grads, strict=True))]  # fmt: skip


def test_a_training_step_has_the_groups_of_mlx(tmp_path):
    weights = [(mx.zeros((8, 16)), mx.zeros((16, 8)), mx.zeros((8,))) for _ in range(3)]
    flat = [X, *(one for triple in weights for one in triple)]

    def step(x, *flat):
        return convnext_like(x, [tuple(flat[i : i + 3]) for i in range(0, len(flat), 3)])

    assert own_groups(step, *flat) == groups_of_mlx(step, tmp_path, *flat)
