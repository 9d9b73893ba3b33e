"""Powers, exponentials and products of matrices and vectors."""

import itertools
import math
from typing import Any

import mlx.core as mx

from lucid import _checks
from lucid._views import view_op
from lucid.kernels import factorizations
from lucid.kernels.factorizations import conj, identity_like
from lucid.linalg._matrices import matrices, verify
from lucid.linalg.solving import SINGULAR, first_zero_pivot
from lucid.ops._common import LOW_PRECISION, array, at_least_1d, promoted, total
from lucid.ops._types import TensorLike
from lucid.ops.matrix import product
from lucid.tape import op

_DEGREE, _BLOCK, _SQUARINGS = 19, 4, 32


@op(autocast="half")
def matrix_power(input: TensorLike, n: int, *, out: None = None) -> mx.array:
    """The ``n``-th power of square matrices; a negative one is that of the inverse.

    Raises:
        LinAlgError: ``n`` is negative and a matrix is singular.
    """
    a = array("matrix_power", input)
    if a.ndim < 2 or a.shape[-1] != a.shape[-2]:
        raise _checks.ArgumentError(f"matrix_power: input must hold square matrices (..., n, n), got {a.shape}")
    n = _checks.integer("matrix_power", "n", n)
    if n < 0:
        a = matrices("matrix_power", a, square=True)
        base = a
        a, n = verify("matrix_power", factorizations.inv(a), lambda: first_zero_pivot(base) != 0, SINGULAR), -n
    result = None
    while n:
        if n & 1:
            result = a if result is None else product("matrix_power", result, a)
        n >>= 1
        a = product("matrix_power", a, a) if n else a
    return identity_like(a) if result is None else result


