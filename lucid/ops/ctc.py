"""Connectionist temporal classification: the likelihood of a sequence of labels under all its alignments.

Source: Graves et al. 2006, https://www.cs.toronto.edu/~graves/icml_2006.pdf.
"""

from typing import TYPE_CHECKING, Any

import mlx.core as mx
import numpy as np

from lucid import _bounds, _checks
from lucid.kernels import float64
from lucid.ops._common import array, index_array, total
from lucid.ops._losses import REDUCTIONS, compute_array
from lucid.ops._types import TensorLike
from lucid.tape import op, unwrap

if TYPE_CHECKING:
    from lucid._tensor import Tensor

__all__ = ["ctc_loss"]

_NEVER = -1e30  # the logarithm of 0; finite, because the gradients of infinities are NaN


def ctc_loss(
    log_probs: TensorLike, targets: TensorLike, input_lengths: TensorLike, target_lengths: TensorLike, blank: int = 0,
    reduction: str = "mean", zero_infinity: bool = False,
) -> "Tensor":  # fmt: skip
    """The negative log-likelihood of the label sequences ``targets`` under all alignments with ``log_probs``.

    Shapes: log_probs (T, N, C) or (T, C), log-probabilities; targets (N, S), or the labels of all samples concatenated,
    (sum(target_lengths),); input_lengths and target_lengths (N,) or (). "none" gives (N,) or (). "mean" divides each
    loss by the length of its target before it averages.

    As in PyTorch, the gradient is the one that follows a ``log_softmax``: that of the logits is exact.

    Args:
        blank: The class that stands for no label.
        zero_infinity: Whether losses that are infinite, of targets too long for their input, become 0.

    Raises:
        ValueError: lengths, labels or shapes do not fit.
        RuntimeError: the lengths are results of a function that is being compiled.

    Example:
        >>> log_probs = F.log_softmax(lucid.zeros(4, 1, 3), dim=2)
        >>> F.ctc_loss(log_probs, lucid.tensor([[1, 2]]), (4,), (2,)).round(decimals=2)
        tensor(0.84)
    """
    shape = array("ctc_loss", unwrap(log_probs), "log_probs").shape
    _checks.rank("ctc_loss", "log_probs", shape, (2, 3), "(T, N, C) or (T, C)")
    batch, classes = (shape[1] if len(shape) == 3 else 1), shape[-1]
    _checks.one_of("ctc_loss", "reduction", reduction, REDUCTIONS)
    blank = _checks.integer("ctc_loss", "blank", blank)
    if not 0 <= blank < classes:
        raise _checks.ArgumentError(f"ctc_loss: blank must be in [0, {classes}), got {blank}")
    steps = _lengths("input_lengths", input_lengths, batch)
    labels = _lengths("target_lengths", target_lengths, batch)
    if steps.size and steps.max() > shape[0]:
        raise _checks.ArgumentError(f"ctc_loss: input_lengths must be at most {shape[0]}, got {steps.max()}")
    rows = _rows(unwrap(targets), labels, batch)
    zero_infinity = _checks.flag("ctc_loss", "zero_infinity", zero_infinity)
    return _ctc(log_probs, rows, mx.array(steps), mx.array(labels), blank, reduction, zero_infinity)


def _lengths(name: str, value: Any, batch: int) -> np.ndarray:
    found = index_array("ctc_loss", unwrap(value), name)
    if found.shape not in ((batch,), () if batch == 1 else (batch,)):
        raise _checks.ArgumentError(f"ctc_loss: {name} must have shape ({batch},), got {found.shape}")
    lengths = np.asarray(_bounds.as_numpy("ctc_loss", found), np.int64).reshape(batch)
    if lengths.size and lengths.min() < 0:
        raise _checks.ArgumentError(f"ctc_loss: {name} must not be negative, got {lengths.min()}")
    return lengths


