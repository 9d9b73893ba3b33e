"""Compares what Lucid reads from a file of PyTorch with what PyTorch reads, where it is installed."""

import math
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np

import lucid
from lucid.serialization import Placeholder

try:
    import torch  # type: ignore[import-not-found]
except ImportError:
    torch = None

_MAX_VALUES = 100_000  # of a tensor to compare
_MAX_NODES = 20_000


def compare(found: Any, path: Path) -> None:
    """Raise AssertionError if PyTorch reads other values. What it refuses, e.g. an unknown object, is not compared."""
    tensors = [one for one in _leaves(found) if isinstance(one, lucid.Tensor) and one.numel() < _MAX_VALUES]
    mx.eval([tensor._array for tensor in tensors])
    if torch is None:
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = torch.load(path, weights_only=True, map_location="cpu")
    except Exception:
        return
    if _has_replaced_keys(found):
        return
    for mine, other in zip(_leaves(found), _leaves(theirs), strict=True):
        if not isinstance(mine, Placeholder):
            _compare_values(mine, other)


def _compare_values(mine: Any, other: Any) -> None:
    if isinstance(other, torch.Tensor):
        assert isinstance(mine, lucid.Tensor), f"read {mine!r}, but PyTorch a tensor"
        assert mine.shape == tuple(other.shape), f"shape {mine.shape}, but PyTorch {tuple(other.shape)}"
        if mine.numel() < _MAX_VALUES and other.device.type == "cpu":
            wide = torch.complex128 if other.is_complex() else torch.float64
            a = np.asarray(mine.numpy() if mine.dtype != lucid.bfloat16 else mine.float().numpy())
            b = other.detach().to(wide).numpy() if other.is_floating_point() or other.is_complex() else other.numpy()
            assert a.dtype.kind == b.dtype.kind, f"dtype {mine.dtype}, but PyTorch {other.dtype}"
            with np.errstate(invalid="ignore"):  # signalling NaNs
                same = np.array_equal(a.astype(b.dtype), b, equal_nan=b.dtype.kind in "fc")
            assert same, "a tensor has other values"
    elif isinstance(mine, float) and math.isnan(mine):
        assert isinstance(other, float) and math.isnan(other)
    elif isinstance(other, str | int | float | complex | bytes) or other is None:
        assert mine == other and type(mine) is type(other), f"read {mine!r}, but PyTorch {other!r}"


def _has_replaced_keys(root: Any) -> bool:
    """Whether placeholders are keys, of which there are then more than in PyTorch: equal keys are no longer one."""
    mappings = (one for one in _nodes(root) if isinstance(one, Mapping))
    return any(isinstance(key, Placeholder) for mapping in mappings for key in mapping)


def _leaves(root: Any) -> Iterator[Any]:
    return (one for one in _nodes(root) if not isinstance(one, Mapping | list | tuple))


def _nodes(root: Any) -> Iterator[Any]:
    left, count = [root], 0
    while left and count < _MAX_NODES:
        value = left.pop()
        count += 1
        yield value
        if isinstance(value, Mapping):
            left += value.values()
        elif isinstance(value, list | tuple):
            left += value
