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
