"""Affine maps of images, each its own, in the arithmetic of Pillow: a matrix says where each pixel is taken from."""

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
    """Images whose pixel (x, y) comes from (a x + b y + c, d x + e y + f) of the input; ``fill`` where that is outside.

    Shapes: images (N, C, H, W) uint8, matrix (N, 6) of a, b, c, d, e, f, out as images. Coordinates are those of
    Pillow: x to the right, y down, the middle of the first pixel at (0.5, 0.5). With "nearest" and a matrix in NumPy
    every pixel is Pillow's; a matrix on the device is float32, so a pixel on the border of two may be the other one.

    Raises:
        ValueError: another interpolation, or shapes that do not fit each other.
        TypeError: images that are not uint8.
    """
    images = as_batch("affine", images)
    check_options("affine", images, interpolation, fill)
    if images.dtype != mx.uint8:
        raise TypeError(f"affine: images must be uint8, got {_checks.dtype_name(images.dtype)}")
    if np.shape(matrix) != (len(images), 6):
        raise ValueError(f"affine: matrix must have shape ({len(images)}, 6), got {np.shape(matrix)}")
    if interpolation == "nearest" and not isinstance(matrix, mx.array):
        if not np.all(np.abs(matrix) < 32768):
            raise ValueError(f"affine: matrix must hold numbers below 32768, got {matrix!r}")
        matrix = mx.array(fixed_point(matrix))
    else:
        matrix = array("affine", matrix, "matrix").astype(mx.float32)
    return warp(images, matrix, interpolation, fill)


def warp(images: mx.array, matrix: mx.array, interpolation: str, fill: float | Sequence[float]) -> mx.array:
    """``affine`` for a matrix of floats or, with "nearest", of ``fixed_point``."""
    if images.size == 0:
        return images
    out, inside = (_nearest if interpolation == "nearest" else _bilinear)(images, matrix)
    return mx.where(inside, out, per_channel("affine", "fill", fill, images.shape[1], images.dtype))


def check_options(where: str, images: mx.array, interpolation: str, fill: float | Sequence[float]) -> None:
    _checks.one_of(where, "interpolation", interpolation, INTERPOLATIONS)
    per_channel(where, "fill", fill, images.shape[1], images.dtype)


def fixed_point(matrix: Any) -> np.ndarray:
    """(..., 6) int32: a matrix in units of 1 / 65536, its shift that of the middle of the first pixel.

    Coordinates must stay below 32768, as in Pillow.
    """
    a, b, c, d, e, f = np.moveaxis(np.asarray(matrix, np.float64), -1, 0)
    shifted = np.stack([a, b, c + a * 0.5 + b * 0.5, d, e, f + d * 0.5 + e * 0.5], -1)
    return np.floor(shifted * 65536 + 0.5).astype(np.int32)


def _nearest(images: mx.array, matrix: mx.array) -> tuple[mx.array, mx.array]:
    n, c, height, width = images.shape
    middle = 0.5 if matrix.dtype in FLOATING else 0
    x, y = mx.arange(middle, width), mx.arange(middle, height)[:, None]
    a, b, shift_x, d, e, shift_y = (matrix[:, i, None, None] for i in range(6))
    column, row = shift_x + x * a + y * b, shift_y + x * d + y * e  # (N, H, W)
    if matrix.dtype in FLOATING:
        column, row = mx.floor(column).astype(mx.int32), mx.floor(row).astype(mx.int32)
    else:
        column, row = (mx.right_shift(one, mx.array(16, one.dtype)) for one in (column, row))
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
    # Four neighbours in one number, of an image with a border of copies, so that one gather takes them all.
    wide = mx.pad(images, [(0, 0), (0, 0), (1, 1), (1, 1)], "edge").astype(mx.uint32)
    four = wide[..., :-1, :-1] | (wide[..., :-1, 1:] << 8) | (wide[..., 1:, :-1] << 16) | (wide[..., 1:, 1:] << 24)
    at = mx.where(inside, (top.astype(mx.int32) + 1) * (width + 1) + left.astype(mx.int32) + 1, 0)
    four = four.reshape(n, c, (height + 1) * (width + 1))
    found = mx.take_along_axis(four, at.reshape(n, 1, height * width), axis=2).reshape(images.shape)
    p, q, r, s = ((mx.right_shift(found, mx.array(i, mx.uint32)) & 255).astype(mx.float32) for i in (0, 8, 16, 24))
    u, v = (column - 0.5 - left)[:, None], (row - 0.5 - top)[:, None]
    upper, lower = p + (q - p) * u, r + (s - r) * u
    return (upper + (lower - upper) * v).astype(mx.uint8), inside[:, None]
