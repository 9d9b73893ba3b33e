"""Pad and crop the edges of tensors."""

from collections.abc import Sequence
from typing import Any

import mlx.core as mx

from lucid import _checks
from lucid.ops._common import array, sizes
from lucid.ops._types import TensorLike
from lucid.tape import op

__all__ = ["pad"]


@op
def pad(input: TensorLike, pad: Any, mode: str = "constant", value: float | None = None) -> mx.array:
    """``input`` with padding.

    Args:
        pad: Sizes (left, right, top, bottom, ...), starting from the last dimension. Negative sizes crop.
        mode: "constant" pads with ``value``, "reflect" mirrors at the edge, "replicate" repeats the edge, and
            "circular" wraps around.

    Raises:
        ValueError: ``pad`` does not match the dimensions, or exceeds what the mode or the size allows.

    Example:
        >>> F.pad(lucid.ones(1, 1, 2, 2), (1, 1, 0, 0)).tolist()
        [[[[0.0, 1.0, 1.0, 0.0], [0.0, 1.0, 1.0, 0.0]]]]
    """
    x = array("pad", input)
    _checks.one_of("pad", "mode", mode, ("constant", "reflect", "replicate", "circular"))
    amounts = sizes("pad", pad, "pad") if isinstance(pad, Sequence) else ()
    if not isinstance(pad, Sequence):
        raise TypeError(f"pad: pad must be a list or tuple of integers, got {pad!r}")
    if len(amounts) % 2 or len(amounts) > 2 * x.ndim:
        raise _checks.ArgumentError(f"pad: pad must hold pairs for at most {x.ndim} dimensions, got {amounts}")
    if mode == "constant":
        return _constant_pad(x, amounts, 0 if value is None else value)
    if value is not None:
        raise _checks.ArgumentError(
            f"pad: value is only supported by mode 'constant', got {value!r} with mode {mode!r}"
        )
    pad_one = _replicate if mode == "replicate" else _mirror_or_wrap
    for i in range(0, len(amounts), 2):
        x = pad_one(x, x.ndim - 1 - i // 2, amounts[i], amounts[i + 1], mode)
    return x


def _constant_pad(x: mx.array, amounts: tuple[int, ...], value: float) -> mx.array:
    cut, widths = [slice(None)] * x.ndim, [(0, 0)] * x.ndim
    for i in range(0, len(amounts), 2):
        axis, low, high = x.ndim - 1 - i // 2, amounts[i], amounts[i + 1]
        _check_crop(x, axis, low, high)
        widths[axis] = (max(low, 0), max(high, 0))
        cut[axis] = slice(max(-low, 0), x.shape[axis] + min(high, 0))
    if min(amounts, default=0) < 0:
        x = x[tuple(cut)]
    return mx.pad(x, widths, constant_values=mx.array(value, x.dtype)) if max(amounts, default=0) > 0 else x


def _replicate(x: mx.array, axis: int, low: int, high: int, mode: str) -> mx.array:
    """The edges repeated, as slices of ``x``, so that the gradient consists of slices too."""
    _check_crop(x, axis, low, high)
    size, before, after = x.shape[axis], x.shape[:axis], x.shape[axis + 1 :]
    total = size + low + high
    if size == 0 and total:
        raise _checks.ArgumentError(f"pad: dim {axis} of shape {x.shape} is empty and has no edge to repeat")
    left, right = min(max(low, 0), total), min(max(high, 0), total)
    start = max(-low, 0)
    parts = [_slice(x, axis, start, start + total - left - right)] if total > left + right else []
    if left:
        parts.insert(0, mx.broadcast_to(_slice(x, axis, 0, 1), (*before, left, *after)))
    if right:
        parts.append(mx.broadcast_to(_slice(x, axis, size - 1, size), (*before, right, *after)))
    return mx.concatenate(parts, axis) if parts else _slice(x, axis, 0, 0)


def _mirror_or_wrap(x: mx.array, axis: int, low: int, high: int, mode: str) -> mx.array:
    """Mode "reflect" or "circular", with slices of ``x``."""
    whole, size = x, x.shape[axis]
    left = size + min(low, 0) + min(high, 0)
    limit = size - 1 if mode == "reflect" else left
    if max(low, high) > limit:
        raise _checks.ArgumentError(
            f"pad: mode {mode!r} can add at most {limit} to dim {axis} of shape {x.shape}, got {(low, high)}"
        )
    if low < 0 or high < 0:
        _check_crop(x, axis, low, high)
        x = _slice(x, axis, max(-low, 0), size + min(high, 0))
        low, high = max(low, 0), max(high, 0)
    parts = [x]
    if mode == "reflect":  # the mirror image includes what was cropped
        if low:
            parts.insert(0, _reverse(_slice(whole, axis, 1, low + 1), axis))
        if high:
            parts.append(_reverse(_slice(whole, axis, size - 1 - high, size - 1), axis))
    else:
        if low:
            parts.insert(0, _slice(x, axis, left - low, left))
        if high:
            parts.append(_slice(x, axis, 0, high))
    return mx.concatenate(parts, axis) if len(parts) > 1 else x


def _check_crop(x: mx.array, axis: int, low: int, high: int) -> None:
    if x.shape[axis] + low + high < 0:
        raise _checks.ArgumentError(f"pad: ({low}, {high}) crops more than the size of dim {axis} of shape {x.shape}")


def _slice(x: mx.array, axis: int, start: int, stop: int) -> mx.array:
    """``x[start:stop]`` along dimension ``at``."""
    return x[(slice(None),) * axis + (slice(start, stop),)]


def _reverse(x: mx.array, axis: int) -> mx.array:
    return x[(slice(None),) * axis + (slice(None, None, -1),)]
