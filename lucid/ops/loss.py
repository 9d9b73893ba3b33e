"""Loss functions. ``reduction`` is "mean", "sum" or "none"; half precision is computed in float32 and cast back.

PyTorch's deprecated arguments ``size_average`` and ``reduce`` keep their places: they override ``reduction``, with a
warning.
"""

from typing import Any

import mlx.core as mx

from lucid import _bounds, _checks
from lucid.kernels import float64
from lucid.ops._common import FLOATING, array, at_least_1d, total
from lucid.ops._losses import (
    REDUCTIONS,
    broadcast_pair,
    compute_array,
    compute_pair,
    loss_op,
    reduced,
    warn_of_broadcasting,
)
from lucid.ops._types import TensorLike
from lucid.ops.activation import log_softmax_of_arrays
from lucid.tape import op

__all__ = [
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "cosine_similarity", "cross_entropy", "huber_loss",
    "kl_div", "l1_loss", "mse_loss", "nll_loss", "smooth_l1_loss",
]  # fmt: skip


def _weighted(caller: str, loss: mx.array, weight: Any, shape: tuple[int, ...]) -> tuple[mx.array, mx.array]:
    """``loss * weight``, and the weight: one for each value of the input, which has this shape."""
    weight = array(caller, weight, "weight")
    if weight.shape != shape:
        raise ValueError(f"{caller}: weight must have the shape of the input, {shape}, got {weight.shape}")
    return loss * weight, weight


def _reduce_weighted_errors(
    caller: str, loss: mx.array, weight: Any, shape: tuple[int, ...], reduction: str, dtype: mx.Dtype
) -> mx.array:
    """As ``reduced``; with a weight, the mean divides by the sum of the weights."""
    if weight is None:
        return reduced(caller, loss, reduction, dtype)
    loss, weight = _weighted(caller, loss, weight, shape)
    dtype = mx.result_type(mx.array(0, dtype), weight)
    if reduction == "mean":
        return (total(loss) / total(weight)).astype(dtype)
    return reduced(caller, loss, reduction, dtype)


@warn_of_broadcasting
@loss_op
def mse_loss(
    input: TensorLike, target: TensorLike, size_average: bool | None = None, reduce: bool | None = None,
    reduction: str = "mean", weight: TensorLike = None,
) -> mx.array:  # fmt: skip
    """``(input - target)²``, times ``weight`` in the shape of the input; "mean" then divides by the sum of the weights.

    Example:
        >>> F.mse_loss(lucid.tensor([1.0, 3.0]), lucid.tensor([1.0, 1.0])).item()
        2.0
    """
    x, target, dtype = broadcast_pair("mse_loss", input, target)
    return _reduce_weighted_errors("mse_loss", mx.square(x - target), weight, x.shape, reduction, dtype)


@warn_of_broadcasting
@loss_op
def l1_loss(
    input: TensorLike, target: TensorLike, size_average: bool | None = None, reduce: bool | None = None,
    reduction: str = "mean", weight: TensorLike = None,
) -> mx.array:  # fmt: skip
    """``|input - target|``, times ``weight`` in the shape of the input; "mean" then divides by the sum of weights."""
    if mx.complex64 in (array("l1_loss", input).dtype, array("l1_loss", target).dtype):
        return _complex_l1_loss(input, target, weight, reduction)
    x, target, dtype = broadcast_pair("l1_loss", input, target)
    return _reduce_weighted_errors("l1_loss", mx.abs(x - target), weight, x.shape, reduction, dtype)


def _complex_l1_loss(x: Any, target: Any, weight: Any, reduction: str) -> mx.array:
    x, target = array("l1_loss", x), array("l1_loss", target)
    _checks.broadcast_shapes("l1_loss", x.shape, target.shape)
    size = mx.abs(x.astype(mx.complex64) - target.astype(mx.complex64))
    return _reduce_weighted_errors("l1_loss", size, weight, x.shape, reduction, mx.float32)


