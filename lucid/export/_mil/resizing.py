"""Operations that resize maps."""

from typing import Any

import numpy as np


def upsample_nearest_neighbor(
    x: np.ndarray, scale_factor_height: float = 1, scale_factor_width: float = 1
) -> np.ndarray:
    for axis, scale in ((-2, scale_factor_height), (-1, scale_factor_width)):
        size = x.shape[axis]
        chosen = np.floor(np.arange(int(np.floor(size * scale))) / scale).astype(np.int64)
        x = np.take(x, np.minimum(chosen, size - 1), axis)
    return x


def resize_nearest_neighbor(x: np.ndarray, target_size_height: int, target_size_width: int) -> np.ndarray:
    for axis, target in ((-2, target_size_height), (-1, target_size_width)):
        chosen = np.floor(np.arange(target) * (x.shape[axis] / target)).astype(np.int64)
        x = np.take(x, np.minimum(chosen, x.shape[axis] - 1), axis)
    return x


def upsample_bilinear(
    x: np.ndarray, scale_factor_height: float = 1, scale_factor_width: float = 1, align_corners: bool = True,
    half_pixel_centers: Any = None,
) -> np.ndarray:  # fmt: skip
    mode = "STRICT_ALIGN_CORNERS" if align_corners else "UNALIGN_CORNERS"
    if half_pixel_centers is not None and not align_corners and not half_pixel_centers:
        mode = "DEFAULT"
    for axis, scale in ((-2, scale_factor_height), (-1, scale_factor_width)):
        x = _linear(x, axis, int(np.floor(x.shape[axis] * scale)), mode)
    return x


def resize_bilinear(
    x: np.ndarray, target_size_height: int = 1, target_size_width: int = 1, sampling_mode: str = "DEFAULT"
) -> np.ndarray:
    return _linear(_linear(x, -2, int(target_size_height), sampling_mode), -1, int(target_size_width), sampling_mode)


def _grid(size: int, target: int, mode: str) -> np.ndarray:
    """Where each output lies among the inputs."""
    i = np.arange(target, dtype=np.float64)
    if mode == "UNALIGN_CORNERS":
        spacing = size / target
        found = i * spacing + 0.5 * spacing - 0.5
    elif mode in ("STRICT_ALIGN_CORNERS", "ALIGN_CORNERS"):
        if target == 1:
            found = i + (0 if mode == "STRICT_ALIGN_CORNERS" else (size - 1) / 2)
        else:
            found = i * (size - 1) / (target - 1)
    elif mode == "DEFAULT":
        found = i * (size - size / target) / (target - 1) if target > 1 else i
    else:
        raise ValueError(f"sampling mode {mode} is not supported")
    return np.clip(found, 0, size - 1)


def _linear(x: np.ndarray, axis: int, target: int, mode: str) -> np.ndarray:
    grid = _grid(x.shape[axis], target, mode)
    low = np.floor(grid).astype(np.int64)
    high = np.minimum(low + 1, x.shape[axis] - 1)
    share = (grid - low).astype(np.float32)
    if axis == -2:
        share = share[:, None]
    return np.take(x, low, axis) * (1 - share) + np.take(x, high, axis) * share


OPERATIONS: dict[str, Any] = {
    one.__name__: one
    for one in (upsample_nearest_neighbor, resize_nearest_neighbor, upsample_bilinear, resize_bilinear)
}
