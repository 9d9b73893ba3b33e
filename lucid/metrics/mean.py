"""Weighted means with compensated sums, which do not lose small terms."""

from __future__ import annotations

import mlx.core as mx

from lucid import _checks
from lucid.metrics.metric import Metric, Sums
from lucid.ops._common import array, total
from lucid.ops._types import TensorLike

_NAMES = ("value", "weight")


class MeanMetric(Metric):
    """The weighted mean of values such as losses: ``update(loss, len(labels))``. NaN without values.

    Each sum is a pair of float32 numbers, of which the second holds the rounding errors of the first, so that small
    terms are not lost in large sums. NaN and infinite values propagate to the mean.

    Example:
        >>> mean = metrics.MeanMetric()
        >>> mean.update(2.0, weight=1)
        >>> mean.update(4.0, weight=3)
        >>> mean.compute().item()
        3.5
    """

    def __init__(self) -> None:
        super().__init__({f"{name}{part}": ((), mx.float32) for name in _NAMES for part in ("_sum", "_rest")})

    def update(self, value: TensorLike, weight: TensorLike = 1.0) -> None:
        """Add a number or all elements of a tensor. ``weight`` broadcasts to it; for a batch mean it is the batch size.

        Raises:
            ValueError: ``weight`` does not broadcast to the shape of ``value``.
        """
        super().update(value, weight)

    def _batch_sums(self, value: TensorLike, weight: TensorLike = 1.0) -> Sums:
        values = array("MeanMetric", value, "value").astype(mx.float32)
        weights = array("MeanMetric", weight, "weight").astype(mx.float32)
        if _checks.broadcast_shapes("MeanMetric", values.shape, weights.shape) != values.shape:
            raise ValueError(
                f"MeanMetric: weight of shape {weights.shape} does not broadcast to value of shape {values.shape}"
            )
        sums = total(values * weights), total(mx.broadcast_to(weights, values.shape))
        return {f"{name}_sum": one for name, one in zip(_NAMES, sums, strict=True)} | {
            f"{name}_rest": mx.array(0.0) for name in _NAMES
        }

    def _add(self, sums: Sums, more: Sums) -> Sums:
        found = {}
        for name in _NAMES:
            a, b = sums[f"{name}_sum"], more[f"{name}_sum"]
            # Knuth's two-sum: a + b is exactly s + lost.
            s = a + b
            part = s - a
            lost = (a - (s - part)) + (b - part)
            found[f"{name}_sum"] = s
            # For an infinite sum, infinity minus infinity would be NaN.
            found[f"{name}_rest"] = sums[f"{name}_rest"] + more[f"{name}_rest"] + mx.where(mx.isfinite(s), lost, 0.0)
        return found

    def _compute(self, sums: Sums) -> mx.array:
        value, weight = (sums[f"{name}_sum"] + sums[f"{name}_rest"] for name in _NAMES)
        return value / weight

    def __repr__(self) -> str:
        return "MeanMetric()"
