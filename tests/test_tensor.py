"""The facade: values in and out, writing, Python's protocols, and what wrong use says."""

import copy
import pickle

import mlx.core as mx
import numpy as np
import pytest

import lucid


def test_data_of_every_kind_becomes_a_tensor():
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
    assert lucid.Tensor([1.0, 2.0], requires_grad=True).requires_grad


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        ("text", TypeError, "type str cannot become a tensor"),
        ({1: 2}, TypeError, "type dict cannot become a tensor"),
        ([[1, 2], [3]], ValueError, "nested lists must have equal lengths"),
        (["a"], TypeError, "lists must hold numbers"),
        (np.array(["a"]), TypeError, "NumPy data of dtype"),
    ],
)
def test_other_data_is_refused(data, error, message):
    with pytest.raises(error, match=message):
        lucid.tensor(data)


def test_a_large_integer_survives():
    assert lucid.tensor(2**53 + 1).item() == 2**53 + 1
    assert lucid.arange(2**53, 2**53 + 3).tolist() == [2**53, 2**53 + 1, 2**53 + 2]


def test_the_arrays_inside_are_shared_with_mlx_and_numpy():
    array = mx.arange(6.0)
    assert lucid.tensor(array).mlx is array
    view = lucid.tensor(array).numpy()
    assert np.shares_memory(view, np.asarray(array))
    assert not view.flags.writeable
    assert np.shares_memory(np.asarray(lucid.tensor(array)), view)
    assert np.array(lucid.tensor(array), dtype=np.float64).dtype == np.float64


def test_bfloat16_reaches_numpy_as_float32():
    t = lucid.tensor([1.5, 2.5], dtype=lucid.bfloat16)
    assert t.numpy().dtype == np.float32 and t.tolist() == [1.5, 2.5]


def test_a_tensor_that_requires_grad_is_detached_before_numpy():
    x = lucid.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="detach"):
        x.numpy()
    assert x.numpy(force=True).tolist() == [1, 1]
    assert x.detach().numpy().tolist() == [1, 1]


def test_dlpack_goes_both_ways():
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


def test_numpy_arrays_leave_arithmetic_to_tensors():
    x = lucid.ones(3, requires_grad=True)
    y = np.arange(3, dtype=np.float32) * x + np.float32(1)
    assert isinstance(y, lucid.Tensor)
    y.sum().backward()
    assert x.grad.tolist() == [0, 1, 2]


def test_places_are_accepted_and_change_nothing():
    x = lucid.ones(2)
    assert x.to("gpu") is x and x.to("metal") is x and x.cpu() is x and x.to("cuda:0") is x
    assert x.to(lucid.float16).dtype == lucid.float16
    assert x.to("cpu", lucid.int32).dtype == lucid.int32
    assert x.to("float16").dtype == lucid.float16
    assert x.to(lucid.ones(1, dtype=lucid.bfloat16)).dtype == lucid.bfloat16
    assert x.to(device="cpu", dtype=lucid.float16, non_blocking=True).dtype == lucid.float16
    with pytest.raises(ValueError, match="unknown device 'tpu'"):
        x.to(device="tpu")
    with pytest.raises(TypeError, match="dtype must be one of"):
        x.to("tpu")


def test_to_a_dtype_is_differentiable():
    x = lucid.ones(2, requires_grad=True)
    (x.to(lucid.float16) * 3).sum().backward()
    assert x.grad.dtype == lucid.float32 and x.grad.tolist() == [3, 3]


def test_writing_into_plain_tensors():
    t = lucid.zeros(2, 3)
    t[0] = 1
    t[:, 1] = lucid.tensor([5.0, 6.0])
    t[1, -1] = np.float32(7)
    assert t.tolist() == [[1, 5, 1], [0, 6, 7]]
    t[t > 5] = -1
    assert t.tolist() == [[1, 5, 1], [0, -1, -1]]
    t += 1
    t *= 2
    t -= 1
    t /= 1
    assert t.tolist() == [[3, 11, 3], [1, -1, -1]]
    assert t.fill_(2).sub_(1).mul_(4).div_(2).add_(1, alpha=3).tolist() == [[5] * 3] * 2
    assert t.zero_().copy_(lucid.arange(3)).tolist() == [[0, 1, 2]] * 2
    i = lucid.arange(3)
    i[0] = 7.9
    assert i.dtype == lucid.int64 and i.tolist() == [7, 1, 2]


