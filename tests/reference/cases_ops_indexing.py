"""Indexing."""

import numpy as np

from tests.reference.case import Case, given, real, truth, whole

INF, NAN = float("inf"), float("nan")
SHAPE = (4, 5, 3)


def array(*values):
    return np.array(values)


MASK = np.arange(4) % 2 == 0
MASK2 = (np.arange(20) * 7 % 3 == 0).reshape(4, 5)
MASK3 = (np.arange(60) * 7 % 4 == 0).reshape(SHAPE)
# Every kind of index that PyTorch and NumPy interpret alike; arrays become tensors.
INDICES = {
    "an integer": 1,
    "a negative integer": -1,
    "integers": (1, -2),
    "all integers": (1, 2, 0),
    "a slice": slice(1, 3),
    "an empty slice": slice(3, 1),
    "a slice beyond the end": slice(2, 99),
    "a slice from behind": slice(-2, None),
    "a step": slice(None, None, 2),
    "steps": (slice(0, 4, 3), slice(1, None, 2), slice(None, 2)),
    "an integer and a slice": (2, slice(1, 4)),
    "a slice and an integer": (slice(1, 4), 2),
    "None in front": (None, 1),
    "None behind": (slice(None), None, 2),
    "None twice": (None, slice(1, 3), None),
    "dots": (..., 1),
    "dots in the middle": (1, ..., 2),
    "dots alone": ...,
    "dots for nothing": (1, 2, 0, ...),
    "dots and None": (..., None),
    "nothing": (),
    "a list": [2, 0, 2],
    "a tensor": array(3, 0, -1),
    "a tensor of int32": array(3, 0, 1).astype(np.int32),
    "a matrix": array([0, 1], [3, 2]),
    "one place": array(2),
    "an empty tensor": np.zeros(0, np.int64),
    "a tensor in the middle": (slice(None), array(4, 0, 0)),
    "a tensor behind dots": (..., array(2, 0)),
    "two tensors": (array(0, 3, 1), array(4, 0, 2)),
    "two tensors that broadcast": (array([0], [3]), array(4, 0, 2)),
    "three tensors": (array(0, 3), array(4, 0), array(2, 2)),
    "tensors and a slice": (array(0, 3), array(4, 0), slice(1, 3)),
    "a slice and tensors": (slice(1, 3), array(4, 0, 1), array(2, 0, 0)),
    "tensors apart": (array(0, 3), slice(None), array(2, 1)),
    "a tensor and None": (array(0, 3), None),
    "None and a tensor": (None, array(0, 3)),
    "a slice with a step and a tensor": (slice(None, None, 2), array(4, 0)),
    "a mask": MASK,
    "a mask of two dims": MASK2,
    "a mask of all dims": MASK3,
    "a mask of nothing": np.zeros(4, bool),
    "a mask behind": (slice(None), slice(None), np.array([True, False, True])),
    "a mask and a slice": (MASK, slice(1, 3)),
    "a mask and a tensor": (MASK, array(4, 0)),
    "a mask and dots": (..., np.array([False, False, True])),
    "a list of bools": [True, False, False, True],
}
ONE_VALUE = {"a list", "a tensor", "two tensors"}  # for writing: positions given twice keep an undefined one


def index_for(lib, index):
    """The index with arrays replaced by tensors."""
    if isinstance(index, tuple):
        return tuple(index_for(lib, one) for one in index)
    if isinstance(index, np.ndarray):
        return (
            lib.tensor(index.tolist(), dtype=lib.int32 if index.dtype == np.int32 else None)
            if index.size or index.dtype == bool
            else lib.zeros(index.shape, dtype=lib.int64)
        )
    return index


def read(index):
    return lambda lib, x: x[index_for(lib, index)]


def write(index):
    def run(lib, x, value):
        y = x * 1
        y[index_for(lib, index)] = value
        return y

    return run


def shape_of(index):
    return np.empty(SHAPE)[index].shape


