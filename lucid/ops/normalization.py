"""Normalization. Half precision is computed in float32 and cast back.

Images are (N, C, ...) with ``data_format="channels_first"`` and (N, ..., C) with ``"channels_last"``.
"""

import math
from collections.abc import Iterable
from typing import Any

import mlx.core as mx

from lucid import _checks
from lucid.kernels.layer_norm import layer_norm as kernel
from lucid.kernels.power import power
from lucid.ops._common import array, at_least_1d, average, real, real_numbers, total
from lucid.ops._norms import power_norm, safe_sqrt
from lucid.ops._types import TensorLike
from lucid.tape import op

__all__ = ["global_response_norm", "group_norm", "layer_norm", "local_response_norm", "normalize", "rms_norm"]

DATA_FORMATS = ("channels_first", "channels_last")


def channel_axis(caller: str, x: mx.array, data_format: str) -> int:
    """The channel dimension of (N, C, ...) or (N, ..., C)."""
    _checks.one_of(caller, "data_format", data_format, DATA_FORMATS)
    if x.ndim < 2:
        raise _checks.ArgumentError(f"{caller}: input must have at least 2 dimensions, (N, C, ...), got {x.shape}")
    return 1 if data_format == "channels_first" else x.ndim - 1


def _operand(caller: str, x: Any) -> tuple[mx.array, mx.array]:
    """``x`` as an array, and converted to the dtype to compute in."""
    x = real_numbers(caller, x)
    return x, x if x.dtype == mx.float64 else x.astype(mx.float32)


def _complex_operand(caller: str, x: Any) -> tuple[mx.array, mx.array]:
    """``_operand``, also for complex numbers."""
    x = real(caller, x)
    return x, x if x.dtype in (mx.float64, mx.complex64) else x.astype(mx.float32)


def _reciprocal_sqrt(x: mx.array) -> mx.array:
    return 1 / mx.sqrt(x) if x.dtype == mx.complex64 else mx.rsqrt(x)


def normalized_sizes(caller: str, normalized_shape: Any) -> tuple[int, ...]:
    """``normalized_shape``, one size or several, as a tuple."""
    if isinstance(normalized_shape, mx.array):
        normalized_shape = normalized_shape.tolist()
    sizes = normalized_shape if isinstance(normalized_shape, Iterable) else (normalized_shape,)
    return tuple(_checks.integer(caller, "normalized_shape", one, 0) for one in sizes)


def _affine_vector(caller: str, name: str, value: Any, sizes: tuple[int, ...]) -> mx.array | None:
    if value is None:
        return None
    value = array(caller, value, name)
    if value.shape != sizes:
        raise _checks.ArgumentError(f"{caller}: {name} must have shape {sizes}, got {value.shape}")
    return value.reshape(-1)


def _affine(x: mx.array, weight: mx.array | None, bias: mx.array | None, shape: tuple[int, ...]) -> mx.array:
    if weight is not None:
        x = x * weight.reshape(shape)
    return x if bias is None else x + bias.reshape(shape)


@op(autocast="float32")
def layer_norm(
    input: TensorLike, normalized_shape: Any, weight: TensorLike = None, bias: TensorLike = None, eps: float = 1e-5,
    *, data_format: str = "channels_last",
) -> mx.array:  # fmt: skip
    """``(input - mean) / sqrt(var + eps) * weight + bias`` over the last dimensions, with the biased variance.

    Source: Ba et al. 2016, arXiv:1607.06450.

    Args:
        normalized_shape: The sizes of the dimensions to normalize, which is also the shape of ``weight`` and ``bias``.
        data_format: "channels_first" to normalize the channels of (N, C, ...) instead; ``normalized_shape`` is then C.

    Raises:
        ValueError: the shapes do not match.

    Example:
        >>> F.layer_norm(lucid.tensor([1.0, 3.0]), (2,)).round(decimals=2)
        tensor([-1.,  1.])
    """
    x, eps = _operand("layer_norm", input)[0], _checks.number("layer_norm", "eps", eps)
    _checks.one_of("layer_norm", "data_format", data_format, DATA_FORMATS)
    sizes = normalized_sizes("layer_norm", normalized_shape)
    weight, bias = (
        _affine_vector("layer_norm", "weight", weight, sizes),
        _affine_vector("layer_norm", "bias", bias, sizes),
    )
    if data_format == "channels_first":
        if len(sizes) != 1 or x.ndim < 2 or x.shape[1] != sizes[0]:
            raise _checks.ArgumentError(
                f"layer_norm: input must be (N, C, ...) with normalized_shape {sizes} as C, got {x.shape}"
            )
        return mx.moveaxis(_layer_norm(mx.moveaxis(x, 1, -1), weight, bias, eps), -1, 1)
    if not sizes or x.shape[-len(sizes) :] != sizes:
        raise _checks.ArgumentError(
            f"layer_norm: the last dimensions of the input must be normalized_shape {sizes}, got {x.shape}"
        )
    if len(sizes) == 1:
        return _layer_norm(x, weight, bias, eps)
    flat = x.reshape(*x.shape[: x.ndim - len(sizes)], math.prod(sizes))
    return _layer_norm(flat, weight, bias, eps).reshape(x.shape)