@op(autocast="float32")
def matrix_exp(input: TensorLike) -> mx.array:
    """The exponential of square matrices (..., n, n).

    The Taylor polynomial of degree 19 of the matrix divided by a power of 2, squared as often. Runs on the current
    device; the gradient is that of the polynomial.

    Example:
        >>> lucid.linalg.matrix_exp(lucid.zeros(2, 2)).tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    given = array("matrix_exp", input)
    a = matrices("matrix_exp", given.astype(mx.float32) if given.dtype in LOW_PRECISION else given, square=True)
    if not a.size:
        return a.astype(given.dtype)
    size = mx.max(mx.sum(mx.abs(mx.stop_gradient(a)), -2, keepdims=True), -1, keepdims=True)
    times = mx.clip(mx.ceil(mx.log2(mx.maximum(size, 1e-30))) + 1, 0, _SQUARINGS)  # a norm of at most 1/2
    a = a * mx.power(mx.array(0.5, size.dtype), times)
    powers = [identity_like(a), a]
    while len(powers) <= _BLOCK:
        powers.append(powers[-1] @ a)
    result = None
    for start in range(_DEGREE + 1 - _BLOCK, -1, -_BLOCK):
        terms = [powers[i] * (1 / math.factorial(start + i)) for i in range(_BLOCK)]
        block = terms[0] + terms[1] + terms[2] + terms[3]
        result = block if result is None else block + powers[_BLOCK] @ result
    assert result is not None
    for done in range(_SQUARINGS):
        result = mx.where(times > done, result @ result, result)
    return result.astype(given.dtype)


def _chain(caller: str, tensors: list[mx.array]) -> mx.array:
    """The product of matrices in the order that costs least."""
    sizes = [tensors[0].shape[0], *(one.shape[1] for one in tensors)]
    count = len(tensors)
    cost: dict[tuple[int, int], tuple[int, int]] = {(i, i): (0, i) for i in range(count)}
    for length in range(1, count):
        for i in range(count - length):
            j = i + length
            cost[i, j] = min(
                (cost[i, k][0] + cost[k + 1, j][0] + sizes[i] * sizes[k + 1] * sizes[j + 1], k) for k in range(i, j)
            )

    def between(i: int, j: int) -> mx.array:
        if i == j:
            return tensors[i]
        k = cost[i, j][1]
        return product(caller, between(i, k), between(k + 1, j))

    return between(0, count - 1)


def multiplied(caller: str, tensors: Any) -> mx.array:
    if not isinstance(tensors, list | tuple) or not tensors:
        raise _checks.ArgumentError(f"{caller}: expected a list of at least one tensor, got {type(tensors).__name__}")
    found = [array(caller, one, "tensors") for one in tensors]
    if any(one.dtype != found[0].dtype for one in found):
        raise _checks.DtypeError(f"{caller}: the tensors must have one dtype")
    if len(found) == 1:
        return found[0]
    for at, one in enumerate(found):
        wanted = (1, 2) if at in (0, len(found) - 1) else (2,)
        _checks.rank(caller, f"tensor {at}", one.shape, wanted)
    first, last = found[0].ndim == 1, found[-1].ndim == 1
    if first:
        found[0] = mx.expand_dims(found[0], 0)
    if last:
        found[-1] = mx.expand_dims(found[-1], 1)
    for left, right in itertools.pairwise(found):
        if left.shape[1] != right.shape[0]:
            raise _checks.ArgumentError(f"{caller}: shapes {left.shape} and {right.shape} cannot be multiplied")
    result = _chain(caller, found)
    result = result[0] if first else result
    return result[..., 0] if last else result


@op(autocast="half")
def multi_dot(tensors: Any, *, out: None = None) -> mx.array:
    """The product of several matrices, in the order that costs least; the first and the last may be vectors."""
    if isinstance(tensors, list | tuple) and len(tensors) < 2:
        raise _checks.ArgumentError(f"multi_dot: expected at least 2 tensors, got {len(tensors)}")
    return multiplied("multi_dot", tensors)


@op(autocast="half")
def vecdot(input: TensorLike, y: TensorLike, *, dim: int = -1, out: None = None) -> mx.array:
    """The dot products over ``dim``; complex ``input`` is conjugated."""
    x, other = promoted(array("vecdot", input), array("vecdot", y, "y"))
    if x.dtype not in (mx.float32, mx.float64, mx.float16, mx.bfloat16, mx.complex64) and x.dtype == mx.bool_:
        raise _checks.DtypeError("vecdot: bools are not supported")
    shape = _checks.broadcast_shapes("vecdot", x.shape, other.shape)
    axis = _checks.dim("vecdot", dim, len(shape))
    found = mx.broadcast_to(conj(x), shape) * mx.broadcast_to(other, shape)
    return total(at_least_1d(found), axis).astype(x.dtype)


def cross_of(caller: str, x: mx.array, other: mx.array, axis: int) -> mx.array:
    if x.shape[axis] != 3 or other.shape[axis] != 3:
        raise _checks.ArgumentError(f"{caller}: dim {axis} must have size 3, got shapes {x.shape} and {other.shape}")
    shape = _checks.broadcast_shapes(caller, x.shape, other.shape)
    x, other = mx.broadcast_to(x, shape), mx.broadcast_to(other, shape)
    a, b = (mx.moveaxis(one, axis, 0) for one in (x, other))
    parts = [a[i] * b[j] - a[j] * b[i] for i, j in ((1, 2), (2, 0), (0, 1))]
    return mx.stack(parts, axis)


def cross_operands(caller: str, input: Any, other: Any) -> tuple[mx.array, mx.array]:
    x, y = promoted(array(caller, input), array(caller, other, "other"))
    if x.ndim != y.ndim:
        raise _checks.ArgumentError(
            f"{caller}: both operands must have the same number of dimensions, got shapes {x.shape} and {y.shape}"
        )
    return x, y


@op
def cross(input: TensorLike, other: TensorLike, *, dim: int = -1, out: None = None) -> mx.array:
    """The cross products over ``dim``, which has size 3. The other dimensions broadcast."""
    x, other = cross_operands("cross", input, other)
    return cross_of("cross", x, other, _checks.dim("cross", dim, x.ndim))


@op
def vander(input: TensorLike, *, N: int | None = None) -> mx.array:
    """The powers 0, 1, ... N - 1 of each element, in a new last dimension, by default as many as elements."""
    x = array("vander", input)
    x = at_least_1d(x)
    count = x.shape[-1] if N is None else _checks.integer("vander", "N", N)
    if count <= 1:
        raise _checks.ArgumentError(f"vander: N must be greater than 1, got {count}")
    x = x.astype(mx.int64) if x.dtype == mx.bool_ or not mx.issubdtype(x.dtype, mx.inexact) else x
    powers = [mx.ones_like(x)]
    for _ in range(count - 1):
        powers.append(powers[-1] * x)
    return mx.stack(powers, -1)


@view_op
def diagonal(input: TensorLike, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> mx.array:
    """The diagonals of matrices, as the last dimension; see ``lucid.diagonal``."""
    x = array("diagonal", input)
    first, second = _checks.dim("diagonal", dim1, x.ndim, "dim1"), _checks.dim("diagonal", dim2, x.ndim, "dim2")
    if first == second:
        raise _checks.ArgumentError(f"diagonal: dim1 and dim2 must differ, got {dim1} and {dim2}")
    return mx.diagonal(x, _checks.integer("diagonal", "offset", offset), first, second)
