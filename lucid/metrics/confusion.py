"""The confusion matrix: how often each class was taken for each."""

from __future__ import annotations

import mlx.core as mx

from lucid import _checks, tape
from lucid._tensor import Tensor
from lucid.metrics.metric import Metric, Sums
from lucid.metrics.samples import check_ignore_index, parse_samples
from lucid.ops._types import TensorLike


class ConfusionMatrix(Metric):
    """Counts (C, C) int64: row i, column j says how many samples of class i were taken for class j.

    With ``normalize`` they are float32 shares: "true" of the samples of each class (rows add up to 1), "pred" of the
    predictions of each class (columns do), "all" of all samples. NaN stands where there is nothing to share. Samples
    whose target is ``ignore_index``, or whose classes lie outside of [0, C), are left out.

    Raises:
        ValueError: ``num_classes`` is below 1, or ``normalize`` is another word.
    """

    def __init__(self, num_classes: int, *, normalize: str | None = None, ignore_index: int | None = None) -> None:
        self.num_classes = _checks.integer("ConfusionMatrix", "num_classes", num_classes, 1)
        if normalize is not None:
            _checks.one_of("ConfusionMatrix", "normalize", normalize, ("true", "pred", "all"))
        self.normalize = normalize
        self.ignore_index = check_ignore_index("ConfusionMatrix", ignore_index)
        super().__init__({"counts": ((self.num_classes, self.num_classes), mx.int64)})

    def update(self, preds: TensorLike, target: TensorLike) -> None:
        """Add a batch of logits, probabilities or class numbers; see ``Accuracy.update``."""
        super().update(preds, target)

    def _batch_sums(self, preds: mx.array, target: mx.array) -> Sums:
        count = self.num_classes
        samples = parse_samples("ConfusionMatrix", preds, target, self.ignore_index)
        if samples.logits is not None and samples.logits.shape[1] != count:
            raise ValueError(
                f"ConfusionMatrix: preds have {samples.logits.shape[1]} classes, wanted num_classes {count}"
            )
        inside = samples.counted
        for classes in (samples.target, samples.classes):
            inside = inside & (classes >= 0) & (classes < count)
        # One place behind the matrix takes what is left out, so that every index is a valid one. int32: a batch never
        # overflows it, and GPUs add 32-bit numbers atomically.
        place = mx.where(inside, samples.target * count + samples.classes, count * count)
        found = mx.zeros((count * count + 1,), mx.int32)
        if place.size:
            found = found.at[place].add(mx.ones(place.shape, mx.int32))
        return {"counts": found[:-1].reshape(count, count)}

    def _compute(self, sums: Sums) -> mx.array:
        counts = sums["counts"]
        if self.normalize is None:
            return counts
        axis = {"true": 1, "pred": 0, "all": None}[self.normalize]
        return counts.astype(mx.float32) / mx.sum(counts, axis, keepdims=True).astype(mx.float32)

    def accuracy(self) -> Tensor:
        """The share of all samples on the diagonal; NaN of no samples."""
        counts = self._arrays()["counts"]
        return tape.wrap(mx.sum(mx.diagonal(counts)).astype(mx.float32) / mx.sum(counts).astype(mx.float32))

    def per_class_accuracy(self) -> Tensor:
        """(C,): the share of the samples of each class that were taken for it; NaN for a class without samples."""
        counts = self._arrays()["counts"]
        return tape.wrap(mx.diagonal(counts).astype(mx.float32) / mx.sum(counts, 1).astype(mx.float32))

    def __repr__(self) -> str:
        return f"ConfusionMatrix(num_classes={self.num_classes})"
