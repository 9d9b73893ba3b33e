"""Many small arrays as a few long ones: a message costs its latency, however short it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import mlx.core as mx


def buckets(arrays: Sequence[mx.array], limit_bytes: float) -> list[list[int]]:
    """The positions of ``arrays`` in groups of one dtype and of at most ``limit_bytes``, or of one larger array."""
    filled: list[list[int]] = []
    open_ones: dict[mx.Dtype, tuple[list[int], int]] = {}
    for position, array in enumerate(arrays):
        bucket, size = open_ones.get(array.dtype, ([], 0))
        if not bucket or size + array.nbytes > limit_bytes:
            bucket, size = [], 0
            filled.append(bucket)
        bucket.append(position)
        open_ones[array.dtype] = bucket, size + array.nbytes
    return filled


def through(function: Callable[[mx.array], mx.array], arrays: Sequence[mx.array]) -> list[mx.array]:
    """``function``, which keeps the length, of all ``arrays`` joined to one vector, cut up again."""
    if len(arrays) == 1:
        return [function(arrays[0].reshape(-1)).reshape(arrays[0].shape)]
    vector = function(mx.concatenate([one.reshape(-1) for one in arrays]))
    results, start = [], 0
    for one in arrays:
        results.append(vector[start : start + one.size].reshape(one.shape))
        start += one.size
    return results
