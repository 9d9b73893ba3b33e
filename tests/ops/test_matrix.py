"""Matrix and vector products agree with PyTorch and reject shapes that do not match."""

import numpy as np
import pytest

import lucid
from tests.checking import check, recorded


@pytest.mark.parametrize(("case", "record"), recorded("ops_matrix"))
def test_agrees_with_pytorch(case, record):
    check(case, record)


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [
        ("abc,cd,bde->ae", [(2, 3, 4), (4, 5), (3, 5, 2)]),
        ("ab,ab,bc->", [(3, 7), (3, 7), (7, 2)]),
        ("...ab,b...->a...", [(2, 3), (3, 2)]),
        ("aab,bc->ac", [(3, 3, 2), (2, 5)]),
    ],
)
def test_einsum_agrees_with_numpy(equation, shapes):
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=shape) for shape in shapes]
    found = lucid.einsum(equation, *(lucid.tensor(a.astype(np.float32)) for a in arrays))
    np.testing.assert_allclose(found.numpy(), np.einsum(equation, *arrays), rtol=1e-4, atol=1e-5)


def test_products_of_different_dtypes_are_promoted():
    x = lucid.ones(2, 2, dtype=lucid.float16)
    assert (x @ lucid.ones(2, 2)).dtype == lucid.float32
    assert (lucid.ones(2, 2, dtype=lucid.bfloat16) @ x).dtype == lucid.float32
    assert (lucid.ones(2, 2, dtype=lucid.int32) @ x).dtype == lucid.float16


def test_products_of_bools_are_bools():
    x, y = lucid.tensor([[True, False], [False, False]]), lucid.tensor([[True], [True]])
    assert (x @ y).tolist() == [[True], [False]] and (x @ y).dtype == lucid.bool_


def test_numpy_arrays_are_operands():
    x = lucid.tensor([[1.0, 2.0]], requires_grad=True)
    y = np.array([[3.0], [4.0]], np.float32)
    assert (x @ y).tolist() == [[11]] and (y @ x).tolist() == [[3, 6], [4, 8]]
    (y @ x).sum().backward()
    assert x.grad.tolist() == [[7, 7]]


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (
            lambda x: x @ x,
            ValueError,
            r"matmul: shapes \(2, 3\) and \(2, 3\) cannot be multiplied: 3 columns but 2 rows",
        ),
        (
            lambda x: x @ lucid.ones(2),
            ValueError,
            r"matmul: shapes \(2, 3\) and \(2,\) cannot be multiplied: 3 columns but 2 rows",
        ),
        (
            lambda x: x @ lucid.tensor(2.0),
            ValueError,
            r"matmul: both operands must have at least 1 dimension, got shapes \(2, 3\) and \(\)",
        ),
        (
            lambda x: lucid.ones(4, 2, 3) @ lucid.ones(5, 3, 2),
            ValueError,
            r"matmul: shapes \(4,\) and \(5,\) cannot be broadcast together",
        ),
        (lambda x: lucid.mm(x, lucid.ones(3)), ValueError, r"mm: mat2 must have 2 dimensions, got \(3,\)"),
        (lambda x: lucid.mm(x, x), ValueError, r"mm: shapes \(2, 3\) and \(2, 3\) cannot be multiplied"),
        (lambda x: lucid.bmm(x, x), ValueError, "bmm: input must have 3 dimensions"),
        (
            lambda x: lucid.bmm(lucid.ones(2, 3, 4), lucid.ones(1, 4, 5)),
            ValueError,
            r"bmm: batch sizes must be equal",
        ),
        (lambda x: lucid.mv(x, x), ValueError, "mv: vec must have 1 dimensions"),
        (lambda x: lucid.dot(x, x), ValueError, "dot: input must have 1 dimensions"),
        (
            lambda x: lucid.dot(lucid.ones(2), lucid.ones(3)),
            ValueError,
            r"dot: shapes \(2,\) and \(3,\) cannot be multiplied",
        ),
        (
            lambda x: lucid.inner(x, lucid.ones(2)),
            ValueError,
            r"inner: the last sizes must be equal, got shapes \(2, 3\) and \(2,\)",
        ),
        (lambda x: lucid.outer(x, x), ValueError, "outer: input must have 1 dimensions"),
        (
            lambda x: lucid.addmm(lucid.ones(3, 3), x, x.t()),
            ValueError,
            r"addmm: shapes \(3, 3\) and \(2, 2\) cannot be broadcast",
        ),
        (
            lambda x: lucid.addmm(lucid.ones(5, 2, 2), x, x.t()),
            ValueError,
            r"addmm: input of shape \(5, 2, 2\) cannot be broadcast to \(2, 2\)",
        ),
        (lambda x: lucid.tensordot(x, x, 3), ValueError, r"tensordot: dims must be in \[0, 2\], got 3"),
        (
            lambda x: lucid.tensordot(x, x, ([0], [1])),
            ValueError,
            r"tensordot: dims \(\[0\], \[1\]\) pair different sizes",
        ),
        (lambda x: lucid.einsum("ij,jk->ik", x), ValueError, "einsum: 'ij,jk->ik' has 2 operands, got 1"),
        (
            lambda x: lucid.einsum("ij->ik", x),
            ValueError,
            "einsum: output label 'k' of 'ij->ik' must be in an operand, and once in the output",
        ),
        (lambda x: lucid.einsum("ij->ii", x), ValueError, "einsum: output label 'i' of 'ij->ii'"),
        (
            lambda x: lucid.einsum("i->i", x),
            ValueError,
            r"einsum: 'i' in 'i->i' does not match an operand of shape \(2, 3\)",
        ),
        (
            lambda x: lucid.einsum("ij,ij->i", x, lucid.ones(2, 4)),
            ValueError,
            "einsum: label 'j' of 'ij,ij->i' has size 3 and size 4 in two operands",
        ),
        (
            lambda x: lucid.einsum("ii->i", x),
            ValueError,
            "einsum: label 'i' of 'ii->i' has sizes 2 and 3 in one operand",
        ),
        (
            lambda x: lucid.einsum("i1->i", x),
            ValueError,
            "einsum: 'i1->i' may only contain letters, ',', '...' and one '->'",
        ),
        (lambda x: lucid.einsum("ij->i->j", x), ValueError, "einsum: output label .* of 'ij->i->j'"),
        (lambda x: lucid.einsum("ij"), ValueError, "einsum: expected at least one operand"),
        (
            lambda x: lucid.einsum("ii->i", lucid.ones(1, 3)),
            ValueError,
            "einsum: label 'i' of 'ii->i' has sizes 1 and 3 in one operand",
        ),
        (lambda x: lucid.einsum(x, x), TypeError, "einsum: the equation must be a string, got array"),
    ],
)
def test_invalid_arguments_raise(use, error, message):
    with pytest.raises(error, match=message):
        use(lucid.ones(2, 3))