def _layer_norm(x: mx.array, weight: mx.array | None, bias: mx.array | None, eps: float) -> mx.array:
    if x.size == 0:
        return x
    if x.dtype == mx.float64:  # which the kernel computes in float32
        centered = x - mx.mean(x, -1, keepdims=True)
        y = centered * mx.rsqrt(mx.mean(mx.square(centered), -1, keepdims=True) + eps)
        return _affine(y, weight, bias, (-1,)).astype(x.dtype)
    return kernel(x, weight, bias, eps).astype(x.dtype)


@op(autocast="float32")
def rms_norm(input: TensorLike, normalized_shape: Any, weight: TensorLike = None, eps: float | None = None) -> mx.array:
    """``input / sqrt(mean(input²) + eps) * weight`` over the last dimensions, whose sizes are ``normalized_shape``.

    ``eps`` defaults to the machine epsilon of the dtype. Source: Zhang and Sennrich 2019, arXiv:1910.07467.

    Raises:
        ValueError: the shapes do not match.
    """
    x, wide = _complex_operand("rms_norm", input)
    eps = mx.finfo(x.dtype).eps if eps is None else _checks.number("rms_norm", "eps", eps)
    sizes = normalized_sizes("rms_norm", normalized_shape)
    if not sizes or x.shape[-len(sizes) :] != sizes:
        raise _checks.ArgumentError(
            f"rms_norm: the last dimensions of the input must be normalized_shape {sizes}, got {x.shape}"
        )
    if weight is not None and (weight := array("rms_norm", weight, "weight")).shape != sizes:
        raise _checks.ArgumentError(f"rms_norm: weight must have shape {sizes}, got {weight.shape}")
    dims = tuple(range(x.ndim - len(sizes), x.ndim))
    mean_square = average(mx.square(wide), dims, keepdims=True) + eps
    y = wide * _reciprocal_sqrt(mean_square)
    return (y if weight is None else y * weight).astype(x.dtype)


@op(autocast="float32")
def batch_norm_with_statistics(
    input: TensorLike, mean: TensorLike, var: TensorLike, weight: TensorLike, bias: TensorLike, eps: float,
    data_format: str,
) -> mx.array:  # fmt: skip
    """``(input - mean) / sqrt(var + eps) * weight + bias`` with the given channel statistics (C,)."""
    x, wide = _operand("batch_norm", input)
    axis = channel_axis("batch_norm", x, data_format)
    c = x.shape[axis]
    mean, var, weight, bias = (
        _affine_vector("batch_norm", name, value, (c,))
        for name, value in (("running_mean", mean), ("running_var", var), ("weight", weight), ("bias", bias))
    )
    shape = _channel_shape(x, axis)
    y = (wide - mean.reshape(shape)) * mx.rsqrt(var + eps).reshape(shape)
    return _affine(y, weight, bias, shape).astype(x.dtype)


