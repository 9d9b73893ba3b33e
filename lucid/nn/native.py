"""PyTorch's lower-level name of batch normalization, as ``lucid.native_batch_norm``."""

import mlx.core as mx

from lucid._creation import empty
from lucid._tensor import Tensor
from lucid.nn import functional
from lucid.ops import elementwise, normalization
from lucid.ops._types import TensorLike

__all__ = ["native_batch_norm"]


def native_batch_norm(
    input: TensorLike, weight: TensorLike, bias: TensorLike, running_mean: Tensor | None, running_var: Tensor | None,
    training: bool, momentum: float, eps: float,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """``lucid.nn.functional.batch_norm`` with the mean and reciprocal deviation of each channel of the batch.

    Without ``training``, there are no such statistics, and both are empty.

    Raises:
        ValueError: the shapes do not match.
    """
    out = functional.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)
    if not training:
        wide = mx.float64 if out.dtype == mx.float64 else mx.float32
        return out, empty(0, dtype=wide), empty(0, dtype=wide)
    _, mean, var = normalization.batch_norm_of_batch(input, None, None, eps, "channels_first")
    return out, mean.detach(), elementwise.rsqrt(var + eps).detach()
