"""Averages gradients over ranks in buckets, overlapping with the backward pass."""

from __future__ import annotations

import zlib
from collections.abc import Iterable

import mlx.core as mx

from lucid import _checks
from lucid._checks import dtype_name
from lucid._tensor import Tensor
from lucid.distributed.collectives import apply_flattened, bucket_indices, record_call, reduce_array
from lucid.distributed.group import ProcessGroup, current_group


def average_gradients(
    parameters: Iterable[Tensor], num_samples: int | Tensor | None = None, *, bucket_mb: float = 32.0
) -> None:
    """Replace every ``.grad`` by its mean over all ranks, so that all ranks take the same step.

    Call it after ``backward()`` and before clipping and ``optimizer.step()``, on all ranks with the same parameters; it
    also works inside ``lucid.compile``. The same parameters must have gradients on all ranks: if a rank may not use a
    parameter, add ``0 * parameter.sum()`` to the loss.

    Args:
        parameters: A model's parameters.
        num_samples: The size of this rank's batch, if its loss is a mean over samples. Ranks are then weighted by their
            samples, which gives the gradient of the mean over all samples. Without it all ranks weigh the same, which
            is only correct for batches of equal size.
        bucket_mb: Gradients are sent in messages of about this size, last layers first, each as soon as the backward
            pass has computed it.

    Raises:
        TypeError: ``parameters`` are not tensors.
        ValueError: ``num_samples`` is negative or not a single number, or ``bucket_mb`` is not positive.
    """
    where = "average_gradients"
    bucket_bytes = _checks.number(where, "bucket_mb", bucket_mb, 0, above=True) * 2**20
    if not isinstance(parameters, Iterable):
        raise TypeError(
            f"{where}: parameters must be tensors, got {type(parameters).__name__}; pass model.parameters()"
        )
    listed = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    for one in listed:
        if not isinstance(one, Tensor):
            raise TypeError(f"{where}: parameters must be tensors, got {type(one).__name__}")
    if isinstance(num_samples, Tensor):
        if num_samples.numel() != 1:
            raise ValueError(f"{where}: num_samples must be one number, got a tensor of shape {num_samples.shape}")
    elif num_samples is not None:
        num_samples = _checks.integer(where, "num_samples", num_samples, 0)
    group = current_group()
    found = [(one, one.grad._array) for one in reversed(listed) if one.grad is not None]
    if group.size == 1:
        return
    described = ", ".join(f"{dtype_name(array.dtype)} {array.shape}" for _, array in found)
    counted = "" if num_samples is None else ", num_samples"
    record_call(
        group,
        f"average_gradients({len(found)} gradients of {len(listed)} parameters{counted}, "
        f"checksum {zlib.crc32(described.encode()):08x})",
    )

    def averaged(vector: mx.array) -> mx.array:
        return reduce_array(group, vector, "mean") if num_samples is None else _weighted(group, vector, num_samples)

    for positions in bucket_indices([array for _, array in found], bucket_bytes):
        results = apply_flattened(averaged, [found[i][1] for i in positions])
        for i, array in zip(positions, results, strict=True):
            gradient = found[i][0].grad
            assert gradient is not None
            gradient._rebind(array)


def _weighted(group: ProcessGroup, vector: mx.array, num_samples: int | Tensor) -> mx.array:
    """The mean over all ranks' samples. The count is appended to the vector, as one message is faster than two.

    Half precision is summed in float32, since it would overflow and round.
    """
    wide = vector.astype(mx.float32) if vector.dtype in (mx.float16, mx.bfloat16) else vector
    count = mx.array(num_samples) if isinstance(num_samples, int) else num_samples._array
    count = count.reshape(1).astype(wide.dtype)
    # A rank without samples may have NaN gradients: the mean of an empty batch.
    scaled = mx.where(count > 0, wide * count, 0)
    sums = reduce_array(group, mx.concatenate([scaled, count]), "sum")
    return (sums[:-1] / mx.maximum(sums[-1], 1)).astype(vector.dtype)
