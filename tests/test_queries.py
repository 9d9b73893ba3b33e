"""What programs ask about dtypes, shapes and tensors."""

import numpy as np
import pytest

import lucid
from lucid import nn

FLOATS = (lucid.float16, lucid.float32, lucid.float64)


@pytest.mark.parametrize("dtype", FLOATS)
def test_finfo_is_that_of_numpy(dtype):
    found, expected = lucid.finfo(dtype), np.finfo(str(dtype).rpartition(".")[2])
    for name in ("bits", "eps", "max", "min", "tiny", "resolution"):
        assert getattr(found, name) == pytest.approx(
            float(getattr(expected, name)), rel=1e-15 if name != "resolution" else 1e-3
        ), name
    assert found.dtype == str(expected.dtype) and "eps=" in repr(found)


def test_limits_of_other_dtypes():
    assert (lucid.finfo(lucid.bfloat16).eps, lucid.finfo(lucid.bfloat16).bits) == (2**-7, 16)
    assert lucid.finfo().dtype == lucid.finfo(lucid.complex64).dtype == "float32"
    assert (lucid.iinfo(lucid.uint64).max, lucid.iinfo(lucid.int8).min) == (2**64 - 1, -128)
    with pytest.raises(TypeError, match="finfo: dtype must be floating point, got int32"):
        lucid.finfo(lucid.int32)
    with pytest.raises(TypeError, match="iinfo: dtype must hold integers, got float32"):
        lucid.iinfo(lucid.float32)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (lucid.ones(2, dtype=lucid.int32), 2.5, lucid.float32),
        (lucid.ones(2, dtype=lucid.float16), 2.5, lucid.float16),
        (lucid.ones(2, dtype=lucid.float16), lucid.tensor(2.5), lucid.float16),
        (lucid.tensor(2), lucid.ones(2, dtype=lucid.uint8), lucid.uint8),
        (lucid.tensor(2.0), lucid.ones(2, dtype=lucid.uint8), lucid.float32),
        (True, 1, lucid.int64),
        (lucid.ones(2, dtype=lucid.int8), lucid.ones(2, dtype=lucid.uint8), lucid.int16),
    ],
)
def test_result_types_are_those_of_operations(one, other, expected):
    assert lucid.result_type(one, other) == lucid.result_type(other, one) == expected
    if isinstance(one, lucid.Tensor):
        assert (one + other).dtype == expected


def test_dtypes_are_cast_to_kinds_that_hold_them():
    assert lucid.can_cast(lucid.int64, lucid.float16) and lucid.can_cast(lucid.float64, lucid.float32)
    assert not lucid.can_cast(lucid.float32, lucid.int32) and not lucid.can_cast("int8", "bool")
    assert lucid.promote_types("int32", "float16") == lucid.float16


def test_questions_about_a_tensor():
    x = lucid.ones(2, 3)
    assert lucid.is_floating_point(x) and not lucid.is_complex(x) and lucid.is_signed(x) and lucid.numel(x) == 6
    assert not x.to(lucid.uint8).is_signed() and x.is_same_size(x + 1) and lucid.is_nonzero(lucid.tensor([2]))
    assert x.is_cpu == (x.device.type == "cpu") and not x.is_sparse and x.layout is lucid.strided
    assert x.get_device() == (-1 if x.is_cpu else 0) and x.is_cuda == (x.device.type == "cuda")
    assert x.pin_memory() is x.share_memory_() is x and x.is_shared() and not x.is_pinned()
    assert lucid.broadcast_shapes((2, 1), 3) == lucid.Size((2, 3)) and lucid.Size((2, 3)).numel() == 6
    assert isinstance(x.shape, lucid.Size) and not isinstance([2, 3], lucid.Size)


def test_layouts_are_those_of_pytorch():
    x = lucid.ones(3, 4, 5)
    part = x[1:, ::2].permute(2, 0, 1)
    assert (part.stride(), part.storage_offset(), part.dim_order()) == ((1, 20, 10), 20, (1, 2, 0))
    assert x.stride(0) == 20 and x.expand(2, 3, 4, 5).stride() == (0, 20, 5, 1)
    assert part._is_view() and part._base is x and x._base is None
    assert x.view(-1).view(3, 4, 5).is_set_to(x) and not x[1:].is_set_to(x)


def test_retained_gradients_are_known():
    y = lucid.ones(2, requires_grad=True) * 2
    assert not y.retains_grad and y.output_nr == 0
    y.retain_grad()
    assert y.retains_grad


def test_the_default_dtype():
    try:
        lucid.set_default_dtype(lucid.float64)
        made = [lucid.tensor(1.5), lucid.tensor([0.1]), lucid.ones(2), lucid.rand(2), lucid.linspace(0, 1, 3)]
        made += [lucid.arange(0, 1, 0.5), lucid.exp(lucid.tensor(1)), lucid.arange(3) / lucid.arange(1, 4)]
        assert {one.dtype for one in [*made, nn.Linear(2, 3).weight]} == {lucid.get_default_dtype()} == {lucid.float64}
        assert made[1].item() == 0.1
        lucid.set_default_tensor_type("torch.HalfTensor")
        assert lucid.get_default_dtype() == lucid.zeros(1).dtype == lucid.float16
    finally:
        lucid.set_default_dtype(lucid.float32)
    with pytest.raises(TypeError, match="set_default_dtype: d must be a floating-point dtype, got int32"):
        lucid.set_default_dtype(lucid.int32)


def test_print_options():
    x = lucid.tensor([1.23456, 0.5])
    try:
        lucid.set_printoptions(precision=2)
        assert repr(x) == "tensor([1.23, 0.5 ])"
        lucid.set_printoptions(sci_mode=True)
        assert repr(x) == "tensor([1.23e+00, 5.00e-01])"
        lucid.set_printoptions(threshold=5, edgeitems=1)
        assert repr(lucid.arange(9)) == "tensor([0, ..., 8])"
    finally:
        lucid.set_printoptions(profile="default")
    assert repr(x) == "tensor([1.2346, 0.5   ])"
