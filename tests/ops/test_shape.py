"""Shape operations agree with PyTorch and reject invalid arguments."""

import inspect

import pytest

import lucid
from tests.checking import check, recorded


@pytest.mark.parametrize(("case", "record"), recorded("ops_shape"))
def test_agrees_with_pytorch(case, record):
    check(case, record)


def test_axis_is_dim():
    x = lucid.arange(6).reshape(2, 3)
    assert x.unsqueeze(0).squeeze(axis=0).shape == (2, 3)


def test_numbers_and_lists_are_tensors_too():
    assert lucid.reshape([1, 2, 3, 4], (2, 2)).tolist() == [[1, 2], [3, 4]]


def test_contiguous_returns_the_tensor_itself():
    x = lucid.ones(2, 3)
    assert x.contiguous() is x
    assert lucid.contiguous(x.t()).tolist() == [[1, 1]] * 3


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (lambda x: x.expand(2**40, 2, 3), RuntimeError, "expand: a tensor of shape .* is too large"),
        (lambda x: x[0, 0].narrow(0, 0, 1), RuntimeError, "narrow: input must have at least 1 dimension, got a 0-d"),
        (lambda x: x.narrow(0, 3, 0), IndexError, "narrow: start 3 is out of range for size 2 of dim 0"),
        (
            lambda x: x.narrow(0, lucid.tensor([1]), 1),
            RuntimeError,
            "narrow: start must be an integer or a 0-d tensor of",
        ),
        (lambda x: x[0, 0].roll(1, 0), IndexError, "roll: a 0-d tensor has no dims, got 0"),
        (lambda x: x.roll(1.5), TypeError, "roll: shifts must be an integer, got 1.5"),
        (lambda x: x.diag_embed(0, 1, 1), ValueError, "diag_embed: dim1 and dim2 must differ, got 1 and 1"),
        (lambda x: x.diag_embed(0, 0, 3), IndexError, r"diag_embed: dim2 must be in \[-3, 2\]"),
        (lambda x: x[0, 0].select(0, 0), IndexError, "select: input must have at least 1 dimension, got a 0-d tensor"),
        (
            lambda x: x.unflatten(1, 3),
            TypeError,
            r"unflatten: expected at least 1 dimension and a list of sizes, got sh",
        ),
        (
            lambda x: lucid.meshgrid(x[0], x[0].int()),
            RuntimeError,
            "meshgrid: all tensors must have the same dtype, got",
        ),
        (lambda x: lucid.meshgrid(x), ValueError, r"meshgrid: each tensor must have 0 or 1 dimensions, got \(2, 3\)"),
        (lambda x: lucid.meshgrid([]), RuntimeError, "meshgrid: expected at least one tensor"),
        (
            lambda x: x.reshape(4, 2),
            ValueError,
            r"reshape: shape \(2, 3\) \(6 elements\) cannot become \(4, 2\) \(8 elements\)",
        ),
        (lambda x: x.reshape(4, -1), ValueError, r"reshape: shape \(2, 3\) \(6 elements\) cannot become \(4, -1\)"),
        (
            lambda x: x.reshape(-1, -1),
            ValueError,
            r"reshape: sizes must be at least 0, except for a single -1, got \(-1, -1\)",
        ),
        (lambda x: x.view(2.5), TypeError, "view: size must be an integer, got 2.5"),
        (lambda x: lucid.zeros(0).reshape(0, -1), ValueError, r"reshape: shape \(0,\)"),
        (
            lambda x: x.view(lucid.int64),
            ValueError,
            r"view: a float32 tensor of shape \(2, 3\) cannot be reinterpreted as int64",
        ),
        (
            lambda x: x[0, 0].view(lucid.int8),
            ValueError,
            r"view: a float32 tensor of shape \(\) cannot be reinterpreted as int8",
        ),
        (lambda x: x.flatten(1, 0), ValueError, r"flatten: start_dim 1 comes after end_dim 0 for shape \(2, 3\)"),
        (lambda x: x.flatten(2), IndexError, r"flatten: start_dim must be in \[-2, 1\]"),
        (
            lambda x: x.unflatten(1, (2, 2)),
            ValueError,
            r"unflatten: shape \(3,\) \(3 elements\) cannot become \(2, 2\)",
        ),
        (
            lambda x: x.permute(0, 0),
            ValueError,
            r"permute: dims must be a permutation of the 2 dimensions, got \(0, 0\)",
        ),
        (lambda x: x.permute(0), ValueError, "permute: dims must be a permutation of the 2 dimensions"),
        (lambda x: x.transpose(0, 2), IndexError, r"transpose: dim1 must be in \[-2, 1\] for 2 dimensions, got 2"),
        (
            lambda x: lucid.ones(1, 2, 3).t(),
            ValueError,
            r"t: input must have at most 2 dimensions, got shape \(1, 2, 3\); use mT",
        ),
        (lambda x: x.movedim((0, 1), (0,)), ValueError, "movedim: source and destination must have the same length"),
        (lambda x: x.squeeze(2), IndexError, r"squeeze: dim must be in \[-2, 1\]"),
        (lambda x: x.unsqueeze(3), IndexError, r"unsqueeze: dim must be in \[-3, 2\] for 3 dimensions, got 3"),
        (lambda x: x.expand(4, 3), ValueError, r"expand: shape \(2, 3\) cannot be expanded to \(4, 3\): dim 0 is 2"),
        (lambda x: x.expand(3), ValueError, r"expand: shape \(2, 3\) has more dimensions than \(3,\)"),
        (lambda x: x.expand(-1, 2, 3), ValueError, "expand: .*dim 0 is new"),
        (
            lambda x: lucid.broadcast_tensors(x, lucid.ones(2)),
            ValueError,
            r"broadcast_tensors: shapes \(2, 3\) and \(2,\)",
        ),
        (lambda x: x.flip(0, 0), ValueError, r"flip: dims contains a dimension twice"),
        (
            lambda x: lucid.ones(2).fliplr(),
            ValueError,
            r"fliplr: input must have at least 2 dimensions, got shape \(2,\)",
        ),
        (lambda x: x.rot90(1, (0, 0)), ValueError, r"rot90: dims contains a dimension twice, got \(0, 0\)"),
        (lambda x: x.rot90(1, (0,)), ValueError, r"rot90: dims must be two different dimensions, got \(0,\)"),
        (lambda x: x.roll((1, 2)), ValueError, r"roll: without dims, shifts must be a single number, got \(1, 2\)"),
        (
            lambda x: x.roll(1, (0, 1)),
            ValueError,
            r"roll: shifts and dims must have the same length, got 1 and \(0, 1\)",
        ),
        (
            lambda x: lucid.tril(lucid.ones(3)),
            ValueError,
            r"tril: input must have at least 2 dimensions, got shape \(3,\)",
        ),
        (
            lambda x: lucid.diag(lucid.ones(1, 2, 3)),
            ValueError,
            r"diag: input must have 1 or 2 dimensions, got \(1, 2, 3\)",
        ),
        (lambda x: x.diagonal(0, 1, -1), ValueError, "diagonal: dim1 and dim2 must differ, got 1 and -1"),
        (lambda x: lucid.trace(lucid.ones(3)), ValueError, "trace: input must have 2 dimensions"),
        (lambda x: x.narrow(1, 2, 2), ValueError, "narrow: start 2 and length 2 exceed size 3 of dim 1"),
        (lambda x: x.select(0, 2), IndexError, "select: index 2 is out of range for size 2 of dim 0"),
        (lambda x: lucid.meshgrid(x, indexing="yx"), ValueError, "meshgrid: indexing must be 'ij' or 'xy', got 'yx'"),
    ],
)
def test_invalid_arguments_raise(use, error, message):
    with pytest.raises(error, match=message):
        use(lucid.ones(2, 3))


