"""Weighted means whose sums do not lose small terms, however many there are."""

from __future__ import annotations

import mlx.core as mx

from lucid import _checks
from lucid.metrics.metric import Metric, Sums
from lucid.ops._common import array, total
from lucid.ops._types import TensorLike

_NAMES = ("value", "weight")


class MeanMetric(Metric):
    """The weighted mean of numbers, of losses for instance: ``update(loss, len(labels))``. NaN of nothing.

    Sums are kept as two float32 numbers each, the second with what rounding took from the first, so adding a 1 to
    billions is not lost. A value that is NaN or infinite makes the mean so.
    """

    def __init__(self) -> None:
        super().__init__({f"{name}{part}": ((), mx.float32) for name in _NAMES for part in ("_sum", "_rest")})

    def update(self, value: TensorLike, weight: TensorLike = 1.0) -> None:
        """Add a number, or all numbers of a tensor; ``weight`` broadcasts to it. A batch's mean weighs its size.

        Raises:
            ValueError: ``weight`` does not broadcast to the shape of ``value``.
        """
        super().update(value, weight)

    def _batch_sums(self, value: TensorLike, weight: TensorLike = 1.0) -> Sums:
        values = array("MeanMetric", value, "value").astype(mx.float32)
        weights = array("MeanMetric", weight, "weight").astype(mx.float32)
        if _checks.broadcast_shapes("MeanMetric", values.shape, weights.shape) != values.shape:
            raise ValueError(f"MeanMetric: a weight of {weights.shape} does not broadcast to a value of {values.shape}")
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
            # Infinity minus infinity would be NaN where the sum is infinite.
            found[f"{name}_rest"] = sums[f"{name}_rest"] + more[f"{name}_rest"] + mx.where(mx.isfinite(s), lost, 0.0)
        return found

    def _compute(self, sums: Sums) -> mx.array:
        value, weight = (sums[f"{name}_sum"] + sums[f"{name}_rest"] for name in _NAMES)
        return value / weight

    def __repr__(self) -> str:
        return "MeanMetric()"
