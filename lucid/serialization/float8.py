"""The values of 8-bit floating-point numbers, which MLX has no dtypes for. float16 represents all of them exactly.

Formats: Micikevicius et al. 2022, arXiv:2209.05433. E4M3 has no infinities; E5M2 is the upper byte of a float16.
"""

import mlx.core as mx
import numpy as np


def _e4m3() -> np.ndarray:
    codes = np.arange(256)
    exponent, fraction = codes >> 3 & 15, (codes & 7) / 8
    magnitude = np.where(exponent == 0, fraction * 2.0**-6, (1 + fraction) * 2.0 ** (exponent - 7))
    magnitude[(codes & 127) == 127] = np.nan
    return np.where(codes & 128, -magnitude, magnitude).astype(np.float16)


_VALUES = {"e4m3": _e4m3(), "e5m2": (np.arange(256, dtype=np.uint16) << 8).view(np.float16)}


def decode_float8(codes: mx.array, kind: str) -> mx.array:
    """The float16 values of ``codes``, bytes in the format "e4m3" or "e5m2"."""
    return mx.take(mx.array(_VALUES[kind]), codes.astype(mx.uint32))
