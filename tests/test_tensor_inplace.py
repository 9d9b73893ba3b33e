"""In-place methods and operators."""

import operator

import numpy as np
import pytest

import lucid


def test_writing_to_plain_tensors():
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


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("iadd", [9, 10]), ("isub", [3, 4]), ("imul", [18, 21]), ("ifloordiv", [2, 2]), ("imod", [0, 1]),
        ("ipow", [216, 343]), ("iand", [2, 3]), ("ior", [7, 7]), ("ixor", [5, 4]), ("ilshift", [48, 56]),
        ("irshift", [0, 0]),
    ],
)  # fmt: skip
def test_augmented_assignment_reaches_aliases(name, expected):
    x = lucid.tensor([6, 7])
    view = x[1:]
    assert getattr(operator, name)(x, 3) is x
    assert x.tolist() == expected and view.tolist() == expected[1:]


def test_augmented_assignment_keeps_the_dtype_and_records():
    x = lucid.tensor([6, 7])
    for write in (operator.ifloordiv, operator.imod, operator.ipow):
        with pytest.raises(TypeError, match=r"result is float32.*int64"):
            write(x, 2.5)
    leaf = lucid.tensor([2.0, 3.0], requires_grad=True)
    with pytest.raises(RuntimeError, match="leaf that requires grad"):
        leaf **= 2
    y = leaf * 1
    part = y[0]
    part **= 3
    y.sum().backward()
    assert leaf.grad.tolist() == [12.0, 1.0]


def test_writing_to_a_computed_tensor_is_recorded():
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


def test_writing_a_value_that_requires_grad_makes_the_tensor_require_it():
    x = lucid.tensor([2.0], requires_grad=True)
    out = lucid.zeros(3)
    out[0] = x[0] * 3
    out.sum().backward()
    assert x.grad.tolist() == [3.0]


def test_writing_that_would_corrupt_the_graph_raises():
    w = lucid.ones(3, requires_grad=True)
    for write in (lambda: w.__setitem__(0, 1), lambda: w.add_(1), lambda: w.__iadd__(1), w.zero_):
        with pytest.raises(RuntimeError, match=r"leaf that requires grad.*no_grad"):
            write()
    with lucid.no_grad():
        w -= 0.5
        w[0] = 9
    assert w.tolist() == [9, 0.5, 0.5] and w.is_leaf and w.requires_grad


