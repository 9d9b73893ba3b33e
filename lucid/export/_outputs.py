"""What the checks of exported files compare: the outputs of a model, and how far those of the file are from them."""

from typing import Any

import mlx.core as mx
import numpy as np

from lucid.export._graph import named_outputs, structure


def outputs_of(result: Any) -> list[mx.array]:
    """The arrays in what ``forward`` returned, in the order of the file.

    Raises:
        ExportError: It holds something else than tensors.
    """
    return list(named_outputs(structure(result, lambda one: one)).values())


def largest_difference(expected: np.ndarray, found: np.ndarray) -> float:
    """The largest difference of two values, relative to the largest finite ``expected``; equal NaNs do not count.

    It is infinite if the shapes differ, or only one of two values is finite.
    """
    if expected.shape != found.shape:
        return float("inf")
    if expected.size == 0:
        return 0.0
    wide, other = expected.astype(np.float64), found.astype(np.float64)
    same = (wide == other) | (np.isnan(wide) & np.isnan(other))
    scale = max(float(np.abs(wide[np.isfinite(wide)]).max(initial=0)), 1e-6)
    with np.errstate(invalid="ignore"):  # inf - inf of different signs is inf, of NaN NaN
        distance = float(np.where(same, 0.0, np.abs(wide - other)).max()) / scale
    return distance if np.isfinite(distance) else float("inf")