CASES = []
CASES += [
    Case(
        "read: a list that is a tuple",
        lambda lib, x, i: (
            x[[[0, 1], [1, 2]]],
            x[[[0, 1]]],
            x[[i, [2, 0]]],
            x[[slice(1, 2), 0]],
            x[[..., 0]],
            x[[i[0], 1]],
        ),
        real(*SHAPE),
        given([1, 0], "int64"),
    ),
    Case(
        "read: a mask of uint8",
        lambda lib, x, i: (
            x[(i > 0).to(lib.uint8)],
            x[:, (i[:1] > 5).to(lib.uint8).expand(SHAPE[1])],
            x[i.to(lib.uint8)],
        ),
        real(*SHAPE),
        whole(SHAPE[0], low=0, high=2),
    ),
]
for name, index in INDICES.items():
    CASES.append(Case(f"read: {name}", read(index), real(*SHAPE)))
    if name == "a list":
        continue
    inner = shape_of(index)
    CASES.append(Case(f"write: {name}", write(index), real(*SHAPE), real(*inner)))
    CASES.append(Case(f"write: a number at {name}", lambda lib, x, i=index: write(i)(lib, x, 2.5), real(*SHAPE)))
    if inner and 0 not in inner:
        CASES.append(Case(f"write: one that broadcasts at {name}", write(index), real(*SHAPE), real(1, inner[-1])))
