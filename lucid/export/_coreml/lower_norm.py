"""Normalizations and reductions."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lucid.export._coreml.builder import Builder, Lowered, kind_of
from lucid.export._coreml.lower_conv import channels_first
from lucid.export._graph import Size, Value

_AS_SQUARE = 1 / 16  # what keeps squares of large activations below 65504, the largest number of float16


def _scale_and_shift(b: Builder, weight: Any, bias: Any, sizes: Sequence[int]) -> tuple[Any, Any]:
    """Both, or none: if one is missing, coremltools does not expect the other."""
    if weight is None and bias is None:
        return None, None
    return (
        np.ones(sizes, np.float32) if weight is None else b.array(weight, "weight"),
        np.zeros(sizes, np.float32) if bias is None else b.array(bias, "bias"),
    )


def layer_norm(
    b: Builder, input: Value, normalized_shape: Any, weight: Any, bias: Any, eps: float, data_format: str
) -> Lowered:
    x, order = b.lowered(input)
    count = len(normalized_shape) if isinstance(normalized_shape, list | tuple) else 1
    dims = [1] if data_format == "channels_first" else list(range(input.ndim - count, input.ndim))
    places = [order[dim] for dim in dims]
    moved = np.argsort(places).tolist()  # the scale has its dimensions in the order of the variable's

    sizes = [input.example[dim] for dim in dims]
    scale, shift = _scale_and_shift(b, weight, bias, sizes)
    if scale is not None and shift is not None:
        scale, shift = scale.reshape(sizes).transpose(moved), shift.reshape(sizes).transpose(moved)
    found = b.emit("layer_norm", x=x, axes=sorted(places), gamma=scale, beta=shift, epsilon=np.float32(eps))
    return Lowered(found, order)


def rms_norm(b: Builder, input: Value, normalized_shape: Any, weight: Any = None, eps: Any = None) -> Lowered:
    x, order = b.lowered(input)
    count = len(normalized_shape) if isinstance(normalized_shape, list | tuple) else 1
    dims = range(input.ndim - count, input.ndim)
    square = b.emit("mul", x=x, y=x)
    mean = b.emit("reduce_mean", x=square, axes=b.axes(input, dims), keep_dims=True)
    epsilon = np.finfo(np.float32).eps if eps is None else eps
    root = b.emit("sqrt", x=b.emit("add", x=mean, y=np.float32(epsilon)))
    found = b.emit("real_div", x=x, y=root)
    return _affine(b, found, order, input, weight, None, list(dims))


def _affine(b: Builder, x: Any, order: Any, like: Value, weight: Any, bias: Any, dims: list[int]) -> Lowered:
    """``x * weight + bias`` with a scale and a shift along ``dims``."""
    shape = [like.example[dim] if dim in dims else 1 for dim in range(like.ndim)]
    places = sorted(range(like.ndim), key=lambda i: order[i])
    if weight is not None:
        x = b.emit("mul", x=x, y=b.array(weight, "weight").reshape(shape).transpose(places))
    if bias is not None:
        x = b.emit("add", x=x, y=b.array(bias, "bias").reshape(shape).transpose(places))
    return Lowered(x, order)


def batch_norm_with_statistics(
    b: Builder, input: Value, mean: Value, var: Value, weight: Any, bias: Any, eps: float, data_format: str
) -> Lowered:
    center, spread = b.array(mean, "running_mean"), b.array(var, "running_var")
    scale, shift = _scale_and_shift(b, weight, bias, center.shape)
    if input.ndim in (3, 4, 5):
        order = channels_first(input.ndim, data_format)
        found = b.emit(
            "batch_norm", x=b.arranged(input, order), mean=center, variance=spread, gamma=scale, beta=shift,
            epsilon=np.float32(eps),
        )  # fmt: skip
        return Lowered(found, order)
    factor = 1 / np.sqrt(spread.astype(np.float64) + eps) * (1 if scale is None else scale)
    offset = (0 if shift is None else shift) - center * factor
    x = b.emit("mul", x=b.straight(input), y=factor.astype(np.float32))
    return Lowered(b.emit("add", x=x, y=offset.astype(np.float32)), tuple(range(input.ndim)))


def instance_norm_of_batch(
    b: Builder, input: Value, weight: Any, bias: Any, eps: float, data_format: str
) -> list[Lowered | None]:
    if input.ndim not in (3, 4):
        b.refuse("Core ML normalizes instances of 1 or 2 spatial dimensions")
    order = channels_first(input.ndim, data_format)
    count = input.example[1 if data_format == "channels_first" else -1]
    scale, shift = _scale_and_shift(b, weight, bias, [count])
    found = b.emit("instance_norm", x=b.arranged(input, order), gamma=scale, beta=shift, epsilon=np.float32(eps))
    return [Lowered(found, order), None, None]


def group_norm(
    b: Builder, input: Value, num_groups: int, weight: Any, bias: Any, eps: float, data_format: str
) -> Lowered:
    order = channels_first(input.ndim, data_format)
    x = b.arranged(input, order)
    batch = input.shape[0]
    if isinstance(batch, Size):
        b.refuse("it needs the size of the batch; export a fixed batch size")
    grouped = b.emit("reshape", x=x, shape=[batch, num_groups, -1])
    found = b.emit("layer_norm", x=grouped, axes=[2], epsilon=np.float32(eps))
    if input.is_fixed:
        sizes: Any = [input.example[dim] for dim in sorted(range(input.ndim), key=lambda i: order[i])]
    else:
        sizes = b.emit("shape", x=x)
    found = b.emit("reshape", x=found, shape=sizes)
    return _affine(b, found, order, input, weight, bias, [1 if data_format == "channels_first" else input.ndim - 1])


def global_response_norm(b: Builder, input: Value, weight: Value, bias: Value, eps: float, data_format: str) -> Lowered:
    """Norms over the positions as roots of means, so that float16 holds the sums; their ratio is the same.

    ``eps`` is divided by the root of the number of positions, in the example's size if it varies: that changes the
    result by less than float32 can tell, unless all activations are near zero.
    """
    order = channels_first(4, data_format)
    x = b.arranged(input, order)
    channel = 1 if data_format == "channels_first" else 3
    places = [input.example[dim] for dim in range(1, 4) if dim != channel]
    small = b.emit("mul", x=x, y=np.float32(_AS_SQUARE))
    mean = b.emit("reduce_mean", x=b.emit("mul", x=small, y=small), axes=[2, 3], keep_dims=True)
    size = b.emit("sqrt", x=mean)
    average = b.emit("reduce_mean", x=size, axes=[1], keep_dims=True)
    epsilon = np.float32(eps * _AS_SQUARE / np.sqrt(np.prod(places)))
    response = b.emit("real_div", x=size, y=b.emit("add", x=average, y=epsilon))
    scaled = b.emit("mul", x=response, y=b.array(weight, "weight").reshape(1, -1, 1, 1))
    factor = b.emit("add", x=scaled, y=np.float32(1))
    found = b.emit("mul", x=x, y=factor)
    return Lowered(b.emit("add", x=found, y=b.array(bias, "bias").reshape(1, -1, 1, 1)), order)


def normalize(b: Builder, input: Value, p: float = 2.0, dim: Any = 1, eps: float = 1e-12) -> Lowered:
    if p not in (1, 2):
        b.refuse(f"norms of order {p}, only 1 and 2")
    x, order = b.lowered(input)
    size = b.emit(f"reduce_l{int(p)}_norm", x=x, axes=b.axes(input, dim), keep_dims=True)
    return Lowered(b.emit("real_div", x=x, y=b.emit("maximum", x=size, y=np.float32(eps))), order)


def local_response_norm(b: Builder, input: Value, size: int, alpha: float, beta: float, k: float) -> Lowered:
    """The sum over neighboring channels is a 1x1 convolution with a band of ones."""
    if input.ndim != 4:
        b.refuse("only images (N, C, H, W) are supported")
    x, count = b.straight(input), input.example[1]
    distance = np.arange(count)[None] - np.arange(count)[:, None]
    band = ((distance >= -(size // 2)) & (distance <= (size - 1) // 2)).astype(np.float32) * (alpha / size)
    sums = b.emit("conv", x=b.emit("mul", x=x, y=x), weight=band[:, :, None, None].astype(np.float32), pad_type="valid")
    divisor = b.emit("pow", x=b.emit("add", x=sums, y=np.float32(k)), y=np.float32(beta))
    return Lowered(b.emit("real_div", x=x, y=divisor), tuple(range(4)))


# Reductions -----------------------------------------------------------------------------------------------------------


def _reduction(operation: str) -> Callable[..., Lowered]:
    def lower(b: Builder, input: Value, dim: Any = None, keepdim: bool = False) -> Lowered:
        x, order = b.lowered(input)
        axes = b.axes(input, dim)
        if operation in ("reduce_mean", "reduce_sum"):
            x = b.cast(x, kind_of(input.dtype), kind_of(b.node.output.dtype) if b.node else "fp32")
        found = b.emit(operation, x=x, axes=axes, keep_dims=bool(keepdim))
        return Lowered(found, order if keepdim else b.without(input, axes))

    return lower


def largest(b: Builder, input: Value, dim: Any = None, keepdim: bool = False, other: Any = None) -> Lowered:
    return _extreme(b, "max", input, dim, other)


def smallest(b: Builder, input: Value, dim: Any = None, keepdim: bool = False, other: Any = None) -> Lowered:
    return _extreme(b, "min", input, dim, other)


def _extreme(b: Builder, kind: str, input: Value, dim: Any, other: Any) -> Lowered:
    second = dim if isinstance(dim, Value) else other
    if isinstance(second, Value):
        (x, y), order = b.aligned(input, second)
        return Lowered(b.emit({"max": "maximum", "min": "minimum"}[kind], x=x, y=y), order)
    if dim is not None:
        b.refuse(f"it also returns positions; use a{kind} instead")
    return _reduction(f"reduce_{kind}")(b, input)


def argmax(b: Builder, input: Value, dim: Any = None, keepdim: bool = False) -> Lowered:
    return _position(b, "reduce_argmax", input, dim, keepdim)


def argmin(b: Builder, input: Value, dim: Any = None, keepdim: bool = False) -> Lowered:
    return _position(b, "reduce_argmin", input, dim, keepdim)


def _position(b: Builder, operation: str, input: Value, dim: Any, keepdim: bool) -> Lowered:
    if dim is None:
        b.refuse("a position among all elements; name a dimension")
    x, order = b.lowered(input)
    axes = b.axes(input, dim)
    found = b.emit(operation, x=x, axis=axes[0], keep_dims=bool(keepdim))
    return Lowered(found, order if keepdim else b.without(input, axes))


def var(
    b: Builder, input: Value, dim: Any = None, unbiased: bool = True, keepdim: bool = False, correction: Any = None
) -> Lowered:
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    x, order = b.lowered(input)
    axes = b.axes(input, dim)
    mean = b.emit("reduce_mean", x=x, axes=axes, keep_dims=True)
    centered = b.emit("sub", x=x, y=mean)
    found = b.emit("reduce_mean", x=b.emit("mul", x=centered, y=centered), axes=axes, keep_dims=bool(keepdim))
    less = (1 if unbiased else 0) if correction is None else correction
    if less:
        dims = [i for i in range(input.ndim) if order[i] in axes]
        count = int(np.prod(b.fixed_shape(input, dims)))
        found = b.emit("mul", x=found, y=np.float32(count / (count - less)))
    return Lowered(found, order if keepdim else b.without(input, axes))


def std(
    b: Builder, input: Value, dim: Any = None, unbiased: bool = True, keepdim: bool = False, correction: Any = None
) -> Lowered:
    found, order = var(b, input, dim, unbiased, keepdim, correction)
    return Lowered(b.emit("sqrt", x=found), order)


def norm(b: Builder, input: Value, p: Any = "fro", dim: Any = None, keepdim: bool = False) -> Lowered:
    if p not in ("fro", None, 1, 2):
        b.refuse(f"norms of order {p}, only 1 and 2")
    return _reduction("reduce_l1_norm" if p == 1 else "reduce_l2_norm")(b, input, dim, keepdim)


def cumsum(b: Builder, input: Value, dim: int) -> Lowered:
    x, order = b.lowered(input)
    return Lowered(b.emit("cumsum", x=x, axis=b.axis(input, dim)), order)


LOWERINGS: dict[str, Any] = {
    **{
        one.__name__: one
        for one in (
            layer_norm, rms_norm, batch_norm_with_statistics, instance_norm_of_batch, group_norm, global_response_norm,
            normalize, local_response_norm, argmax, argmin, var, std, norm, cumsum,
        )
    },
    "max": largest, "min": smallest,
    "sum": _reduction("reduce_sum"), "mean": _reduction("reduce_mean"), "amax": _reduction("reduce_max"),
    "amin": _reduction("reduce_min"), "prod": _reduction("reduce_prod"),
    "logsumexp": _reduction("reduce_log_sum_exp"),
}  # fmt: skip
