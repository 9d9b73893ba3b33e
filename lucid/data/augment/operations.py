"""The operations of RandAugment and TrivialAugment, with a separate operation and argument for each image of a batch.

An operation with an argument is a row of tables made on the host in float64: a kind, a factor, a lookup table for
values, an affine matrix for positions. A policy draws a row for each image, and all images take the same path through a
lookup, a blend and a gather, at most one of which changes an image.

=============  =========  ===============================================
operation      argument   effect
=============  =========  ===============================================
Identity       ignored    none
ShearX         s          reads pixel (x, y) from (x + s y, y)
ShearY         s          reads pixel (x, y) from (x, y + s x)
TranslateX     pixels     reads pixel (x, y) from (x + pixels, y)
TranslateY     pixels     reads pixel (x, y) from (x, y + pixels)
Rotate         degrees    rotates counterclockwise around the center
Brightness     factor     ``adjust_brightness``
Color          factor     ``adjust_saturation``
Contrast       factor     ``adjust_contrast``
Sharpness      factor     ``adjust_sharpness``
Posterize      bits       keeps the highest bits of each value
Solarize       threshold  inverts values at or above the threshold
SolarizeAdd    amount     adds to values below 128, clipped
Invert         ignored    inverts all values
AutoContrast   ignored    stretches each channel to [0, 255]
Equalize       ignored    equalizes the histogram of each channel
=============  =========  ===============================================

Source: Cubuk et al. 2019, arXiv:1909.13719, with Pillow's arithmetic as in torchvision and timm.
"""

from collections.abc import Sequence
from typing import NamedTuple

import mlx.core as mx
import numpy as np

from lucid import _checks
from lucid.data.augment import color, warping
from lucid.data.augment._batch import as_uint8_batch
from lucid.ops._types import TensorLike
from lucid.tape import op

OPERATIONS = (
    "Identity", "ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate", "Brightness", "Color", "Contrast",
    "Sharpness", "Posterize", "Solarize", "SolarizeAdd", "Invert", "AutoContrast", "Equalize",
)  # fmt: skip
# Operations whose tables depend on the image, or which are not tables.
_PLAIN, _COLOR, _CONTRAST, _SHARPNESS, _AUTOCONTRAST, _EQUALIZE = range(6)
_KINDS = {"Color": _COLOR, "Contrast": _CONTRAST, "Sharpness": _SHARPNESS, "AutoContrast": _AUTOCONTRAST,
          "Equalize": _EQUALIZE}  # fmt: skip
_BLENDS = ("Color", "Sharpness")
_VALUES = np.arange(256)
_IDENTITY = np.array([1.0, 0, 0, 0, 1, 0])


class Rows(NamedTuple):
    """R operations with their arguments, on the device."""

    flags: mx.array  # (kinds, R) bool, one-hot: a lookup, because a comparison takes one more kernel for each kind
    lookups: mx.array  # (R,) int32, rows of ``tables``
    tables: mx.array  # (T, 256) uint8
    contrasts: mx.array  # (R,) float32
    blends: mx.array  # (R,) float32: the factor of Color and Sharpness, else 1
    matrices: dict[str, mx.array]  # (R, 6) for each interpolation
    moves: bool  # some matrix is not the identity


def make_rows(operations: Sequence[str], arguments: Sequence[float], height: int, width: int) -> Rows:
    """``Rows`` of these operations and arguments, for images of ``height`` x ``width``."""
    tables, lookups = {_VALUES.astype(np.uint8).tobytes(): 0}, []
    pairs = list(zip(operations, arguments, strict=True))
    for pair in pairs:
        lookups.append(tables.setdefault(_table(*pair).tobytes(), len(tables)))
    kinds = np.array([_KINDS.get(name, _PLAIN) for name in operations])
    matrices = np.array([_matrix(*pair, height, width) for pair in pairs]).reshape(-1, 6)
    return Rows(
        mx.array(kinds == np.arange(len(_KINDS) + 1)[:, None]),
        mx.array(np.array(lookups, np.int32)),
        mx.array(np.frombuffer(b"".join(tables), np.uint8).reshape(-1, 256)),
        mx.array(np.array(arguments, np.float32)),
        mx.array(np.array([argument if name in _BLENDS else 1 for name, argument in pairs], np.float32)),
        {
            "nearest": mx.array(warping.fixed_point(matrices)),
            "bilinear": mx.array(matrices.astype(np.float32)),
        },
        bool((matrices != _IDENTITY).any()),
    )


