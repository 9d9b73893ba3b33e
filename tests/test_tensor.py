"""``Tensor``: attributes, conversion to Python numbers, copies, and misuse."""

import copy
import pickle

import numpy as np
import pytest

import lucid


def test_to_takes_dtypes_devices_and_tensors():
    x = lucid.ones(2)
    assert x.to("cpu") is x.to(lucid.device("cpu:0")) is x.to(None) is x.to() is x.to(x.device, non_blocking=True) is x
    assert x.cpu() is x and x.cuda(non_blocking=True) is x and x.cpu(memory_format=lucid.preserve_format) is x
    assert x.to(lucid.float16).dtype == lucid.float16
    assert x.to("cpu", lucid.int32).dtype == lucid.int32
    assert x.to("float16", True).dtype == lucid.float16
    assert x.to(lucid.ones(1, dtype=lucid.bfloat16)).dtype == lucid.bfloat16
    assert x.to(device="cpu", dtype=lucid.float16, non_blocking=True).dtype == lucid.float16
    for copied in (x.to(copy=True), x.to(lucid.float32, False, True), x.to(x, copy=True)):
        copied.add_(1)
        assert x.tolist() == [1, 1] and copied.tolist() == [2, 2]
    assert lucid.ones(1, 2, 2, 2).to(memory_format=lucid.channels_last).shape == (1, 2, 2, 2)


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (lambda x: x.to("tpu"), RuntimeError, "to: device must be one of .*, got 'tpu'"),
        (lambda x: x.to(device="tpu"), ValueError, "to: device must be one of .*, got 'tpu'"),
        (lambda x: x.to("xpu"), RuntimeError, "to: device 'xpu' is not available here"),
        (lambda x: x.cuda("cpu:7"), RuntimeError, "cuda: device 'cpu:7' is not available here"),
        (lambda x: x.to(3.5), TypeError, "to: expected a dtype, a device or a tensor, got float 3.5"),
        (lambda x: x.to("cpu", "cpu"), TypeError, "to: dtype must be one of .*, got 'cpu'"),
        (lambda x: x.to("cpu", device="cpu"), TypeError, "to: device is given twice"),
        (lambda x: x.to(lucid.int8, False, False, 1), TypeError, "to: expected at most 3 positional arguments here, "),
        (lambda x: x.to(foo=1), TypeError, "to: got an unexpected keyword argument 'foo'"),
        (lambda x: x.to(memory_format=1), TypeError, "to: memory_format must be a lucid.memory_format"),
        (
            lambda x: x.contiguous(memory_format=lucid.channels_last),
            RuntimeError,
            "contiguous: lucid.channels_last needs a tensor with 4 dimensions, got 1",
        ),
        (lambda x: x.type("torch.FooTensor"), ValueError, "type: there is no type 'torch.FooTensor'"),
    ],
)
def test_invalid_conversions_raise(use, error, message):
    with pytest.raises(error, match=message):
        use(lucid.ones(2))


def test_the_device_of_a_tensor_is_the_current_one():
    x = lucid.ones(2)
    assert x.device == lucid.get_default_device()
    with lucid.device("cpu"):
        assert x.device == lucid.device("cpu") == "cpu" and x.device.type == "cpu" and x.device.index is None


def test_type_names_the_dtype_or_converts():
    x = lucid.ones(2)
    assert x.type() == "torch.FloatTensor" and x.bfloat16().type() == "torch.BFloat16Tensor"
    for dtype in ("torch.LongTensor", "torch.cuda.LongTensor", lucid.LongTensor, lucid.int64, "int64"):
        assert x.type(dtype).dtype == lucid.int64
    assert x.type(dtype=lucid.float32) is x


def test_matrix_transposes_of_numbers_vectors_and_complex_matrices():
    z = lucid.tensor([[1 + 2j, 3j]])
    assert z.H.tolist() == [[1 - 2j], [-3j]] and z.mT.tolist() == [[1 + 2j], [3j]]
    number = lucid.tensor(2.0)
    assert number.mT is number.H is number
    for name in ("mT", "H"):
        with pytest.raises(RuntimeError, match=f"{name}: expected "):
            getattr(lucid.ones(2), name)
    with pytest.raises(RuntimeError, match="H: expected a matrix, got shape .*; mT takes batches of them"):
        lucid.ones(2, 2, 2).H  # noqa: B018