@warn_of_broadcasting
@op(autocast="float32")
def huber_loss(
    input: TensorLike, target: TensorLike, reduction: str = "mean", delta: float = 1.0, weight: TensorLike = None
) -> mx.array:
    """``0.5 d²`` if ``d = |input - target|`` is at most ``delta``, otherwise ``delta (d - 0.5 delta)``.

    ``weight`` is a factor for each value of the input.
    """
    delta = _checks.number("huber_loss", "delta", delta, 0, above=True)
    kind = array("huber_loss", input).dtype
    x, target, dtype = broadcast_pair("huber_loss", input, target)
    if kind in FLOATING:  # as in PyTorch, not the common dtype
        dtype = kind
    loss = _huber(x - target, delta)
    if weight is not None:
        loss, weight = _weighted("huber_loss", loss, weight, x.shape)
        dtype = mx.result_type(mx.array(0, dtype), weight)
    return reduced("huber_loss", loss, reduction, dtype)


@warn_of_broadcasting
@loss_op
def smooth_l1_loss(
    input: TensorLike, target: TensorLike, size_average: bool | None = None, reduce: bool | None = None,
    reduction: str = "mean", beta: float = 1.0,
) -> mx.array:  # fmt: skip
    """``0.5 d² / beta`` if ``d = |input - target|`` is below ``beta``, otherwise ``d - 0.5 beta``."""
    beta = _checks.number("smooth_l1_loss", "beta", beta, 0)
    x, target, dtype = broadcast_pair("smooth_l1_loss", input, target)
    loss = _huber(x - target, beta) / beta if beta else mx.abs(x - target)
    return reduced("smooth_l1_loss", loss, reduction, dtype)


def _huber(difference: mx.array, delta: float) -> mx.array:
    size = mx.abs(difference)
    return mx.where(size <= delta, 0.5 * mx.square(difference), delta * (size - 0.5 * delta))


@loss_op
def binary_cross_entropy(
    input: TensorLike, target: TensorLike, weight: TensorLike = None, size_average: bool | None = None,
    reduce: bool | None = None, reduction: str = "mean",
) -> mx.array:  # fmt: skip
    """``-(target log(input) + (1 - target) log(1 - input))`` of probabilities, with logarithms clamped to -100.

    Inputs and targets outside [0, 1] give NaN.
    """
    x, target, dtype = _same_shape_pair("binary_cross_entropy", input, target)
    loss = mx.where((target < 0) | (target > 1), mx.nan, _entropy(x, target))
    return reduced("binary_cross_entropy", _apply_weight("binary_cross_entropy", loss, weight), reduction, dtype)


def _entropy(x: mx.array, target: mx.array) -> mx.array:
    # Where a probability is 0 or 1, the clamped logarithms are constant, but the gradient is that of a steep line.
    spread = (1 - x) * x
    is_certain = spread < 1e-12
    fixed, labels = mx.stop_gradient(x), mx.stop_gradient(target)
    value = (labels - 1) * mx.maximum(mx.log1p(-fixed), -100) - labels * mx.maximum(mx.log(fixed), -100)
    certain = value + (x - fixed) * ((fixed - labels) * 1e12)
    safe = mx.where(is_certain, 0.5, x)
    return mx.where(is_certain, certain, (target - 1) * mx.log1p(-safe) - target * mx.log(safe))


@loss_op
def binary_cross_entropy_with_logits(
    input: TensorLike, target: TensorLike, weight: TensorLike = None, size_average: bool | None = None,
    reduce: bool | None = None, reduction: str = "mean", pos_weight: TensorLike = None,
) -> mx.array:  # fmt: skip
    """``binary_cross_entropy(sigmoid(input), target)`` without overflow; ``pos_weight`` scales the positive term."""
    where = "binary_cross_entropy_with_logits"
    x, target, dtype = _same_shape_pair(where, input, target)
    miss = float64.logaddexp(-x, mx.array(0, x.dtype))  # -log(sigmoid(x)), and -log(1 - sigmoid(x)) is miss + x
    if pos_weight is None:
        loss = (1 - target) * x + miss
    else:
        pos_weight = _expandable(where, pos_weight, "pos_weight", x.shape)
        loss = (1 - target) * x + (1 + (pos_weight - 1) * target) * miss
    return reduced(where, _apply_weight(where, loss, weight), reduction, dtype)


