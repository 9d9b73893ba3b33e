"""Vector and matrix norms, as in ``torch.linalg``."""

from typing import Any

import mlx.core as mx

from lucid import _checks
from lucid._checks import flag
from lucid.ops._common import averageable
from lucid.ops._norms import matrix_norm as matrix_norm_of_arrays
from lucid.ops._norms import power_norm, real_dtype
from lucid.ops._types import TensorLike
from lucid.tape import op

Dims = int | tuple[int, ...] | list[int] | None


@op(autocast="float32")
def vector_norm(
    input: TensorLike, ord: float = 2, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None, out: None = None
) -> mx.array:
    """``sum(|input| ** ord) ** (1 / ord)`` over ``dim``, or over all values.

    ``ord`` may also be 0 (the number of nonzero values), inf or -inf (the largest or smallest absolute value). The
    gradient of the 2-norm at 0 is 0.

    Example:
        >>> lucid.linalg.vector_norm(lucid.tensor([[3.0, 4.0], [0.0, 5.0]]), dim=1).tolist()
        [5.0, 5.0]
    """
    x, kind = averageable("vector_norm", input, dtype)
    order = _order_number("vector_norm", ord)
    return power_norm(
        "vector_norm", x, order, _dims("vector_norm", x, dim), flag("vector_norm", "keepdim", keepdim)
    ).astype(real_dtype(kind))


def _dims(caller: str, x: mx.array, dim: Any) -> tuple[int, ...]:
    return _checks.dims(caller, dim, x.ndim) if x.ndim else ()


def _order_number(caller: str, ord: Any) -> float:
    if isinstance(ord, bool) or not isinstance(ord, int | float):
        raise TypeError(f"{caller}: ord must be a number, got {ord!r}")
    return float(ord)


@op(autocast="float32")
def matrix_norm(
    input: TensorLike,
    ord: float | str = "fro",
    dim: Any = (-2, -1),
    keepdim: bool = False,
    *,
    dtype: Any = None,
    out: None = None,
) -> mx.array:
    """A norm of the matrices in the two dimensions ``dim``.

    Args:
        ord: "fro" (the root of the sum of squares), "nuc" (the sum of singular values), 1 or inf (the largest sum of
            absolute values of a column or row), 2 (the largest singular value), or -1, -inf, -2 for the smallest.

    Raises:
        ValueError: ``ord`` is unknown, ``dim`` does not name two dimensions, or the matrices are empty.

    Example:
        >>> lucid.linalg.matrix_norm(lucid.tensor([[3.0, 4.0]])).item()
        5.0
    """
    x, kind = averageable("matrix_norm", input, dtype)
    return matrix_norm_of_arrays("matrix_norm", x, ord, dim, flag("matrix_norm", "keepdim", keepdim)).astype(
        real_dtype(kind)
    )


@op(autocast="float32")
def norm(
    input: TensorLike,
    ord: float | str | None = None,
    dim: Dims = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
    out: None = None,
) -> mx.array:
    """The 2-norm of all values; with ``ord``, a norm of vectors (one ``dim``) or matrices (two).

    See ``vector_norm`` and ``matrix_norm`` for the values of ``ord``.

    Example:
        >>> lucid.linalg.norm(lucid.tensor([3.0, 4.0])).item()
        5.0
    """
    x, kind = averageable("norm", input, dtype)
    if ord is None:
        return power_norm("norm", x, 2, _dims("norm", x, dim), flag("norm", "keepdim", keepdim)).astype(
            real_dtype(kind)
        )
    if dim is None:
        if x.ndim not in (1, 2):
            raise _checks.ArgumentError(
                f"norm: dim is required with ord unless the input has 1 or 2 dimensions, got shape {x.shape}"
            )
        dim = tuple(range(x.ndim))
    dims = _checks.dims("norm", dim, x.ndim) if x.ndim else (0,)
    if len(dims) == 1:
        return power_norm(
            "norm", x, _order_number("norm", ord), _dims("norm", x, dim), flag("norm", "keepdim", keepdim)
        ).astype(real_dtype(kind))
    return matrix_norm_of_arrays("norm", x, ord, dim, flag("norm", "keepdim", keepdim)).astype(real_dtype(kind))