def test_writing_into_a_computed_tensor_is_recorded():
    x = lucid.tensor([1.0, 2.0, 3.0], requires_grad=True)
    w = lucid.tensor([10.0], requires_grad=True)
    y = x * x
    z = y.sum()  # recorded before the write: it keeps the old value
    y[1:2] = w * 2
    (y * y).sum().backward(retain_graph=True)
    assert x.grad.tolist() == [4.0, 0.0, 108.0]
    assert w.grad.tolist() == [80.0]
    x.grad = None
    z.backward()
    assert x.grad.tolist() == [2.0, 4.0, 6.0]


def test_a_plain_tensor_starts_to_require_grad_when_such_a_value_is_written():
    x = lucid.tensor([2.0], requires_grad=True)
    out = lucid.zeros(3)
    out[0] = x[0] * 3
    out.sum().backward()
    assert x.grad.tolist() == [3.0]


def test_writing_that_would_corrupt_the_record_is_refused():
    w = lucid.ones(3, requires_grad=True)
    for write in (lambda: w.__setitem__(0, 1), lambda: w.add_(1), lambda: w.__iadd__(1), w.zero_):
        with pytest.raises(RuntimeError, match=r"leaf that requires grad.*no_grad"):
            write()
    y = w * 2
    with lucid.no_grad(), pytest.raises(RuntimeError, match="computed by 'mul'.*detach"):
        y[0] = 1
    with lucid.no_grad():
        w -= 0.5
        w[0] = 9
    assert w.tolist() == [9, 0.5, 0.5] and w.is_leaf and w.requires_grad


def test_writing_cannot_change_the_shape():
    t = lucid.zeros(3)
    with pytest.raises(ValueError, match=r"\+=: a tensor of shape \(3,\) cannot hold a result of shape \(2, 3\)"):
        t += lucid.ones(2, 3)


def test_data_replaces_the_value_of_a_parameter():
    w = lucid.ones(2, requires_grad=True)
    w.data = w.data * 3
    assert w.tolist() == [3, 3] and w.requires_grad and w.is_leaf
    w.data -= 1
    assert w.tolist() == [2, 2]


def test_python_numbers_and_truth():
    assert float(lucid.tensor(2.5)) == 2.5 and int(lucid.tensor([7])) == 7
    assert [10, 20, 30][lucid.tensor(1)] == 20
    assert lucid.tensor(1.0) and not lucid.tensor([0])
    assert len(lucid.zeros(4, 2)) == 4
    assert [row.tolist() for row in lucid.arange(4).reshape(2, 2)] == [[0, 1], [2, 3]]
    assert 3 in lucid.arange(4) and 9 not in lucid.arange(4)
    assert f"{lucid.tensor(1.23456):.2f}" == "1.23"


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (lambda: bool(lucid.ones(2)), RuntimeError, r"shape \(2,\) has 2 elements.*any\(\) or all\(\)"),
        (lambda: lucid.ones(2, 2).item(), RuntimeError, r"item: a tensor of shape \(2, 2\) has 4 elements"),
        (lambda: len(lucid.tensor(1.0)), TypeError, "has no length"),
        (lambda: iter(lucid.tensor(1.0)), TypeError, "cannot be iterated"),
        (lambda: [1][lucid.tensor(0.0)], TypeError, "only integer tensors.*float32"),
        (lambda: lucid.ones(2).size(2), IndexError, "dim 2 is out of range"),
        (lambda: lucid.ones(2, dtype=lucid.int32).requires_grad_(), RuntimeError, "only floating-point.*int32"),
        (lambda: (lucid.ones(2, requires_grad=True) * 1).requires_grad_(False), RuntimeError, "only a leaf"),
        (lambda: copy.deepcopy(lucid.ones(2, requires_grad=True) * 1), RuntimeError, "only leaves"),
        (lambda: pickle.dumps(lucid.ones(2)), TypeError, "not pickled"),
    ],
)
def test_wrong_use_says_what_is_wrong(use, error, message):
    with pytest.raises(error, match=message):
        use()


