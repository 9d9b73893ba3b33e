"""Normalizes predictions and targets of classification to one row per sample."""

from __future__ import annotations

from typing import Any, NamedTuple

import mlx.core as mx

from lucid import _checks
from lucid.ops._common import FLOATING, array, compact_if_empty


class Samples(NamedTuple):
    """``logits`` (M, C), or None if class indices were given; ``classes`` (M,) are the predictions."""

    logits: mx.array | None
    classes: mx.array
    target: mx.array  # (M,) int64
    counted: mx.array  # (M,) bool: False for targets equal to ``ignore_index``


def parse_samples(caller: str, preds: Any, target: Any, ignore_index: int | None) -> Samples:
    """One row per sample from logits or probabilities (N, C, ...) or (C,), or class indices in the target's shape.

    The target holds class indices, (N, ...) or (), or soft labels in the shape of floating-point ``preds``, whose
    largest class counts. Among equal values the first is the largest, and NaN is larger than any number, as in PyTorch.

    Raises:
        ValueError: shapes do not match.
        TypeError: class indices are not integers.
    """
    preds, target = array(caller, preds, "preds"), array(caller, target, "target")
    if preds.dtype not in FLOATING:
        classes = _class_indices(caller, "preds", preds)
        if target.shape != preds.shape:
            raise ValueError(
                f"{caller}: preds are class indices of shape {preds.shape}, but target has shape {target.shape}"
            )
        return _build_samples(None, classes, _class_indices(caller, "target", target), ignore_index)
    logits = _rows(caller, "preds", preds)
    if target.dtype in FLOATING:
        if target.shape != preds.shape:
            raise ValueError(
                f"{caller}: soft labels must have the shape {preds.shape} of preds, got {target.shape}; "
                "class indices must be integers"
            )
        labels = _argmax(_rows(caller, "target", target))
    else:
        expected = preds.shape[:1] * (preds.ndim > 1) + preds.shape[2:]
        if target.shape != expected:
            hint = "; preds of shape (C,) are a single sample, use (N, C) for several" if preds.ndim == 1 else ""
            raise ValueError(
                f"{caller}: target must have shape {expected} for preds of shape {preds.shape}, "
                f"got {target.shape}{hint}"
            )
        labels = _class_indices(caller, "target", target)
    return _build_samples(logits, _argmax(logits), labels, ignore_index)


def _argmax(rows: mx.array) -> mx.array:
    return mx.argmax(rows, 1).astype(mx.int64) if rows.size else mx.zeros(rows.shape[:1], mx.int64)


def _class_indices(caller: str, name: str, x: mx.array) -> mx.array:
    if x.dtype in FLOATING or x.dtype == mx.bool_:
        raise TypeError(
            f"{caller}: {name} must hold class indices of an integer dtype, got {_checks.dtype_name(x.dtype)}"
        )
    return x.astype(mx.int64).reshape(-1)


def _rows(caller: str, name: str, x: mx.array) -> mx.array:
    """(N, C, ...) or (C,) as (M, C), with infinity for NaN."""
    if x.ndim == 0 or x.shape[min(1, x.ndim - 1)] == 0:
        raise ValueError(f"{caller}: {name} must be (N, C, ...) or (C,) with at least one class, got {x.shape}")
    at = min(1, x.ndim - 1)
    rows = mx.moveaxis(x, at, -1).reshape(-1, x.shape[at]) if x.size else mx.zeros((0, x.shape[at]), x.dtype)
    return mx.where(mx.isnan(rows), mx.array(mx.inf, rows.dtype), rows)


def _build_samples(logits: mx.array | None, classes: mx.array, target: mx.array, ignore_index: int | None) -> Samples:
    counted = mx.ones(target.shape, mx.bool_) if ignore_index is None else target != ignore_index
    return Samples(logits, classes, target, compact_if_empty(counted))


def check_ignore_index(caller: str, value: Any) -> int | None:
    return None if value is None else _checks.integer(caller, "ignore_index", value)
