"""Names of dtypes, and conversion on a device that supports them."""

import copy
import pickle

import mlx.core as mx
import pytest

import lucid
from lucid import _checks
from lucid._dtypes import as_dtype, converted


class OfDtype:
    """Records the stream of the conversion."""

    def __init__(self, dtype):
        self.dtype = dtype

    def astype(self, dtype, stream):
        return stream


@pytest.mark.parametrize(
    ("former", "dtype", "stream"),
    [
        (mx.float64, mx.float32, mx.cpu),
        (mx.float16, mx.float64, mx.cpu),
        (mx.float64, mx.int8, mx.cpu),
        (mx.float16, mx.float32, None),
    ],
)
def test_float64_is_converted_on_the_cpu(former, dtype, stream):
    assert converted(OfDtype(former), dtype) == stream


def test_every_tensor_conversion_uses_that_stream(monkeypatch):
    asked = []
    monkeypatch.setattr("lucid.ops.elementwise.converted", lambda x, dtype: asked.append(dtype) or x.astype(dtype))
    x = lucid.ones(2)
    for one in (x.double(), x.float(), x.half(), x.long(), x.to(lucid.float64), x.astype("int8"), x.type_as(x)):
        assert one.tolist() == [1, 1]
    assert asked == [mx.float64, mx.float32, mx.float16, mx.int64, mx.float64, mx.int8, mx.float32]


def test_a_module_takes_double_weights():
    layer = lucid.nn.Linear(2, 1)
    layer.load_state_dict({name: value.double() for name, value in layer.state_dict().items()})
    assert layer.weight.dtype == mx.float32
    assert layer.to(lucid.float64).weight.dtype == mx.float64


def test_dtypes_by_name():
    assert as_dtype("float16") == as_dtype(mx.float16) == lucid.float16 and as_dtype(int) == lucid.int64


@pytest.mark.parametrize("name", [*_checks._DTYPES, "half", "long"])
def test_dtypes_can_be_pickled_and_copied(name):
    dtype = as_dtype(name)
    for made in (pickle.loads(pickle.dumps(dtype)), copy.copy(dtype), copy.deepcopy({"dtype": dtype})["dtype"]):  # noqa: S301
        assert made == dtype
