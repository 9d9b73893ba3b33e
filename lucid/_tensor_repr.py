"""Print tensors as PyTorch does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import mlx.core as mx
import numpy as np

from lucid._checks import dtype_name

if TYPE_CHECKING:
    from lucid._tensor import Tensor

_SHAPE_IS_SHOWN_FROM = 1000  # elements from which on the values are abbreviated and the shape is printed


def describe(tensor: Tensor, name: str) -> str:
    """``tensor([...], dtype=..., requires_grad=True)`` as PyTorch prints it; large tensors also show their shape."""
    parts = [_values(tensor.numpy(force=True), len(name) + 1)]
    if tensor.numel() >= _SHAPE_IS_SHOWN_FROM or tensor.numel() == 0:
        parts.append(f"shape={tensor.shape}")
    if tensor.dtype not in (mx.float32, mx.int64, mx.bool_):
        parts.append(f"dtype=lucid.{dtype_name(tensor.dtype)}")
    if tensor._node is not None:
        parts.append(f"grad_fn=<{tensor._node.name}>")
    elif tensor._requires_grad:
        parts.append("requires_grad=True")
    return f"{name}({', '.join(parts)})"


def _values(values: np.ndarray, indent: int) -> str:
    if values.ndim == 0:
        return np.array2string(values, precision=4)
    return np.array2string(
        values,
        precision=4,
        suppress_small=False,
        separator=", ",
        prefix=" " * indent,
        threshold=_SHAPE_IS_SHOWN_FROM - 1,
    )
