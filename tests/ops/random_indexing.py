"""Random right and wrong indices for every operation that takes some, compared with NumPy.

    python -m tests.ops.random_indexing --calls 5000 --seed 0

Run by ``tests/test_bounds.py`` in its own process, because a read outside an array may end the process. Each call
gets random shapes, dtypes and kinds of indices (lists, NumPy and MLX arrays, tensors, tensors not evaluated yet), and
has to give NumPy's result or raise an ``IndexError`` where NumPy does. Under ``lucid.debug(False)``, which clamps as on
GPUs and in compiled functions, it has to give NumPy's result for clamped indices.
"""

import argparse
from collections import Counter

import mlx.core as mx
import numpy as np

import lucid
import lucid.nn.functional as F
from lucid.data import augment

DTYPES = (np.int64, np.int32, np.int16, np.int8, np.uint8, np.uint16, np.uint32, np.uint64)
KINDS = ("list", "numpy", "mlx", "tensor", "lazy")
FAR = (1, 2, 7, 100, 10**5, 2**31 - 1, 2**31, 2**32, 10**12, 2**62)
WRONG_SHARE = 0.4  # of the calls have at least one index out of range


class Case:
    """Random data for one call. ``clamps`` says that wrong indices are clamped, not rejected."""

    def __init__(self, rng, clamps):
        self.rng, self.clamps = rng, clamps

    def shape(self, ndim=None):
        ndim = self.rng.integers(1, 4) if ndim is None else ndim
        return tuple(int(n) for n in self.rng.choice([1, 2, 3, 5, 17, 130], ndim))

    def values(self, shape):
        return self.rng.normal(size=shape).astype(np.float32)

    def index(self, size, shape, lowest=None, is_subscript=False):
        """An index array for a dimension, as Lucid gets it and as NumPy does."""
        lowest = -size if lowest is None else lowest
        dtype = self.rng.choice(DTYPES)
        if is_subscript and dtype == np.uint8:  # a mask, as in PyTorch
            dtype = np.dtype(np.uint16)
        limits = np.iinfo(dtype)
        low, high = max(lowest, limits.min), min(size - 1, limits.max)
        index = self.rng.integers(low, high, shape, np.int64, endpoint=True).astype(dtype)
        if index.size and self.rng.random() < WRONG_SHARE:
            way = int(self.rng.choice(FAR))
            wrong = size - 1 + way if self.rng.random() < 0.5 else lowest - way
            if limits.min <= wrong <= limits.max:
                index.reshape(-1)[self.rng.integers(index.size)] = wrong
        kind = self.rng.choice(KINDS)
        expected = index.astype(np.int64)
        if self.clamps and kind not in ("list", "numpy"):  # these are checked in any case
            return given_as(kind, index), np.clip(expected, lowest, size - 1)
        # For NumPy negative indices are valid.
        return given_as(kind, index), np.where(expected < lowest, 2**62, expected)


def given_as(kind, values):
    if kind == "list":
        return values.tolist()
    if kind == "numpy":
        return values
    array = mx.array(values)
    if kind == "lazy":  # a slice that is not evaluated yet
        return lucid.tensor(mx.stack([array, array]))[1]
    return array if kind == "mlx" else lucid.tensor(array)


def along(x, axis, index, shape):
    """Indices of ``x`` for an index array of ``gather`` and its like."""
    return tuple(index if d == axis else np.arange(n).reshape([-1 if e == d else 1 for e in range(x.ndim)]) for d, n in
                 enumerate(shape))  # fmt: skip


# Each case returns two functions, of which one calls Lucid and the other computes the same with NumPy.


def getitem(case):
    x = case.values(case.shape())
    given, expected = case.index(x.shape[0], case.shape(case.rng.integers(0, 3)), is_subscript=True)
    return lambda: lucid.tensor(x)[(given,)], lambda: x[expected]  # a list of lists alone would be a tuple


