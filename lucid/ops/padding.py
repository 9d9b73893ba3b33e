"""Pad and crop the edges of tensors."""

from collections.abc import Sequence
from typing import Any

import mlx.core as mx

from lucid import _checks
from lucid.ops._common import array, reversed_along, sizes
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
    if not isinstance(pad, Sequence):
        raise TypeError(f"pad: pad must be a list or tuple of integers, got {pad!r}")
    amounts = sizes("pad", pad, "pad")
    if len(amounts) % 2 or len(amounts) > 2 * x.ndim:
        raise _checks.ArgumentError(f"pad: pad must hold pairs for at most {x.ndim} dimensions, got {amounts}")
    if mode == "constant":
        if not (value is None or isinstance(value, bool | int | float | complex)):
            raise TypeError(f"pad: value must be a number or None, got {value!r}")
        return _constant_pad(x, amounts, 0 if value is None else value)
    if value is not None:
        raise _checks.ArgumentError(
            f"pad: value is only supported by mode 'constant', got {value!r} with mode {mode!r}"
        )
    for i in range(0, len(amounts), 2):
        x = _pad_by_slices(x, x.ndim - 1 - i // 2, amounts[i], amounts[i + 1], mode)
    return x


def _constant_pad(x: mx.array, amounts: tuple[int, ...], value: float) -> mx.array:
    cut, widths = [slice(None)] * x.ndim, [(0, 0)] * x.ndim
    for i in range(0, len(amounts), 2):
        axis, low, high = x.ndim - 1 - i // 2, amounts[i], amounts[i + 1]
        _check_crop(x, axis, min(low, 0), min(high, 0))
        widths[axis] = (max(low, 0), max(high, 0))
        cut[axis] = slice(max(-low, 0), x.shape[axis] + min(high, 0))
    if min(amounts, default=0) < 0:
        x = x[tuple(cut)]
    return mx.pad(x, widths, constant_values=mx.array(value, x.dtype)) if max(amounts, default=0) > 0 else x


def _pad_by_slices(x: mx.array, axis: int, low: int, high: int, mode: str) -> mx.array:
    """Padding with slices of ``x``, so that the gradient consists of slices too."""
    _check_crop(x, axis, low, high)
    size = x.shape[axis]
    left = size + min(low, 0) + min(high, 0)
    if mode == "replicate":
        if size == 0 and low + high:
            raise _checks.ArgumentError(f"pad: dim {axis} of shape {x.shape} is empty and has no edge to repeat")
    elif max(low, high) > (limit := size - 1 if mode == "reflect" else left):
        raise _checks.ArgumentError(
            f"pad: mode {mode!r} can add at most {max(limit, 0)} to dim {axis} of shape {x.shape}, got {(low, high)}"
        )
    if mode == "circular":  # wraps around what is left after cropping; the other modes see the whole tensor
        x = _slice(x, axis, max(-low, 0), size + min(high, 0))
        size, low, high = left, max(low, 0), max(high, 0)
    # The result holds the positions from -low to size + high: some before the first value, some after the last.
    start, stop = -low, size + high
    parts = [_slice(x, axis, max(start, 0), max(min(stop, size), 0))]
    before, after = (start, min(stop, 0)), (max(start, size), stop)
    if before[0] < before[1]:
        parts.insert(0, _edge(x, axis, *before, mode))
    if after[0] < after[1]:
        parts.append(_edge(x, axis, *after, mode))
    parts = [part for part in parts if part.shape[axis]] or parts[:1]
    return mx.concatenate(parts, axis) if len(parts) > 1 else parts[0]


def _edge(x: mx.array, axis: int, start: int, stop: int, mode: str) -> mx.array:
    """The values at the positions from ``start`` to ``stop``, all of which are before or all after those of ``x``."""
    size = x.shape[axis]
    if mode == "reflect":
        mirror = 0 if start < 0 else 2 * (size - 1)
        return reversed_along(_slice(x, axis, mirror - stop + 1, mirror - start + 1), axis)
    if mode == "circular":
        shift = size if start < 0 else -size
        return _slice(x, axis, start + shift, stop + shift)
    edge = 0 if start < 0 else size - 1
    shape = (*x.shape[:axis], stop - start, *x.shape[axis + 1 :])
    return mx.broadcast_to(_slice(x, axis, edge, edge + 1), shape)


def _check_crop(x: mx.array, axis: int, low: int, high: int) -> None:
    if x.shape[axis] + low + high < 0:
        raise _checks.ArgumentError(f"pad: ({low}, {high}) crops more than the size of dim {axis} of shape {x.shape}")


def _slice(x: mx.array, axis: int, start: int, stop: int) -> mx.array:
    """``x[start:stop]`` along dimension ``axis``."""
    return x[(slice(None),) * axis + (slice(start, stop),)]
