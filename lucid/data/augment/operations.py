"""The operations of RandAugment and TrivialAugment: one of each, with its own argument, for every image of a batch.

What an operation with a certain argument does is a row of a table, computed on the host in float64: a kind, a factor, a
look-up table for values, a matrix for positions. An image takes a row by its number. So a policy draws a number for
each image, and every image goes the same way: through a look-up, a blend and a gather, of which at most one changes it.

=============  ====================================  =========================================================
operation      argument                              what it does
=============  ====================================  =========================================================
Identity       any                                   nothing
ShearX         s                                     takes pixel (x, y) from (x + s y, y)
ShearY         s                                     takes pixel (x, y) from (x, y + s x)
TranslateX     pixels                                takes pixel (x, y) from (x + pixels, y)
TranslateY     pixels                                takes pixel (x, y) from (x, y + pixels)
Rotate         degrees                               turns around the middle, against the clock
Brightness     factor                                see ``adjust_brightness``; 1 changes nothing
Color          factor                                see ``adjust_saturation``
Contrast       factor                                see ``adjust_contrast``
Sharpness      factor                                see ``adjust_sharpness``
Posterize      bits                                  keeps the highest bits of every value
Solarize       threshold                             takes values from the threshold on from 255
SolarizeAdd    amount                                adds to values below 128
Invert         any                                   takes values from 255
AutoContrast   any                                   stretches the values of each channel to 0 ... 255
Equalize       any                                   makes the values of each channel equally frequent
=============  ====================================  =========================================================

Sources: Cubuk et al. 2019, arXiv:1909.13719; Pillow's arithmetic, as torchvision and timm use it.
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
# Kinds: what the operations need that cannot be in a table made before the image is seen.
_PLAIN, _COLOR, _CONTRAST, _SHARPNESS, _AUTOCONTRAST, _EQUALIZE = range(6)
_KINDS = {"Color": _COLOR, "Contrast": _CONTRAST, "Sharpness": _SHARPNESS, "AutoContrast": _AUTOCONTRAST,
          "Equalize": _EQUALIZE}  # fmt: skip
_BLENDS = ("Color", "Sharpness")
_VALUES = np.arange(256)
_IDENTITY = np.array([1.0, 0, 0, 0, 1, 0])


class Rows(NamedTuple):
    """What R rows do, on the device."""

    flags: mx.array  # (kinds, R) bool: looked up, not compared, which would be one more kernel for each kind
    lookups: mx.array  # (R,) int32, rows of ``tables``
    tables: mx.array  # (T, 256) uint8
    contrasts: mx.array  # (R,) float32
    blends: mx.array  # (R,) float32: the factor of Color or Sharpness; 1 of the others
    matrices: dict[str, mx.array]  # (R, 6) for each interpolation
    moves: bool  # some matrix is not the identity


def make_rows(operations: Sequence[str], arguments: Sequence[float], height: int, width: int) -> Rows:
    """The rows of operations with their arguments, for images of height x width."""
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
    """``images`` (N, C, H, W) uint8 after an operation with an argument: one pair for all images, or one for each.

    ``interpolation`` ("nearest" or "bilinear") and ``fill`` (a number, or one for each channel) are for the operations
    that move pixels.

    Raises:
        ValueError: an unknown operation, or another number of them than of images.
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
        raise ValueError(f"apply_operation: argument must be a number or one for each of {n} images, got {argument!r}")
    warping.check_options("apply_operation", images, interpolation, fill)
    rows = make_rows(names, np.broadcast_to(arguments, n).tolist(), height, width)
    return apply_rows(images, rows, mx.arange(n), interpolation, fill)


def apply_rows(
    images: mx.array, rows: Rows, chosen: mx.array, interpolation: str, fill: float | Sequence[float]
) -> mx.array:
    """``images`` with what row ``chosen[n]`` does to image n."""
    if images.size == 0:
        return images
    flags = mx.take(rows.flags, chosen, axis=1)[..., None, None, None]  # (kinds, N, 1, 1, 1)
    values = rows.tables[rows.lookups[chosen]][:, None]  # (N, 1, 256)
    contrasts = color.contrast_tables(images, rows.contrasts[chosen][:, None, None])
    values = mx.where(flags[_CONTRAST, ..., 0], contrasts, values)
    values = mx.where(flags[_AUTOCONTRAST, ..., 0], color.autocontrast_tables(images), values)
    values = mx.where(flags[_EQUALIZE, ..., 0], color.equalize_tables(images), values)  # (N, C, 256)
    out = color.apply_tables(images, values)

    # The tables of Color and Sharpness change nothing, and a blend by 1 does not either.
    degenerate = mx.where(flags[_COLOR], color.to_grayscale(images), color.smooth(images))
    out = color.blend(degenerate, out, rows.blends[chosen][:, None, None, None])
    return warping.warp(out, rows.matrices[interpolation][chosen], interpolation, fill) if rows.moves else out


def _table(name: str, argument: float) -> np.ndarray:
    """(256,) uint8: what becomes of each value."""
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
    """(6,): where each pixel is taken from; see ``warping.affine``."""
    matrix = _IDENTITY.copy()
    if name == "Rotate":
        angle = -np.radians(argument % 360)
        cos, sin = round(float(np.cos(angle)), 15), round(float(np.sin(angle)), 15)
        x, y = width / 2, height / 2
        return np.array([cos, sin, x - cos * x - sin * y, -sin, cos, y + sin * x - cos * y])
    if (at := {"ShearX": 1, "TranslateX": 2, "ShearY": 3, "TranslateY": 5}.get(name)) is not None:
        matrix[at] = argument
    return matrix