def _same_shape_pair(caller: str, x: Any, target: Any) -> tuple[mx.array, mx.array, mx.Dtype]:
    x, target = array(caller, x), array(caller, target, "target")
    if x.shape != target.shape:
        raise _checks.ArgumentError(f"{caller}: target must have the shape of the input, {x.shape}, got {target.shape}")
    if target.dtype == mx.complex64:
        raise _checks.DtypeError(f"{caller}: target must hold real numbers, got complex64")
    if target.dtype == mx.float64:
        x = x.astype(mx.float64)
    return compute_array(caller, x), target.astype(mx.float64 if x.dtype == mx.float64 else mx.float32), x.dtype


def _apply_weight(caller: str, loss: mx.array, weight: Any) -> mx.array:
    if weight is None:
        return loss
    return loss * _expandable(caller, weight, "weight", loss.shape)


def _expandable(caller: str, value: Any, name: str, shape: tuple[int, ...]) -> mx.array:
    """``value`` as an array that broadcasts to ``shape``."""
    value = array(caller, value, name)
    if _checks.broadcast_shapes(caller, shape, value.shape) != shape:
        raise _checks.ArgumentError(f"{caller}: {name} must broadcast to {shape}, got {value.shape}")
    return value


@loss_op
def kl_div(
    input: TensorLike, target: TensorLike, size_average: bool | None = None, reduce: bool | None = None,
    reduction: str = "mean", log_target: bool = False,
) -> mx.array:  # fmt: skip
    """``target (log(target) - input)``: the Kullback-Leibler divergence of log-probabilities ``input`` from ``target``.

    Negative targets give NaN.

    Args:
        reduction: "batchmean" (the sum divided by the first size, the mathematical definition), "mean", "sum" or
            "none".
        log_target: Whether ``target`` holds log-probabilities too.
    """
    _checks.one_of("kl_div", "reduction", reduction, (*REDUCTIONS, "batchmean"))
    x, target, dtype = broadcast_pair("kl_div", input, target)
    if _checks.flag("kl_div", "log_target", log_target):
        loss = float64.exp(target) * (target - x)
    else:
        zero = target == 0
        loss = mx.where(zero, 0, target * mx.log(mx.where(zero, 1, target))) - target * x
    if reduction == "batchmean":
        return (total(loss) / mx.array(x.shape[0] if x.ndim else 1, loss.dtype)).astype(dtype)
    return reduced("kl_div", loss, reduction, dtype)


@loss_op
def nll_loss(
    input: TensorLike, target: TensorLike, weight: TensorLike = None, size_average: bool | None = None,
    ignore_index: int = -100, reduce: bool | None = None, reduction: str = "mean",
) -> mx.array:  # fmt: skip
    """``-weight[target] input[target]`` for log-probabilities ``input``.

    Shapes: input (N, C, ...) or (C,); target (N, ...) or (), class indices; weight (C,). "mean" divides by the sum of
    the weights of the targets. Targets equal to ``ignore_index`` are ignored; if all are, the mean is NaN and its
    gradient zero. Where classes are not checked (see ``lucid.debug``), one outside [0, C) gives NaN.

    Raises:
        IndexError: a class is outside [0, C).
        ValueError: the shapes do not match.
        TypeError: ``target`` does not hold integers.
    """
    x, dtype = compute_array("nll_loss", input), array("nll_loss", input).dtype
    ignore_index = _checks.integer("nll_loss", "ignore_index", ignore_index)
    target = _check_classes("nll_loss", x, target, ignore_index)
    weight = _class_weight("nll_loss", x, weight)
    loss, counts = _pick_classes(-x, target, weight, ignore_index)
    return _reduce_weighted("nll_loss", loss, counts, reduction, dtype)


