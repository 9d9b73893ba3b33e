"""Nested values survive JSON and safetensors unchanged; unsupported values are named."""

import json
import math

import mlx.core as mx
import numpy as np
import pytest

import lucid
from lucid.serialization.tree import pack, unpack


def round_trip(value, folder):
    packed, tensors = pack(value, "here")
    text = json.dumps(packed, allow_nan=False)
    with open(folder / "tensors.safetensors", "wb") as file:
        mx.save_safetensors(file, tensors, {})
    return unpack(json.loads(text), mx.load(str(folder / "tensors.safetensors")))


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        -(2**200),
        0.1,
        -0.0,
        math.inf,
        -math.inf,
        "ünïcode \ud800 $",
        [],
        (),
        {},
        (1, (2.5, None), ["a", ()]),
        {1: "one", (2, 3): "pair", None: "none", 2.5: [1]},
        {"$tensor": "a word", "$tuple": 3},
        {"a.b": 1, "a": {"b": 2}},
    ],
)
def test_plain_values(value, tmp_path):
    found = round_trip(value, tmp_path)
    assert found == value and repr(found) == repr(value)


def test_nan_and_numpy_numbers(tmp_path):
    found = round_trip([float("nan"), np.float32(0.5), np.int64(3), np.bool_(True)], tmp_path)
    assert math.isnan(found[0]) and found[1:] == [0.5, 3, True]
    assert [type(one) for one in found[1:]] == [float, int, bool]


@pytest.mark.parametrize(
    "dtype",
    ["float32", "float16", "bfloat16", "float64", "int8", "int64", "uint8", "uint32", "uint64", "bool", "complex64"],
)
@pytest.mark.parametrize("shape", [(), (0, 3), (2, 3)])
def test_tensors_of_every_dtype(dtype, shape, tmp_path):
    with mx.stream(mx.cpu):
        array = (mx.arange(math.prod(shape)).reshape(shape) * 3).astype(lucid.tensor(0, dtype=dtype).dtype)
        found = round_trip({"x": lucid.tensor(array)}, tmp_path)["x"]
        assert isinstance(found, lucid.Tensor) and found.dtype == array.dtype and found.shape == shape
        assert found.tolist() == array.tolist()


@pytest.mark.parametrize(
    "dtype", ["float64", "float32", "float16", "int16", "uint64", "bool", "complex64", ">f8", ">i4"]
)
def test_numpy_arrays(dtype, tmp_path):
    for array in (np.array(1, dtype), np.zeros((0, 2), dtype), np.arange(6).astype(dtype).reshape(2, 3).T):
        found = round_trip([array], tmp_path)[0]
        assert isinstance(found, np.ndarray) and found.dtype == np.dtype(dtype).newbyteorder("=")
        np.testing.assert_array_equal(found, array)
    pi = round_trip(np.array([math.pi]), tmp_path)
    assert pi[0] == math.pi  # all 53 bits


def test_colliding_tensor_names(tmp_path):
    value = {"a.b": lucid.tensor([1]), "a": {"b": lucid.tensor([2])}, "__metadata__": lucid.tensor([3])}
    found = round_trip(value, tmp_path)
    assert (found["a.b"].item(), found["a"]["b"].item(), found["__metadata__"].item()) == (1, 2, 3)
    assert round_trip(lucid.tensor([4]), tmp_path).item() == 4


def test_flat_dictionaries_of_tensors_keep_their_names():
    assert list(pack(lucid.nn.Linear(2, 2).state_dict(), "here")[1]) == ["weight", "bias"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": [1, {"b": object()}]}, "here: cannot save a.1.b of type object"),
        ({1, 2}, "here: cannot save it of type set"),
        ({"x": b"bytes"}, "cannot save x of type bytes"),
        (np.array(["text"]), "cannot save value, a NumPy array of dtype <U4"),
        (np.zeros(2, np.complex128), "a NumPy array of dtype complex128"),
        ({"f": len}, "cannot save f of type builtin_function_or_method"),
    ],
)
def test_unsupported_values_are_named(value, message):
    with pytest.raises(TypeError, match=message):
        pack(value, "here")
