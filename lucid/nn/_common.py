"""Helpers that several layers share: parameters, their initialization, and repr."""

import math

import mlx.core as mx

from lucid import tape
from lucid.nn import init
from lucid.nn.parameter import Parameter


def empty_parameter(*shape: int) -> Parameter:
    """A parameter whose values are about to be drawn. Zeros, never computed when they are replaced."""
    return Parameter(tape.wrap(mx.zeros(shape)))


def uniform_by_fan_in(weight: Parameter, bias: Parameter | None) -> None:
    """PyTorch's start of linear and convolution layers: uniform in ±1 / sqrt(fan_in), the bias too."""
    fan_in = math.prod(weight.shape[1:])
    bound = 1 / math.sqrt(fan_in) if fan_in else 0.0
    init.uniform_(weight, -bound, bound)
    if bias is not None:
        init.uniform_(bias, -bound, bound)


def layout(data_format: str, default: str = "channels_first") -> str:
    """``", data_format='channels_last'"`` where it is not the layer's default, else nothing."""
    return "" if data_format == default else f", data_format={data_format!r}"
