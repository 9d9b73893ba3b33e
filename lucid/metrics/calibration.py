"""Expected calibration error: how far the confidence of a classifier is from its accuracy."""

from __future__ import annotations

import mlx.core as mx

from lucid import _checks, tape
from lucid._tensor import Tensor
from lucid.metrics.metric import Metric, Sums
from lucid.metrics.samples import check_ignore_index, parse_samples
from lucid.ops._common import total
from lucid.ops._types import TensorLike

_ONE = 1 << 30  # confidences are summed in units of 2^-30, which is exact whatever the order


class CalibrationError(Metric):
    """The expected calibration error, in [0, 1]; NaN without samples.

    Samples are sorted by the probability of their predicted class into bins of equal width, open on the left: (0, 1/B],
    (1/B, 2/B], ... The error is the mean over the samples of the distance between the accuracy and the mean confidence
    of their bin. Source: Guo et al. 2017, arXiv:1706.04599.

    A confidence that is NaN, or not in [0, 1] with ``from_logits=False``, makes the result NaN.

    Args:
        num_bins: The number of bins B.
        from_logits: Predictions are logits, otherwise probabilities.
        ignore_index: Samples with this target are not counted.

    Raises:
        ValueError: ``num_bins`` is below 1.

    Example:
        >>> error = metrics.CalibrationError(num_bins=10, from_logits=False)
        >>> error.update(lucid.tensor([[0.75, 0.25], [0.75, 0.25]]), lucid.tensor([0, 1]))
        >>> error.compute().item()
        0.25
    """

    def __init__(self, num_bins: int = 15, *, from_logits: bool = True, ignore_index: int | None = None) -> None:
        self.num_bins = _checks.integer("CalibrationError", "num_bins", num_bins, 1)
        self.from_logits = bool(from_logits)
        self.ignore_index = check_ignore_index("CalibrationError", ignore_index)
        sums = dict.fromkeys(("confidence", "correct", "count"), ((self.num_bins,), mx.int64))
        super().__init__({**sums, "invalid": ((), mx.int64)})

    def update(self, preds: TensorLike, target: TensorLike) -> None:
        """Add a batch.

        Args:
            preds: Logits, or probabilities with ``from_logits=False``: (N, C, ...) or (C,).
            target: Class indices or soft labels, see ``Accuracy.update``.

        Raises:
            ValueError: Shapes do not match, or ``preds`` are class indices.
            TypeError: Class indices are not integers.
        """
        super().update(preds, target)

    def _batch_sums(self, preds: mx.array, target: mx.array) -> Sums:
        samples = parse_samples("CalibrationError", preds, target, self.ignore_index)
        if samples.logits is None:
            raise ValueError("CalibrationError: needs logits or probabilities, but preds are class indices")
        rows = samples.logits.astype(mx.float32)
        if self.from_logits:
            rows = mx.softmax(rows, axis=1) if rows.size else rows
        confidence = mx.max(rows, axis=1) if rows.size else rows[:, 0]
        valid = (confidence >= 0) & (confidence <= 1)  # False for NaN
        counted = samples.counted & valid
        edges = mx.arange(1, self.num_bins).astype(mx.float32) / self.num_bins
        place = total((confidence[:, None] > edges).astype(mx.int32), 1)
        inside = (place[:, None] == mx.arange(self.num_bins)) & counted[:, None]  # (M, B)
        scaled = mx.round(mx.where(counted, confidence, 0.0) * _ONE).astype(mx.int64)
        right = (samples.classes == samples.target)[:, None]
        return {
            "confidence": total(mx.where(inside, scaled[:, None], 0), 0),
            "correct": total((inside & right).astype(mx.int64), 0),
            "count": total(inside.astype(mx.int64), 0),
            "invalid": total((samples.counted & mx.logical_not(valid)).astype(mx.int64)),
        }

    def _compute(self, sums: Sums) -> mx.array:
        surplus = mx.abs(sums["correct"] * _ONE - sums["confidence"])
        error = mx.sum(surplus.astype(mx.float32)) / _ONE / mx.sum(sums["count"]).astype(mx.float32)
        return mx.where(sums["invalid"] > 0, mx.nan, error)

    def bins(self) -> tuple[Tensor, Tensor, Tensor]:
        """For a reliability diagram: mean confidence, accuracy and number of samples of each bin, (B,).

        The first two are NaN for an empty bin.
        """
        sums = self._arrays()
        count = sums["count"].astype(mx.float32)
        confidence = sums["confidence"].astype(mx.float32) / _ONE / count
        return tape.wrap(confidence), tape.wrap(sums["correct"].astype(mx.float32) / count), tape.wrap(sums["count"])

    def __repr__(self) -> str:
        return f"CalibrationError(num_bins={self.num_bins})"
