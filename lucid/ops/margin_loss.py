"""Losses with a margin: of rankings, of embeddings, and of several classes."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import mlx.core as mx

from lucid import _bounds, _checks
from lucid.kernels import float64
from lucid.ops._common import FLOATING, array, arrays, at_least_1d, compact_if_empty, index_array, total
from lucid.ops._losses import REDUCTIONS, broadcast_pair, compute_array, loss_op, reduced, reduction_of
from lucid.ops._norms import power_norm, real_dtype
from lucid.ops._types import TensorLike
from lucid.ops.arithmetic import minimum
from lucid.tape import op

if TYPE_CHECKING:
    from lucid._tensor import Tensor

__all__ = [
    "cosine_embedding_loss", "hinge_embedding_loss", "margin_ranking_loss", "multi_margin_loss",
    "multilabel_margin_loss", "multilabel_soft_margin_loss", "soft_margin_loss", "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
]  # fmt: skip


def _positive(x: mx.array) -> mx.array:
    """``max(x, 0)``, with gradient 1 at 0 as in PyTorch. NaN stays NaN."""
    return mx.where(x < 0, 0, x)


@loss_op
def margin_ranking_loss(
    input1: TensorLike, input2: TensorLike, target: TensorLike, margin: float = 0,
    size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean",
) -> mx.array:  # fmt: skip
    """``max(0, -target * (input1 - input2) + margin)``: whether ``input1`` ranks above ``input2`` where target is 1.

    ``target`` holds 1 and -1. All three broadcast, and have as many dimensions.

    Example:
        >>> F.margin_ranking_loss(lucid.tensor([1.0]), lucid.tensor([3.0]), lucid.tensor([1.0])).item()
        2.0
    """
    where = "margin_ranking_loss"
    first, second = arrays(where, array(where, input1, "input1"), array(where, input2, "input2"))
    sign = array(where, target, "target")
    if not first.ndim == second.ndim == sign.ndim:
        raise _checks.ArgumentError(
            f"{where}: input1, input2 and target must have as many dimensions, "
            f"got shapes {first.shape}, {second.shape} and {sign.shape}"
        )
    margin = _checks.number(where, "margin", margin)
    _checks.broadcast_shapes(where, first.shape, second.shape, sign.shape)
    sign, difference = arrays(where, sign, first - second)
    x, _, dtype = broadcast_pair(where, -sign * difference, difference)
    return reduced(where, _positive(x + margin), reduction, dtype)


@loss_op
def hinge_embedding_loss(
    input: TensorLike, target: TensorLike, margin: float = 1.0, size_average: bool | None = None,
    reduce: bool | None = None, reduction: str = "mean",
) -> mx.array:  # fmt: skip
    """``input``, a distance, where ``target`` is 1, and ``max(0, margin - input)`` where it is -1."""
    where = "hinge_embedding_loss"
    margin = _checks.number(where, "margin", margin)
    x, sign, dtype = broadcast_pair(where, input, target)
    loss = mx.where(sign == 1, 0, _positive(margin - x)) + mx.where(sign == -1, 0, x)
    return reduced(where, loss, reduction, dtype)


@loss_op
def soft_margin_loss(
    input: TensorLike, target: TensorLike, size_average: bool | None = None, reduce: bool | None = None,
    reduction: str = "mean",
) -> mx.array:  # fmt: skip
    """``log(1 + exp(-target * input))``, without overflow; ``target`` holds 1 and -1."""
    x, sign, dtype = broadcast_pair("soft_margin_loss", input, target)
    loss = float64.logaddexp(-sign * x, mx.array(0, x.dtype))
    return reduced("soft_margin_loss", loss, reduction, dtype)


@loss_op
def cosine_embedding_loss(
    input1: TensorLike, input2: TensorLike, target: TensorLike, margin: float = 0,
    size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean",
) -> mx.array:  # fmt: skip
    """``1 - cos(input1, input2)`` where ``target`` is 1, and ``max(0, cos(input1, input2) - margin)`` where it is -1.

    Shapes: input1 and input2 (N, D), target (N,); or (D,) and ().
    """
    where = "cosine_embedding_loss"
    sign = array(where, target, "target")
    if sign.ndim > 1:
        raise _checks.ArgumentError(f"{where}: target must have 0 or 1 dimensions, got shape {sign.shape}")
    margin = _checks.number(where, "margin", margin)
    first, second = array(where, input1, "input1"), array(where, input2, "input2")
    for name, one in (("input1", first), ("input2", second)):
        _checks.rank(where, name, one.shape, sign.ndim + 1, "for this target")
    sign = sign.astype(mx.float32)  # which has -1
    x, other, dtype = broadcast_pair(where, first, second)
    dot, size, other_size = (
        total(a * b, -1) + extra for a, b, extra in ((x, other, 0), (x, x, 1e-12), (other, other, 1e-12))
    )
    cosine = dot / mx.sqrt(size * other_size)
    _checks.broadcast_shapes(where, cosine.shape, sign.shape)
    loss = mx.where(sign == 1, 1 - cosine, 0) + mx.where(sign == -1, _positive(cosine - margin), 0)
    return reduced(where, loss, reduction, dtype)


def _with_classes(
    caller: str, input: Any, target: Any, reduction: str, ignore: int | None, as_input: bool
) -> tuple[mx.array, mx.array, mx.Dtype]:
    """The input (N, C), its class indices, (N,) or (N, C), in range, and the dtype of the result."""
    _checks.one_of(caller, "reduction", reduction, REDUCTIONS)
    x, dtype = compute_array(caller, input), array(caller, input).dtype
    is_host = not isinstance(target, mx.array)
    classes = index_array(caller, target, "target")
    x = at_least_1d(x)
    expected = x.shape if as_input else x.shape[:-1]
    if x.ndim > 2 or x.shape[-1] == 0:
        raise _checks.ArgumentError(f"{caller}: input must be (N, C) or (C,) with C > 0, got shape {x.shape}")
    if classes.shape != expected and not (x.ndim == 1 and classes.size == (x.size if as_input else 1)):
        raise _checks.ArgumentError(
            f"{caller}: target must have shape {expected} for an input of shape {x.shape}, got {classes.shape}"
        )
    _bounds.check_classes(caller, classes, x.shape[-1], ignore, is_host=is_host)
    rows = x.reshape(-1, x.shape[-1])
    return rows, classes.astype(mx.int64).reshape(rows.shape if as_input else (-1,)), dtype


@loss_op
def multi_margin_loss(
    input: TensorLike, target: TensorLike, p: int = 1, margin: float = 1.0, weight: TensorLike = None,
    size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean",
) -> mx.array:  # fmt: skip
    """``sum over i != target of weight[target] * max(0, margin - input[target] + input[i])^p / C``.

    Shapes: input (N, C) or (C,), target (N,) or () of class indices, weight (C,). p is 1 or 2.

    Raises:
        IndexError: a class is outside [0, C).
    """
    where = "multi_margin_loss"
    power = _checks.integer(where, "p", p)
    if power not in (1, 2):
        raise _checks.ArgumentError(f"{where}: p must be 1 or 2, got {p}")
    margin = _checks.number(where, "margin", margin)
    shape = array(where, input).shape
    if weight is not None and shape and array(where, weight, "weight").shape != shape[-1:]:
        raise _checks.ArgumentError(f"{where}: weight must have shape {shape[-1:]}, got {array(where, weight).shape}")
    x, classes, dtype = _with_classes(where, input, target, reduction, None, as_input=False)
    safe = mx.clip(classes, 0, x.shape[1] - 1)[:, None]
    gap = margin - mx.take_along_axis(x, safe, 1) + x
    gap = mx.where(gap > 0, gap, 0)
    terms = gap if power == 1 else mx.square(gap)
    if weight is not None:
        terms = terms * mx.take(array(where, weight, "weight").astype(x.dtype).reshape(-1), safe)
    is_other = mx.arange(x.shape[1]) != safe
    loss = total(mx.where(is_other, terms, 0), 1) / x.shape[1]
    loss = mx.where(classes == safe[:, 0], loss, mx.nan)
    return reduced(where, loss.reshape(shape[:-1]), reduction, dtype)


@loss_op
def multilabel_margin_loss(
    input: TensorLike, target: TensorLike, size_average: bool | None = None, reduce: bool | None = None,
    reduction: str = "mean",
) -> mx.array:  # fmt: skip
    """``sum over targets j and other classes i of max(0, 1 - (input[j] - input[i])) / C``.

    Shapes: input and target (N, C) or (C,). Each row of ``target`` lists class indices up to the first -1.

    Raises:
        IndexError: a class is outside [-1, C).
    """
    where = "multilabel_margin_loss"
    shape = array(where, input).shape
    x, classes, dtype = _with_classes(where, input, target, reduction, -1, as_input=True)
    listed = mx.cumprod((classes >= 0).astype(mx.int32), 1) > 0  # (N, K)
    safe = mx.clip(classes, 0, x.shape[1] - 1)
    number = mx.arange(x.shape[1])
    chosen = listed[:, :, None] & (safe[:, :, None] == number)  # (N, K, C)
    is_target = mx.any(chosen, 1)
    gap = 1 - mx.take_along_axis(x, safe, 1)[:, :, None] + x[:, None, :]
    counted = listed[:, :, None] & ~is_target[:, None, :] & (gap > 0)
    loss = total(mx.where(counted, gap, 0), (1, 2)) / x.shape[1]
    return reduced(where, loss.reshape(shape[:-1]), reduction, dtype)


@loss_op
def multilabel_soft_margin_loss(
    input: TensorLike, target: TensorLike, weight: TensorLike = None, size_average: bool | None = None,
    reduce: bool | None = None, reduction: str = "mean",
) -> mx.array:  # fmt: skip
    """The binary cross entropy of logits (N, C) and targets of 0 and 1, averaged over the classes.

    ``weight`` (C,) is a factor for each class.
    """
    where = "multilabel_soft_margin_loss"
    x, labels, dtype = broadcast_pair(where, input, target)
    if x.ndim == 0:
        raise _checks.DimError(f"{where}: input must have at least 1 dimension, got a 0-d tensor")
    miss = float64.logaddexp(-x, mx.array(0, x.dtype))  # -log(sigmoid(x))
    loss = labels * miss + (1 - labels) * (miss + x)
    if weight is not None:
        given = array(where, weight, "weight")
        _checks.broadcast_shapes(where, loss.shape, given.shape)
        loss = loss * given
        dtype = mx.result_type(mx.array(0, dtype), given)
    return reduced(where, total(loss, -1) / loss.shape[-1], reduction, dtype)


@op
def _distance(x1: TensorLike, x2: TensorLike, p: float, eps: float) -> mx.array:
    """The p-norm of ``x1 - x2 + eps`` along the last dimension."""
    where = "triplet_margin_loss"
    x, other = arrays(where, array(where, x1), array(where, x2))
    _checks.broadcast_shapes(where, x.shape, other.shape)
    difference = x - other
    dtype = real_dtype(difference.dtype) if difference.dtype in FLOATING else mx.float32
    if difference.dtype not in (mx.complex64, mx.float64):
        difference = difference.astype(mx.float32)
    return power_norm(where, compact_if_empty(difference + eps), p, (-1,), False).astype(dtype)


@op(autocast="float32")
def _triplet(positive: TensorLike, negative: TensorLike, margin: float, reduction: str, caller: str) -> mx.array:
    x, other, dtype = broadcast_pair(caller, positive, negative)
    return reduced(caller, _positive(margin + x - other), reduction, dtype)


def triplet_margin_loss(
    anchor: TensorLike, positive: TensorLike, negative: TensorLike, margin: float = 1.0, p: float = 2,
    eps: float = 1e-6, swap: bool = False, size_average: bool | None = None, reduce: bool | None = None,
    reduction: str = "mean",
) -> "Tensor":  # fmt: skip
    """``max(0, margin + d(anchor, positive) - d(anchor, negative))`` with the distance of order ``p``.

    Shapes: anchor, positive and negative (N, D) or (D,). ``eps`` is added to the difference of vectors.
    Source: Balntas et al. 2016, http://www.bmva.org/bmvc/2016/papers/paper119/index.html.

    Args:
        swap: Whether to use the distance of positive and negative where it is smaller than that of anchor and negative.

    Example:
        >>> anchor, positive, negative = lucid.zeros(1, 2), lucid.zeros(1, 2), lucid.tensor([[0.5, 0.0]])
        >>> F.triplet_margin_loss(anchor, positive, negative).round(decimals=2)
        tensor(0.5)
    """
    where = "triplet_margin_loss"
    p, eps = _checks.number(where, "p", p), _checks.number(where, "eps", eps)
    return _triplet_loss(
        where, (anchor, positive, negative), lambda one, other: _distance(one, other, p, eps), margin, swap,
        reduction_of(where, reduction, size_average, reduce),
    )  # fmt: skip


def triplet_margin_with_distance_loss(
    anchor: TensorLike, positive: TensorLike, negative: TensorLike, *,
    distance_function: "Callable[[Any, Any], Tensor] | None" = None, margin: float = 1.0, swap: bool = False,
    reduction: str = "mean",
) -> "Tensor":  # fmt: skip
    """``triplet_margin_loss`` with any distance: a function of two tensors (N, ...) that returns (N,).

    Without one, it is the Euclidean distance.
    """
    where = "triplet_margin_with_distance_loss"
    if not (distance_function is None or callable(distance_function)):
        raise TypeError(f"{where}: distance_function must be callable, got {distance_function!r:.60}")
    distance = distance_function or (lambda one, other: _distance(one, other, 2.0, 1e-6))
    return _triplet_loss(where, (anchor, positive, negative), distance, margin, swap, reduction)


def _triplet_loss(
    caller: str, points: tuple[Any, Any, Any], distance: "Callable[[Any, Any], Tensor]", margin: float, swap: bool,
    reduction: str,
) -> "Tensor":  # fmt: skip
    margin = _checks.number(caller, "margin", margin, 0, above=True)
    anchor, positive, negative = points
    dims = [one.ndim if hasattr(one, "ndim") else array(caller, one).ndim for one in points]
    if len(set(dims)) != 1 or not dims[0]:
        raise _checks.ArgumentError(
            f"{caller}: anchor, positive and negative must have as many dimensions, at least 1, got {dims}"
        )
    near, far = distance(anchor, positive), distance(anchor, negative)
    if _checks.flag(caller, "swap", swap):
        far = minimum(far, distance(positive, negative))
    return _triplet(near, far, margin, reduction, caller)
