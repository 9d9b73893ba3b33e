"""Features in two dimensions, to look at: principal components, and t-SNE."""

from typing import Any, NamedTuple

import numpy as np

from lucid import _checks
from lucid.evaluation._arrays import as_features, require

MAX_SEED = 2**32 - 1  # of scikit-learn
_REDUCED = 50  # dimensions that t-SNE gets


class Projection(NamedTuple):
    """``points`` (N, components), and for each component the ``share`` of the variance that it has."""

    points: np.ndarray
    share: np.ndarray


def pca(features: Any, components: int = 2) -> Projection:
    """The principal components of features, by a singular value decomposition in float64.

    The sign of a component is the one that makes the largest of its weights positive, as in scikit-learn.

    Args:
        features: (N, D).
        components: How many, at most min(N, D).

    Returns:
        ``points`` (N, components) and the ``share`` of the variance of each component, 0 if all features are equal.

    Raises:
        ValueError: There are fewer components, or features are not finite.
    """
    rows = as_features("pca", "features", features).astype(np.float64)
    if _checks.integer("pca", "components", components, 1) > min(rows.shape):
        raise ValueError(f"pca: components must be at most {min(rows.shape)} for {rows.shape}, got {components}")
    rows = rows - rows[0]  # so that equal rows are exactly 0, which rounding the mean would prevent
    rows -= rows.mean(axis=0)
    _, sizes, axes = np.linalg.svd(rows, full_matrices=False)
    largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=1)[:, None], 1)
    axes = axes * np.where(largest < 0, -1, 1)
    variance = sizes**2
    total = variance.sum()
    return Projection(
        rows @ axes[:components].T,
        variance[:components] / total if total > 0 else np.zeros(components),
    )


def tsne(features: Any, *, perplexity: float = 30.0, seed: int = 0) -> np.ndarray:
    """Points (N, 2) that keep neighbors together: scikit-learn's t-SNE, of the first 50 principal components.

    Distances between groups mean little. It takes minutes for tens of thousands of samples. Source: van der Maaten and
    Hinton 2008, Visualizing Data using t-SNE.

    Args:
        features: (N, D), N at least 4.
        perplexity: About how many neighbors a sample has; lowered to (N - 1) / 3 for fewer samples.
        seed: Of the optimization.

    Returns:
        (N, 2) float32, zeros if all features are equal.

    Raises:
        ValueError: There are fewer than four samples, or an argument is out of range.
        ImportError: scikit-learn is not installed.
    """
    rows = as_features("tsne", "features", features)
    if _checks.integer("tsne", "seed", seed, 0) > MAX_SEED:
        raise ValueError(f"tsne: seed must be at most {MAX_SEED}, got {seed}")
    _checks.number("tsne", "perplexity", perplexity, 0, above=True)
    if len(rows) < 4:
        raise ValueError(f"tsne: expected 4 samples or more, got {len(rows)}")
    reduced = pca(rows, min(_REDUCED, *rows.shape)).points
    manifold = require("tsne", "sklearn.manifold")
    spread = np.abs(reduced).max()
    if spread == 0:  # scikit-learn would divide by it, and crash
        return np.zeros((len(rows), 2), np.float32)
    options = {"perplexity": min(perplexity, (len(rows) - 1) / 3), "random_state": seed}
    start = "pca" if min(reduced.shape) > 1 else "random"
    found: np.ndarray = manifold.TSNE(2, init=start, **options).fit_transform(reduced / spread)
    return found
