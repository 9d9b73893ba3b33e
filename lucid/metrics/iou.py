"""Mean intersection over union, the metric of semantic segmentation."""

from __future__ import annotations

import mlx.core as mx

from lucid import tape
from lucid._tensor import Tensor
from lucid.metrics.confusion import ConfusionMatrix
from lucid.metrics.metric import Sums


class MeanIoU(ConfusionMatrix):
    """The mean over the classes of intersection over union, TP / (TP + FP + FN), in [0, 1]; NaN without samples.

    Pixels of all images are counted together. Classes that neither a target nor a prediction has are left out of the
    mean. It is updated like a ``ConfusionMatrix``: with logits (N, C, H, W) or classes (N, H, W).

    Args:
        num_classes: The number of classes C.
        ignore_index: Pixels with this target are not counted, 255 in many datasets.

    Raises:
        ValueError: ``num_classes`` is below 1.

    Example:
        >>> iou = metrics.MeanIoU(num_classes=2, ignore_index=255)
        >>> iou.update(lucid.tensor([[[0, 0, 1]]]), lucid.tensor([[[0, 1, 255]]]))
        >>> iou.compute().item(), iou.per_class().tolist()
        (0.25, [0.5, 0.0])
    """

    def __init__(self, num_classes: int, *, ignore_index: int | None = None) -> None:
        super().__init__(num_classes, ignore_index=ignore_index)

    def _compute(self, sums: Sums) -> mx.array:
        values = _per_class(sums["counts"])
        present = mx.logical_not(mx.isnan(values))
        return mx.sum(mx.where(present, values, 0.0)) / mx.sum(present.astype(mx.float32))

    def per_class(self) -> Tensor:
        """The value of each class, (C,); NaN for a class that neither a target nor a prediction has."""
        return tape.wrap(_per_class(self._arrays()["counts"]))

    def __repr__(self) -> str:
        return f"MeanIoU(num_classes={self.num_classes})"


def _per_class(counts: mx.array) -> mx.array:
    both = mx.diagonal(counts)
    either = mx.sum(counts, 0) + mx.sum(counts, 1) - both
    return both.astype(mx.float32) / either.astype(mx.float32)