def test_numpy_functions_return_tensors():
    x = lucid.tensor([4.0, 9.0])
    for found, expected in (
        (np.sqrt(x), [2, 3]),
        (np.add(np.ones(2), x), [5, 10]),
        (np.maximum(x, 5), [5, 9]),
        (np.add.reduce(x), 13),
        (np.ones(2) * x, [4, 9]),
        (np.float64(2) * x, [8, 18]),
        (np.float32(2) - x, [-2, -7]),
        (np.ones(2) < x, [True, True]),
        (np.ones((2, 2)) @ x, [13, 13]),
        (np.modf(x)[1], [4, 9]),
    ):
        assert isinstance(found, lucid.Tensor) and found.tolist() == expected
    leaf = lucid.ones(2, requires_grad=True)
    (np.array([2.0, 3.0], np.float32) * leaf).sum().backward()
    assert leaf.grad.tolist() == [2, 3]
    with pytest.raises(RuntimeError, match="numpy: this tensor requires grad"):
        np.sqrt(leaf)


def test_to_a_dtype_is_differentiable():
    x = lucid.ones(2, requires_grad=True)
    (x.to(lucid.float16) * 3).sum().backward()
    assert x.grad.dtype == lucid.float32 and x.grad.tolist() == [3, 3]


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
        (lambda: bool(lucid.ones(2)), RuntimeError, r"shape \(2,\) with 2 elements is ambiguous.*any\(\) or all\(\)"),
        (
            lambda: lucid.ones(2, 2).item(),
            RuntimeError,
            r"item: expected a tensor with one element, got shape \(2, 2\)",
        ),
        (lambda: len(lucid.tensor(1.0)), TypeError, "has no length"),
        (lambda: iter(lucid.tensor(1.0)), TypeError, "cannot be iterated"),
        (lambda: [1][lucid.tensor(0.0)], TypeError, "only integer tensors.*float32"),
        (lambda: lucid.ones(2).size(2), IndexError, "dim 2 is out of range"),
        (lambda: lucid.ones(2, dtype=lucid.int32).requires_grad_(), RuntimeError, "only floating-point.*int32"),
        (
            lambda: (lucid.ones(2, requires_grad=True) * 1).requires_grad_(False),
            RuntimeError,
            "can only be cleared on a leaf",
        ),
        (
            lambda: copy.deepcopy(lucid.ones(2, requires_grad=True) * 1),
            RuntimeError,
            "only leaf tensors support deepcopy",
        ),
        (lambda: pickle.dumps(lucid.ones(2)), TypeError, "does not support pickling"),
    ],
)
def test_misuse_raises(use, error, message):
    with pytest.raises(error, match=message):
        use()


def test_copies_are_independent():
    x = lucid.ones(2, requires_grad=True)
    twin = copy.deepcopy(x)
    with lucid.no_grad():
        twin.add_(1)
    assert x.tolist() == [1, 1] and twin.tolist() == [2, 2] and twin.requires_grad


def test_transposed_properties():
    x = lucid.arange(6).reshape(1, 2, 3)
    assert x.T.shape == (3, 2, 1)
    assert x.mT.shape == (1, 3, 2) and x.mT.tolist() == [[[0, 3], [1, 4], [2, 5]]]


class _Image(lucid.Tensor):
    def __new__(cls, data, note="none"):
        made = lucid.as_tensor(data).as_subclass(cls)
        made.note = note
        return made


def test_subclasses_that_make_their_objects_themselves():
    source = lucid.ones(2, 2, dtype=lucid.uint8)
    image = _Image(source, note="mine")
    assert type(image) is _Image and image.note == "mine" and image.dtype == lucid.uint8
    assert type(image + 1) is lucid.Tensor and type(copy.deepcopy(image)) is _Image
    source[0] = 5
    assert image.tolist() == [[5, 5], [1, 1]]
    weight = lucid.ones(2, requires_grad=True)
    (weight * 3).as_subclass(_Image).sum().backward()
    assert weight.grad.tolist() == [3, 3] and weight.as_subclass(_Image).requires_grad
    with pytest.raises(TypeError, match="as_subclass: cls must be a subclass of Tensor, got <class 'int'>"):
        weight.as_subclass(int)
