"""PyTorch's lower-level name of batch normalization, as ``lucid.native_batch_norm``."""

from lucid import _checks
from lucid._creation import empty
from lucid._tensor import Tensor
from lucid.nn import functional
from lucid.ops import elementwise, normalization
from lucid.ops._types import TensorLike

__all__ = ["native_batch_norm"]


def native_batch_norm(
    input: TensorLike, weight: TensorLike, bias: TensorLike, running_mean: Tensor | None, running_var: Tensor | None,
    training: bool, momentum: float, eps: float, *, out: None = None,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """``lucid.nn.functional.batch_norm`` with the mean and reciprocal deviation of each channel of the batch.

    Without ``training``, there are no such statistics, and both are empty.

    Raises:
        ValueError: the shapes do not match.
    """
    _checks.no_out("native_batch_norm", out)
    y = functional.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)
    if not training:
        return y, empty(0, dtype=y.dtype), empty(0, dtype=y.dtype)
    _, mean, var = normalization.batch_norm_of_batch(input, None, None, eps, "channels_first")
    deviation = elementwise.rsqrt(var + eps)
    return y, mean.detach().to(y.dtype), deviation.detach().to(y.dtype)
