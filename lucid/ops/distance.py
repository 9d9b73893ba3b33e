"""Distances between vectors."""

import mlx.core as mx
import numpy as np

from lucid import _checks
from lucid.ops._common import array, binary, real_numbers
from lucid.ops._norms import power_norm
from lucid.ops._types import TensorLike
from lucid.tape import op

__all__ = ["pairwise_distance", "pdist"]


@op
def pairwise_distance(
    x1: TensorLike, x2: TensorLike, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> mx.array:
    """The ``p``-norm of ``x1 - x2 + eps`` along the last dimension.

    Shapes: x1 and x2 (N, D) or (D,), which broadcast; out (N,), or (N, 1) with ``keepdim``.

    Raises:
        ValueError: the shapes do not broadcast.

    Example:
        >>> F.pairwise_distance(lucid.tensor([3.0, 4.0]), lucid.tensor([0.0, 0.0])).round(decimals=2).item()
        5.0
    """
    where = "pairwise_distance"
    p, eps = _checks.number(where, "p", p), _checks.number(where, "eps", eps)
    x1, x2 = array(where, x1, "x1"), array(where, x2, "x2")
    difference = binary(where, mx.subtract, x1, x2) + eps
    if not difference.ndim:
        raise _checks.ArgumentError(f"{where}: x1 and x2 must have at least one dimension")
    return power_norm(where, difference, p, (difference.ndim - 1,), _checks.flag(where, "keepdim", keepdim))


@op
def pdist(input: TensorLike, p: float = 2) -> mx.array:
    """The ``p``-norm distances between all pairs of rows of ``input`` (N, D), in the order (0, 1), (0, 2), ..., (1, 2).

    Raises:
        ValueError: ``input`` is not a matrix, or ``p`` is negative.

    Example:
        >>> F.pdist(lucid.tensor([[0.0], [1.0], [3.0]])).tolist()
        [1.0, 3.0, 2.0]
    """
    x = real_numbers("pdist", input)
    p = _checks.number("pdist", "p", p, 0)
    _checks.rank("pdist", "input", x.shape, 2, "(N, D)")
    first, second = np.triu_indices(x.shape[0], 1)
    if not len(first) or not x.shape[1]:
        return mx.zeros(len(first), x.dtype)
    difference = mx.take(x, mx.array(first), 0) - mx.take(x, mx.array(second), 0)
    if p == mx.inf:  # as in PyTorch, each of equal largest values gets the whole gradient
        size = mx.abs(difference)
        fixed = mx.stop_gradient(size)
        largest = mx.max(fixed, 1, keepdims=True)
        return mx.sum(mx.where(fixed == largest, size - fixed, 0), 1) + mx.squeeze(largest, 1)
    return power_norm("pdist", difference, p, (1,), False)
