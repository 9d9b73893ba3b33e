"""The constructors of tensors agree with PyTorch's."""

import numpy as np
import pytest

import lucid
from lucid import nn

TYPES = {
    "Float": lucid.float32, "Double": lucid.float64, "Half": lucid.float16, "BFloat16": lucid.bfloat16,
    "Long": lucid.int64, "Int": lucid.int32, "Short": lucid.int16, "Char": lucid.int8, "Byte": lucid.uint8,
    "Bool": lucid.bool_,
}  # fmt: skip


@pytest.mark.parametrize("make", [lucid.Tensor, lucid.FloatTensor])
def test_sizes_and_data(make):
    assert make().shape == (0,) and make().dtype == lucid.float32
    assert make(4).shape == make(np.int64(4)).shape == make(size=(4,)).shape == (4,)
    assert make(3, 4).shape == (3, 4) and make(3, 0).numel() == 0
    for data in ([1, 2], (1, 2), np.array([1, 2]), np.array([1.0, 2.0]), [lucid.tensor(1), lucid.tensor(2)]):
        assert make(data).tolist() == [1, 2] and make(data).dtype == lucid.float32
    assert make(data=[1, 2], device="cpu").tolist() == [1, 2]
    assert not make([1.0]).requires_grad


@pytest.mark.parametrize(("name", "dtype"), TYPES.items())
def test_each_type_makes_its_dtype_and_knows_its_tensors(name, dtype):
    kind = getattr(lucid, f"{name}Tensor")
    made = kind([1, 0, 2])
    assert made.dtype == kind(2, 3).dtype == dtype and made.type() == f"torch.{name}Tensor"
    assert made.tolist() == ([True, False, True] if name == "Bool" else [1, 0, 2])
    for other in TYPES:
        assert isinstance(made, getattr(lucid, f"{other}Tensor")) == (other == name)
    assert isinstance(made, lucid.Tensor) and not isinstance(3.0, kind) and type(made) is lucid.Tensor
    assert kind(made).tolist() == made.tolist()


def test_fractions_are_truncated_and_parameters_are_float_tensors():
    assert lucid.LongTensor([1.5, -1.5]).tolist() == [1, -1]
    assert isinstance(nn.Parameter(lucid.ones(1)), lucid.FloatTensor)


def test_a_tensor_is_detached():
    x = lucid.tensor([1, 2])
    assert lucid.Tensor(x).dtype == lucid.int64 and lucid.Tensor(x).tolist() == [1, 2]
    leaf = lucid.ones(2, requires_grad=True)
    assert not lucid.Tensor(leaf).requires_grad and not lucid.FloatTensor(leaf * 2).requires_grad


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: lucid.Tensor(2.5), TypeError, "Tensor: data must be a sequence, got float"),
        (lambda: lucid.Tensor(True), TypeError, "Tensor: data must be a sequence, got bool"),
        (lambda: lucid.Tensor("a"), TypeError, "Tensor: data must be a sequence, got str"),
        (
            lambda: lucid.Tensor([1], dtype=lucid.int8),
            TypeError,
            "Tensor: expected sizes, .*, got list, dtype=",
        ),
        (
            lambda: lucid.Tensor([1], [2]),
            TypeError,
            "Tensor: expected sizes, .*, got list, list",
        ),
        (lambda: lucid.Tensor(2, -1), RuntimeError, "Tensor: size must be at least 0, got -1"),
        (lambda: lucid.LongTensor(lucid.ones(2)), TypeError, "LongTensor: tensor must be int64, got float32"),
        (lambda: lucid.ByteTensor([300]), RuntimeError, "tensor: 300 does not fit in uint8"),
    ],
)
def test_other_arguments_raise(make, error, message):
    with pytest.raises(error, match=message):
        make()
