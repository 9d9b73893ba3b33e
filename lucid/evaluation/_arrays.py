"""Checks of features and labels, and optional packages."""

from importlib import import_module
from typing import Any

import numpy as np

from lucid._tensor import Tensor


def require(caller: str, module: str) -> Any:
    """A module of an optional package.

    Raises:
        ImportError: The package is not installed; the message says how to install it.
    """
    try:
        return import_module(module)
    except ImportError as error:
        name = {"sklearn": "scikit-learn", "PIL": "Pillow"}.get(module.partition(".")[0], module.partition(".")[0])
        message = f'{caller} needs {name}, which is not installed: pip install "lucid-mlx[train]"'
        raise ImportError(message) from error


def as_features(caller: str, name: str, values: Any) -> np.ndarray:
    """``values`` as finite numbers (N, D): float64 if they are, otherwise float32.

    Raises:
        ValueError: They are no matrix with a row and a column, or not finite.
        TypeError: They are no real numbers.
    """
    try:
        array = np.asarray(values.detach().float().numpy() if isinstance(values, Tensor) else values)
    except ValueError:
        raise ValueError(f"{caller}: {name} must be a matrix (N, D), got rows of different lengths") from None
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{caller}: {name} must be real numbers, got {array.dtype}")
    if array.ndim != 2 or 0 in array.shape:
        raise ValueError(f"{caller}: {name} must be a matrix (N, D) with N, D at least 1, got shape {array.shape}")
    array = array.astype(np.float64 if array.dtype.itemsize > 4 else np.float32, copy=False)
    finite = np.isfinite(array).all(axis=1)
    if not finite.all():
        raise ValueError(f"{caller}: {name} must be finite, row {int(np.argmin(finite))} is not")
    return array


def as_labels(caller: str, name: str, values: Any, count: int) -> np.ndarray:
    """``values`` as ``count`` class numbers from 0.

    Raises:
        ValueError: There are more or fewer, or a negative one.
        TypeError: They are no integers.
    """
    array = np.asarray(values.detach().numpy() if isinstance(values, Tensor) else values)
    if array.shape != (count,):
        raise ValueError(f"{caller}: {name} must have the shape ({count},), one class per row, got {array.shape}")
    if array.dtype.kind not in "iu":
        is_text = array.dtype.kind in "US" or (array.dtype.kind == "O" and all(isinstance(one, str) for one in array))
        hint = f"strings; classes, {name} = numpy.unique({name}, return_inverse=True) numbers them"
        raise TypeError(f"{caller}: {name} must be integers, got {hint if is_text else array.dtype}")
    if count and array.min() < 0:
        raise ValueError(f"{caller}: {name} must be at least 0, got {array.min()}")
    return array.astype(np.int64)


def same_width(caller: str, features: np.ndarray, name: str, others: np.ndarray, other: str) -> None:
    if features.shape[1] != others.shape[1]:
        raise ValueError(
            f"{caller}: {name} have {features.shape[1]} columns but {other} have {others.shape[1]}; "
            "both must come from the same model"
        )


def unit_rows(features: np.ndarray) -> np.ndarray:
    """Rows of length 1; those of zeros remain."""
    largest = np.abs(features).max(axis=1, keepdims=True)
    # Divided first, so that squares neither overflow nor vanish.
    scaled = features / np.where(largest > 0, largest, 1)
    lengths = np.linalg.norm(scaled, axis=1, keepdims=True)
    return scaled / np.where(lengths > 0, lengths, 1)


def softmax_rows(logits: np.ndarray) -> np.ndarray:
    powers: np.ndarray = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
