"""What ``tests/reference/written.pth`` holds: every kind of value that Lucid writes for PyTorch."""

from collections import Counter, OrderedDict
from pathlib import Path

import lucid
from lucid import nn

BYTES = Path(__file__).parents[1] / "reference" / "written.pth"
_DTYPES = (
    *("float32", "float16", "bfloat16", "float64", "complex64", "bool"),
    *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
)


def example():
    matrix = lucid.arange(12.0).reshape(3, 4)
    tied = lucid.tensor([1.5, -2.0])
    return {
        **{name: lucid.tensor([0, 1, 1], dtype=getattr(lucid, name)) for name in _DTYPES},
        "matrix": matrix,
        "row": matrix[1],
        "transposed": matrix.t(),
        "part": matrix[1:, ::2],
        "tied": [tied, tied],
        "parameter": nn.Parameter(lucid.tensor([[0.5, -0.5]])),
        "scalar": lucid.tensor(7),
        "empty": lucid.zeros(0, 3),
        "state": OrderedDict(weight=lucid.ones(2), bias=None),
        "numbers": [0, 255, 256, -1, 2**31, -(2**40), 2**70, 0.1, float("inf"), True, False, None],
        "tuple": (1, (2, ("three",)), ()),
        "keys": {1: "one", (2, 3): "pair", "größe": "ü"},
        "bytes": b"\x00\xff",
        "complex": 1 - 2j,
        "counter": Counter("aab"),
        "set": {5},
        "dtype": lucid.bfloat16,
        "device": lucid.device("cpu"),
    }
