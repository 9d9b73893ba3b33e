"""Resize images. Each dimension is resized separately, so 1-d, 2-d and 3-d images share the code."""

import math
from typing import Any

import mlx.core as mx
import numpy as np

from lucid import _checks
from lucid.ops._common import real
from lucid.ops._types import TensorLike
from lucid.ops.normalization import DATA_FORMATS
from lucid.ops.pooling import along_axis
from lucid.tape import op

__all__ = ["interpolate"]

_DIMS = {"linear": (1,), "bilinear": (2,), "trilinear": (3,), "bicubic": (2,)}  # other modes work for all of them
_MODES = ("nearest", "nearest-exact", "linear", "bilinear", "trilinear", "bicubic", "area")
_CUBIC = -0.75  # Keys' parameter, as chosen by PyTorch and OpenCV


@op
def interpolate(
    input: TensorLike, size: Any = None, scale_factor: Any = None, mode: str = "nearest",
    align_corners: bool | None = None, recompute_scale_factor: bool | None = None, antialias: bool = False,
    *, data_format: str = "channels_first",
) -> mx.array:  # fmt: skip
    """``input`` (N, C, ...) with its one to three spatial dimensions resized.

    Args:
        size: The new size; either this or ``scale_factor`` is required.
        scale_factor: The factor to resize by, one number or one per dimension.
        mode: "nearest" (as in PyTorch, the lower neighbor), "nearest-exact", "linear", "bilinear", "trilinear",
            "bicubic" or "area" (averages).
        align_corners: Whether to align the centers of the corner pixels, for linear and bicubic modes.

    Raises:
        ValueError: neither or both of ``size`` and ``scale_factor`` are given, the mode does not support the number of
            dimensions, or the result is empty.

    Example:
        >>> F.interpolate(lucid.ones(1, 3, 8, 8), scale_factor=2, mode="bilinear").shape
        (1, 3, 16, 16)
    """
    where = "interpolate"
    x = real(where, input)
    _checks.one_of(where, "mode", mode, _MODES)
    _checks.one_of(where, "data_format", data_format, DATA_FORMATS)
    _checks.rank(where, "input", x.shape, (3, 4, 5), "(N, C, ...)")
    dims = x.ndim - 2
    if dims not in _DIMS.get(mode, (1, 2, 3)):
        raise ValueError(f"{where}: mode {mode!r} does not support {dims} spatial dimensions, got shape {x.shape}")
    if align_corners is not None and mode not in _DIMS:
        raise ValueError(f"{where}: align_corners is only supported by linear and bicubic modes, got mode {mode!r}")
    if antialias:
        raise ValueError(f"{where}: antialias is not supported")
    first = 2 if data_format == "channels_first" else 1
    before = x.shape[first : first + dims]
    if 0 in before:
        raise _checks.ArgumentError(f"{where}: the image must not be empty, got size {before}")
    after, scales = _sizes(where, before, size, scale_factor, bool(recompute_scale_factor))
    wide = x if x.dtype == mx.float64 else x.astype(mx.float32)
    for i, (old, new, scale) in enumerate(zip(before, after, scales, strict=True)):
        if mode.startswith("nearest"):
            wide = _take_positions(wide, first + i, _nearest(old, new, scale, mode == "nearest-exact"))
        elif old != new or mode == "bicubic":  # as in PyTorch, a factor that keeps the size only affects bicubic
            wide = along_axis(
                wide, first + i, mx.array(_matrix(old, new, scale, mode, bool(align_corners)), wide.dtype)
            )
    return wide.astype(x.dtype)


def _sizes(
    caller: str, before: tuple[int, ...], size: Any, scale_factor: Any, recompute: bool
) -> tuple[tuple[int, ...], list[float | None]]:
    """The new sizes, and for each dimension the factor to compute coordinates with, if given."""
    if (size is None) == (scale_factor is None):
        raise ValueError(f"{caller}: pass either size or scale_factor, got {'neither' if size is None else 'both'}")
    if size is not None and recompute:
        raise ValueError(f"{caller}: recompute_scale_factor requires scale_factor")
    if size is not None:
        return _checks.tuple_of(caller, "size", size, len(before), 1), [None] * len(before)
    factors = tuple(scale_factor) if isinstance(scale_factor, tuple | list) else (scale_factor,) * len(before)
    if len(factors) != len(before):
        raise ValueError(f"{caller}: scale_factor must be one number or {len(before)} numbers, got {scale_factor!r}")
    numbers = [_checks.number(caller, "scale_factor", one, 0, above=True) for one in factors]
    after = tuple(math.floor(n * factor) for n, factor in zip(before, numbers, strict=True))
    if min(after) < 1:
        raise _checks.ArgumentError(f"{caller}: scale_factor {scale_factor!r} makes size {before} empty")
    return after, [None if recompute else factor for factor in numbers]


def _take_positions(x: mx.array, axis: int, positions: np.ndarray) -> mx.array:
    times, rest = divmod(len(positions), x.shape[axis])
    if not rest and np.array_equal(positions, np.repeat(np.arange(x.shape[axis]), times)):
        # Repeat by stacking: the gradient is a sum of slices, several times as fast as that of indexing.
        return mx.stack([x] * times, axis + 1).reshape(*x.shape[:axis], len(positions), *x.shape[axis + 1 :])
    return mx.take(x, mx.array(positions), axis)


def _nearest(old: int, new: int, scale: float | None, exact: bool) -> np.ndarray:
    if not exact and new in (old, 2 * old):  # PyTorch compares the sizes first, and ignores a factor such as 2.1
        return np.arange(new, dtype=np.int32) // (new // old)
    step = np.float32(old / new if scale is None else 1 / scale)
    positions = (np.arange(new, dtype=np.float32) + np.float32(0.5 if exact else 0)) * step
    return np.minimum(np.floor(positions).astype(np.int32), old - 1)


def _matrix(old: int, new: int, scale: float | None, mode: str, align_corners: bool) -> np.ndarray:
    """The matrix (new, old) with the weight of each old value in each new one."""
    matrix = np.zeros((new, old))
    rows = np.arange(new)
    if mode == "area":
        for i in rows:
            start, stop = i * old // new, -(-(i + 1) * old // new)
            matrix[i, start:stop] = 1 / (stop - start)
        return matrix
    if align_corners:
        centers = rows * ((old - 1) / (new - 1) if new > 1 else 0.0)
    else:
        centers = (rows + 0.5) * (old / new if scale is None else 1 / scale) - 0.5
        centers = np.maximum(centers, 0) if mode != "bicubic" else centers
    low = np.floor(centers).astype(np.int64)
    part = centers - low
    weights = _cubic(part) if mode == "bicubic" else {0: 1 - part, 1: part}
    for offset, weight in weights.items():
        np.add.at(matrix, (rows, np.clip(low + offset, 0, old - 1)), weight)
    return matrix


def _cubic(part: np.ndarray) -> dict[int, np.ndarray]:
    """Keys' cubic convolution: the weights of the neighbors at distances 1 + part, part, 1 - part and 2 - part."""

    def near(d: np.ndarray) -> np.ndarray:
        return ((_CUBIC + 2) * d - (_CUBIC + 3)) * d * d + 1

    def far(d: np.ndarray) -> np.ndarray:
        return ((_CUBIC * d - 5 * _CUBIC) * d + 8 * _CUBIC) * d - 4 * _CUBIC

    return {-1: far(part + 1), 0: near(part), 1: near(1 - part), 2: far(2 - part)}
