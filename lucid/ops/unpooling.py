"""Max unpooling, and max pooling over windows at random positions."""

import functools
import itertools
import math
from typing import Any

import mlx.core as mx

from lucid import _checks
from lucid.ops._common import any_op, array, index_within, real_numbers
from lucid.ops._types import TensorLike
from lucid.ops._windows import first_spatial_axis, stride_of
from lucid.ops.pooling import Ints
from lucid.tape import op

__all__ = ["max_unpool1d", "max_unpool2d", "max_unpool3d"]


def _max_unpool(
    caller: str, dims: int, input: Any, indices: Any, kernel_size: Any, stride: Any, padding: Any, output_size: Any,
    data_format: str,
) -> mx.array:  # fmt: skip
    x, at = array(caller, input), array(caller, indices, "indices")
    first = first_spatial_axis(caller, x, dims, data_format)
    if at.dtype != mx.int64:
        raise _checks.DtypeError(f"{caller}: indices must be int64, got {_checks.dtype_name(at.dtype)}")
    if at.shape != x.shape:
        raise _checks.ArgumentError(f"{caller}: indices must have the shape {x.shape} of input, got {at.shape}")
    kernel = _checks.tuple_of(caller, "kernel_size", kernel_size, dims, 1)
    stride = stride_of(caller, stride, kernel)
    padding = _checks.tuple_of(caller, "padding", padding, dims, 0)
    usual = tuple(
        (n - 1) * s + k - 2 * p
        for n, s, k, p in zip(x.shape[first : first + dims], stride, kernel, padding, strict=True)
    )
    size = usual if output_size is None else _output_size(caller, output_size, usual, stride)
    if min(size) < 1:
        raise _checks.ArgumentError(f"{caller}: the output must not be empty, got size {size}")
    last = data_format == "channels_last"
    if last:
        x, at = mx.moveaxis(x, -1, first - 1), mx.moveaxis(at, -1, first - 1)
    outer, area = x.shape[: x.ndim - dims], math.prod(size)
    if not x.size:
        y = mx.zeros((*outer, *size), x.dtype)
    else:
        flat = x.reshape(math.prod(outer), -1)
        at = index_within(caller, at.reshape(flat.shape), 1, (flat.shape[0], area), "indices", lowest=0)
        y = mx.put_along_axis(mx.zeros((flat.shape[0], area), x.dtype), at, flat, 1).reshape(*outer, *size)
    return mx.moveaxis(y, first - 1, -1) if last else y


def _output_size(caller: str, output_size: Any, usual: tuple[int, ...], stride: tuple[int, ...]) -> tuple[int, ...]:
    given = tuple(_checks.integer(caller, "output_size", one) for one in output_size)
    sizes = given[2:] if len(given) == len(usual) + 2 else given
    if len(sizes) != len(usual):
        raise ValueError(f"{caller}: output_size must hold {len(usual)} or {len(usual) + 2} sizes, got {given}")
    for n, expected, s in zip(sizes, usual, stride, strict=True):
        if not expected - s < n < expected + s:
            raise ValueError(f"{caller}: output_size must be within the stride {stride} of {usual}, got {given}")
    return sizes


@op
def max_unpool1d(
    input: TensorLike, indices: TensorLike, kernel_size: Ints, stride: Ints | None = None, padding: Ints = 0,
    output_size: Any = None, *, data_format: str = "channels_first",
) -> mx.array:  # fmt: skip
    """The values of (N, C, L) at the positions that ``max_pool1d`` returned, and zeros elsewhere.

    Args:
        indices: The positions, of the shape of ``input``, int64.
        kernel_size: The options of the pooling, from which the size of the result follows, as are the next two.
        output_size: The size of the result, if it is another one.

    Raises:
        ValueError: the shapes do not match, or ``output_size`` is out of reach.
        IndexError: a position is outside of the result.
    """
    return _max_unpool("max_unpool1d", 1, input, indices, kernel_size, stride, padding, output_size, data_format)


@op
def max_unpool2d(
    input: TensorLike, indices: TensorLike, kernel_size: Ints, stride: Ints | None = None, padding: Ints = 0,
    output_size: Any = None, *, data_format: str = "channels_first",
) -> mx.array:  # fmt: skip
    """The values of (N, C, H, W) at the positions that ``max_pool2d`` returned, and zeros elsewhere.

    Args:
        indices: The positions, of the shape of ``input``, int64.
        kernel_size: The options of the pooling, from which the size of the result follows, as are the next two.
        output_size: The size of the result, if it is another one.

    Raises:
        ValueError: the shapes do not match, or ``output_size`` is out of reach.
        IndexError: a position is outside of the result.

    Example:
        >>> x = lucid.tensor([[[1.0, 2.0], [4.0, 3.0]]])
        >>> y, positions = F.max_pool2d(x, 2, return_indices=True)
        >>> F.max_unpool2d(y, positions, 2).tolist()
        [[[0.0, 0.0], [4.0, 0.0]]]
    """
    return _max_unpool("max_unpool2d", 2, input, indices, kernel_size, stride, padding, output_size, data_format)


