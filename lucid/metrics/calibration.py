"""Expected calibration error: how far the confidence of a classifier is from its accuracy."""

from __future__ import annotations

import mlx.core as mx

from lucid import _checks, tape
from lucid._tensor import Tensor
from lucid.metrics.metric import Metric, Sums
from lucid.metrics.samples import check_ignore_index, parse_samples
from lucid.ops._common import FLOATING, array, total
from lucid.ops._types import TensorLike

_ONE = 1 << 30  # confidences are summed in units of 2^-30, which is exact whatever the order


class CalibrationError(Metric):
    """The expected calibration error, in [0, 1]; NaN without samples.

    Samples are sorted by the probability of their predicted class into bins of equal width, open on the left: (0, 1/B],
    (1/B, 2/B], ... The error is the mean over the samples of the distance between the accuracy and the mean confidence
    of their bin. Source: Guo et al. 2017, arXiv:1706.04599.

    With ``multilabel`` each label of each sample counts: it is sorted by the probability of the label, whose mean is
    compared with how many have the label.

    A confidence that is NaN, or not in [0, 1] with ``from_logits=False``, makes the result NaN.

    Args:
        num_bins: The number of bins B.
        from_logits: Predictions are logits, otherwise probabilities.
        multilabel: Each sample has any number of labels, (N, C), and the probability of each is the sigmoid of a logit.
        ignore_index: Without ``multilabel``, samples with this target are not counted.

    Raises:
        ValueError: ``num_bins`` is below 1, or ``ignore_index`` is given with ``multilabel``.

    Example:
        >>> error = metrics.CalibrationError(num_bins=10, from_logits=False)
        >>> error.update(lucid.tensor([[0.75, 0.25], [0.75, 0.25]]), lucid.tensor([0, 1]))
        >>> error.compute().item()
        0.25
    """

    def __init__(
        self, num_bins: int = 15, *, from_logits: bool = True, multilabel: bool = False, ignore_index: int | None = None
    ) -> None:  # fmt: skip
        self.num_bins = _checks.integer("CalibrationError", "num_bins", num_bins, 1)
        self.from_logits = bool(from_logits)
        self.multilabel = bool(multilabel)
        self.ignore_index = check_ignore_index("CalibrationError", ignore_index)
        if multilabel and ignore_index is not None:
            raise ValueError("CalibrationError: ignore_index is for classes, not for multilabel")
        sums = dict.fromkeys(("confidence", "correct", "count"), ((self.num_bins,), mx.int64))
        super().__init__({**sums, "invalid": ((), mx.int64)})

    def update(self, preds: TensorLike, target: TensorLike) -> None:
        """Add a batch.

        Args:
            preds: Logits, or probabilities with ``from_logits=False``: (N, C, ...) or (C,).
                With ``multilabel``, (N, C).
            target: Class indices or soft labels, see ``Accuracy.update``. With ``multilabel``, labels (N, C): 1 or True
                where a sample has the label; of fractions, those above 0.5.

        Raises:
            ValueError: Shapes do not match, or ``preds`` are class indices.
            TypeError: Class indices are not integers.
        """
        super().update(preds, target)

    def _batch_sums(self, preds: mx.array, target: mx.array) -> Sums:
        parts = self._labels(preds, target) if self.multilabel else self._classes(preds, target)
        confidence, is_right, is_counted = parts  # (M,)
        valid = (confidence >= 0) & (confidence <= 1)  # False for NaN
        counted = is_counted & valid
        edges = mx.arange(1, self.num_bins).astype(mx.float32) / self.num_bins
        place = total((confidence[:, None] > edges).astype(mx.int32), 1)
        inside = (place[:, None] == mx.arange(self.num_bins)) & counted[:, None]  # (M, B)
        scaled = mx.round(mx.where(counted, confidence, 0.0) * _ONE).astype(mx.int64)
        right = is_right[:, None]
        return {
            "confidence": total(mx.where(inside, scaled[:, None], 0), 0),
            "correct": total((inside & right).astype(mx.int64), 0),
            "count": total(inside.astype(mx.int64), 0),
            "invalid": total((is_counted & mx.logical_not(valid)).astype(mx.int64)),
        }

    def _classes(self, preds: mx.array, target: mx.array) -> tuple[mx.array, mx.array, mx.array]:
        """The probability of the predicted class of each sample, whether it is right, and whether it counts."""
        samples = parse_samples("CalibrationError", preds, target, self.ignore_index)
        if samples.logits is None:
            raise ValueError("CalibrationError: needs logits or probabilities, but preds are class indices")
        rows = samples.logits.astype(mx.float32)
        if self.from_logits:
            rows = mx.softmax(rows, axis=1) if rows.size else rows
        confidence = mx.max(rows, axis=1) if rows.size else rows[:, 0]
        return confidence, samples.classes == samples.target, samples.counted

    def _labels(self, preds: mx.array, target: mx.array) -> tuple[mx.array, mx.array, mx.array]:
        """The probability of each label of each sample, and whether it has the label."""
        preds, target = array("CalibrationError", preds, "preds"), array("CalibrationError", target, "target")
        if preds.dtype not in FLOATING:
            raise TypeError(
                f"CalibrationError: preds must be logits or probabilities, got {_checks.dtype_name(preds.dtype)}"
            )
        if preds.ndim != 2 or target.shape != preds.shape:
            raise ValueError(f"CalibrationError: preds and target must be (N, C), got {preds.shape} and {target.shape}")
        rows = preds.astype(mx.float32).reshape(-1)
        actual = (target > 0.5 if target.dtype in FLOATING else target > 0).reshape(-1)
        return mx.sigmoid(rows) if self.from_logits else rows, actual, mx.ones(rows.shape, mx.bool_)

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
