"""Distances between vectors, and a limit to their norms."""

import mlx.core as mx
import numpy as np

from lucid import _checks
from lucid.ops._common import LOW_PRECISION, array, binary, promoted, real, real_numbers
from lucid.ops._norms import power_norm, real_dtype, safe_sqrt
from lucid.ops._types import TensorLike
from lucid.tape import op

__all__ = ["pairwise_distance", "pdist"]

_MODES = (
    "use_mm_for_euclid_dist_if_necessary", "use_mm_for_euclid_dist", "donot_use_mm_for_euclid_dist"
)  # fmt: skip


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
    return _length("pdist", difference, p)


def _length(caller: str, difference: mx.array, p: float) -> mx.array:
    """The ``p``-norm along the last dimension."""
    if p == mx.inf:  # as in PyTorch, each of equal largest values gets the whole gradient
        size = mx.abs(difference)
        fixed = mx.stop_gradient(size)
        largest = mx.max(fixed, -1, keepdims=True)
        return mx.sum(mx.where(fixed == largest, size - fixed, 0), -1) + mx.squeeze(largest, -1)
    return power_norm(caller, difference, p, (difference.ndim - 1,), False)


@op(autocast="float32")
def cdist(
    x1: TensorLike, x2: TensorLike, p: float = 2.0, compute_mode: str | None = "use_mm_for_euclid_dist_if_necessary"
) -> mx.array:
    """The ``p``-norm distances between all rows of ``x1`` and all rows of ``x2``.

    Shapes: x1 (..., n, d), x2 (..., m, d), whose other dimensions broadcast; out (..., n, m).

    Args:
        compute_mode: Whether to compute Euclidean distances by a matrix product, which needs less memory and is less
            exact: "use_mm_for_euclid_dist_if_necessary" (for more than 25 rows), "use_mm_for_euclid_dist" or
            "donot_use_mm_for_euclid_dist".

    Raises:
        ValueError: the shapes do not fit, or ``p`` is negative.

    Example:
        >>> lucid.cdist(lucid.tensor([[0.0], [1.0]]), lucid.tensor([[3.0]])).tolist()
        [[3.0], [2.0]]
    """
    x, y = promoted(real_numbers("cdist", x1, "x1"), real_numbers("cdist", x2, "x2"))
    p = _checks.number("cdist", "p", p, 0)
    mode = _checks.one_of("cdist", "compute_mode", _MODES[0] if compute_mode is None else compute_mode, _MODES)
    if x.ndim < 2 or y.ndim < 2 or x.shape[-1] != y.shape[-1]:
        raise _checks.ArgumentError(
            f"cdist: x1 and x2 must be matrices with equally many columns, got {x.shape} and {y.shape}"
        )
    batch = _checks.broadcast_shapes("cdist", x.shape[:-2], y.shape[:-2])
    shape = (*batch, x.shape[-2], y.shape[-2])
    if 0 in (*shape, x.shape[-1]):
        return mx.zeros(shape, x.dtype)
    if p == 2 and (mode == _MODES[1] or (mode == _MODES[0] and max(shape[-2:]) > 25)):
        squares = [mx.sum(mx.square(one), -1, keepdims=True) for one in (x, y)]
        product = mx.matmul(x, mx.swapaxes(y, -1, -2))
        return safe_sqrt(mx.maximum(squares[0] + mx.swapaxes(squares[1], -1, -2) - 2 * product, 0))
    return _length("cdist", x[..., :, None, :] - y[..., None, :, :], p)


@op
def renorm(input: TensorLike, p: float, dim: int, maxnorm: float, *, out: None = None) -> mx.array:
    """``input`` with the slices along ``dim`` scaled down to the ``p``-norm ``maxnorm`` if theirs is larger.

    Raises:
        ValueError: ``input`` has fewer than 2 dimensions, ``p`` is not positive, or ``maxnorm`` is negative.
    """
    x = real("renorm", input)
    p, limit = _checks.number("renorm", "p", p, 0, above=True), _checks.number("renorm", "maxnorm", maxnorm, 0)
    axis = _checks.dim("renorm", dim, x.ndim)
    if x.ndim < 2:
        raise _checks.ArgumentError(f"renorm: input must have at least 2 dimensions, got shape {x.shape}")
    wide = x.astype(mx.float32) if x.dtype in LOW_PRECISION else x
    norm = power_norm("renorm", wide, p, tuple(d for d in range(x.ndim) if d != axis), True)
    return x * mx.where(norm > limit, limit / (norm + 1e-7), 1).astype(real_dtype(x.dtype))
