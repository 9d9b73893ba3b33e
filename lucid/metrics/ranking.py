"""Average precision and the area under the ROC curve: exact, from the scores of all samples at once.

Both need the order of all scores, so there is no streaming version that is exact. They run in NumPy, in float64.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from lucid import _checks
from lucid._tensor import Tensor

_AVERAGES = ("macro", "micro", "weighted")


def average_precision(preds: Any, target: Any, average: str | None = "macro") -> Any:
    """Average precision: the sum over thresholds of precision times the increase of recall, as in scikit-learn.

    With several labels and ``average="macro"`` it is the mean average precision, mAP. Labels that no sample has are
    left out of the mean; scikit-learn counts them as 0.

    Args:
        preds: Scores (N,), or (N, C): any numbers that are higher for samples that more likely have the label.
        target: 0 or 1, in the shape of ``preds``; or class numbers (N,) for ``preds`` (N, C), each class against all
            others.
        average: Over the labels: "macro", the mean; "weighted", by the number of samples that have them; "micro", all
            labels together as one; None gives the value of each label, (C,), NaN if it is undefined.

    Returns:
        A float, NaN if it is undefined; or an array (C,) float64.

    Raises:
        ValueError: Shapes do not match, scores are NaN, or targets are other numbers.
        TypeError: An argument is not numeric.

    Example:
        >>> metrics.average_precision([0.9, 0.8, 0.3], [1, 0, 1])
        0.8333333333333333
    """
    return _averaged("average_precision", _average_precision, preds, target, average)


def auroc(preds: Any, target: Any, average: str | None = "macro") -> Any:
    """The area under the ROC curve: how often a sample with the label has a higher score than one without.

    Pairs of equal scores count half. Labels that all samples have, or none, are left out of the mean.

    Args:
        preds: Scores, see ``average_precision``.
        target: Labels or classes, see ``average_precision``.
        average: See ``average_precision``.

    Returns:
        A float, NaN if it is undefined; or an array (C,) float64.

    Raises:
        ValueError: Shapes do not match, scores are NaN, or targets are other numbers.
        TypeError: An argument is not numeric.

    Example:
        >>> metrics.auroc([0.9, 0.8, 0.3], [1, 0, 1])
        0.5
    """
    return _averaged("auroc", _area, preds, target, average)


def _averaged(
    caller: str, measure: Callable[[np.ndarray, np.ndarray], float], preds: Any, target: Any, average: str | None
) -> Any:
    if average is not None:
        _checks.one_of(caller, "average", average, _AVERAGES)
    scores, labels = _parsed(caller, preds, target)
    if scores.ndim == 1:
        return measure(scores, labels)
    if average == "micro":
        return measure(scores.ravel(), labels.ravel())
    values = np.array([measure(scores[:, k], labels[:, k]) for k in range(scores.shape[1])])
    if average is None:
        return values
    weights = labels.sum(axis=0) if average == "weighted" else np.ones(len(values))
    weights = np.where(np.isnan(values), 0, weights)
    return float(np.nansum(values * weights) / weights.sum()) if weights.any() else float("nan")


def _parsed(caller: str, preds: Any, target: Any) -> tuple[np.ndarray, np.ndarray]:
    """Scores as float64 and labels as bool, both (N,) or (N, C)."""
    scores, labels = (_numbers(caller, *one) for one in (("preds", preds), ("target", target)))
    if scores.ndim not in (1, 2) or 0 in scores.shape[1:]:
        raise ValueError(f"{caller}: preds must be (N,) or (N, C), got {scores.shape}")
    scores = scores.astype(np.float64)
    if np.isnan(scores).any():
        raise ValueError(f"{caller}: preds must not be NaN")
    if scores.ndim == 2 and labels.shape == scores.shape[:1]:
        count = scores.shape[1]
        if labels.dtype.kind not in "iu":
            raise TypeError(f"{caller}: target must hold class indices of an integer dtype, got {labels.dtype}")
        if labels.size and (labels.min() < 0 or labels.max() >= count):
            raise ValueError(
                f"{caller}: target must be in [0, {count - 1}] for {count} classes, got {_outside(labels, count)}"
            )
        return scores, labels[:, None] == np.arange(count)
    if labels.shape != scores.shape:
        raise ValueError(f"{caller}: target must have the shape {scores.shape} of preds, got {labels.shape}")
    if not np.isin(labels, (0, 1)).all():
        raise ValueError(f"{caller}: target must be 0 or 1, got {labels[~np.isin(labels, (0, 1))][0]}")
    return scores, labels.astype(bool)


def _outside(labels: np.ndarray, count: int) -> int:
    return int(labels[(labels < 0) | (labels >= count)][0])


def _numbers(caller: str, name: str, values: Any) -> np.ndarray:
    if isinstance(values, Tensor):
        values = values.detach()
        values = (values.float() if values.is_floating_point() else values).numpy()
    array = np.asarray(values)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{caller}: {name} must be real numbers, got {array.dtype}")
    return array


def _counts(scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each distinct score from the highest: how many samples with and without the label have it or a higher one."""
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    ends = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(scores) - 1)  # infinite ones may be equal too
    hits = np.cumsum(labels[order], dtype=np.float64)[ends]
    return hits, ends + 1.0 - hits


def _average_precision(scores: np.ndarray, labels: np.ndarray) -> float:
    if not labels.any():
        return float("nan")
    hits, others = _counts(scores, labels)
    return float(np.sum(np.diff(hits, prepend=0) * hits / (hits + others)) / hits[-1])


def _area(scores: np.ndarray, labels: np.ndarray) -> float:
    if not labels.any() or labels.all():
        return float("nan")
    hits, others = (np.append(0, one) for one in _counts(scores, labels))
    return float(np.sum(np.diff(others) * (hits[1:] + hits[:-1])) / (2 * hits[-1] * others[-1]))
