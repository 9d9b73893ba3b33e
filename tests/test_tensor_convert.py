"""Conversion of data to tensors, and of tensors to NumPy arrays."""

import mlx.core as mx
import numpy as np
import pytest

import lucid


def test_all_kinds_of_data_become_tensors():
    assert lucid.tensor(3).dtype == lucid.int64
    assert lucid.tensor(3.0).dtype == lucid.float32
    assert lucid.tensor(True).dtype == lucid.bool_
    assert lucid.tensor([[1, 2], [3, 4]]).shape == (2, 2)
    assert lucid.tensor([]).shape == (0,) and lucid.tensor([]).dtype == lucid.float32
    assert lucid.tensor(np.ones((2, 3))).dtype == lucid.float32
    assert lucid.tensor(np.arange(3, dtype=np.uint8)).dtype == lucid.uint8
    assert lucid.tensor(mx.ones((2,), mx.bfloat16)).dtype == lucid.bfloat16
    assert lucid.tensor([lucid.ones(2), lucid.zeros(2)]).tolist() == [[1, 1], [0, 0]]
    assert lucid.tensor([1, 2], dtype="float16").dtype == lucid.float16
    assert lucid.tensor([1, 2], dtype=float).dtype == lucid.float32
    assert lucid.tensor([1.0, 2.0], requires_grad=True).requires_grad


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        ("text", TypeError, "type str cannot be converted to a tensor"),
        ({1: 2}, TypeError, "type dict cannot be converted to a tensor"),
        ([[1, 2], [3]], ValueError, "nested lists must have equal lengths"),
        (["a"], TypeError, "lists must hold numbers"),
        (np.array(["a"]), TypeError, "NumPy dtype <U1 is not supported"),
    ],
)
def test_unsupported_data_raises(data, error, message):
    with pytest.raises(error, match=message):
        lucid.tensor(data)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: lucid.tensor([300], dtype=lucid.uint8), "tensor: 300 does not fit in uint8"),
        (lambda: lucid.tensor(-256, dtype=lucid.uint8), "tensor: -256 does not fit in uint8"),
        (lambda: lucid.tensor([-1.5], dtype=lucid.uint8), "tensor: -1.5 does not fit in uint8"),
        (lambda: lucid.tensor([1e10], dtype=lucid.int32), "tensor: 10000000000.0 does not fit in int32"),
        (lambda: lucid.tensor(float("nan"), dtype=lucid.int64), "tensor: nan does not fit in int64"),
        (lambda: lucid.tensor(2**63), f"tensor: {2**63} does not fit in 64 bits"),
        (lambda: lucid.tensor([2**63, -1]), f"tensor: {2**63} does not fit in 64 bits"),
        (lambda: lucid.full((2,), 1e10, dtype=lucid.float16), "full: fill_value 10000000000.0 does not fit in float16"),
        (lambda: lucid.ones(2).new_full((2,), 1e39), r"new_full: fill_value 1e\+39 does not fit in float32"),
        (lambda: lucid.tensor(np.array([1], ">i4")), "tensor: the byte order of >i4 is not this machine's"),
    ],
)
def test_numbers_that_do_not_fit_raise(make, message):
    for error in (RuntimeError, ValueError):
        with pytest.raises(error, match=message):
            make()


def test_conversions_to_narrower_dtypes_are_pytorch_s():
    assert lucid.tensor([-1, -255], dtype=lucid.uint8).tolist() == [255, 1]
    assert lucid.tensor([1.9, -1.9], dtype=lucid.int32).tolist() == [1, -1]
    assert lucid.tensor([1e10], dtype=lucid.float16).tolist() == [float("inf")]
    assert lucid.tensor(np.array([300]), dtype=lucid.uint8).tolist() == [44]
    assert lucid.tensor(np.array([2.0**53 + 2]), dtype=lucid.int64).item() == 2**53 + 2
    assert (
        lucid.tensor(2**63, dtype=lucid.uint64).item() == 2**63 and lucid.tensor(2**70, dtype=float).item() == 2.0**70
    )
    assert lucid.tensor([lucid.tensor([1]), lucid.tensor([[2]])]).tolist() == [1, 2]
    with pytest.raises(TypeError, match="tensor: complex numbers cannot be converted to float32"):
        lucid.tensor([1j], dtype=lucid.float32)


def test_large_integers_are_exact():
    assert lucid.tensor(2**53 + 1).item() == 2**53 + 1
    assert lucid.arange(2**53, 2**53 + 3).tolist() == [2**53, 2**53 + 1, 2**53 + 2]


def test_memory_is_shared_with_mlx_and_numpy():
    array = mx.arange(6.0)
    assert lucid.tensor(array).mlx is array
    view = lucid.tensor(array).numpy()
    assert np.shares_memory(view, np.asarray(array))
    assert not view.flags.writeable
    assert np.shares_memory(np.asarray(lucid.tensor(array)), view)
    assert np.array(lucid.tensor(array), dtype=np.float64).dtype == np.float64


def test_bfloat16_becomes_float32_in_numpy():
    t = lucid.tensor([1.5, 2.5], dtype=lucid.bfloat16)
    assert t.numpy().dtype == np.float32 and t.tolist() == [1.5, 2.5]


def test_a_tensor_that_requires_grad_is_detached_before_numpy():
    x = lucid.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="detach"):
        x.numpy()
    assert x.numpy(force=True).tolist() == [1, 1]
    assert x.detach().numpy().tolist() == [1, 1]


def test_dlpack_in_both_directions():
    class Foreign:
        def __init__(self, array):
            self.array = array

        def __dlpack__(self, **kwargs):
            return self.array.__dlpack__(**kwargs)

        def __dlpack_device__(self):
            return self.array.__dlpack_device__()

    source = np.arange(4, dtype=np.float32)
    ours = lucid.from_dlpack(Foreign(source))
    source[0] = 9  # the tensor has a copy
    assert ours.tolist() == [0, 1, 2, 3]
    np.testing.assert_array_equal(np.from_dlpack(ours), [0, 1, 2, 3])
    with pytest.raises(TypeError, match="has no __dlpack__"):
        lucid.from_dlpack([1])
    with pytest.raises(RuntimeError, match="requires grad"):
        np.from_dlpack(lucid.ones(2, requires_grad=True))
