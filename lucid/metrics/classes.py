"""Predictions and targets of classification, brought into one form: one row per sample."""

from __future__ import annotations

from typing import Any, NamedTuple

import mlx.core as mx

from lucid import _checks
from lucid.ops._common import FLOATING, array, compact_if_empty


class Samples(NamedTuple):
    """``logits`` (M, C), or None where ``classes`` were given; ``classes`` (M,) are the predicted ones."""

    logits: mx.array | None
    classes: mx.array
    target: mx.array  # (M,) int64
    counted: mx.array  # (M,) bool: False where the target is ``ignore_index``


def samples_of(where: str, preds: Any, target: Any, ignore_index: int | None) -> Samples:
    """One row per sample from logits or probabilities (N, C, ...) or (C,), or from class numbers in the target's shape.

    The target holds class numbers, (N, ...) or (), or soft labels in the shape of floating-point ``preds``, whose
    largest class counts. Of equal values the first is the largest, and NaN is larger than any number, as in PyTorch.

    Raises:
        ValueError: shapes that do not belong together.
        TypeError: class numbers that are no integers.
    """
    preds, target = array(where, preds, "preds"), array(where, target, "target")
    if preds.dtype not in FLOATING:
        classes = _numbers(where, "preds", preds)
        if target.shape != preds.shape:
            raise ValueError(f"{where}: preds are class numbers of shape {preds.shape}, target has {target.shape}")
        return _counted(None, classes, _numbers(where, "target", target), ignore_index)
    logits = _rows(where, "preds", preds)
    if target.dtype in FLOATING:
        if target.shape != preds.shape:
            raise ValueError(
                f"{where}: soft labels must have the shape {preds.shape} of preds, got {target.shape}; "
                "class numbers must be integers"
            )
        labels = _largest(_rows(where, "target", target))
    else:
        wanted = preds.shape[:1] * (preds.ndim > 1) + preds.shape[2:]
        if target.shape != wanted:
            hint = "; preds (C,) are one sample, those of several are (N, C)" if preds.ndim == 1 else ""
            raise ValueError(
                f"{where}: target must have shape {wanted} for preds of {preds.shape}, got {target.shape}{hint}"
            )
        labels = _numbers(where, "target", target)
    return _counted(logits, _largest(logits), labels, ignore_index)


def _largest(rows: mx.array) -> mx.array:
    return mx.argmax(rows, 1).astype(mx.int64) if rows.size else mx.zeros(rows.shape[:1], mx.int64)


def _numbers(where: str, name: str, x: mx.array) -> mx.array:
    if x.dtype in FLOATING or x.dtype == mx.bool_:
        raise TypeError(f"{where}: {name} must hold class numbers, integers, got {_checks.dtype_name(x.dtype)}")
    return x.astype(mx.int64).reshape(-1)


def _rows(where: str, name: str, x: mx.array) -> mx.array:
    """(N, C, ...) or (C,) as (M, C), with infinity for NaN."""
    if x.ndim == 0 or x.shape[min(1, x.ndim - 1)] == 0:
        raise ValueError(f"{where}: {name} must be (N, C, ...) or (C,) with at least one class, got {x.shape}")
    at = min(1, x.ndim - 1)
    rows = mx.moveaxis(x, at, -1).reshape(-1, x.shape[at]) if x.size else mx.zeros((0, x.shape[at]), x.dtype)
    return mx.where(mx.isnan(rows), mx.array(mx.inf, rows.dtype), rows)


def _counted(logits: mx.array | None, classes: mx.array, target: mx.array, ignore_index: int | None) -> Samples:
    counted = mx.ones(target.shape, mx.bool_) if ignore_index is None else target != ignore_index
    return Samples(logits, classes, target, compact_if_empty(counted))


def checked_ignore_index(where: str, value: Any) -> int | None:
    return None if value is None else _checks.integer(where, "ignore_index", value)
