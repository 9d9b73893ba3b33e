"""Functional forms of the layers, under PyTorch's names. Most are operations of ``lucid.ops``, re-exported here.

Functions defined here do what a pure operation cannot, such as updating running statistics.
"""

from typing import Any

import mlx.core as mx

from lucid import _checks, random, tape
from lucid._tensor import Tensor
from lucid.nn import _common
from lucid.nn.embedding_bag import embedding_bag as embedding_bag
from lucid.nn.functional_attention import multi_head_attention_forward as multi_head_attention_forward
from lucid.nn.functional_attention import scaled_dot_product_attention as scaled_dot_product_attention
from lucid.nn.functional_dropout import *
from lucid.nn.functional_fractional import *
from lucid.nn.functional_pooling import *
from lucid.ops import activation, affine, normalization, stochastic
from lucid.ops._types import TensorLike
from lucid.ops.activation import *
from lucid.ops.adaptive_pooling import *
from lucid.ops.affine import *
from lucid.ops.convolution import *
from lucid.ops.ctc import *
from lucid.ops.distance import pairwise_distance as pairwise_distance
from lucid.ops.distance import pdist as pdist
from lucid.ops.elementwise import sigmoid as sigmoid
from lucid.ops.elementwise import tanh as tanh
from lucid.ops.indexing import one_hot as one_hot
from lucid.ops.likelihood_loss import *
from lucid.ops.linear_loss import *
from lucid.ops.loss import *
from lucid.ops.margin_loss import *
from lucid.ops.normalization import *
from lucid.ops.padding import *
from lucid.ops.pooling import *
from lucid.ops.rearrangement import *
from lucid.ops.resize import *
from lucid.ops.sampling import *
from lucid.ops.unpooling import *


