"""Resize images. Each dimension is resized separately, so 1-d, 2-d and 3-d images share the code."""

import math
import warnings
from typing import TYPE_CHECKING, Any

import mlx.core as mx
import numpy as np

from lucid import _checks
from lucid.ops._common import array, real_numbers
from lucid.ops._types import TensorLike
from lucid.ops.adaptive_pooling import along_axis
from lucid.ops.normalization import DATA_FORMATS
from lucid.tape import op

if TYPE_CHECKING:
    from lucid._tensor import Tensor

__all__ = ["interpolate", "upsample", "upsample_bilinear", "upsample_nearest"]

# The numbers of spatial dimensions; other modes work for all of them.
_DIMS = {"linear": (1,), "bilinear": (2,), "trilinear": (3,), "bicubic": (2,), "lanczos": (2,)}
_MODES = ("nearest", "nearest-exact", "linear", "bilinear", "trilinear", "bicubic", "lanczos", "area")
_ANTIALIASED = ("bilinear", "bicubic", "lanczos")
_OF_UINT8 = ("nearest", "nearest-exact", *_ANTIALIASED)
_CUBIC = -0.75  # Keys' parameter, as chosen by PyTorch and OpenCV
_SMOOTH_CUBIC = -0.5  # the same with antialiasing, as in Pillow
_TAPS = {"bilinear": 2, "bicubic": 4, "lanczos": 6}


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
            "bicubic", "lanczos" (with ``antialias``) or "area" (averages). uint8 images are rounded as in PyTorch and
            Pillow, and support the nearest, bilinear, bicubic and lanczos modes.
        align_corners: Whether to align the centers of the corner pixels, for all modes but nearest and area.
        recompute_scale_factor: Whether to compute coordinates with the ratio of the sizes, not with ``scale_factor``.
        antialias: Whether to average all pixels that a new one covers, as Pillow does; for the bilinear, bicubic and
            lanczos modes of images.

    Raises:
        ValueError: neither or both of ``size`` and ``scale_factor`` are given, the mode does not support the number of
            dimensions or antialiasing, or the result is empty.

    Example:
        >>> F.interpolate(lucid.ones(1, 3, 8, 8), scale_factor=2, mode="bilinear").shape
        (1, 3, 16, 16)
    """
    where = "interpolate"
    x = array(where, input)
    is_bytes = x.dtype == mx.uint8
    if not is_bytes:
        x = real_numbers(where, x)
    _checks.one_of(where, "mode", mode, _MODES)
    _checks.one_of(where, "data_format", data_format, DATA_FORMATS)
    _checks.rank(where, "input", x.shape, (3, 4, 5), "(N, C, ...)")
    dims = x.ndim - 2
    if dims not in _DIMS.get(mode, (1, 2, 3)):
        raise ValueError(f"{where}: mode {mode!r} does not support {dims} spatial dimensions, got shape {x.shape}")
    if align_corners is not None and mode not in _DIMS:
        raise ValueError(f"{where}: align_corners is only supported by linear and bicubic modes, got mode {mode!r}")
    align_corners, recompute = (
        one if one is None else _checks.flag(where, name, one)
        for name, one in (("align_corners", align_corners), ("recompute_scale_factor", recompute_scale_factor))
    )
    antialias = _checks.flag(where, "antialias", antialias)
    if antialias and (mode not in _ANTIALIASED or dims != 2):
        raise ValueError(f"{where}: antialias requires mode 'bilinear', 'bicubic' or 'lanczos', got mode {mode!r}")
    if mode == "lanczos" and (align_corners or not antialias):
        raise ValueError(f"{where}: mode 'lanczos' requires antialias=True and align_corners=False")
    if is_bytes and mode not in _OF_UINT8:
        raise _checks.DtypeError(f"{where}: uint8 is not supported by mode {mode!r}; convert with .float()")
    first = 2 if data_format == "channels_first" else 1
    before = x.shape[first : first + dims]
    if x.size == 0 and x.shape[0]:
        raise _checks.ArgumentError(f"{where}: only the batch may be empty, got shape {x.shape}")
    after, scales = _sizes(where, before, size, scale_factor, bool(recompute))
    wide = x if x.dtype in (mx.float64, mx.uint8) else x.astype(mx.float32)
    # The last dimension comes first, which matters where each step rounds.
    for i in reversed(range(dims)):
        old, new, scale = before[i], after[i], scales[i]
        if mode.startswith("nearest"):
            wide = _take_positions(wide, first + i, _nearest(old, new, scale, mode == "nearest-exact"))
        elif old != new or (mode == "bicubic" and not (antialias or is_bytes)):
            # As in PyTorch, a factor that keeps the size only affects bicubic.
            matrix = resize_matrix(old, new, scale, mode, bool(align_corners), antialias)
            wide = (_fixed_point if is_bytes else _weighted)(wide, first + i, matrix)
    return wide.astype(x.dtype)


def upsample(
    input: TensorLike, size: Any = None, scale_factor: Any = None, mode: str = "nearest",
    align_corners: bool | None = None,
) -> "Tensor":  # fmt: skip
    """``interpolate`` by its deprecated name, with a warning."""
    _warn_of_deprecation("upsample", "")
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input: TensorLike, size: Any = None, scale_factor: Any = None) -> "Tensor":
    """``interpolate(input, size, scale_factor, "nearest")`` by its deprecated name, with a warning."""
    _warn_of_deprecation("upsample_nearest", "")
    return interpolate(input, size, scale_factor, "nearest")


def upsample_bilinear(input: TensorLike, size: Any = None, scale_factor: Any = None) -> "Tensor":
    """``interpolate`` in mode "bilinear" with ``align_corners=True`` by its deprecated name, with a warning."""
    _warn_of_deprecation("upsample_bilinear", " with mode='bilinear' and align_corners=True")
    return interpolate(input, size, scale_factor, "bilinear", True)


def _warn_of_deprecation(name: str, how: str) -> None:
    warnings.warn(f"{name} is deprecated; use interpolate{how}", stacklevel=_checks.level_of_user())


def _sizes(
    caller: str, before: tuple[int, ...], size: Any, scale_factor: Any, recompute: bool
) -> tuple[tuple[int, ...], list[float | None]]:
    """The new sizes, and for each dimension the factor to compute coordinates with, if given."""
    if (size is None) == (scale_factor is None):
        raise ValueError(f"{caller}: pass either size or scale_factor, got {'neither' if size is None else 'both'}")
    if size is not None and recompute:
        raise ValueError(f"{caller}: recompute_scale_factor requires scale_factor")
    if size is not None:
        if isinstance(size, tuple | list) and len(size) != len(before):
            raise ValueError(f"{caller}: size must be an integer or {len(before)} integers, got {size!r}")
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


def _fixed_point(x: mx.array, axis: int, matrix: np.ndarray) -> mx.array:
    """``matrix`` applied to bytes along ``axis``, in the integer arithmetic of PyTorch and Pillow, rounded to bytes.

    The weights are 16-bit integers. float64 holds all sums exactly, and only the CPU has it.
    """
    bits = 0
    while bits < 22 and int(0.5 + matrix.max() * 2 ** (bits + 1)) < 2**15:
        bits += 1
    weights = np.trunc(matrix * 2**bits + np.where(matrix < 0, -0.5, 0.5))
    with mx.stream(mx.cpu):
        sums = along_axis(x.astype(mx.float64), axis, mx.array(weights, mx.float64))
        return mx.clip(mx.floor((sums + 2 ** (bits - 1)) / 2**bits), 0, 255).astype(mx.uint8)


def _weighted(x: mx.array, axis: int, matrix: np.ndarray) -> mx.array:
    return along_axis(x, axis, mx.array(matrix, x.dtype))


def _step(old: int, new: int, scale: float | None, align_corners: bool) -> float:
    """The distance between the centers of two new pixels, in old pixels."""
    if align_corners:
        return (old - 1) / (new - 1) if new > 1 else 0.0
    return old / new if scale is None else 1 / scale


def resize_matrix(
    old: int, new: int, scale: float | None, mode: str, align_corners: bool, antialias: bool
) -> np.ndarray:
    """The matrix (new, old) with the weight of each old value in each new one."""
    return (_antialiased if antialias else _matrix)(old, new, scale, mode, align_corners)


def _matrix(old: int, new: int, scale: float | None, mode: str, align_corners: bool) -> np.ndarray:
    matrix = np.zeros((new, old))
    rows = np.arange(new)
    if mode == "area":
        for i in rows:
            start, stop = i * old // new, -(-(i + 1) * old // new)
            matrix[i, start:stop] = 1 / (stop - start)
        return matrix
    step = _step(old, new, scale, align_corners)
    if align_corners:
        centers = rows * step
    else:
        centers = (rows + 0.5) * step - 0.5
        centers = np.maximum(centers, 0) if mode != "bicubic" else centers
    low = np.floor(centers).astype(np.int64)
    part = centers - low
    weights = cubic_weights(part) if mode == "bicubic" else {0: 1 - part, 1: part}
    for offset, weight in weights.items():
        np.add.at(matrix, (rows, np.clip(low + offset, 0, old - 1)), weight)
    return matrix


def _antialiased(old: int, new: int, scale: float | None, mode: str, align_corners: bool) -> np.ndarray:
    """``_matrix`` with the weights of a filter that covers the old pixels of each new one."""
    matrix = np.zeros((new, old))
    step = _step(old, new, scale, align_corners)
    width = max(step, 1.0)
    support = _TAPS[mode] / 2 * width
    for i in range(new):
        center = step * (i + 0.5)
        start, stop = max(int(center - support + 0.5), 0), min(int(center + support + 0.5), old)
        weights = _filter(mode, (np.arange(start, stop) - center + 0.5) / width)
        matrix[i, start:stop] = weights / (weights.sum() or 1)
    return matrix


def _filter(mode: str, x: np.ndarray) -> np.ndarray:
    """The weights at distances ``x`` from the center, in old pixels or new ones, whichever are larger."""
    d = np.abs(x)
    if mode == "bilinear":
        return np.maximum(1 - d, 0)
    if mode == "lanczos":
        return np.where(d < 3, np.sinc(x) * np.sinc(x / 3), 0)
    return np.where(d < 1, _cubic_near(d, _SMOOTH_CUBIC), np.where(d < 2, _cubic_far(d, _SMOOTH_CUBIC), 0))


def cubic_weights(part: Any) -> dict[int, Any]:
    """Keys' cubic convolution: the weights of the neighbors at distances 1 + part, part, 1 - part and 2 - part."""
    return {
        -1: _cubic_far(part + 1, _CUBIC),
        0: _cubic_near(part, _CUBIC),
        1: _cubic_near(1 - part, _CUBIC),
        2: _cubic_far(2 - part, _CUBIC),
    }


def _cubic_near(d: Any, a: float) -> Any:
    return ((a + 2) * d - (a + 3)) * d * d + 1


def _cubic_far(d: Any, a: float) -> Any:
    return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
