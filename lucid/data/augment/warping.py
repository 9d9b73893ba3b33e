"""Affine transforms of images in Pillow's arithmetic, with a matrix for each image."""

from collections.abc import Sequence
from typing import Any

import mlx.core as mx
import numpy as np

from lucid import _checks
from lucid.data.augment._batch import as_batch, per_channel
from lucid.ops._common import FLOATING, array
from lucid.ops._types import TensorLike
from lucid.tape import op

INTERPOLATIONS = ("nearest", "bilinear")


@op
def affine(
    images: TensorLike, matrix: TensorLike, interpolation: str = "nearest", fill: float | Sequence[float] = 0
) -> mx.array:
    """Read each output pixel (x, y) from (a x + b y + c, d x + e y + f) of the image.

    Coordinates are Pillow's: x to the right, y down, the center of the first pixel at (0.5, 0.5).

    Args:
        images: (N, C, H, W) uint8.
        matrix: (N, 6) of a, b, c, d, e, f. With "nearest", a NumPy matrix gives exactly Pillow's pixels; a tensor is
            float32, which may pick the neighbor of a pixel at its edge.
        interpolation: "nearest" or "bilinear".
        fill: value of pixels from outside the image, a number or one per channel.

    Raises:
        ValueError: an unknown interpolation, or shapes that do not match.
        TypeError: ``images`` are not uint8.
    """
    images = as_batch("affine", images)
    check_options("affine", images, interpolation, fill)
    if images.dtype != mx.uint8:
        raise TypeError(f"affine: images must be uint8, got {_checks.dtype_name(images.dtype)}")
    if np.shape(matrix) != (len(images), 6):
        raise ValueError(f"affine: matrix must have shape ({len(images)}, 6), got {np.shape(matrix)}")
    if interpolation == "nearest" and not isinstance(matrix, mx.array):
        if not np.all(np.abs(matrix) < 32768):
            raise ValueError(f"affine: matrix must have absolute values below 32768, got {matrix!r}")
        matrix = mx.array(fixed_point(matrix))
    else:
        matrix = array("affine", matrix, "matrix").astype(mx.float32)
    return warp(images, matrix, interpolation, fill)


def warp(images: mx.array, matrix: mx.array, interpolation: str, fill: float | Sequence[float]) -> mx.array:
    """``affine`` without checks. With "nearest" the matrix may be in ``fixed_point``."""
    if images.size == 0:
        return images
    out, inside = (_nearest if interpolation == "nearest" else _bilinear)(images, matrix)
    return mx.where(inside, out, per_channel("affine", "fill", fill, images.shape[1], images.dtype))


def check_options(caller: str, images: mx.array, interpolation: str, fill: float | Sequence[float]) -> None:
    _checks.one_of(caller, "interpolation", interpolation, INTERPOLATIONS)
    per_channel(caller, "fill", fill, images.shape[1], images.dtype)


def fixed_point(matrix: Any) -> np.ndarray:
    """A matrix (..., 6) in units of 1 / 65536, int32, with the translation of the center of the first pixel.

    Coordinates must be below 32768, as in Pillow.
    """
    a, b, c, d, e, f = np.moveaxis(np.asarray(matrix, np.float64), -1, 0)
    shifted = np.stack([a, b, c + a * 0.5 + b * 0.5, d, e, f + d * 0.5 + e * 0.5], -1)
    return np.floor(shifted * 65536 + 0.5).astype(np.int32)


def _nearest(images: mx.array, matrix: mx.array) -> tuple[mx.array, mx.array]:
    n, c, height, width = images.shape
    center = 0.5 if matrix.dtype in FLOATING else 0
    x, y = mx.arange(center, width), mx.arange(center, height)[:, None]
    a, b, shift_x, d, e, shift_y = (matrix[:, i, None, None] for i in range(6))
    column, row = shift_x + x * a + y * b, shift_y + x * d + y * e  # (N, H, W)
    if matrix.dtype in FLOATING:
        column, row = mx.floor(column).astype(mx.int32), mx.floor(row).astype(mx.int32)
    else:
        column, row = (mx.right_shift(value, mx.array(16, value.dtype)) for value in (column, row))
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    at = mx.where(inside, row * width + column, 0).reshape(n, 1, height * width)
    out = mx.take_along_axis(images.reshape(n, c, height * width), at, axis=2)
    return out.reshape(images.shape), inside[:, None]


def _bilinear(images: mx.array, matrix: mx.array) -> tuple[mx.array, mx.array]:
    n, c, height, width = images.shape
    x, y = mx.arange(0.5, width), mx.arange(0.5, height)[:, None]
    a, b, shift_x, d, e, shift_y = (matrix[:, i, None, None] for i in range(6))
    column, row = shift_x + x * a + y * b, shift_y + x * d + y * e  # (N, H, W)
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    left, top = mx.floor(column - 0.5), mx.floor(row - 0.5)  # from -1
    # The four neighbors are packed into one integer, so that one gather reads all of them.
    wide = mx.pad(images, [(0, 0), (0, 0), (1, 1), (1, 1)], "edge").astype(mx.uint32)
    four = wide[..., :-1, :-1] | (wide[..., :-1, 1:] << 8) | (wide[..., 1:, :-1] << 16) | (wide[..., 1:, 1:] << 24)
    at = mx.where(inside, (top.astype(mx.int32) + 1) * (width + 1) + left.astype(mx.int32) + 1, 0)
    four = four.reshape(n, c, (height + 1) * (width + 1))
    found = mx.take_along_axis(four, at.reshape(n, 1, height * width), axis=2).reshape(images.shape)
    p, q, r, s = ((mx.right_shift(found, mx.array(i, mx.uint32)) & 255).astype(mx.float32) for i in (0, 8, 16, 24))
    u, v = (column - 0.5 - left)[:, None], (row - 0.5 - top)[:, None]
    upper, lower = p + (q - p) * u, r + (s - r) * u
    return (upper + (lower - upper) * v).astype(mx.uint8), inside[:, None]