@loss_op
def cross_entropy(
    input: TensorLike, target: TensorLike, weight: TensorLike = None, size_average: bool | None = None,
    ignore_index: int = -100, reduce: bool | None = None, reduction: str = "mean", label_smoothing: float = 0.0,
) -> mx.array:  # fmt: skip
    """The negative log-probability that the logits ``input`` assign to ``target``.

    Shapes: input (N, C, ...) or (C,); target (N, ...) or () of class indices, or class probabilities in the shape of
    input; weight (C,). "mean" divides by the sum of the weights of class indices, or by N for class probabilities.
    Where class indices are not checked (see ``lucid.debug``), one outside [0, C) gives NaN.

    Args:
        ignore_index: Targets with this class index are ignored; if all are, the mean is NaN and its gradient zero.
        label_smoothing: The weight of the uniform distribution that is mixed into the targets, in [0, 1].
            Source: Szegedy et al. 2016, arXiv:1512.00567.

    Raises:
        IndexError: a class index is outside [0, C).
        ValueError: the shapes do not match, or ``label_smoothing`` is outside [0, 1].
        TypeError: the logits are not floating point.

    Example:
        >>> logits = lucid.zeros(2, 4)
        >>> F.cross_entropy(logits, lucid.tensor([0, 3])).round(decimals=2)  # log(4)
        tensor(1.39)
    """
    where = "cross_entropy"
    x, dtype = compute_array(where, input), array(where, input).dtype
    labels, target = target, array(where, target, "target")
    smoothing = _checks.probability(where, "label_smoothing", label_smoothing)
    ignore_index = _checks.integer(where, "ignore_index", ignore_index)
    weight = _class_weight(where, x, weight)
    axis = _class_axis(where, x)
    if target.dtype in FLOATING:
        if ignore_index >= 0:
            raise _checks.ArgumentError(
                f"{where}: ignore_index requires class indices, got {ignore_index} with probabilities"
            )
        return _soft_cross_entropy(where, x, target, weight, smoothing, reduction, dtype)
    target = _check_classes(where, x, labels, ignore_index)
    losses = -log_softmax_of_arrays(x, axis)
    loss, counts = _pick_classes(losses, target, weight, ignore_index)
    if smoothing:
        uniform = total(losses if weight is None else losses * _along_axis(weight, x, axis), axis) / x.shape[axis]
        uniform = mx.where(target == ignore_index, 0, uniform)
        loss = (1 - smoothing) * loss + smoothing * uniform
    return _reduce_weighted(where, loss, counts, reduction, dtype)


def _soft_cross_entropy(
    caller: str, x: mx.array, target: mx.array, weight: mx.array | None, smoothing: float, reduction: str,
    dtype: mx.Dtype,
) -> mx.array:  # fmt: skip
    if target.shape != x.shape:
        raise _checks.ArgumentError(
            f"{caller}: class probabilities must have the shape of the input, {x.shape}, got {target.shape}; "
            "class indices must be integers"
        )
    axis = _class_axis(caller, x)
    if target.dtype == mx.float64:
        x, dtype = x.astype(mx.float64), mx.float64
    target = target.astype(x.dtype)
    if smoothing:
        target = target * (1 - smoothing) + smoothing / x.shape[axis]
    losses = -log_softmax_of_arrays(x, axis) * target
    loss = total(losses if weight is None else losses * _along_axis(weight, x, axis), axis)
    return reduced(caller, loss, reduction, dtype)


def _class_axis(caller: str, x: mx.array) -> int:
    if x.ndim == 0:
        raise _checks.ArgumentError(f"{caller}: input must be (N, C, ...) or (C,), got a 0-d tensor")
    return 0 if x.ndim == 1 else 1