def getitem_behind(case):
    x = case.values(case.shape(3))
    given, expected = case.index(x.shape[2], case.shape(1), is_subscript=True)
    return lambda: lucid.tensor(x)[:, ::-1, given], lambda: x[:, ::-1, expected]


def getitem_of_two(case):
    x, shape = case.values(case.shape(3)), case.shape(1)
    first, expected_first = case.index(x.shape[0], shape, is_subscript=True)
    second, expected_second = case.index(x.shape[2], shape, is_subscript=True)
    return lambda: lucid.tensor(x)[first, :, second], lambda: x[expected_first, :, expected_second]


def mask(case):
    x = case.values(case.shape(2))
    chosen = case.rng.random((x.shape[0] + int(case.rng.random() < WRONG_SHARE),)) < 0.5
    given = given_as(case.rng.choice(KINDS), chosen)
    return lambda: lucid.tensor(x)[given], lambda: x[chosen]


def setitem(case):
    x = case.values(case.shape())
    given, expected = case.index(x.shape[0], case.shape(1), is_subscript=True)

    def ours():
        y = lucid.tensor(x)
        y[given] = 7.0
        return y

    def theirs():
        y = x.copy()
        y[expected] = 7.0
        return y

    return ours, theirs


def gather(case):
    x = case.values(case.shape())
    axis = int(case.rng.integers(x.ndim))
    shape = tuple(n + 1 if d == axis else n for d, n in enumerate(x.shape))
    call = lucid.gather if case.rng.random() < 0.5 else lucid.take_along_dim
    given, expected = case.index(x.shape[axis], shape, lowest=0 if call is lucid.gather else None)
    order = (axis, given) if call is lucid.gather else (given, axis)
    return lambda: call(lucid.tensor(x), *order), lambda: np.take_along_axis(x, expected, axis)


def scatter(case):
    x = case.values(case.shape())
    axis = int(case.rng.integers(x.ndim))
    given, expected = case.index(x.shape[axis], x.shape, lowest=0)

    def theirs():
        y = x.copy()
        y[along(x, axis, expected, x.shape)] = 7.0
        return y

    return lambda: lucid.tensor(x).scatter(axis, given, 7.0), theirs


def scatter_add(case):
    x = case.values(case.shape())
    axis = int(case.rng.integers(x.ndim))
    given, expected = case.index(x.shape[axis], x.shape, lowest=0)
    source = case.values(x.shape)

    def theirs():
        y = x.copy()
        np.add.at(y, along(x, axis, expected, x.shape), source)
        return y

    return lambda: lucid.tensor(x).scatter_add(axis, given, lucid.tensor(source)), theirs


def index_select(case):
    x = case.values(case.shape())
    axis = int(case.rng.integers(x.ndim))
    given, expected = case.index(x.shape[axis], case.shape(1), lowest=0)
    return lambda: lucid.tensor(x).index_select(axis, given), lambda: np.take(x, expected, axis)


def index_add(case):
    x = case.values(case.shape())
    axis = int(case.rng.integers(x.ndim))
    given, expected = case.index(x.shape[axis], case.shape(1), lowest=0)
    source = case.values((*x.shape[:axis], len(expected), *x.shape[axis + 1 :]))

    def theirs():
        y = x.copy()
        np.add.at(y, (slice(None),) * axis + (expected,), source)
        return y

    return lambda: lucid.tensor(x).index_add(axis, given, lucid.tensor(source)), theirs


def index_fill_and_copy(case):
    x = case.values(case.shape())
    axis = int(case.rng.integers(x.ndim))
    copies = case.rng.random() < 0.5
    given, expected = case.index(x.shape[axis], case.shape(1), lowest=0 if copies else None)
    source = np.full((*x.shape[:axis], len(expected), *x.shape[axis + 1 :]), 7, np.float32)

    def ours():
        y = lucid.tensor(x)
        return y.index_copy(axis, given, lucid.tensor(source)) if copies else y.index_fill(axis, given, 7.0)

    def theirs():
        y = x.copy()
        y[(slice(None),) * axis + (expected,)] = 7
        return y

    return ours, theirs