@op
def max_unpool3d(
    input: TensorLike, indices: TensorLike, kernel_size: Ints, stride: Ints | None = None, padding: Ints = 0,
    output_size: Any = None, *, data_format: str = "channels_first",
) -> mx.array:  # fmt: skip
    """The values of (N, C, D, H, W) at the positions that ``max_pool3d`` returned, and zeros elsewhere.

    Args:
        indices: The positions, of the shape of ``input``, int64.
        kernel_size: The options of the pooling, from which the size of the result follows, as are the next two.
        output_size: The size of the result, if it is another one.

    Raises:
        ValueError: the shapes do not match, or ``output_size`` is out of reach.
        IndexError: a position is outside of the result.
    """
    return _max_unpool("max_unpool3d", 3, input, indices, kernel_size, stride, padding, output_size, data_format)


@any_op
def fractional_max_pool(
    input: TensorLike, kernel_size: Any, output_size: Any, return_indices: bool, samples: TensorLike, dims: int
) -> Any:
    """Max pooling over windows whose positions follow from ``samples`` (N, C, dims), numbers in [0, 1).

    Shapes: input (N, C, ...) or (C, ...). See ``lucid.nn.functional.fractional_max_pool2d``.
    """
    caller = f"fractional_max_pool{dims}d"
    x, samples = real_numbers(caller, input), real_numbers(caller, samples, "_random_samples")
    first_spatial_axis(caller, x, dims, "channels_first")
    kernel = _checks.tuple_of(caller, "kernel_size", kernel_size, dims, 1)
    sizes = _checks.tuple_of(caller, "output_size", output_size, dims, 1)
    batch = x if x.ndim == dims + 2 else x[None]
    n, c, *space = batch.shape
    if 0 in (c, *space):
        raise _checks.ArgumentError(f"{caller}: only the batch may be empty, got shape {x.shape}")
    if any(out + k - 1 > size for out, k, size in zip(sizes, kernel, space, strict=True)):
        raise _checks.ArgumentError(
            f"{caller}: windows of {kernel} and output_size {sizes} are too large for an input of {tuple(space)}"
        )
    if samples.ndim != 3 or samples.shape[0] < n or samples.shape[1:] != (c, dims):
        raise _checks.ArgumentError(
            f"{caller}: _random_samples must have shape ({n}, {c}, {dims}), got {samples.shape}"
        )
    starts = []
    for i, (size, out, k) in enumerate(zip(space, sizes, kernel, strict=True)):
        # PyTorch's order of the samples is that of the dimensions for volumes, and the reverse for images.
        sample = samples[:n, :, i if dims == 3 else dims - 1 - i, None]
        room, count = mx.array(size - k, sample.dtype), mx.array(max(out - 1, 1), sample.dtype)
        step = room / count  # in the dtype of the samples, as in PyTorch
        begin = mx.floor((mx.arange(out).astype(sample.dtype) + sample) * step) - mx.floor(sample * step)
        begin = mx.where(mx.arange(out) == out - 1, size - k, mx.clip(begin, 0, size - k))
        starts.append(begin.astype(mx.int32).reshape(n, c, *(out if j == i else 1 for j in range(dims))))
    flat, shape = batch.reshape(n, c, math.prod(space)), (n, c, *sizes)
    steps = [math.prod(space[i + 1 :]) for i in range(dims)]
    largest: Any = None
    for place in itertools.product(*map(range, kernel)):
        at = functools.reduce(
            mx.add, [(start + offset) * step for start, offset, step in zip(starts, place, steps, strict=True)]
        )
        position = mx.broadcast_to(at, shape).reshape(n, c, math.prod(sizes))
        one = mx.take_along_axis(flat, position, 2) if n else mx.zeros(position.shape, x.dtype)
        if largest is None:
            largest, found = one, position
        else:
            is_larger = (one > largest) | (one != one)
            largest, found = mx.where(is_larger, one, largest), mx.where(is_larger, position, found)
    values, positions = largest.reshape(shape), found.reshape(shape).astype(mx.int64)
    if x.ndim == dims + 1:
        values, positions = values[0], positions[0]
    return (values, positions) if _checks.flag(caller, "return_indices", return_indices) else values