CASES += [
    Case(
        "read: of a vector", lambda lib, x: (x[0], x[-1], x[1:], x[[0, 2]], x[lib.tensor([True, False, True])]), real(3)
    ),
    Case("read: of a number", lambda lib, x: (x[...], x[None], x[()]), real()),
    Case("read: a number by a bool", lambda lib, x: (x[True], x[False]), real()),
    Case("read: by a bool", lambda lib, x: (x[True], x[False]), real(2, 3)),
    Case("read: of integers", lambda lib, x: (x[1], x[:, [0, 2]], x[x > 0]), whole(3, 4)),
    Case(
        "read: half",
        lambda lib, x: (x[1], x[:, [0, 2]], x[lib.tensor([True, False, True])]),
        real(3, 4, dtype="float16"),
    ),
    Case("read: of nothing", lambda lib, x: (x[:, 0:0], x[1], x[[0, 0]]), real(2, 0)),
    Case("read: a chain", lambda lib, x: x[1:][:, ::2][0][1], real(*SHAPE)),
    Case("read: twice the same", lambda lib, x: x[1] * x[1] + x[lib.tensor([0, 0, 1])].sum(0), real(*SHAPE)),
    Case("read: transposed", lambda lib, x: x.t()[1:, [0, 1]], real(3, 4)),
    Case(
        "write: into integers",
        lambda lib, x, v: [y := x.clone(), y.__setitem__((slice(None), 0), v)][0],
        whole(3, 4),
        whole(3),
    ),
    Case("write: a float into integers", lambda lib, x: [y := x.clone(), y.__setitem__(0, 2.9)][0], whole(3, 4)),
    Case(
        "write: a float into half",
        lambda lib, x, v: [y := x * 1, y.__setitem__(0, v)][0],
        real(3, 4, dtype="float16"),
        real(4),
        rtol=4e-3,
        order=1,
    ),
    Case(
        "write: where a comparison holds",
        lambda lib, x: [y := x * 1, y.__setitem__(y > 0, 0.0)][0],
        real(3, 4, away=0.1),
    ),
    Case(
        "write: twice",
        lambda lib, x, v: [y := x * 1, y.__setitem__(0, v), y.__setitem__((slice(None), 1), v[:3] * x[0, 0])][0],
        real(3, 4),
        real(4),
    ),
    Case(
        "write: through a view",
        lambda lib, x, v: [y := x * 1, y[1].__setitem__(slice(1, 3), v)][0],
        real(3, 4),
        real(2),
    ),
    Case("write: a number", lambda lib, x, v: [y := x * 1, y.__setitem__((), v)][0], real(), real()),
    Case(
        "write: then use",
        lambda lib, x, v: [y := lib.exp(x) * 1, y.__setitem__((slice(None), 0), v), y * y][2],
        real(3, 4),
        real(3),
    ),
    Case("where: three", lambda lib, c, x, y: (lib.where(c, x, y), x.where(c, y)), truth(2, 3), real(2, 3), real(2, 3)),
    Case("where: broadcast", lambda lib, c, x, y: lib.where(c, x, y), truth(2, 1, 3), real(4, 1), real(3)),
    Case(
        "where: numbers",
        lambda lib, c, x: (lib.where(c, x, 0.0), lib.where(c, 1, x), lib.where(c, 2.0, 3.0)),
        truth(2, 3),
        real(2, 3),
    ),
    Case(
        "where: integers and floats",
        lambda lib, c, x, y: (lib.where(c, x, y), lib.where(c, y, 2), lib.where(c, y, 2.5)),
        truth(3),
        real(3),
        whole(3),
    ),
    Case("where: nan on the other side", lambda lib, x: lib.where(x > 0, x, 0.0), given([1.0, -1.0, NAN, INF])),
    Case("where: half", lambda lib, c, x: lib.where(c, x, 1.5), truth(5), real(5, dtype="float16")),
    Case("where: alone", lambda lib, x: lib.where(x), truth(3, 4)),
    Case("where: a number alone", lambda lib, x: lib.where(x > 0, x, -x), real()),
    Case(
        "nonzero: matrix",
        lambda lib, x: (lib.nonzero(x), x.nonzero(), lib.argwhere(x), x.argwhere()),
        whole(3, 4, low=0, high=2),
    ),
    Case("nonzero: tuple", lambda lib, x: lib.nonzero(x, as_tuple=True), whole(3, 4, low=0, high=2)),
    Case(
        "nonzero: bools and floats",
        lambda lib, x, y: (lib.nonzero(x), lib.nonzero(y)),
        truth(7),
        given([0.0, -0.0, NAN, 1.0], grad=False),
    ),
    Case(
        "nonzero: a number",
        lambda lib, x: (lib.nonzero(x), lib.nonzero(x * 0), lib.nonzero(x, as_tuple=True)),
        given(3, "int64"),
    ),
    Case("nonzero: nothing", lambda lib, x: lib.nonzero(x), whole(0, 3)),
    Case(
        "masked_fill: a number",
        lambda lib, x, m: (lib.masked_fill(x, m, -INF).exp(), x.masked_fill(m, 3)),
        real(3, 4),
        truth(3, 4),
    ),
    Case("masked_fill: broadcast", lambda lib, x, m: lib.masked_fill(x, m, 0.5), real(3, 4), truth(4)),
    Case("masked_fill: a tensor", lambda lib, x, m, v: lib.masked_fill(x, m, v), real(3, 4), truth(3, 1), real()),
    Case("masked_fill: integers", lambda lib, x, m: lib.masked_fill(x, m, 7), whole(3, 4), truth(3, 4)),
    Case(
        "masked_fill: half",
        lambda lib, x, m: lib.masked_fill(x, m, -INF),
        real(5, dtype="float16", grad=False),
        truth(5),
    ),
    Case(
        "masked_select: values",
        lambda lib, x, m: (lib.masked_select(x, m), x.masked_select(m)),
        real(3, 4),
        truth(3, 4),
    ),
    Case("masked_select: broadcast", lambda lib, x, m: lib.masked_select(x, m), real(3, 1), truth(4)),
    Case("masked_select: none", lambda lib, x: lib.masked_select(x, x > 99), real(3, 4)),
    Case("one_hot: classes", lambda lib, x: lib.nn.functional.one_hot(x, 6), whole(2, 3, low=0, high=6)),
    Case("one_hot: as many as there are", lambda lib, x: lib.nn.functional.one_hot(x), given([0, 2, 1], "int64")),
    Case("one_hot: a number", lambda lib, x: lib.nn.functional.one_hot(x, 4), given(3, "int64")),
]
