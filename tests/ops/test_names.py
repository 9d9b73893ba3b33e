"""Operations take PyTorch's names of their arguments, NumPy's where PyTorch takes those too, and refuse ``out=``."""

import numpy as np
import pytest

import lucid
import lucid.nn.functional as F

X = np.array([[1.0, 2.0], [3.0, 5.0]], np.float32)


@pytest.mark.parametrize("name", ["input", "x", "a", "x1"])
def test_the_first_argument_has_four_names(name):
    assert lucid.sum(**{name: lucid.tensor(X)}).item() == 11
    assert lucid.unbind(**{name: lucid.tensor(X)})[0].tolist() == [1, 2]


def test_numpys_names_stand_for_pytorchs():
    x = lucid.tensor(X)
    assert lucid.add(x1=x, x2=x).tolist() == x.add(x2=x).tolist() == (2 * X).tolist()
    assert lucid.sum(x, axis=0, keepdims=True).tolist() == [[4, 7]]
    assert lucid.max(x, axis=1).values.tolist() == [2, 5]
    assert lucid.cat([x, x], axis=1).shape == (2, 4)
    assert [one.shape for one in lucid.chunk(x, 2, axis=1)] == [(2, 1), (2, 1)]
    with lucid.autocast(dtype=lucid.bfloat16):
        assert lucid.softmax(x, axis=1).shape == (2, 2)


def test_a_view_taken_by_name_is_a_view():
    x = lucid.tensor(X)
    lucid.chunk(input=x, chunks=2, axis=1)[0].fill_(0)
    x.split(split_size=1, dim=0)[1].fill_(9)
    assert x.tolist() == [[0, 2], [9, 9]]


def test_split_has_the_names_of_the_function_and_of_the_method():
    x = lucid.tensor(X)
    assert len(lucid.split(tensor=x, split_size_or_sections=1)) == len(x.split(split_size=1)) == 2


def test_gradients_flow_through_arguments_given_by_name():
    x, y = lucid.tensor(X, requires_grad=True), lucid.tensor(X, requires_grad=True)
    lucid.mul(x1=x, x2=y).sum().backward()
    F.gelu(input=x).sum().backward()
    assert x.grad is not None and y.grad.tolist() == X.tolist()


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda x: lucid.sum(x, dim=0, axis=0), "sum: dim and axis are mutually exclusive"),
        (lambda x: lucid.sum(x, 0, axis=0), "sum: dim and axis are mutually exclusive"),
        (lambda x: lucid.add(x, x, x2=x), "add: other and x2 are mutually exclusive"),
        (lambda x: lucid.exp(x, axis=0), "exp.. got an unexpected keyword argument 'axis'"),
        (lambda x: x.repeat((2, 2), repeats=(2, 2)), "multiple values for argument .repeats"),
        (lambda x: lucid.exp(x, out=x), "exp: out= is not supported; use the tensor that exp returns"),
        (lambda x: lucid.sort(x, out=(x, x)), "sort: out= is not supported"),
        (lambda x: lucid.norm(x, 2, 0, False, x), "norm: out= is not supported"),
        (lambda x: lucid.tensordot(x, x, 1, x), "tensordot: out= is not supported"),
        (lambda x: lucid.sum(x, 0, keepdim=1), "sum: keepdim must be a bool, got 1"),
        (lambda x: x.clone(memory_format="channels_last"), "clone: memory_format must be a lucid.memory_format, got"),
    ],
)  # fmt: skip
def test_contradicting_and_unsupported_arguments_raise(use, message):
    with pytest.raises(TypeError, match=message):
        use(lucid.tensor(X))


def test_out_may_be_none():
    x = lucid.tensor(X)
    assert lucid.exp(x, out=None).shape == lucid.cat([x], out=None).shape == (2, 2)
    assert lucid.norm(x, 2, 0, False, None, lucid.float16).dtype == lucid.float16


def test_norm_as_a_method_has_dtype_fifth():
    assert lucid.tensor(X).norm(2, 0, False, lucid.float16).dtype == lucid.float16


def test_softmax_of_functional_has_stacklevel_third():
    x = lucid.tensor(X)
    assert F.softmax(x, 1, 3, lucid.float16).dtype == lucid.softmax(x, 1, lucid.float16).dtype == lucid.float16
    assert F.log_softmax(x, 1, 3, lucid.float16).dtype == F.softmin(x, 1, 3, lucid.float16).dtype == lucid.float16


def test_memory_formats_are_checked():
    x = lucid.ones(1, 2, 3, 4)
    assert x.clone(memory_format=lucid.channels_last).shape == (1, 2, 3, 4)
    assert x.half(memory_format=lucid.preserve_format).dtype == lucid.float16
    with pytest.raises(ValueError, match="float: lucid.channels_last needs a tensor with 4 dimensions, got 2"):
        lucid.ones(2, 2).float(memory_format=lucid.channels_last)


def test_repeats_and_dims_may_be_given_by_name():
    x = lucid.tensor(X)
    assert x.repeat(repeats=(2, 1)).shape == x.tile(dims=(2, 1)).shape == (4, 2)


def test_div_takes_a_rounding_mode_in_place():
    assert lucid.tensor([7.0, -7.0]).div_(2, rounding_mode="floor").tolist() == [3, -4]
