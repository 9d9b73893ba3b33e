"""Matrix and vector products."""

import math
from typing import Any

import mlx.core as mx

from lucid import _checks
from lucid.ops._common import FLOATING, array, binary, factor, promoted
from lucid.ops._common import total as total_of
from lucid.ops._types import TensorLike
from lucid.tape import op

__all__ = [
    "addbmm", "addmm", "addmv", "addr", "baddbmm", "bmm", "dot", "einsum", "inner", "matmul", "mm", "mv", "outer",
    "tensordot",
]  # fmt: skip


def _operands(caller: str, x: Any, other: Any) -> tuple[mx.array, mx.array]:
    x, other = promoted(array(caller, x), array(caller, other, "other"))
    return x, other


def product(caller: str, x: Any, other: Any) -> mx.array:
    """The matrix product of two operands, of integers too."""
    x, other = _operands(caller, x, other)
    if not x.ndim or not other.ndim:
        raise _checks.ArgumentError(
            f"{caller}: both operands must have at least 1 dimension, got shapes {x.shape} and {other.shape}"
        )
    if x.shape[-1] != other.shape[-2 if other.ndim > 1 else 0]:
        raise _checks.ArgumentError(
            f"{caller}: shapes {x.shape} and {other.shape} cannot be multiplied: {x.shape[-1]} columns but "
            f"{other.shape[-2 if other.ndim > 1 else 0]} rows"
        )
    try:
        return mx.matmul(x, other) if x.dtype in FLOATING else _integer_product(x, other)
    except ValueError:
        _checks.broadcast_shapes(caller, x.shape[:-2], other.shape[:-2])
        raise