def _check_classes(caller: str, x: mx.array, target: Any, ignore_index: int) -> mx.array:
    """``target`` as class indices of ``x``, checked to have its shape without the class dimension."""
    is_host = not isinstance(target, mx.array)
    target = array(caller, target, "target")
    axis = _class_axis(caller, x)
    expected = x.shape[:axis] + x.shape[axis + 1 :]
    if target.dtype in FLOATING or target.dtype == mx.bool_:
        raise _checks.DtypeError(
            f"{caller}: target must hold integer class indices, got {_checks.dtype_name(target.dtype)}"
        )
    if x.ndim == 1 and target.shape == (1,):  # as in PyTorch, one target for one sample
        target = target.reshape(())
    if target.shape != expected:
        raise _checks.ArgumentError(
            f"{caller}: target must have shape {expected} for an input of shape {x.shape}, got {target.shape}"
        )
    _bounds.check_classes(caller, target, x.shape[axis], ignore_index, is_host=is_host)
    return target if target.dtype == mx.int32 else target.astype(mx.int64)  # unsigned dtypes have no -100


def _class_weight(caller: str, x: mx.array, weight: Any) -> mx.array | None:
    if weight is None:
        return None
    weight = array(caller, weight, "weight")
    classes = x.shape[_class_axis(caller, x)]
    if weight.shape != (classes,):
        raise _checks.ArgumentError(
            f"{caller}: weight must have shape ({classes},), one value per class, got {weight.shape}"
        )
    return weight.astype(x.dtype)


def _along_axis(weight: mx.array, x: mx.array, axis: int) -> mx.array:
    return weight.reshape([-1 if d == axis else 1 for d in range(x.ndim)])


def _pick_classes(
    losses: mx.array, target: mx.array, weight: mx.array | None, ignore_index: int
) -> tuple[mx.array, mx.array]:
    """The weighted loss of each target's class, and the weight of each target."""
    axis = 0 if losses.ndim == 1 else 1
    classes = losses.shape[axis]
    ignored = target == ignore_index
    inside = (target >= 0) & (target < classes)
    safe = mx.where(inside, target, 0)
    if losses.size:
        picked = mx.squeeze(mx.take_along_axis(losses, mx.expand_dims(safe, axis), axis), axis)
    else:
        picked = mx.zeros(target.shape, losses.dtype)
    counts = mx.ones(target.shape, losses.dtype) if weight is None else mx.take(weight, safe)
    counts = mx.where(ignored, 0, counts)
    loss = picked if weight is None else picked * counts
    return mx.where(ignored, 0, mx.where(inside, loss, mx.nan)), counts


def _reduce_weighted(caller: str, loss: mx.array, counts: mx.array, reduction: str, dtype: mx.Dtype) -> mx.array:
    if reduction == "mean":
        # Without anything to count, the loss is 0 / 0, but its gradient is 0 and not NaN.
        count = total(counts)
        mean = total(loss) / mx.where(count == 0, 1, count) + mx.stop_gradient(0 / count)
        return mean.astype(dtype)
    return reduced(caller, loss, reduction, dtype)


@op(autocast="float32")
def cosine_similarity(x1: TensorLike, x2: TensorLike, dim: int = 1, eps: float = 1e-8) -> mx.array:
    """The cosine of the angle between vectors along ``dim``, with broadcasting. Norms are at least ``eps``."""
    where = "cosine_similarity"
    x, other, dtype = compute_pair(where, array(where, x1, "x1"), array(where, x2, "x2"))
    _checks.broadcast_shapes(where, x.shape, other.shape)
    x, other = mx.broadcast_arrays(x, other)
    axis, shape, eps = _checks.dim(where, dim, x.ndim), x.shape, _checks.number(where, "eps", eps)
    x, other = at_least_1d(x), at_least_1d(other)
    norms = [mx.sqrt(mx.maximum(total(mx.square(one), axis, keepdims=True), eps * eps)) for one in (x, other)]
    y = total(x / norms[0] * (other / norms[1]), axis)
    return y.reshape([size for at, size in enumerate(shape) if at != axis]).astype(dtype)
