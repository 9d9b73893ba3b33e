"""Pad and crop the edges of tensors."""

from typing import Any

import mlx.core as mx

from lucid import _checks
from lucid.ops._common import array
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
    amounts = [_checks.integer("pad", "pad", one) for one in pad]
    if len(amounts) % 2 or len(amounts) > 2 * x.ndim:
        raise _checks.ArgumentError(f"pad: pad must hold pairs for at most {x.ndim} dimensions, got {tuple(amounts)}")
    if mode == "constant":
        return _constant_pad(x, amounts, 0 if value is None else value)
    if value is not None:
        raise _checks.ArgumentError(
            f"pad: value is only supported by mode 'constant', got {value!r} with mode {mode!r}"
        )
    for i in range(0, len(amounts), 2):
        x = _pad_by_slices(x, x.ndim - 1 - i // 2, amounts[i], amounts[i + 1], mode)
    return x


def _constant_pad(x: mx.array, amounts: list[int], value: float) -> mx.array:
    cut, widths = [slice(None)] * x.ndim, [(0, 0)] * x.ndim
    for i in range(0, len(amounts), 2):
        axis, low, high = x.ndim - 1 - i // 2, amounts[i], amounts[i + 1]
        _check_crop(x, axis, low, high)
        widths[axis] = (max(low, 0), max(high, 0))
        cut[axis] = slice(max(-low, 0), x.shape[axis] + min(high, 0))
    if min(amounts, default=0) < 0:
        x = x[tuple(cut)]
    return mx.pad(x, widths, constant_values=mx.array(value, x.dtype)) if max(amounts, default=0) > 0 else x


def _pad_by_slices(x: mx.array, axis: int, low: int, high: int, mode: str) -> mx.array:
    """Padding with slices of ``x``, so that the gradient consists of slices too."""
    whole, size = x, x.shape[axis]
    left = size + min(low, 0) + min(high, 0)
    limit = {"reflect": size - 1, "circular": left, "replicate": max(low, high) if size else 0}[mode]
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
    elif mode == "circular":
        if low:
            parts.insert(0, _slice(x, axis, left - low, left))
        if high:
            parts.append(_slice(x, axis, 0, high))
    else:
        before, after = x.shape[:axis], x.shape[axis + 1 :]
        if low:
            parts.insert(0, mx.broadcast_to(_slice(x, axis, 0, 1), (*before, low, *after)))
        if high:
            parts.append(mx.broadcast_to(_slice(x, axis, left - 1, left), (*before, high, *after)))
    return mx.concatenate(parts, axis) if len(parts) > 1 else x


def _check_crop(x: mx.array, axis: int, low: int, high: int) -> None:
    if x.shape[axis] + low + high < 0:
        raise _checks.ArgumentError(f"pad: ({low}, {high}) crops more than the size of dim {axis} of shape {x.shape}")


def _slice(x: mx.array, axis: int, start: int, stop: int) -> mx.array:
    """``x[start:stop]`` along dimension ``at``."""
    return x[(slice(None),) * axis + (slice(start, stop),)]


def _reverse(x: mx.array, axis: int) -> mx.array:
    return x[(slice(None),) * axis + (slice(None, None, -1),)]
