"""The F1 score: the harmonic mean of precision and recall, of classes or of labels."""

from __future__ import annotations

import mlx.core as mx

from lucid import _checks
from lucid.metrics.metric import Metric, Sums
from lucid.metrics.samples import check_ignore_index, parse_samples
from lucid.ops._common import FLOATING, array, total
from lucid.ops._types import TensorLike

_AVERAGES = ("macro", "micro", "weighted", "none")


class F1Score(Metric):
    """F1, 2 TP / (2 TP + FP + FN), of each class, or an average in [0, 1]. NaN without samples.

    The values are those of scikit-learn's ``f1_score`` with ``zero_division=0``. Samples with classes outside
    [0, num_classes) are not counted.

    Args:
        num_classes: The number of classes C, or of labels.
        average: "macro" is the mean over the classes; without ``multilabel``, those that neither a target nor a
            prediction has are left out. "micro" counts the mistakes of all classes together. "weighted" weighs each
            class by its number of samples. "none" returns the value of each class, (C,).
        multilabel: Each sample has any number of labels.
        threshold: With ``multilabel``, predictions above it are positive: 0 for logits, 0.5 for probabilities.
        ignore_index: Without ``multilabel``, samples with this target are not counted.

    Raises:
        ValueError: An argument is out of range, or ``ignore_index`` is given with ``multilabel``.

    Example:
        >>> f1 = metrics.F1Score(num_classes=2)
        >>> f1.update(lucid.tensor([0, 1, 1, 1]), lucid.tensor([0, 0, 1, 1]))
        >>> round(f1.compute().item(), 4)
        0.7333
        >>> f1 = metrics.F1Score(3, multilabel=True, average="none")
        >>> f1.update(lucid.tensor([[2.0, -1.0, 1.0], [-1.0, -2.0, 3.0]]), lucid.tensor([[1, 0, 0], [0, 1, 1]]))
        >>> [round(value, 4) for value in f1.compute().tolist()]
        [1.0, 0.0, 0.6667]
    """

    def __init__(
        self, num_classes: int, *, average: str = "macro", multilabel: bool = False, threshold: float = 0.0,
        ignore_index: int | None = None,
    ) -> None:  # fmt: skip
        self.num_classes = _checks.integer("F1Score", "num_classes", num_classes, 1)
        self.average = _checks.one_of("F1Score", "average", average, _AVERAGES)
        self.multilabel = bool(multilabel)
        self.threshold = _checks.number("F1Score", "threshold", threshold)
        self.ignore_index = check_ignore_index("F1Score", ignore_index)
        if multilabel and ignore_index is not None:
            raise ValueError("F1Score: ignore_index is for classes, not for multilabel")
        counts = dict.fromkeys(("true_positive", "predicted", "actual"), ((self.num_classes,), mx.int64))
        super().__init__({**counts, "total": ((), mx.int64)})

    def update(self, preds: TensorLike, target: TensorLike) -> None:
        """Add a batch.

        Args:
            preds: Logits, probabilities or class indices, see ``Accuracy.update``. With ``multilabel``, logits or
                probabilities (N, C), or labels (N, C) of integers or bools.
            target: Class indices or soft labels, see ``Accuracy.update``. With ``multilabel``, labels (N, C): 1 or
                True where a sample has the label; of fractions, those above 0.5.

        Raises:
            ValueError: Shapes do not match.
            TypeError: Class indices are not integers.
        """
        super().update(preds, target)

    def _batch_sums(self, preds: mx.array, target: mx.array) -> Sums:
        predicted, actual, counted = (self._labels if self.multilabel else self._classes)(preds, target)
        both = {"true_positive": predicted & actual, "predicted": predicted, "actual": actual}
        return {name: total(one.astype(mx.int64), 0) for name, one in both.items()} | {"total": counted}

    def _labels(self, preds: mx.array, target: mx.array) -> tuple[mx.array, mx.array, mx.array]:
        preds, target = array("F1Score", preds, "preds"), array("F1Score", target, "target")
        expected = (*preds.shape[:1], self.num_classes)
        if preds.shape != expected or target.shape != expected:
            raise ValueError(
                f"F1Score: preds and target must be (N, {self.num_classes}), got {preds.shape} and {target.shape}"
            )
        actual = target > 0.5 if target.dtype in FLOATING else target > 0
        return preds > (self.threshold if preds.dtype in FLOATING else 0), actual, mx.array(len(preds), mx.int64)

    def _classes(self, preds: mx.array, target: mx.array) -> tuple[mx.array, mx.array, mx.array]:
        """Which class is predicted and which one is right, as two matrices (M, C)."""
        samples, count = parse_samples("F1Score", preds, target, self.ignore_index), self.num_classes
        if samples.logits is not None and samples.logits.shape[1] != count:
            raise ValueError(f"F1Score: preds have {samples.logits.shape[1]} classes, expected num_classes {count}")
        inside = samples.counted
        for classes in (samples.target, samples.classes):
            inside = inside & (classes >= 0) & (classes < count)
        numbers = mx.arange(count, dtype=mx.int64)
        predicted, actual = ((one[:, None] == numbers) & inside[:, None] for one in (samples.classes, samples.target))
        return predicted, actual, total(inside.astype(mx.int64))

    def _compute(self, sums: Sums) -> mx.array:
        hits, predicted, actual = (sums[name] for name in ("true_positive", "predicted", "actual"))
        if self.average == "micro":
            hits, predicted, actual = (mx.sum(one) for one in (hits, predicted, actual))
        place = predicted + actual  # 2 TP + FP + FN
        f1 = mx.where(place > 0, 2 * hits.astype(mx.float32) / mx.maximum(place, 1).astype(mx.float32), 0.0)
        if self.average == "macro":
            used = mx.ones(place.shape, mx.float32) if self.multilabel else (place > 0).astype(mx.float32)
            f1 = mx.sum(f1 * used) / mx.sum(used)
        elif self.average == "weighted":
            weight = actual.astype(mx.float32)
            f1 = mx.sum(f1 * weight) / mx.maximum(mx.sum(weight), 1)
        return mx.where(sums["total"] > 0, f1, mx.nan)

    def __repr__(self) -> str:
        kind = ", multilabel=True" if self.multilabel else ""
        return f"F1Score(num_classes={self.num_classes}, average={self.average!r}{kind})"
