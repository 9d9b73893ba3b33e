"""Batch norm folded into the layer before it, for inference."""

import copy
from typing import TypeVar

import mlx.core as mx

from lucid._tensor import Tensor
from lucid._tensor_convert import as_array
from lucid.nn.module import Module
from lucid.nn.parameter import Parameter

__all__ = ["fuse_conv_bn_eval", "fuse_conv_bn_weights", "fuse_linear_bn_eval", "fuse_linear_bn_weights"]
M = TypeVar("M", bound=Module)


def fuse_conv_bn_eval(conv: M, bn: Module, transpose: bool = False) -> M:
    """A copy of ``conv`` that computes ``bn(conv(x))`` in evaluation mode.

    Args:
        transpose: Whether ``conv`` is a transposed convolution, whose weight has the outputs in dim 1.

    Raises:
        RuntimeError: one of them is in training mode.

    Example:
        >>> conv, bn = nn.Conv2d(3, 4, 3).eval(), nn.BatchNorm2d(4).eval()
        >>> x = lucid.randn(1, 3, 5, 5)
        >>> lucid.allclose(nn.utils.fuse_conv_bn_eval(conv, bn)(x), bn(conv(x)), atol=1e-5)
        True
    """
    return _fused("fuse_conv_bn_eval", conv, bn, transpose)


def fuse_linear_bn_eval(linear: M, bn: Module) -> M:
    """A copy of ``linear`` that computes ``bn(linear(x))`` in evaluation mode."""
    return _fused("fuse_linear_bn_eval", linear, bn, False)


def _fused(caller: str, layer: M, bn: Module, transpose: bool) -> M:
    if layer.training or bn.training:
        raise RuntimeError(f"{caller}: both layers must be in evaluation mode; call .eval()")
    found = copy.deepcopy(layer)
    weight, bias = fuse_conv_bn_weights(
        found.weight, found.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias, transpose
    )
    found.weight, found.bias = weight, bias
    return found


def fuse_conv_bn_weights(
    conv_w: Tensor, conv_b: Tensor | None, bn_rm: Tensor, bn_rv: Tensor, bn_eps: float, bn_w: Tensor | None,
    bn_b: Tensor | None, transpose: bool = False,
) -> tuple[Parameter, Parameter]:  # fmt: skip
    """Weight and bias of a convolution that includes a batch norm with these statistics, ``eps``, weight and bias."""
    weight, mean, variance = as_array(conv_w), as_array(bn_rm), as_array(bn_rv)
    scale = mx.rsqrt(variance + bn_eps) * (1 if bn_w is None else as_array(bn_w))
    bias = 0 if conv_b is None else as_array(conv_b)
    shift = (bias - mean) * scale + (0 if bn_b is None else as_array(bn_b))
    shape = [1] * weight.ndim
    shape[1 if transpose else 0] = -1
    grads = conv_w.requires_grad, conv_w.requires_grad if conv_b is None else conv_b.requires_grad
    parts = (weight * scale.reshape(shape)).astype(weight.dtype), shift.astype(weight.dtype)
    return Parameter(parts[0], grads[0]), Parameter(parts[1], grads[1])


def fuse_linear_bn_weights(
    linear_w: Tensor, linear_b: Tensor | None, bn_rm: Tensor, bn_rv: Tensor, bn_eps: float, bn_w: Tensor,
    bn_b: Tensor,
) -> tuple[Parameter, Parameter]:  # fmt: skip
    """Weight and bias of a linear layer that includes a batch norm with these statistics, ``eps``, weight and bias."""
    return fuse_conv_bn_weights(linear_w, linear_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b)