@op(autocast="float32")
def batch_norm_of_batch(
    input: TensorLike, weight: TensorLike, bias: TensorLike, eps: float, data_format: str
) -> tuple[mx.array, mx.array, mx.array]:
    """The batch normalized by its own mean and biased variance, and both statistics (C,) without gradients.

    Raises:
        ValueError: the batch has a single value per channel, and thus no variance.
    """
    x, wide = _operand("batch_norm", input)
    axis = channel_axis("batch_norm", x, data_format)
    weight, bias = (
        _affine_vector("batch_norm", name, value, (x.shape[axis],))
        for name, value in (("weight", weight), ("bias", bias))
    )
    if x.size == x.shape[axis] and x.size:
        raise ValueError(f"batch_norm: training needs more than one value per channel, got shape {x.shape}")
    dims = tuple(d for d in range(x.ndim) if d != axis)
    shape = _channel_shape(x, axis)
    mean = average(wide, dims, keepdims=True)
    centered = wide - mean
    var = average(mx.square(centered), dims, keepdims=True)
    y = _affine(centered * mx.rsqrt(var + eps), weight, bias, shape).astype(x.dtype)
    return y, mx.stop_gradient(mean.reshape(-1)), mx.stop_gradient(var.reshape(-1))


@op(autocast="float32")
def instance_norm_of_batch(
    input: TensorLike, weight: TensorLike, bias: TensorLike, eps: float, data_format: str
) -> tuple[mx.array, mx.array, mx.array]:
    """Each channel of each sample normalized by its own mean and biased variance, and both statistics (N, C).

    Raises:
        ValueError: the channels have a single value, and thus no variance.
    """
    x, wide = _operand("instance_norm", input)
    axis = channel_axis("instance_norm", x, data_format)
    weight, bias = (
        _affine_vector("instance_norm", name, value, (x.shape[axis],))
        for name, value in (("weight", weight), ("bias", bias))
    )
    dims = tuple(d for d in range(1, x.ndim) if d != axis)
    if math.prod(x.shape[d] for d in dims) == 1:
        raise ValueError(f"instance_norm: needs more than one value per channel and sample, got shape {x.shape}")
    mean = average(wide, dims, keepdims=True)
    centered = wide - mean
    var = average(mx.square(centered), dims, keepdims=True)
    y = _affine(centered * mx.rsqrt(var + eps), weight, bias, _channel_shape(x, axis)).astype(x.dtype)
    flat = x.shape[0], x.shape[axis]
    return y, mx.stop_gradient(mean.reshape(flat)), mx.stop_gradient(var.reshape(flat))


def _channel_shape(x: mx.array, axis: int) -> tuple[int, ...]:
    return tuple(x.shape[axis] if d == axis else 1 for d in range(x.ndim))


