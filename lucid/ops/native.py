"""PyTorch's lower-level names for operations on images; ``lucid.nn.functional`` has the usual ones."""

import math
from typing import TYPE_CHECKING, Any

import mlx.core as mx

from lucid import _checks
from lucid.ops import normalization, rearrangement, sampling
from lucid.ops._common import array, average, floating, index_within, real_numbers
from lucid.ops._types import TensorLike
from lucid.ops.activation import softmax_of_arrays
from lucid.ops.padding import pad as pad_tensor
from lucid.tape import op

if TYPE_CHECKING:
    from lucid._tensor import Tensor

__all__ = [
    "_safe_softmax", "affine_grid_generator", "constant_pad_nd", "grid_sampler", "grid_sampler_2d", "grid_sampler_3d",
    "max_pool2d_with_indices_backward", "native_channel_shuffle", "native_group_norm", "native_layer_norm",
]  # fmt: skip

_MODES = ("bilinear", "nearest", "bicubic")
_PADDINGS = ("zeros", "border", "reflection")


def constant_pad_nd(input: TensorLike, pad: Any, value: float = 0) -> "Tensor":
    """``input`` padded with ``value``; ``pad`` holds the sizes (left, right, top, bottom, ...). Negative ones crop.

    Raises:
        ValueError: ``pad`` does not match the dimensions, or crops more than there is.
    """
    return pad_tensor(input, pad, "constant", value)


def native_channel_shuffle(input: TensorLike, groups: int) -> "Tensor":
    """``lucid.nn.functional.channel_shuffle``.

    Raises:
        ValueError: the number of channels is not divisible by ``groups``.
    """
    return rearrangement.channel_shuffle(input, groups)


@op(autocast="float32")
def _safe_softmax(input: TensorLike, dim: int, dtype: Any = None) -> mx.array:
    """``softmax``, which is 0 where all values along ``dim`` are -inf, as in attention to nothing."""
    x = floating("_safe_softmax", input)
    axis = _checks.dim("_safe_softmax", dim, x.ndim)
    kept = x if dtype is None else x.astype(_checks.dtype("_safe_softmax", dtype))
    if not x.ndim or not x.size:
        return mx.where(kept == -mx.inf, 0, mx.ones_like(kept)).astype(kept.dtype)
    is_nothing = mx.all(kept == -mx.inf, axis, keepdims=True)
    return mx.where(is_nothing, 0, softmax_of_arrays(mx.where(is_nothing, 0, kept), axis)).astype(kept.dtype)


def _statistics(caller: str, input: TensorLike, rows: tuple[int, ...], shape: tuple[int, ...], eps: float) -> Any:
    """The mean and the reciprocal deviation of each row of ``input``."""

    @op
    def of_rows(input: TensorLike) -> tuple[mx.array, mx.array]:
        x = real_numbers(caller, input)
        wide = (x if x.dtype == mx.float64 else x.astype(mx.float32)).reshape(rows)
        mean = average(wide, -1, True)
        deviation = mx.rsqrt(average(mx.square(wide - mean), -1, True) + eps)
        return mean.reshape(shape).astype(x.dtype), deviation.reshape(shape).astype(x.dtype)

    return of_rows(input)


def native_layer_norm(
    input: TensorLike, normalized_shape: Any, weight: TensorLike, bias: TensorLike, eps: float
) -> tuple["Tensor", "Tensor", "Tensor"]:
    """``lucid.nn.functional.layer_norm`` with the mean and reciprocal standard deviation of each row.

    Raises:
        ValueError: the shapes do not match.
    """
    out = normalization.layer_norm(input, normalized_shape, weight, bias, eps)
    kept = out.ndim - len(normalization.normalized_sizes("native_layer_norm", normalized_shape))
    shape = (*out.shape[:kept], *(1,) * (out.ndim - kept))
    rows = math.prod(out.shape[:kept]), math.prod(out.shape[kept:])
    mean, deviation = _statistics("native_layer_norm", input, rows, shape, eps)
    return out, mean.detach(), deviation.detach()  # as in PyTorch


def native_group_norm(
    input: TensorLike, weight: TensorLike, bias: TensorLike, N: int, C: int, HxW: int, group: int, eps: float
) -> tuple["Tensor", "Tensor", "Tensor"]:
    """``lucid.nn.functional.group_norm`` with the mean and reciprocal standard deviation (N, group).

    Raises:
        ValueError: the sizes are not those of ``input``, or the channels are not divisible by ``group``.
    """
    where = "native_group_norm"
    sizes = [_checks.integer(where, name, one, 0) for name, one in (("N", N), ("C", C), ("HxW", HxW))]
    out = normalization.group_norm(input, group, weight, bias, eps)
    if list(out.shape[:2]) != sizes[:2] or math.prod(out.shape[2:]) != sizes[2]:
        raise _checks.ArgumentError(f"{where}: N, C and HxW must be those of input {out.shape}, got {sizes}")
    rows = N * group, C // group * HxW
    return out, *_statistics(where, input, rows, (N, group), eps)