def take(case):
    x = case.values(case.shape())
    axis = None if case.rng.random() < 0.5 else int(case.rng.integers(x.ndim))
    given, expected = case.index(x.size if axis is None else x.shape[axis], case.shape(case.rng.integers(0, 3)))
    return lambda: lucid.take(lucid.tensor(x), given, axis), lambda: np.take(x, expected, axis)


def embedding(case):
    x = case.values(case.shape(2))
    given, expected = case.index(x.shape[0], case.shape(2), lowest=0)
    return lambda: F.embedding(given, lucid.tensor(x)), lambda: x[expected]


def device_dataset(case):
    images = case.rng.integers(0, 256, (case.shape(1)[0], 1, 2, 2)).astype(np.uint8)
    labels = np.arange(len(images))
    data = type("Images", (), {"data": images, "targets": labels, "max_value": 255})
    given, expected = case.index(len(images), case.shape(1))
    return lambda: augment.DeviceDataset(data)[given][0], lambda: images[expected]


def one_hot(case):
    classes = case.shape(1)[0]
    case.clamps = False
    given, expected = case.index(classes, case.shape(2), lowest=0)
    return lambda: lucid.one_hot(given, classes), lambda: np.eye(classes)[expected]


def losses(case):
    x = case.values(case.shape(2))
    case.clamps = False
    given, expected = case.index(x.shape[1], x.shape[:1], lowest=0)
    call = F.nll_loss if case.rng.random() < 0.5 else F.cross_entropy

    def theirs():
        scores = x if call is F.nll_loss else x - np.log(np.exp(x).sum(1, keepdims=True))
        return -scores[np.arange(len(x)), expected]

    return lambda: call(lucid.tensor(x), given, ignore_index=-3, reduction="none"), theirs


def gradient(case):
    """The gradient of an embedding, plain or recorded, which adds at the indices."""
    x = case.values(case.shape(2))
    given, expected = case.index(x.shape[0], case.shape(1), lowest=0)
    weights = case.values((len(expected), x.shape[1]))
    records = bool(case.rng.random() < 0.5)

    def ours():
        table = lucid.tensor(x, requires_grad=True)
        F.embedding(given, table).backward(lucid.tensor(weights), create_graph=records)
        return table.grad.detach()

    def theirs():
        y = np.zeros_like(x)
        np.add.at(y, expected, weights)
        return y

    return ours, theirs


CASES = (
    getitem, getitem_behind, getitem_of_two, mask, setitem, gather, scatter, scatter_add, index_select, index_add,
    index_fill_and_copy, take, embedding, device_dataset, one_hot, losses, gradient,
)  # fmt: skip


def result_of(call):
    """The result, or "rejected" for an IndexError."""
    try:
        found = call()
        return found.numpy() if isinstance(found, lucid.Tensor) else found
    except IndexError:
        return "rejected"


def run(make, seed):
    """What Lucid and NumPy agree on: "rejected", "right", or "clamped" if clamping was on."""
    case = Case(np.random.default_rng(seed), clamps=seed % 4 == 3)
    ours, theirs = make(case)
    expected = result_of(theirs)
    with lucid.debug(not case.clamps):
        found = result_of(ours)
    if isinstance(found, str) or isinstance(expected, str):
        assert isinstance(found, str) and isinstance(expected, str), f"{make.__name__} {seed}: {found} {expected}"
        return found
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4, err_msg=f"{make.__name__} {seed}")
    return "clamped" if case.clamps else "right"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--calls", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    counts = Counter()
    for number in range(options.calls):
        make = CASES[number % len(CASES)]
        counts[run(make, options.seed * 10**9 + number)] += 1
    print(dict(counts))


if __name__ == "__main__":
    main()