def _rows(targets: Any, lengths: np.ndarray, batch: int) -> mx.array:
    """The labels as one row per sample (N, longest)."""
    found = index_array("ctc_loss", targets, "targets")
    longest = int(lengths.max(initial=0))
    if found.ndim == 1:
        if found.size != lengths.sum():
            raise _checks.ArgumentError(
                f"ctc_loss: the concatenated targets must have length {lengths.sum()}, the sum of target_lengths, "
                f"got {found.size}"
            )
        starts = np.cumsum(lengths) - lengths
        places = np.minimum(starts[:, None] + np.arange(longest), max(found.size - 1, 0))
        return mx.take(found, mx.array(places)) if places.size else mx.zeros((batch, longest), mx.int32)
    if found.ndim != 2 or found.shape[0] != batch or found.shape[1] < longest:
        raise _checks.ArgumentError(
            f"ctc_loss: targets must be ({batch}, S) with S of at least {longest}, or one vector, got {found.shape}"
        )
    return found[:, :longest]


@op(autocast="float32")
def _ctc(
    log_probs: TensorLike, targets: mx.array, steps: mx.array, lengths: mx.array, blank: int, reduction: str,
    zero_infinity: bool,
) -> mx.array:  # fmt: skip
    x, dtype = compute_array("ctc_loss", log_probs, "log_probs"), array("ctc_loss", log_probs).dtype
    is_single = x.ndim == 2
    x = x[:, None] if is_single else x  # (T, N, C)
    batch, longest = targets.shape
    place = mx.arange(longest)
    _bounds.check_classes("ctc_loss", mx.where(place < lengths[:, None], targets, 0), x.shape[2], name="targets")
    labels = mx.clip(targets.astype(mx.int32), 0, x.shape[2] - 1)
    # States are blanks at even and labels at odd places. A label may follow the label before it without a blank between
    # them, unless both are equal.
    states = mx.full((batch, longest, 2), blank, dtype=mx.int32)
    states = mx.stack([states[..., 0], labels], -1).reshape(batch, 2 * longest)
    states = mx.concatenate([states, mx.full((batch, 1), blank, dtype=mx.int32)], 1)  # (N, 2 S + 1)
    differs = mx.concatenate([mx.zeros((batch, 2), mx.bool_), states[:, 2:] != states[:, :-2]], 1)
    can_skip = differs & (mx.arange(2 * longest + 1) % 2 == 1)
    emitted = mx.take_along_axis(x, mx.broadcast_to(states, (x.shape[0], *states.shape)), 2)
    emitted = mx.where(emitted > _NEVER, emitted, _NEVER)
    nothing = mx.full((batch, 2), _NEVER, dtype=x.dtype)
    scores = mx.concatenate([mx.zeros((batch, 1), x.dtype), mx.full((batch, 2 * longest), _NEVER, dtype=x.dtype)], 1)
    for step in range(x.shape[0]):  # the first step starts from a virtual blank, which leads to states 0 and 1
        before = mx.concatenate([nothing, scores], 1)
        reached = float64.logaddexp(scores, before[:, 1:-1])
        if step:
            reached = float64.logaddexp(reached, mx.where(can_skip, before[:, :-2], _NEVER))
        reached = mx.maximum(reached + emitted[step], _NEVER)
        scores = mx.where(step < steps[:, None], reached, scores)
    ends = mx.stack([2 * lengths, mx.maximum(2 * lengths - 1, 0)], 1)
    last, label = mx.split(mx.take_along_axis(scores, ends, 1), 2, 1)
    likelihood = mx.where(lengths[:, None] > 0, float64.logaddexp(last, label), last)[:, 0]
    # As in PyTorch, with the derivative of a softmax: sums of probabilities, which are constant behind a log_softmax.
    active = mx.arange(x.shape[0])[:, None] < steps
    sums = total(mx.where(active[:, :, None], float64.exp(x), 0), (0, 2))
    impossible = likelihood < 0.5 * _NEVER
    loss = mx.where(impossible, 0 if zero_infinity else mx.inf, sums - mx.stop_gradient(sums) - likelihood)
    if reduction == "mean":
        loss = mx.mean(loss / mx.maximum(lengths, 1).astype(x.dtype)) if batch else total(loss) / 0
    elif reduction == "sum":
        loss = total(loss)
    elif is_single:
        loss = loss[0]
    return loss.astype(dtype)
