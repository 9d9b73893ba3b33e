"""Arithmetic agrees with PyTorch, accepts operands that are not tensors, and rejects invalid ones."""

import operator

import numpy as np
import pytest

import lucid
from tests.checking import check, recorded


@pytest.mark.parametrize(("case", "record"), recorded("ops_arithmetic"))
def test_agrees_with_pytorch(case, record):
    check(case, record)


@pytest.mark.parametrize(
    "other",
    [np.array([1.0, 2.0, 4.0]), [1.0, 2.0, 4.0], (1, 2, 4), np.array([1, 2, 4], np.int8), [lucid.tensor(1.0), 2, 4]],
)
def test_lists_and_numpy_arrays_are_operands(other):
    x = lucid.tensor([8.0, 8.0, 8.0], requires_grad=True)
    for result, want in [
        (lucid.add(x, other), [9, 10, 12]),
        (lucid.sub(other, x), [-7, -6, -4]),
        (lucid.div(x, other), [8, 4, 2]),
        (lucid.maximum(other, x), [8, 8, 8]),
        (lucid.pow(other, lucid.tensor([2, 1, 0])), [1, 2, 1]),
    ]:
        assert result.tolist() == want and result.shape == (3,)
    x.mul(other).sum().backward()
    assert x.grad.tolist() == [1, 2, 4]


def test_numpy_scalars_behave_like_python_numbers():
    x = lucid.ones(2, dtype=lucid.float16)
    assert (x * np.float64(2)).dtype == (np.float32(2) + x).dtype == lucid.float16
    assert (lucid.arange(3) + np.int8(1)).dtype == lucid.int64
    assert (x ** np.float64(2)).dtype == lucid.float16


def test_gradients_flow_through_a_list_of_tensors():
    a, b = lucid.tensor(2.0, requires_grad=True), lucid.tensor(3.0, requires_grad=True)
    lucid.mul(lucid.tensor([5.0, 7.0]), [a, b]).sum().backward()
    assert (a.grad.item(), b.grad.item()) == (5, 7)


def test_integers_beyond_floating_point_are_exact():
    big = 2**53 + 1
    x = lucid.tensor([big, -big, 7])
    assert (x + 1).tolist() == [big + 1, 1 - big, 8]
    assert (x * 3).tolist() == [3 * big, -3 * big, 21]
    assert (x // 2).tolist() == [big // 2, -big // 2, 3]
    assert (x % 1000).tolist() == [big % 1000, -big % 1000, 7]
    assert lucid.maximum(x, lucid.tensor(big - 1)).tolist() == [big, big - 1, big - 1]
    assert lucid.div(x, 2, rounding_mode="trunc").tolist() == [big // 2, -(big // 2), 3]


@pytest.mark.parametrize("op", ["floor_divide", "remainder", "fmod"])
def test_dividing_integers_by_the_number_0_raises(op):
    with pytest.raises(ZeroDivisionError, match=f"{op}: integers cannot be divided by 0; convert with .float"):
        getattr(lucid, op)(lucid.arange(3), 0)
    with pytest.raises(ZeroDivisionError, match="div: integers cannot be divided by 0"):
        lucid.div(lucid.arange(3), 0, rounding_mode="floor")
    assert lucid.isnan(getattr(lucid, op)(lucid.zeros(2), 0)).all()
    assert lucid.div(lucid.tensor([1, -1]), 0).tolist() == [float("inf"), float("-inf")]


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (
            lambda x: x + lucid.ones(4),
            ValueError,
            r"add: shapes \(2, 3\) and \(4,\) cannot be broadcast together: 3 and 4 in dim 1",
        ),
        (lambda x: lucid.ones(2, 1, 5) * x, ValueError, r"mul: shapes \(2, 1, 5\) and \(2, 3\) cannot be broadcast"),
        (lambda x: lucid.maximum(x, [1.0, 2.0]), ValueError, r"maximum: shapes \(2, 3\) and \(2,\)"),
        (lambda x: lucid.lerp(x, x, lucid.ones(2)), ValueError, r"lerp: shapes \(2, 3\) and \(2,\)"),
        (lambda x: lucid.addcmul(x, x, lucid.ones(2)), ValueError, "addcmul: shapes"),
        (lambda x: x.clamp(lucid.ones(2)), ValueError, r"clamp: shapes \(2, 3\) and \(2,\)"),
        (lambda x: x.clamp(), ValueError, "clamp: at least one of min and max must be given"),
        (
            lambda x: lucid.add(x, "text"),
            TypeError,
            "add: other must be a tensor, a number, a list of numbers or a NumPy array, got str 'text'",
        ),
        (lambda x: x.mul(None), TypeError, "mul: other must be a tensor.*got NoneType None"),
        (lambda x: lucid.sub({}, x), TypeError, "sub: input must be a tensor.*got dict"),
        (lambda x: x * None, TypeError, r"unsupported operand type\(s\) for \*: 'Tensor' and 'NoneType'"),
        (lambda x: {} - x, TypeError, r"unsupported operand type\(s\) for -: 'dict' and 'Tensor'"),
        (lambda x: x < "text", TypeError, "'<' not supported between instances of 'Tensor' and 'str'"),
        (
            lambda x: lucid.add(lucid.arange(3), lucid.arange(3), alpha=0.5),
            TypeError,
            "add: alpha must be an integer for integer tensors, got 0.5",
        ),
        (
            lambda x: lucid.arange(3) ** -1,
            ValueError,
            "pow: integers cannot be raised to a negative integer power; convert with .float",
        ),
        (lambda x: -(x > 0), TypeError, "neg: bool tensors cannot be negated; use logical_not or ~"),
        (lambda x: x & 1, TypeError, "bitwise_and: operands must be integers or bools, got float32"),
        (lambda x: ~x, TypeError, "bitwise_not: operands must be integers or bools, got float32"),
        (
            lambda x: lucid.arange(3) << 0.5,
            TypeError,
            "bitwise_left_shift: operands must be integers or bools, got float32",
        ),
        (lambda x: x.div(2, rounding_mode="up"), ValueError, "div: rounding_mode must be 'trunc' or 'floor', got 'up'"),
    ],
)
def test_invalid_operands_raise(use, error, message):
    with pytest.raises(error, match=message):
        use(lucid.ones(2, 3))


