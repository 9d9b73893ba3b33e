"""Matrix products."""

from typing import Any

import numpy as np


def linear(x: np.ndarray, weight: np.ndarray, bias: Any = None) -> np.ndarray:
    """Shapes: x (..., in), weight (out, in), out (..., out)."""
    found = x @ weight.T
    return found if bias is None else found + bias


def matmul(x: np.ndarray, y: np.ndarray, transpose_x: bool = False, transpose_y: bool = False) -> np.ndarray:
    left = np.swapaxes(x, -1, -2) if transpose_x and x.ndim > 1 else x
    right = np.swapaxes(y, -1, -2) if transpose_y and y.ndim > 1 else y
    return left @ right


def einsum(values: list[np.ndarray], equation: str) -> np.ndarray:
    return np.einsum(equation, *values, optimize=True)


OPERATIONS: dict[str, Any] = {one.__name__: one for one in (linear, matmul, einsum)}
