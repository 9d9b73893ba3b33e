"""Helpers that several layers share: parameters, their initialization, and repr."""

import math
from typing import Any, ParamSpec, Protocol, TypeVar

import mlx.core as mx

from lucid import _checks, _device, tape
from lucid._dtypes import get_default_dtype
from lucid._tensor import Tensor
from lucid.nn import init
from lucid.nn.parameter import Parameter

P = ParamSpec("P")
R = TypeVar("R", covariant=True)


class HasForward(Protocol[P, R]):
    """The type of a module by its forward()."""

    def forward(self, *args: P.args, **kwargs: P.kwargs) -> R: ...


def parameter_dtype(caller: str, device: object, dtype: object) -> mx.Dtype:
    """The dtype of a layer's parameters. A device is checked and has no effect, because memory is unified.

    Raises:
        TypeError: ``dtype`` is not a floating-point dtype.
    """
    if device is not None:
        _device.resolve(caller, device)
    if dtype is None:
        return get_default_dtype()
    found = _checks.dtype(caller, dtype)
    if not mx.issubdtype(found, mx.floating):
        raise TypeError(f"{caller}: dtype must be a floating-point dtype, got {_checks.dtype_name(found)}")
    return found


def empty_parameter(*shape: int, dtype: mx.Dtype = mx.float32) -> Parameter:
    """A parameter to be initialized. Its zeros are lazy, so they are never computed if they are replaced."""
    if max(shape, default=0) >= 2**31:
        raise _checks.ArgumentError(f"Parameter: sizes must be less than 2**31, got {shape}")
    return Parameter(tape.wrap(mx.zeros(shape, dtype)))


def uniform_by_fan_in(weight: Parameter, bias: Parameter | None) -> None:
    """PyTorch's initialization of linear and convolution layers: weight and bias uniform in ±1 / sqrt(fan_in)."""
    fan_in = math.prod(weight.shape[1:])
    bound = 1 / math.sqrt(fan_in) if fan_in else 0.0
    init.uniform_(weight, -bound, bound)
    if bias is not None:
        init.uniform_(bias, -bound, bound)


def layout(data_format: str, default: str = "channels_first") -> str:
    """``", data_format='...'"`` for a repr, or nothing if it is the layer's default."""
    return "" if data_format == default else f", data_format={data_format!r}"


def update_running(running: Tensor | None, new: Tensor, momentum: Any) -> None:
    """Move ``running``, a running statistic, by the part ``momentum`` of the way to ``new``, if there is one."""
    if running is not None:
        old, new_array = tape.unwrap(running), tape.unwrap(new)
        running._update((old + momentum * (new_array - old)).astype(old.dtype))
