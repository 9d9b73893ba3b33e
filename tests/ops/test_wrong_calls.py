"""No wrong call of these operations raises an error of MLX's: every message says which operation and argument."""

import inspect
import random
import re

import mlx.core as mx
import numpy as np
import pytest

import lucid
from lucid import linalg, tape
from lucid.ops import activation, affine, arithmetic, comparison, elementwise, joining, matrix, reduction, sorting

FAMILIES = {
    one.__name__.rpartition(".")[2]: one
    for one in (activation, affine, arithmetic, comparison, elementwise, joining, linalg, matrix, reduction, sorting)
}
SHAPES = [(), (0,), (1,), (3,), (2, 3), (3, 2), (2, 2), (0, 3), (2, 0), (1, 3), (2, 3, 4), (2, 2, 2), (1, 1, 1, 1)]
DTYPES = [
    "bool_",
    "uint8",
    "int8",
    "int32",
    "int64",
    "uint64",
    "float16",
    "bfloat16",
    "float32",
    "float64",
    "complex64",
]
OTHERS = [
    None, 0, 1, -1, 3, -9, 100, True, False, 0.5, float("nan"), float("inf"), 1j, "x", "", "floor", "fro", [], [1],
    [0, 1], [1.5, 2.0], [[1, 2], [3]], (), (0,), (0, 1), (0, 0), {}, object(), lucid.float32, int, np.float32(2),
    np.ones((2, 3)), range(2), [None], ["a"], b"x", slice(0, 1), ...,
]  # fmt: skip
DIMS = [0, 1, -1, 2, 5, (0, 1), (0, 0), [0], None, True, "a", 1.0, (0, 9), ()]
EQUATIONS = ["ij,jk->ik", "ij->ji", "i,i->", "...ij->...", "ii", "ij,ij", "abc->", "->", "i,j,k->k", "i1", "$", 3, None]
# Python's own errors about the arguments of a call.
PYTHONS = re.compile(r"\w+\(\) (missing|got|takes) ")


def functions(module):
    names = getattr(module, "__all__", None) or ["matrix_norm", "norm", "vector_norm"]
    found = [getattr(module, name) for name in names]
    return [one for one in found if not isinstance(one, type)]


class Calls:
    """Random calls that are more often wrong than right."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def tensor(self):
        one = self.random
        values = np.array([one.randint(-2, 3) for _ in range(24)], np.float32)
        shape = one.choice(SHAPES)
        array = mx.array(values[: int(np.prod(shape))].reshape(shape)).astype(getattr(mx, one.choice(DTYPES)))
        return tape.wrap(array)

    def value(self, name, position, default):
        one = self.random
        if name in ("dim", "dims") and one.random() < 0.7:
            return one.choice(DIMS)
        if name == "equation":
            return one.choice(EQUATIONS)
        if name == "tensors" and one.random() < 0.7:
            return [self.tensor() for _ in range(one.randint(0, 3))]
        if default is not inspect.Parameter.empty and one.random() < 0.5:
            return default
        return self.tensor() if one.random() < (0.8 if position < 2 else 0.4) else one.choice(OTHERS)

    def arguments(self, function):
        args, kwargs = [], {}
        for position, p in enumerate(inspect.signature(function).parameters.values()):
            if p.name in ("out", "_stacklevel"):
                continue
            if p.kind is p.KEYWORD_ONLY:
                if self.random.random() < 0.4:
                    kwargs[p.name] = self.value(p.name, position, p.default)
            elif p.kind is p.VAR_POSITIONAL:
                args += [self.value(p.name, 0, p.empty) for _ in range(self.random.randint(0, 3))]
            elif p.default is not p.empty and self.random.random() < 0.4:
                break
            else:
                args.append(self.value(p.name, position, p.default))
        return args, kwargs


def evaluate(found):
    if isinstance(found, tuple | list):
        for one in found:
            evaluate(one)
    elif isinstance(found, lucid.Tensor):
        mx.eval(found.mlx)


@pytest.mark.parametrize("family", FAMILIES)
def test_messages_are_lucids_own(family, on_cpu):
    calls, wrong, raised = Calls(family), [], 0
    listed = functions(FAMILIES[family])
    for _ in range(300):
        function = calls.random.choice(listed)
        args, kwargs = calls.arguments(function)
        try:
            evaluate(function(*args, **kwargs))
        except Exception as error:
            raised += 1
            text = str(error)
            if not (text.startswith(f"{function.__name__}: ") or PYTHONS.match(text)) or "incompatible" in text:
                wrong.append(f"{function.__name__}: {type(error).__name__}: {text:.200}")
    assert raised > 30
    assert wrong == []


def test_messages_of_inplace_methods_are_lucids_own(on_cpu):
    names = ["__iadd__", "__isub__", "__imul__", "__itruediv__"]
    names += [name for name in dir(lucid.Tensor) if name.endswith("_") and not name.startswith("_")]
    calls, wrong, raised = Calls("inplace"), [], 0
    for _ in range(500):
        method = getattr(lucid.Tensor, calls.random.choice(names))
        args, kwargs = calls.arguments(method)
        tensor = calls.tensor()
        try:
            method(tensor, *args[1:], **kwargs)
            evaluate(tensor)
        except Exception as error:
            raised += 1
            if not (re.match(r"(\w+|[-+*/]=): ", str(error)) or PYTHONS.match(str(error).rpartition(".")[2])):
                wrong.append(f"{method.__name__}: {type(error).__name__}: {error!s:.200}")
    assert raised > 50
    assert wrong == []
