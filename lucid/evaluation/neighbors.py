"""Nearest neighbors by cosine similarity, and the k-NN classifier of their classes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lucid import _checks
from lucid.evaluation._arrays import as_features, as_labels, same_width, unit_rows

_ELEMENTS_AT_ONCE = 1 << 25  # of a block of similarities: 128 MB, and twice as much to select from it
_WEIGHTS = ("temperature", "uniform")


@dataclass(frozen=True)
class Predictions:
    """Predictions for M samples.

    Attributes:
        scores: (M, classes) float64; each row sums to 1.
        classes: The names of the classes, or none.

    Example:
        >>> predictions = evaluation.Predictions(np.array([[0.2, 0.8], [0.6, 0.4]]))
        >>> predictions.labels.tolist(), predictions.accuracy([1, 1])
        ([1, 0], 0.5)
    """

    scores: np.ndarray
    classes: Sequence[str] = ()

    @property
    def labels(self) -> np.ndarray:
        """(M,) the class with the highest score of each sample, the first of equal ones."""
        found: np.ndarray = self.scores.argmax(axis=1)
        return found

    def accuracy(self, labels: Any) -> float:
        """The fraction of samples whose class in ``labels``, (M,), is predicted."""
        return float((self.labels == as_labels("accuracy", "labels", labels, len(self.scores))).mean())

    def top(self, k: int = 5) -> list[list[tuple[str, float]]]:
        """The ``k`` best classes of each sample with their scores, best first; all of them if there are fewer."""
        order = _largest(self.scores, min(_checks.integer("top", "k", k, 1), self.scores.shape[1]))
        names = self.classes or [str(number) for number in range(self.scores.shape[1])]
        values = np.take_along_axis(self.scores, order, 1)
        rows = zip(order.tolist(), values.tolist(), strict=True)
        return [[(names[i], value) for i, value in zip(*row, strict=True)] for row in rows]


def nearest_neighbors(features: Any, queries: Any = None, k: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """The rows of ``features`` that are most similar to each query, by the cosine of the angle between them.

    Args:
        features: (N, D).
        queries: (M, D); None looks for the neighbors of each row of ``features`` among the others.
        k: Neighbors per query.

    Returns:
        Row numbers (M, k), the most similar first and the first of equal ones, and their similarities (M, k) in
        [-1, 1]. A row of zeros has similarity 0 to all.

    Raises:
        ValueError: There are fewer than ``k`` rows to choose from, shapes do not match, or values are not finite.
    """
    where = "nearest_neighbors"
    rows = as_features(where, "features", features)
    others = None if queries is None else as_features(where, "queries", queries)
    blocks = list(_neighbors(where, rows, others, k))
    indices, similarities = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    return indices, similarities


def _neighbors(
    where: str, features: np.ndarray, queries: np.ndarray | None, k: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Indices and similarities for a block of queries after the other."""
    available = len(features) - (queries is None)
    if _checks.integer(where, "k", k, 1) > available:
        raise ValueError(f"{where}: k must be at most {available}, the number of features to choose from, got {k}")
    if queries is not None:
        same_width(where, features, "features", queries, "queries")
    rows = unit_rows(features)
    asked = rows if queries is None else unit_rows(queries)
    size = max(1, min(1024, _ELEMENTS_AT_ONCE // len(rows)))
    for start in range(0, len(asked), size):
        similarities = asked[start : start + size] @ rows.T
        if queries is None:
            own = np.arange(len(similarities))
            similarities[own, start + own] = -np.inf
        found = _largest(similarities, k)
        yield found, np.clip(np.take_along_axis(similarities, found, 1), -1, 1)


def _largest(values: np.ndarray, k: int) -> np.ndarray:
    """The columns of the k largest values of each row, in their order; of equal values the first columns."""
    if k < values.shape[1]:
        found = np.argpartition(-values, k - 1, axis=1)[:, :k]
    else:
        found = np.broadcast_to(np.arange(k), (len(values), k)).copy()
    chosen = np.take_along_axis(values, found, 1)
    least = chosen.min(axis=1, keepdims=True)
    # A partition takes any of the values that are equal to the k-th.
    tied = (values == least).sum(axis=1) > (chosen == least).sum(axis=1)
    for row in np.flatnonzero(tied).tolist():
        found[row] = np.argsort(-values[row], kind="stable")[:k]
    return np.take_along_axis(found, np.lexsort((found, -np.take_along_axis(values, found, 1)), axis=1), 1)


def knn(
    train_features: Any, train_labels: Any, features: Any, k: int = 20, *, weights: str = "temperature",
    temperature: float = 0.07, num_classes: int | None = None,
) -> Predictions:  # fmt: skip
    """Classify features by a vote of their ``k`` nearest neighbors among the training features, by cosine similarity.

    With ``weights="temperature"`` and the defaults this is the protocol of DINO: a neighbor of similarity s has the
    weight exp(s / temperature). With ``weights="uniform"`` all have the same, and the scores are those of
    scikit-learn's ``KNeighborsClassifier(k, metric="cosine")``. Among equal scores the first class wins.

    Memory is bounded: similarities are computed in blocks. Source: Caron et al. 2021, arXiv:2104.14294, and Wu et al.
    2018, arXiv:1805.01978.

    Args:
        train_features: (N, D).
        train_labels: (N,) class numbers.
        features: (M, D), those to classify.
        k: Neighbors that vote, at most N.
        weights: "temperature" or "uniform".
        temperature: A lower one gives nearer neighbors more weight.
        num_classes: The number of classes; by default one more than the largest label.

    Raises:
        ValueError: An argument is out of range, shapes do not match, or features are not finite.
        TypeError: Labels are no integers.
    """
    _checks.one_of("knn", "weights", weights, _WEIGHTS)
    _checks.number("knn", "temperature", temperature, 0, above=True)
    rows = as_features("knn", "train_features", train_features)
    labels = as_labels("knn", "train_labels", train_labels, len(rows))
    asked = as_features("knn", "features", features)
    same_width("knn", rows, "train_features", asked, "features")
    count = int(labels.max()) + 1 if num_classes is None else _checks.integer("knn", "num_classes", num_classes, 1)
    if labels.max() >= count:
        raise ValueError(f"knn: train label {labels.max()} is out of range for {count} classes")
    scores = []
    for found, similarities in _neighbors("knn", rows, asked, k):
        nearest = similarities[:, :1]  # without it exp could overflow; each row is divided by its sum
        votes = np.exp((similarities - nearest).astype(np.float64) / temperature)
        own = np.zeros((len(found), count))
        np.add.at(own, (np.arange(len(found))[:, None], labels[found]), 1.0 if weights == "uniform" else votes)
        scores.append(own / own.sum(axis=1, keepdims=True))
    return Predictions(np.concatenate(scores))
