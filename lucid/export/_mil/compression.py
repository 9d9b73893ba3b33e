"""Compressed weights: what a device expands when it loads the model."""

from typing import Any

import numpy as np

from lucid.export._mil.package import unpack_bits


def constexpr_affine_dequantize(quantized_data: np.ndarray, zero_point: Any, scale: Any, axis: int) -> np.ndarray:
    """``(data - zero point) * scale``, with one of each for a position along ``axis``."""
    shape = [1] * quantized_data.ndim
    if np.size(scale) > 1 or np.size(zero_point) > 1:
        shape[axis] = -1
    zero = np.asarray(zero_point, np.float32)
    factor = np.asarray(scale, np.float32)
    zero = zero.reshape(shape) if zero.size > 1 else zero
    factor = factor.reshape(shape) if factor.size > 1 else factor
    return (quantized_data.astype(np.float32) - zero) * factor


def constexpr_lut_to_dense(
    indices: np.ndarray, lut: np.ndarray, shape: Any = None, vector_axis: Any = None
) -> np.ndarray:
    """Entries of a table. Up to iOS 17 the indices are packed bits; from iOS 18 on, there may be a table per group."""
    if shape is not None:
        count = int(np.prod(np.asarray(shape, np.int64)))
        found = unpack_bits(indices, len(lut).bit_length() - 1, count)
        return lut.reshape(-1)[found].reshape([int(n) for n in shape])
    *groups, entries, width = lut.shape
    if width != 1:
        raise ValueError("tables of vectors are not supported")
    tables = np.broadcast_to(lut.reshape(*groups, entries), (*groups, entries))
    for axis, count in enumerate(groups):
        tables = np.repeat(tables, indices.shape[axis] // count, axis)
    return np.take_along_axis(tables, indices[..., None].astype(np.int64), -1)[..., 0]


def constexpr_blockwise_shift_scale(data: np.ndarray, scale: np.ndarray, offset: Any = None) -> np.ndarray:
    """``(data - offset) * scale``, with one of each for a block; blocks divide the array evenly."""

    def spread(array: np.ndarray) -> np.ndarray:
        for axis, count in enumerate(array.shape):
            array = np.repeat(array, data.shape[axis] // count, axis)
        return array.astype(np.float32)

    shifted = data.astype(np.float32)
    if offset is not None:
        shifted = shifted - spread(np.asarray(offset))
    return shifted * spread(scale)


def constexpr_cast(source_val: np.ndarray, output_dtype: str) -> np.ndarray:
    return source_val.astype({"fp32": np.float32, "fp16": np.float16}[output_dtype])


OPERATIONS: dict[str, Any] = {
    one.__name__: one
    for one in (
        constexpr_affine_dequantize, constexpr_lut_to_dense, constexpr_blockwise_shift_scale, constexpr_cast,
    )
}  # fmt: skip