@op
def apply_operation(
    images: TensorLike, operation: str | Sequence[str], argument: float | Sequence[float] = 0.0,
    interpolation: str = "nearest", fill: float | Sequence[float] = 0,
) -> mx.array:  # fmt: skip
    """Apply an operation to ``images`` (N, C, H, W) uint8.

    Args:
        images: with 1 or 3 channels.
        operation: one of ``OPERATIONS``, or one per image.
        argument: its argument, see the table of this module, or one per image.
        interpolation: "nearest" or "bilinear", for operations that move pixels.
        fill: value of pixels from outside the image, a number or one per channel.

    Raises:
        ValueError: an unknown operation, or numbers of operations and images that differ.
    """
    images = as_uint8_batch("apply_operation", images)
    n, _, height, width = images.shape
    names = [operation] * n if isinstance(operation, str) else list(operation)
    arguments = np.asarray(argument, np.float64)
    for name in names:
        _checks.one_of("apply_operation", "operation", name, OPERATIONS)
    if len(names) != n:
        raise ValueError(f"apply_operation: {n} images but {len(names)} operations")
    if arguments.shape not in ((), (1,), (n,)) or not np.isfinite(arguments).all():
        raise ValueError(f"apply_operation: argument must be a number or one per image ({n}), got {argument!r}")
    warping.check_options("apply_operation", images, interpolation, fill)
    rows = make_rows(names, np.broadcast_to(arguments, n).tolist(), height, width)
    return apply_rows(images, rows, mx.arange(n), interpolation, fill)


def apply_rows(
    images: mx.array, rows: Rows, chosen: mx.array, interpolation: str, fill: float | Sequence[float]
) -> mx.array:
    """Apply row ``chosen[n]`` to image n."""
    if images.size == 0:
        return images
    flags = mx.take(rows.flags, chosen, axis=1)[..., None, None, None]  # (kinds, N, 1, 1, 1)
    values = rows.tables[rows.lookups[chosen]][:, None]  # (N, 1, 256)
    contrasts = color.contrast_tables(images, rows.contrasts[chosen][:, None, None])
    values = mx.where(flags[_CONTRAST, ..., 0], contrasts, values)
    values = mx.where(flags[_AUTOCONTRAST, ..., 0], color.autocontrast_tables(images), values)
    values = mx.where(flags[_EQUALIZE, ..., 0], color.equalize_tables(images), values)  # (N, C, 256)
    out = color.apply_tables(images, values)

    # The tables of Color and Sharpness are the identity, and so is a blend with factor 1.
    degenerate = mx.where(flags[_COLOR], color.to_grayscale(images), color.smooth(images))
    out = color.blend(degenerate, out, rows.blends[chosen][:, None, None, None])
    return warping.warp(out, rows.matrices[interpolation][chosen], interpolation, fill) if rows.moves else out


def _table(name: str, argument: float) -> np.ndarray:
    """The lookup table of an operation on values, (256,) uint8."""
    values: np.ndarray = _VALUES
    if name == "Brightness":
        values = np.clip(_VALUES.astype(np.float32) * np.float32(argument), 0, 255)
    elif name == "Posterize" and argument < 8:
        values = _VALUES & ~(2 ** (8 - int(argument)) - 1)
    elif name == "Solarize":
        values = np.where(argument > _VALUES, _VALUES, 255 - _VALUES)
    elif name == "SolarizeAdd":
        values = np.where(_VALUES < 128, np.minimum(255, _VALUES + int(argument)), _VALUES)
    elif name == "Invert":
        values = 255 - _VALUES
    return values.astype(np.uint8)


def _matrix(name: str, argument: float, height: int, width: int) -> np.ndarray:
    """The matrix of ``warping.affine``, (6,)."""
    matrix = _IDENTITY.copy()
    if name == "Rotate":
        angle = -np.radians(argument % 360)
        cos, sin = round(float(np.cos(angle)), 15), round(float(np.sin(angle)), 15)
        x, y = width / 2, height / 2
        return np.array([cos, sin, x - cos * x - sin * y, -sin, cos, y + sin * x - cos * y])
    entry = {"ShearX": 1, "TranslateX": 2, "ShearY": 3, "TranslateY": 5}.get(name)
    if entry is not None:
        matrix[entry] = argument
    return matrix
