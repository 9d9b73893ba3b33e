"""Views within their storage load; views that exceed it or are too large are refused."""

import numpy as np
import pytest

import lucid
from lucid.serialization import Placeholder
from tests.serialization.writing import ORDERED_DICT, archive, integer, integers, storage, tensor, text, typed_tensor

FOUR = np.arange(4, dtype=np.float32).tobytes()
DOUBLE = b"ctorch\nDoubleStorage\n"
UNTYPED = b"ctorch.storage\nUntypedStorage\n"


def load(tmp_path, body, data=FOUR):
    return lucid.load(archive(tmp_path / "x.pth", body, {"0": data}))


@pytest.mark.parametrize(
    ("size", "stride", "offset", "values"),
    [
        ((4,), (1,), 0, [0, 1, 2, 3]),
        ((2, 2), (1, 2), 0, [[0, 2], [1, 3]]),
        ((2,), (2,), 1, [1, 3]),
        ((3, 2), (0, 1), 2, [[2, 3]] * 3),
        ((3, 2), (1, 1), 0, [[0, 1], [1, 2], [2, 3]]),
        ((), (), 3, 3),
        ((1, 4), (2**200, 1), 0, [[0, 1, 2, 3]]),
        ((2, 0), (1, 1), 4, [[], []]),
        ((0,), (1,), 2**100, []),
    ],
)
def test_a_view(tmp_path, size, stride, offset, values):
    found = load(tmp_path, tensor(size, stride, offset))
    assert found.shape == size and found.dtype == lucid.float32 and found.tolist() == values


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (tensor((5,)), "needs 5 values of a storage with 4"),
        (tensor((4,), offset=1), "needs 5 values"),
        (tensor((2, 2), (3, 1)), "needs 5 values"),
        (tensor((2,), (2**70,)), "needs 1180591620717411303425 values"),
        (tensor((4,), offset=2**70), "of a storage with 4"),
        (tensor((-4,)), "negative size"),
        (tensor((4,), (-1,), 3), "negative size, stride or offset: .-1,"),
        (tensor((4,), offset=-1), "negative"),
        (tensor((2, 2), (1,)), "2 sizes and 1 strides"),
        (tensor((1,) * 33, (1,) * 33), "33 dimensions"),
        (tensor((2**31, 0), (0, 1)), "at most 2147483647"),
        (tensor((2**30, 2**30), (0, 0)), "expands to far more than its size"),
        (tensor((2**30,) * 32, (0,) * 32), "expands to far more than its size"),
        (b"](" + tensor((2000, 2000), (0, 0)) * 5 + b"e", "expands to far more than its size"),
        (tensor(count=5), "5 values of torch.FloatStorage take 20"),
        (tensor(count=-4), "unexpected arguments"),
        (tensor(count=2**60), "has 16 bytes"),
        (tensor(kind=DOUBLE), "4 values of torch.DoubleStorage take 32"),
        (tensor(kind=b"ctorch\nSize\n"), "_rebuild_tensor_v2 with unexpected arguments"),
        (tensor(kind=text("FloatStorage")), "_rebuild_tensor_v2 with unexpected arguments"),
        (tensor(key="1"), "no member 'archive/data/1'"),
        (tensor(key="../data.pkl"), "no member 'archive/data/../data.pkl'"),
        (tensor().replace(text("storage"), text("module")), "unexpected arguments"),
        (b"ctorch._utils\n_rebuild_tensor_v2\n)R", "unexpected arguments"),
        (b"ctorch._utils\n_rebuild_tensor_v2\n(K\x01K\x00)))K\x00K\x00tR", "unexpected arguments"),
        (tensor().replace(integers((4,)), b"(\x88t"), "unexpected arguments"),
        (tensor().replace(integers((4,)), b"N"), "unexpected arguments"),
    ],
)
def test_invalid_views_are_refused(tmp_path, body, fault):
    with pytest.raises(ValueError, match=fault):
        load(tmp_path, body)


def typed(dtype, count=16, size=(2,)):
    arguments = (
        storage(kind=UNTYPED, count=count) + integer(0) + integers(size) + integers((1,)) + b"\x89" + ORDERED_DICT
    )
    return b"ctorch._utils\n_rebuild_tensor_v3\n(" + arguments + dtype + b"tR"


def test_a_dtype_in_addition_to_the_storage(tmp_path):
    data = np.array([1, 2**63], np.uint64).tobytes()
    found = load(tmp_path, typed(b"ctorch\nuint64\n"), data)
    assert found.dtype == lucid.uint64 and found.tolist() == [1, 2**63]
    with pytest.raises(ValueError, match="_v3 with unexpected arguments"):
        load(tmp_path, typed(b"K\x01"), data)
    with pytest.raises(ValueError, match="15 bytes"):
        load(tmp_path, typed(b"ctorch\nuint64\n", 15, (1,)), data[:-1])


@pytest.mark.parametrize(
    ("dtype", "values"), [("float8_e4m3fn", [1.0, -448.0]), ("float8_e5m2", [0.0078125, -float("inf")])]
)
def test_float8_becomes_float16(tmp_path, dtype, values):
    codes = {"float8_e4m3fn": b"\x38\xfe", "float8_e5m2": b"\x20\xfc"}[dtype]
    found = load(tmp_path, typed(f"ctorch\n{dtype}\n".encode(), 2), codes)
    assert found.dtype == lucid.float16 and found.tolist() == values


def test_tensors_that_mlx_lacks_become_placeholders(tmp_path):
    data = bytes(16)
    for body in (
        typed(b"ctorch\nfloat8_e8m0fnu\n"),
        tensor((4,), kind=b"ctorch\nQInt8Storage\n"),
        tensor().replace(b"\x89" + ORDERED_DICT, b"\x89" + ORDERED_DICT + b"}" + text("conj") + b"\x88s"),
        b"ctorch._utils\n_rebuild_sparse_tensor\n)R",
        b"ctorch._utils\n_rebuild_qtensor\n(" + storage() + b"tR",
    ):
        [found] = load(tmp_path, b"]" + body + b"a", data)
        assert isinstance(found, Placeholder)
        with pytest.raises(ValueError, match="it holds '.*tensor"):
            load(tmp_path, body, data)


def test_tensors_with_attributes_and_subclasses_load(tmp_path):
    parts = b"".join(typed_tensor(size=(1,), offset=i % 4) for i in range(100))
    assert [one.item() for one in load(tmp_path, b"](" + parts + b"e")] == [0, 1, 2, 3] * 25
    with_state = b"ctorch._utils\n_rebuild_parameter_with_state\n(" + tensor() + b"\x88" + ORDERED_DICT + b"}tR"
    assert load(tmp_path, with_state, np.arange(4, dtype=np.float32).tobytes()).tolist() == [0, 1, 2, 3]


def test_bools_are_normalized_to_0_and_1(tmp_path):
    found = load(tmp_path, tensor(kind=b"ctorch\nBoolStorage\n"), bytes([0, 1, 2, 255]))
    assert found.tolist() == [False, True, True, True] and found.sum().item() == 3


def test_a_shared_storage_is_read_once(tmp_path):
    count = 1 << 22
    body = b"](" + tensor((count,), count=count) * 5 + b"e"
    lucid.memory.reset()
    before = lucid.memory.active()
    found = load(tmp_path, body, bytes(4 * count))
    assert [one.sum().item() for one in found] == [0] * 5
    assert lucid.memory.peak() - before < 2 * 4 * count