DIVISIONS = [
    lambda x, y: x // y,
    lambda x, y: x % y,
    lucid.fmod,
    lambda x, y: lucid.div(x, y, rounding_mode="floor"),
    lambda x, y: lucid.div(x, y, rounding_mode="trunc"),
]


@pytest.mark.parametrize("divide", DIVISIONS)
@pytest.mark.parametrize("divisor", [0, lucid.tensor([2, 0]), np.array([1, 0])], ids=["number", "tensor", "array"])
def test_integers_are_not_divided_by_0(divide, divisor, on_cpu):
    x = lucid.tensor([7, -7])
    with pytest.raises(ZeroDivisionError, match="^(div|floor_divide|remainder|fmod): integers cannot be divided by 0"):
        divide(x, divisor)
    with pytest.raises(RuntimeError, match="integers cannot be divided by 0"):
        divide(x, divisor)


def test_a_divisor_is_not_read_where_indices_are_not():
    x, y = lucid.tensor([7, -7]), lucid.tensor([2, 0])
    with lucid.debug(False):
        assert (x // y).tolist() == [3, 0]
    compiled = lucid.compile(lambda x, y: x // y + 1)
    assert compiled(x, y).tolist() == [4, 1]
    assert lucid.isinf(x / 0).all() and lucid.isinf(x.float() // 0).all()


@pytest.mark.parametrize(
    "subtract",
    [
        lambda x: x - x,
        lambda x: x - True,
        lambda x: 1 - x,
        lambda x: x - lucid.tensor([1, 2]),
        lambda x: lucid.rsub(x, x),
        lambda x: lucid.sub(x, x, alpha=1),
    ],
)
def test_bools_are_not_subtracted(subtract):
    with pytest.raises(TypeError, match="^r?sub: bools cannot be subtracted; use logical_xor, ~ or .int"):
        subtract(lucid.tensor([True, False]))


def test_alpha_may_be_a_tensor_of_one_element():
    x = lucid.tensor([1.0, 2.0], requires_grad=True)
    alpha = lucid.tensor(0.5, requires_grad=True)
    lucid.add(x, x, alpha=alpha).sum().backward()
    assert x.grad.tolist() == [1.5, 1.5] and alpha.grad.item() == 3
    with pytest.raises(TypeError, match="add: alpha must be a number, got array"):
        lucid.add(x, x, alpha=x)


def test_floor_division_of_bfloat16_does_not_round_the_quotient_up():
    x, y = (lucid.tensor(one, dtype=lucid.bfloat16) for one in (8.875, 0.494140625))
    assert (x // y).item() == lucid.div(x, y, rounding_mode="floor").item() == 17


def test_rounded_quotients_of_different_integers_are_integers():
    x, y = lucid.tensor([7, -7], dtype=lucid.int32), lucid.tensor(2)
    for mode, expected in (("floor", [3, -4]), ("trunc", [3, -3])):
        found = lucid.div(x, y, rounding_mode=mode)
        assert found.dtype == lucid.int32 and found.tolist() == expected
    assert lucid.div(x, y).tolist() == [3.5, -3.5]


class Reflecting:
    """An operand of another library, which computes with tensors itself."""

    __array_ufunc__ = None

    def __radd__(self, other):
        return "radd"

    __rsub__ = __rmul__ = __rtruediv__ = __rfloordiv__ = __rmod__ = __rpow__ = __rmatmul__ = __radd__
    __rand__ = __ror__ = __rxor__ = __rlshift__ = __rrshift__ = __gt__ = __radd__


@pytest.mark.parametrize(
    "name",
    [
        "add",
        "sub",
        "mul",
        "truediv",
        "floordiv",
        "mod",
        "pow",
        "matmul",
        "and_",
        "or_",
        "xor",
        "lshift",
        "rshift",
        "lt",
    ],
)
def test_operators_leave_foreign_operands_to_their_type(name):
    assert getattr(operator, name)(lucid.ones(2), Reflecting()) == "radd"


def test_tensors_differ_from_what_is_no_number():
    x = lucid.ones(2)
    for other in (None, "text", object(), {}):
        assert (x == other) is False and (other == x) is False
        assert (x != other) is True and (other != x) is True
    assert [None, "text"].count(x) == 0


def test_shifting_numbers_by_tensors():
    assert (1 << lucid.tensor([0, 3])).tolist() == [1, 8]
    assert (64 >> lucid.tensor([0, 3])).tolist() == [64, 8]
