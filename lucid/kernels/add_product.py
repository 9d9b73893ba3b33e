"""A matrix product added to a map, in one pass over memory."""

import mlx.core as mx


def add_product(x: mx.array, y: mx.array, matrix: mx.array) -> mx.array:
    """``x + y @ matrix`` in one pass.

    Shapes: x (N, H, W, O), y (N, H, W, K), matrix (K, O), or (N, K, O) with one for each image. The product
    is of the dtype of ``y``. Where x has another, the sum is a pass of its own.
    """
    rows, matrix = rows_for(y, matrix), matrix.astype(y.dtype)
    if x.dtype != y.dtype:
        return x + (rows @ matrix).reshape(x.shape)
    return mx.addmm(rows_for(x, matrix), rows, matrix).reshape(x.shape)


def rows_for(x: mx.array, matrix: mx.array) -> mx.array:
    """The matrix or matrices of positions that ``matrix`` multiplies."""
    return x.reshape(*matrix.shape[:-2], -1, x.shape[-1])