def softmax(input: TensorLike, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """``exp(input) / sum(exp(input))`` along ``dim``, which is required (-1 for the classes of logits (N, C)).

    ``_stacklevel`` has no effect.

    Example:
        >>> F.softmax(lucid.tensor([0.0, 0.0]), dim=0).tolist()
        [0.5, 0.5]
    """
    return activation.softmax(input, dim, dtype)


def log_softmax(input: TensorLike, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """``log(softmax(input, dim))`` without overflow. ``_stacklevel`` has no effect."""
    return activation.log_softmax(input, dim, dtype)


def rrelu(
    input: TensorLike, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False, inplace: bool = False
) -> Tensor:
    """``input`` if ``input > 0``, otherwise ``slope * input``, with a random slope from [lower, upper) for each value.

    Outside of training, the slope is the mean of ``lower`` and ``upper``. Source: Xu et al. 2015, arXiv:1505.00853.
    """
    lower = _checks.number("rrelu", "lower", lower)
    upper = _checks.number("rrelu", "upper", upper, lower)
    key = random.key() if _checks.flag("rrelu", "training", training) else None
    result = stochastic.rrelu(input, lower, upper, key)
    return tape.write_to(input, result, "rrelu") if _checks.flag("rrelu", "inplace", inplace) else result


def rrelu_(
    input: TensorLike, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False, generator: None = None
) -> Tensor:
    """``rrelu``, with the result written to ``input``."""
    if generator is not None:
        raise TypeError(f"rrelu_: generator must be None, got {type(generator).__name__}")
    return rrelu(input, lower, upper, training, inplace=True)


def gumbel_softmax(logits: TensorLike, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1) -> Tensor:
    """A sample of the Gumbel-Softmax distribution: ``softmax((logits + Gumbel noise) / tau)`` along ``dim``.

    Source: Jang et al. 2016, arXiv:1611.01144.

    Args:
        tau: The temperature. Samples are nearly one-hot if it is small.
        hard: Whether to return one-hot vectors, with the gradient of the soft sample.
        eps: Accepted for compatibility with PyTorch, where it has no effect either.

    Example:
        >>> F.gumbel_softmax(lucid.zeros(2, 5), hard=True).sum(dim=1).tolist()
        [1.0, 1.0]
    """
    tau = _checks.number("gumbel_softmax", "tau", tau)
    hard = _checks.flag("gumbel_softmax", "hard", hard)
    return stochastic.gumbel_softmax(logits, tau, hard, dim, random.key())


def embedding(
    input: TensorLike, weight: TensorLike, padding_idx: int | None = None, max_norm: float | None = None,
    norm_type: float = 2.0, scale_grad_by_freq: bool = False, sparse: bool = False,
) -> Tensor:  # fmt: skip
    """The rows of ``weight`` that the integers ``input`` select.

    Shapes: input (...), weight (num_embeddings, embedding_dim); out (..., embedding_dim). As in PyTorch, indices are
    not negative.

    Args:
        padding_idx: A row that gets no gradient.
        max_norm: Selected rows of ``weight`` with a larger norm are first scaled to this norm, in place.
        norm_type: The order of that norm.
        scale_grad_by_freq: Whether to divide the gradient of a row by its number of occurrences in ``input``.
        sparse: Sparse gradients, which are not supported.

    Raises:
        IndexError: an index is out of range.
        ValueError: ``weight`` is not a matrix, or ``sparse`` is true.

    Example:
        >>> F.embedding(lucid.tensor([1, 0]), lucid.tensor([[1.0, 2.0], [3.0, 4.0]])).tolist()
        [[3.0, 4.0], [1.0, 2.0]]
    """
    affine.refuse_sparse("embedding", sparse)
    if max_norm is not None:
        if not isinstance(weight, Tensor):
            raise TypeError(f"embedding: weight must be a Tensor for max_norm, got {type(weight).__name__}")
        weight._update(
            affine.with_limited_rows(
                tape.unwrap(input),
                weight._array,
                _checks.number("embedding", "max_norm", max_norm, 0),
                _checks.number("embedding", "norm_type", norm_type),
            )
        )
    return affine.embedding(input, weight, padding_idx, scale_grad_by_freq)


def batch_norm(
    input: TensorLike, running_mean: Tensor | None, running_var: Tensor | None, weight: TensorLike = None,
    bias: TensorLike = None, training: bool = False, momentum: float = 0.1, eps: float = 1e-5,
    *, data_format: str = "channels_first",
) -> Tensor:  # fmt: skip
    """``(input - mean) / sqrt(var + eps) * weight + bias`` for each channel of (N, C, ...).

    During training, uses the mean and biased variance of the batch and updates the running statistics (C,), if given,
    with its mean and unbiased variance. Otherwise, uses the running statistics. Source: Ioffe and Szegedy 2015,
    arXiv:1502.03167.

    Args:
        momentum: The weight of the batch in the update of the running statistics.

    Raises:
        ValueError: the shapes do not match, the batch has a single value per channel during training, or ``eps`` is
            negative, or 0 during training.
    """
    eps = _checks.number("batch_norm", "eps", eps, 0, above=bool(training))
    if isinstance(input, Tensor) and input.shape == (0,):  # PyTorch asks nothing else of such a batch
        return input.clone()
    if not training:
        if running_mean is None or running_var is None:
            raise _checks.ArgumentError("batch_norm: running_mean and running_var are required when not training")
        return normalization.batch_norm_with_statistics(
            input, running_mean, running_var, weight, bias, eps, data_format
        )
    y, mean, var = normalization.batch_norm_of_batch(input, weight, bias, eps, data_format)
    count = y.numel() // mean.numel() if mean.numel() else 0
    _track("batch_norm", running_mean, running_var, mean, var, count, momentum)
    return y


def instance_norm(
    input: TensorLike, running_mean: Tensor | None = None, running_var: Tensor | None = None,
    weight: TensorLike = None, bias: TensorLike = None, use_input_stats: bool = True, momentum: float = 0.1,
    eps: float = 1e-5, *, data_format: str = "channels_first",
) -> Tensor:  # fmt: skip
    """``(input - mean) / sqrt(var + eps) * weight + bias`` for each channel of each sample of (N, C, ...).

    With ``use_input_stats``, uses the mean and biased variance of the sample and updates the running statistics (C,),
    if given, with the average of the means and unbiased variances. Otherwise, uses the running statistics. Source:
    Ulyanov et al. 2016, arXiv:1607.08022.

    Args:
        momentum: The weight of the batch in the update of the running statistics.

    Raises:
        ValueError: the shapes do not match, or a channel has a single value.
    """
    where = "instance_norm"
    use_input_stats = _checks.flag(where, "use_input_stats", use_input_stats)
    eps = _checks.number(where, "eps", eps, 0, above=use_input_stats)
    if not use_input_stats:
        if running_mean is None or running_var is None:
            raise _checks.ArgumentError(f"{where}: running_mean and running_var are required without use_input_stats")
        return normalization.batch_norm_with_statistics(
            input, running_mean, running_var, weight, bias, eps, data_format
        )
    y, mean, var = normalization.instance_norm_of_batch(input, weight, bias, eps, data_format)
    count = y.numel() // mean.numel() if mean.numel() else 0
    if y.numel():
        mean, var = mean.mean(0), var.mean(0)
    _track(where, running_mean, running_var, mean, var, count if y.numel() else 0, momentum)
    return y


def _track(
    caller: str, running_mean: Any, running_var: Any, mean: Tensor, var: Tensor, count: int, momentum: Any
) -> None:
    """Update the running statistics, if given, with the mean and the biased variance of ``count`` values."""
    if not isinstance(momentum, Tensor | mx.array):  # an average over all batches has a lazy one
        momentum = _checks.number(caller, "momentum", momentum)
    for name, running in (("running_mean", running_mean), ("running_var", running_var)):
        if not (running is None or isinstance(running, Tensor)):
            raise TypeError(f"{caller}: {name} must be a tensor or None, got {running!r:.60}")
        if running is not None and count and running.shape != mean.shape:
            raise _checks.ArgumentError(f"{caller}: {name} must have shape {mean.shape}, got {running.shape}")
    if count:  # an empty batch has no statistics
        _common.update_running(running_mean, mean, momentum)
        _common.update_running(running_var, var * (count / (count - 1)), momentum)


__all__ = [
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_max_pool1d",
    "adaptive_max_pool1d_with_indices", "adaptive_max_pool2d", "adaptive_max_pool2d_with_indices",
    "adaptive_max_pool3d", "adaptive_max_pool3d_with_indices", "affine_grid", "alpha_dropout", "avg_pool1d",
    "avg_pool2d", "avg_pool3d", "batch_norm", "bilinear", "binary_cross_entropy", "binary_cross_entropy_with_logits",
    "celu", "celu_", "channel_shuffle", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d",
    "conv_transpose3d", "cosine_embedding_loss", "cosine_similarity", "cross_entropy", "ctc_loss", "drop_path",
    "dropout", "dropout1d", "dropout2d", "dropout3d", "elu", "elu_", "embedding", "embedding_bag",
    "feature_alpha_dropout", "fold", "fractional_max_pool2d", "fractional_max_pool2d_with_indices",
    "fractional_max_pool3d", "fractional_max_pool3d_with_indices", "gaussian_nll_loss", "gelu", "global_response_norm",
    "glu", "grid_sample", "group_norm", "gumbel_softmax", "hardshrink", "hardsigmoid", "hardswish", "hardtanh",
    "hardtanh_", "hinge_embedding_loss", "huber_loss", "instance_norm", "interpolate", "kl_div", "l1_loss",
    "layer_norm", "leaky_relu", "leaky_relu_", "linear", "linear_cross_entropy", "local_response_norm", "log_softmax",
    "logsigmoid", "lp_pool1d", "lp_pool2d", "lp_pool3d", "margin_ranking_loss", "max_pool1d", "max_pool1d_with_indices",
    "max_pool2d", "max_pool2d_with_indices", "max_pool3d", "max_pool3d_with_indices", "max_unpool1d", "max_unpool2d",
    "max_unpool3d", "mish", "mse_loss", "multi_head_attention_forward", "multi_margin_loss", "multilabel_margin_loss",
    "multilabel_soft_margin_loss", "nll_loss", "normalize", "one_hot", "pad", "pairwise_distance", "pdist",
    "pixel_shuffle", "pixel_unshuffle", "poisson_nll_loss", "prelu", "relu", "relu6", "relu_", "rms_norm", "rrelu",
    "rrelu_", "scaled_dot_product_attention", "selu", "selu_", "sigmoid", "silu", "smooth_l1_loss", "soft_margin_loss",
    "softmax", "softmin", "softplus", "softshrink", "softsign", "tanh", "tanhshrink", "threshold", "threshold_",
    "triplet_margin_loss", "triplet_margin_with_distance_loss", "unfold", "upsample", "upsample_bilinear",
    "upsample_nearest",
]  # fmt: skip
