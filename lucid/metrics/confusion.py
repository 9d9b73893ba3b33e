"""The confusion matrix: how often each class was predicted for each true class."""

from __future__ import annotations

import mlx.core as mx

from lucid import _checks, tape
from lucid._tensor import Tensor
from lucid.metrics.metric import Metric, Sums
from lucid.metrics.samples import check_ignore_index, parse_samples
from lucid.ops._types import TensorLike


class ConfusionMatrix(Metric):
    """Counts (C, C) int64: entry (i, j) is the number of samples of class i that were predicted as class j.

    Samples with classes outside [0, C) are not counted.

    Args:
        num_classes: The number of classes C.
        normalize: Return float32 fractions: "true" of the samples of each class (rows sum to 1), "pred" of the
            predictions of each class (columns sum to 1), or "all" of all samples. Empty sums give NaN.
        ignore_index: Samples with this target are not counted.

    Raises:
        ValueError: ``num_classes`` is below 1, or ``normalize`` is invalid.

    Example:
        >>> confusion = metrics.ConfusionMatrix(num_classes=2)
        >>> confusion.update(lucid.tensor([0, 1, 1]), lucid.tensor([0, 1, 0]))
        >>> confusion.compute().tolist()
        [[1, 1], [0, 1]]
    """

    def __init__(self, num_classes: int, *, normalize: str | None = None, ignore_index: int | None = None) -> None:
        self.num_classes = _checks.integer("ConfusionMatrix", "num_classes", num_classes, 1)
        if normalize is not None:
            _checks.one_of("ConfusionMatrix", "normalize", normalize, ("true", "pred", "all"))
        self.normalize = normalize
        self.ignore_index = check_ignore_index("ConfusionMatrix", ignore_index)
        super().__init__({"counts": ((self.num_classes, self.num_classes), mx.int64)})

    def update(self, preds: TensorLike, target: TensorLike) -> None:
        """Add a batch of logits, probabilities or class indices; see ``Accuracy.update``."""
        super().update(preds, target)

    def _batch_sums(self, preds: mx.array, target: mx.array) -> Sums:
        count = self.num_classes
        samples = parse_samples("ConfusionMatrix", preds, target, self.ignore_index)
        if samples.logits is not None and samples.logits.shape[1] != count:
            raise ValueError(
                f"ConfusionMatrix: preds have {samples.logits.shape[1]} classes, expected num_classes {count}"
            )
        inside = samples.counted
        for classes in (samples.target, samples.classes):
            inside = inside & (classes >= 0) & (classes < count)
        # An extra entry collects the samples that are not counted, so that every index is valid. int32: a batch cannot
        # overflow it, and GPUs have 32-bit atomic adds.
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

    def counts(self) -> Tensor:
        """The counts (C, C) int64, whatever ``compute`` makes of them."""
        return tape.wrap(self._arrays()["counts"])

    def accuracy(self) -> Tensor:
        """The fraction of correct samples; NaN without samples."""
        counts = self._arrays()["counts"]
        return tape.wrap(mx.sum(mx.diagonal(counts)).astype(mx.float32) / mx.sum(counts).astype(mx.float32))

    def per_class_accuracy(self) -> Tensor:
        """The fraction of correct samples of each class, (C,); NaN for a class without samples."""
        counts = self._arrays()["counts"]
        return tape.wrap(mx.diagonal(counts).astype(mx.float32) / mx.sum(counts, 1).astype(mx.float32))

    def __repr__(self) -> str:
        return f"ConfusionMatrix(num_classes={self.num_classes})"
