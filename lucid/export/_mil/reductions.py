"""Reductions, and the normalizations that consist of them."""

from collections.abc import Callable
from typing import Any

import numpy as np


def _axes(x: np.ndarray, axes: Any) -> tuple[int, ...]:
    return tuple(range(x.ndim)) if axes is None else tuple(int(one) % x.ndim for one in np.ravel(axes))


def _reduction(compute: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    def reduce(x: np.ndarray, axes: Any = None, keep_dims: bool = False) -> np.ndarray:
        return compute(x, axis=_axes(x, axes), keepdims=bool(keep_dims))

    return reduce


def _log_sum_exp(x: np.ndarray, axis: Any, keepdims: bool) -> np.ndarray:
    largest = x.max(axis=axis, keepdims=True)
    found = largest + np.log(np.exp(x - largest).sum(axis=axis, keepdims=True))
    return found if keepdims else np.squeeze(found, axis)


def reduce_argmax(x: np.ndarray, axis: int = -1, keep_dims: bool = False, output_dtype: Any = None) -> np.ndarray:
    found = np.argmax(x, axis)
    return np.expand_dims(found, axis) if keep_dims else found


def reduce_argmin(x: np.ndarray, axis: int = -1, keep_dims: bool = False, output_dtype: Any = None) -> np.ndarray:
    return reduce_argmax(-np.asarray(x), axis, keep_dims)


def softmax(x: np.ndarray, axis: int = -1) -> np.ndarray:
    shifted = np.exp(x - x.max(axis=axis, keepdims=True))
    return shifted / shifted.sum(axis=axis, keepdims=True)


def layer_norm(
    x: np.ndarray, axes: Any = None, gamma: Any = None, beta: Any = None, epsilon: float = 1e-5
) -> np.ndarray:
    """``gamma`` and ``beta`` have the shape of ``x`` in the dimensions ``axes``."""
    chosen = _axes(x, axes)
    mean = x.mean(axis=chosen, keepdims=True)
    found = (x - mean) / np.sqrt(x.var(axis=chosen, keepdims=True) + np.float32(epsilon))
    shape = [size if axis in chosen else 1 for axis, size in enumerate(x.shape)]
    if gamma is not None:
        found = found * gamma.reshape(shape)
    return found if beta is None else found + beta.reshape(shape)


def batch_norm(
    x: np.ndarray, mean: np.ndarray, variance: np.ndarray, gamma: Any = None, beta: Any = None, epsilon: float = 1e-5
) -> np.ndarray:
    shape = (1, -1) + (1,) * (x.ndim - 2)
    found = (x - mean.reshape(shape)) / np.sqrt(variance.reshape(shape) + np.float32(epsilon))
    if gamma is not None:
        found = found * gamma.reshape(shape)
    return found if beta is None else found + beta.reshape(shape)


def instance_norm(x: np.ndarray, gamma: Any = None, beta: Any = None, epsilon: float = 1e-5) -> np.ndarray:
    axes = tuple(range(2, x.ndim))
    mean, variance = x.mean(axis=axes, keepdims=True), x.var(axis=axes, keepdims=True)
    found = (x - mean) / np.sqrt(variance + np.float32(epsilon))
    shape = (1, -1) + (1,) * (x.ndim - 2)
    if gamma is not None:
        found = found * gamma.reshape(shape)
    return found if beta is None else found + beta.reshape(shape)


def l2_norm(x: np.ndarray, epsilon: float = 1e-6) -> np.ndarray:
    """Over the last three dimensions."""
    axes = tuple(range(max(0, x.ndim - 3), x.ndim))
    return x / np.sqrt(np.square(x).sum(axis=axes, keepdims=True) + np.float32(epsilon))


def local_response_norm(
    x: np.ndarray, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> np.ndarray:
    """``size`` channels around each one share in its denominator."""
    before = size // 2
    padded = np.pad(np.square(x), [(0, 0), (before, size - 1 - before)] + [(0, 0)] * (x.ndim - 2))
    total = sum(padded[:, i : i + x.shape[1]] for i in range(size))
    return x / (k + alpha / size * total) ** beta


def cumsum(x: np.ndarray, axis: int = 0, exclusive: bool = False, reverse: bool = False) -> np.ndarray:
    if reverse:
        return np.flip(cumsum(np.flip(x, axis), axis, exclusive), axis)
    found = np.cumsum(x, axis)
    return found - x if exclusive else found


OPERATIONS: dict[str, Any] = {
    "reduce_mean": _reduction(np.mean),
    "reduce_sum": _reduction(np.sum),
    "reduce_max": _reduction(np.max),
    "reduce_min": _reduction(np.min),
    "reduce_prod": _reduction(np.prod),
    "reduce_l1_norm": _reduction(lambda x, axis, keepdims: np.abs(x).sum(axis=axis, keepdims=keepdims)),
    "reduce_l2_norm": _reduction(lambda x, axis, keepdims: np.sqrt(np.square(x).sum(axis=axis, keepdims=keepdims))),
    "reduce_sum_square": _reduction(lambda x, axis, keepdims: np.square(x).sum(axis=axis, keepdims=keepdims)),
    "reduce_log_sum_exp": _reduction(_log_sum_exp),
    **{
        one.__name__: one
        for one in (
            reduce_argmax, reduce_argmin, softmax, layer_norm, batch_norm, instance_norm, l2_norm, local_response_norm,
            cumsum,
        )
    },
}  # fmt: skip