def test_writing_to_a_computed_tensor_under_no_grad_keeps_its_graph():
    w = lucid.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = w * 2
    with lucid.no_grad():
        y[0] = 10
        y.mul_(2)
    assert y.tolist() == [20, 8, 12] and y.requires_grad
    (y * lucid.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert w.grad.tolist() == [2, 4, 6]  # as in PyTorch, the write is not differentiated


def test_writing_cannot_change_the_shape():
    t = lucid.zeros(3)
    with pytest.raises(ValueError, match=r"\+=: cannot write a result of shape \(2, 3\) to a tensor of shape \(3,\)"):
        t += lucid.ones(2, 3)


def test_data_replaces_the_value_of_a_parameter():
    w = lucid.ones(2, requires_grad=True)
    w.data = w.data * 3
    assert w.tolist() == [3, 3] and w.requires_grad and w.is_leaf
    w.data -= 1
    assert w.tolist() == [2, 2]


@pytest.mark.parametrize(
    ("dtype", "write"),
    [
        ("int64", lambda x: x.div_(2)),
        ("int32", lambda x: x.add_(0.5)),
        ("bool", lambda x: x.add_(1)),
        ("uint8", lambda x: x.exp_()),
        ("int64", lambda x: x.__imul__(lucid.tensor([0.5, 2.0]))),
    ],
)
def test_a_result_of_a_higher_kind_is_not_written(dtype, write):
    x = lucid.tensor([1, 0]).to(dtype)
    with pytest.raises(RuntimeError, match=f"the result is .*, which cannot be written to a tensor of dtype {dtype}"):
        write(x)
    assert x.tolist() == [1, 0]


def test_a_result_of_the_same_kind_is_converted():
    x = lucid.tensor([1.0, 2.0], dtype=lucid.float16)
    x.mul_(lucid.tensor([2.0, 3.0]))
    assert x.dtype == lucid.float16 and x.tolist() == [2, 6]
    n = lucid.tensor([7, 8], dtype=lucid.int8).add_(lucid.tensor([1, 2]))
    assert n.dtype == lucid.int8 and n.tolist() == [8, 10]


POSITIVE = lucid.tensor([[0.2, 0.9, 0.4], [0.6, 0.5, 0.7]])
INDEX = lucid.tensor([[0, 2], [1, 1]])
SOURCE = lucid.tensor([[2.0, 3.0], [5.0, 7.0]])
ARGUMENTS = {
    "addcdiv": (POSITIVE, POSITIVE), "addcmul": (POSITIVE, POSITIVE), "addmm": (SOURCE, POSITIVE),
    "addbmm": None, "addr": (POSITIVE[:, 0], POSITIVE[0]), "addmv": None, "baddbmm": None,
    "clamp": (0.3, 0.6), "clip": (0.3, 0.6), "cumprod": (1,), "cumsum": (0,),
    "index_add": (1, lucid.tensor([2, 0]), SOURCE), "index_copy": (1, lucid.tensor([2, 0]), SOURCE),
    "index_fill": (1, lucid.tensor([2, 0]), 9.0), "lerp": (POSITIVE, 0.3), "scatter": (1, INDEX, SOURCE),
    "scatter_add": (1, INDEX, SOURCE), "masked_fill": (POSITIVE > 0.5, 4.0), "acosh": None, "arccosh": None,
    "float_power": None, "resize": None,
}  # fmt: skip
BINARY = {
    "add", "sub", "subtract", "mul", "multiply", "div", "divide", "true_divide", "floor_divide", "remainder", "fmod",
    "pow", "hypot", "atan2", "arctan2", "copysign", "heaviside", "ldexp", "nextafter", "xlogy", "clamp_min",
    "clamp_max", "eq", "ne", "not_equal", "lt", "less", "le", "less_equal", "gt", "greater", "ge", "greater_equal",
    "logical_and", "logical_or", "logical_xor",
}  # fmt: skip
TWINS = sorted(
    name.removesuffix("_")
    for name in dir(lucid.Tensor)
    if name[-1] == "_" != name[0] and getattr(getattr(lucid.Tensor, name), "__wrapped__", None)
)


def test_operations_have_twins_in_place():
    assert len(TWINS) > 100


@pytest.mark.parametrize("name", [name for name in TWINS if ARGUMENTS.get(name, ()) is not None])
def test_twins_in_place_write_the_result_and_are_recorded(name):
    function, twin = getattr(lucid, name), getattr(lucid.Tensor, f"{name}_")
    args = ARGUMENTS.get(name, (POSITIVE.flip(0),) if name in BINARY else ())
    leaf = POSITIVE.clone()
    if name.startswith(("bitwise", "gcd", "lcm")):
        leaf = (leaf * 50).to(lucid.int64)
        args = () if name.endswith("not") else (leaf.flip(0) % 7,)
        expected = function(leaf, *args)
        part = leaf[1]
        assert twin(leaf, *args) is leaf and lucid.equal(part, expected[1])
        return
    leaf.requires_grad_()
    wanted = function(leaf, *args).to(leaf.dtype)
    x = leaf * 1
    part = x[1]
    assert twin(x, *args) is x and lucid.equal(part, wanted[1])
    weights = lucid.arange(6.0).reshape(2, 3)
    if wanted.requires_grad:
        got, expected = (lucid.autograd.grad((one * weights).sum(), leaf)[0] for one in (x, wanted))
        assert lucid.equal(got, expected)


def test_reshaping_in_place_changes_the_shape_and_keeps_values_shared():
    x = lucid.arange(6.0).reshape(2, 3).clone()
    assert x.unsqueeze_(1) is x and x.shape == (2, 1, 3) and x.squeeze_(1).shape == (2, 3)
    assert x.t_().shape == (3, 2) and x.transpose_(0, 1).tolist() == [[0, 1, 2], [3, 4, 5]]
    row = x[0]
    x.unsqueeze_(-1)
    x[0, 2, 0] = 9
    assert row.tolist() == [0, 1, 9] and row.shape == (3,)
    row[0] = 7
    assert x.squeeze_().tolist() == [[7, 1, 9], [3, 4, 5]]
    weight = lucid.ones(3, requires_grad=True)
    y = weight * 2
    y.unsqueeze_(0)
    (y * lucid.tensor([[1.0, 2.0, 3.0]])).sum().backward()
    assert weight.grad.tolist() == [2, 4, 6]
    with pytest.raises(RuntimeError, match="unsqueeze_: a leaf that requires grad cannot be changed in place"):
        weight.unsqueeze_(0)
    z = weight * 2
    _ = z[0]
    with pytest.raises(RuntimeError, match="t_: this tensor is in a graph and shares its values with others"):
        z.t_()


def test_functions_write_to_their_argument():
    x = lucid.ones(2)
    assert lucid.exp_(lucid.neg_(x)) is x
    assert lucid.allclose(x, lucid.full((2,), 0.36787944))


def test_resize_keeps_the_first_elements():
    x = lucid.arange(6)
    view = x[2:]
    assert x.resize_(2, 2) is x and x.tolist() == [[0, 1], [2, 3]] and view.tolist() == [2, 3, 4, 5]
    x[0] = 7
    assert view.tolist() == [2, 3, 4, 5]
    assert x.resize_((3, 2)).tolist() == [[7, 7], [2, 3], [0, 0]]
    assert x.resize_as_(lucid.ones(1)).tolist() == [7] and x.dtype == lucid.int64


def test_mapping_python_functions():
    x = lucid.tensor([[1.0, 2.0], [3.0, 4.0]])
    row = lucid.tensor([10.0, 20.0])
    assert x.apply_(lambda one: one + 0.5) is x and x.tolist() == [[1.5, 2.5], [3.5, 4.5]]
    assert x.map_(row, lambda a, b: a + b).tolist() == [[11.5, 22.5], [13.5, 24.5]]
    assert x.map2_(row, x, lambda a, b, c: b - c).tolist() == [[-1.5, -2.5], [-3.5, -4.5]]
    assert lucid.tensor([1, -1]).apply_(lambda one: one * 1.6).tolist() == [1, -1]  # truncated, as in PyTorch


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: x.requires_grad_().resize_(3), RuntimeError, "resize_: a tensor that requires grad"),
        (lambda x: x.resize_(-1), ValueError, "resize_: size"),
        (lambda x: x.resize_as_(3), TypeError, "resize_as_: input must be a tensor"),
        (lambda x: x.requires_grad_().apply_(abs), RuntimeError, "apply_: a tensor that requires grad cannot be"),
        (lambda x: x.map_(lucid.ones(2, 2), max), ValueError, r"map_: shape \(2, 2\) cannot be broadcast to \(2,\)"),
        (lambda x: x.map_(lucid.ones(2, dtype=lucid.int32), max), TypeError, "map_: all tensors must have the dtype"),
    ],
)
def test_errors_of_resizing_and_mapping(call, error, message):
    with pytest.raises(error, match=message):
        call(lucid.ones(2))