@op(autocast="float32")
def group_norm(
    input: TensorLike, num_groups: int, weight: TensorLike = None, bias: TensorLike = None, eps: float = 1e-5,
    *, data_format: str = "channels_first",
) -> mx.array:  # fmt: skip
    """Each of ``num_groups`` groups of adjacent channels normalized separately, for each sample.

    Shapes: input (N, C, ...), weight and bias (C,). Source: Wu and He 2018, arXiv:1803.08494.

    Raises:
        ValueError: the number of channels is not divisible by ``num_groups``, or the shapes do not match.
    """
    x, wide = _operand("group_norm", input)
    eps = _checks.number("group_norm", "eps", eps)
    axis = channel_axis("group_norm", x, data_format)
    c = _checks.divisible(
        "group_norm",
        "channels",
        x.shape[axis],
        "num_groups",
        _checks.integer("group_norm", "num_groups", num_groups, 1),
    )
    weight, bias = (
        _affine_vector("group_norm", name, value, (c,)) for name, value in (("weight", weight), ("bias", bias))
    )
    if x.size == 0:
        return x
    if x.size == num_groups:
        raise ValueError(
            f"group_norm: needs more than one value per group, got shape {x.shape} with {num_groups} groups"
        )
    grouped = wide.reshape(*x.shape[:axis], num_groups, c // num_groups, *x.shape[axis + 1 :])
    dims = tuple(d for d in range(1, grouped.ndim) if d != axis)
    centered = grouped - average(grouped, dims, keepdims=True)
    y = centered * mx.rsqrt(average(mx.square(centered), dims, keepdims=True) + eps)
    return _affine(y.reshape(x.shape), weight, bias, _channel_shape(x, axis)).astype(x.dtype)


@op(autocast="float32")
def global_response_norm(
    input: TensorLike, weight: TensorLike, bias: TensorLike, eps: float = 1e-6, *, data_format: str = "channels_last"
) -> mx.array:
    """``weight * (input * n) + bias + input``, where n is the 2-norm of each channel divided by the mean over channels.

    Shapes: input (N, H, W, C), or (N, C, H, W) with ``data_format="channels_first"``; weight and bias (C,), or any
    shape with C values, such as (1, 1, 1, C). Source: Woo et al. 2023, arXiv:2301.00808.

    Raises:
        ValueError: the shapes do not match.
    """
    x, wide = _operand("global_response_norm", input)
    eps = _checks.number("global_response_norm", "eps", eps)
    _checks.rank("global_response_norm", "input", x.shape, 4, "(N, C, H, W)")
    axis = channel_axis("global_response_norm", x, data_format)
    shape = _channel_shape(x, axis)
    weight, bias = array("global_response_norm", weight, "weight"), array("global_response_norm", bias, "bias")
    for name, value in (("weight", weight), ("bias", bias)):
        if value.size != x.shape[axis]:
            raise _checks.ArgumentError(
                f"global_response_norm: {name} must hold {x.shape[axis]} values, got shape {value.shape}"
            )
    squares = total(mx.square(wide), tuple(d for d in (1, 2, 3) if d != axis), keepdims=True)
    size = safe_sqrt(squares)  # as in PyTorch, a channel of zeros gets the gradient 0
    response = size / (average(size, axis, keepdims=True) + eps)
    return (weight.reshape(shape) * (wide * response) + bias.reshape(shape) + wide).astype(x.dtype)


@op(autocast="float32")
def normalize(
    input: TensorLike, p: float = 2.0, dim: int | tuple[int, ...] = 1, eps: float = 1e-12, out: None = None
) -> mx.array:
    """``input / max(norm(input, p), eps)`` along ``dim``.

    Example:
        >>> F.normalize(lucid.tensor([[3.0, 4.0]])).round(decimals=2)
        tensor([[0.6, 0.8]])
    """
    x, wide = _complex_operand("normalize", input)
    axes = _checks.dims("normalize", dim, x.ndim)
    size = at_least_1d(mx.abs(wide) if x.dtype == mx.complex64 else wide)
    size = power_norm("normalize", size, _checks.number("normalize", "p", p), axes, True).reshape(
        [1 if axis in axes else n for axis, n in enumerate(x.shape)]
    )
    return (wide / mx.maximum(size, _checks.number("normalize", "eps", eps))).astype(x.dtype)


def _response(caller: str, x: mx.array, before: int, after: int, size: int, options: tuple[Any, ...]) -> mx.array:
    """``x / (k + alpha / size * s) ** beta`` with the sum s of the squares of channels from -before to +after."""
    alpha, beta, k = (
        _checks.number(caller, name, value) for name, value in zip(("alpha", "beta", "k"), options, strict=True)
    )
    wide = x if x.dtype == mx.float64 else x.astype(mx.float32)
    squares = mx.pad(mx.square(wide), [(0, 0), (before, after), *[(0, 0)] * (x.ndim - 2)])
    sums = squares[:, : x.shape[1]]
    for i in range(1, before + after + 1):
        sums = sums + squares[:, i : i + x.shape[1]]
    divisor = power(sums * (alpha / size) + k, mx.array(beta, wide.dtype))
    return (wide / divisor).astype(x.dtype)


@op(autocast="float32")
def local_response_norm(
    input: TensorLike, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> mx.array:
    """``input / (k + alpha * mean(input²)) ** beta`` with the mean over ``size`` neighboring channels of (N, C, ...).

    Channels beyond the first and the last count as zeros. Source: Krizhevsky et al. 2012.

    Raises:
        ValueError: ``input`` has fewer than 3 dimensions.
    """
    where = "local_response_norm"
    x, size = real_numbers(where, input), _checks.integer(where, "size", size, 1)
    if x.ndim < 3:
        raise ValueError(f"{where}: input must have at least 3 dimensions (N, C, ...), got {x.shape}")
    return _response(where, x, size // 2, (size - 1) // 2, size, (alpha, beta, k)) if x.size else x


@op(autocast="float32")
def cross_map_lrn2d(input: TensorLike, size: int, alpha: float, beta: float, k: float) -> mx.array:
    """``local_response_norm`` of images with as many channels before as after, as Caffe and ``CrossMapLRN2d`` do it."""
    where = "cross_map_lrn2d"
    x, size = real_numbers(where, input), _checks.integer(where, "size", size, 1)
    _checks.rank(where, "input", x.shape, 4, "(N, C, H, W)")
    side = (size - 1) // 2
    return _response(where, x, side, side, size, (alpha, beta, k)) if x.size else x