@pytest.mark.parametrize(
    ("name", "keyword", "sizes"),
    [
        ("reshape", "shape", (3, 2)),
        ("view", "size", (3, 2)),
        ("permute", "dims", (1, 0)),
        ("flip", "dims", (0, 1)),
        ("expand", "size", (4, 2, 3)),
        ("broadcast_to", "size", (4, 2, 3)),
    ],
)
def test_sizes_are_given_one_by_one_in_a_tuple_or_by_name(name, keyword, sizes):
    x = lucid.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], requires_grad=True)
    function = getattr(lucid, name)
    expected = getattr(x, name)(*sizes)
    for found in (
        getattr(x, name)(sizes),
        getattr(x, name)(list(sizes)),
        getattr(x, name)(**{keyword: sizes}),
        function(x, sizes),
        function(input=x, **{keyword: sizes}),
    ):
        assert found.tolist() == expected.tolist()
        found.sum().backward()
        assert x.grad.tolist() == [[found.numel() / 6] * 3] * 2
        x.grad = None
    with pytest.raises(TypeError, match=keyword if name != "view" else "either a size or a dtype"):
        function(x)


def test_signatures_show_the_sizes_as_one_parameter():
    assert str(inspect.signature(lucid.permute)) == "(input: Any, dims: Any) -> 'Tensor'"
    assert list(inspect.signature(lucid.Tensor.flip).parameters) == ["input", "dims"]


def test_view_takes_a_dtype_by_name():
    assert lucid.ones(2).view(dtype=lucid.int32).tolist() == [0x3F800000] * 2
    with pytest.raises(TypeError, match="view: expected either a size or a dtype"):
        lucid.ones(2).view(2, dtype=lucid.int32)


def test_swapaxes_names_its_dimensions_as_numpy_does():
    x = lucid.zeros(2, 3)
    assert x.swapaxes(axis0=0, axis1=1).shape == x.swapdims(dim0=0, dim1=1).shape == (3, 2)
    with pytest.raises(IndexError, match=r"swapaxes: axis1 must be in \[-2, 1\] for 2 dimensions, got 2"):
        x.swapaxes(0, 2)


def test_views_at_a_tensor_s_index_write_to_the_tensor():
    x, index = lucid.zeros(3, 2), lucid.tensor(1)
    x.narrow(0, index, 1).add_(1)
    x.select(0, index).add_(1)
    lucid.atleast_1d(x)[0, 0] = 5
    assert x.tolist() == [[5, 0], [2, 2], [0, 0]]
