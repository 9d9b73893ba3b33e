"""A linear classifier on features: multinomial logistic regression, scikit-learn's."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

import lucid
from lucid import _checks, nn
from lucid.evaluation._arrays import as_features, as_labels, require, softmax_rows
from lucid.evaluation.neighbors import Predictions


@dataclass(frozen=True)
class LinearProbe:
    """A trained linear classifier: logits are ``features @ weight.T + bias``.

    Attributes:
        weight: (classes, D) float64, for features as they are, standardized or not.
        bias: (classes,) float64.
        converged: Whether the optimizer reached its tolerance.

    Example:
        >>> probe = evaluation.linear_probe([[0.0], [1.0], [3.0], [4.0]], [0, 0, 1, 1])
        >>> probe.predict([[0.5], [3.5]]).labels.tolist()
        [0, 1]
        >>> probe.linear().weight.shape
        (2, 1)
    """

    weight: np.ndarray
    bias: np.ndarray
    converged: bool = True

    def predict(self, features: Any) -> Predictions:
        """The probabilities of all classes for features (M, D).

        Raises:
            ValueError: The features have another width, or are not finite.
        """
        rows = as_features("LinearProbe.predict", "features", features)
        if rows.shape[1] != self.weight.shape[1]:
            raise ValueError(
                f"LinearProbe.predict: features must have {self.weight.shape[1]} columns, got {rows.shape[1]}"
            )
        logits = rows.astype(np.float64) @ self.weight.T + self.bias
        return Predictions(softmax_rows(logits))

    def linear(self) -> nn.Linear:
        """A layer with these weights: as ``model.head`` it makes a classifier of a model with such features."""
        layer = nn.Linear(self.weight.shape[1], len(self.bias))
        layer.load_state_dict(
            {"weight": lucid.tensor(self.weight.astype(np.float32)), "bias": lucid.tensor(self.bias.astype(np.float32))}
        )
        return layer


def linear_probe(
    train_features: Any, train_labels: Any, *, C: float = 1.0, standardize: bool = True, max_iter: int = 1000,
    tol: float = 1e-4,
) -> LinearProbe:  # fmt: skip
    """Train a linear classifier on frozen features.

    It is scikit-learn's ``LogisticRegression(C=C)``, multinomial and trained by L-BFGS to convergence, so that no
    learning rate or seed has a say. It needs ``pip install "lucid-mlx[train]"``.

    Args:
        train_features: (N, D).
        train_labels: (N,) class numbers; each class from 0 to the largest has a sample.
        C: The inverse of the weight decay: lower values give smaller weights.
        standardize: Train on features of mean 0 and variance 1, which takes fewer iterations and makes ``C`` mean the
            same for all models. The weights returned are for features as they are.
        max_iter: The most iterations; ``LinearProbe.converged`` says whether they were enough.
        tol: The largest gradient at which training stops.

    Raises:
        ValueError: A class has no sample, there is only one class, or an argument is out of range.
        TypeError: Labels are no integers.
        ImportError: scikit-learn is not installed.
    """
    where = "linear_probe"
    rows = as_features(where, "train_features", train_features)
    labels = as_labels(where, "train_labels", train_labels, len(rows))
    _checks.number(where, "C", C, 0, above=True)
    _checks.number(where, "tol", tol, 0, above=True)
    _checks.integer(where, "max_iter", max_iter, 1)
    counts = np.bincount(labels)
    if len(counts) < 2:
        raise ValueError(f"{where}: expected samples of two classes or more, got one")
    if not counts.all():
        raise ValueError(f"{where}: there is no training sample of class {int(np.argmin(counts))}")
    linear_model = require(where, "sklearn.linear_model")
    mean, scale = np.zeros(rows.shape[1]), np.ones(rows.shape[1])
    if standardize:
        mean, scale = rows.mean(axis=0, dtype=np.float64), rows.std(axis=0, dtype=np.float64)
        # The deviation of a constant column is 0 up to rounding.
        scale[scale <= 1e-6 * np.abs(mean)] = 1
        scale[scale == 0] = 1
    regression = linear_model.LogisticRegression(C=C, max_iter=max_iter, tol=tol)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", require(where, "sklearn.exceptions").ConvergenceWarning)
        regression.fit((rows - mean) / scale, labels)
    weight, bias = regression.coef_, regression.intercept_
    if len(counts) == 2:  # scikit-learn has one row, for the second class
        weight, bias = np.vstack([0 * weight, weight]), np.concatenate([0 * bias, bias])
    weight = weight / scale
    return LinearProbe(weight, bias - weight @ mean, bool(np.max(regression.n_iter_) < max_iter))
