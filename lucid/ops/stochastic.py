"""Random operations. They take the random key as an argument, so that backward draws the same numbers.

Their callers in ``lucid.nn.functional`` draw the key and check that the rate is in [0, 1].
"""

import math
from typing import Any

import mlx.core as mx

from lucid import _checks
from lucid.ops._common import at_least_1d, real, real_numbers
from lucid.ops._types import TensorLike
from lucid.ops._windows import layout_name
from lucid.ops.activation import softmax_of_arrays
from lucid.ops.normalization import DATA_FORMATS
from lucid.tape import op


@op
def dropout(input: TensorLike, rate: float, key: mx.array | None) -> mx.array:
    """Zero every value with probability ``rate``; scale the rest to keep the mean.

    Source: Srivastava et al. 2014, https://jmlr.org/papers/v15/srivastava14a.html.
    """
    x = real("dropout", input)
    return _apply_mask(x, rate, x.shape, key, True)


@op
def dropout_channels(input: TensorLike, rate: float, key: mx.array | None, data_format: str, dims: int = 2) -> mx.array:
    """Zero whole channels of (N, C, ...) with probability ``rate``; scale the rest to keep the mean.

    The batch may be missing, but for images: there (N, C, L) is what PyTorch takes it for.
    """
    x, caller = real(f"dropout{dims}d", input), f"dropout{dims}d"
    _checks.one_of(caller, "data_format", data_format, DATA_FORMATS)
    _checks.rank(caller, "input", x.shape, (dims + 1, dims + 2), layout_name(dims, data_format))
    batch = 1 if dims == 2 else x.ndim - 1 - dims
    return _apply_mask(x, rate, _channels_shape(x, batch, data_format), key, True)


def _channels_shape(x: mx.array, batch: int, data_format: str) -> tuple[int, ...]:
    """The shape of a mask of channels after ``batch`` dimensions of samples."""
    space = range(batch + 1, x.ndim) if data_format == "channels_first" else range(batch, x.ndim - 1)
    return tuple(1 if axis in space else size for axis, size in enumerate(x.shape))


@op
def alpha_dropout(input: TensorLike, rate: float, key: mx.array | None, whole_channels: bool = False) -> mx.array:
    """Set values, or whole channels of (N, C, ...), to SELU's limit; keep the mean and the variance.

    Source: Klambauer et al. 2017, arXiv:1706.02515.
    """
    caller = "feature_alpha_dropout" if whole_channels else "alpha_dropout"
    x = real(caller, input)
    if whole_channels and x.ndim < 2:
        raise _checks.ArgumentError(f"{caller}: input must have at least 2 dimensions (N, C, ...), got {x.shape}")
    if rate == 0:
        return x
    if rate == 1:
        return mx.zeros_like(x)
    shape = _channels_shape(x, 1, "channels_first") if whole_channels else x.shape
    limit = -1.7580993408473766  # -alpha * scale of SELU
    scale = 1 / math.sqrt((limit * limit * rate + 1) * (1 - rate))
    kept = mx.random.bernoulli(1 - rate, shape, key=key)
    factor, shift = mx.where(kept, scale, 0.0), mx.where(kept, 0.0, scale * limit) - scale * limit * rate
    return x * factor.astype(x.dtype) + shift.astype(x.dtype)


@op
def drop_path(input: TensorLike, rate: float, key: mx.array | None, scale_by_keep: bool = True) -> mx.array:
    """Zero whole samples with probability ``rate``; with ``scale_by_keep``, scale the rest to keep the mean.

    Shapes: input (N, ...), out the same. Source: Huang et al. 2016, arXiv:1603.09382.
    """
    x = real("drop_path", input)
    if x.ndim == 0:
        raise _checks.ArgumentError("drop_path: input must be (N, ...), got a 0-d tensor")
    return _apply_mask(x, rate, (x.shape[0], *(1,) * (x.ndim - 1)), key, scale_by_keep)


@op
def rrelu(input: TensorLike, lower: float, upper: float, key: mx.array | None) -> mx.array:
    """``input`` if ``input > 0``, otherwise times a slope from [lower, upper): random with a key, or else the mean."""
    x = real_numbers("rrelu", input)
    if key is None:
        slope: Any = (lower + upper) / 2
    else:
        slope = mx.random.uniform(lower, upper, x.shape, key=key).astype(x.dtype)
    return mx.where(x > 0, x, x * slope)


@op(autocast="float32")
def gumbel_softmax(logits: TensorLike, tau: float, hard: bool, dim: int, key: mx.array) -> mx.array:
    """``softmax((logits + Gumbel noise) / tau)``; with ``hard`` one-hot, with the gradient of the soft one."""
    x = real_numbers("gumbel_softmax", logits, "logits")
    axis = _checks.dim("gumbel_softmax", dim, x.ndim)
    noise = mx.random.gumbel(x.shape, key=key)
    scaled = at_least_1d((x + noise.astype(x.dtype)) / tau)
    soft = softmax_of_arrays(scaled, axis) if x.size else scaled
    if hard and x.size:
        largest = mx.expand_dims(mx.argmax(soft, axis), axis)
        index = mx.arange(soft.shape[axis]).reshape([-1 if at == axis else 1 for at in range(soft.ndim)])
        soft = (index == largest).astype(soft.dtype) + (soft - mx.stop_gradient(soft))
    return soft.reshape(x.shape)


def _apply_mask(x: mx.array, rate: float, shape: tuple[int, ...], key: mx.array | None, scale: bool) -> mx.array:
    if rate == 0:
        return x
    if rate == 1:
        return mx.zeros_like(x)
    return x * random_mask(rate, shape, key, scale).astype(x.dtype)


def random_mask(rate: float, shape: tuple[int, ...], key: mx.array | None, scale: bool) -> mx.array:
    """0 with probability ``rate``, otherwise 1, or 1 / (1 - rate) to keep the mean; in float32."""
    kept = mx.random.bernoulli(1 - rate, shape, key=key)
    return kept * (1 / (1 - rate)) if scale else kept.astype(mx.float32)