def _integer_product(x: mx.array, other: mx.array) -> mx.array:
    """The exact product of integer matrices, which overflows like their dtype.

    MLX only multiplies floating-point matrices. float64, which only the CPU has, holds integers up to 2**53, so the
    operands are split into limbs of 16 bits, whose products fit for up to 2**21 columns.
    """
    dtype = x.dtype
    if dtype == mx.bool_:
        return mx.matmul(x.astype(mx.float32), other.astype(mx.float32)) > 0
    limbs = max(dtype.size // 2, 1)
    with mx.stream(mx.cpu):
        left, right = _limbs(x, limbs), _limbs(other, limbs)
        total = None
        for i in range(limbs):
            for j in range(limbs - i):  # the others are above the dtype's highest bit
                part = mx.matmul(left[i], right[j]).astype(mx.int64)
                part = mx.left_shift(part, mx.array(16 * (i + j), mx.int64)) if i + j else part
                total = part if total is None else total + part
        assert total is not None
        return total.astype(dtype)


def _limbs(x: mx.array, count: int) -> list[mx.array]:
    if count == 1:
        return [x.astype(mx.float64)]
    x = x.astype(mx.int64)
    low = [
        mx.bitwise_and(mx.right_shift(x, mx.array(16 * i, mx.int64)), mx.array(0xFFFF, mx.int64)) for i in range(count)
    ]
    return [one.astype(mx.float64) for one in low]


def _in_dtype(caller: str, dtype: Any, x: mx.array, other: mx.array) -> tuple[mx.array, mx.array]:
    if dtype is None:
        return x, other
    dtype = _checks.dtype(caller, dtype)
    return x.astype(dtype), other.astype(dtype)


@op(autocast="half")
def matmul(input: TensorLike, other: TensorLike, *, out: None = None) -> mx.array:
    """The matrix product over the last two dimensions; the others broadcast.

    Shapes: input (..., n, k), other (..., k, m), out (..., n, m). A vector ``input`` is a row, a vector ``other``
    a column.

    Raises:
        ValueError: the shapes cannot be multiplied.

    Example:
        >>> lucid.matmul(lucid.ones(5, 2, 3), lucid.ones(3, 4)).shape
        (5, 2, 4)
    """
    return product("matmul", input, other)


@op(autocast="half")
def mm(input: TensorLike, mat2: TensorLike, out_dtype: Any = None, *, out: None = None) -> mx.array:
    """The product of two matrices. Shapes: input (n, k), mat2 (k, m), out (n, m).

    ``out_dtype`` is the dtype to multiply in, by default that of the operands.
    """
    x, mat2 = _in_dtype("mm", out_dtype, array("mm", input), array("mm", mat2, "mat2"))
    _checks.rank("mm", "input", x.shape, 2)
    _checks.rank("mm", "mat2", mat2.shape, 2)
    return product("mm", x, mat2)


@op(autocast="half")
def bmm(input: TensorLike, mat2: TensorLike, out_dtype: Any = None, *, out: None = None) -> mx.array:
    """The products of two batches of matrices. Shapes: input (b, n, k), mat2 (b, k, m), out (b, n, m)."""
    x, mat2 = _in_dtype("bmm", out_dtype, array("bmm", input), array("bmm", mat2, "mat2"))
    _checks.rank("bmm", "input", x.shape, 3)
    _checks.rank("bmm", "mat2", mat2.shape, 3)
    if x.shape[0] != mat2.shape[0]:
        raise _checks.ArgumentError(f"bmm: batch sizes must be equal, got shapes {x.shape} and {mat2.shape}")
    return product("bmm", x, mat2)


@op(autocast="half")
def mv(input: TensorLike, vec: TensorLike, *, out: None = None) -> mx.array:
    """The product of a matrix and a vector. Shapes: input (n, k), vec (k,), out (n,)."""
    x, vec = array("mv", input), array("mv", vec, "vec")
    _checks.rank("mv", "input", x.shape, 2)
    _checks.rank("mv", "vec", vec.shape, 1)
    return product("mv", x, vec)


@op(autocast="half")
def dot(input: TensorLike, tensor: TensorLike, *, out: None = None) -> mx.array:
    """The dot product of two vectors."""
    x, tensor = array("dot", input), array("dot", tensor, "tensor")
    _checks.rank("dot", "input", x.shape, 1)
    _checks.rank("dot", "tensor", tensor.shape, 1)
    return product("dot", x, tensor)


@op(autocast="half")
def inner(input: TensorLike, other: TensorLike, *, out: None = None) -> mx.array:
    """The inner products over the last dimensions; a 0-d operand multiplies."""
    x, other = _operands("inner", input, other)
    if not x.ndim or not other.ndim:
        return x * other
    if x.shape[-1] != other.shape[-1]:
        raise _checks.ArgumentError(f"inner: the last sizes must be equal, got shapes {x.shape} and {other.shape}")
    return _tensordot("inner", x, other, [x.ndim - 1], [other.ndim - 1])


@op
def outer(input: TensorLike, vec2: TensorLike, *, out: None = None) -> mx.array:
    """The outer product of two vectors. Shapes: input (n,), vec2 (m,), out (n, m)."""
    x, vec2 = _operands("outer", input, vec2)
    _checks.rank("outer", "input", x.shape, 1)
    _checks.rank("outer", "vec2", vec2.shape, 1)
    return mx.expand_dims(x, 1) * vec2


def _scaled_sum(caller: str, x: Any, product: mx.array, beta: float, alpha: float) -> mx.array:
    """``beta * x + alpha * product``; if ``beta`` is 0, ``x`` is ignored, NaN included.

    As in PyTorch, the factors of integers are truncated.
    """
    x = array(caller, x)
    beta, alpha = factor(caller, "beta", beta), factor(caller, "alpha", alpha)
    if x.dtype not in FLOATING and product.dtype not in FLOATING:
        beta, alpha = (int(one) if isinstance(one, float) else one for one in (beta, alpha))
    product = product if alpha == 1 else product * alpha
    if _checks.broadcast_shapes(caller, x.shape, product.shape) != product.shape:
        raise _checks.ArgumentError(f"{caller}: input of shape {x.shape} cannot be broadcast to {product.shape}")
    return product if beta == 0 else binary(caller, mx.add, x if beta == 1 else x * beta, product)


@op(autocast="half")
def addmm(
    input: TensorLike,
    mat1: TensorLike,
    mat2: TensorLike,
    out_dtype: Any = None,
    *,
    beta: float = 1,
    alpha: float = 1,
    out: None = None,
) -> mx.array:
    """``beta * input + alpha * (mat1 @ mat2)``. Shapes: mat1 (n, k), mat2 (k, m), input broadcasts to (n, m)."""
    mat1, mat2 = _in_dtype("addmm", out_dtype, array("addmm", mat1, "mat1"), array("addmm", mat2, "mat2"))
    _checks.rank("addmm", "mat1", mat1.shape, 2)
    _checks.rank("addmm", "mat2", mat2.shape, 2)
    return _scaled_sum("addmm", input, product("addmm", mat1, mat2), beta, alpha)


@op(autocast="half")
def addmv(
    input: TensorLike, mat: TensorLike, vec: TensorLike, *, beta: float = 1, alpha: float = 1, out: None = None
) -> mx.array:
    """``beta * input + alpha * (mat @ vec)``. Shapes: mat (n, k), vec (k,), input broadcasts to (n,)."""
    mat, vec = array("addmv", mat, "mat"), array("addmv", vec, "vec")
    _checks.rank("addmv", "mat", mat.shape, 2)
    _checks.rank("addmv", "vec", vec.shape, 1)
    return _scaled_sum("addmv", input, product("addmv", mat, vec), beta, alpha)


@op(autocast="half")
def baddbmm(
    input: TensorLike,
    batch1: TensorLike,
    batch2: TensorLike,
    out_dtype: Any = None,
    *,
    beta: float = 1,
    alpha: float = 1,
    out: None = None,
) -> mx.array:
    """``beta * input + alpha * (batch1 @ batch2)``.

    Shapes: batch1 (b, n, k), batch2 (b, k, m), input broadcasts to (b, n, m).
    """
    batch1, batch2 = _in_dtype(
        "baddbmm", out_dtype, array("baddbmm", batch1, "batch1"), array("baddbmm", batch2, "batch2")
    )
    _checks.rank("baddbmm", "batch1", batch1.shape, 3)
    _checks.rank("baddbmm", "batch2", batch2.shape, 3)
    return _scaled_sum("baddbmm", input, product("baddbmm", batch1, batch2), beta, alpha)


@op(autocast="half")
def addbmm(
    input: TensorLike, batch1: TensorLike, batch2: TensorLike, *, beta: float = 1, alpha: float = 1, out: None = None
) -> mx.array:
    """``beta * input + alpha * (batch1 @ batch2)``, the products summed over the batch.

    Shapes: batch1 (b, n, k), batch2 (b, k, m), input broadcasts to (n, m).
    """
    first, second = _operands("addbmm", array("addbmm", batch1, "batch1"), array("addbmm", batch2, "batch2"))
    _checks.rank("addbmm", "batch1", first.shape, 3)
    _checks.rank("addbmm", "batch2", second.shape, 3)
    if first.shape[0] != second.shape[0] or first.shape[2] != second.shape[1]:
        raise _checks.ArgumentError(f"addbmm: batches {first.shape} and {second.shape} cannot be multiplied")
    first = mx.transpose(first, (1, 0, 2)).reshape(first.shape[1], first.shape[0] * first.shape[2])
    second = second.reshape(second.shape[0] * second.shape[1], second.shape[2])
    return _scaled_sum("addbmm", input, product("addbmm", first, second), beta, alpha)


@op(autocast="half")
def addr(
    input: TensorLike, vec1: TensorLike, vec2: TensorLike, *, beta: float = 1, alpha: float = 1, out: None = None
) -> mx.array:
    """``beta * input + alpha * outer(vec1, vec2)``. Shapes: vec1 (n,), vec2 (m,), input broadcasts to (n, m)."""
    first, second = _operands("addr", array("addr", vec1, "vec1"), array("addr", vec2, "vec2"))
    _checks.rank("addr", "vec1", first.shape, 1)
    _checks.rank("addr", "vec2", second.shape, 1)
    outer = first[:, None] * second
    if outer.dtype == mx.bool_ == array("addr", input).dtype:
        beta, alpha = bool(beta), bool(alpha)
        return _scaled_sum("addr", input, outer & alpha, beta, 1)
    return _scaled_sum("addr", input, outer, beta, alpha)


def _tensordot(caller: str, x: mx.array, other: mx.array, dims: list[int], dims_other: list[int]) -> mx.array:
    """The contraction over pairs of dimensions, as one matrix product."""
    rest = [axis for axis in range(x.ndim) if axis not in dims]
    rest_other = [axis for axis in range(other.ndim) if axis not in dims_other]
    shape = [x.shape[axis] for axis in rest] + [other.shape[axis] for axis in rest_other]
    inner_size = math.prod(x.shape[axis] for axis in dims)
    rows = math.prod(x.shape[axis] for axis in rest)
    columns = math.prod(other.shape[axis] for axis in rest_other)
    left = mx.transpose(x, rest + dims).reshape(rows, inner_size)
    right = mx.transpose(other, dims_other + rest_other).reshape(inner_size, columns)
    return product(caller, left, right).reshape(shape)


def _summed(x: mx.array, dims: list[int]) -> mx.array:
    return mx.sum(x, dims, True).astype(x.dtype) if dims else x


@op(autocast="half")
def tensordot(a: TensorLike, b: TensorLike, dims: Any = 2, out: None = None) -> mx.array:
    """The contraction of the last ``dims`` dimensions of ``a`` with the first of ``b``, or of two lists."""
    _checks.no_out("tensordot", out)
    x, other = _operands("tensordot", a, b)
    if isinstance(dims, int):
        if not 0 <= dims <= min(x.ndim, other.ndim):
            raise _checks.ArgumentError(f"tensordot: dims must be in [0, {min(x.ndim, other.ndim)}], got {dims}")
        first, second = list(range(x.ndim - dims, x.ndim)), list(range(dims))
    else:
        if not isinstance(dims, list | tuple) or len(dims) != 2:
            raise TypeError(f"tensordot: dims must be an integer or two lists of dimensions, got {dims!r:.60}")
        left, right = dims
        first = list(_checks.dims("tensordot", (left,) if isinstance(left, int) else left, x.ndim, "dims"))
        second = list(_checks.dims("tensordot", (right,) if isinstance(right, int) else right, other.ndim, "dims"))
    pairs = list(zip(first, second, strict=False))
    if len(first) == len(second):  # a size of 1 broadcasts: the other dimension is summed
        x = _summed(x, [one for one, two in pairs if other.shape[two] == 1 != x.shape[one]])
        other = _summed(other, [two for one, two in pairs if x.shape[one] == 1 != other.shape[two]])
    if len(first) != len(second) or any(x.shape[one] != other.shape[two] for one, two in pairs):
        raise _checks.ArgumentError(
            f"tensordot: dims {dims} pair different sizes of shapes {x.shape} and {other.shape}"
        )
    return _tensordot("tensordot", x, other, first, second)


@op(autocast="half")
def einsum(equation: str, *operands: Any) -> mx.array:
    """Einstein summation, as in ``einsum("nij,njk->nik", a, b)``: letters missing from the result are summed.

    ``...`` stands for dimensions that broadcast; a letter that appears twice in one operand takes its diagonal.

    Raises:
        ValueError: the equation is malformed or does not match the operands.

    Example:
        >>> q, k = lucid.ones(2, 8, 4), lucid.ones(2, 6, 4)
        >>> lucid.einsum("bqd,bkd->bqk", q, k).shape
        (2, 8, 6)
    """
    listed = operands[0] if len(operands) == 1 and isinstance(operands[0], list | tuple) else operands
    found = [array("einsum", one, "operand") for one in listed]
    if not found:
        raise _checks.ArgumentError("einsum: expected at least one operand")
    if not isinstance(equation, str):
        raise TypeError(f"einsum: the equation must be a string, got {type(equation).__name__}")
    inputs, arrow, output = equation.replace(" ", "").partition("->")
    terms = inputs.split(",")
    if len(terms) != len(found):
        raise _checks.ArgumentError(f"einsum: {equation!r} has {len(terms)} operands, got {len(found)}")
    spelled, extra = _expand_ellipsis(equation, terms, found)
    if arrow:
        for letter in output.replace("...", ""):
            if not letter.isalpha() or not any(letter in term for term in terms) or output.count(letter) > 1:
                raise _checks.ArgumentError(
                    f"einsum: output label {letter!r} of {equation!r} must be in an operand, and once in the output"
                )
        result = output.replace("...", extra)
    else:
        letters = "".join(terms).replace(".", "")
        result = extra + "".join(sorted(letter for letter in set(letters) if letters.count(letter) == 1))
    return _einsum(list(zip(promoted(*found), spelled, strict=True)), result)


def _expand_ellipsis(equation: str, terms: list[str], operands: list[mx.array]) -> tuple[list[str], str]:
    """The terms with a letter for every dimension, and the letters that replace '...'."""
    free = [chr(code) for code in range(0x3B1, 0x3B1 + 25)]  # Greek letters, which equations cannot contain
    widest = 0
    for term, one in zip(terms, operands, strict=True):
        named = term.replace("...", "")
        if not all(letter.isascii() and letter.isalpha() for letter in named):
            raise _checks.ArgumentError(f"einsum: {equation!r} may only contain letters, ',', '...' and one '->'")
        if (one.ndim < len(named)) if "..." in term else (one.ndim != len(named)):
            raise _checks.ArgumentError(
                f"einsum: {term!r} in {equation!r} does not match an operand of shape {one.shape}"
            )
        if "..." in term:
            widest = max(widest, one.ndim - len(named))
    extra = "".join(free[:widest])
    spelled, sizes = [], dict[str, int]()
    for term, one in zip(terms, operands, strict=True):
        width = one.ndim - len(term.replace("...", ""))
        full = term.replace("...", extra[len(extra) - width :])
        for letter, size in zip(full, one.shape, strict=True):
            if one.shape[full.index(letter)] != size:
                raise _checks.ArgumentError(
                    f"einsum: label {letter!r} of {equation!r} has sizes "
                    f"{one.shape[full.index(letter)]} and {size} in one operand"
                )
            if size != 1 and sizes.get(letter, 1) not in (1, size):
                raise _checks.ArgumentError(
                    f"einsum: label {letter!r} of {equation!r} has size {sizes[letter]} and size {size} in two operands"
                )
            sizes[letter] = max(sizes.get(letter, 1), size) if size else 0
        spelled.append(full)
    return spelled, extra


def _einsum(operands: list[tuple[mx.array, str]], result: str) -> mx.array:
    """Contract the operands from the left, two at a time, each pair by one (batched) matrix product."""
    x, letters = _take_diagonals(*operands[0])
    for i, operand in enumerate(operands[1:], start=1):
        other, letters_other = _take_diagonals(*operand)
        needed = set(result).union(*(term for _, term in operands[i + 1 :]))
        x, letters = _contract(x, letters, other, letters_other, needed)
    summed = [axis for axis, letter in enumerate(letters) if letter not in result]
    if summed:
        x = _sum(x, summed)
        letters = "".join(letter for letter in letters if letter in result)
    return mx.transpose(x, [letters.index(letter) for letter in result]) if result else x


def _take_diagonals(x: mx.array, letters: str) -> tuple[mx.array, str]:
    """``x`` with the diagonal taken for each letter that appears twice."""
    while len(set(letters)) < len(letters):
        letter = next(one for one in letters if letters.count(one) > 1)
        first = letters.index(letter)
        second = letters.index(letter, first + 1)
        order = [axis for axis in range(x.ndim) if axis not in (first, second)]
        size = x.shape[first]
        flat = mx.transpose(x, [*order, first, second]).reshape(*(x.shape[axis] for axis in order), size * size)
        x = flat[..., :: size + 1] if size else flat.reshape(*flat.shape[:-1], 0)
        letters = "".join(letters[axis] for axis in order) + letter
    return x, letters


def _contract(x: mx.array, letters: str, other: mx.array, letters_other: str, needed: set[str]) -> tuple[mx.array, str]:
    # Sum letters that are in only one operand and not needed later.
    x, letters = _sum_unneeded(x, letters, needed.union(letters_other))
    other, letters_other = _sum_unneeded(other, letters_other, needed.union(letters))
    shared = [one for one in letters if one in letters_other]
    batch = [one for one in shared if one in needed]
    over = [one for one in shared if one not in needed]
    left = [one for one in letters if one not in shared]
    right = [one for one in letters_other if one not in shared]
    size = dict(zip(letters, x.shape, strict=True))
    size_other = dict(zip(letters_other, other.shape, strict=True))
    for one in over:  # broadcast a size of 1
        if size[one] != size_other[one]:
            if size[one] == 1:
                x = mx.repeat(x, size_other[one], letters.index(one))
                size[one] = size_other[one]
            else:
                other = mx.repeat(other, size[one], letters_other.index(one))
                size_other[one] = size[one]
    x = mx.transpose(x, [letters.index(one) for one in batch + left + over])
    other = mx.transpose(other, [letters_other.index(one) for one in batch + over + right])
    x = x.reshape(
        *(size[one] for one in batch), math.prod(size[one] for one in left), math.prod(size[one] for one in over)
    )
    other = other.reshape(
        *(size_other[one] for one in batch),
        math.prod(size_other[one] for one in over),
        math.prod(size_other[one] for one in right),
    )
    found = x * other if not over else product("einsum", x, other)  # without a contraction, (.., n, 1) * (.., 1, m)
    shape = [*found.shape[: len(batch)], *(size[one] for one in left), *(size_other[one] for one in right)]
    return found.reshape(shape), "".join(batch + left + right)


def _sum(x: mx.array, dims: list[int]) -> mx.array:
    """The sum over ``dims``; integers give int64, as in ``sum``."""
    return total_of(x if x.dtype in FLOATING else x.astype(mx.int64), dims)


def _sum_unneeded(x: mx.array, letters: str, needed: set[str]) -> tuple[mx.array, str]:
    summed = [axis for axis, letter in enumerate(letters) if letter not in needed]
    return (_sum(x, summed), "".join(one for one in letters if one in needed)) if summed else (x, letters)