def test_copies_are_independent():
    x = lucid.ones(2, requires_grad=True)
    twin = copy.deepcopy(x)
    with lucid.no_grad():
        twin.add_(1)
    assert x.tolist() == [1, 1] and twin.tolist() == [2, 2] and twin.requires_grad


def test_repr():
    assert repr(lucid.tensor([1.0, 2.5])) == "tensor([1. , 2.5])"
    assert repr(lucid.tensor([1, 2], dtype=lucid.int32)) == "tensor([1, 2], dtype=lucid.int32)"
    assert repr(lucid.tensor(2.0, requires_grad=True)) == "tensor(2., requires_grad=True)"
    assert repr(lucid.tensor([2.0], requires_grad=True) * 2) == "tensor([4.], grad_fn=<mul>)"
    assert "shape=(40, 50)" in repr(lucid.zeros(40, 50)) and "..." in repr(lucid.zeros(40, 50))
    assert "shape=(0, 3)" in repr(lucid.zeros(0, 3))
    assert repr(lucid.ones(2, dtype=lucid.bfloat16)) == "tensor([1., 1.], dtype=lucid.bfloat16)"


def test_transposed_properties():
    x = lucid.arange(6).reshape(1, 2, 3)
    assert x.T.shape == (3, 2, 1)
    assert x.mT.shape == (1, 3, 2) and x.mT.tolist() == [[[0, 3], [1, 4], [2, 5]]]


def test_methods_are_the_functions():
    assert lucid.Tensor.sum is lucid.sum
    assert lucid.Tensor.softmax is lucid.softmax is lucid.nn.functional.softmax


def test_writing_to_a_view_writes_to_what_it_was_taken_from():
    t = lucid.zeros(3, 4)
    t[0][1] = 1
    t[:, 2:].T[1].fill_(2)
    t.view(-1)[8] = 3
    t.reshape(2, 6).transpose(0, 1)[-1] -= 5
    for row in t:
        row[0] += 10
    expected = np.zeros((3, 4), np.float32)
    expected[0, 1] = 1
    expected[:, 3] = 2
    expected[2, 0] = 3
    expected.reshape(2, 6).T[-1] -= 5
    expected[:, 0] += 10
    assert t.tolist() == expected.tolist()
    t[lucid.tensor([0, 1])].zero_()  # a copy, as in NumPy
    assert t.tolist() == expected.tolist()


def test_a_write_through_a_view_is_recorded():
    x = lucid.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = x * 2
    y[1:].mul_(x[0])
    (y * lucid.tensor([1.0, 10.0, 100.0])).sum().backward()
    assert x.grad.tolist() == [2 + 40 + 600, 20, 200]
    with pytest.raises(RuntimeError, match="leaf that requires grad"):
        x[0].zero_()
    with lucid.no_grad():
        x[0].fill_(7)
        x.data[1] = 8
        x.detach().view(3)[2:] = 9
    assert x.tolist() == [7, 8, 9] and x.requires_grad and x.is_leaf


def test_views_of_temporaries_can_be_written():
    t = lucid.arange(6).reshape(2, 3)
    t[0] = 9
    assert t.tolist() == [[9, 9, 9], [3, 4, 5]]


def test_a_view_is_written_as_its_owner_stands_now():
    t = lucid.arange(6).reshape(2, 3)
    view = t[0]
    t.zero_()
    view.add_(1)
    assert t.tolist() == [[1, 1, 1], [0, 0, 0]] and view.tolist() == [1, 1, 1]
    w = lucid.tensor([2.0], requires_grad=True)
    t = lucid.zeros(3)
    view = t[:2]
    t[0] = w * 3
    view.add_(1)  # keeps the record of what was written before
    t.sum().backward()
    assert t.tolist() == [7, 1, 0] and w.grad.tolist() == [3]


def test_a_detached_view_writes_past_the_record():
    p = lucid.ones(3, requires_grad=True)
    value = p.detach()
    with lucid.no_grad():
        p.add_(1)
    value.view(3)[2:] = 9
    value.mul_(2)
    assert p.tolist() == [4, 4, 18] and p.is_leaf and p.requires_grad and not value.requires_grad
