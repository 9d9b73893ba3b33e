"""Accuracy: the fraction of samples whose class is predicted, or among the top k predictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mlx.core as mx

from lucid import _checks, tape
from lucid._tensor import Tensor
from lucid.metrics.metric import Metric, Sums
from lucid.metrics.samples import Samples, check_ignore_index, parse_samples
from lucid.ops._common import total
from lucid.ops._types import TensorLike


def accuracy(
    preds: TensorLike, target: TensorLike, topk: int | Sequence[int] = 1, *, ignore_index: int | None = None
) -> Any:
    """The fraction of samples, in [0, 1], whose class is among the ``topk`` largest predictions; NaN without samples.

    Args:
        preds: Predictions, see ``Accuracy.update``.
        target: Labels, see ``Accuracy.update``.
        topk: One k gives a tensor, several a list: ``top1, top5 = accuracy(logits, labels, (1, 5))``. With fewer than k
            classes every prediction is correct.
        ignore_index: Samples with this target are not counted.

    Raises:
        ValueError: shapes do not match, or a k is below 1.
        TypeError: class indices are not integers.

    Example:
        >>> logits = lucid.tensor([[2.0, 1.0], [0.0, 3.0]])
        >>> metrics.accuracy(logits, lucid.tensor([0, 0])).item()
        0.5
    """
    ks = [topk] if isinstance(topk, int) else list(topk)
    for k in ks:
        _checks.integer("accuracy", "topk", k, 1)
    ignored = check_ignore_index("accuracy", ignore_index)
    samples = parse_samples("accuracy", tape.unwrap(preds), tape.unwrap(target), ignored)
    found: list[Tensor] = [tape.wrap(_ratio(_counts("accuracy", samples, k))) for k in ks]
    return found[0] if isinstance(topk, int) else found


def _counts(caller: str, samples: Samples, k: int) -> Sums:
    right = _in_top_k(caller, samples, k) & samples.counted
    return {"correct": total(right.astype(mx.int64)), "total": total(samples.counted.astype(mx.int64))}


def _ratio(sums: Sums) -> mx.array:
    return sums["correct"].astype(mx.float32) / sums["total"].astype(mx.float32)


def _in_top_k(caller: str, samples: Samples, k: int) -> mx.array:
    """Whether each sample's class is among the k largest, that is, fewer than k classes rank before it.

    Counting needs no sort, and breaks ties like ``argmax``: the lower class index ranks first.
    """
    logits, target = samples.logits, samples.target
    if k == 1 or logits is None:
        if k > 1:
            raise ValueError(f"{caller}: top-{k} accuracy needs logits or probabilities, but preds are class indices")
        return samples.classes == target
    number = mx.arange(logits.shape[1])[None]  # (1, C)
    label = target[:, None]  # (M, 1)
    exists = (target >= 0) & (target < logits.shape[1])
    own = mx.take_along_axis(logits, mx.where(exists, target, 0)[:, None], 1) if target.size else logits[:, :1]
    before = (logits > own) | ((logits == own) & (number < label))
    return (total(before.astype(mx.int32), 1) < k) & exists


class Accuracy(Metric):
    """The fraction of samples, in [0, 1], whose class is among the ``top_k`` largest predictions; NaN without samples.

    Samples are counted exactly, whatever the batch sizes. Samples whose target is ``ignore_index`` are not counted;
    those whose target is not a valid class count as wrong.

    Args:
        top_k: Number of predictions that count.
        ignore_index: Samples with this target are not counted.

    Raises:
        ValueError: ``top_k`` is below 1.

    Example:
        >>> accuracy = metrics.Accuracy()
        >>> accuracy.update(lucid.tensor([[2.0, 1.0], [0.0, 3.0]]), lucid.tensor([0, 0]))
        >>> accuracy.compute().item()
        0.5
    """

    def __init__(self, top_k: int = 1, *, ignore_index: int | None = None) -> None:
        self.top_k = _checks.integer("Accuracy", "top_k", top_k, 1)
        self.ignore_index = check_ignore_index("Accuracy", ignore_index)
        super().__init__({"correct": ((), mx.int64), "total": ((), mx.int64)})

    def update(self, preds: TensorLike, target: TensorLike) -> None:
        """Add a batch.

        Among equal values the first is the largest, and NaN is larger than any number, as in PyTorch.

        Args:
            preds: Logits or probabilities (N, C, ...) or (C,), or class indices in the shape of ``target``.
            target: Class indices (N, ...) or (), or soft labels in the shape of ``preds``, whose largest class counts.

        Raises:
            ValueError: shapes do not match.
            TypeError: class indices are not integers.
        """
        super().update(preds, target)

    def _batch_sums(self, preds: mx.array, target: mx.array) -> Sums:
        return _counts("Accuracy", parse_samples("Accuracy", preds, target, self.ignore_index), self.top_k)

    def _compute(self, sums: Sums) -> mx.array:
        return _ratio(sums)

    def __repr__(self) -> str:
        return f"Accuracy(top_k={self.top_k})"
