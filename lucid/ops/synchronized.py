"""Statistics of the batches of all processes, for ``SyncBatchNorm``."""

from collections.abc import Callable

import mlx.core as mx

from lucid import _process_group
from lucid.kernels.custom_vjp import custom_vjp
from lucid.ops._common import average, real_numbers, total
from lucid.ops._types import TensorLike
from lucid.ops.normalization import channel_axis
from lucid.tape import op


@op(autocast="float32")
def channel_moments(input: TensorLike, data_format: str) -> mx.array:
    """The count, the mean and the sum of squared deviations of each channel of (N, C, ...), as (3, C)."""
    x = real_numbers("sync_batch_norm", input)
    wide = x if x.dtype == mx.float64 else x.astype(mx.float32)
    axis = channel_axis("sync_batch_norm", x, data_format)
    dims = tuple(d for d in range(x.ndim) if d != axis)
    channels = x.shape[axis]
    if not x.size:
        return mx.zeros((3, channels), wide.dtype)
    mean = average(wide, dims, keepdims=True)
    deviation = total(mx.square(wide - mean), dims)
    return mx.stack([mx.full(channels, x.size // channels, wide.dtype), mean.reshape(-1), deviation])


def _gathered_vjp(cotangent: mx.array, array: mx.array) -> tuple[mx.array]:
    """What all ranks' losses say about this rank's array."""
    return (_total(cotangent)[_process_group.rank()],)


def _total_vjp(cotangent: mx.array, array: mx.array) -> tuple[mx.array]:
    return (_total(cotangent),)


_total: Callable[[mx.array], mx.array] = custom_vjp(_process_group.total, vjp=_total_vjp)
_gather = custom_vjp(_process_group.gather, vjp=_gathered_vjp)


@op(vjp=_gathered_vjp)
def gathered(input: TensorLike) -> mx.array:
    """The arrays of all ranks, stacked; the gradient is that of the sum of all ranks' losses."""
    return _gather(input)


@op
def combined_moments(parts: TensorLike) -> tuple[mx.array, mx.array, mx.array]:
    """The mean, the biased and the unbiased variance (C,) of all values, from the moments (R, 3, C) of the parts.

    Source: Chan et al. 1979. The unbiased variance has no gradient.
    """
    count, mean, deviation = parts[:, 0], parts[:, 1], parts[:, 2]
    n = total(count, 0)
    whole = total(count * mean, 0) / n
    squares = total(deviation + count * mx.square(mean - whole), 0)
    return whole, squares / n, mx.stop_gradient(squares / (n - 1))