def grid_sampler(
    input: TensorLike, grid: TensorLike, interpolation_mode: int, padding_mode: int, align_corners: bool
) -> "Tensor":
    """``lucid.nn.functional.grid_sample`` with numbers for the modes.

    Args:
        interpolation_mode: 0 for "bilinear", 1 for "nearest", 2 for "bicubic".
        padding_mode: 0 for "zeros", 1 for "border", 2 for "reflection".
        align_corners: Whether -1 and 1 are the centers of the corner pixels, instead of their outer edges.

    Raises:
        ValueError: a mode is unknown, or the shapes or dtypes do not match.
    """
    return _grid_sampler("grid_sampler", input, grid, interpolation_mode, padding_mode, align_corners)


def grid_sampler_2d(
    input: TensorLike, grid: TensorLike, interpolation_mode: int, padding_mode: int, align_corners: bool
) -> "Tensor":
    """``grid_sampler`` of images (N, C, H, W).

    Raises:
        ValueError: a mode is unknown, or the shapes or dtypes do not match.
    """
    return _grid_sampler("grid_sampler_2d", input, grid, interpolation_mode, padding_mode, align_corners)


def grid_sampler_3d(
    input: TensorLike, grid: TensorLike, interpolation_mode: int, padding_mode: int, align_corners: bool
) -> "Tensor":
    """``grid_sampler`` of volumes (N, C, D, H, W).

    Raises:
        ValueError: a mode is unknown, or the shapes or dtypes do not match.
    """
    return _grid_sampler("grid_sampler_3d", input, grid, interpolation_mode, padding_mode, align_corners)


def _grid_sampler(
    caller: str, input: TensorLike, grid: TensorLike, mode: int, padding_mode: int, align_corners: bool
) -> "Tensor":
    for name, value in (("interpolation_mode", mode), ("padding_mode", padding_mode)):
        if _checks.integer(caller, name, value, 0) > 2:
            raise _checks.ArgumentError(f"{caller}: {name} must be 0, 1 or 2, got {value}")
    corners = _checks.flag(caller, "align_corners", align_corners)
    return sampling.grid_sample(input, grid, _MODES[mode], _PADDINGS[padding_mode], corners)


def affine_grid_generator(theta: TensorLike, size: Any, align_corners: bool) -> "Tensor":
    """``lucid.nn.functional.affine_grid``.

    Raises:
        ValueError: ``size`` is not positive, or does not fit ``theta``.
    """
    return sampling.affine_grid(theta, size, _checks.flag("affine_grid_generator", "align_corners", align_corners))


@op
def max_pool2d_with_indices_backward(
    grad_output: TensorLike, input: TensorLike, kernel_size: Any, stride: Any, padding: Any, dilation: Any,
    ceil_mode: bool, indices: TensorLike,
) -> mx.array:  # fmt: skip
    """The gradient of ``max_pool2d``: the sum of ``grad_output`` at the positions ``indices``.

    The options of the pooling have no effect, because the positions determine the result.

    Raises:
        ValueError: the shapes do not match.
        IndexError: a position is outside of the image.
    """
    where = "max_pool2d_with_indices_backward"
    x, sent = array(where, input), array(where, grad_output, "grad_output")
    _checks.rank(where, "input", x.shape, (3, 4), "(N, C, H, W)")
    at = array(where, indices, "indices")
    if at.shape != sent.shape or sent.shape[:-2] != x.shape[:-2]:
        raise _checks.ArgumentError(
            f"{where}: grad_output and indices must have one shape that fits input {x.shape}, got {sent.shape} and "
            f"{at.shape}"
        )
    rows, area = math.prod(x.shape[:-2]), math.prod(x.shape[-2:])
    if not sent.size or not x.size:
        return mx.zeros(x.shape, sent.dtype)
    at = index_within(where, at.reshape(rows, -1), 1, (rows, area), "indices", lowest=0)
    flat = mx.zeros((rows, area), sent.dtype).at[mx.arange(rows)[:, None], at].add(sent.reshape(rows, -1))
    return flat.reshape(x.shape)
